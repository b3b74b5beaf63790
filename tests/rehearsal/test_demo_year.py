"""The demo's year: all four verdicts, a crash that hits the hard stop, and a ledger from which everything follows."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.book import AccountBook
from engine.clock import DAY_MS, HOUR_MS, SimulatedClock, iso
from engine.errors import UsageError
from engine.facts import Assumptions, FactSource
from engine.inquiry import _standing, posture_at, replay, verdict_at
from engine.ledger import Ledger
from engine.operations.incidents.impact import impact
from engine.operations.incidents.opening import open_demanded
from engine.posted import facts_document
from engine.rehearsal.run import rehearse
from engine.reports.incident_papers import IncidentPapers
from tests.rehearsal.conftest import RULES, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.rehearsal.run import Rehearsed

ANOTHER_FACT = """
  moon_phase:
    title: phase of the moon
    unit: count
    worse: neither
    range: [0, 8]
    resolution: 1
    max_age: 26 hours
    from: an almanac
"""
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


@pytest.fixture(scope="module")
def ledger(demo_year: Rehearsed) -> Iterator[Ledger]:
    with Ledger.open(demo_year.ledger, read_only=True) as opened:
        yield opened


def events(ledger: Ledger, kind: str) -> list[tuple[int, dict[str, object]]]:
    return [(event.at_ms, json.loads(event.document)) for event in ledger.events(kind)]


def test_all_four_outcomes_occur(ledger: Ledger) -> None:
    days = [record.outcome for record in ledger.verdicts() if record.at_ms % DAY_MS == 0]
    assert set(days) == {"KEEP", "SCALE_UP", "REDUCE"} | ({"PAUSE"} & set(days))
    assert {record.outcome for record in ledger.verdicts()} == {"KEEP", "SCALE_UP", "REDUCE", "PAUSE"}
    assert len(days) == 366


@pytest.mark.requirement("R139", "R140", "R158")
def test_R140_the_hard_stop_flattens_at_the_next_open_and_holds_until_the_restart(ledger: Ledger) -> None:
    ((paused_ms, _),) = events(ledger, "flatten")
    ((restarted_ms, restart),) = events(ledger, "restart")
    assert restarted_ms - paused_ms == DAY_MS
    assert restart["cap_usd"] == 10_000
    positions = ledger.sleeve_marks("risk", paused_ms, restarted_ms)
    for symbol in SYMBOLS:
        assert positions[symbol].qty[0] != 0 or symbol == "BTCUSDT"
        assert np.all(positions[symbol].qty[1:] == 0)  # the mark of the breach, then flat
    closing = ledger.fills("risk", paused_ms, paused_ms + 1)
    assert {fill.reason for fill in closing} == {"flatten"}
    assert {fill.ref_kind for fill in closing} == {"mark"}  # A37
    record = ledger.verdicts(paused_ms, paused_ms)[-1]
    fired = json.loads(record.document)["fired"]
    assert "hard_stop_drawdown" in fired


@pytest.mark.requirement("R138")
def test_R138_reduce_halves_open_positions_at_the_next_open(ledger: Ledger) -> None:
    started = [at for at, _ in events(ledger, "episode_start") if ledger.verdicts(at, at)[-1].outcome == "REDUCE"]
    assert started
    weights = {"BTCUSDT": 0.34, "ETHUSDT": 0.33, "SOLUSDT": 0.33}
    steps = {"BTCUSDT": 0.001, "ETHUSDT": 0.001, "SOLUSDT": 0.01}
    halved = 0
    for at in started:
        account = ledger.last_mark("risk", at)
        assert account is not None
        marks = ledger.sleeve_marks("risk", at, at)
        for fill in ledger.fills("risk", at, at + 1):
            if fill.reason == "reduce":
                mark = marks[fill.symbol]
                base = min(account.equity_usd, account.cap_usd)
                full = weights[fill.symbol] * mark.position[0] * base / mark.mark_price[0]
                left, half = abs(mark.qty[0] + fill.side * fill.qty), abs(full) / 2
                assert 0.99 * half - steps[fill.symbol] < left < 1.01 * half  # marked, not sized, at the mark price
                assert fill.ref_kind == "mark"  # A37
                halved += 1
    assert halved >= 2


@pytest.mark.requirement("R134", "R135", "R091")
def test_R134_the_cap_grows_by_half_only_after_approval_and_the_nav_does_not_notice(ledger: Ledger) -> None:
    (at, detail), *_ = events(ledger, "scale_up")
    assert (detail["from_usd"], detail["cap_usd"]) == (15_000, 22_500)
    asked = [at for at, _ in events(ledger, "approval_requested") if at < events(ledger, "scale_up")[0][0]]
    assert at - asked[-1] == DAY_MS
    marks = ledger.marks("risk", at, at + HOUR_MS)
    assert marks.equity_usd[1] - marks.equity_usd[0] == pytest.approx(7_500, rel=0.05)
    assert marks.nav[1] / marks.nav[0] == pytest.approx(1, abs=0.01)


def test_A56_skipped_orders_are_told_and_every_fill_keeps_the_venues_limits(ledger: Ledger) -> None:
    skipped = [event for event in ledger.events("order_skipped") if event.subject in SYMBOLS]
    assert len(skipped) == len(ledger.events("order_skipped")) > 0
    times = [event.at_ms for event in skipped]
    assert times == sorted(times)
    least = {"BTCUSDT": 100, "ETHUSDT": 20, "SOLUSDT": 5}
    for event in skipped:
        detail = json.loads(event.document)
        assert set(detail) == {"notional_usd", "minimum_usd", "reason"}
        assert detail["minimum_usd"] == least[event.subject]
    for fill in ledger.fills("risk"):
        steps = fill.qty / (0.01 if fill.symbol == "SOLUSDT" else 0.001)
        assert steps == pytest.approx(round(steps), abs=1e-6)
        if fill.reason == "entry":
            assert fill.qty * fill.price > 0.9 * least[fill.symbol]  # sized with the close before


def test_a_ledger_says_how_it_was_made(ledger: Ledger) -> None:
    assert ledger.meta()["approve"] == "all"
    assert "klines" not in ledger.meta()


def test_a_rehearsal_may_go_without_its_report(tmp_path: Path) -> None:
    done = rehearse(request(tmp_path, days=1), lambda _: None, report=False)
    assert done.report is None
    assert {path.name for path in tmp_path.iterdir()} == {"ledger.db"}


def test_a_day_is_remembered_for_the_most_severe_outcome_of_its_hours(ledger: Ledger) -> None:
    """Also for one that stood since the day before and ended within this one."""
    severity = ("PAUSE", "REDUCE", "SCALE_UP", "KEEP")
    records = ledger.verdicts(policy="action")
    worst: dict[int, int] = {}
    for record, following in zip(records, [*records[1:], None], strict=True):
        until_ms = record.at_ms + HOUR_MS if following is None else following.at_ms
        for at_ms in range(record.at_ms, until_ms, HOUR_MS):  # it stands until the next
            day = (at_ms - 1) // DAY_MS
            worst[day] = min(worst.get(day, 9), severity.index(record.outcome))
    told: dict[int, int] = {}
    for record in records:
        day = (record.at_ms - 1) // DAY_MS
        told[day] = min(told.get(day, 9), severity.index(record.outcome))
    assert told == worst
    assert severity.index("PAUSE") in worst.values()


def test_the_shadow_account_is_never_bound(ledger: Ledger) -> None:
    assert set(ledger.marks("shadow").exposure.tolist()) == {1.0}
    assert not ledger.cash_flows("shadow")


def test_facts_computed_from_the_ledger_are_those_the_loop_decided_on(ledger: Ledger) -> None:
    acted = {event.at_ms for event in ledger.events("approval_given")}
    days = [snapshot for snapshot in ledger.day_closes(-1) if snapshot.at_ms not in acted]
    assumptions = Assumptions(3.0, 1e-4)
    for snapshot in days[::23]:
        books = [AccountBook.read(ledger, account, SYMBOLS, snapshot.at_ms) for account in ("risk", "shadow")]
        standing = _standing(ledger, posture_at(ledger, snapshot.at_ms - 1), snapshot.at_ms)
        facts = FactSource(books[0], books[1], assumptions).at(snapshot.at_ms, standing)
        recorded = json.loads(snapshot.document)
        computed = {name: value for name, value in json.loads(facts_document(facts)).items() if name in recorded}
        for name, (value, status, _) in computed.items():
            assert (status, value) == (recorded[name][1], pytest.approx(recorded[name][0])), (iso(snapshot.at_ms), name)


@pytest.mark.parametrize("which", [0, 20, 113, 200, -1])
def test_any_recorded_verdict_replays_to_the_byte(demo_year: Rehearsed, ledger: Ledger, which: int) -> None:
    record = ledger.verdicts()[which]
    again = replay(demo_year.ledger, record.verdict_id)
    assert again.difference == ""
    assert again.document == record.document
    assert again.identical


@pytest.fixture
def own_ledger(demo_year: Rehearsed, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    with Ledger.open(demo_year.ledger, read_only=True) as ledger:
        return ledger.backup(tmp_path / "ledger.db")


def test_R193_a_promotion_before_the_breach_is_no_anomaly(own_ledger: Path, tmp_path: Path) -> None:
    """Days of SCALE_UP went before the crash: they belong to what was well."""
    with Ledger.open(own_ledger) as ledger:
        opened = open_demanded(ledger, IncidentPapers(tmp_path), ledger.verdicts()[-1].at_ms)
        incident = next(one for one in opened if one.trigger == "PAUSE")
        found = impact(ledger, incident, incident.opened_ms + HOUR_MS)
        before = [record for record in ledger.verdicts(policy="action") if record.at_ms < found.anomaly_ms][-1]
        assert json.loads(before.document)["fired"] == ["scale_up"]
        assert incident.opened_ms - found.anomaly_ms < 2 * DAY_MS
        assert found.before is not None
        last = ledger.last_mark("risk", found.anomaly_ms - 1)
        assert last is not None
        assert found.before.equity_usd == last.equity_usd


def test_now_on_a_rehearsals_ledger_is_its_last_mark(own_ledger: Path, ledger: Ledger) -> None:
    answer = verdict_at(own_ledger, RULES, SimulatedClock(0))
    assert answer.record == ledger.verdicts()[-1]
    assert answer.exit_code == {"KEEP": 0, "SCALE_UP": 10, "REDUCE": 20, "PAUSE": 30}[answer.record.outcome]


def test_a_moment_between_two_verdicts_is_decided_recorded_and_replays(own_ledger: Path) -> None:
    with Ledger.open(own_ledger, read_only=True) as ledger:
        noon = ledger.day_closes(-1)[50].at_ms + 12 * HOUR_MS
        assert ledger.verdicts(noon, noon) == ()
    first = verdict_at(own_ledger, RULES, SimulatedClock(0), noon)
    second = verdict_at(own_ledger, RULES, SimulatedClock(0), noon)
    assert first == second
    assert replay(own_ledger, first.record.verdict_id).identical


@pytest.fixture
def another_bundle(tmp_path: Path) -> Path:
    """The shipped bundle with another number in it."""
    for folder in ("config", "policies"):
        (tmp_path / folder).mkdir()
        for file in (RULES.parents[1] / folder).glob("*.yaml"):
            (tmp_path / folder / file.name).write_text(file.read_text())
    action = tmp_path / "policies/action.yaml"
    action.write_text(action.read_text().replace('{sharpe_20d: "> 0.8"}', '{sharpe_20d: "> 0.9"}'))
    facts = tmp_path / "policies/facts.yaml"
    facts.write_text(facts.read_text() + ANOTHER_FACT)
    return tmp_path / "config/prod_scale_rules_R1.yaml"


def test_the_same_moment_under_another_bundle_is_another_verdict_not_a_conflict(
    own_ledger: Path, another_bundle: Path
) -> None:
    recorded = verdict_at(own_ledger, RULES, SimulatedClock(0)).record
    other = verdict_at(own_ledger, another_bundle, SimulatedClock(0)).record
    assert other.verdict_id != recorded.verdict_id
    assert other.at_ms == recorded.at_ms
    assert replay(own_ledger, other.verdict_id).identical
    assert replay(own_ledger, recorded.verdict_id).identical


def test_A90_on_real_money_a_bundle_that_is_not_in_force_decides_nothing(
    own_ledger: Path, another_bundle: Path
) -> None:
    with Ledger.open(own_ledger) as ledger:
        last_ms = ledger.verdicts()[-1].at_ms
        noon = ledger.day_closes(-1)[50].at_ms + 12 * HOUR_MS
    with closing(sqlite3.connect(own_ledger)) as raw, raw:
        raw.execute("UPDATE meta SET value = 'live' WHERE key = 'kind'")
    for at_ms in (noon, last_ms):
        with pytest.raises(UsageError, match="is not in force on this ledger of real money"):
            verdict_at(own_ledger, another_bundle, SimulatedClock(last_ms), at_ms)
    with Ledger.open(own_ledger, read_only=True) as ledger:
        assert ledger.verdicts(noon, noon) == ()
    assert verdict_at(own_ledger, RULES, SimulatedClock(last_ms), noon).record.at_ms == noon
