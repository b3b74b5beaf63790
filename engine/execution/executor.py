"""Parent orders carried out: a limit order first where there is time, then the market for the rest, then the books.

One parent at a time per symbol, all symbols at once. Whatever ends a parent early (halted, refused, in doubt) leaves
the rest undone and says so: the next decision looks at what is held then. Nothing here decides how much.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.errors import OutcomeUnknownError, VenueError
from engine.execution.course import Course, Means, ParentStatus
from engine.execution.journal import ParentOrder, exact
from engine.execution.venue import OrderEvent, StopEvent
from engine.portfolio import BY_POLICY

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from engine.execution.fills import FillBook
    from engine.execution.planned import PlannedOrder
    from engine.execution.sending import Sender
    from engine.execution.venue import VenueEvent, VenueFilters
    from engine.ledger import Fill, Intent

BOOKING_ATTEMPTS = 5
"""Looks at the history for what was just filled; later ones are those of the next booking."""

_FIRST_PAUSE_S = 0.1
_GROWTH = 2.0
_ZERO = Decimal(0)


@dataclass(frozen=True)
class ParentResult:
    """What became of one parent.

    Attributes:
        order: as it was given.
        parent_id: in the ledger; empty where nothing was sent.
        filled_qty: base asset.
        avg_price: USDT, of the fills that are booked; None where none is.
        status: how it ended.
        detail: why, where it is not `FILLED`.
    """

    order: ParentOrder
    parent_id: str
    filled_qty: Decimal
    avg_price: float | None
    status: ParentStatus
    detail: str = ""


@dataclass(frozen=True)
class Recovery:
    """What was found of the orders of an earlier run.

    Attributes:
        resolved: client ids of which the end is known now, or that they stand as stops.
        in_doubt: client ids that the venue does not tell of yet.
        fills: booked on the way.
    """

    resolved: tuple[str, ...]
    in_doubt: tuple[str, ...]
    fills: tuple[Fill, ...]


def parent_order(
    planned: PlannedOrder,
    *,
    bar_ms: int,
    ref_price: float,
    prefer_limit: bool,
    add_until_ms: int | None = None,
    verdict_id: str | None = None,
) -> ParentOrder:
    """Return a planned order as a parent.

    Args:
        planned: what the planner wants.
        bar_ms: the open of the bar it is to fill in.
        ref_price: USDT, where the plan does not know it yet.
        prefer_limit: `live.prefer_limit_order`; what the policy orders goes to the market at once all the same.
        add_until_ms: after it nothing more that adds risk is sent (A74).
        verdict_id: whose bounds it obeys.
    """
    closing_qty, opening_qty = Decimal(str(planned.closing_qty)), Decimal(str(planned.opening_qty))
    return ParentOrder(
        symbol=planned.symbol,
        side=planned.side,
        qty=closing_qty + opening_qty,
        target_usd=planned.target_usd,
        ref_price=ref_price if planned.ref_price is None else planned.ref_price,
        ref_kind=planned.ref_kind,
        reason=str(planned.reason),
        bar_ms=bar_ms,
        closing_qty=closing_qty,
        patient=prefer_limit and planned.reason not in BY_POLICY,
        add_until_ms=add_until_ms,
        verdict_id=verdict_id,
    )


class Executor:
    """Carries out parent orders.

    Args:
        sender: sends and asks; its journal is where all is recorded.
        fills: books what was filled.
        limit_timeout_ms: how long a limit order may rest (`live.limit_order_timeout_s`).
        on_fill: awaited for a symbol each time some of it was filled, beside the orders: to keep its stop in step.
    """

    def __init__(
        self,
        sender: Sender,
        fills: FillBook,
        *,
        limit_timeout_ms: int,
        on_fill: Callable[[str], Coroutine[object, object, object]] | None = None,
    ) -> None:
        self._sender = sender
        self._fills = fills
        self._on_fill = on_fill
        self._means = Means(sender, limit_timeout_ms, self._filled, set())
        self._locks: dict[str, asyncio.Lock] = {}
        self._beside: list[asyncio.Task[object]] = []

    async def execute(
        self, orders: Sequence[ParentOrder], filters: Mapping[str, VenueFilters]
    ) -> tuple[ParentResult, ...]:
        """Carry out orders, all symbols at once; return what became of each, in their order.

        Args:
            orders: the parents.
            filters: the symbols' limits, as the orders were planned with; read again where the venue disagrees.

        Raises:
            LedgerError: the books could not be kept; raised once every other order has ended.
            StagegateError: what `on_fill` raised, likewise.
        """
        ended = await asyncio.gather(
            *(self._one(order, filters[order.symbol]) for order in orders), return_exceptions=True
        )
        started, self._beside = self._beside, []
        beside = await asyncio.gather(*started, return_exceptions=True)
        for result in (*ended, *beside):
            if isinstance(result, BaseException):
                raise result
        return tuple(result for result in ended if isinstance(result, ParentResult))

    async def recover(self, symbols: Sequence[str]) -> Recovery:
        """Find out what became of every order whose end the ledger does not know; what still rests is cancelled.

        At the start, after each reconnection, and while something is in doubt. Stops are left standing.

        Args:
            symbols: whose fills are booked afterwards.

        Raises:
            LedgerError: what was found could not be recorded.
            VenueError: the fills could not be read.
        """
        journal = self._sender.journal
        intents = [
            intent
            for intent in journal.ledger.open_intents(journal.account)
            if intent.client_id not in self._means.active
        ]
        known = await asyncio.gather(*(self._look_up(intent) for intent in intents))
        names = [intent.client_id for intent in intents]
        return Recovery(
            resolved=tuple(name for name, told in zip(names, known, strict=True) if told),
            in_doubt=tuple(name for name, told in zip(names, known, strict=True) if not told),
            fills=await self._fills.take(symbols),
        )

    def hear(self, event: VenueEvent) -> None:
        """Take what a stream tells of an order: it is recorded, and whoever waits for it looks at once.

        Raises:
            LedgerError: it could not be recorded.
        """
        if not isinstance(event, OrderEvent | StopEvent):
            return
        name, journal = event.state.client_id, self._sender.journal
        if isinstance(event, OrderEvent):
            self._fills.heard(event.state.symbol, event.state.venue_id, name)
        if journal.ledger.intent(name) is not None:
            journal.note(name, event.state, event.at_ms)
            self._sender.nudge(name)

    async def _one(self, order: ParentOrder, filters: VenueFilters) -> ParentResult:
        async with self._locks.setdefault(order.symbol, asyncio.Lock()):
            course = Course(self._means, order, filters)
            await course.run()
            name = course.parent.parent_id if course.parent else ""
            avg_price = await self._booked(order.symbol, name, course.filled_qty) if course.filled_qty else None
            return ParentResult(order, name, course.filled_qty, avg_price, course.status, course.detail)

    async def _booked(self, symbol: str, parent_id: str, filled_qty: Decimal) -> float | None:
        """Book what was filled; return its average price, as far as the venue shows it yet."""
        for attempt in range(BOOKING_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_FIRST_PAUSE_S * _GROWTH**attempt)
            try:
                await self._fills.take([symbol])
            except VenueError:
                continue  # the ledger knows that some is missing: every later booking looks for it
            booked = self._sender.journal.ledger.fills_of(parent_id)
            qty = sum((exact(fill.qty) for fill in booked), _ZERO)
            if qty >= filled_qty:
                break
        fills = self._sender.journal.ledger.fills_of(parent_id)
        total = sum(fill.qty for fill in fills)
        return sum(fill.qty * fill.price for fill in fills) / total if total else None

    async def _look_up(self, intent: Intent) -> bool:
        """Return whether it is known now what became of an order."""
        try:
            if intent.algo:
                await self._sender.resolve_stop(intent.client_id)
                return True
            state = await self._sender.resolve(intent.symbol, intent.client_id)
            if state is not None and not state.status.ended:
                await self._sender.withdraw(state)
        except OutcomeUnknownError:
            return False
        return True

    def _filled(self, symbol: str) -> None:
        if self._on_fill is not None:
            self._beside.append(asyncio.create_task(self._on_fill(symbol)))
