"""Protective stops at the venue, kept in step with the position and with the strategy's stop price.

A stop is a STOP_MARKET of the venue's conditional orders, triggered by the last price, reduce-only, over exactly the
quantity held. It is replaced by placing the new one first and cancelling the old one when the new one stands: for that
moment there are two, never none. Two do no harm: the first to trigger closes the position, and a reduce-only order
without a position to reduce is refused. A stop that closes whatever is held (`close_position`) would follow the
quantity by itself, but the venue allows one of them per side (−4130), so it could only be replaced by a gap.

A trigger that the price has passed already (−2021) is a stop that was hit: the position is closed at the market.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.errors import VenueError
from engine.execution.ids import Purpose, is_ours
from engine.execution.journal import ParentOrder
from engine.execution.refusals import Remedy, remedy
from engine.execution.venue import OrderKind, OrderRequest, Rejected, StopRequest, StopState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.execution.sending import Sender
    from engine.execution.venue import Position
    from engine.ledger import Parent

STOPPED = "stop"

SECOND_LOOK_S = 1.0
"""A position may be told as it was just before a fill: a stop is not taken away on the strength of one reading."""

_REMOVALS = 3


class StopStatus(StrEnum):
    """How a symbol's protection stands."""

    NONE = "none"  # nothing held, or no stop wanted: none stands
    KEPT = "kept"  # the one that is wanted stood already
    PLACED = "placed"  # it stands now, others are gone
    CLOSED = "closed"  # the price had passed the trigger: closed at the market
    UNPROTECTED = "unprotected"  # the venue takes neither the stop nor the closing order; what stood before still does


@dataclass(frozen=True)
class StopReport:
    """One symbol's protection after a look at it; `detail` says why it is not as wanted."""

    symbol: str
    status: StopStatus
    client_id: str = ""
    detail: str = ""


