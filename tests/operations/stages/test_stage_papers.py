"""What people and files say: of this release, of this stage, fresh and signed, or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, parse_time
from engine.ledger import Event, Ledger
from engine.live.outages import BEGUN, ENDED
from engine.live.stages import outages_before
from engine.operations.signatures import sign
from engine.operations.stages.papers import LedgerPapers, Release, watch_document, watcher_event
from engine.verdict import canonical
from tests.operations.stages.staging import Keys, allowed, bundle, reviewed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.policy.facts import Fact

ENTERED = parse_time("2024-03-01")
NOW = ENTERED + 16 * DAY_MS + HOUR_MS
OUTAGE_ENDS_MS = 5 * MINUTE_MS


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", create=True) as opened:
        yield opened


def facts(ledger: Ledger, keys: Keys, *, stage: int = 1, now_ms: int = NOW, paper: bool = False) -> dict[str, Fact]:
    release = Release(bundle().digest, bundle().config_sha256)
    papers = LedgerPapers(ledger, release, keys.signers, outages_before(ledger, OUTAGE_ENDS_MS), paper=paper)
    return {fact.name: fact for fact in papers.facts(now_ms, stage, ENTERED)}


@pytest.mark.requirement("R067")
def test_R088_A58_the_launch_guard_must_have_looked_at_this_release_and_the_stage_to_be_entered(
    ledger: Ledger, keys: Keys
) -> None:
    assert facts(ledger, keys)["launch"].status == "missing"
    allowed(ledger, NOW - 3, 1)  # of the stage that it is in: its balance covers that one only
    assert facts(ledger, keys)["launch"].status == "missing"
    allowed(ledger, NOW - 2, 2, digest="d" * 64)
    assert facts(ledger, keys)["launch"].status == "missing"
    allowed(ledger, NOW - 1, 2)
    found = facts(ledger, keys)["launch"]
    assert (found.value, found.as_of_ms) == ("ALLOW_LAUNCH", NOW - 1)
    allowed(ledger, NOW, 2, "BLOCK_LAUNCH")
    assert facts(ledger, keys)["launch"].value == "BLOCK_LAUNCH"


@pytest.mark.parametrize("kind", ["weekly", "monthly"])
@pytest.mark.requirement("R104")
def test_R089_a_review_counts_where_it_is_signed_since_the_stage_began_and_does_not_say_pause(
    ledger: Ledger, keys: Keys, kind: str
) -> None:
    name, other = f"{kind}_review", "monthly_review" if kind == "weekly" else "weekly_review"
    assert facts(ledger, keys)[name].value is False
    reviewed(ledger, keys, kind, ENTERED)  # about the days before
    assert facts(ledger, keys)[name].value is False
    reviewed(ledger, keys, kind, NOW - DAY_MS, notes="altered")
    assert facts(ledger, keys)[name].value is False
    reviewed(ledger, keys, kind, NOW - 3 * HOUR_MS)
    found = facts(ledger, keys)
    assert (found[name].value, found[other].value) == (True, False)
    reviewed(ledger, keys, kind, NOW - 2 * HOUR_MS, decision="pause")
    assert facts(ledger, keys)[name].value is False


def test_R068_who_watches_has_signed_for_it_and_for_a_whole_day_from_now(ledger: Ledger, keys: Keys) -> None:
    def named(name: str, hours: float, by: str, *, until_ms: int = 0) -> None:
        made_ms = NOW - HOUR_MS
        until_ms = until_ms or NOW + round(hours * HOUR_MS)
        signature = sign(watch_document(name, made_ms, NOW + round(hours * HOUR_MS)).encode(), keys.of(by))
        event = watcher_event(name, made_ms, until_ms, "", signature)
        ledger.append(Event(f"{event.event_id}-{hours}-{by}-{until_ms}", made_ms, event.kind, name, event.document))

    assert facts(ledger, keys, stage=0)["watcher_named"].value is False
    named("alice", 23.99, "alice")
    named("alice", 30, "bob")
    named("mallory", 30, "mallory")
    named("carol", 20, "carol", until_ms=NOW + 40 * HOUR_MS)  # altered after it was signed
    assert facts(ledger, keys, stage=0)["watcher_named"].value is False
    named("alice", 24, "alice")
    assert facts(ledger, keys, stage=0)["watcher_named"].value is True
    assert facts(ledger, keys, stage=0, now_ms=NOW + 1)["watcher_named"].value is False


def test_R082_A78_outages_of_a_rolling_day_count_whoever_saw_them(ledger: Ledger, keys: Keys) -> None:
    for number, hours in enumerate((1, 5, 9, 13, 23.9)):
        for source in ("runner", "guard") if number == 1 else ("runner",):
            began_ms = NOW - round(hours * HOUR_MS)
            ended = json.dumps({"began_ms": began_ms, "ended_ms": began_ms + MINUTE_MS})
            ledger.append(Event(f"b{number}{source}", began_ms, BEGUN, source, "{}"))
            ledger.append(Event(f"e{number}{source}", began_ms + 6 * MINUTE_MS, ENDED, source, ended))
    assert facts(ledger, keys)["api_issues_24h"].value == 5
    assert facts(ledger, keys, now_ms=NOW + HOUR_MS)["api_issues_24h"].value == 4
    assert facts(ledger, keys, now_ms=NOW - 3 * HOUR_MS)["api_issues_24h"].value == 4


def test_R061_the_newest_comparison_counts_with_720_bars_of_each_symbol_and_of_this_configuration(
    ledger: Ledger, keys: Keys
) -> None:
    def compared(at_ms: int, bars: int, percent: float | None, config: str = bundle().config_sha256) -> None:
        sleeves = {"BTCUSDT": {"compared": 720, "matched": 1}, "ETHUSDT": {"compared": bars, "matched": 1}}
        said = {"to_ms": at_ms, "percent": percent, "sleeves": sleeves, "config_sha256": config}
        ledger.append(Event(f"c{at_ms}", at_ms, "consistency", "signals", canonical(said)))

    def found() -> tuple[object, str]:
        fact = facts(ledger, keys, stage=0, paper=True)["signal_consistency"]
        return fact.value, fact.status

    assert found() == (None, "missing")
    compared(NOW - 5, 720, 98.5)
    assert found() == (98.5, "ok")
    compared(NOW - 4, 719, 99.0)
    assert found() == (None, "young")
    compared(NOW - 3, 720, 99.0, "c" * 64)
    assert found() == (None, "missing")


@pytest.mark.parametrize(("from_ms", "value", "days"), [(ENTERED, True, 31), (ENTERED - 1, False, 0)])
def test_R056_A57_back_at_stage_0_only_paper_since_then_counts(
    ledger: Ledger, keys: Keys, from_ms: int, *, value: bool, days: int
) -> None:
    figures = {"sharpe_30d": 0.1, "max_drawdown_30d": 5.0, "signal_consistency": 99.0}
    said = {"from_ms": from_ms, "to_ms": NOW - HOUR_MS, "days": 31, "facts": figures}
    ledger.append(Event("e", NOW, "paper_evidence", "f" * 64, canonical({**said, "days": 99})))
    assert facts(ledger, keys, stage=0)["paper_evidence"].status == "missing"  # of another configuration
    ledger.append(Event("f", NOW, "paper_evidence", bundle().config_sha256, canonical(said)))
    found = facts(ledger, keys, stage=0)
    assert (found["paper_evidence"].value, found["days_in_stage"].value) == (value, days)
    assert {name: found[name].value for name in figures} == figures
    assert {found[name].as_of_ms for name in (*figures, "paper_evidence")} == {NOW - HOUR_MS}
