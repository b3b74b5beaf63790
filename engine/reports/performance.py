"""What an account did over the whole stretch of a report; from marks, through the project's own metrics."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine import metrics
from engine.clock import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.ledger import Marks
    from strategies.bars import FloatArray, IntArray

_PERCENT = 100
_FEW_DAYS = 62


@dataclass(frozen=True)
class Performance:
    """One account from its first mark to its last; ratios as percent, None where unknown.

    Attributes:
        start_usd: equity at the first mark.
        end_usd: equity at the last, after every cash flow.
        grown_usd: what `start_usd` became, cash flows left out.
        return_percent: NAV at the end over NAV at the start, so deposits count for nothing (A13).
        cagr_percent: the same as a yearly rate.
        volatility_percent: annualised, of daily returns.
        sharpe: annualised, risk-free rate 0.
        sharpe_low: lower end of its 95 % interval (Lo 2002), as `sharpe_high` is the upper.
        max_drawdown_percent: the largest below the running peak of the whole stretch, restarts notwithstanding.
        worst_day_percent: the smallest daily return.
        returns: how many daily returns all this rests on.
    """

    start_usd: float
    end_usd: float
    grown_usd: float | None
    return_percent: float | None
    cagr_percent: float | None
    volatility_percent: float | None
    sharpe: float | None
    sharpe_low: float | None
    sharpe_high: float | None
    max_drawdown_percent: float | None
    worst_day_percent: float | None
    returns: int


def performance(marks: Marks) -> Performance | None:
    """Return an account's performance; None without a mark. Days without a closing mark give no return."""
    if len(marks) == 0:
        return None
    first, last = float(marks.nav[0]), float(marks.nav[-1])
    daily = metrics.daily_closes(marks.at_ms, marks.nav, int(marks.at_ms[-1])).returns()
    returns = daily[np.isfinite(daily)]
    ratio = metrics.sharpe(returns)
    interval = None if ratio is None else metrics.sharpe_interval(ratio, len(returns))
    return Performance(
        start_usd=float(marks.equity_usd[0]),
        end_usd=float(marks.equity_usd[-1]),
        grown_usd=float(marks.equity_usd[0]) * last / first if first > 0 else None,
        return_percent=(last / first - 1) * _PERCENT if first > 0 else None,
        cagr_percent=_percent(metrics.cagr(returns)),
        volatility_percent=_percent(metrics.volatility(returns)),
        sharpe=ratio,
        sharpe_low=None if interval is None else interval[0],
        sharpe_high=None if interval is None else interval[1],
        max_drawdown_percent=float(drawdown_percent(marks.at_ms, marks.nav).max()) if first > 0 else None,
        worst_day_percent=float(returns.min()) * _PERCENT if len(returns) else None,
        returns=len(returns),
    )


def drawdown_percent(at_ms: IntArray, nav: FloatArray, epochs_ms: Sequence[int] = ()) -> FloatArray:
    """Return the current drawdown at each mark.

    Args:
        at_ms: int64 (n,), increasing.
        nav: float64 (n,), per unit, positive at the start of each epoch.
        epochs_ms: instants of signed restarts; the peak begins anew with the NAV of that instant (A05, A68).

    Returns:
        float64 (n,), percent below the peak, never negative.
    """
    cuts = [0, *np.searchsorted(at_ms, sorted(epochs_ms), side="right").tolist(), len(nav)]
    found = np.zeros(len(nav))
    for start, stop in pairwise(cuts):
        if stop > start:
            peak = float(nav[max(start - 1, 0)])
            found[start:stop] = metrics.drawdown_series(nav[start:stop], start=peak) * _PERCENT
    return found


def period_rows(at_ms: IntArray) -> list[tuple[str, int, int]]:
    """Return ``(period, first row, last row)``: a month each, or a day each where there are few days.

    Args:
        at_ms: int64 (n,), increasing; a mark at midnight ends the day before, but the very first opens the next.
    """
    if len(at_ms) == 0:
        return []
    by_day = at_ms[-1] - at_ms[0] <= _FEW_DAYS * DAY_MS
    periods = (at_ms - 1).astype("datetime64[ms]").astype("datetime64[D]" if by_day else "datetime64[M]")
    periods[0] = periods[min(1, len(periods) - 1)]
    starts = np.flatnonzero(np.append(True, periods[1:] != periods[:-1]))
    stops = [*starts[1:].tolist(), len(at_ms)]
    return [(str(periods[start]), int(start), int(stop) - 1) for start, stop in zip(starts, stops, strict=True)]


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else ratio * _PERCENT
