"""Counts over time: events in a window, complete days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

FLATTEN_DAYS = 30
"""domain.md: flatten_events_30d."""


def events_within(times_ms: Iterable[int], at_ms: int, days: int = FLATTEN_DAYS) -> int:
    """Return how many of these instants lie in ``[at_ms - days, at_ms)`` (R147).

    >>> day = 86_400_000
    >>> events_within([0, day, 2 * day], at_ms=31 * day)
    2
    """
    start_ms = at_ms - days * DAY_MS
    return sum(1 for time in times_ms if start_ms <= time < at_ms)


def complete_days(from_ms: int, at_ms: int) -> int:
    """Return how many complete UTC days lie in ``[from_ms, at_ms]`` (A33, A54).

    >>> day = 86_400_000
    >>> complete_days(1, 3 * day), complete_days(0, 3 * day), complete_days(0, 3 * day - 1)
    (2, 3, 2)
    """
    return max(0, at_ms // DAY_MS - -(-from_ms // DAY_MS))
