"""One bar's work of a running desk: bars, books, verdict, bounds, orders, stops; the same on paper and with real money.

Whatever is decided stands in the ledger before an order leaves, and each step may be cut short by a kill at any
instruction: the next start reads the ledger, asks the venue, and goes on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.bounds import Change
from engine.clock import DAY_MS, HOUR_MS
from engine.errors import VenueError
from engine.execution.stops import StopReport, StopStatus
from engine.inquiry import review_at
from engine.live.account import RISK, MarkPrice
from engine.live.bar_reader import BarReader
from engine.live.desk_parts import BarReport
from engine.live.trader import Trader
from engine.portfolio import Bounds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from engine.execution.executor import ParentResult
    from engine.execution.flattened import FlattenReport
    from engine.execution.planned import Plan
    from engine.governor import Governor
    from engine.live.account import RiskAccount
    from engine.live.desk_parts import Parts, Rules
    from engine.live.signals import Reading, Tape

BAR = "bar"


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
        self._bars = BarReader(parts.venue, parts.tape, parts.clock, rules.symbols)
        self._trader = Trader(rules, parts)
        self._triggers: dict[str, float | None] = {}

    async def bar(self, close_ms: int) -> BarReport:
        """Do the work of the bar that closes at `close_ms`; doing it again after a kill does nothing twice.

        Raises:
            LedgerError: something could not be recorded; nothing was sent that is not.
        """
        await self._trader.filters()
        unheard = (*await self._bars.read(close_ms), *await self._read_books())
        if not unheard:
            self._mark(close_ms)
        outcome, verdict_id = self._decide(close_ms)
        flattened = await self._close_if_paused(outcome)
        bounds = self._bounds()
        made, readings = self._trader.plan(bounds, close_ms, sized=not unheard, untrimmed=self._untrimmed)
        opens = await self._bars.opens(made, readings, close_ms)
        readings = self._parts.signals.read(self._parts.tape, opens)
        self._trader.tell(made, readings, close_ms)
        self._triggers = {symbol: self._trigger(reading) for symbol, reading in readings.items() if reading.remembers}
        results = await self._trader.execute(made, opens, close_ms, verdict_id)
        stops = await self.protect_all()
        self._sync_account()
        self._before, self._untrimmed = bounds, frozenset(made.untrimmed)
        self._note_bar(close_ms, made, results)
        return BarReport(close_ms, outcome, verdict_id, made, results, stops, flattened, unheard, readings)

    def _trigger(self, reading: Reading) -> float | None:
        """Return a strategy's stop; of a position that it has left, the last one until it is gone: an exit may fail."""
        if reading.stop_price is None and self.account.qty.get(reading.symbol):
            return self._triggers.get(reading.symbol)
        return reading.stop_price

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
        filters = await self._trader.filters()
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
        return await self._trader.read_filters()

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
        parts.governor.review = review_at(parts.ledger, close_ms)  # people sign while it runs (A99)
        verdict = parts.governor.decide(close_ms, marked=parts.account.latest_ms == close_ms)
        with parts.ledger.transaction():
            parts.ledger.append(parts.account.unwritten())
            parts.shadow.write(parts.ledger)
            for one in (verdict, *parts.governor.of_stages()):
                parts.ledger.append(one.rows())
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
        report = await self._flatten(parts.governor.closed_for or outcome)
        await self._read_books()
        return report

    def _bounds(self) -> Bounds:
        governor = self._parts.governor
        now = Bounds(governor.posture.exposure, governor.posture.cap_usd, governor.entries_allowed)
        return replace(now, trim=self._before is not None and now.cuts(self._before))

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
