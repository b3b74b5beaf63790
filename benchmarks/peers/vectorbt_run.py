"""The comparable part on vectorbt: pandas and Numba for the signals, `Portfolio.from_orders` for the money.

One portfolio of three symbols with shared cash, so it is the closest to R1. `from_orders` knows no equity before it
runs, so the dead-band looks at the weighted position here and at the target in USD in ours: while the signal stands
still, vectorbt keeps the quantity and ours follows the equity. Until then every order is the same to the cent.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.signals import breakout_states, position_of, rebalanced
from benchmarks.peers.task import Outcome, Task, frames_from_files, inside


def portfolio(task: Task, frames: dict[str, Any]) -> Outcome:
    """Run it."""
    import pandas as pd

    vbt = import_module("vectorbt")
    compiled = import_module("numba").njit(cache=True)
    states, traded = compiled(breakout_states), compiled(rebalanced)
    sizes = {}
    for symbol, (name, params) in task.choices.items():
        decided = pd.Series(position_of(name, params, frames[symbol], states), frames[symbol].index)
        decided = decided.shift(1)  # fills at the symbol's next open
        decided.iloc[: task.warmup_bars] = np.nan
        sizes[symbol] = task.weights[symbol] * decided
    table = pd.DataFrame(sizes)
    table = table[inside(task, table.index)]
    size = pd.DataFrame(traded(table.to_numpy(), task.dead_band_ratio), table.index, table.columns)
    close = pd.DataFrame({symbol: frames[symbol]["close"] for symbol in sizes}).ffill().loc[table.index]
    open_ = pd.DataFrame({symbol: frames[symbol]["open"] for symbol in sizes}).loc[table.index]
    done = vbt.Portfolio.from_orders(
        close,
        size=size.where(open_.notna()),
        size_type="targetpercent",
        price=open_.fillna(close),
        val_price=-np.inf,  # sized with the close of the bar before, not with an open it cannot know
        fees=task.fee_ratio,
        init_cash=task.cash_usd,
        cash_sharing=True,
        group_by=True,
        call_seq="auto",
        freq="1h",
    )
    done.sharpe_ratio()
    done.max_drawdown()
    return Outcome(float(done.final_value()), int(done.orders.count()))


if __name__ == "__main__":
    asked = Task.from_json(sys.argv[1])
    print(portfolio(asked, frames_from_files(asked, Path(sys.argv[2]), sys.argv[3])))
