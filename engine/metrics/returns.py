"""Metrics of a series of daily returns: plain arrays in, a number or None out.

Everywhere: `daily_returns` is float64 (n_days,), ratios (0.01 = 1 %), complete UTC days, oldest first; the caller cuts
the window, and a gap is never a 0. Deviations use ddof 1 (A14; bottleneck's default of 0 is a trap).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from engine.metrics.values import require_finite

if TYPE_CHECKING:
    from strategies.bars import FloatArray

DAYS_PER_YEAR = 365
"""The market never closes (A14)."""

FLAT_STD = 1e-12
"""domain.md, sharpe: below it a series is flat, and what remains of its deviation is rounding."""

_MIN_RETURNS = 2
_Z_95 = 1.959963984540054  # the normal distribution's two-sided 95 %


def sharpe(daily_returns: FloatArray, periods_per_year: int = DAYS_PER_YEAR) -> float | None:
    """Return the annualised Sharpe ratio, risk-free rate 0.

    Args:
        daily_returns: float64 (n_days,), ratios (0.01 = 1 %), complete UTC days,
            oldest first. The caller cuts the window; a gap is never a 0.
        periods_per_year: 365, the market never closes.

    Returns:
        mean / std(ddof=1) * sqrt(periods_per_year); None below 2 returns or std < 1e-12.

    Raises:
        ValueError: NaN, infinity or not one-dimensional.

    Sharpe 1994; standard error at 20 days about 4.3 (Lo 2002).

    >>> round(sharpe(np.array([0.01, -0.01, 0.02])), 2)
    8.34
    """
    deviation = _deviation(daily_returns)
    if deviation is None or deviation < FLAT_STD:
        return None
    return _finite(float(np.mean(daily_returns)) / deviation * math.sqrt(periods_per_year))


def sharpe_standard_error(
    annualised_sharpe: float, n_returns: int, periods_per_year: int = DAYS_PER_YEAR
) -> float | None:
    """Return the standard error of an annualised Sharpe ratio for independent returns (Lo 2002, equation 9).

    Args:
        annualised_sharpe: as `sharpe` returns it.
        n_returns: how many returns it was computed from.
        periods_per_year: what it was annualised with.

    Returns:
        sqrt((1 + s**2 / 2) / n) * sqrt(periods_per_year), s the Sharpe ratio per period; None below 2 returns.

    >>> round(sharpe_standard_error(0.0, 20), 1)
    4.3
    """
    if n_returns < _MIN_RETURNS:
        return None
    half = annualised_sharpe / math.sqrt(2 * periods_per_year)
    return _finite(math.hypot(1.0, half) * math.sqrt(periods_per_year / n_returns))


def sharpe_interval(
    annualised_sharpe: float, n_returns: int, periods_per_year: int = DAYS_PER_YEAR
) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of an annualised Sharpe ratio; None below 2 returns (Lo 2002).

    >>> tuple(round(edge, 1) for edge in sharpe_interval(1.0, 20))
    (-7.4, 9.4)
    """
    error = sharpe_standard_error(annualised_sharpe, n_returns, periods_per_year)
    if error is None:
        return None
    low, high = _finite(annualised_sharpe - _Z_95 * error), _finite(annualised_sharpe + _Z_95 * error)
    return None if low is None or high is None else (low, high)


def sortino(daily_returns: FloatArray, periods_per_year: int = DAYS_PER_YEAR) -> float | None:
    """Return the annualised Sortino ratio, required return 0.

    Returns:
        mean / sqrt(mean(min(r, 0)**2)) * sqrt(periods_per_year); None below 2 returns, or without a losing day.

    Raises:
        ValueError: NaN, infinity or not one-dimensional.

    Sortino and Price 1994, as empyrical computes it.
    """
    require_finite(daily_returns)
    if len(daily_returns) < _MIN_RETURNS:
        return None
    with np.errstate(all="ignore"):
        downside = float(np.sqrt(np.mean(np.minimum(daily_returns, 0.0) ** 2)))
        mean = float(np.mean(daily_returns))
    if not math.isfinite(downside) or downside < FLAT_STD:
        return None
    return _finite(mean / downside * math.sqrt(periods_per_year))


def volatility(daily_returns: FloatArray, periods_per_year: int = DAYS_PER_YEAR) -> float | None:
    """Return the annualised volatility, a ratio: std(ddof=1) * sqrt(periods_per_year); None below 2 returns.

    Raises:
        ValueError: NaN, infinity or not one-dimensional.
    """
    deviation = _deviation(daily_returns)
    return None if deviation is None else _finite(deviation * math.sqrt(periods_per_year))


def total_return(daily_returns: FloatArray) -> float | None:
    """Return the compounded return, a ratio; None without returns, or where it overflows.

    Raises:
        ValueError: NaN, infinity or not one-dimensional.
    """
    growth = _growth(daily_returns)
    return None if growth is None else growth - 1.0


def cagr(daily_returns: FloatArray, periods_per_year: int = DAYS_PER_YEAR) -> float | None:
    """Return the compound annual growth rate, a ratio.

    Returns:
        growth ** (periods_per_year / n) - 1; None without returns, where everything and more was lost, or where it
        overflows.

    Raises:
        ValueError: NaN, infinity or not one-dimensional.
    """
    growth = _growth(daily_returns)
    if growth is None or growth < 0:
        return None
    try:
        return _finite(growth ** (periods_per_year / len(daily_returns)) - 1.0)
    except OverflowError:
        return None


def _deviation(values: FloatArray) -> float | None:
    require_finite(values)
    if len(values) < _MIN_RETURNS:
        return None
    with np.errstate(all="ignore"):
        return _finite(float(np.std(values, ddof=1)))


def _growth(values: FloatArray) -> float | None:
    require_finite(values)
    if len(values) == 0:
        return None
    with np.errstate(all="ignore"):
        return _finite(float(np.prod(1.0 + values)))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
