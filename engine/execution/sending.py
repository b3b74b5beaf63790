"""One order at the venue: sent once, asked about until it is known, watched until it ends.

An order leaves only under an intent that the ledger holds already. One that adds risk asks for the permit last of all
(the venue's adapter asks again at the socket). An answer that proves nothing is followed by questions under the same
client id until the venue tells, never by another order.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

from engine.clock import SECOND_MS
from engine.errors import OutcomeUnknownError, Problem, VenueError
from engine.execution.venue import NOT_SENT, Accepted, OrderRequest, OrderState, Rejected, StopState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.clock import Clock
    from engine.execution.journal import Journal
    from engine.execution.permit import Permit
    from engine.execution.venue import Outcome, StopRequest, Venue

PATIENCE_MS = 60 * SECOND_MS
"""How long an order in doubt is asked about before the rest of the work goes on without it."""

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_FIRST_LOOK_S, _LONGEST_LOOK_S = 1.0, 2.0  # at an order that rests: its answer said so, and a stream tells sooner
_GROWTH = 2.0

StateT = TypeVar("StateT", OrderState, StopState)


class Sender:
    """Sends the orders of one account.

    Args:
        venue: where to.
        journal: where each is recorded before it leaves, and whatever is heard of it.
        permit: without it nothing that adds risk leaves.
        clock: the time.
        patience_ms: how long an order in doubt is asked about.
    """

    def __init__(
        self, venue: Venue, journal: Journal, permit: Permit, clock: Clock, *, patience_ms: int = PATIENCE_MS
    ) -> None:
        self.venue = venue
        self.journal = journal
        self.permit = permit
        self.clock = clock
        self._patience_ms = patience_ms
        self._wakes: dict[str, asyncio.Event] = {}

    def nudge(self, client_id: str) -> None:
        """Look at an order now: a stream told of a change."""
        if client_id in self._wakes:
            self._wakes[client_id].set()

    async def send(self, request: OrderRequest) -> OrderState | Rejected | None:
        """Send an order once; return what the venue has of it, why it refused it, or None: proved, it has nothing.

        Raises:
            OutcomeUnknownError: it could not be told in time; it may stand or be filled.
            LedgerError: what is known could not be recorded.
            ValueError: the ledger holds no intent of it.
        """
        self._check_recorded(request.client_id)
        if not (request.reduce_only or self.permit.present()):
            outcome: Outcome = Rejected(NOT_SENT, "halted: the permit to add risk is gone")
        else:
            with self.venue.urgent() if request.reduce_only else nullcontext():
                outcome = await self.venue.place(request)
        return await self._told(
            request.client_id, outcome, OrderState, lambda: self.venue.order(request.symbol, request.client_id)
        )

    async def send_stop(self, request: StopRequest) -> StopState | Rejected | None:
        """Leave a stop with the venue; the same rules as `send`, but a stop needs no permit: it can only reduce."""
        self._check_recorded(request.client_id)
        with self.venue.urgent():
            outcome = await self.venue.place_stop(request)
        return await self._told(request.client_id, outcome, StopState, lambda: self.venue.stop(request.client_id))

    async def resolve(self, symbol: str, client_id: str) -> OrderState | None:
        """Ask about an order until the venue tells; None: proved, it never came to be.

        Raises:
            OutcomeUnknownError: not told in time.
        """
        return await self._resolve(client_id, lambda: self.venue.order(symbol, client_id))

    async def resolve_stop(self, client_id: str) -> StopState | None:
        """Ask about a stop until the venue tells; the same rules as `resolve`."""
        return await self._resolve(client_id, lambda: self.venue.stop(client_id))

    async def watch(self, state: OrderState, until_ms: int, *, rests: bool) -> OrderState:
        """Return an order once it has ended or is filled further than `state`, else what was last known of it.

        At `until_ms` it is not asked about once more: whoever waited so long cancels it, and asks then.

        Args:
            state: what is known of it.
            until_ms: how long to watch.
            rests: it waits for a price; else it is being filled, and the first looks come sooner.
        """
        pause_s = _FIRST_LOOK_S if rests else _FIRST_PAUSE_S
        while not state.status.ended and (left_ms := until_ms - self.clock.now_ms()) > 0:
            await self._wait(state.client_id, min(pause_s, left_ms / SECOND_MS))
            if self.clock.now_ms() >= until_ms:
                break
            pause_s = min(pause_s * _GROWTH, _LONGEST_LOOK_S)
            try:
                found = await self.venue.order(state.symbol, state.client_id)
            except VenueError:
                continue  # not told this time; what matters is asked again, with patience, when it is cancelled
            if found is not None and found != state:
                self.journal.note(state.client_id, found, self.clock.now_ms())
                if found.filled_qty > state.filled_qty:
                    return found
                state = found
        return state

    async def withdraw(self, state: OrderState) -> OrderState:
        """Cancel an order and return how it ended, filled meanwhile or not.

        Raises:
            OutcomeUnknownError: the venue did not confirm an end in time.
        """
        deadline_ms = self.clock.now_ms() + self._patience_ms
        pause_s = _FIRST_PAUSE_S
        while True:
            with self.venue.urgent():
                outcome = await self.venue.cancel(state.symbol, state.client_id)
                told = outcome.state if isinstance(outcome, Accepted) else None
                if isinstance(told, OrderState) and told.status.ended and told.filled_qty >= state.filled_qty:
                    self.journal.note(state.client_id, told, self.clock.now_ms())
                    return told
                found = await self.resolve(state.symbol, state.client_id)
            if found is not None and found.status.ended:
                return found
            if self.clock.now_ms() >= deadline_ms:
                raise _in_doubt(state.client_id, self._patience_ms, f"its cancel: {outcome}")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * _GROWTH, _LONGEST_PAUSE_S)

    def _check_recorded(self, client_id: str) -> None:
        if self.journal.ledger.intent(client_id) is None:
            raise ValueError(f"{client_id} would leave before the ledger knows of it")

    async def _told(
        self, client_id: str, outcome: Outcome, kind: type[StateT], ask: Callable[[], Awaitable[StateT | None]]
    ) -> StateT | Rejected | None:
        self.journal.note(client_id, outcome, self.clock.now_ms())
        if isinstance(outcome, Rejected):
            return outcome
        if isinstance(outcome, Accepted) and isinstance(outcome.state, kind):
            return outcome.state
        return await self._resolve(client_id, ask)

    async def _resolve(self, client_id: str, ask: Callable[[], Awaitable[StateT | None]]) -> StateT | None:
        deadline_ms = self.clock.now_ms() + self._patience_ms
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                found = await ask()
            except VenueError as error:
                if self.clock.now_ms() >= deadline_ms:
                    raise _in_doubt(client_id, self._patience_ms, str(error.problems[0].problem)) from error
            else:
                if found is None:
                    self.journal.note_absent(client_id, self.clock.now_ms())
                else:
                    self.journal.note(client_id, found, self.clock.now_ms())
                return found
            await self._wait(client_id, pause_s)
            pause_s = min(pause_s * _GROWTH, _LONGEST_PAUSE_S)

    async def _wait(self, client_id: str, seconds: float) -> None:
        """Wait, or until the order is nudged."""
        wake = self._wakes.setdefault(client_id, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                await wake.wait()
        except TimeoutError:
            pass
        finally:
            self._wakes.pop(client_id, None)


def _in_doubt(client_id: str, patience_ms: int, why: str) -> OutcomeUnknownError:
    problem = f"not known after {patience_ms / SECOND_MS:.0f} s: {why}"
    help_ = "not sent again; it is asked about until known, and its symbol takes no new risk meanwhile"
    return OutcomeUnknownError(Problem("outcome-unknown", client_id, problem, help_))
