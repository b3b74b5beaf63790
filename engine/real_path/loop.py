"""The real path, rehearsed: desk, adapter and simulated venue in one loop of virtual time.

Everything is what runs with real money: python-binance talks HTTP to the simulator, orders are recorded before they
leave, fills come from the venue's history. Only the clock is virtual and the prices are recorded or synthetic ones.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.backtest import Simulation
from engine.clock import DAY_MS, HOUR_MS, SECOND_MS
from engine.config import load_filters
from engine.execution.binance.client import Addresses, Keys
from engine.execution.binance.connection import connected
from engine.execution.permit import Permit
from engine.execution.reconcile import venue_opening
from engine.live.hands import hands_at
from engine.live.opening import Hands, Release, launch, open_desk
from engine.live.shadow import Shadow
from engine.live.stages import Staging
from engine.portfolio import Costs
from engine.rehearsal.loop import Progress
from engine.simulator.exchange import Exchange
from engine.simulator.faults import NONE
from engine.simulator.recorded import RecordedPrices
from engine.simulator.server import SimulatorServer
from engine.simulator.specs import usual_spec
from engine.timeline import run_virtual, sleep_until
from engine.version import version
from strategies.ensemble import make_sleeves

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from engine.clock import Clock
    from engine.execution.flattened import FlattenReport
    from engine.execution.venue import Venue
    from engine.governor import Approvals
    from engine.ledger import Ledger
    from engine.live.desk import Desk
    from engine.live.desk_parts import BarReport
    from engine.market.series import Market
    from engine.policy.decide import Engine
    from engine.rehearsal.loop import Plan
    from engine.simulator.faults import FaultPlan
    from engine.simulator.specs import ExchangeSpec

ACCOUNT = "desk"
KEYS = Keys("rehearsal-key", "rehearsal-secret")
"""Of the simulated account: no venue knows them."""

UNSIGNED = Path(os.devnull)
"""The allowed-signers file of a rehearsal: nobody signs."""

AFTER_CLOSE_MS = 50
IDLE_S = DAY_MS / SECOND_MS
"""How long idle connections stay open: none is made anew for each bar, though an hour lies between two."""

MARGIN_OVER_CAPITAL = 1.05
"""The wallet of a rehearsal: the capital and a little idle cash, as a desk's would have (A53)."""


@dataclass(frozen=True)
class Course:
    """What is rehearsed on the real path.

    Attributes:
        market: prices and funding, warm-up included.
        release: configuration and policies.
        start_ms: the launch: the close of a bar.
        end_ms: the end, excluded.
        stage: to begin at; its cap is the capital.
        seed: of the simulated venue.
        spec: the rules of the simulated venue; None: the usual ones.
        faults: what goes wrong.
        stage_engine: as in `Plan`.
    """

    market: Market
    release: Release
    start_ms: int
    end_ms: int
    stage: int
    seed: int
    spec: ExchangeSpec | None = None
    faults: FaultPlan = NONE
    stage_engine: Engine | None = None

    @property
    def capital_usd(self) -> float:
        """The stage's cap."""
        return float(self.release.bundle.policies["stages"].stages[self.stage].cap_usd)


@dataclass(frozen=True)
class Scene:
    """A desk at its simulated venue.

    Attributes:
        desk: the desk, launched.
        venue: its adapter.
        exchange: the venue's own books.
        server: the venue's door.
        permit: to add risk.
        clock: virtual time.
        flatten: closes the book.
        hands: what the desk reaches the venue with, to open another on the same ledger.
    """

    desk: Desk
    venue: Venue
    exchange: Exchange
    server: SimulatorServer
    permit: Permit
    clock: Clock
    flatten: Callable[[str], Awaitable[FlattenReport]]
    hands: Hands


@asynccontextmanager
async def staged(
    course: Course, ledger: Ledger, engine: Engine, approvals: Approvals, clock: Clock
) -> AsyncIterator[Scene]:
    """Open a venue with an account, launch a desk on a new ledger, and close both at the end.

    Args:
        course: what is rehearsed.
        ledger: new.
        engine: the production engine with the action policy.
        approvals: who approves what.
        clock: of the loop this runs in.

    Raises:
        StagegateError: the ledger cannot be written, the venue not be reached.
    """
    config = course.release.config
    symbols = config.market.symbols
    exchange = opened_exchange(course)
    permit = Permit.beside(ledger.path)
    permit.grant(by="rehearsal", reason="launch", at_ms=clock.now_ms())
    launch(
        ledger,
        course.release,
        kind="rehearsal",
        stage=course.stage,
        capital_usd=course.capital_usd,
        at_ms=course.start_ms,
    )
    async with SimulatorServer(exchange, clock, course.faults, repeat_s=None, idle_s=IDLE_S) as server:
        addresses = Addresses(server.rest_url, server.stream_url, keepalive_s=IDLE_S)
        async with connected(KEYS, symbols, clock, permit.present, addresses=addresses) as venue:
            ledger.append(venue_opening("risk", course.start_ms, (await venue.balance()).wallet_usd))

            def resume() -> None:
                permit.grant(by="rehearsal", reason="restart approved", at_ms=clock.now_ms())

            hands = hands_at(venue, ledger, permit, clock, config, since_ms=course.start_ms)
            hands = replace(hands, resume=resume)
            staging = None if course.stage_engine is None else Staging(course.stage_engine, UNSIGNED)
            shadow = shadow_of(course)
            desk = open_desk(ledger, course.release, hands, engine, shadow, approvals, clock, staging=staging)
            yield Scene(desk, venue, exchange, server, permit, clock, hands.flatten, hands)


