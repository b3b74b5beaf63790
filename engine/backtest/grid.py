"""The common hourly grid: the hours at which any of the symbols has a bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engine.clock import HOUR_MS, iso
from engine.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from strategies.bars import Bars, FloatArray, IntArray

ABSENT = -1

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """The hours of a simulation.

    Attributes:
        time_ms: int64 (n,), open times, increasing.
        index: int64, for every hour from `time_ms[0]` to `time_ms[-1]` its place in `time_ms`, or `ABSENT`.
    """

    time_ms: IntArray
    index: IntArray

    def __len__(self) -> int:
        return len(self.time_ms)

    def places(self, times_ms: IntArray) -> IntArray:
        """Return for each hour of the grid the index in `times_ms` that equals it, `ABSENT` where none does.

        Args:
            times_ms: int64 (m,), increasing, on the hour.
        """
        found = np.full(len(self.time_ms), ABSENT, dtype=np.int64)
        first, last = np.searchsorted(times_ms, [self.time_ms[0], self.time_ms[-1] + 1])
        places = self.index[(times_ms[first:last] - self.time_ms[0]) // HOUR_MS]
        inside = places != ABSENT
        found[places[inside]] = np.arange(first, last)[inside]
        return found


def hourly_grid(bars: Iterable[Bars], start_ms: int, end_ms: int) -> Grid:
    """Return the hours in [start, end) at which any of the symbols has a bar.

    Raises:
        DataError: a bar does not open on the hour, or no symbol has a bar in the range.
    """
    base = -(-start_ms // HOUR_MS)
    present = np.zeros(max(0, -(-end_ms // HOUR_MS) - base), dtype=np.bool_)
    for each in bars:
        odd = np.flatnonzero(each.open_time_ms % HOUR_MS)
        if len(odd):
            when = iso(int(each.open_time_ms[odd[0]]))
            raise DataError(Problem("off-grid", each.symbol, f"a bar opens at {when}, hourly bars open on the hour"))
        slots = each.open_time_ms // HOUR_MS - base
        present[slots[(slots >= 0) & (slots < len(present))]] = True
    hours = np.flatnonzero(present)
    if len(hours) == 0:
        found = f"no symbol has a bar from {iso(start_ms)} to {iso(end_ms)}"
        raise DataError(Problem("no-bars", "", found, "ask for a period that the data covers"))
    index = np.full(hours[-1] - hours[0] + 1, ABSENT, dtype=np.int64)
    index[hours - hours[0]] = np.arange(len(hours))
    return Grid((hours + base) * HOUR_MS, index)


def laid(values: FloatArray, places: IntArray) -> FloatArray:
    """Return values[places], NaN where a place is `ABSENT`."""
    if len(values) == 0:
        return np.full(len(places), np.nan)
    result = values[places]
    result[places == ABSENT] = np.nan
    return result


def carried_on(values: FloatArray, first: float) -> FloatArray:
    """Return `values` with each NaN replaced by the value before it, leading ones by `first`."""
    holes = np.isnan(values)
    if not holes.any():
        return values
    last = np.maximum.accumulate(np.where(holes, ABSENT, np.arange(len(values))))
    return np.where(last == ABSENT, first, values[last])
