"""The comparable part of R1 on vectorbt and on backtesting.py: warm, and as a cold process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.comparable import comparable_run, frames, separate_accounts_usd, task
from benchmarks.harness import cold, timed
from benchmarks.inputs import KLINES, ROOT
from benchmarks.machine import need
from benchmarks.peers import LEFT_OUT
from benchmarks.peers.backtesting_run import accounts
from benchmarks.peers.vectorbt_run import portfolio

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from benchmarks.harness import Figure
    from benchmarks.inputs import Inputs
    from benchmarks.peers.task import Outcome, Task


def vectorbt_figures(inputs: Inputs) -> list[Figure]:
    """Measure vectorbt; its first run, in which Numba compiles, is not kept."""
    need("vectorbt")
    ours_usd = float(comparable_run(inputs).history.equity_usd[-1])
    return _figures(inputs, "vectorbt", portfolio, ours_usd, inputs.scale.backtests)


def backtesting_figures(inputs: Inputs) -> list[Figure]:
    """Measure backtesting.py."""
    need("backtesting")
    ours_usd = separate_accounts_usd(inputs)
    return _figures(inputs, "backtesting.py, three accounts", accounts, ours_usd, inputs.scale.peers)


def _figures(
    inputs: Inputs, name: str, run: Callable[[Task, dict[str, Any]], Outcome], ours_usd: float, repeats: int
) -> list[Figure]:
    asked, tables = task(inputs), frames(inputs)
    outcome = run(asked, tables)
    note = f"{LEFT_OUT}; {outcome.orders} orders, final equity {outcome.equity_usd:,.0f} USD (ours {ours_usd:,.0f})"
    warm = timed(lambda: run(asked, tables), repeats=repeats, warm_up=0)
    found = [warm.figure(f"{name}, comparable part, warm", ours=False, note=note)]
    if inputs.data is None:
        return found
    command = [sys.executable, "-m", run.__module__, asked.to_json(), str(inputs.data), KLINES]
    times = cold(command, ROOT, repeats=inputs.scale.peers)
    note = "start Python, import, read gzipped CSV with pandas, run; Numba's caches warm"
    return [*found, times.figure(f"{name}, comparable part, cold process", ours=False, note=note)]
