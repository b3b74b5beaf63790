"""`alerts test` and `alerts list` as people call them, with the real Apprise against a service on loopback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import cli
from engine.alerts.alert import Alert, Severity
from engine.alerts.lease import Lease
from engine.alerts.outbox import LEASE
from engine.clock import MINUTE_MS, SystemClock
from engine.ledger import Ledger
from tests.alerts.test_alert_outbox import service  # noqa: F401 - a fixture
from tests.risk_guard.guarding import RULES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.alerts.test_alert_outbox import Service

ROUTES = """
routes:
  desk: {url: "json://127.0.0.1:${PORT}/", every_seconds: 0}
  on_call: {url: "json://127.0.0.1:${PORT}/", least: CRITICAL, every_seconds: 0}
  unset: {url: "tgram://${NO_TOKEN}/${NO_CHAT}/"}
"""


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def where(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:  # noqa: F811 - the fixture
    (tmp_path / "alerts.yaml").write_text(ROUTES)
    monkeypatch.setenv("PORT", service.environ["PORT"])
    with Ledger.open(tmp_path / "ledger.db", create=True):
        pass
    return ("--ledger", tmp_path / "ledger.db", "--rules", RULES, "--alerts", tmp_path / "alerts.yaml")


def test_R054_a_test_alert_goes_through_the_outbox_and_its_delivery_is_confirmed(
    where: tuple[object, ...],
    service: Service,  # noqa: F811 - the fixture
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("alerts", "test", *where) == 1
    shown = capsys.readouterr().out
    assert "ok    desk         taken after" in shown
    assert "ok    on_call      taken after" in shown, "whatever its least severity"
    assert "FAIL  unset        NO_TOKEN and NO_CHAT not set" in shown
    assert len(service.received) == 2
    assert service.received[0].startswith("[PROD-R1] INFO  test alert")
    assert run("alerts", "test", "--route", "desk", "--json", *where) == 0
    (trial,) = json.loads(capsys.readouterr().out)
    assert (trial["route"], trial["state"]) == ("desk", "sent")
    assert trial["late_ms"] <= 1_000
    assert run("alerts", "test", "--route", "dsek", *where) == 2
    assert "there is no route `dsek`" in capsys.readouterr().err


def test_alerts_are_listed_with_what_became_of_them(
    where: tuple[object, ...],
    service: Service,  # noqa: F811 - the fixture
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("alerts", "list", *where) == 0
    assert "nothing was ever told" in capsys.readouterr().out
    now_ms = SystemClock().now_ms()
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        ledger.append(Alert(now_ms - MINUTE_MS, Severity.HIGH, "a", "the venue does not answer").row())
    service.refusals = 1
    assert run("alerts", "test", "--route", "on_call", *where) == 0
    capsys.readouterr()
    assert run("alerts", "list", "--json", *where) == 0
    told, tried = json.loads(capsys.readouterr().out)
    states = {one["route"]: one["state"] for one in told["routes"]}
    assert states["on_call"] == "-", "not severe enough"
    assert states["unset"] == "not set"
    assert states["desk"] in {"failing", "sent"}
    assert {one["route"]: one["state"] for one in tried["routes"]} == {"desk": "-", "on_call": "sent", "unset": "-"}
    assert run("alerts", "list", "--last", "1", *where) == 0
    assert "test alert" in capsys.readouterr().out


def test_while_somebody_else_delivers_a_test_waits_for_that(
    where: tuple[object, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = Lease.beside(tmp_path / "ledger.db", LEASE)
    assert holder.take()
    monkeypatch.setattr("engine.commands.alerts.WITHIN_S", 0.3)
    try:
        assert run("alerts", "test", "--route", "desk", *where) == 1
    finally:
        holder.release()
    assert "FAIL  desk         not taken" in capsys.readouterr().out
