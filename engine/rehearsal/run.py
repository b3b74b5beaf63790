"""Runs a rehearsal from a request to files: market, engines, a new ledger, the loop, the report.

The ledger is written beside its final name and takes that name only when it is whole; an interrupted run leaves the
previous rehearsal as it was.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.backstop import require_backstop
from engine.clock import DAY_MS, iso, parse_time
from engine.config import load_config, load_filters, require_supported
from engine.errors import Problem, UsageError
from engine.ledger import Ledger
from engine.market.imports import open_market
from engine.market.synthetic import synthetic_market
from engine.operations.stages.rollout import STAGES
from engine.policy.bundle import load_bundle
from engine.policy.worker import Worker
from engine.rehearsal.approvals import approvals_from
from engine.rehearsal.loop import Plan, Progress, Rehearsal
from engine.reports.rehearsal_report import write_rehearsal_report
from engine.version import version
from strategies.ensemble import make_sleeves

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.config import FrozenConfig
    from engine.market.series import Market
    from engine.policy.decide import Engine

    CarryOut = Callable[[Plan, Ledger, Engine, Callable[[Progress], None]], None]

SYNTHETIC_START = "2024-01-01"
SYNTHETIC_DAYS = 366


@dataclass(frozen=True)
class RehearsalRequest:
    """What the command line asks for.

    Attributes:
        config: the frozen configuration.
        rules: the bundle of policies.
        out: the folder of ledger and report.
        seed: of the synthetic market; unused with `data`.
        days: of the synthetic market; unused with `data`.
        data: recorded prices instead: a folder or a store.
        klines: the folder of `data` that holds the prices.
        from_ms: the first day; required with `data`, of a synthetic market its first one if None.
        to_ms: the end, excluded; required with `data`.
        stage: to begin at.
        approve: ``all``, ``none`` or a script.
        command: as typed, for the report's foot.
        stages: whether the stage policy decides too; without it the stage stays what it is, but for restarts.
    """

    config: Path
    rules: Path
    out: Path
    seed: int
    days: int
    data: Path | None
    klines: str
    from_ms: int | None
    to_ms: int | None
    stage: int
    approve: str
    command: str
    stages: bool = False


@dataclass(frozen=True)
class Rehearsed:
    """Where the results are; `report` is None where none was asked for."""

    ledger: Path
    report: Path | None


def on_fast_loop(plan: Plan, ledger: Ledger, engine: Engine, progress: Callable[[Progress], None]) -> None:
    """Rehearse bar by bar: orders fill at the open, no venue is between."""
    Rehearsal(plan, ledger, engine, version()).run(progress)


def rehearse(
    request: RehearsalRequest,
    progress: Callable[[Progress], None],
    *,
    report: bool = True,
    carry_out: CarryOut = on_fast_loop,
) -> Rehearsed:
    """Run the rehearsal.

    Args:
        request: what is asked for.
        progress: called with every day.
        report: whether to write the report beside the ledger.
        carry_out: goes through the plan and writes the ledger.

    Raises:
        StagegateError: configuration, policies, prices or approvals are wrong, or the folder cannot be written.
    """
    config = load_config(request.config)
    require_supported(config)
    bundle = load_bundle(request.rules)
    require_backstop(config, bundle)
    market, start_ms, end_ms = _market(request, config)
    stages = bundle.policies["stages"].stages
    if request.stage not in stages or not stages[request.stage].cap_usd:
        known = ", ".join(str(stage) for stage in stages if stages[stage].cap_usd)
        problem = f"stage {request.stage} has no capital to rehearse"
        raise UsageError(Problem("stage", "--stage", problem, f"one of {known}"))
    plan = Plan(
        market,
        make_sleeves(config.ensemble.strategies, market.bars, config.market.symbols, config.backtest.slippage_bps),
        config,
        bundle,
        start_ms,
        end_ms,
        request.stage,
        approvals_from(request.approve),
        load_filters(bundle.filters.path, config.market.symbols) if bundle.filters else {},
    )
    request.out.mkdir(parents=True, exist_ok=True)
    partial, final = request.out / "ledger.db.part", request.out / "ledger.db"
    for leftover in request.out.glob("ledger.db.part*"):
        leftover.unlink()
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger.open(partial, create=True))
        engine = stack.enter_context(Worker(bundle.policies["action"]))
        if request.stages:
            plan = replace(plan, stage_engine=stack.enter_context(Worker(bundle.policies[STAGES])))
        ledger.set_meta(**_meta(request, start_ms, end_ms))
        carry_out(plan, ledger, engine, progress)
    for leftover in request.out.glob("ledger.db-*"):
        leftover.unlink()
    partial.replace(final)
    return Rehearsed(final, write_rehearsal_report(final, request.out) if report else None)


def _market(request: RehearsalRequest, config: FrozenConfig) -> tuple[Market, int, int]:
    if request.data is None:
        start_ms = parse_time(SYNTHETIC_START)
        if request.days < 1:
            problem = f"{request.days} days are no period"
            raise UsageError(Problem("range", "--days", problem, "rehearse at least one day"))
        end_ms = start_ms + request.days * DAY_MS
        market = synthetic_market(request.seed, start_ms=start_ms, days=request.days)
        span = request.from_ms or start_ms, request.to_ms or end_ms
        if span[0] % DAY_MS or not start_ms <= span[0] < span[1] <= end_ms:
            problem = f"{iso(span[0])} to {iso(span[1])} is no range of days of the synthetic market"
            help_ = f"it is from {iso(start_ms)} to {iso(end_ms)}; begin at midnight UTC"
            raise UsageError(Problem("range", "--from", problem, help_))
        return market, *span
    if request.from_ms is None or request.to_ms is None:
        help_ = "add --from 2022-03-01 --to 2023-03-01"
        raise UsageError(Problem("range", "--data", "recorded prices need a range", help_))
    if request.from_ms % DAY_MS or request.from_ms >= request.to_ms:
        problem = f"{iso(request.from_ms)} to {iso(request.to_ms)} is no range of days"
        raise UsageError(Problem("range", "--from", problem, "begin at midnight UTC, end later"))
    return open_market(request.data, config.market.symbols, klines=request.klines), request.from_ms, request.to_ms


def _meta(request: RehearsalRequest, start_ms: int, end_ms: int) -> dict[str, str | int]:
    synthetic = {"seed": str(request.seed), "source": "synthetic"}
    source = synthetic if request.data is None else {"source": str(request.data), "klines": request.klines}
    if request.stages:
        source = {**source, "stages": "decided"}
    return {
        "kind": "rehearsal",
        "created_at_ms": start_ms,
        "from_ms": start_ms,
        "to_ms": end_ms,
        "stage": request.stage,
        "approve": request.approve,
        "command": request.command,
        "engine_version": version(),
        **source,
    }


def default_folder(seed: int, data: Path | None, from_ms: int | None, to_ms: int | None) -> Path:
    """Return where a rehearsal's files go unless told otherwise: one folder for the same rehearsal, whenever run."""
    root = Path("reports/rehearsals")
    if data is None or from_ms is None or to_ms is None:
        return root / f"seed-{seed}"
    return root / f"{iso(from_ms)[:10]}_{iso(to_ms)[:10]}"
