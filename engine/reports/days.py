"""Verdicts by day: the day's outcome, stretches of the same one, and the changes between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import DAY_MS, day_start
from engine.reports.conditions import sentence
from engine.reports.verdicts import RecordedVerdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.ledger import VerdictRecord
    from engine.reports.verdicts import Verdict


@dataclass(frozen=True)
class DayVerdict:
    """The verdict that a UTC day is remembered for: its most severe one, the first of those."""

    day_ms: int
    verdict: Verdict

    @property
    def outcome(self) -> str:
        """The day's outcome."""
        return self.verdict.outcome


@dataclass(frozen=True)
class Stretch:
    """Days in a row with the same outcome; `days` counts them, a day without a verdict ends it."""

    outcome: str
    from_ms: int
    days: int
    verdict: Verdict

    @property
    def to_ms(self) -> int:
        """The end of the last day."""
        return self.from_ms + self.days * DAY_MS


@dataclass(frozen=True)
class Change:
    """A day whose outcome differs from the day before; `before` is empty for the first."""

    day_ms: int
    before: str
    after: str
    why: str
    verdict: Verdict
    days: int


def day_of(at_ms: int) -> int:
    """Return the start of the UTC day that an instant closes or lies in: midnight ends the day before.

    >>> day_of(1667952000000) == 1667865600000, day_of(1667952000001) == 1667952000000
    (True, True)
    """
    return day_start(at_ms - 1)


def verdict_days(verdicts: Sequence[Verdict], severity: Sequence[str]) -> tuple[DayVerdict, ...]:
    """Return one verdict for each day that has any, oldest first.

    Args:
        verdicts: oldest first.
        severity: outcomes, most severe first; one that is not listed counts as the least severe.
    """
    rank = {outcome: index for index, outcome in enumerate(severity)}
    days: dict[int, tuple[int, int]] = {}
    told: Sequence[Verdict | VerdictRecord] = verdicts.records if isinstance(verdicts, RecordedVerdicts) else verdicts
    for place, verdict in enumerate(told):
        day, badness = day_of(verdict.at_ms), rank.get(verdict.outcome, len(rank))
        if day not in days or badness < days[day][0]:
            days[day] = badness, place
    return tuple(DayVerdict(day, verdicts[place]) for day, (_, place) in days.items())


def stretches(days: Sequence[DayVerdict]) -> tuple[Stretch, ...]:
    """Return the stretches of days with the same outcome, oldest first."""
    found: list[Stretch] = []
    for day in days:
        last = found[-1] if found else None
        if last is not None and last.outcome == day.outcome and last.to_ms == day.day_ms:
            found[-1] = Stretch(last.outcome, last.from_ms, last.days + 1, last.verdict)
        else:
            found.append(Stretch(day.outcome, day.day_ms, 1, day.verdict))
    return tuple(found)


def changes(days: Sequence[DayVerdict]) -> tuple[Change, ...]:
    """Return the days on which the outcome changed, oldest first, each with how long the new one lasted."""
    found: list[Change] = []
    before = ""
    for stretch in stretches(days):
        if stretch.outcome != before:
            why = sentence(stretch.verdict)
            found.append(Change(stretch.from_ms, before, stretch.outcome, why, stretch.verdict, stretch.days))
        else:
            last = found[-1]
            found[-1] = Change(last.day_ms, last.before, last.after, last.why, last.verdict, last.days + stretch.days)
        before = stretch.outcome
    return tuple(found)


def outcome_counts(days: Iterable[DayVerdict], severity: Sequence[str]) -> dict[str, int]:
    """Return outcome -> number of days, the policy's outcomes first and even where there were none."""
    counts = dict.fromkeys(severity, 0)
    for day in days:
        counts[day.outcome] = counts.get(day.outcome, 0) + 1
    return counts


def firing_since(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Return since when each rule that fires in the last verdict has fired without a pause.

    Args:
        verdicts: oldest first; the last is the one that is explained.

    Returns:
        Rule id -> the first verdict's time; rules that fire anew in the last verdict are absent.
    """
    since: dict[str, int] = {}
    standing = set(verdicts[-1].fired) if verdicts else set()
    for verdict in reversed(verdicts[:-1]):
        standing &= set(verdict.fired)
        if not standing:
            break
        since.update(dict.fromkeys(standing, verdict.at_ms))
    return since
