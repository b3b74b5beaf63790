"""The dead-man timer: the venue cancels a symbol's orders unless we renew its countdown; and the canary before it.

A resting order of a bot that died must not fill hours later. But a countdown that also takes stops away would take the
protection away exactly when nobody is there, so it is armed only after a canary has shown that this venue spares them
(execution.md, invariant 8).
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from decimal import ROUND_FLOOR
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.clock import SECOND_MS
from engine.errors import OutcomeUnknownError, VenueError
from engine.execution.ids import Purpose
from engine.execution.journal import ParentOrder
from engine.execution.venue import StopRequest, StopState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from engine.execution.sending import Sender
    from engine.execution.venue import Venue, VenueFilters

CANARY_COUNTDOWN_MS = 5 * SECOND_MS
CANARY_MARGIN_MS = 3 * SECOND_MS
CANARY = "canary"
"""The kind of the event of what a canary showed; its subject is the `Canary`."""

FAR = 2
"""The canary's trigger is so many times away from the price: half of it, for a stop that sells."""


class Canary(StrEnum):
    """What the canary showed."""

    SPARED = "spared"  # the countdown ran out and the stop stands: the timer may be armed
    TAKEN = "taken"  # the countdown took the stop: it must not be armed
    UNCLEAR = "unclear"  # no stop could be placed or nothing be told: not armed


async def send_canary(sender: Sender, symbol: str, price: Decimal, filters: VenueFilters) -> Canary:
    """Leave the smallest stop far from the price, let a short countdown run out, and look whether it still stands.

    What it showed is an event in the ledger, too.

    Args:
        sender: sends and asks.
        symbol: to try it with; best one without a position, or one that has no other stop.
        price: USDT, the last or mark price.
        filters: the symbol's limits.

    Raises:
        LedgerError: the stop could not be recorded; it was not placed.
    """
    shown = await _shown(sender, symbol, _recorded(sender, symbol, price, filters))
    sender.journal.note_event(CANARY, shown, sender.clock.now_ms(), json.dumps({"symbol": symbol}))
    return shown


async def _shown(sender: Sender, symbol: str, request: StopRequest) -> Canary:
    try:
        stop = await sender.send_stop(request)
    except OutcomeUnknownError:
        return Canary.UNCLEAR
    if not isinstance(stop, StopState) or stop.status.ended:
        return Canary.UNCLEAR
    try:
        await sender.venue.countdown(symbol, CANARY_COUNTDOWN_MS)
        await asyncio.sleep((CANARY_COUNTDOWN_MS + CANARY_MARGIN_MS) / SECOND_MS)
        later = await sender.resolve_stop(stop.client_id)
    except VenueError:
        later = None
    finally:
        with sender.venue.urgent(), suppress(VenueError):
            await sender.venue.cancel_stop(stop.client_id)
            await sender.resolve_stop(stop.client_id)
    if later is None or not sender.permit.present():
        return Canary.UNCLEAR  # who halts meanwhile takes every stop away
    return Canary.TAKEN if later.status.ended else Canary.SPARED


def _recorded(sender: Sender, symbol: str, price: Decimal, filters: VenueFilters) -> StopRequest:
    trigger = (price / FAR / filters.tick_size).to_integral_value(ROUND_FLOOR) * filters.tick_size
    now_ms = sender.clock.now_ms()
    order = ParentOrder(
        symbol=symbol,
        side=-1,
        qty=filters.min_qty,
        target_usd=0.0,
        ref_price=float(trigger),
        ref_kind="stop",
        reason="canary",
        bar_ms=now_ms,
        closing_qty=filters.min_qty,
    )
    with sender.journal.together():
        parent = sender.journal.begin(Purpose.CANARY, order, now_ms)
        request = StopRequest(sender.journal.next_client_id(parent), symbol, -1, trigger, qty=filters.min_qty)
        sender.journal.intend(parent, request, now_ms)
    return request


@dataclass
class DeadMan:
    """Renews the countdowns of an account's symbols while its process lives.

    Attributes:
        venue: where they run.
        symbols: that have one.
        after_ms: how long the venue waits for the next renewal.
        renew_ms: how often it is renewed.
        failures: renewals in a row that reached nothing, by symbol.
    """

    venue: Venue
    symbols: Sequence[str]
    after_ms: int
    renew_ms: int

    def __post_init__(self) -> None:
        self.failures: dict[str, int] = dict.fromkeys(self.symbols, 0)

    async def run(self) -> None:
        """Renew until cancelled, then disarm as far as the venue can be reached."""
        try:
            while True:
                await self.renew()
                await asyncio.sleep(self.renew_ms / SECOND_MS)
        finally:
            await self.disarm()

    async def renew(self) -> None:
        """Wind up every countdown once."""
        await asyncio.gather(*(self._renew(symbol) for symbol in self.symbols))

    async def disarm(self) -> None:
        """End every countdown, as far as the venue can be reached."""
        await asyncio.gather(*(self._set(symbol, 0) for symbol in self.symbols))

    async def _renew(self, symbol: str) -> None:
        self.failures[symbol] = 0 if await self._set(symbol, self.after_ms) else self.failures[symbol] + 1

    async def _set(self, symbol: str, after_ms: int) -> bool:
        try:
            await self.venue.countdown(symbol, after_ms)
        except VenueError:
            return False
        return True
