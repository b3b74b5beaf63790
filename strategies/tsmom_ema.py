"""tsmom_ema: time-series momentum at a target volatility, damped where the short trend disagrees (R009, R010).

r = C/C₋₁ − 1; s = sign(Σ of the last L r); σ = std(last L r, ddof 1)·√8760; p = clip(s·clip(.15/σ, .1, 2), −1, 1).
Trend = sign(EMA₂₀ − EMA₅₀); p × 1.0 where sign(p) = trend, else × 0.3; clip to ±1.

Decided here, where domain.md is silent: a window in which no price moved has σ = 0, for which .15/σ is beyond the upper
clip, so the clip holds (s is 0 then, and with it the position). The averages run from the first bar there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from strategies.indicators import Returns, ema
from strategies.sleeve import MemorylessSleeve

if TYPE_CHECKING:
    from strategies.bars import Bars, FloatArray

LEAST_SCALE = 0.1
MOST_SCALE = 2.0


@dataclass(frozen=True)
class TrendFilter:
    """How a momentum position is scaled and damped; names as in the frozen configuration.

    Attributes:
        vol_target: annualised volatility, a ratio.
        ema_fast: span in bars, as is `ema_slow`.
        ema_slow: as above.
        agree_weight: factor where the trend agrees with the position.
        disagree_weight: factor where it does not, a trend of exactly 0 included.
    """

    vol_target: float
    ema_fast: int
    ema_slow: int
    agree_weight: float
    disagree_weight: float


@dataclass(frozen=True)
class TsmomParams(TrendFilter):
    """The parameters of `tsmom_ema`; `lookback` in returns."""

    lookback: int


def momentum_position(hourly: Returns, lookback: int, vol_target: float) -> FloatArray:
    """Return p of one lookback before the trend filter.

    Args:
        hourly: the returns.
        lookback: L, in returns; L + 1 closes are needed.
        vol_target: annualised volatility, a ratio.

    Returns:
        float64 (n,), in [-1, 1]; NaN until the window is full.
    """
    with np.errstate(divide="ignore"):
        position: FloatArray = vol_target / hourly.annual_volatility(lookback)
    np.clip(position, LEAST_SCALE, MOST_SCALE, out=position)
    position *= np.sign(hourly.total(lookback))
    return np.clip(position, -1.0, 1.0, out=position)


def with_trend(position: FloatArray, close: FloatArray, trend: TrendFilter) -> FloatArray:
    """Return `position` damped where the trend of `close` disagrees with its sign, clipped to ±1."""
    direction = np.sign(ema(close, span=trend.ema_fast) - ema(close, span=trend.ema_slow))
    weight = np.where(np.sign(position) == direction, trend.agree_weight, trend.disagree_weight)
    return np.clip(position * weight, -1.0, 1.0)


def tsmom_ema(bars: Bars, params: TsmomParams) -> MemorylessSleeve:
    """Return the sleeve of one lookback; no signal (NaN) until there are lookback + 1 closes."""
    position = momentum_position(Returns(bars.close), params.lookback, params.vol_target)
    return MemorylessSleeve.of(bars, with_trend(position, bars.close, params))
