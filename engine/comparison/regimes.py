"""The market of a period against its own past: volatility, correlation and funding (SOP §8, R221-R223).

Each is measured over the period, over the stretch of the same length before it, and over every stretch of that length
in the whole history before the period's end, one beginning at each midnight. Where the period lies among those is its
rank, 0 to 100: below `LOW` the regime is called low, above `HIGH` high, else usual. Nothing after the period is read.

- Volatility: standard deviation (ddof 1) of hourly logarithmic returns, times √8,760, in percent.
- Correlation: Pearson's, of the hourly logarithmic returns of two symbols at the hours that both have.
- Funding: the sum of a symbol's settled rates, scaled to a year, in percent; a long pays a positive one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS, HOUR_MS
from engine.metrics.returns import DAYS_PER_YEAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.market.series import FundingRates, Market
    from strategies.bars import Bars, FloatArray, IntArray

LOW, HIGH = 10.0, 90.0
"""Ranks beyond which a regime has changed: a tenth of all stretches on either side. A word, no decision."""

PERCENT = 100.0
_HOURS_A_YEAR = DAYS_PER_YEAR * DAY_MS / HOUR_MS
_FEWEST_STRETCHES = 30
_SAMPLES_SHARE = 0.5  # of the hours of a stretch: with fewer it is not known


@dataclass(frozen=True)
class Regime:
    """One measure of the market.

    Attributes:
        what: volatility, correlation or funding.
        subject: a symbol, or two.
        unit: percent or ratio.
        now: over the period; None where it is not known.
        before: over the stretch of the same length before it.
        median: of all stretches of the history.
        rank: 0 to 100, the share of them below `now`; None with fewer than 30.
        stretches: how many there are.
    """

    what: str
    subject: str
    unit: str
    now: float | None
    before: float | None
    median: float | None
    rank: float | None
    stretches: int

    @property
    def word(self) -> str:
        """Say the regime in one word: low, usual, high or unknown."""
        if self.rank is None:
            return "unknown"
        return "low" if self.rank < LOW else "high" if self.rank > HIGH else "usual"


def regimes(market: Market, from_ms: int, to_ms: int) -> tuple[Regime, ...]:
    """Return every measure of the period ``[from_ms, to_ms)``.

    Args:
        market: with as much of the past as there is.
        from_ms: a midnight, or the launch.
        to_ms: a midnight.
    """
    found: list[Regime] = []
    returns = {symbol: _returns(bars, to_ms) for symbol, bars in market.bars.items()}
    for symbol, (at_ms, values) in returns.items():
        known = _volatility(at_ms, values)
        found.append(_regime("volatility", symbol, "percent", known, at_ms, from_ms, to_ms))
    for one, other in combinations(market.bars, 2):
        at_ms, left, right = _together(returns[one], returns[other])
        known = _correlation(at_ms, left, right)
        found.append(_regime("correlation", f"{one} and {other}", "ratio", known, at_ms, from_ms, to_ms))
    for symbol, rates in market.funding.items():
        seen = rates.time_ms < to_ms
        times = rates.time_ms[seen]
        found.append(_regime("funding", symbol, "percent", _funding(rates, to_ms), times, from_ms, to_ms))
    return tuple(found)


def _regime(
    what: str,
    subject: str,
    unit: str,
    measure: Callable[[int, int], float | None],
    at_ms: IntArray,
    from_ms: int,
    to_ms: int,
) -> Regime:
    length = to_ms - from_ms
    history = [
        value for start in _starts(at_ms, length, to_ms) if (value := measure(start, start + length)) is not None
    ]
    now = measure(from_ms, to_ms)
    rank = None
    if now is not None and len(history) >= _FEWEST_STRETCHES:
        rank = sum(value < now for value in history) / len(history) * PERCENT
    median = float(np.median(history)) if history else None
    return Regime(what, subject, unit, now, measure(from_ms - length, from_ms), median, rank, len(history))


def _starts(at_ms: IntArray, length: int, to_ms: int) -> Iterator[int]:
    """Yield the midnights at which a stretch of the history begins; the last one ends where the period does."""
    if len(at_ms) and length > 0:
        first = -(-int(at_ms[0]) // DAY_MS) * DAY_MS
        yield from range(first, to_ms - length + 1, DAY_MS)


def _returns(bars: Bars, to_ms: int) -> tuple[IntArray, FloatArray]:
    """Return the closes' instants and the logarithmic returns of hours that follow one another."""
    closes = bars.open_time_ms + HOUR_MS
    seen = closes <= to_ms
    times, prices = closes[seen], bars.close[seen]
    joined = np.diff(times) == HOUR_MS
    return times[1:][joined], np.diff(np.log(prices))[joined]


def _together(
    one: tuple[IntArray, FloatArray], other: tuple[IntArray, FloatArray]
) -> tuple[IntArray, FloatArray, FloatArray]:
    at_ms, here, there = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    return at_ms, one[1][here], other[1][there]


def _volatility(at_ms: IntArray, values: FloatArray) -> Callable[[int, int], float | None]:
    sums = _sums(values, values * values)

    def measure(start_ms: int, end_ms: int) -> float | None:
        first, last = _rows(at_ms, start_ms, end_ms)
        count = last - first
        if not _enough(count, end_ms - start_ms):
            return None
        total, squares = (float(each[last] - each[first]) for each in sums)
        return math.sqrt(max(0.0, (squares - total * total / count) / (count - 1)) * _HOURS_A_YEAR) * PERCENT

    return measure


def _correlation(at_ms: IntArray, left: FloatArray, right: FloatArray) -> Callable[[int, int], float | None]:
    sums = _sums(left, right, left * left, right * right, left * right)

    def measure(start_ms: int, end_ms: int) -> float | None:
        first, last = _rows(at_ms, start_ms, end_ms)
        count = last - first
        if not _enough(count, end_ms - start_ms):
            return None
        one, other, ones, others, both = (float(each[last] - each[first]) for each in sums)
        spread = (ones - one * one / count) * (others - other * other / count)
        return (both - one * other / count) / math.sqrt(spread) if spread > 0 else None

    return measure


def _funding(rates: FundingRates, to_ms: int) -> Callable[[int, int], float | None]:
    seen = rates.time_ms < to_ms
    at_ms, (sums,) = rates.time_ms[seen], _sums(rates.rate[seen])

    def measure(start_ms: int, end_ms: int) -> float | None:
        first, last = (int(np.searchsorted(at_ms, each, side="left")) for each in (start_ms, end_ms))
        days = (end_ms - start_ms) / DAY_MS
        if not len(at_ms) or start_ms < int(at_ms[0]) - DAY_MS:
            return None  # the record begins later
        return float(sums[last] - sums[first]) / days * DAYS_PER_YEAR * PERCENT if last > first and days > 0 else None

    return measure


def _sums(*columns: FloatArray) -> list[FloatArray]:
    """Return each column's running sum with a leading 0."""
    return [np.concatenate([[0.0], np.cumsum(column)]) for column in columns]


def _rows(at_ms: IntArray, start_ms: int, end_ms: int) -> tuple[int, int]:
    """Return the rows of the returns that end in ``(start_ms, end_ms]``."""
    first, last = (int(np.searchsorted(at_ms, each, side="right")) for each in (start_ms, end_ms))
    return first, last


def _enough(count: int, length_ms: int) -> bool:
    return count > 1 and count >= _SAMPLES_SHARE * length_ms / HOUR_MS
