"""The whole backtest of R1, and its comparable part."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.comparable import comparable_run
from benchmarks.harness import Target, cold, timed
from benchmarks.inputs import CONFIG, END, KLINES, ROOT, RULES, START
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
    repeats, window = inputs.scale.commands, [START, END]
    program = [f"{sys.prefix}/bin/stagegate", "backtest", "-c", str(CONFIG), "--rules", str(RULES)]
    program += ["--data", str(inputs.data), "--klines", KLINES, "--from", START, "--to", END]
    whole = cold([*program, "--out", str(inputs.folder / "backtest")], inputs.folder, repeats=repeats)
    asked = [str(CONFIG), str(inputs.data), KLINES, *window, str(inputs.bundle.rebalance_dead_band_ratio)]
    bare = cold([sys.executable, "-c", _CALL, *asked], ROOT, repeats=repeats)
    return [
        whole.figure(
            "`stagegate backtest`, cold process",
            COLD,
            note="start Python, read gzipped CSV, run, print, write every trade, every hour of equity, and a picture",
        ),
        bare.figure("the same without its files, cold process", note="start Python, read gzipped CSV, run, print"),
    ]
