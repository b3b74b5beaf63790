"""What a weekly or monthly report is about: whole UTC days, named by the last of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from engine.clock import DAY_MS, day_start, iso
from engine.errors import Problem, UsageError
from engine.operations.reviews.book import MONTHLY, WEEKLY

WEEK_DAYS = 7
MONTH_DAYS = 28
"""A105: what a month is at least."""


@dataclass(frozen=True)
class Period:
    """A stretch of whole UTC days.

    Attributes:
        kind: weekly or monthly.
        name: its last day, ``2022-11-09``.
        from_ms: its start, a midnight or the launch.
        to_ms: its end, a midnight.
        days: how many whole days it has.
    """

    kind: str
    name: str
    from_ms: int
    to_ms: int
    days: int


def period_at(kind: str, now_ms: int, launched_ms: int) -> Period:
    """Return the last period that is over at `now_ms`.

    A week is the last seven complete days, or what there is since the launch. A month is the calendar month that ends
    with the last complete day, of which at least 28 days must be since the launch (A105).

    Raises:
        UsageError: no day is complete yet, or too few for a month.
    """
    to_ms = day_start(now_ms)
    since_ms = -(-launched_ms // DAY_MS) * DAY_MS  # the first day that can be complete
    start_ms = to_ms - WEEK_DAYS * DAY_MS if kind == WEEKLY else _month_before(to_ms)
    from_ms = max(start_ms, since_ms)
    complete = (to_ms - from_ms) // DAY_MS
    if complete < 1:
        problem = f"no UTC day is complete yet since the launch at {iso(launched_ms)[:16]}"
        raise UsageError(Problem("no-day", f"--{kind}", problem, "come back after midnight UTC"))
    if kind == MONTHLY and complete < MONTH_DAYS:
        problem = f"a month is at least {MONTH_DAYS} live days, there are {complete} (A105)"
        help_ = f"on {iso(since_ms + MONTH_DAYS * DAY_MS)[:10]}; until then `stagegate report --weekly`"
        raise UsageError(Problem("no-month", f"--{kind}", problem, help_))
    return Period(kind, iso(to_ms - DAY_MS)[:10], from_ms, to_ms, complete)


def _month_before(to_ms: int) -> int:
    """Return the midnight a calendar month before; of a day that the month before lacks, its last.

    >>> iso(_month_before(1711843200000))  # of 2024-03-31
    '2024-02-29T00:00:00Z'
    """
    day = dt.datetime.fromtimestamp(to_ms / 1000, tz=dt.UTC)
    last_before = day.replace(day=1) - dt.timedelta(days=1)
    back = last_before.replace(day=min(day.day, last_before.day))
    return int(back.timestamp() * 1000)
