"""What the risk guard sees of the venue by its own connection: the account by questions, mark prices by the stream.

Ages are taken from the loop's clock, which nobody sets; so a machine whose time jumps neither makes an equity old nor
young.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.clock import SECOND_MS
from engine.errors import UnavailableError, VenueError
from engine.execution.reconcile import TRANSFER
from engine.execution.venue import BalanceEvent, MarkEvent, OrderEvent, Resync
from engine.ledger.rows import Event
from engine.live.outages import Outages
from engine.risk_guard.books import GUARD
from engine.risk_guard.equity import READING_HOLDS_MS, Cash, EquityMark, read_account
from engine.risk_guard.facts import Watch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from engine.clock import Clock
    from engine.execution.venue import Income, Venue, VenueEvent
    from engine.ledger.rows import Row
    from engine.risk_guard.books import Books
    from engine.risk_guard.equity import Reading


_READINGS = 3


@dataclass(frozen=True)
class _Tick:
    price: Decimal
    heard_s: float


class Senses:
    """Sees one account.

    Args:
        venue: where it is.
        clock: the time; of the venue, where it tells its own.
        outage_ends_after_ms: an outage is over after so much success (A78).

    Attributes:
        problem: why the account could not be read the last time; empty where it could.
        refused: the venue refuses the key or the account.
    """

    def __init__(self, venue: Venue, clock: Clock, outage_ends_after_ms: int) -> None:
        self.problem = "not read yet"
        self.refused = False
        self._venue = venue
        self._clock = clock
        self._outages = Outages(GUARD, outage_ends_after_ms)
        self._cash: Cash | None = None
        self._reading: Reading | None = None
        self._read_s = 0.0
        self._ticks: dict[str, _Tick] = {}
        self._forced: list[tuple[str, int]] = []
        self._timed = False
        self._mark: EquityMark | None = None
        self._mark_s = 0.0

    @property
    def flat(self) -> bool | None:
        """Whether nothing is held, as last read; None: not known."""
        return None if self._reading is None else not self._reading.positions

    @property
    def settled(self) -> bool:
        """Whether all that moved the wallet is told apart: until then a higher equity is no new peak."""
        return self._cash is not None and not self._cash.owed

    async def read(self, books: Books | None) -> list[Row]:
        """Read the account; return the rows that tell of it: transfers, outages that begin and end."""
        try:
            rows = await self._read(books)
        except VenueError as error:
            self.problem = error.problems[0].problem
            self.refused = not isinstance(error, UnavailableError)
            return [] if self.refused else [*_present(self._outages.failed(self._clock.now_ms(), self.problem))]
        self.refused = False
        return [*rows, *_present(self._outages.succeeded(self._clock.now_ms()))]

    async def _read(self, books: Books | None) -> list[Row]:
        if not self._timed:  # once: whatever the venue refuses as badly timed measures it again
            await self._venue.server_time_ms()
            self._timed = True
        for _ in range(_READINGS):
            began_s = _now_s()
            reading = await read_account(self._venue, self._clock)
            moved = await self._settle(books, reading)
            if moved is not None:
                self._reading, self._read_s, self.problem = reading, began_s, ""
                return moved
        self.problem = "money moved each time it was counted"
        return []

    def hear(self, event: VenueEvent) -> bool:
        """Take in what a stream tells; return whether the account should be read again."""
        if isinstance(event, MarkEvent):
            self._ticks[event.symbol] = _Tick(event.mark.price, _now_s())
            return False
        if isinstance(event, OrderEvent):
            if event.state.forced:
                self._forced.append((event.state.symbol, self._clock.now_ms()))
            return event.trade is not None
        return isinstance(event, BalanceEvent) or (isinstance(event, Resync) and event.since_ms is not None)

    def mark(self, books: Books | None) -> EquityMark | None:
        """Return the newest mark of the risk equity; None: there never was one.

        Without a reading that still holds it is the one before, as old as it is.
        """
        now_s, reading, cash = _now_s(), self._reading, self._cash
        holds = (now_s - self._read_s) * SECOND_MS <= READING_HOLDS_MS
        if holds and reading and cash and books and books.idle_usd is not None and books.units > 0:
            prices = self._prices()
            outside = float(cash.apart_usd + cash.transfers_usd) + books.idle_usd + books.other_fees_usd
            equity_usd = float(reading.margin_usd(prices)) - outside
            self._mark_s = max([self._read_s, *(self._ticks[name].heard_s for name in prices)])
            self._mark = EquityMark(0, equity_usd, equity_usd / books.units, reading.gross_usd(prices))
        if self._mark is None:
            return None
        return replace(self._mark, at_ms=self._clock.now_ms() - round((now_s - self._mark_s) * SECOND_MS))

    def watch(self, books: Books | None, mark: EquityMark | None, *, permitted: bool) -> Watch:
        """Return what is seen now."""
        now_ms = self._clock.now_ms()
        reading = self._reading
        if reading is not None:
            age_ms = round((_now_s() - self._read_s) * SECOND_MS)
            reading = replace(reading, at_ms=now_ms - age_ms)
        if books is not None:
            self._outages.learn(books.outages)
        outages = self._outages.count(now_ms)
        return Watch(now_ms, mark, reading, self._prices(), permitted, outages, tuple(self._forced))

    def _prices(self) -> dict[str, Decimal]:
        """Return the mark prices of what is held that are newer than the reading."""
        held = () if self._reading is None else self._reading.positions
        return {name: self._ticks[name].price for name in held if name in self._ticks and self._newer(name)}

    def _newer(self, symbol: str) -> bool:
        return self._ticks[symbol].heard_s > self._read_s

    async def _settle(self, books: Books | None, reading: Reading) -> list[Row] | None:
        """Tell apart what moved the wallet; return the rows of what is new, None: read again."""
        if books is None:
            return []
        if self._cash is None:
            self._cash = Cash(books.opened_ms, books.transfers, books.guard_mark_ms)
        settled = await self._cash.settle(self._venue, reading)
        if settled is None:
            return None
        moved, liquidated = settled
        self._forced += [(row.symbol or "", row.at_ms) for row in liquidated]
        return [_transfer(row) for row in moved]


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _present(event: Event | None) -> Iterable[Event]:
    return [] if event is None else [event]


def _transfer(row: Income) -> Event:
    document = json.dumps({"amount_usd": float(row.amount), "kind": row.kind}, sort_keys=True)
    return Event(f"{TRANSFER}-{row.income_id}", row.at_ms, TRANSFER, row.income_id, document)
