"""How large a position is, when it is changed, and what a change costs. Pure functions of plain numbers.

The same rules hold in backtest, rehearsal, paper and live (domain.md, "Sizing", "Costs").
"""

from __future__ import annotations

from engine.portfolio.costs import BPS, Costs, fill_price, stop_fill_reference
from engine.portfolio.limits import SymbolFilters, reachable
from engine.portfolio.sizing import (
    Bounds,
    needs_rebalance,
    quiet_range,
    sized_on,
    sizing_base,
    target_notional,
    within_bounds,
)
from engine.portfolio.trade import BY_POLICY, Decision, Held, Terms, Why, Wish, decide_trade, trade_reason

__all__ = [
    "BPS",
    "BY_POLICY",
    "Bounds",
    "Costs",
    "Decision",
    "Held",
    "SymbolFilters",
    "Terms",
    "Why",
    "Wish",
    "decide_trade",
    "fill_price",
    "needs_rebalance",
    "quiet_range",
    "reachable",
    "sized_on",
    "sizing_base",
    "stop_fill_reference",
    "target_notional",
    "trade_reason",
    "within_bounds",
]
