"""What each sleeve contributed (A40-A43), and whether live and replay took the same positions (R061)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.metrics.values import MISSING, YOUNG, Metric, known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.metrics.nav import Daily
    from strategies.bars import FloatArray, IntArray

CONTRIBUTION_DAYS = 14
"""domain.md: sleeve_14d."""

CONSISTENCY_BARS = 720
"""domain.md, signal_consistency: unknown with fewer, on either side."""

POSITION_TOLERANCE = 1e-6
"""domain.md, signal_consistency: positions in [-1, 1] further apart are two positions."""


@dataclass(frozen=True)
class Positions:
    """One symbol's strategy positions: int64 (n,) increasing times, float64 (n,) values, NaN for no signal.

    A bar that is missing or came late is left out.
    """

    at_ms: IntArray
    position: FloatArray


@dataclass(frozen=True, slots=True)
class Consistency:
    """How far live and replay agree; `comparisons` is bars times symbols, known even while the ratio is young."""

    ratio: Metric
    matches: int
    comparisons: int


def sleeve_contribution(
    pnl_usd: Daily, equity_usd: Daily, flow_ms: IntArray, flow_usd: FloatArray, *, days: int = CONTRIBUTION_DAYS
) -> Metric:
    """Return a sleeve's contribution: its P&L of each day over the risk equity that day began with, summed (A40).

    Args:
        pnl_usd: the sleeve's cumulative net P&L at daily closes: price P&L - fees - slippage + funding.
        equity_usd: the account's risk equity at daily closes, up to the same day (A53).
        flow_ms: int64 (m,), instants of cash flows; one at the very start of a day belongs to the equity it begins
            with, a later one does not (what it does within the day is in the residual).
        flow_usd: float64 (m,), in (+) or out (-).
        days: 14.

    Returns:
        A ratio; young below `days` complete days, missing with a hole among them.

    Raises:
        ValueError: the two do not end on the same day.
    """
    if len(pnl_usd) and len(equity_usd) and pnl_usd.end_ms[-1] != equity_usd.end_ms[-1]:
        raise ValueError("the sleeve's and the account's days must end together")
    for daily in (pnl_usd, equity_usd):
        status = daily.status(days + 1)
        if status != "ok":
            return Metric(None, status)
    starts_ms = equity_usd.end_ms[-days - 1 : -1]
    with np.errstate(all="ignore"):
        flows = np.array([np.sum(flow_usd[flow_ms == start]) for start in starts_ms])
        base = equity_usd.value[-days - 1 : -1] + flows
        if not np.all((base > 0) & np.isfinite(base)):
            return MISSING
        return known(float(np.sum(np.diff(pnl_usd.value[-days - 1 :]) / base)))


def portfolio_contribution(navs: Daily, *, days: int = CONTRIBUTION_DAYS) -> Metric:
    """Return the sum of the last `days` daily returns, which sleeves and residual add up to.

    Returns:
        A ratio; young below `days` returns, missing with a hole among them.
    """
    status = navs.status(days + 1)
    if status != "ok":
        return Metric(None, status)
    returns = navs.returns()[-days:]
    with np.errstate(all="ignore"):
        return known(float(np.sum(returns)))


def residual(portfolio: Metric, sleeves: Mapping[str, Metric]) -> Metric:
    """Return what the sleeves do not explain: portfolio - sum of sleeves; unknown as soon as one of them is."""
    parts = (portfolio, *sleeves.values())
    if any(part.status == "young" for part in parts):
        return YOUNG
    explained = [part.value for part in sleeves.values() if part.value is not None]
    if portfolio.value is None or len(explained) < len(sleeves):
        return MISSING
    return known(portfolio.value - sum(explained))


def sleeve_return(contribution: Metric, weight: float) -> Metric:
    """Return the sleeve's own return, contribution / weight, which is shown beside the contribution (A40).

    Raises:
        ValueError: a weight that is not positive.
    """
    if not weight > 0:
        raise ValueError(f"a sleeve's weight must be positive, not {weight}")
    return contribution if contribution.value is None else known(contribution.value / weight)


def signal_consistency(live: Mapping[str, Positions], replay: Mapping[str, Positions]) -> Consistency:
    """Return the share of bars on which live and replay took the same position (R061).

    Args:
        live: symbol to the positions that were traded on.
        replay: symbol to the positions of a replay of the same bars.

    Returns:
        matches / (bars * symbols), over every bar either side has for any symbol. A match is a difference of at most
        1e-6 with the same sign, or no signal on both; a missing or late bar is a mismatch. Young unless each symbol
        has 720 bars on each side.
    """
    symbols = sorted(live.keys() | replay.keys())
    series = [side[symbol] for side in (live, replay) for symbol in symbols if symbol in side]
    bars = np.unique(np.concatenate([positions.at_ms for positions in series])) if series else np.empty(0, np.int64)
    comparisons = len(bars) * len(symbols)
    matches = sum(_matches(live[symbol], replay[symbol]) for symbol in symbols if symbol in live and symbol in replay)
    complete = len(series) == 2 * len(symbols) and all(len(each.at_ms) >= CONSISTENCY_BARS for each in series)
    ratio = known(matches / comparisons) if complete and comparisons else YOUNG
    return Consistency(ratio, matches, comparisons)


def _matches(live: Positions, replay: Positions) -> int:
    _, here, there = np.intersect1d(live.at_ms, replay.at_ms, assume_unique=True, return_indices=True)
    ours, theirs = live.position[here], replay.position[there]
    near = (np.abs(ours - theirs) <= POSITION_TOLERANCE) & (np.sign(ours) == np.sign(theirs))
    return int(np.count_nonzero(near | (np.isnan(ours) & np.isnan(theirs))))
