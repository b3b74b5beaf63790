"""`stagegate stage` as people see it: exit codes, 80 columns, JSON, history, and a rehearsal of the rollout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import cli
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SystemClock
from engine.inquiry import replay
from engine.ledger import Ledger
from engine.rehearsal.run import RehearsalRequest, rehearse
from tests.operations.stages.staging import RULES, Keys, allowed, bundle, launched, reviewed, start_ms, traded

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 80


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.mark.requirement("R087")
def test_stage_shows_every_condition_the_cure_of_what_is_missing_and_how_to_go_on(
    tmp_path: Path, keys: Keys, capsys: pytest.CaptureFixture[str]
) -> None:
    path, from_ms, now_ms = tmp_path / "ledger.db", start_ms(16), SystemClock().now_ms()
    with launched(path, kind="live", stage=1, capital_usd=5_000.0, at_ms=from_ms) as ledger:
        traded(ledger, 5_000.0, from_ms, (now_ms - from_ms) // HOUR_MS)
    where = ("--ledger", path, "--signers", keys.signers)
    assert run("stage", *where) == 0
    shown = capsys.readouterr().out
    assert "stage 1 · $5,000 · day 16 of at least 14" in shown
    assert "launch-guard --stage 2" in shown
    assert "api_issues_24h" in shown
    assert "back to stage 0, by itself" in shown
    assert run("stage", "promote", "--key", keys.of("alice"), *where) == 1
    assert "weekly_review" in capsys.readouterr().out
    with Ledger.open(path) as ledger:
        allowed(ledger, now_ms - MINUTE_MS, 2)
        reviewed(ledger, keys, "weekly", now_ms - DAY_MS)
    assert run("stage", *where) == 10
    assert "nothing is missing" in capsys.readouterr().out
    assert run("stage", "promote", "--key", keys.of("alice"), *where) == 10
    asked = capsys.readouterr().out
    assert "by somebody else than alice" in asked
    name = asked.split("to sign  stagegate approve ")[1].split()[0]
    assert run("approve", name, "--key", keys.of("bob"), *where) == 0
    capsys.readouterr()
    assert run("stage", "promote", "--key", keys.of("alice"), *where) == 0
    assert "carried out" in capsys.readouterr().out
    assert run("stage", "history", "--ledger", path) == 0
    assert "1 → 2" in capsys.readouterr().out
    assert run("stage", "--json", *where) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["stage"], said["to"], said["to_cap_usd"]) == (2, 3, 15_000.0)
    assert "monthly_review" in said["missing"]
    assert [line for line in shown.splitlines() + asked.splitlines() if len(line) > WIDTH] == []


def test_evidence_and_watcher_as_typed(tmp_path: Path, keys: Keys, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ledger.db"
    where = ("--ledger", path, "--signers", keys.signers)
    assert run("stage", "watcher", "carol", "--key", keys.of("carol"), *where) == 1  # no ledger is made for it
    with Ledger.open(path, create=True):
        pass
    capsys.readouterr()
    assert run("stage", "watcher", "carol", "--key", keys.of("carol"), *where) == 0
    assert "carol watches until" in capsys.readouterr().out
    assert run("stage", "evidence", "write", "--paper-ledger", path, "--file", tmp_path / "paper_state.json") == 2
    assert "not-paper" in capsys.readouterr().err
    missing = ("--paper-ledger", path, "--file", tmp_path / "none.json", "--ledger", path)
    assert run("stage", "evidence", "verify", *missing) == 1
    assert "there is no paper evidence" in capsys.readouterr().err
    assert run("stage", "--ledger", tmp_path / "nowhere.db") == 1


def test_R085_R107_a_rollout_is_rehearsed_from_stage_1_with_its_promotion(tmp_path: Path) -> None:
    config = bundle().config_path
    request = RehearsalRequest(
        config, RULES, tmp_path, 7, 16, None, "klines", None, None, 1, "all", "stagegate rehearse", stages=True
    )
    done = rehearse(request, lambda _: None, report=False)
    with Ledger.open(done.ledger, read_only=True) as ledger:
        (event,) = ledger.events("stage")
        said = json.loads(event.document)
        assert (event.subject, said["cap_usd"]) == ("1->2", 10_000.0)
        (flow,) = ledger.cash_flows("risk")
        marks = ledger.marks("risk")
        after = marks.at_ms > flow.at_ms
        assert flow.amount_usd == said["flow_usd"]
        assert set(marks.cap_usd[after]) == {10_000.0}
        assert marks.nav[after][0] / marks.nav[~after][-1] == pytest.approx(1, abs=0.02)  # R091: no jump
        assert len(ledger.verdicts(policy="stages")) >= 16
        ledger.verify()
    assert replay(done.ledger, said["verdict_id"]).identical
