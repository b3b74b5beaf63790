"""The market and the sleeves on one common hourly grid, as the simulation's loop wants them.

A symbol whose bar is missing at an hour does not trade there; its decision stands for its next bar, and its position is
valued at its last price.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from engine.backtest.settlements import settlements
from engine.clock import HOUR_MS, iso
from engine.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.market.series import Market
    from strategies.bars import Bars, FloatArray, IntArray
    from strategies.sleeve import Sleeve

ABSENT = -1


@dataclass
class Lane:
    """One symbol on the grid of n hours; the sleeve is replaced when it restarts, and its columns with it.

    Attributes:
        symbol: the venue's name.
        weight: share of the equity.
        sleeve: the strategy as it stands now.
        own: int64 (n,), the symbol's bar at each hour, `ABSENT` where it has none.
        decided: int64 (n,), the bar whose decision fills at each hour: its bar before; `ABSENT` where it has no bar, or
            none before, or where the bar before is still part of the warm-up.
        open: float64 (n,), USDT, NaN where it has no bar.
        sized_at: float64 (n,), the close that a decision is sized with, NaN where there is none.
        mark: float64 (n,), USDT: mark close, else the last price known, 0 before its first bar.
        estimated: bool (n,), where `mark` is not a mark price.
        weighted: float64 (n,), weight × decided position, NaN where nothing is decided.
        stop: float64 (n,), the trigger that is live during the hour, NaN where none.
    """

    symbol: str
    weight: float
    sleeve: Sleeve
    own: IntArray
    decided: IntArray
    open: FloatArray
    sized_at: FloatArray
    mark: FloatArray
    estimated: np.ndarray[tuple[int], np.dtype[np.bool_]]
    weighted: FloatArray
    stop: FloatArray

    def take(self, sleeve: Sleeve) -> None:
        """Use `sleeve` from here on and lay its signals on the grid."""
        self.sleeve = sleeve
        self.weighted = self.weight * _laid(sleeve.signals.position, self.decided)
        self.stop = _laid(sleeve.signals.stop_price, self.own)

    def position(self) -> FloatArray:
        """Return what the sleeve decides at each hour's close, float64 (n,), NaN where it has no bar."""
        return _laid(self.sleeve.signals.position, self.own)


