"""The comparable part on backtesting.py, a `Strategy` as its users write; one account a symbol.

It knows no portfolio, so each account begins with its weight's share of the cash and is rebalanced to its own equity.
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.signals import position_of
from benchmarks.peers.task import Outcome, Task, frames_from_files, inside

UNIT = 1e-6
"""Of the base asset: what `FractionalBacktest` trades whole numbers of."""


def accounts(task: Task, frames: dict[str, Any]) -> Outcome:
    """Run the three accounts, one after another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of missing volumes, and of trades that are open at the end
        done = [_account(task, symbol, frames[symbol]) for symbol in task.choices]
    return Outcome(sum(each.equity_usd for each in done), sum(each.orders for each in done))


def _account(task: Task, symbol: str, frame: Any) -> Outcome:
    backtesting, lib = import_module("backtesting"), import_module("backtesting.lib")
    name, params = task.choices[symbol]
    position = position_of(name, params, frame).copy()
    position[: task.warmup_bars - 1] = np.nan
    rows = inside(task, frame.index)
    part = frame[rows].rename(columns=str.capitalize).assign(Volume=1.0)
    placed = {"orders": 0}

    class Rebalanced(backtesting.Strategy):  # type: ignore[misc, name-defined] # the package is typed as Any
        """Holds the share of its equity that the signal says, give or take the dead-band."""

        def init(self) -> None:
            self.wanted = self.I(partial(np.asarray, position[rows]), name="wanted", plot=False)
            self.last_target_usd = 0.0

        def next(self) -> None:
            share = self.wanted[-1]
            target_usd = share * self.equity
            last = self.last_target_usd
            if np.isnan(share) or target_usd == last:
                return
            changed = abs(target_usd - last) >= task.dead_band_ratio * abs(last)
            if not (target_usd == 0.0 or last * target_usd <= 0.0 or changed):
                return
            delta = round(target_usd / self.data.Close[-1]) - self.position.size
            if delta:
                (self.buy if delta > 0 else self.sell)(size=abs(delta))
                placed["orders"] += 1
            self.last_target_usd = target_usd

    bt = lib.FractionalBacktest(
        part,
        Rebalanced,
        cash=task.cash_usd * task.weights[symbol],
        commission=task.fee_ratio,
        fractional_unit=UNIT,
        finalize_trades=False,
    )
    stats = bt.run()
    return Outcome(float(stats["_equity_curve"]["Equity"].iloc[-1]), placed["orders"])


if __name__ == "__main__":
    asked = Task.from_json(sys.argv[1])
    print(accounts(asked, frames_from_files(asked, Path(sys.argv[2]), sys.argv[3])))
