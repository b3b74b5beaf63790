"""Flatten: latch the halt, cancel orders and stops, close every position, look until all of it is gone.

One act that always ends flat, whatever fails on the way (execution.md, invariant 4; A75, A76):

- The permit goes first: from then on nothing that adds risk leaves this machine.
- Every symbol of the configuration and every one the venue names loses its orders and its stops: two endpoints.
- Positions are closed as they are read (`closing`), so a run after a crash, or two runs at once, end flat as well.
- Flat is what the venue's own answers say: no stops, then no orders, then no positions, read in this order, because a
  stop becomes an order and an order a position, never the other way. An answer that does not come is never flat.
- Sealed is the same once more when no order signed before the latch can arrive any longer, nor a stop that a desk
  placed for a position it had just read; all is cancelled again first, because a young order may not be shown yet.

Nothing here needs the ledger, a stream or the planner. Run again at any time: it begins with what is there.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, TypeVar

from engine.clock import SECOND_MS
from engine.errors import RejectedError, VenueError
from engine.execution.closing import Closer
from engine.execution.flattened import CANCELLED, FLAT, LATCHED, SEALED, VERIFIED, FlattenReport, Progress, Terms
from engine.execution.permit import PermitError
from engine.ledger import Event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from decimal import Decimal

    from engine.clock import Clock
    from engine.execution.permit import Permit
    from engine.execution.siderecord import Record
    from engine.execution.venue import Position, Venue

CANCEL_HEAD_START_S = 1.0
"""Closing does not wait longer for the answers to the cancels."""

HOPELESS = frozenset({"key-refused", "hedge-mode"})
"""What the venue says of a key or an account with which nothing can be closed from here."""

REFUSALS = 20  # in a row of those: about a quarter of a minute

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_GROWTH = 2.0

AnswerT = TypeVar("AnswerT")


async def flatten(venue: Venue, permit: Permit, clock: Clock, record: Record, terms: Terms) -> FlattenReport:
    """Halt, cancel, close, and look until the venue says that nothing is left; run it again whenever it was stopped.

    Args:
        venue: the account.
        permit: deleted first; the halt stays latched.
        clock: the time.
        record: told of everything, beside the act.
        terms: how.

    Returns:
        The report. It is not flat only where the key or the account does not serve, or `terms.patience_ms` ran out.
    """
    return await _Flatten(venue, permit, record, Progress(clock, terms, clock.now_ms())).run()


class _HopelessError(Exception):
    """Nothing can be done from here."""


class _Flatten:
    def __init__(self, venue: Venue, permit: Permit, record: Record, progress: Progress) -> None:
        self._venue = venue
        self._permit = permit
        self._record = record
        self._progress = progress
        self._clock, self._terms = progress.clock, progress.terms
        self._closer = Closer(venue, record, progress)
        self._cancels: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._begun_ms: dict[tuple[str, str], int] = {}
        self._left: dict[str, Decimal] = {}
        self._refusals = 0
        self._pause_s = _FIRST_PAUSE_S

    async def run(self) -> FlattenReport:
        self._latch()
        self._tell("flatten_begun", {"symbols": sorted(self._terms.symbols)})
        try:
            with self._venue.urgent():
                while not (self._given_up() or await self._round()):
                    await self._pause()
        except _HopelessError:
            self._progress.problem("nothing can be closed from here: close by hand at the venue, now")
        finally:
            for task in self._cancels.values():
                task.cancel()
        flat = VERIFIED in self._progress.steps
        self._tell("flatten_ended", {"flat": flat, "steps": self._progress.steps})
        return FlattenReport(
            reason=self._terms.reason,
            started_ms=self._progress.started_ms,
            steps=dict(self._progress.steps),
            closes=tuple(self._progress.closes),
            problems=tuple(self._progress.problems),
            left={} if flat else dict(self._left),
            unrecorded=await self._record.finish(),
        )

    def _latch(self) -> None:
        if LATCHED in self._progress.steps:
            return
        try:
            self._permit.revoke()
        except PermitError as error:
            self._progress.problem(error.problems[0].problem)
        else:
            self._progress.reach(LATCHED)

    def _given_up(self) -> bool:
        patience_ms = self._terms.patience_ms
        return patience_ms is not None and self._clock.now_ms() - self._progress.started_ms > patience_ms

    async def _round(self) -> bool:
        """Do what is to be done now; return whether everything is gone for good."""
        try:
            self._latch()
            return await self._gone()
        except _HopelessError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever else goes wrong, what stands must still be closed
            self._progress.problem(_in_words(error))
            return False

    async def _gone(self) -> bool:
        await self._cancel(() if self._cancels else self._terms.symbols)
        swept = self._swept()  # before looking: what is looked at must be what the last cancels have left
        positions = await self._positions()
        if positions is None:
            return False
        if positions:
            self._progress.lose(FLAT, VERIFIED)
            closed = await asyncio.gather(*(self._closer.close(position) for position in positions.values()))
            claimed = [symbol for symbol, well in zip(positions, closed, strict=True) if not well]
            await self._cancel(positions, again=claimed)
            return False
        self._progress.reach(FLAT)
        if not await self._nothing_stands():
            return False
        self._progress.reach(VERIFIED)
        due_ms = self._due_ms()
        if due_ms is None:
            return True  # nothing to seal: whoever has the permit still has it, as the problems say
        if swept:
            self._progress.reach(SEALED)
            return True
        left_ms = max(due_ms - self._clock.now_ms(), 0)
        await asyncio.sleep(min(left_ms, self._terms.arrival_ms) / SECOND_MS)  # more only where a clock went back
        await self._cancel((), since_ms=due_ms)
        return False  # look once more, from the beginning

    def _due_ms(self) -> int | None:
        """Return from when on nothing can arrive any more; None: not latched, or not flat."""
        steps = self._progress.steps
        return max(steps[LATCHED], steps[FLAT]) + self._terms.arrival_ms if {LATCHED, FLAT} <= steps.keys() else None

    def _swept(self) -> bool:
        """Return whether all was cancelled after the last order could arrive: no list shows what is too young.

        A refusal is put to the venue again for a while; then what the lists show must do.
        """
        due_ms = self._due_ms()
        if due_ms is None or any(begun_ms < due_ms for begun_ms in (self._clock.now_ms(), *self._begun_ms.values())):
            return False
        final = self._clock.now_ms() - due_ms > self._terms.arrival_ms
        return all(
            task.done() and (task.exception() is None or (final and isinstance(task.exception(), RejectedError)))
            for task in self._cancels.values()
        )

    async def _cancel(self, symbols: Iterable[str], *, again: Iterable[str] = (), since_ms: int = 0) -> None:
        """Begin to cancel what was not begun (since then), has failed or stands again; wait so long for answers."""
        kinds: dict[str, Callable[[str], Awaitable[None]]] = {
            "orders": self._venue.cancel_all,
            "stops": self._venue.cancel_all_stops,
        }
        wanted = {(symbol, kind) for symbol in symbols for kind in kinds} - self._cancels.keys()
        wanted |= {(symbol, kind) for symbol in again for kind in kinds}
        wanted |= {key for key, task in self._cancels.items() if task.done() and task.exception() is not None}
        wanted |= {key for key, begun_ms in self._begun_ms.items() if begun_ms < since_ms}
        for symbol, kind in sorted(wanted):
            before = self._cancels.get((symbol, kind))
            if before is None or before.done():
                self._begun_ms[symbol, kind] = self._clock.now_ms()
                self._cancels[symbol, kind] = asyncio.ensure_future(kinds[kind](symbol))
        running = [task for task in self._cancels.values() if not task.done()]
        if running:
            await asyncio.wait(running, timeout=CANCEL_HEAD_START_S)
        failures = [task.exception() for task in self._cancels.values() if task.done()]
        for failure in failures:
            if failure is not None:
                self._progress.problem(_in_words(failure))
        if len(failures) == len(self._cancels) and not any(failures):
            self._progress.reach(CANCELLED)

    async def _positions(self) -> dict[str, Position] | None:
        """Return what is held, None where the venue does not tell: that is never flat."""
        positions = await self._answer(self._venue.positions())
        if positions is not None:
            held = {symbol: position.qty for symbol, position in positions.items()}
            if held != self._left:
                self._pause_s = _FIRST_PAUSE_S  # it moves: look again soon
            self._left = held
        return positions

    async def _nothing_stands(self) -> bool:
        """Return whether the venue shows no stop, then no order, then no position; cancel what it shows."""
        stops = await self._answer(self._venue.open_stops())
        orders = None if stops is None else await self._answer(self._venue.open_orders())
        if stops is None or orders is None:
            return False
        if stops or orders:
            self._progress.lose(VERIFIED)
            await self._cancel((), again={stop.symbol for stop in stops} | {order.symbol for order in orders})
            return False
        return await self._positions() == {}

    async def _answer(self, question: Awaitable[AnswerT]) -> AnswerT | None:
        """Return the answer; None without one, which is a reason to ask again.

        Raises:
            _HopelessError: asking again is of no use.
        """
        try:
            answer = await question
        except VenueError as error:
            problem = error.problems[0]
            self._progress.problem(problem.problem)
            self._refusals = self._refusals + 1 if problem.code in HOPELESS else 0
            if self._refusals >= REFUSALS:
                raise _HopelessError from error
            return None
        self._refusals = 0
        return answer

    async def _pause(self) -> None:
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * _GROWTH, _LONGEST_PAUSE_S)

    def _tell(self, kind: str, document: dict[str, object]) -> None:
        now_ms = self._clock.now_ms()
        text = json.dumps(document, sort_keys=True)
        self._record.write([Event(f"{kind}-{now_ms}", now_ms, kind, self._terms.reason, text)])


def _in_words(failure: BaseException) -> str:
    return failure.problems[0].problem if isinstance(failure, VenueError) else f"unexpected: {failure!r}"
