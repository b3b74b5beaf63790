"""One symbol on the grid: what its strategy decides, what it is valued at, when its funding is due.

A symbol whose bar is missing at an hour does not trade there; its decision stands for its next bar, and its position is
valued at its last price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.backtest.grid import ABSENT, carried_on, laid
from engine.backtest.settlements import USUAL_HOURS, settlements

if TYPE_CHECKING:
    from engine.backtest.grid import BoolArray, Grid
    from engine.market.series import FundingRates, Market
    from strategies.bars import Bars, FloatArray, IntArray
    from strategies.sleeve import Sleeve


@dataclass(frozen=True)
class Due:
    """The settlements of one symbol, oldest first.

    Attributes:
        hour: the grid hour at whose open each is booked (one of an hour without any bar waits for the next), and a
            last −1 that no hour equals.
        cost_usd: what each costs a long of one unit of the base asset.
        at_ms: int64 (m,), its instant.
        mark_price: float64 (m,), USDT at the instant.
        rate: float64 (m,), ratio; of a missing one the assumed rate for its hours.
        hours: float64 (m,), the interval.
        assumed: which ones the record lacks: they cost, whichever side is held.
        estimated: bool (m,), no mark price was known at the instant.
    """

    hour: list[int]
    cost_usd: list[float]
    at_ms: IntArray
    mark_price: FloatArray
    rate: FloatArray
    hours: FloatArray
    assumed: list[bool]
    estimated: BoolArray


@dataclass
class Lane:
    """One symbol on a grid of n hours; the sleeve is replaced when it restarts, and its columns with it.

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
        due: its funding settlements.
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
    estimated: BoolArray
    due: Due
    weighted: FloatArray
    stop: FloatArray

    def take(self, sleeve: Sleeve) -> None:
        """Use `sleeve` from here on and lay its signals on the grid."""
        self.sleeve = sleeve
        self.weighted = self.weight * laid(sleeve.signals.position, self.decided)
        self.stop = laid(sleeve.signals.stop_price, self.own)

    def stops_reached(self) -> IntArray:
        """Return the hours whose range reaches the stop of the position that the sleeve holds during them."""
        live = np.flatnonzero(~np.isnan(self.stop))
        bars, own, stop = self.sleeve.bars, self.own[live], self.stop[live]
        return live[np.where(self.weighted[live] > 0.0, bars.low[own] <= stop, bars.high[own] >= stop)]

    def position(self, start: int, stop: int) -> FloatArray:
        """Return what the sleeve decides at the closes of the hours ``start:stop``, NaN where it has no bar."""
        return laid(self.sleeve.signals.position, self.own[start:stop])


def make_lane(
    grid: Grid, market: Market, sleeve: Sleeve, weight: float, *, warmup_bars: int, default_rate_8h: float | None
) -> Lane:
    """Return one symbol's lane.

    Args:
        grid: the hours.
        market: where its mark prices and settlements are.
        sleeve: the strategy on the symbol's whole history of bars.
        weight: share of the equity.
        warmup_bars: bars that must have closed before the first decision.
        default_rate_8h: ratio assumed for 8 hours where a settlement is missing; None: funding is off.
    """
    bars = sleeve.bars
    own = grid.places(bars.open_time_ms)
    decided = np.where((own >= 1) & (own >= warmup_bars), own - 1, ABSENT)
    marks = market.mark.get(bars.symbol)
    known = np.full(len(grid), np.nan) if marks is None else laid(marks.close, grid.places(marks.open_time_ms))
    estimated = np.isnan(known)
    before = int(np.searchsorted(bars.open_time_ms, grid.time_ms[0])) - 1
    price = carried_on(np.where(estimated, laid(bars.close, own), known), bars.close[before] if before >= 0 else 0.0)
    unset = np.empty(0)
    lane = Lane(
        symbol=bars.symbol,
        weight=weight,
        sleeve=sleeve,
        own=own,
        decided=decided,
        open=laid(bars.open, own),
        sized_at=laid(bars.close, decided),
        mark=price,
        estimated=estimated,
        due=_due(grid, market.funding.get(bars.symbol), bars, marks, default_rate_8h),
        weighted=unset,
        stop=unset,
    )
    lane.take(sleeve)
    return lane


def _due(
    grid: Grid, recorded: FundingRates | None, bars: Bars, marks: Bars | None, default_rate_8h: float | None
) -> Due:
    start_ms = int(grid.time_ms[0])
    end_ms = start_ms if default_rate_8h is None else int(grid.time_ms[-1]) + 1
    due = settlements(recorded, start_ms, end_ms)
    known = np.full(len(due.time_ms), np.nan) if marks is None else _at(due.time_ms, marks)
    estimated = np.isnan(known)
    before = np.searchsorted(bars.open_time_ms, due.time_ms) - 1
    traded = _at(due.time_ms, bars)
    traded = np.where(np.isnan(traded), laid(bars.close, before), traded)  # -1 is `ABSENT`: nothing before either
    assumed = np.isnan(due.rate)
    mark_price = np.where(estimated, traded, known)
    rate = np.where(assumed, (default_rate_8h or 0.0) * due.hours / USUAL_HOURS, due.rate)
    return Due(
        hour=[*np.searchsorted(grid.time_ms, due.time_ms).tolist(), ABSENT],
        cost_usd=(mark_price * rate).tolist(),
        at_ms=due.time_ms,
        mark_price=mark_price,
        rate=rate,
        hours=due.hours,
        assumed=assumed.tolist(),
        estimated=estimated,
    )


def _at(times_ms: IntArray, bars: Bars) -> FloatArray:
    """Return the open of the bar at each instant, NaN where there is none."""
    if len(bars) == 0:
        return np.full(len(times_ms), np.nan)
    at = np.minimum(np.searchsorted(bars.open_time_ms, times_ms), len(bars) - 1)
    return np.where(bars.open_time_ms[at] == times_ms, bars.open[at], np.nan)
