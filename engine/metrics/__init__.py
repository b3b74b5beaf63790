"""Every metric of domain.md's table, from marks, fills, funding and cash flows. Pure; NumPy only.

Series functions (`engine.metrics.returns`) take an array and return a number or None. Functions at an instant take the
history and `at_ms`, cut what they need themselves, never look past `at_ms`, and return a `Metric`: a finite value, or
why there is none.
"""

from engine.metrics.costs import (
    Costs,
    ParentOrder,
    Slippage,
    parent_orders,
    slippage,
    total_costs,
)
from engine.metrics.counts import complete_days, events_within
from engine.metrics.drawdowns import drawdown, drawdown_series, max_drawdown
from engine.metrics.funding import funding_drag, funding_drift
from engine.metrics.nav import (
    Daily,
    Units,
    daily_closes,
    lowest_window_return,
    nav_series,
    rolling_sharpe,
    sharpe_history,
    window_return,
)
from engine.metrics.returns import (
    cagr,
    sharpe,
    sharpe_interval,
    sharpe_standard_error,
    sortino,
    total_return,
    volatility,
)
from engine.metrics.sleeves import (
    Consistency,
    Positions,
    portfolio_contribution,
    residual,
    signal_consistency,
    sleeve_contribution,
    sleeve_return,
)
from engine.metrics.values import MISSING, YOUNG, Metric, known

__all__ = [
    "MISSING",
    "YOUNG",
    "Consistency",
    "Costs",
    "Daily",
    "Metric",
    "ParentOrder",
    "Positions",
    "Slippage",
    "Units",
    "cagr",
    "complete_days",
    "daily_closes",
    "drawdown",
    "drawdown_series",
    "events_within",
    "funding_drag",
    "funding_drift",
    "known",
    "lowest_window_return",
    "max_drawdown",
    "nav_series",
    "parent_orders",
    "portfolio_contribution",
    "residual",
    "rolling_sharpe",
    "sharpe",
    "sharpe_history",
    "sharpe_interval",
    "sharpe_standard_error",
    "signal_consistency",
    "sleeve_contribution",
    "sleeve_return",
    "slippage",
    "sortino",
    "total_costs",
    "total_return",
    "volatility",
    "window_return",
]
