"""Closing positions for a flatten: reduce-only market orders for what was just read, never one in the dark.

A closing order in doubt is asked about. The next one follows once the first is known to have ended, or once it can no
longer arrive while the position still stands. Should both fill after all, the venue refuses what is too much.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from itertools import islice
from typing import TYPE_CHECKING

from engine.clock import SECOND_MS
from engine.errors import VenueError
from engine.execution.flattened import SENT, Close
from engine.execution.ids import MOST, Purpose, client_id, parent_id
from engine.execution.journal import ParentOrder, intent_row, parent_row, update_row
from engine.execution.refusals import Remedy, remedy
from engine.execution.venue import Accepted, OrderKind, OrderRequest, OrderState, Rejected, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.execution.flattened import Progress
    from engine.execution.siderecord import Record
    from engine.execution.venue import Outcome, Position, Venue, VenueFilters
    from engine.ledger import Parent

STALE_READING_MS = SECOND_MS
"""A position may be told as it was just before a fill that is known already."""

QUICK_TRIES = 60
"""Closing orders of one position that nothing was filled of, before the next ones come more slowly."""

SLOW_MS = 10 * SECOND_MS
"""From then on between two of them: a symbol that is not traded for a weekend must not fill the ledger."""

MOST_PARTS = 20  # of one position at a time; the rest follows with the next reading

_ZERO = Decimal(0)


@dataclass
class _Stand:
    """What is known of one symbol.

    Attributes:
        parents: how many parents were begun.
        sent: client id -> when it left, of closing orders that are not known to have ended.
        told: the quantity before the last fill we know of: a reading of it soon after is an old one.
        filled_ms: when that fill was heard of.
        filters: the limits, once they mattered.
        tried: the quantity that the last closing orders were for.
        tries: how many of them there were in a row.
        tried_ms: when the last one was sent.
        divisor: into how many parts a close is cut because it was refused as too large, while the limits are unknown.
    """

    parents: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    told: Decimal = _ZERO
    filled_ms: int = 0
    filters: VenueFilters | None = None
    tried: Decimal = _ZERO
    tries: int = 0
    tried_ms: int = 0
    divisor: int = 1

    def rests(self, qty: Decimal, now_ms: int) -> bool:
        """Return whether a position of which nothing was filled so often may wait a little; else count one more try."""
        if qty != self.tried:
            self.tried, self.tries = qty, 0
        if self.tries >= QUICK_TRIES and 0 <= now_ms - self.tried_ms < SLOW_MS:
            return True
        self.tries, self.tried_ms = self.tries + 1, now_ms
        return False


class Closer:
    """Closes positions.

    Args:
        venue: where to.
        record: told before and after each order.
        progress: of the flatten.
    """

    def __init__(self, venue: Venue, record: Record, progress: Progress) -> None:
        self._venue = venue
        self._record = record
        self._progress = progress
        self._clock = progress.clock
        self._stands: dict[str, _Stand] = {}

    async def close(self, position: Position) -> bool:
        """Send what closes a position that was just read, unless an earlier order may still do it.

        Returns:
            False where the venue refused because something else claims the position: cancel that once more.
        """
        stand = self._stands.setdefault(position.symbol, _Stand())
        await self._ask_after(position.symbol, stand)
        told_of_old = position.qty == stand.told and self._clock.now_ms() - stand.filled_ms < STALE_READING_MS
        if stand.sent or told_of_old or stand.rests(position.qty, self._clock.now_ms()):
            return True
        parent = self._parent(position, stand)
        for attempt, qty in enumerate(islice(_parts(position.qty, stand), MOST_PARTS)):
            outcome = await self._send(position, stand, parent, attempt, qty)
            if isinstance(outcome, Rejected):
                self._progress.problem(f"{position.symbol}: {outcome.message}")
                return await self._refused(position.symbol, stand, remedy(outcome.code))
        return True

    async def _ask_after(self, symbol: str, stand: _Stand) -> None:
        """Forget the closing orders that are known to have ended, or that can no longer come to be."""
        for name, sent_ms in tuple(stand.sent.items()):
            too_late = self._clock.now_ms() - sent_ms > self._progress.terms.arrival_ms
            try:
                state = await self._venue.order(symbol, name)
            except VenueError:
                gone = too_late
            else:
                gone = state is None or state.status.ended
                if state is not None:
                    self._note(name, state)
                if not gone and too_late:  # a market order that does not fill
                    await self._venue.cancel(symbol, name)
            if gone:
                del stand.sent[name]

    def _parent(self, position: Position, stand: _Stand) -> Parent:
        terms, started_ms = self._progress.terms, self._progress.started_ms
        order = ParentOrder(
            symbol=position.symbol,
            side=-1 if position.qty > 0 else 1,
            qty=abs(position.qty),
            target_usd=0.0,
            ref_price=float(position.mark_price),
            ref_kind="mark",
            reason="flatten",
            bar_ms=started_ms,
            closing_qty=abs(position.qty),
        )
        moved_on_ms, number = divmod(stand.parents, MOST)  # a venue that fills nothing for an hour is asked on and on
        name = parent_id(Purpose.FLATTEN, position.symbol, started_ms + moved_on_ms, number)
        stand.parents += 1
        parent = parent_row(name, terms.account, order, self._clock.now_ms())
        self._record.write([parent])
        return parent

    async def _send(self, position: Position, stand: _Stand, parent: Parent, attempt: int, qty: Decimal) -> Outcome:
        request = OrderRequest(
            client_id=client_id(parent.parent_id, attempt),
            symbol=position.symbol,
            side=parent.side,
            qty=qty,
            kind=OrderKind.MARKET,
            reduce_only=True,
        )
        now_ms = self._clock.now_ms()
        self._record.write([intent_row(parent, request, now_ms, attempt=attempt)])
        stand.sent[request.client_id] = now_ms  # before it leaves: whoever is stopped meanwhile must ask
        outcome = await self._venue.place(request)
        self._note(request.client_id, outcome)
        words = _in_words(outcome)
        self._progress.closes.append(Close(now_ms, request.client_id, request.symbol, request.side, qty, words))
        if isinstance(outcome, Rejected):
            del stand.sent[request.client_id]
            return outcome
        self._progress.reach(SENT)
        if isinstance(outcome, Accepted) and isinstance(outcome.state, OrderState) and outcome.state.status.ended:
            del stand.sent[request.client_id]
            if outcome.state.filled_qty:
                stand.told, stand.filled_ms = position.qty, self._clock.now_ms()
        return outcome

    async def _refused(self, symbol: str, stand: _Stand, wanted: Remedy) -> bool:
        if wanted is not Remedy.READ_FILTERS:
            return wanted is not Remedy.READ_POSITION
        stand.divisor *= 2
        try:
            stand.filters = (await self._venue.filters()).get(symbol)
        except VenueError as error:
            self._progress.problem(error.problems[0].problem)
        return True

    def _note(self, name: str, found: OrderState | Outcome) -> None:
        self._record.write([update_row(name, found, self._clock.now_ms())])


def _parts(qty: Decimal, stand: _Stand) -> Iterator[Decimal]:
    """Yield the quantities of orders that close a position of `qty`, signed, under the limits as far as known."""
    rest, filters = abs(qty), stand.filters
    step = filters.step_size if filters else Decimal(1).scaleb(int(rest.as_tuple().exponent))
    most = filters.market_max_qty if filters else max(_floored(rest / stand.divisor, step), step)
    rest = _floored(rest, step) or rest  # less than a step: whoever refuses it must say so
    while rest > 0:
        yield min(rest, most)
        rest -= min(rest, most)


def _floored(qty: Decimal, step: Decimal) -> Decimal:
    return (qty / step).to_integral_value(ROUND_FLOOR) * step


def _in_words(outcome: Outcome) -> str:
    if isinstance(outcome, Accepted):
        state = outcome.state
        return f"{state.status.value} {state.filled_qty:f}" if isinstance(state, OrderState) else state.status.value
    if isinstance(outcome, Unknown):
        return f"in doubt: {outcome.reason}"
    return f"refused: {outcome.message}"
