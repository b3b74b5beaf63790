"""One side of a comparison in numbers, over one stretch of time: return, Sharpe ratio, drawdown, trades and costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.metrics import daily_closes, drawdown_series, sharpe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.comparison.trades import Trade
    from strategies.bars import FloatArray, IntArray

PERCENT = 100.0


@dataclass(frozen=True)
class Measures:
    """One side.

    Attributes:
        return_percent: NAV at the end over NAV at the start − 1; None without both marks.
        pnl_usd: the sleeves' results together: price, fees, slippage and funding.
        sharpe: annualised, of the daily returns in the stretch; None below two of them, or where they are flat.
        returns: how many there are.
        max_drawdown_percent: the largest below the running peak of the stretch, its first mark included.
        trades: how many.
        turnover_usd: their notional.
        fees_usd: paid.
        funding_usd: received (+) or paid (−).
    """

    return_percent: float | None
    pnl_usd: float
    sharpe: float | None
    returns: int
    max_drawdown_percent: float | None
    trades: int
    turnover_usd: float
    fees_usd: float
    funding_usd: float


@dataclass(frozen=True)
class Curve:
    """One side's marks, oldest first.

    Attributes:
        at_ms: int64 (n,), increasing.
        nav: float64 (n,), per unit, flows left out.
        pnl_usd: float64 (n, S), cumulative, a column a symbol.
        symbols: the order of the columns.
    """

    at_ms: IntArray
    nav: FloatArray
    pnl_usd: FloatArray
    symbols: tuple[str, ...]

    def pnl_between(self, from_ms: int, to_ms: int) -> dict[str, float]:
        """Return what each sleeve earned from the last mark at or before `from_ms` to that of `to_ms`."""
        first, last = (max(int(np.searchsorted(self.at_ms, at, side="right")) - 1, 0) for at in (from_ms, to_ms))
        earned = self.pnl_usd[last] - self.pnl_usd[first]
        return dict(zip(self.symbols, earned.tolist(), strict=True))


def measures(
    curve: Curve,
    from_ms: int,
    to_ms: int,
    *,
    trades: Iterable[Trade],
    fees_usd: float,
    funding_usd: float,
) -> Measures:
    """Return one side in numbers over ``[from_ms, to_ms]``, both ends marks of midnight or the launch."""
    inside = (curve.at_ms >= from_ms) & (curve.at_ms <= to_ms)
    at_ms, nav = curve.at_ms[inside], curve.nav[inside]
    daily = daily_closes(at_ms, nav, to_ms).returns()
    returns = daily[np.isfinite(daily)]
    made = tuple(trades)
    whole = len(nav) > 1 and nav[0] > 0
    return Measures(
        return_percent=float(nav[-1] / nav[0] - 1.0) * PERCENT if whole else None,
        pnl_usd=math.fsum(curve.pnl_between(from_ms, to_ms).values()),
        sharpe=sharpe(returns),
        returns=len(returns),
        max_drawdown_percent=float(drawdown_series(nav, start=float(nav[0])).max()) * PERCENT if whole else None,
        trades=len(made),
        turnover_usd=math.fsum(trade.notional_usd for trade in made),
        fees_usd=fees_usd,
        funding_usd=funding_usd,
    )


def apart(live: float | None, replay: float | None) -> float | None:
    """Return the distance of two values, never negative; None where one is unknown."""
    return None if live is None or replay is None else abs(live - replay)


def sharpe_apart(live: Measures, replay: Measures) -> float | None:
    """Return the distance of two Sharpe ratios; 0 where both sides did nothing at all, None where one is unknown."""
    still = (live, replay)
    if all(side.sharpe is None and side.return_percent == 0.0 and side.returns > 1 for side in still):
        return 0.0
    return apart(live.sharpe, replay.sharpe)
