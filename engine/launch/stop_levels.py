"""SOP §1.6: the stop levels, computed a second time from the bars, by the words of the SOP and nothing of the strategy.

A stop stands at the entry's fill ∓ k·ATR of the signal bar (R053). The average true range is summed here bar by bar, as
Wilder wrote it; that it comes out as the strategy's own is the proof.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from strategies.bars import Bars
    from strategies.sleeve import Signals

DISTANCE, PERIOD = "stop_loss_atr", "atr_period"
_BPS = 1e4
_TOLERANCE = 1e-9  # of the price: two ways of summing the same numbers


@dataclass(frozen=True)
class Stop:
    """One stop and where it belongs.

    Attributes:
        symbol: the venue's name.
        fill: the entry's price with slippage, USDT.
        atr: of the signal bar, USDT.
        distance: how many of them.
        level: where it must be, USDT.
        found: where the strategy has it, USDT.
        entry_ms: the open of the entry bar.
        live: it protects a position now.
    """

    symbol: str
    fill: float
    atr: float
    distance: float
    level: float
    found: float
    entry_ms: int
    live: bool

    @property
    def correct(self) -> bool:
        """Whether it is where it belongs."""
        return math.isclose(self.level, self.found, rel_tol=_TOLERANCE)


def has_stop(params: Mapping[str, Any]) -> bool:
    """Return whether a strategy of these parameters sets stops at all (A93)."""
    return DISTANCE in params


def last_stop(bars: Bars, signals: Signals, params: Mapping[str, Any], slippage_bps: float) -> Stop | None:
    """Return the stop of the last entry; None where the bars hold no entry.

    Args:
        bars: of one symbol; the last one runs now, and of it only the open is known.
        signals: of the strategy on these bars.
        params: of the strategy.
        slippage_bps: of an entry fill.
    """
    prices, count = signals.stop_price, len(bars)
    at = next((bar for bar in range(count - 1, 0, -1) if not math.isnan(prices[bar])), None)
    if at is None:
        return None
    entry = at
    while entry > 1 and prices[entry - 1] == prices[at]:
        entry -= 1
    signal = entry - 1
    side = math.copysign(1.0, float(signals.position[signal]))
    fill = float(bars.open[entry]) * (1.0 + side * slippage_bps / _BPS)
    atr, distance = wilder(bars, int(params[PERIOD]), signal), float(params[DISTANCE])
    level = fill - side * distance * atr
    symbol, entry_ms, found = bars.symbol, int(bars.open_time_ms[entry]), float(prices[at])
    return Stop(symbol, fill, atr, distance, level, found, entry_ms, live=at == count - 1)


def wilder(bars: Bars, period: int, at: int) -> float:
    """Return Wilder's average true range at the bar `at`: from the first range on, each moves it by 1/period."""
    highs, lows, closes = (column[: at + 1].tolist() for column in (bars.high, bars.low, bars.close))
    ranges = [highs[0] - lows[0]]
    for high, low, before in zip(highs[1:], lows[1:], closes, strict=False):
        ranges.append(max(high - low, abs(high - before), abs(low - before)))
    average = ranges[0]
    for true_range in ranges[1:]:
        average += (true_range - average) / period
    return float(average)
