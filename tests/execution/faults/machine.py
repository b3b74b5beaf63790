"""Adapter, executor, stops and flatten before the simulator, step by step in whatever order Hypothesis thinks of.

Time moves only within a step. After each step the invariants that always hold are checked against the simulator's own
books, and after a rest all of them.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.clock import DAY_MS, MINUTE_MS, SECOND_MS
from engine.errors import OutcomeUnknownError, VenueError
from engine.execution.binance.client import Addresses
from engine.execution.course import ParentStatus
from engine.execution.executor import Executor
from engine.execution.fills import FillBook
from engine.execution.flatten import flatten
from engine.execution.flattened import Terms
from engine.execution.ids import Purpose
from engine.execution.journal import Journal, ParentOrder
from engine.execution.permit import Permit
from engine.execution.sending import Sender
from engine.execution.stops import StopKeeper
from engine.execution.venue import OrderKind, OrderRequest, OrderState
from engine.real_path.loop import ACCOUNT, opened_exchange
from engine.simulator.exchange import Exchange
from engine.simulator.faults import FaultPlan, FaultsAtWork
from engine.simulator.recorded import RecordedPrices
from engine.simulator.server import SimulatorServer
from engine.timeline import LoopClock, VirtualTimeLoop
from tests.execution.faults.evidence import Evidence
from tests.execution.faults.hot import BTC, START_MS, SYMBOLS
from tests.execution.faults.invariants import ALWAYS, AT_REST
from tests.execution.faults.mortal import Fate, Life, MortalLeave, MortalLedger, MortalRecord
from tests.execution.faults.world import FAULTS, Ended, Play, course_of, open_mortal

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from engine.execution.venue import VenueFilters

T = TypeVar("T")

DAYS = 20
LAST_MS = START_MS + (DAYS - 2) * DAY_MS
UNIT_USD = 400
REST_S = 180.0

symbols = st.sampled_from(SYMBOLS)
seconds = st.sampled_from([0.0, 0.3, 2.0, 11.0, 70.0, 400.0])


class TradingMachine(RuleBasedStateMachine):
    """One account, one ledger, and everything that may happen between them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="machine"))
        self.runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self.clock = LoopClock(self.runner.get_loop(), START_MS)
        self.plan: list[Any] = []
        self.work: FaultsAtWork | None = None
        self.holding: list[asyncio.Future[None]] = []
        self.beside: list[asyncio.Task[Any]] = []
        self.resting: list[OrderState] = []

    def teardown(self) -> None:
        try:
            if hasattr(self, "server"):
                self.rest()
        finally:
            self.do(self._leave())
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def do(self, act: Awaitable[T]) -> T:
        async def acting() -> T:
            return await act

        return self.runner.run(acting())

    # --- the scene

    @initialize(seed=st.integers(0, 9))
    def begins(self, seed: int) -> None:
        play = Play(seed, hours=24 * DAYS)
        self.course = course_of(play)
        exchange = opened_exchange(self.course)
        path = self.folder / "ledger.db"
        self.ended = Ended(play, self.course, exchange.accounts[ACCOUNT], exchange, path, Fate())
        self.do(self._serve(exchange))
        self.do(self._open())
        self.resume()

    async def _serve(self, exchange: Exchange) -> None:
        self.ended.exchange, self.ended.account = exchange, exchange.accounts[ACCOUNT]
        self.server = SimulatorServer(exchange, self.clock, repeat_s=None)
        await self.server.__aenter__()
        self._let_faults_work()

    async def _open(self) -> None:
        """Open everything anew on what is there, as a start does."""
        self.life = Life(Fate())
        self.permit = self._permit()
        addresses = Addresses(self.server.rest_url, self.server.stream_url, keepalive_s=DAY_MS / SECOND_MS)
        self.venue = open_mortal(self.life, addresses, self.permit, self.clock)
        self.ledger = MortalLedger.open(self.ended.ledger, create=True)
        self.ledger.life = self.life
        self.ledger.set_meta(kind="rehearsal")
        self.journal = Journal(self.ledger)
        self.sender = Sender(self.venue, self.journal, self.permit, self.clock)
        self.fills = FillBook(self.venue, self.journal, self.clock, since_ms=START_MS)
        self.executor = Executor(self.sender, self.fills, limit_timeout_ms=10 * SECOND_MS)
        self.keeper = StopKeeper(self.sender)
        self.filters: dict[str, VenueFilters] = {}

    def _permit(self) -> MortalLeave:
        path = Permit.beside(self.ended.ledger).path
        return MortalLeave(path, life=self.life, log=self.ended.permits, now_ms=self.clock.now_ms)

    async def _close(self) -> None:
        for task in self.beside:
            task.cancel()
        await asyncio.gather(*self.beside, return_exceptions=True)
        self.beside = []
        self.ledger.close()
        await self.venue.close()

    async def _leave(self) -> None:
        if hasattr(self, "venue"):
            await self._close()
        for task in self.holding:
            task.cancel()
        if hasattr(self, "server"):
            await self.server.__aexit__()

    async def _limits(self) -> dict[str, VenueFilters] | None:
        try:
            self.filters = self.filters or await self.venue.filters()
        except VenueError:
            return None
        return self.filters

    # --- what may happen

    @rule(symbol=symbols, units=st.integers(-3, 3), patient=st.booleans(), wait=st.booleans())
    def place(self, symbol: str, units: int, patient: bool, wait: bool) -> None:  # noqa: FBT001 - drawn by name
        """Trade to so many units; the executor may still be at it in the next steps."""

        async def trade() -> None:
            filters = await self._limits()
            order = filters and self._towards(symbol, units, filters[symbol], patient=patient)
            if filters and order:
                (result,) = await self.executor.execute([order], filters)
                assert result.filled_qty <= order.qty
                assert (result.filled_qty == order.qty) == (result.status is ParentStatus.FILLED)

        async def begin() -> None:
            self.beside.append(asyncio.ensure_future(trade()))
            await asyncio.sleep(0.02)

        self.do(trade() if wait else begin())

    def _towards(self, symbol: str, units: int, limits: VenueFilters, *, patient: bool) -> ParentOrder | None:
        quote = self.ended.exchange._house.quote(symbol).last
        held = self.journal.held().get(symbol, Decimal(0))
        wanted = Decimal(UNIT_USD * units) / quote // limits.step_size * limits.step_size
        if wanted == held:
            return None
        closing = Decimal(0)
        if (held and abs(wanted) < abs(held)) or wanted * held < 0:
            closing = abs(held) if wanted * held <= 0 else abs(held) - abs(wanted)
        now_ms = self.clock.now_ms()
        return ParentOrder(
            symbol=symbol,
            side=1 if wanted > held else -1,
            qty=abs(wanted - held),
            target_usd=float(wanted * quote),
            ref_price=float(quote),
            ref_kind="bar_open",
            reason="rebalance",
            bar_ms=now_ms,
            closing_qty=closing,
            patient=patient,
            add_until_ms=now_ms + 5 * MINUTE_MS,
        )

    @rule(symbol=symbols, side=st.sampled_from([-1, 1]))
    def leave_resting(self, symbol: str, side: int) -> None:
        """Send a limit order away from the price and leave it, as a process that dies does."""

        async def act() -> None:
            filters = await self._limits()
            if not filters or self._in_doubt(symbol):
                return
            quote, tick = self.ended.exchange._house.quote(symbol).last, filters[symbol].tick_size
            price = (quote * (1 - side * Decimal("0.03")) // tick) * tick
            qty = (Decimal(UNIT_USD) / quote) // filters[symbol].step_size * filters[symbol].step_size
            now_ms = self.clock.now_ms()
            order = ParentOrder(symbol, side, qty, 0.0, float(quote), "bar_open", "entry", now_ms)
            parent = self.journal.begin(Purpose.BAR, order, now_ms)
            name = self.journal.next_client_id(parent)
            request = OrderRequest(name, symbol, side, qty, OrderKind.LIMIT, price)
            self.journal.intend(parent, request, now_ms)
            try:
                found = await self.sender.send(request)
            except OutcomeUnknownError:
                return
            if isinstance(found, OrderState):
                self.resting.append(found)

        self.do(act())

    def _in_doubt(self, symbol: str) -> bool:
        return any(not intent.algo for intent in self.ledger.open_intents("risk", symbol=symbol))

    @precondition(lambda self: self.resting)
    @rule(number=st.integers(0, 9))
    def cancel(self, number: int) -> None:
        async def act() -> None:
            state = self.resting.pop(number % len(self.resting))
            try:
                ended = await self.sender.withdraw(state)
            except OutcomeUnknownError:
                return
            assert ended.status.ended

        self.do(act())

    @rule(distance=st.sampled_from([None, 0.002, 0.01, 0.05]))
    def stop(self, distance: float | None) -> None:
        async def act() -> None:
            filters = await self._limits()
            held = self.journal.held().get(BTC, Decimal(0))
            price = float(self.ended.exchange._house.quote(BTC).last)
            trigger = None if distance is None else price * (1 - (1 if held > 0 else -1) * distance)
            if filters:
                try:
                    await self.keeper.keep(BTC, trigger, filters[BTC].tick_size)
                except VenueError:
                    return

        self.do(act())

    @rule()
    def flatten(self) -> None:
        async def act() -> None:
            record = MortalRecord(self.ended.ledger, self.life, 0)
            terms = Terms(symbols=SYMBOLS, reason="machine")
            report = await flatten(self.venue, self.permit, self.clock, record, terms)
            assert report.flat
            assert not self.permit.present()
            self.ended.flattens.append((self.clock.now_ms(), report))
            book = self.ended.account
            assert (book.held(), book.open_orders(), book.open_algos()) == ([], [], [])

        self.do(act())

    @precondition(lambda self: hasattr(self, "permit") and not self.permit.present())
    @rule()
    def resume(self) -> None:
        self.permit.grant(by="machine", reason="it goes on", at_ms=self.clock.now_ms())

    @rule()
    def restart(self) -> None:
        """Die in the middle of whatever runs, and start again."""

        async def act() -> None:
            await self._close()
            await self._open()
            try:
                await self.executor.recover(SYMBOLS)
            except VenueError:
                return

        self.do(act())

    @rule()
    def venue_restarts(self) -> None:
        async def act() -> None:
            state = self.ended.exchange.to_json()
            await self.server.__aexit__()
            prices = RecordedPrices(self.course.market, seed=self.course.seed)
            port = self.server.port
            exchange = Exchange.from_json(state, prices)
            self.ended.exchange, self.ended.account = exchange, exchange.accounts[ACCOUNT]
            self.server = SimulatorServer(exchange, self.clock, repeat_s=None, port=port)
            await self.server.__aenter__()
            self._let_faults_work()

        self.do(act())

    @rule(name=st.sampled_from(FAULTS), seed=st.integers(0, 99), lasts_s=st.sampled_from([5, 40, 300]))
    def fault(self, name: str, seed: int, lasts_s: int) -> None:
        """From now on something goes wrong, for a while."""
        now_ms = self.clock.now_ms()
        (drawn,) = FaultPlan.drawn((name,), seed, now_ms, now_ms + lasts_s * SECOND_MS).rules
        self.plan.append(drawn)

        async def act() -> None:
            self._let_faults_work()

        self.do(act())

    def _let_faults_work(self) -> None:
        now_ms = self.clock.now_ms()
        self.plan = [one for one in self.plan if one.until_ms is None or one.until_ms > now_ms]
        fresh = [one for one in self.plan if not (one.from_ms or 0) < now_ms]
        self.server._faults = FaultsAtWork(FaultPlan(tuple(self.plan), 1), self.ended.exchange, self.clock, self.server)
        held = FaultsAtWork(FaultPlan(tuple(fresh), 1), self.ended.exchange, self.clock, self.server)
        self.holding.append(asyncio.ensure_future(held.hold_conditions()))

    @precondition(lambda self: self.clock.now_ms() < LAST_MS)
    @rule(wait_s=seconds | st.sampled_from([3_600.0, 9 * 3_600.0]))
    def time_passes(self, wait_s: float) -> None:
        self.do(asyncio.sleep(wait_s))

    @rule()
    def rest(self) -> None:
        """Wait until every fault is over, find out what became of everything, and compare all of it."""

        async def act() -> None:
            until_ms = max([self.clock.now_ms(), *(one.until_ms for one in self.plan)])
            await asyncio.sleep((until_ms - self.clock.now_ms()) / SECOND_MS + REST_S)
            self.plan = []
            self._let_faults_work()
            await asyncio.gather(*self.beside)
            self.beside = []
            assert not (await self.executor.recover(SYMBOLS)).in_doubt
            self.resting = []

        self.do(act())
        evidence = Evidence(self.ended)
        found = [str(one) for check in AT_REST for one in check(evidence)]
        assert not found, found
        assert not self.ended.account.open_orders()

    @invariant()
    def always(self) -> None:
        if hasattr(self, "ledger"):
            evidence = Evidence(self.ended)
            found = [str(one) for check in ALWAYS for one in check(evidence)]
            assert not found, found