class StopKeeper:
    """Keeps the stops of one account.

    Args:
        sender: sends and asks; its journal is where stops are recorded before they leave.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._locks: dict[str, asyncio.Lock] = {}

    async def keep(self, symbol: str, trigger_price: float | None, tick_size: Decimal) -> StopReport:
        """See to it that exactly the wanted stop stands: after each fill, each new stop price, each reconnection.

        A position keeps its stop until it is gone, also where the strategy has left it: an exit may fail.

        Args:
            symbol: the venue's name.
            trigger_price: USDT, of the strategy's stop; None: it has none now, and what stands stays in step.
            tick_size: USDT; the trigger is rounded to it towards the price, so that it never comes later.

        Raises:
            VenueError: what stands cannot be told; nothing was changed, or the new stop stands and old ones remain.
            LedgerError: a stop could not be recorded; it was not placed.
        """
        async with self._locks.setdefault(symbol, asyncio.Lock()):
            position = await self._position(symbol)
            standing = await self._standing(symbol)
            if position is None and standing:
                position = await self._looked_again(symbol)
            if position is None:
                return StopReport(symbol, StopStatus.NONE, detail=await self._remove(standing))
            trigger = _present_trigger(standing, position)
            if trigger_price is not None:
                trigger = on_tick(trigger_price, tick_size, long=position.qty > 0)
            if trigger is None:
                return StopReport(symbol, StopStatus.NONE, detail=await self._remove(standing))
            return await self._protect(position, trigger, standing)

    async def _protect(self, position: Position, trigger: Decimal, standing: Sequence[StopState]) -> StopReport:
        symbol = position.symbol
        kept = next((stop for stop in standing if _is_as_wanted(stop, position, trigger)), None)
        if kept is not None:
            others = await self._remove([stop for stop in standing if stop is not kept])
            return StopReport(symbol, StopStatus.KEPT, kept.client_id, others)
        placed = await self._place(position, trigger)
        if isinstance(placed, StopState):
            others = await self._remove(standing)
            if await self._closed_meanwhile(symbol):
                return StopReport(symbol, StopStatus.NONE, detail=await self._remove([placed]))
            return StopReport(symbol, StopStatus.PLACED, placed.client_id, others)
        if remedy(placed.code) is Remedy.CLOSE_NOW:
            return await self._close(position, trigger)
        return StopReport(symbol, StopStatus.UNPROTECTED, detail=placed.message)

    async def _closed_meanwhile(self, symbol: str) -> bool:
        """Return whether the position went while its stop was placed: a flatten would not look for that stop again."""
        try:
            return await self._position(symbol) is None and await self._looked_again(symbol) is None
        except VenueError:
            return False  # not told: a stop too many only reduces, and the next look finds it

    async def _looked_again(self, symbol: str) -> Position | None:
        await asyncio.sleep(SECOND_LOOK_S)
        return await self._position(symbol)

    async def _position(self, symbol: str) -> Position | None:
        return (await self._sender.venue.positions()).get(symbol)

    async def _standing(self, symbol: str) -> list[StopState]:
        return [stop for stop in await self._sender.venue.open_stops(symbol) if is_ours(stop.client_id)]

    async def _place(self, position: Position, trigger: Decimal) -> StopState | Rejected:
        parent, request = self._recorded(position, trigger)
        found = await self._sender.send_stop(request)
        if found is None:  # proved that it never came to be: once more, under another name
            found = await self._sender.send_stop(self._again(parent, request))
        if isinstance(found, StopState) and found.status.ended:
            return Rejected(-1, f"the venue took the stop and then {found.status.value.lower()} it")
        return found or Rejected(-1, "the venue does not take the stop")

    def _recorded(self, position: Position, trigger: Decimal) -> tuple[Parent, StopRequest]:
        journal, now_ms = self._sender.journal, self._sender.clock.now_ms()
        order = _parent_order(position, trigger, now_ms)
        with journal.together():
            parent = journal.begin(Purpose.STOP, order, now_ms)
            name = journal.next_client_id(parent)
            request = StopRequest(name, position.symbol, order.side, trigger, qty=order.qty)
            journal.intend(parent, request, now_ms)
        return parent, request

    def _again(self, parent: Parent, before: StopRequest) -> StopRequest:
        journal = self._sender.journal
        name = journal.next_client_id(parent)
        request = StopRequest(name, before.symbol, before.side, before.trigger_price, qty=before.qty)
        journal.intend(parent, request, self._sender.clock.now_ms())
        return request

    async def _remove(self, stops: Sequence[StopState]) -> str:
        """Cancel stops that are not wanted (any more), and note how each ended; return in words what would not go."""
        unwanted = {stop.client_id for stop in stops}
        for _ in range(_REMOVALS):
            if not unwanted:
                return ""
            for name in sorted(unwanted):
                with self._sender.venue.urgent():
                    await self._sender.venue.cancel_stop(name)
                if self._sender.journal.ledger.intent(name) is not None:
                    await self._sender.resolve_stop(name)
            unwanted &= {stop.client_id for stop in await self._standing(stops[0].symbol)}
        return f"still standing: {', '.join(sorted(unwanted))}" if unwanted else ""

    async def _close(self, position: Position, trigger: Decimal) -> StopReport:
        journal, now_ms = self._sender.journal, self._sender.clock.now_ms()
        order = _parent_order(position, trigger, now_ms)
        with journal.together():
            parent = journal.begin(Purpose.STOPPED, order, now_ms)
            name = journal.next_client_id(parent)
            request = OrderRequest(name, position.symbol, order.side, order.qty, OrderKind.MARKET, reduce_only=True)
            journal.intend(parent, request, now_ms)
        found = await self._sender.send(request)
        if isinstance(found, Rejected) and remedy(found.code) is not Remedy.READ_POSITION:
            return StopReport(position.symbol, StopStatus.UNPROTECTED, name, found.message)
        if found is None:
            return StopReport(position.symbol, StopStatus.UNPROTECTED, name, "the venue never had the closing order")
        return StopReport(position.symbol, StopStatus.CLOSED, name)


def on_tick(price: float, tick_size: Decimal, *, long: bool) -> Decimal:
    """Return a stop's trigger as the venue takes it, never later than asked for.

    >>> on_tick(100.04, Decimal("0.1"), long=True), on_tick(100.04, Decimal("0.1"), long=False)
    (Decimal('100.1'), Decimal('100.0'))
    """
    rounding = ROUND_CEILING if long else ROUND_FLOOR
    return (Decimal(str(price)) / tick_size).to_integral_value(rounding) * tick_size


def _present_trigger(standing: Sequence[StopState], position: Position) -> Decimal | None:
    """Return the trigger of the stop that protects a position; None: it has none."""
    return next((stop.trigger_price for stop in standing if stop.side * position.qty < 0), None)


def _is_as_wanted(stop: StopState, position: Position, trigger: Decimal) -> bool:
    closes = stop.side * position.qty < 0
    return closes and not stop.status.ended and stop.qty == abs(position.qty) and stop.trigger_price == trigger


def _parent_order(position: Position, trigger: Decimal, now_ms: int) -> ParentOrder:
    return ParentOrder(
        symbol=position.symbol,
        side=-1 if position.qty > 0 else 1,
        qty=abs(position.qty),
        target_usd=0.0,
        ref_price=float(trigger),
        ref_kind="stop",
        reason=STOPPED,
        bar_ms=now_ms,
        closing_qty=abs(position.qty),
    )
