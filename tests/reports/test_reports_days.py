from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.ledger import Event, Ledger
from engine.reports.days import changes, day_of, firing_since, outcome_counts, stretches, verdict_days
from engine.reports.standing import read_standing, waiting_requests
from engine.reports.verdicts import Verdict
from engine.reports.view import read_view

if TYPE_CHECKING:
    from pathlib import Path

    from engine.reports.view import LedgerView

SEVERITY = ("PAUSE", "REDUCE", "SCALE_UP", "KEEP")
START_MS = parse_time("2022-11-01")


def verdict(at_ms: int, outcome: str, fired: tuple[str, ...] = ()) -> Verdict:
    return Verdict(
        f"V{at_ms}", at_ms, "action", outcome, fired, True, None, (), {}, (), {}, (), {}, "", 3, 1.0, 15_000.0, 15_000.0
    )


def test_midnight_closes_the_day_before() -> None:
    assert day_of(START_MS) == START_MS - DAY_MS
    assert day_of(START_MS + 1) == START_MS
    assert day_of(START_MS + DAY_MS) == START_MS


def test_a_day_is_remembered_for_its_most_severe_verdict() -> None:
    days = verdict_days(
        [
            verdict(START_MS + 9 * HOUR_MS, "REDUCE"),
            verdict(START_MS + 14 * HOUR_MS, "PAUSE"),
            verdict(START_MS + DAY_MS, "KEEP"),
            verdict(START_MS + 2 * DAY_MS, "KEEP"),
        ],
        SEVERITY,
    )
    assert [(day.day_ms, day.outcome) for day in days] == [(START_MS, "PAUSE"), (START_MS + DAY_MS, "KEEP")]


OUTCOMES = st.lists(st.one_of(st.none(), st.sampled_from(SEVERITY)), max_size=40)


@given(outcomes=OUTCOMES)
def test_stretches_cover_every_day_once_and_changes_count_them(outcomes: list[str | None]) -> None:
    verdicts = [verdict(START_MS + (index + 1) * DAY_MS, outcome) for index, outcome in enumerate(outcomes) if outcome]
    days = verdict_days(verdicts, SEVERITY)
    found = stretches(days)
    assert sum(stretch.days for stretch in found) == len(days) == len(verdicts)
    assert all(
        any(stretch.outcome == day.outcome and stretch.from_ms <= day.day_ms < stretch.to_ms for stretch in found)
        for day in days
    )
    changed = changes(days)
    assert all(change.before != change.after for change in changed)
    assert sum(change.days for change in changed) == len(days)
    assert sum(outcome_counts(days, SEVERITY).values()) == len(days)
    assert list(outcome_counts(days, SEVERITY)) == list(SEVERITY)


def test_a_gap_in_the_days_ends_a_stretch_but_is_no_change() -> None:
    days = verdict_days([verdict(START_MS + day * DAY_MS, "KEEP") for day in (1, 2, 5)], SEVERITY)
    assert [stretch.days for stretch in stretches(days)] == [2, 1]
    assert len(changes(days)) == 1


def test_firing_since_counts_back_without_a_pause() -> None:
    verdicts = [
        verdict(1, "REDUCE", ("a", "b")),
        verdict(2, "REDUCE", ("b",)),
        verdict(3, "REDUCE", ("a", "b")),
        verdict(4, "REDUCE", ("a", "b", "c")),
    ]
    assert firing_since(verdicts) == {"a": 3, "b": 1}
    assert firing_since([]) == {}


def event(number: int, kind: str, subject: str, document: str = "{}") -> Event:
    return Event(f"E{number}", number, kind, subject, document)


def test_a_request_waits_until_it_is_answered_withdrawn_or_overtaken() -> None:
    asked = event(1, "approval_requested", "recovery", '{"subject":"REDUCE","approvals":1}')
    other = event(2, "approval_requested", "scale_up", '{"subject":"SCALE_UP","approvals":2}')
    assert waiting_requests([asked, other]) == ("recovery of REDUCE (1 needed)", "scale up of SCALE_UP (2 needed)")
    answered = event(3, "approval_given", "recovery", '{"subject":"REDUCE"}')
    assert waiting_requests([asked, other, answered]) == ("scale up of SCALE_UP (2 needed)",)
    assert waiting_requests([asked, other, event(3, "approval_withdrawn", "scale_up")])[0].startswith("recovery")
    assert waiting_requests([asked, other, event(3, "flatten", "PAUSE")]) == ()


def test_what_stood_around_a_verdict_is_read_from_the_ledger(view: LedgerView, ledger_path: Path) -> None:
    first = next(each for each in view.verdicts if each.outcome == "REDUCE")
    second = next(each for each in view.verdicts if each.at_ms > first.at_ms)
    with Ledger.open(ledger_path, read_only=True) as ledger:
        around, later = read_standing(ledger, first), read_standing(ledger, second)
    assert around.release == "R1"
    assert around.severity == SEVERITY
    assert around.promotes == ("SCALE_UP",)
    assert (around.exposure, around.exposure_since_ms) == (0.5, first.at_ms)
    assert around.entries_allowed is True
    assert around.firing_since_ms == {}
    assert around.recovery_from_ms == first.at_ms + 5 * DAY_MS
    assert around.harder_than("REDUCE") == ("PAUSE",)
    assert around.harder_than("KEEP") == ("PAUSE", "REDUCE")
    assert later.firing_since_ms == {"drawdown_red": first.at_ms}


def test_a_report_of_an_earlier_day_knows_nothing_of_later_ones(ledger_path: Path) -> None:
    at_ms = parse_time("2022-08-10")
    with Ledger.open(ledger_path, read_only=True) as ledger:
        early = read_view(ledger, at_ms)
    assert early.now_ms == at_ms
    assert int(early.risk.at_ms[-1]) == at_ms
    assert early.verdicts[-1].at_ms == at_ms
    assert all(fill.at_ms < at_ms for fill in early.fills)
    assert all(event.at_ms <= at_ms for event in early.events)
