"""The whole backtest of R1, and its comparable part."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.comparable import comparable_run
from benchmarks.harness import NotMeasured, Target, cold, run, timed
from benchmarks.inputs import CONFIG, END, KLINES, ROOT, START
from benchmarks.peers import LEFT_OUT
from engine.backtest import run_backtest, summary

if TYPE_CHECKING:
    from benchmarks.harness import Figure
    from benchmarks.inputs import Inputs
    from engine.backtest import BacktestSummary

WARM = Target("p50", 0.15, "#2")
COLD = Target("p50", 1.5, "#2")

_CALL = """
import sys
from pathlib import Path
from engine.backtest import run_backtest, summary, summary_text
from engine.clock import parse_time
from engine.config import load_config
from engine.market.imports import open_market
config = load_config(Path(sys.argv[1]))
market = open_market(Path(sys.argv[2]), config.market.symbols, klines=sys.argv[3])
start_ms, end_ms, dead_band = parse_time(sys.argv[4]), parse_time(sys.argv[5]), float(sys.argv[6])
print(summary_text(summary(run_backtest(config, market, dead_band=dead_band, start_ms=start_ms, end_ms=end_ms))))
"""


def full_run(inputs: Inputs) -> BacktestSummary:
    """Run R1 with stops, costs, slippage and funding; return its summary."""
    return summary(
        run_backtest(
            inputs.config,
            inputs.market,
            dead_band=inputs.bundle.rebalance_dead_band_ratio,
            start_ms=inputs.start_ms,
            end_ms=inputs.end_ms,
        )
    )


def figures(inputs: Inputs) -> list[Figure]:
    """Measure the backtest warm, cold, and of its comparable part."""
    inputs.market  # noqa: B018 - read before the stopwatch starts
    scale = inputs.scale
    done = full_run(inputs)
    note = f"stops, fees, slippage, funding, summary; {inputs.market_name}; {done.orders} orders"
    full_length = inputs.data is not None or scale.full_length
    warm = timed(lambda: full_run(inputs), repeats=scale.backtests)
    part = timed(lambda: summary(comparable_run(inputs)), repeats=scale.backtests)
    compared = summary(comparable_run(inputs))
    found = [
        warm.figure("R1, three symbols, warm", *((WARM,) if full_length else ()), note=note),
        part.figure(
            "comparable part, warm",
            note=f"{LEFT_OUT}; {compared.orders} orders, final equity {compared.final_equity_usd:,.0f} USD",
        ),
    ]
    return [*found, *_cold(inputs)]


def _cold(inputs: Inputs) -> list[Figure]:
    if inputs.data is None:
        return []  # the files that a cold process would read are not here
    window = [str(CONFIG), str(inputs.data), KLINES, START, END]
    command = [f"{sys.prefix}/bin/stagegate", "backtest", "-c", window[0], "--data", window[1], "--klines", KLINES]
    command += ["--from", START, "--to", END, "--json"]
    note = "`stagegate backtest`: start Python, read gzipped CSV, run, write trades, equity and picture, print"
    try:
        run(command, inputs.folder)
    except NotMeasured:
        command = [sys.executable, "-c", _CALL, *window, str(inputs.bundle.rebalance_dead_band_ratio)]
        note = "the functions behind `stagegate backtest`: start Python, read gzipped CSV, run, print"
    times = cold(command, ROOT if command[0] == sys.executable else inputs.folder, repeats=inputs.scale.commands)
    return [times.figure("R1, three symbols, cold process", COLD, note=note)]
