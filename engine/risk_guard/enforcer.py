"""A decision to close everything, carried out: halt at once, let the runner do it, do it oneself where it does not.

The permit goes with the decision, before anything is waited for. A runner has seconds to acknowledge and then a minute
to be flat; after that, and at once where none runs, the guard closes the book by its own connection, and looks again
for as long as the decision stands.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from engine.alerts.alert import Alert, Severity
from engine.clock import SECOND_MS, iso
from engine.errors import VenueError
from engine.execution.flattened import VERIFIED, Terms
from engine.execution.permit import PermitError
from engine.execution.siderecord import SideRecord
from engine.live.closing import BY_HAND, flatten_watched
from engine.live.lock import holder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.flattened import FlattenReport
    from engine.execution.permit import Permit
    from engine.execution.venue import Venue
    from engine.live.decision_file import DecisionFiles, GuardDecision
    from engine.policy.guard_times import GuardTimes

_LOOK_S = 0.1
_LOOK_AT_VENUE_S = 1.0
_AGAIN_S = 30.0


class Enforcer:
    """Carries out decisions for one account.

    Args:
        venue: the account.
        permit: taken away first.
        clock: the time.
        files: where the runner acknowledges.
        times: how long is waited for whom.
        ledger: where a flatten is recorded, beside the act.
        symbols: of the configuration.
        tell: queues an alert; never waits.

    Attributes:
        doing: what is being done, in words; empty where nothing is.
        report: of the last flatten of its own; None: it closed nothing.
    """

    def __init__(
        self,
        venue: Venue,
        permit: Permit,
        clock: Clock,
        files: DecisionFiles,
        times: GuardTimes,
        ledger: Path,
        symbols: tuple[str, ...],
        tell: Callable[[Alert], None],
    ) -> None:
        self.doing = ""
        self.report: FlattenReport | None = None
        self._venue, self._permit, self._clock = venue, permit, clock
        self._files, self._times, self._ledger, self._symbols = files, times, ledger, symbols
        self._tell = tell
        self._decision: GuardDecision | None = None
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._verified_s: float | None = None
        self._told_flat = ""

    @property
    def flat(self) -> bool:
        """Whether everything was closed, as the venue confirmed, since the decision."""
        return self._verified_s is not None

    def order(self, decision: GuardDecision, *, held: bool = False) -> None:
        """Take the present decision: one that closes everything is carried out from now on, any other ends that.

        Args:
            decision: of this look.
            held: something is held, as last read.
        """
        if not decision.closes:
            self._decision, self._verified_s, self.doing = None, None, ""
            return
        before, self._decision = self._decision, decision
        if before is None or before.decision_id != decision.decision_id:
            self._verified_s = None
            self._settled.clear()
            permitted = self._latch()
            self._alert(Severity.CRITICAL, "decided", f"{decision.outcome}: everything is being closed")
            self._begin(partial(self._carry_out, permitted=permitted))
        elif self._permit.present():
            self._latch()  # somebody granted it against the decision
            self._begin(partial(self._close, must=True))
        elif self._verified_s is not None and (held or self._looked_long_ago(self._verified_s)):
            self._begin(partial(self._close, must=False))

    async def done(self) -> bool:
        """Wait until what was ordered is carried out, or was tried; return whether everything is closed."""
        await self._settled.wait()
        return self.flat

    async def stop(self) -> None:
        """Leave off; whatever was begun goes on with the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin some work, unless some is being done: that ends with everything closed as well."""
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._to_the_end(work))

    async def _to_the_end(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do some work; where it ends with a fault that nobody foresaw, the book is to be closed all the same."""
        while True:
            try:
                return await work()
            except Exception as error:  # noqa: BLE001 - whatever it was, what was decided stands
                self._note_late(f"unexpected: {type(error).__name__}", done="the closing goes on")
                self._settled.set()
            await asyncio.sleep(_LOOK_AT_VENUE_S)
            work = partial(self._close, must=True)

    def _looked_long_ago(self, verified_s: float) -> bool:
        return asyncio.get_running_loop().time() - verified_s >= self._times.flat_within_ms / SECOND_MS

    def _latch(self) -> bool:
        """Take the permit away; return whether it was there."""
        permitted = self._permit.present()
        try:
            self._permit.revoke()
        except PermitError as error:
            problem = error.problems[0]
            self._alert(Severity.CRITICAL, "permit", f"the halt cannot be latched: {problem.problem}", problem.help)
        return permitted

    async def _carry_out(self, *, permitted: bool) -> None:
        """Let the runner close everything; do it where it does not."""
        if await self._runner_closes():
            self._note_flat()
        else:
            await self._close(must=permitted)

    async def _close(self, *, must: bool) -> None:
        """Close what stands, again and again until nothing does.

        Args:
            must: also where nothing stands: an order of before the halt may still be on its way.
        """
        while (decision := self._decision) is not None:
            if not must and await self._nothing_stands():
                self._note_flat()
                return
            self._verified_s = None
            report = await self._flatten(decision)
            if report.flat:
                self._note_flat()
                return
            self._note_late("; ".join(report.problems[-2:]))
            self._settled.set()
            await asyncio.sleep(_AGAIN_S)

    def _note_late(self, why: str, *, done: str = "") -> None:
        self.doing = f"NOT FLAT: {why}"
        self._alert(Severity.CRITICAL, "not-flat", self.doing, BY_HAND, done=done)

    def _note_flat(self) -> None:
        self._verified_s = asyncio.get_running_loop().time()
        self.doing = f"flat, verified {iso(self._clock.now_ms())}"
        self._settled.set()

    async def _runner_closes(self) -> bool:
        """Give the runner its time; return whether nothing stands any more."""
        decision = self._decision
        assert decision is not None
        if holder(self._ledger) is None:
            return False  # nobody runs on this ledger who could
        gone_ms = min(max(0, self._clock.now_ms() - decision.since_ms), self._times.flat_within_ms)
        self.doing = "halted; waiting for the runner to acknowledge"
        try:
            async with asyncio.timeout(max(0, self._times.acknowledged_within_ms - gone_ms) / SECOND_MS):
                while not self._acknowledged(decision):  # noqa: ASYNC110 - a file: nobody could set an event
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            self._alert(Severity.HIGH, "unacknowledged", "the runner did not acknowledge: the guard closes the book")
            return False
        self.doing = "halted; the runner closes the book"
        try:
            async with asyncio.timeout(max(0, self._times.flat_within_ms - gone_ms) / SECOND_MS):
                while not await self._nothing_stands():  # noqa: ASYNC110 - a question to the venue
                    await asyncio.sleep(_LOOK_AT_VENUE_S)
        except TimeoutError:
            self._alert(Severity.CRITICAL, "runner-late", "the runner is not flat in time: the guard closes the book")
            return False
        self._alert(Severity.CRITICAL, "flat", f"{decision.outcome}: the runner is flat")
        return True

    def _acknowledged(self, decision: GuardDecision) -> bool:
        said = self._files.acknowledged()
        return said is not None and said.decision_id == decision.decision_id

    async def _nothing_stands(self) -> bool:
        """Return whether the venue shows no stop, no order and no position; what it does not tell is not nothing."""
        try:
            with self._venue.urgent():
                if await self._venue.positions():  # costs little, and mostly says it
                    return False
                stops = await self._venue.open_stops()
                return not (stops or await self._venue.open_orders() or await self._venue.positions())
        except VenueError:
            return False

    async def _flatten(self, decision: GuardDecision) -> FlattenReport:
        self.doing = "closing the book"
        terms = Terms(symbols=self._symbols, reason=f"{decision.outcome} {decision.decision_id}", on_step=self._step)
        self.report = await flatten_watched(
            self._venue,
            self._permit,
            self._clock,
            SideRecord(self._ledger),
            terms,
            within_ms=self._times.flat_within_ms,
            late=lambda why: self._note_late(why, done="the closing goes on"),
        )
        return self.report

    def _step(self, step: str, at_ms: int) -> None:
        self.doing = f"closing the book: {step}"
        decision = self._decision
        if step == VERIFIED and decision is not None:
            took = f"flattened in {(at_ms - decision.since_ms) / SECOND_MS:.1f} s"
            done = f"orders and stops cancelled, every position closed, verified {iso(at_ms)}"
            again = self._told_flat == decision.decision_id
            self._told_flat = decision.decision_id
            what = f"{decision.outcome}: {'closed again' if again else took}"
            self._alert(Severity.CRITICAL, "again" if again else "flat", what, done=done)

    def _alert(self, severity: Severity, subject: str, what: str, do: str = "", *, done: str = "") -> None:
        decision = self._decision
        name = "" if decision is None else decision.decision_id
        lines = [("why", "; ".join(decision.because))] if decision is not None and decision.because else []
        lines += [(label, text) for label, text in (("done", done), ("do", do)) if text]
        lines += [("id", name)] if name else []
        self._tell(Alert(self._clock.now_ms(), severity, f"{name} {subject}", what, tuple(lines)))
