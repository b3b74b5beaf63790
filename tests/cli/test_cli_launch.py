"""`launch-guard` and `ack` as people call them."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import cli
from engine.clock import SystemClock
from engine.launch_word import GUARD_RAN
from engine.ledger import Ledger
from engine.ledger.rows import Event
from engine.live.paper import started_beside
from tests.launch.launching import CONFIG, KEY, RULES, SECRET, TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, no keys, no network."""
    monkeypatch.chdir(tmp_path)
    for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET", "FUTURES_TELEGRAM_BOT_TOKEN", "FUTURES_TELEGRAM_CHAT_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.mark.requirement("R227")
def test_R042_R044_a_new_machine_is_blocked_with_every_reason_and_cure(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = desk / "ledger.db"
    assert run("launch-guard", "--rules", RULES, "-c", CONFIG, "--ledger", ledger) == 30
    shown = capsys.readouterr().out
    for text in (
        "BLOCK_LAUNCH", "api key", "BINANCE_API_KEY is not set, or empty", "→ set BINANCE_API_KEY",
        "4f4d… as pinned", "there is no such market store", "→ run `stagegate data download`", "could not be checked",
        "HARD checks fail", "sign     stagegate approve A", "report   reports/prod_guard/V", "real, no real account",
    ):  # fmt: skip
        assert text in shown, text
    assert max(len(line) for line in shown.splitlines()) <= 100
    with Ledger.open(ledger) as opened:
        assert "kind" not in opened.meta(), "nothing was allowed: paper may still begin here"
        verdict = opened.latest_verdict(policy="launch")
        assert verdict is not None
        assert verdict.outcome == "BLOCK_LAUNCH"
        asked = {event.subject for event in opened.events("approval_request")}
        opened.verify()
    assert len(asked) == 2  # the bundle and a waiver; without a key there is no list of addresses to confirm
    assert run("verdict", "show", verdict.verdict_id, "--ledger", ledger) == 0
    assert "api_key" in capsys.readouterr().out
    with Ledger.open(ledger) as opened:
        opened.set_meta(kind="live")
    assert run("launch-guard", "--rules", RULES, "--ledger", ledger, "--paper", "--synthetic", "7") == 2
    assert "it is the ledger of a live rollout" in capsys.readouterr().err


@pytest.fixture
def paper(desk: Path) -> Iterator[Path]:
    """A ledger whose exchange, started by the first command, is ended at the end."""
    yield desk / "paper.db"
    with suppress(OSError):
        os.kill(json.loads(started_beside(desk / "paper.db").read_text())["pid"], signal.SIGTERM)


def test_a_first_look_on_paper_starts_the_account_and_the_json_is_what_is_archived(
    desk: Path, paper: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINANCE_API_SECRET", SECRET)
    where = ("--rules", RULES, "--ledger", paper)
    assert run("launch-guard", "--paper", *where, "--synthetic", "7", "--json") == 30
    text = capsys.readouterr().out
    document = json.loads(text)
    checks = {check["name"]: check for check in document["checks"]}
    assert (document["mode"], document["stage"], document["capital_usd"]) == ("paper", 0, 10_000.0)
    of_account = ("venue_answers", "margin_type", "leverage", "position_mode", "foreign_positions", "balance")
    assert [checks[name]["result"] for name in of_account] == ["ok"] * len(of_account)
    assert SECRET not in text
    path = document.pop("report")
    assert document == json.loads((desk / path).read_text())


def test_both_modes_a_wrong_stage_and_a_wrong_bundle_are_refused(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--rules", RULES, "--ledger", desk / "ledger.db")
    assert run("launch-guard", *where, "--paper", "--real") == 2
    assert "both are named" in capsys.readouterr().err
    assert run("launch-guard", *where, "--stage", "7") == 2
    assert "there is no stage 7" in capsys.readouterr().err
    assert run("launch-guard", "--rules", CONFIG, "--ledger", desk / "other.db") == 1
    assert "error[" in capsys.readouterr().err
    assert not (desk / "other.db").exists()
    assert list(desk.iterdir()) == []  # nothing was begun


def test_R045_ack_by_name(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = desk / "ledger.db"
    with Ledger.open(path, create=True) as ledger:
        said = {
            "verdict_id": "V1", "outcome": "ALLOW_LAUNCH", "mode": "real", "stage": 1, "capital_usd": 5_000.0,
            "warnings": {"data_gap_small": {"largest_gap_30d": 120.0}},
        }  # fmt: skip
        ledger.append(Event("g", SystemClock().now_ms(), GUARD_RAN, "ALLOW_LAUNCH", json.dumps(said)))
    assert run("ack", "data_gap_small", "--by", "alice", "--reason", "maintenance", "--ledger", path) == 0
    assert "data_gap_small acknowledged by alice: maintenance" in capsys.readouterr().out
    assert run("ack", "config_hash", "--ledger", path) == 2
    assert "raised no warning `config_hash`" in capsys.readouterr().err
    assert run("ack", "data_gap_small", "--ledger", desk / "none.db") == 1
    with Ledger.open(path) as ledger:
        (event,) = ledger.events("acknowledged")
        assert (event.subject, json.loads(event.document)["verdict_id"]) == ("data_gap_small", "V1")


def test_help_is_there_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("launch-guard", "--help") == 0
    shown = capsys.readouterr().out
    assert "stagegate launch-guard --rules" in shown
    assert KEY not in shown
    assert TOKEN not in shown
