"""A market in memory: bars, mark prices and funding settlements of several symbols."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from strategies.bars import Bars, FloatArray, IntArray

Kind = Literal["last", "mark", "funding"]


@dataclass(frozen=True)
class FundingRates:
    """One symbol's funding settlements, oldest first, strictly increasing in time.

    Attributes:
        symbol: the venue's name, such as ``BTCUSDT``.
        time_ms: int64 (n,), UTC milliseconds, floored to the hour (the venue's stamps carry a few ms of jitter).
        rate: float64 (n,), ratio of the notional (0.0001 = 1 bps); a long pays a positive rate.
    """

    symbol: str
    time_ms: IntArray
    rate: FloatArray

    def __len__(self) -> int:
        return len(self.time_ms)


@dataclass(frozen=True)
class Market:
    """Everything that is known of a set of symbols.

    Attributes:
        bars: last-price bars by symbol.
        mark: mark-price bars by symbol; a symbol may be absent or start later (the last price then stands in).
        funding: settlements by symbol; a symbol may be absent.
    """

    bars: dict[str, Bars]
    mark: dict[str, Bars]
    funding: dict[str, FundingRates]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that have last-price bars, in the order they were asked for."""
        return tuple(self.bars)


def market_of(parts: Iterable[tuple[Kind, Bars | FundingRates]]) -> Market:
    """Gather series of several symbols and kinds into one market."""
    bars: dict[str, Bars] = {}
    mark: dict[str, Bars] = {}
    funding: dict[str, FundingRates] = {}
    for kind, series in parts:
        if isinstance(series, FundingRates):
            funding[series.symbol] = series
        elif kind == "mark":
            mark[series.symbol] = series
        else:
            bars[series.symbol] = series
    return Market(bars, mark, funding)


def impossible_rows(
    open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray
) -> IntArray:
    """Return the positions of bars that no market can print.

    Args:
        open_: float64 (n,), as are the others; prices in USDT, `volume` in base asset.
        high: as above.
        low: as above.
        close: as above.
        volume: as above.

    Returns:
        int64, rows with a price that is not finite or not positive, a low above the high, an open or close outside
        of them, or a negative volume.
    """
    prices = (open_, high, low, close)
    fine = np.isfinite(volume) & (volume >= 0) & (low <= np.minimum(open_, close)) & (high >= np.maximum(open_, close))
    for column in prices:
        fine &= np.isfinite(column) & (column > 0)
    return np.flatnonzero(~fine)


def why_impossible(open_: float, high: float, low: float, close: float, volume: float) -> str | None:
    """Return in words what is impossible about a bar, None for a possible one."""
    for name, value in (("open", open_), ("high", high), ("low", low), ("close", close)):
        if not math.isfinite(value):
            return f"`{name}` is no finite number"
        if value <= 0:
            return f"`{name}` is {value:g}, a price is above 0"
    if high < low:
        return f"`high` {high:.10g} is below `low` {low:.10g}"
    for name, value in (("open", open_), ("close", close)):
        if not low <= value <= high:
            return f"`{name}` {value:.10g} lies outside `low` {low:.10g} to `high` {high:.10g}"
    if not math.isfinite(volume) or volume < 0:
        return f"`volume` is {volume:g}, at least 0 was expected"
    return None