def hourly_grid(bars: Iterable[Bars], start_ms: int, end_ms: int) -> IntArray:
    """Return the open times in [start, end) at which any of the symbols has a bar.

    Raises:
        DataError: a bar does not open on the hour, or no symbol has a bar in the range.
    """
    hours = max(0, -(-(end_ms - start_ms) // HOUR_MS))
    present = np.zeros(hours, dtype=np.bool_)
    base = -(-start_ms // HOUR_MS)
    for each in bars:
        odd = np.flatnonzero(each.open_time_ms % HOUR_MS)
        if len(odd):
            when = iso(int(each.open_time_ms[odd[0]]))
            raise DataError(Problem("off-grid", each.symbol, f"a bar opens at {when}, hourly bars open on the hour"))
        slots = each.open_time_ms // HOUR_MS - base
        present[slots[(slots >= 0) & (slots < hours)]] = True
    if not present.any():
        raise DataError(
            Problem("no-bars", "", f"no symbol has a bar from {iso(start_ms)} to {iso(end_ms)}", "widen --from and --to")
        )
    grid: IntArray = (np.flatnonzero(present) + base) * HOUR_MS
    return grid


def make_lane(grid_ms: IntArray, market: Market, sleeve: Sleeve, weight: float, warmup_bars: int) -> Lane:
    """Return one symbol's lane.

    Args:
        grid_ms: int64 (n,), the hours.
        market: where its mark prices are.
        sleeve: the strategy on the symbol's whole history of bars.
        weight: share of the equity.
        warmup_bars: bars that must have closed before the first decision.
    """
    bars = sleeve.bars
    own = _places(bars.open_time_ms, grid_ms)
    decided = np.where((own >= 1) & (own >= warmup_bars), own - 1, ABSENT)
    marks = market.mark.get(bars.symbol)
    known = np.full(len(grid_ms), np.nan)
    if marks is not None:
        known = _laid(marks.close, _places(marks.open_time_ms, grid_ms))
    estimated = np.isnan(known)
    before = int(np.searchsorted(bars.open_time_ms, grid_ms[0])) - 1
    valued = _carried_on(np.where(estimated, _laid(bars.close, own), known), bars.close[before] if before >= 0 else 0.0)
    empty = np.empty(0)
    lane = Lane(
        symbol=bars.symbol,
        weight=weight,
        sleeve=sleeve,
        own=own,
        decided=decided,
        open=_laid(bars.open, own),
        sized_at=_laid(bars.close, decided),
        mark=valued,
        estimated=estimated,
        weighted=empty,
        stop=empty,
    )
    lane.take(sleeve)
    return lane


def _places(times: IntArray, grid_ms: IntArray) -> IntArray:
    """Return for each grid time the index in `times` that equals it, `ABSENT` where none does."""
    if len(times) == 0:
        return np.full(len(grid_ms), ABSENT, dtype=np.int64)
    at = np.searchsorted(times, grid_ms)
    found = times[np.minimum(at, len(times) - 1)] == grid_ms
    return np.where(found, at, ABSENT)


def _laid(values: FloatArray, places: IntArray) -> FloatArray:
    """Return values[places], NaN where a place is `ABSENT`."""
    if len(values) == 0:
        return np.full(len(places), np.nan)
    result = values[places]
    result[places == ABSENT] = np.nan
    return result


def _carried_on(values: FloatArray, first: float) -> FloatArray:
    """Return `values` with each NaN replaced by the value before it, leading ones by `first`."""
    holes = np.isnan(values)
    if not holes.any():
        return values
    last = np.maximum.accumulate(np.where(holes, ABSENT, np.arange(len(values))))
    return np.where(last == ABSENT, first, values[last])


Due = tuple[int, int, float, float, float, bool, bool]
"""One settlement of one symbol, ready to be booked: lane index, instant in ms, mark price in USDT, rate (of a missing one
the assumed rate for its hours), hours, whether it is assumed (it costs, whichever side is held), whether the price is
estimated. A plain tuple: a run over years makes tens of thousands."""


def due_settlements(
    grid_ms: IntArray, market: Market, lanes: Iterable[Lane], default_rate_8h: float | None
) -> Mapping[int, tuple[Due, ...]]:
    """Return the settlements by the grid hour at whose open they are booked.

    Args:
        grid_ms: int64 (n,), the hours.
        market: the record of settlements and mark prices.
        lanes: the symbols.
        default_rate_8h: ratio assumed for 8 hours where a settlement is missing; None: funding is off.

    An instant at which no symbol has a bar is booked at the next hour there is.
    """
    found: dict[int, list[Due]] = {}
    if default_rate_8h is None:
        return {}
    end_ms = int(grid_ms[-1]) + 1
    for index, lane in enumerate(lanes):
        due = settlements(market.funding.get(lane.symbol), int(grid_ms[0]), end_ms)
        hours = np.searchsorted(grid_ms, due.time_ms)
        marks, estimated = _opening_marks(due.time_ms, market, lane.sleeve.bars)
        assumed = np.isnan(due.rate)
        rates = np.where(assumed, default_rate_8h * due.hours / 8.0, due.rate)  # the default is for 8 hours
        columns = (hours, due.time_ms, marks, rates, due.hours, assumed, estimated)
        lists = [column.tolist() for column in columns]
        for hour, due_here in zip(lists[0], zip(repeat(index), *lists[1:], strict=False), strict=True):
            found.setdefault(hour, []).append(due_here)
    return {hour: tuple(each) for hour, each in found.items()}


def _opening_marks(
    times: IntArray, market: Market, bars: Bars
) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Return the price of each instant (mark open, else last-price open, else the close before) and where it is no mark."""
    marks = market.mark.get(bars.symbol)
    known = np.full(len(times), np.nan)
    if marks is not None:
        known = _laid(marks.open, _places(marks.open_time_ms, times))
    estimated = np.isnan(known)
    before = np.searchsorted(bars.open_time_ms, times) - 1
    traded = _laid(bars.open, _places(bars.open_time_ms, times))
    traded = np.where(np.isnan(traded), _laid(bars.close, np.where(before < 0, ABSENT, before)), traded)
    return np.where(estimated, traded, known), estimated
