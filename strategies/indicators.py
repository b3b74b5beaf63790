"""Indicators as arrays: each value depends on bars up to its own and on nothing later.

All of them are prefix-stable to the last bit: computed on a truncated series they give the same values, because every
sum runs from the first bar on, in order. Written on NumPy alone: importing pandas costs more than a whole backtest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from strategies.bars import Bars, FloatArray

HOURS_A_YEAR = 24 * 365

_MAX_BLOCK = 512
_MAX_EXPONENT = 600.0  # e^600 is still far below the largest float64


def ema(values: FloatArray, *, span: int) -> FloatArray:
    """Return the exponential moving average with α = 2/(span + 1), recursive from the first value.

    Args:
        values: float64 (n,), finite.
        span: in bars, 1 or more.

    Returns:
        float64 (n,), defined from the first value on; pandas' ``ewm(span=span, adjust=False).mean()``.

    >>> ema(np.array([2.0, 2.0, 5.0]), span=2)
    array([2., 2., 4.])
    """
    return recursive_mean(values, alpha=2.0 / (span + 1.0))


def recursive_mean(values: FloatArray, *, alpha: float) -> FloatArray:
    """Return y with y₀ = x₀ and yₜ = yₜ₋₁ + α·(xₜ − yₜ₋₁).

    Args:
        values: float64 (n,), finite.
        alpha: in (0, 1].

    Returns:
        float64 (n,).

    The recursion runs on the lag e = x − y, which obeys eₜ = (1 − α)·(eₜ₋₁ + xₜ − xₜ₋₁), block by block as a weighted
    cumulative sum. A constant series keeps a lag of exactly 0, so two averages of it tie exactly and show no trend.
    """
    count = len(values)
    decay = 1.0 - alpha
    if count == 0 or decay <= 0.0:
        return values.copy()
    length = max(1, min(_MAX_BLOCK, int(_MAX_EXPONENT / -math.log(decay))))
    steps = np.zeros(-(-count // length) * length)
    steps[1:count] = values[1:] - values[:-1]
    blocks = steps.reshape(-1, length)
    powers = decay ** np.arange(length + 1)
    lags = np.cumsum(blocks / powers[:-1], axis=1)
    carried = np.empty(len(blocks))
    carry = 0.0
    last = powers[-1]
    for row, inside in enumerate(lags[:, -1].tolist()):
        carried[row] = carry
        carry = last * (carry + inside)
    lags += carried[:, None]
    lags *= powers[1:]
    result: FloatArray = values - lags.ravel()[:count]
    return result


class WindowSums:
    """Sums of the last L values for any L, from one pass.

    Kept in extended precision where the machine has it: a running sum over years must not blur an hour's digits.

    Args:
        values: float64 (n,), finite.
    """

    def __init__(self, values: FloatArray) -> None:
        self._totals = np.zeros(len(values) + 1, dtype=np.longdouble)
        np.cumsum(values, dtype=np.longdouble, out=self._totals[1:])

    def of(self, window: int) -> FloatArray:
        """Return the sums of all full windows, float64 (max(0, n − window + 1),), oldest first."""
        if len(self._totals) <= window:
            return np.empty(0)
        result = np.empty(len(self._totals) - window)
        # Rounded to float64 piece by piece, without a wide intermediate array.
        np.subtract(self._totals[window:], self._totals[:-window], out=result, casting="same_kind")
        return result


def moving_mean(values: FloatArray, window: int, *, first: int = 0) -> FloatArray:
    """Return the plain mean of the last `window` values.

    Args:
        values: float64 (n,); those before index `first` are undefined.
        window: in bars, 1 or more.
        first: index of the first defined value.

    Returns:
        float64 (n,), NaN until the window is full of defined values.
    """
    result = np.full(len(values), np.nan)
    result[first + window - 1 :] = WindowSums(values[first:]).of(window) / window
    return result


class Returns:
    """Hourly returns C/C₋₁ − 1 of a series of closes, and what is asked of their windows, aligned with the closes.

    Args:
        close: float64 (n,), positive.
    """

    def __init__(self, close: FloatArray) -> None:
        hourly = close[1:] / close[:-1] - 1.0
        self._count = len(close)
        self._sums = WindowSums(hourly)
        self._squares = WindowSums(hourly * hourly)

    def total(self, window: int) -> FloatArray:
        """Return Σ of the last `window` returns, float64 (n,), NaN until there are window + 1 closes."""
        return self._aligned(self._sums.of(window), window)

    def annual_volatility(self, window: int) -> FloatArray:
        """Return std(last `window` returns, ddof 1)·√8760.

        Args:
            window: in returns, 2 or more.

        Returns:
            float64 (n,), a ratio (0.5 = 50 % a year), NaN until there are window + 1 closes; 0 where no price moved.
        """
        squared_sums, variance = self._sums.of(window), self._squares.of(window)
        squared_sums *= squared_sums
        squared_sums /= window
        variance -= squared_sums
        np.maximum(variance, 0.0, out=variance)
        variance *= HOURS_A_YEAR / (window - 1)
        return self._aligned(np.sqrt(variance, out=variance), window)

    def _aligned(self, windows: FloatArray, window: int) -> FloatArray:
        result = np.full(self._count, np.nan)
        result[window:] = windows
        return result


def true_range(bars: Bars) -> FloatArray:
    """Return max(H − L, |H − C₋₁|, |L − C₋₁|), float64 (n,) in USDT; of the first bar H − L."""
    result = bars.high - bars.low
    before = bars.close[:-1]
    beyond = np.maximum(np.abs(bars.high[1:] - before), np.abs(bars.low[1:] - before))
    result[1:] = np.maximum(result[1:], beyond)
    return result


def wilder_atr(bars: Bars, period: int) -> FloatArray:
    """Return Wilder's average true range: recursive with α = 1/period from the first bar's range on.

    Args:
        bars: n bars.
        period: in bars.

    Returns:
        float64 (n,) in USDT; NaN before bar number `period`, where the first value is shown.

    The recursion starts from the first true range, not from the plain mean of the first `period` ones: domain.md calls
    it recursive with α = 1/14, and the two starts differ by less than 1e-6 of the value after 200 bars.
    """
    result = recursive_mean(true_range(bars), alpha=1.0 / period)
    result[: period - 1] = np.nan
    return result
