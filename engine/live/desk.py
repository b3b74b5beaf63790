"""One bar's work of a running desk: bars, books, verdict, bounds, orders, stops; the same on paper and with real money.

Whatever is decided stands in the ledger before an order leaves, and each step may be cut short by a kill at any
instruction: the next start reads the ledger, asks the venue, and goes on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.backtest import WARMUP_BARS
from engine.bounds import Change
from engine.clock import DAY_MS, HOUR_MS, SECOND_MS
from engine.errors import VenueError
from engine.execution.course import TRADING
from engine.execution.executor import parent_order
from engine.execution.planned import Decided, Plan, SleeveState
from engine.execution.planner import plan
from engine.execution.stops import StopReport, StopStatus
from engine.live.account import RISK, MarkPrice
from engine.portfolio import Bounds, SymbolFilters, Why
from strategies.sleeve import Ending

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from engine.clock import Clock
    from engine.config import FrozenConfig
    from engine.execution.executor import Executor, ParentResult
    from engine.execution.fills import FillBook
    from engine.execution.flattened import FlattenReport
    from engine.execution.permit import Permit
    from engine.execution.stops import StopKeeper
    from engine.execution.venue import Venue, VenueFilters
    from engine.governor import Governor
    from engine.ledger import Ledger
    from engine.live.account import RiskAccount
    from engine.live.eventlog import EventLog
    from engine.live.settlements import SettlementBook
    from engine.live.shadow import Shadow
    from engine.live.signals import Reading, Signals, Tape
    from engine.policy.bundle import Bundle

BAR = "bar"
RESTART = "sleeve_restart"
SKIPPED = "order_skipped"
PUBLICATION_S = 30.0
"""How long a bar that has closed is waited for; without it the sleeve has no signal at this close."""

OPEN_PATIENCE_MS = 2 * SECOND_MS
WARMUP_MS = (WARMUP_BARS + 1) * HOUR_MS

_LOOK_AGAIN_S = 0.25


@dataclass(frozen=True)
class Rules:
    """What a desk trades by, from the frozen configuration and the bundle.

    Attributes:
        symbols: in the order of the configuration.
        weights: symbol -> share of the equity.
        dead_band: ratio of a target.
        decision_valid_for_ms: after it a decision only reduces (A74).
        prefer_limit: post first, then take.
    """

    symbols: tuple[str, ...]
    weights: Mapping[str, float]
    dead_band: float
    decision_valid_for_ms: int
    prefer_limit: bool

    @classmethod
    def of(cls, config: FrozenConfig, bundle: Bundle) -> Rules:
        """Return the rules of a release."""
        return cls(
            config.market.symbols,
            config.ensemble.fixed_weights,
            bundle.rebalance_dead_band_ratio,
            bundle.decision_valid_ms,
            config.live.prefer_limit_order,
        )


@dataclass(frozen=True)
class Parts:
    """What a desk works with; all of it made by whoever opens the desk.

    `resume` grants the permit once a restart is approved; None: a person does (`stagegate resume`).
    """

    ledger: Ledger
    venue: Venue
    permit: Permit
    clock: Clock
    governor: Governor
    account: RiskAccount
    shadow: Shadow
    tape: Tape
    signals: Signals
    fills: FillBook
    settlements: SettlementBook
    executor: Executor
    stops: StopKeeper
    events: EventLog
    resume: Callable[[], None] | None = None


@dataclass(frozen=True)
class BarReport:
    """What a desk did at the close of a bar.

    Attributes:
        close_ms: of the bar.
        outcome: of the action policy.
        verdict_id: of the verdict.
        plan: what it led to.
        results: what became of the orders.
        stops: how the protection stands.
        flattened: the report of a flatten, where the book had to be closed.
        unheard: what the venue did not answer, in words; the equity is then as old as the last mark.
        readings: what each sleeve said.
    """

    close_ms: int
    outcome: str
    verdict_id: str
    plan: Plan
    results: tuple[ParentResult, ...] = ()
    stops: tuple[StopReport, ...] = ()
    flattened: FlattenReport | None = None
    unheard: tuple[str, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)


class Desk:
    """A running desk.

    Args:
        rules: what it trades by.
        parts: what it works with.
        flatten: closes the book, and is told why.
        before: the bounds that the last bar was traded under; None: none was.
        untrimmed: symbols whose cut is still to be carried out.
    """

    def __init__(
        self,
        rules: Rules,
        parts: Parts,
        flatten: Callable[[str], Awaitable[FlattenReport]],
        *,
        before: Bounds | None = None,
        untrimmed: frozenset[str] = frozenset(),
    ) -> None:
        self._rules = rules
        self._parts = parts
        self._flatten = flatten
        self._before = before
        self._untrimmed = untrimmed
        self._filters: dict[str, VenueFilters] = {}
        self._triggers: dict[str, float | None] = {}
        self._refused: set[str] = set()

    async def bar(self, close_ms: int) -> BarReport:
        """Do the work of the bar that closes at `close_ms`; doing it again after a kill does nothing twice.

        Raises:
            LedgerError: something could not be recorded; nothing was sent that is not.
        """
        await self._venue_filters()
        unheard = (*await self._read_market(close_ms), *await self._read_books())
        if not unheard:
            self._mark(close_ms)
        outcome, verdict_id = self._decide(close_ms)
        flattened = await self._close_if_paused(outcome)
        bounds = self._bounds()
        made, readings = self._plan(bounds, close_ms, sized=not unheard)
        opens = await self._opens(made, readings, close_ms)
        readings = self._parts.signals.read(self._parts.tape, opens)
        self._tell(made, readings, close_ms)
        self._triggers = {symbol: reading.stop_price for symbol, reading in readings.items() if reading.remembers}
        results = await self._execute(made, opens, close_ms, verdict_id)
        stops = await self.protect_all()
        self._sync_account()
        self._before, self._untrimmed = bounds, frozenset(made.untrimmed)
        self._note_bar(close_ms, made, results)
        return BarReport(close_ms, outcome, verdict_id, made, results, stops, flattened, unheard, readings)

    @property
    def governor(self) -> Governor:
        """Who keeps the bounds."""
        return self._parts.governor

    @property
    def account(self) -> RiskAccount:
        """What is at risk."""
        return self._parts.account

    async def protect(self, symbol: str) -> StopReport:
        """See to it that a symbol's stop stands as its strategy wants it: after each bar, fill and reconnection.

        Raises:
            VenueError: what stands cannot be told.
            LedgerError: a stop could not be recorded; it was not placed.
        """
        filters = await self._venue_filters()
        return await self._parts.stops.keep(symbol, self._triggers.get(symbol), filters[symbol].tick_size)

    async def protect_all(self) -> tuple[StopReport, ...]:
        """Do the same for every symbol whose strategy has stops; before the first bar none is touched.

        Raises:
            LedgerError: a stop could not be recorded; it was not placed.
        """
        return tuple([await self._protected(symbol) for symbol in self._triggers])

    async def filled(self, symbol: str) -> None:
        """Keep the stop in step while orders still fill; one that cannot be is looked at again when they have ended.

        Raises:
            LedgerError: a stop could not be recorded; it was not placed.
        """
        if symbol in self._triggers:
            await self._protected(symbol)

    async def _protected(self, symbol: str) -> StopReport:
        try:
            return await self.protect(symbol)
        except VenueError as error:
            return StopReport(symbol, StopStatus.UNPROTECTED, detail=error.problems[0].problem)

    @property
    def tape(self) -> Tape:
        """The bars that it decides on."""
        return self._parts.tape

    async def read_filters(self) -> tuple[str, ...]:
        """Read the venue's limits anew; return the symbols that it takes no orders of.

        Of a symbol that is no longer listed the last limits stay: what is held must still be closed.

        Raises:
            VenueError: they cannot be read; the old ones stay.
        """
        found = await self._parts.venue.filters()
        self._filters |= found
        return tuple(one for one in self._rules.symbols if one not in found or found[one].status != TRADING)

    async def catch_up(self) -> None:
        """Book what was filled and settled.

        Raises:
            VenueError: the venue does not tell.
            LedgerError: it cannot be recorded.
        """
        try:
            await self._parts.fills.take(self._rules.symbols)
            await self._parts.settlements.take()
        finally:
            self._sync_account()

    def govern(self, act: Callable[[Governor], None]) -> None:
        """Have the governor take note of what happened outside, such as a flatten; what follows is recorded.

        Raises:
            LedgerError: it cannot be recorded.
        """
        parts = self._parts
        act(parts.governor)
        with parts.ledger.transaction():
            parts.ledger.append(parts.account.unwritten())
            parts.ledger.append(parts.events.take())

    async def _read_market(self, close_ms: int) -> tuple[str, ...]:
        """Bring the tape up to the close; return what the venue did not answer."""
        deadline_ms = self._parts.clock.now_ms() + round(PUBLICATION_S * SECOND_MS)
        while True:
            unheard = [each for each in await asyncio.gather(*self._questions(close_ms)) if each]
            complete = len(self._parts.tape.complete(close_ms)) == len(self._rules.symbols)
            if complete or self._parts.clock.now_ms() >= deadline_ms:
                return tuple(dict.fromkeys(unheard))
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _questions(self, close_ms: int) -> list[Awaitable[str]]:
        tape = self._parts.tape
        return [
            self._read_bars(symbol, next_ms, mark=mark)
            for symbol in self._rules.symbols
            for mark in (False, True)
            if (next_ms := tape.next_ms(symbol, mark=mark) or close_ms - WARMUP_MS) < close_ms
        ]

    async def _read_bars(self, symbol: str, from_ms: int, *, mark: bool) -> str:
        try:
            self._parts.tape.add(await self._parts.venue.closed_bars(symbol, from_ms, mark=mark), mark=mark)
        except VenueError as error:
            return error.problems[0].problem
        return ""

    async def _read_books(self) -> tuple[str, ...]:
        """Book what was filled and settled; return what the venue did not answer."""
        try:
            await self.catch_up()
        except VenueError as error:
            return (error.problems[0].problem,)
        return ()

    def _sync_account(self) -> None:
        account, ledger = self._parts.account, self._parts.ledger
        from_ms = account.latest_ms - DAY_MS  # a late event is booked under the time at which it happened
        account.take(ledger.fills(RISK, from_ms))
        account.take(ledger.funding(RISK, from_ms))

    def _mark(self, close_ms: int) -> None:
        """Value the account at the close, and at those before it that were missed: a day without a mark is a gap."""
        account, tape, posture = self._parts.account, self._parts.tape, self._parts.governor.posture
        for at_ms in range(account.latest_ms + HOUR_MS, close_ms + 1, HOUR_MS):
            found = {symbol: tape.mark_at(symbol, at_ms) for symbol in self._rules.symbols}
            prices = {symbol: MarkPrice(*price) for symbol, price in found.items() if price is not None}
            readings = self._parts.signals.read(tape, {}).items() if at_ms == close_ms else ()
            positions = {symbol: reading.position for symbol, reading in readings}
            account.mark(at_ms, prices, positions, exposure=posture.exposure, cap_usd=posture.cap_usd)

    def _decide(self, close_ms: int) -> tuple[str, str]:
        """Return the outcome and the verdict's id; everything known so far is in the ledger afterwards."""
        parts = self._parts
        if close_ms <= parts.governor.launched_ms:
            return parts.governor.outcome, ""  # nothing has been at risk yet: the bounds of the launch hold
        decided = parts.ledger.verdicts(close_ms, close_ms, policy=parts.governor.judge.policy.name)
        if decided:  # before a kill: what it did is in the posture already
            return decided[-1].outcome, decided[-1].verdict_id
        parts.shadow.advance(close_ms)
        verdict = parts.governor.decide(close_ms)
        with parts.ledger.transaction():
            parts.ledger.append(parts.account.unwritten())
            parts.shadow.write(parts.ledger)
            parts.ledger.append(verdict.rows())
            parts.ledger.append(parts.events.take())
        return verdict.outcome, verdict.verdict_id

    async def _close_if_paused(self, outcome: str) -> FlattenReport | None:
        """Close the book where the verdict, or one before a kill, said so."""
        parts = self._parts
        paused = parts.governor.posture.paused_since_ms is not None
        if not paused and parts.resume is not None and not parts.permit.present():
            parts.resume()
        if not paused or not (parts.permit.present() or any(parts.account.qty.values())):
            return None
        report = await self._flatten(outcome)
        await self._read_books()
        return report

    def _bounds(self) -> Bounds:
        governor = self._parts.governor
        now = Bounds(governor.posture.exposure, governor.posture.cap_usd, governor.entries_allowed)
        return replace(now, trim=self._before is not None and now.cuts(self._before))

    def _plan(self, bounds: Bounds, close_ms: int, *, sized: bool) -> tuple[Plan, dict[str, Reading]]:
        parts = self._parts
        readings = parts.signals.read(parts.tape, {})
        held, targets = parts.account.qty, parts.ledger.last_targets(RISK)
        sleeves = []
        for symbol in self._rules.symbols:
            reading = readings.get(symbol)
            late = reading is None or reading.bar_ms + HOUR_MS != close_ms
            mark = parts.tape.mark_at(symbol, close_ms)
            sleeves.append(
                SleeveState(
                    symbol=symbol,
                    weight=self._rules.weights[symbol],
                    position=None if reading is None or late else reading.position,
                    close_price=None if reading is None or late else reading.close,
                    held_qty=held[symbol],
                    last_target_usd=targets.get(symbol, 0.0) if held[symbol] else 0.0,
                    filters=self._limits(symbol),
                    remembers=reading is not None and reading.remembers,
                    previous_position=None if reading is None else reading.position_before,
                    ending=Ending.NONE if reading is None else reading.ending,
                    mark_price=None if mark is None else mark[0],
                    trim=symbol in self._untrimmed,
                )
            )
        decided = Decided(
            age_ms=parts.clock.now_ms() - close_ms,
            valid_for_ms=self._rules.decision_valid_for_ms,
            halted=not parts.permit.present(),
        )
        equity_usd = parts.account.equity_usd if sized else None
        made = plan(sleeves, bounds=bounds, equity_usd=equity_usd, dead_band=self._rules.dead_band, decided=decided)
        return made, readings

    async def _opens(self, made: Plan, readings: Mapping[str, Reading], close_ms: int) -> dict[str, float]:
        """Return the opens of the bars that run now, for those symbols that need them."""
        wanted = {order.symbol for order in made.orders if order.ref_price is None}
        wanted |= {symbol for symbol, reading in readings.items() if reading.remembers and reading.position}
        found = await asyncio.gather(*(self._open(symbol, close_ms) for symbol in sorted(wanted)))
        return {symbol: price for symbol, price in zip(sorted(wanted), found, strict=True) if price is not None}

    async def _open(self, symbol: str, open_ms: int) -> float | None:
        """Return a running bar's open; None where the venue does not tell: the last close stands in for it."""
        deadline_ms = self._parts.clock.now_ms() + OPEN_PATIENCE_MS
        while True:
            try:
                price = await self._parts.venue.running_open(symbol, open_ms)
            except VenueError:
                price = None
            if price is not None:
                return float(price)
            if self._parts.clock.now_ms() >= deadline_ms:
                return None
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _tell(self, made: Plan, readings: Mapping[str, Reading], close_ms: int) -> None:
        """Record what is not sent for good, and which sleeves wait for a fresh signal."""
        parts = self._parts
        for restart in made.restarts:
            bar_ms = readings[restart.symbol].bar_ms
            parts.signals.restart(restart.symbol, bar_ms)
            parts.events.record(close_ms, Change(RESTART, restart.symbol, {"bar_ms": bar_ms, "reason": restart.reason}))
        for left in made.not_sent:
            if left.code == Why.MINIMUM and left.symbol not in self._refused:
                self._refused.add(left.symbol)
                detail = {"reason": left.reason, "notional_usd": left.notional_usd}
                parts.events.record(close_ms, Change(SKIPPED, left.symbol, detail))
        self._refused -= {order.symbol for order in made.orders}
        parts.ledger.append(parts.events.take())

    async def _execute(
        self, made: Plan, opens: Mapping[str, float], close_ms: int, verdict_id: str
    ) -> tuple[ParentResult, ...]:
        if not made.orders:
            return ()
        orders = [
            parent_order(
                order,
                bar_ms=close_ms,
                ref_price=opens.get(order.symbol, self._last_close(order.symbol)),
                prefer_limit=self._rules.prefer_limit,
                add_until_ms=close_ms + self._rules.decision_valid_for_ms,
                verdict_id=verdict_id or None,
            )
            for order in made.orders
        ]
        return await self._parts.executor.execute(orders, await self._venue_filters())

    def _last_close(self, symbol: str) -> float:
        bars = self._parts.tape.bars(symbol)
        assert bars is not None, "an order was planned without a bar"
        return float(bars.close[-1])

    def _limits(self, symbol: str) -> SymbolFilters | None:
        found = self._filters.get(symbol)
        if found is None:
            return None
        return SymbolFilters(
            step_size=float(found.step_size),
            min_qty=float(found.min_qty),
            min_notional_usd=float(found.min_notional_usd),
            tick_size=float(found.tick_size),
        )

    async def _venue_filters(self) -> dict[str, VenueFilters]:
        if not self._filters:
            await self.read_filters()
        return self._filters

    def _note_bar(self, close_ms: int, made: Plan, results: Sequence[ParentResult]) -> None:
        """Record that the bar is done, and what the next one must know."""
        assert self._before is not None
        detail = {
            "orders": [
                {"symbol": result.order.symbol, "reason": result.order.reason, "status": str(result.status)}
                for result in results
            ],
            "untrimmed": list(made.untrimmed),
            "bounds": [self._before.exposure, self._before.cap_usd, self._before.entries_allowed],
        }
        self._parts.events.record(close_ms, Change(BAR, str(len(made.orders)), detail))
        self._parts.ledger.append(self._parts.events.take())
