"""The command line as cold processes: what a person waits for."""

from __future__ import annotations

import sys
from itertools import count
from typing import TYPE_CHECKING

from benchmarks.harness import Target, cold, run, timed
from benchmarks.inputs import RULES, SEED
from engine.clock import DAY_MS, HOUR_MS, iso, parse_time
from engine.ledger import Ledger
from engine.market.synthetic import synthetic_market
from engine.policy.worker import Worker
from engine.rehearsal.approvals import ApproveAll
from engine.rehearsal.loop import Plan, Rehearsal
from engine.version import version
from strategies.ensemble import make_sleeves

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness import Figure
    from benchmarks.inputs import Inputs

_START_MS = parse_time("2024-01-01")
_STAGE = 3


def rehearsed_ledger(inputs: Inputs) -> Path:
    """Rehearse a few weeks of the synthetic market and return the ledger."""
    days = inputs.scale.rehearsed_days
    market = synthetic_market(SEED, start_ms=_START_MS, days=days)
    config, end_ms = inputs.config, _START_MS + days * DAY_MS
    symbols = config.market.symbols
    sleeves = make_sleeves(config.ensemble.strategies, market.bars, symbols, config.backtest.slippage_bps)
    plan = Plan(market, sleeves, config, inputs.bundle, _START_MS, end_ms, _STAGE, ApproveAll())
    path = inputs.folder / "ledger.db"
    with Ledger.open(path, create=True) as ledger, Worker(inputs.action) as engine:
        ledger.set_meta(
            kind="rehearsal",
            created_at_ms=_START_MS,
            from_ms=_START_MS,
            to_ms=end_ms,
            stage=_STAGE,
            seed=SEED,
            source="synthetic",
            engine_version=version(),
        )
        Rehearsal(plan, ledger, engine, version()).run(lambda _: None)
    return path


def figures(inputs: Inputs) -> list[Figure]:
    """Measure the help, a new verdict with its worker, and a recorded verdict."""
    program = f"{sys.prefix}/bin/stagegate"
    repeats = inputs.scale.commands
    found = [
        cold(["true"], inputs.folder, repeats=repeats).figure(
            "an empty process (`true`)", ours=False, note="what starting any process costs here"
        ),
        cold([sys.executable, "-c", "pass"], inputs.folder, repeats=repeats).figure(
            "an empty Python process", ours=False, note="what starting Python costs here"
        ),
        cold([program, "--help"], inputs.folder, repeats=repeats).figure(
            "`stagegate --help`", Target("p50", 0.25, "#2"), note="cold process"
        ),
    ]
    ledger = rehearsed_ledger(inputs)
    exits = tuple(inputs.action.exit_codes.values())
    ask = [program, "verdict", "--ledger", str(ledger), "--rules", str(RULES), "--at"]
    days = inputs.scale.rehearsed_days
    hours = count(1)

    def new_verdict() -> None:
        """Ask about the next hour of the last day; a rehearsal records only days and changes, so it is decided anew."""
        run([*ask, iso(_START_MS + (days - 1) * DAY_MS + next(hours) * HOUR_MS)], inputs.folder, exits)

    decided = timed(new_verdict, repeats=repeats)
    note = f"cold process, ledger of {days} days, decided by both engines (worker started and ended) and recorded"
    found.append(decided.figure("`stagegate verdict`, decided", Target("p50", 0.6, "#2"), note=note))
    last = iso(_START_MS + days * DAY_MS)
    recorded = cold([*ask, last], inputs.folder, repeats=repeats, exit_codes=exits)
    within = Target("p50", 0.6, "#2")
    return [*found, recorded.figure("`stagegate verdict`, recorded before", within, note="cold process")]
