"""A risk guard before a simulated venue, in one virtual loop: a launched ledger, a full book, and a crash to come."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engine.clock import HOUR_MS, SECOND_MS
from engine.config import load_config
from engine.execution.binance.client import Addresses, Keys
from engine.execution.binance.connection import connected, open_venue
from engine.execution.flatten import flatten
from engine.execution.flattened import Terms
from engine.execution.permit import Permit
from engine.execution.reconcile import venue_opening
from engine.execution.siderecord import SideRecord
from engine.ledger import Ledger
from engine.live.decision_file import DecisionFiles, GuardDecision, GuardWatch
from engine.live.lock import InstanceLock
from engine.live.opening import Release, launch
from engine.market.series import FundingRates, Market
from engine.policy.bundle import Bundle, load_bundle
from engine.risk_guard.follower import GuardFollower
from engine.risk_guard.guard import Guard, GuardParts
from engine.risk_guard.mind import Mind
from engine.risk_guard.record import LedgerDesk
from engine.simulator.exchange import Exchange
from engine.simulator.faults import NONE
from engine.simulator.recorded import RecordedPrices
from engine.simulator.server import SimulatorServer
from engine.simulator.specs import usual_spec
from engine.timeline import run_virtual
from engine.verdict import bundle_documents, bundle_hashes
from strategies.bars import Bars
from tests.execution.dealing import stop_by_hand, trade

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from engine.execution.binance.streams import Patience
    from engine.execution.flattened import FlattenReport
    from engine.policy.decide import Engine
    from engine.simulator.faults import FaultPlan

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config/prod_scale_rules_R1.yaml"
START_MS = 1_668_000_000_000 // HOUR_MS * HOUR_MS
CRASH_MS = START_MS + HOUR_MS
ACCOUNT, KEY, SECRET = "bot", "SENTINEL-GUARD-KEY", "SENTINEL-GUARD-SECRET"
PRICES = {"BTCUSDT": 20_000.0, "ETHUSDT": 1_500.0, "SOLUSDT": 50.0}
SYMBOLS = tuple(PRICES)
BTC, ETH, SOL = SYMBOLS
CAPITAL, WALLET = 10_000.0, Decimal(20_000)


@cache
def crashing(fall: float) -> Market:
    """Prices that stand still, and at one full hour open lower by `fall`, a ratio."""
    times = START_MS + np.arange(-3, 40, dtype=np.int64) * HOUR_MS
    after = times >= CRASH_MS
    bars = {}
    for symbol, price in PRICES.items():
        prices = np.where(after, round(price * (1 - fall), 2), price)
        bars[symbol] = Bars(symbol, times, prices, prices, prices, prices, np.full(len(times), 9.0))
    settled = times[times % (8 * HOUR_MS) == 0]
    funding = {symbol: FundingRates(symbol, settled, np.zeros(len(settled))) for symbol in PRICES}
    return Market(bars, bars, funding)


def full_book(exchange: Exchange) -> None:
    """Three long positions of the whole capital, an order on each symbol, and two stops."""
    for symbol, qty in ((BTC, "0.170"), (ETH, "2.200"), (SOL, "66")):
        trade(exchange, symbol, 1, qty)
    trade(exchange, BTC, 1, "0.010", "15000.0")
    trade(exchange, ETH, -1, "0.500", "1600.00")
    trade(exchange, SOL, -1, "10", "55.000")
    stop_by_hand(exchange, BTC, "SELL", "0.170", "14000.0")
    stop_by_hand(exchange, SOL, "SELL", "66", "40.000")


@cache
def bundle() -> Bundle:
    return load_bundle(RULES)


@dataclass
class Post:
    """What a test plays with; `decisions` are those that the guard told of, each when it was another one."""

    folder: Path
    exchange: Exchange
    server: SimulatorServer
    clock: Clock
    engine: Engine
    permit: Permit
    files: DecisionFiles
    stack: AsyncExitStack
    decisions: list[GuardDecision] = field(default_factory=list)
    reports: list[FlattenReport] = field(default_factory=list)
    look_every_s: float = 1.0

    @property
    def path(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def book(self) -> Any:
        """The simulator's own record of the account."""
        return self.exchange.accounts[ACCOUNT]

    @property
    def nothing_stands(self) -> bool:
        return not (self.book.held() or self.book.open_orders() or self.book.open_algos())

    @property
    def outcomes(self) -> list[str]:
        return [decision.outcome for decision in self.decisions]

    def read(self) -> Ledger:
        return Ledger.open(self.path, read_only=True)

    def addresses(self) -> Addresses:
        return Addresses(self.server.rest_url, self.server.stream_url)

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, at_ms: int) -> None:
        await asyncio.sleep(max(0, at_ms - self.clock.now_ms()) / SECOND_MS)

    async def guard(self, *, clock: Clock | None = None, patience: Patience | None = None) -> Guard:
        """Return a guard with a connection of its own; it ends with the test."""
        clock, path, keys = clock or self.clock, self.path, Keys(KEY, SECRET)
        where = self.addresses()
        venue = open_venue(keys, SYMBOLS, clock, self.permit.present, addresses=where, patience=patience)
        self.stack.push_async_callback(venue.close)
        time = venue.asker.clock
        desk = await self.stack.enter_async_context(LedgerDesk(path, time))
        release = bundle()
        assert release.guard_times is not None
        times = release.guard_times
        mind = Mind(
            release.policies["risk_guard"],
            self.engine,
            bundle_hashes(release),
            "test",
            ledger=path,
            valid_ms=times.decision_valid_for_ms,
            before=self.files.read(),
        )
        documents = tuple(bundle_documents(release))
        parts = GuardParts(venue, self.permit, time, desk, self.files, mind, times, path, SYMBOLS, documents)
        parts = dataclasses.replace(parts, look_every_s=self.look_every_s, told=self.decisions.append)
        return Guard(parts)

    async def watching(self, **how: Any) -> asyncio.Task[None]:
        """Start a guard; it is stopped with the test, or by whoever cancels the task."""
        return self.beside(asyncio.ensure_future((await self.guard(**how)).run()))

    async def runner(self) -> GuardFollower:
        """Start what a runner does for the guard, by a connection of its own."""
        self.stack.enter_context(InstanceLock(self.path, "run --paper", self.clock.now_ms()))
        keys = Keys(KEY, SECRET)
        connection = connected(keys, SYMBOLS, self.clock, self.permit.present, addresses=self.addresses())
        venue = await self.stack.enter_async_context(connection)
        follower = GuardFollower(
            GuardWatch(self.files, self.path, self.clock),
            self.clock,
            "runner",
            lambda reason: self.flatten(venue, reason),
            lambda _, report: self.reports.append(report),
        )
        self.beside(asyncio.ensure_future(follower.run()))
        return follower

    async def flatten(self, venue: BinanceVenue, reason: str) -> FlattenReport:
        terms = Terms(symbols=SYMBOLS, reason=reason)
        return await flatten(venue, self.permit, self.clock, SideRecord(self.path), terms)

    def beside(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        """Have a task end with the test."""

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.stack.push_async_callback(end)
        return task


def guarded(
    folder: Path,
    engine: Engine,
    act: Callable[[Post], Awaitable[T]],
    faults: FaultPlan = NONE,
    *,
    fall: float = 0.0,
    at_ms: int = CRASH_MS - 10 * SECOND_MS,
    prepare: Callable[[Exchange], None] = full_book,
    wallet_usd: Decimal | None = WALLET,
    launched: bool = True,
    keys: tuple[str, str] = (KEY, SECRET),
    repeat_s: float | None = None,
) -> T:
    """Run `act` at a venue whose prices fall at `CRASH_MS`; what the simulator itself failed at is raised.

    Prices that stand still are told again every `repeat_s`; None: only when they move.
    """

    async def main(clock: Clock) -> T:
        exchange = Exchange(usual_spec(), RecordedPrices(crashing(fall), seed=3), START_MS - HOUR_MS, seed=3)
        exchange.open_account(ACCOUNT, *keys, float(WALLET))
        exchange.advance(at_ms)
        prepare(exchange)
        permit = Permit.beside(folder / "ledger.db")
        if launched and not (folder / "ledger.db").exists():
            begin(folder, permit, wallet_usd)
        async with SimulatorServer(exchange, clock, faults, repeat_s=repeat_s) as server, AsyncExitStack() as stack:
            files = DecisionFiles.under(folder / "reports")
            return await act(Post(folder, exchange, server, clock, engine, permit, files, stack))

    return run_virtual(main, at_ms)


def begin(folder: Path, permit: Permit, wallet_usd: Decimal | None, kind: str = "paper") -> None:
    """Launch a rollout at stage 2 on a new ledger."""
    release = Release(load_config(bundle().config_path), bundle(), "test")
    permit.grant(by="test", reason="launch", at_ms=START_MS)
    with Ledger.open(folder / "ledger.db", create=True) as ledger:
        if wallet_usd is not None:
            ledger.append(venue_opening("risk", START_MS, wallet_usd))
        launch(ledger, release, kind=kind, stage=2, capital_usd=CAPITAL, at_ms=START_MS)
