"""The suites by name, each run in a process of its own so that none inherits another's memory and imports."""

from __future__ import annotations

from benchmarks import backtesting_side, backtests, bundles, commands, memory, rules_side, verdicts, vectorbt_side

SUITES = {
    "backtest": backtests.figures,
    "vectorbt": vectorbt_side.figures,
    "backtesting.py": backtesting_side.figures,
    "verdict": verdicts.figures,
    "zen-engine": rules_side.zen_figures,
    "python": rules_side.python_figures,
    "commands": commands.figures,
    "bundle": bundles.figures,
    "memory": memory.figures,
}
LONG = ("memory",)
