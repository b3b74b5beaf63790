"""Days, weeks and months that have ended, each with its name: what is due once a period is due by that name."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import DAY_MS, day_start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WEEK_MS = 7 * DAY_MS
_MONDAY_MS = 4 * DAY_MS  # 1970-01-05


@dataclass(frozen=True)
class Period:
    """A span of complete UTC days.

    Attributes:
        name: ``2024-01-02``, ``2024-W01``, ``2024-01``.
        from_ms: its first instant.
        to_ms: the first instant after it.
    """

    name: str
    from_ms: int
    to_ms: int


def day_at(at_ms: int) -> Period:
    """Return the UTC day that holds an instant.

    >>> day_at(1704153600001).name
    '2024-01-02'
    """
    from_ms = day_start(at_ms)
    return Period(_date(from_ms).isoformat(), from_ms, from_ms + DAY_MS)


def week_at(at_ms: int) -> Period:
    """Return the ISO week, Monday to Sunday, that holds an instant.

    >>> week_at(1704153600000).name
    '2024-W01'
    """
    from_ms = at_ms - (at_ms - _MONDAY_MS) % WEEK_MS
    year, week, _ = _date(from_ms).isocalendar()
    return Period(f"{year}-W{week:02}", from_ms, from_ms + WEEK_MS)


def month_at(at_ms: int) -> Period:
    """Return the calendar month that holds an instant.

    >>> month_at(1704153600000).name
    '2024-01'
    """
    first = _date(at_ms).replace(day=1)
    following = (first + dt.timedelta(days=31)).replace(day=1)
    return Period(first.strftime("%Y-%m"), _ms(first), _ms(following))


def ended(at: Callable[[int], Period], from_ms: int, now_ms: int) -> Iterator[Period]:
    """Yield the periods that ended by now, oldest first.

    Args:
        at: `day_at`, `week_at` or `month_at`.
        from_ms: the first period is the one that holds this instant.
        now_ms: the time.
    """
    period = at(from_ms)
    while period.to_ms <= now_ms:
        yield period
        period = at(period.to_ms)


def _date(at_ms: int) -> dt.date:
    return dt.datetime.fromtimestamp(at_ms / 1000, tz=dt.UTC).date()


def _ms(date: dt.date) -> int:
    return round(dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC).timestamp() * 1000)
