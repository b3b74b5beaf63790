"""A question between two bars: what the risk guard marked and said since the last one is part of the answer."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import cli
from engine.clock import MINUTE_MS, SimulatedClock
from engine.errors import UsageError
from engine.execution.permit import Permit
from engine.inquiry import replay, verdict_at
from engine.ledger import Ledger
from engine.ledger.rows import Mark
from engine.live.decision_file import DecisionFiles, GuardDecision, guard_word, named
from engine.live.fact_sheet import Sources, fact_sheet
from tests.risk_guard.guarding import CAPITAL, RULES, START_MS, begin

if TYPE_CHECKING:
    from pathlib import Path

    from engine.facts import GuardWord

NOW_MS = START_MS + 50 * MINUTE_MS
CLOCK = SimulatedClock(NOW_MS)
LOSS = 0.02


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A desk that was launched 50 minutes ago."""
    monkeypatch.chdir(tmp_path)  # the configuration's reports lie beside it
    begin(tmp_path, Permit.beside(tmp_path / "ledger.db"), None)
    return tmp_path / "ledger.db"


def watch(ledger: Path, *, marked_ms: int = NOW_MS - MINUTE_MS, outcome: str = "CLEAR") -> None:
    """Have the risk guard mark a loss a minute ago, and say something two seconds ago."""
    equity_usd = CAPITAL * (1 - LOSS)
    with Ledger.open(ledger) as opened:
        opened.append([Mark("guard", marked_ms, equity_usd, 1 - LOSS, CAPITAL, 1.0, CAPITAL, 0.0)])
    at_ms, closes = NOW_MS - 2_000, outcome == "FLATTEN_ALL"
    decision = GuardDecision(
        "G1", named(ledger), outcome, START_MS, at_ms, at_ms + MINUTE_MS, START_MS, closes, closes,
        facts={"drawdown": 2.0, "liquidation_distance": 40.0},
    )  # fmt: skip
    assert not DecisionFiles.under(ledger.parent / "reports").write(decision)


def asked(ledger: Path, at_ms: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the verdict and the values of its facts; it must replay to the byte."""
    guard = partial(guard_word, ledger=ledger, clock=CLOCK)
    record = verdict_at(ledger, RULES, CLOCK, at_ms, guard=guard).record
    assert replay(ledger, record.verdict_id).identical
    with Ledger.open(ledger, read_only=True) as opened:
        snapshot = opened.facts_at(record.at_ms)
    assert snapshot is not None
    return json.loads(record.document), {name: row[0] for name, row in json.loads(snapshot.document).items()}


def test_a_watched_desk_is_not_called_late_between_its_bars(ledger: Path) -> None:
    watch(ledger)
    verdict, facts = asked(ledger)
    assert (verdict["outcome"], verdict["fired"]) == ("KEEP", [])
    assert verdict["equity_usd"] == CAPITAL * (1 - LOSS)
    assert (facts["equity_age"], facts["risk_guard"]) == (1.0, "CLEAR")
    assert facts["drawdown"] == pytest.approx(100 * LOSS)


def test_an_unwatched_desk_is_called_late(ledger: Path) -> None:
    verdict, facts = asked(ledger)
    assert verdict["fired"] == ["equity_late"]
    assert (facts["equity_age"], facts["risk_guard"], facts["drawdown"]) == (50.0, None, 0.0)


def test_an_older_mark_of_the_guard_does_not_stand_for_a_newer_one_of_the_desk(ledger: Path) -> None:
    watch(ledger, marked_ms=START_MS - MINUTE_MS)
    _verdict, facts = asked(ledger)
    assert (facts["equity_age"], facts["drawdown"]) == (50.0, 0.0)


def test_what_the_guard_demands_is_the_verdict_at_once(ledger: Path) -> None:
    watch(ledger, outcome="FLATTEN_ALL")
    verdict, _facts = asked(ledger)
    assert (verdict["outcome"], verdict["fired"]) == ("PAUSE", ["hard_stop_risk_guard"])


def test_of_another_time_the_guard_is_not_asked(ledger: Path) -> None:
    watch(ledger)

    def never(_bundle: object) -> GuardWord:
        raise AssertionError("what it says now is nothing about then")

    verdict_at(ledger, RULES, CLOCK, NOW_MS - 30_000, guard=never)
    _verdict, facts = asked(ledger, NOW_MS - 30_000)
    assert (facts["equity_age"], facts["risk_guard"]) == (0.5, None)


def test_the_sheet_of_facts_shows_the_newest_of_each(ledger: Path) -> None:
    watch(ledger)
    sheet = fact_sheet(ledger, Sources(RULES, ledger.parent / "signers", ledger.parent / "reports"), CLOCK)
    values = {one.name: one.value for one in sheet.facts}
    assert (values["equity_age"], values["risk_guard"]) == (1.0, "CLEAR")
    assert values["drawdown"] == pytest.approx(100 * LOSS)


def test_a_question_about_the_future_is_refused_and_leaves_nothing(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ledger.read_bytes()
    with pytest.raises(UsageError, match="lies in the future"):
        verdict_at(ledger, RULES, CLOCK, NOW_MS + 1)
    with pytest.raises(SystemExit) as ended:
        cli.main(["verdict", "--at", "2100-01-01", "--ledger", str(ledger), "--rules", str(RULES)])
    assert ended.value.code == 2
    assert "--at: error[future]: 2100-01-01T00:00:00Z lies in the future" in capsys.readouterr().err
    assert ledger.read_bytes() == before
