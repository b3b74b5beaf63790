"""Bars: one symbol's hourly candles as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bars:
    """One symbol's bars, oldest first, strictly increasing in time; a gap is an absent row, never a NaN.

    Attributes:
        symbol: the venue's name, such as ``BTCUSDT``.
        open_time_ms: int64 (n,), UTC milliseconds of each bar's open.
        open: float64 (n,), as are `high`, `low`, `close`: prices in USDT.
        volume: float64 (n,), base asset; zeros where the source has none (mark prices).
    """

    symbol: str
    open_time_ms: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def __len__(self) -> int:
        return len(self.open_time_ms)

    def joined(self, after: Bars) -> Bars:
        """Return these bars and those that come after them."""
        columns = ("open_time_ms", "open", "high", "low", "close", "volume")
        return Bars(self.symbol, *(np.concatenate([getattr(self, name), getattr(after, name)]) for name in columns))

    def part(self, start: int, stop: int) -> Bars:
        """Return rows ``start:stop`` (positions, as in a slice) without copying."""
        cut = slice(start, stop)
        return Bars(
            self.symbol,
            self.open_time_ms[cut],
            self.open[cut],
            self.high[cut],
            self.low[cut],
            self.close[cut],
            self.volume[cut],
        )
