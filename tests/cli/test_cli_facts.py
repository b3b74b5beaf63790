"""`facts` as people call it: every fact of the vocabulary, whoever posted it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import cli
from engine.clock import MINUTE_MS, SimulatedClock, iso
from engine.execution.permit import Permit
from engine.ledger import FactsSnapshot, Ledger
from engine.ledger.rows import VerdictRecord
from engine.live.decision_file import DecisionFiles, GuardDecision, named
from engine.live.fact_sheet import Sources, fact_sheet
from engine.policy.bundle import load_bundle
from engine.policy.facts import Fact
from engine.posted import facts_document
from tests.risk_guard.guarding import RULES, START_MS, begin

if TYPE_CHECKING:
    from pathlib import Path

AT_MS = START_MS + 30 * MINUTE_MS


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    begin(tmp_path, Permit.beside(tmp_path / "ledger.db"), None)
    path = tmp_path / "ledger.db"
    launch_ms = AT_MS - MINUTE_MS
    facts = {"clock_offset": Fact("clock_offset", 12.0, "ok", launch_ms)}
    document = facts_document(facts)
    with Ledger.open(path) as opened:
        opened.append(FactsSnapshot.of(launch_ms, document, day_close=False))
        opened.append(
            VerdictRecord("V-launch", launch_ms, "launch", "ALLOW_LAUNCH", "a" * 64, "b" * 64, "c" * 64, "{}")
        )
    return path


def test_every_fact_of_the_vocabulary_is_there_once_with_its_age_and_its_readers(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["facts", "--ledger", str(ledger), "--rules", str(RULES), "--at", iso(AT_MS), "--json"])
    assert not ended.value.code
    sheet = json.loads(capsys.readouterr().out)
    found = {one["name"]: one for one in sheet["facts"]}
    vocabulary = load_bundle(RULES).vocabulary
    assert list(found) == [name for name, spec in vocabulary.facts.items() if spec.difference is None]
    assert sheet["at_ms"] == AT_MS
    equity_age = found["equity_age"]
    assert (equity_age["value"], equity_age["status"], equity_age["unit"]) == (30.0, "ok", "minutes")
    assert "action" in equity_age["read_by"]
    assert found["sharpe_20d"]["value"] is None
    assert found["sharpe_20d"]["status"] in {"young", "missing"}
    assert (found["days_in_stage"]["value"], found["days_in_stage"]["read_by"]) == (0, ["stages"])
    launch = found["clock_offset"]
    assert (launch["value"], launch["age_ms"], launch["read_by"]) == (12.0, MINUTE_MS, ["launch"])
    assert all(one["source"] for one in found.values())


def test_what_the_risk_guard_posts_is_shown_now_and_not_for_the_past(ledger: Path, tmp_path: Path) -> None:
    files = DecisionFiles.under(tmp_path)
    decision = GuardDecision(
        "G1", named(ledger), "CLEAR", START_MS, AT_MS - 1_000, AT_MS + MINUTE_MS, START_MS, False, False,
        facts={"liquidation_distance": 40.0},
    )  # fmt: skip
    assert not files.write(decision)
    clock = SimulatedClock(AT_MS)
    before_ms = AT_MS - MINUTE_MS // 2
    with Ledger.open(ledger) as opened:
        posted = {"liquidation_distance": Fact("liquidation_distance", 90.0, "ok", before_ms)}
        opened.append(FactsSnapshot.of(before_ms, facts_document(posted), day_close=False))

    def value(at_ms: int | None) -> object:
        sheet = fact_sheet(ledger, Sources(RULES, tmp_path / "signers", tmp_path), clock, at_ms)
        return next(one.value for one in sheet.facts if one.name == "liquidation_distance")

    assert value(None) == 40.0  # newer than what was posted last
    assert value(AT_MS) == 90.0


def test_people_read_a_line_a_fact(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["facts", "--ledger", str(ledger), "--rules", str(RULES), "--at", iso(AT_MS)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"facts are known at {iso(AT_MS)}")
    (line,) = [each for each in lines if each.startswith("equity_age ")]
    assert line.split() == ["equity_age", "30", "m", "ok", "0", "s", "action,", "risk_guard"] or "30 m" in line
    assert all(len(each) <= 100 for each in lines)
