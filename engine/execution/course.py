"""The course of one parent order: legs, attempts, refusals. The executor starts it and books what it filled."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.clock import MINUTE_MS
from engine.errors import OutcomeUnknownError, VenueError
from engine.execution.ids import Purpose
from engine.execution.refusals import Remedy, remedy
from engine.execution.venue import OrderKind, OrderRequest, OrderState, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.execution.journal import ParentOrder
    from engine.execution.sending import Sender
    from engine.execution.venue import VenueFilters
    from engine.ledger import Parent

ATTEMPTS = 6
"""Orders in a row of which nothing was filled, before what adds risk is left to the next decision."""

REDUCING_PATIENCE_MS = 5 * MINUTE_MS
"""How long a reduction is tried again, however often it is refused."""

MARKET_PATIENCE_MS = MINUTE_MS
"""How long a market order may stand unfilled before it is cancelled."""

TRADING = "TRADING"

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_GROWTH = 2.0
_ZERO = Decimal(0)


class ParentStatus(StrEnum):
    """How a parent ended."""

    FILLED = "filled"
    PARTIAL = "partial"  # the rest is below the venue's minimum, or was not taken in so many attempts
    NOTHING_LEFT = "nothing_left"  # there was less to reduce than the order said
    HALTED = "halted"  # the permit to add risk was gone
    STALE = "stale"  # the decision had become too old to add risk (A74)
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"  # the venue did not tell what became of an order; the symbol takes no new risk meanwhile


@dataclass(frozen=True)
class Means:
    """What every course needs.

    Attributes:
        sender: sends and asks.
        limit_timeout_ms: how long a limit order may rest.
        on_fill: told of a symbol each time some of it was filled.
        active: client ids under way, which a recovery must leave alone.
    """

    sender: Sender
    limit_timeout_ms: int
    on_fill: Callable[[str], None]
    active: set[str]

    def obstacle(self, order: ParentOrder) -> tuple[ParentStatus, str] | None:
        """Return why nothing that adds risk may be sent for this order; None: nothing stands against it."""
        sender = self.sender
        if not sender.permit.present():
            return ParentStatus.HALTED, "there is no permit to add risk"
        if order.add_until_ms is not None and sender.clock.now_ms() > order.add_until_ms:
            return ParentStatus.STALE, "the decision is too old to add risk"
        journal = sender.journal
        open_intents = journal.ledger.open_intents(journal.account, symbol=order.symbol)
        doubtful = [each.client_id for each in open_intents if not (each.algo or each.client_id in self.active)]
        if doubtful:
            return ParentStatus.IN_DOUBT, f"it is not known yet what became of {', '.join(doubtful)}"
        return None


class Course:
    """One parent under way.

    Args:
        means: what it is carried out with.
        order: what is to be done.
        filters: the symbol's limits.

    Attributes:
        parent: its row in the ledger; None while nothing was sent.
        filled_qty: base asset, so far.
        status: how it ended.
        detail: why, where it is not `FILLED`.
    """

    def __init__(self, means: Means, order: ParentOrder, filters: VenueFilters) -> None:
        self.parent: Parent | None = None
        self.filled_qty = _ZERO
        self.status = ParentStatus.FILLED
        self.detail = ""
        self._means = means
        self._order = order
        self._filters = filters
        self._rest = _ZERO
        self._dust = _ZERO
        self._failures = 0
        self._since_ms = 0
        self._over = False

    async def run(self) -> None:
        """Carry the parent out, however far that goes.

        Raises:
            LedgerError: the books cannot be kept; nothing of it rests at the venue, as far as that could be told.
        """
        order = self._order
        try:
            await self._leg(order.closing_qty, reduce_only=True)
            await self._leg(order.qty - order.closing_qty, reduce_only=False)
        except OutcomeUnknownError as error:
            self._end(ParentStatus.IN_DOUBT, error.problems[0].problem)
        if self.status is ParentStatus.FILLED and self._dust:
            self._end_short_of_a_step()
        elif self.status is ParentStatus.FILLED:
            self.detail = ""

    async def _leg(self, qty: Decimal, *, reduce_only: bool) -> None:
        self._rest, self._failures, self._since_ms = qty, 0, self._means.sender.clock.now_ms()
        if self._order.patient and self._goes_on(reduce_only=reduce_only):
            await self._limit(reduce_only=reduce_only)
        while self._goes_on(reduce_only=reduce_only):
            await self._market(reduce_only=reduce_only)

    def _goes_on(self, *, reduce_only: bool) -> bool:
        """Return whether another order is to be sent for this leg; where not, say why."""
        if self._over or self._rest <= 0:
            return False
        if self._failures and self._tried_enough(reduce_only=reduce_only):
            self._end(ParentStatus.PARTIAL if self.filled_qty else ParentStatus.REFUSED, self.detail)
        elif not reduce_only:
            obstacle = self._means.obstacle(self._order)
            if obstacle is not None:
                self._end(*obstacle)
            elif self._too_small():
                status = ParentStatus.PARTIAL if self.filled_qty else ParentStatus.REFUSED
                self._end(status, f"{self._rest:f} is below the venue's minimum")
        return not self._over

    def _tried_enough(self, *, reduce_only: bool) -> bool:
        if reduce_only:
            return self._means.sender.clock.now_ms() - self._since_ms > REDUCING_PATIENCE_MS
        return self._failures >= ATTEMPTS

    def _too_small(self) -> bool:
        notional_usd = self._rest * Decimal(str(self._order.ref_price))
        return self._rest < self._filters.min_qty or notional_usd < self._filters.min_notional_usd

    def _end(self, status: ParentStatus, detail: str) -> None:
        self.status, self.detail, self._over = status, detail, True

    async def _limit(self, *, reduce_only: bool) -> None:
        price = await self._passive_price()
        qty = min(self._rest, self._filters.max_qty)
        found = await self._order_of(OrderKind.LIMIT, qty, price, reduce_only=reduce_only)
        if isinstance(found, Rejected) and remedy(found.code) is Remedy.LET_BE:
            self.detail = found.message
            return  # a limit order may be refused for its price alone: the market order shows
        await self._take(found, reduce_only=reduce_only, failed=False)

    async def _market(self, *, reduce_only: bool) -> None:
        qty = min(self._rest, self._filters.market_max_qty)
        found = await self._order_of(OrderKind.MARKET, qty, None, reduce_only=reduce_only)
        await self._take(found, reduce_only=reduce_only, failed=True)

    async def _passive_price(self) -> Decimal:
        """Return the best price on our own side of the book; where it cannot be read, the reference, rounded so."""
        buying, tick = self._order.side > 0, self._filters.tick_size
        try:
            best = await self._means.sender.venue.best_price(self._order.symbol)
        except VenueError:
            price = Decimal(str(self._order.ref_price))
        else:
            price = best.bid if buying else best.ask
        return (price / tick).to_integral_value(ROUND_FLOOR if buying else ROUND_CEILING) * tick

    async def _order_of(
        self, kind: OrderKind, qty: Decimal, price: Decimal | None, *, reduce_only: bool
    ) -> OrderState | Rejected | None:
        sender = self._means.sender
        request = self._recorded(kind, qty, price, reduce_only=reduce_only)
        self._means.active.add(request.client_id)
        try:
            found = await sender.send(request)
            if isinstance(found, OrderState) and not found.status.ended:
                found = await self._to_its_end(found, kind)
        except BaseException:  # a failure, or the way out (a cancel): nothing may be left resting
            if kind is OrderKind.LIMIT:
                await asyncio.shield(sender.venue.cancel(request.symbol, request.client_id))
            raise
        finally:
            self._means.active.discard(request.client_id)
        return found

    def _recorded(self, kind: OrderKind, qty: Decimal, price: Decimal | None, *, reduce_only: bool) -> OrderRequest:
        """Return the next order, once the ledger holds it (and before the first one, the parent)."""
        journal, now_ms = self._means.sender.journal, self._means.sender.clock.now_ms()
        with journal.together():
            if self.parent is None:
                self.parent = journal.begin(Purpose.BAR, self._order, now_ms)
            request = OrderRequest(
                client_id=journal.next_client_id(self.parent),
                symbol=self._order.symbol,
                side=self._order.side,
                qty=qty,
                kind=kind,
                price=price,
                reduce_only=reduce_only,
                add_until_ms=self._order.add_until_ms,
            )
            journal.intend(self.parent, request, now_ms)
        return request

    async def _to_its_end(self, state: OrderState, kind: OrderKind) -> OrderState:
        patience_ms = self._means.limit_timeout_ms if kind is OrderKind.LIMIT else MARKET_PATIENCE_MS
        until_ms = self._means.sender.clock.now_ms() + patience_ms
        while True:
            later = await self._means.sender.watch(state, until_ms, rests=kind is OrderKind.LIMIT)
            if later.filled_qty > state.filled_qty:
                self._means.on_fill(state.symbol)
            state = later
            if state.status.ended:
                return state
            if self._means.sender.clock.now_ms() >= until_ms:
                return await self._means.sender.withdraw(state)

    async def _take(self, found: OrderState | Rejected | None, *, reduce_only: bool, failed: bool) -> None:
        """Count what an order brought, and do what its refusal asks for."""
        if isinstance(found, OrderState) and found.filled_qty:
            self.filled_qty += found.filled_qty
            self._rest -= found.filled_qty
            self._failures = 0
            self._means.on_fill(found.symbol)
        elif isinstance(found, Rejected):
            self._failures += 1
            self.detail = found.message
            await self._remedied(found, reduce_only=reduce_only)
        elif failed or found is None:
            self._failures += 1
            self.detail = "the venue filled nothing" if found else "the venue never had the order"
            await self._pause()

    async def _remedied(self, refusal: Rejected, *, reduce_only: bool) -> None:
        wanted = remedy(refusal.code)
        try:
            if wanted is Remedy.READ_POSITION and reduce_only:
                await self._read_position()
            elif wanted is Remedy.READ_FILTERS:
                await self._read_filters(refusal)
            elif wanted is Remedy.WAIT:
                await self._pause()
            else:
                self._end(ParentStatus.PARTIAL if self.filled_qty else ParentStatus.REFUSED, refusal.message)
        except VenueError as error:
            self.detail = error.problems[0].problem
            await self._pause()

    async def _read_position(self) -> None:
        """Cut the rest to what there is left to reduce."""
        position = (await self._means.sender.venue.positions()).get(self._order.symbol)
        held = position.qty if position else _ZERO
        left = abs(held) if held * self._order.side < 0 else _ZERO
        if left == 0:
            self._rest = _ZERO
            if self._order.closing_qty == self._order.qty:  # else the other leg is still to come
                self._end(ParentStatus.NOTHING_LEFT, "there is nothing left to reduce")
        else:
            self._rest = min(self._rest, left)
            await self._pause()

    async def _read_filters(self, refusal: Rejected) -> None:
        """Fit the rest to the limits that hold now; where they are those known already, not at once again."""
        found = (await self._means.sender.venue.filters()).get(self._order.symbol)
        if found is None or found.status != TRADING:
            self._end(ParentStatus.REFUSED, f"{self._order.symbol} is not traded now: {refusal.message}")
            return
        changed, self._filters = found != self._filters, found
        whole = (self._rest / found.step_size).to_integral_value(ROUND_FLOOR) * found.step_size
        self._dust += self._rest - whole
        self._rest = whole
        if not whole:
            self._end_short_of_a_step()
        elif not changed:
            await self._pause()

    def _end_short_of_a_step(self) -> None:
        status = ParentStatus.PARTIAL if self.filled_qty else ParentStatus.REFUSED
        self._end(status, f"{self._dust:f} is less than the venue's step of {self._filters.step_size:f}, and stays")

    async def _pause(self) -> None:
        await asyncio.sleep(min(_FIRST_PAUSE_S * _GROWTH ** (self._failures - 1), _LONGEST_PAUSE_S))