def opened_exchange(course: Course) -> Exchange:
    """Return the venue at the launch, with the desk's account as the configuration wants it."""
    futures = course.release.config.futures
    spec = replace(
        course.spec or usual_spec(), default_leverage=futures.leverage, default_margin_type=futures.margin_type
    )
    prices = RecordedPrices(course.market, seed=course.seed)
    exchange = Exchange(spec, prices, course.start_ms - HOUR_MS, seed=course.seed)
    balance_usd = f"{course.capital_usd * MARGIN_OVER_CAPITAL:.2f}"
    exchange.open_account(ACCOUNT, KEYS.api_key, KEYS.api_secret, balance_usd)  # paid in before the launch
    exchange.advance(course.start_ms)
    return exchange


def shadow_of(course: Course) -> Shadow:
    """Return the shadow account of a rehearsal, which knows all bars from the beginning."""
    config, bundle = course.release.config, course.release.bundle
    backtest = config.backtest
    symbols = config.market.symbols
    simulation = Simulation(
        course.market,
        make_sleeves(config.ensemble.strategies, course.market.bars, symbols, backtest.slippage_bps),
        weights=config.ensemble.fixed_weights,
        costs=Costs(backtest.fee_bps, backtest.slippage_bps),
        initial_equity_usd=course.capital_usd,
        start_ms=course.start_ms,
        end_ms=course.end_ms,
        dead_band=bundle.rebalance_dead_band_ratio,
        default_rate_8h=backtest.funding_rate.default_rate_8h if backtest.funding_rate.enabled else None,
        filters=load_filters(bundle.filters.path, symbols) if bundle.filters else {},
    )
    return Shadow(lambda _: simulation, symbols, course.start_ms, course.capital_usd)


def on_real_path(
    plan: Plan,
    ledger: Ledger,
    engine: Engine,
    progress: Callable[[Progress], None],
    *,
    seed: int,
    spec: ExchangeSpec | None = None,
    at_end: Callable[[Scene, Course, Path], Awaitable[None]] | None = None,
) -> None:
    """Rehearse a plan through the adapter and the simulated venue (``--venue simulator``).

    Args:
        plan: what is rehearsed.
        ledger: new.
        engine: the production engine with the action policy.
        progress: called with every bar.
        seed: of the simulated venue.
        spec: its rules; None: the usual ones.
        at_end: awaited after the last bar, while the venue is still there: a drill.

    Raises:
        StagegateError: the ledger cannot be written.
    """
    release = Release(plan.config, plan.bundle, version())
    span = (plan.start_ms, plan.end_ms, plan.stage)
    course = Course(plan.market, release, *span, seed, spec, stage_engine=plan.stage_engine)
    total = (plan.end_ms - plan.start_ms) // HOUR_MS

    async def main(clock: Clock) -> None:
        async with staged(course, ledger, engine, plan.approvals, clock) as scene:

            def tell(report: BarReport) -> None:
                done = (report.close_ms - plan.start_ms) // HOUR_MS
                progress(Progress(report.close_ms, done, total, report.outcome, scene.desk.account.equity_usd))

            await run_bars(scene, plan.start_ms, plan.end_ms, tell)
            if at_end is not None:
                await at_end(scene, course, ledger.path)

    run_virtual(main, plan.start_ms)


async def run_bars(
    scene: Scene, start_ms: int, end_ms: int, progress: Callable[[BarReport], None] = lambda _: None
) -> None:
    """Let the desk do the work of every bar that closes in ``[start_ms, end_ms]``.

    Raises:
        LedgerError: something could not be recorded.
    """
    for close_ms in range(start_ms, end_ms + 1, HOUR_MS):
        await sleep_until(scene.clock, close_ms + AFTER_CLOSE_MS)
        progress(await scene.desk.bar(close_ms))
