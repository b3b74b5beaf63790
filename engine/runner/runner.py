"""The runner: a desk kept running. Each bar's work at its close, and beside it what never waits for a bar.

- Each second: does the risk guard want everything closed (acknowledged, then closed, at once), is the halt latched, and
  a sign of life (`runner_halt`, `runner_heartbeat`).
- Each minute, and after every reconnection of a stream: orders in doubt asked about, fills and settlements booked, the
  venue held against the ledger, stops looked at (`runner_rounds`). What differs is told, and while it stands nothing
  adds risk.
- After a bar's work, until it is known: does the venue's countdown spare stops (`runner_arming`)? Only then the risk
  guard arms the dead-man timer.

Nothing here needs to be stored: the ledger remembers, and a runner that is killed at any instruction is started again.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.alerts.alert import OF_EFFECT, Severity
from engine.clock import HOUR_MS, SystemClock, hour_start
from engine.execution.course import ParentStatus
from engine.ledger import Event
from engine.live.heartbeat import RUNNING, STARTING, STOPPED, Heartbeat, heartbeat_beside, write_beat
from engine.live.opening import RUNNER, last_bar_ms
from engine.runner.arming import Arming
from engine.runner.bar import BarView, bar_view
from engine.runner.halt import BY_HAND, Halt
from engine.runner.pace import Pace
from engine.runner.requests import ask_people
from engine.runner.rounds import Rounds
from engine.runner.stage_news import tell_stages
from engine.runner.stream import Ears
from engine.runner.text import bar_line
from engine.timeline import sleep_until
from engine.verdict import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from engine.live.desk_parts import BarReport
    from engine.runner.open import Post
    from engine.runner.voice import Voice

BEGUN, ENDED = "runner_started", "runner_stopped"

_TOLD = {
    ParentStatus.REFUSED: Severity.HIGH,
    ParentStatus.IN_DOUBT: Severity.HIGH,
    ParentStatus.PARTIAL: Severity.WARN,
}


@dataclass(frozen=True)
class Cadence:
    """How often what is done.

    Attributes:
        after_close_ms: after the hour, the bar's work begins.
        look_s: between two looks for the guard and the halt, and two signs of life.
        rounds_s: between two looks at the account.
        last_words_s: how long the end waits for a closing that is under way.
    """

    after_close_ms: int = 50
    look_s: float = 1.0
    rounds_s: float = 60.0
    last_words_s: float = 30.0


class Runner:
    """Keeps one desk running.

    Args:
        post: the desk at its venue.
        voice: tells people.
        what: the command, for the record.
        cadence: how often what is done.
        streaming: whether the venue's streams are listened to.
        beside: what else runs as long as the desk does, such as the outbox.

    Attributes:
        last: what the last bar's work came to; None: none yet.
    """

    def __init__(
        self,
        post: Post,
        voice: Voice,
        what: str,
        cadence: Cadence | None = None,
        *,
        streaming: bool = False,
        beside: Callable[[], Coroutine[object, object, None]] | None = None,
    ) -> None:
        self.last: BarView | None = None
        self._post = post
        self._voice = voice
        self._what = what
        self._cadence = cadence or Cadence()
        self._streaming = streaming
        self._beside = beside
        self._stop = asyncio.Event()
        self._look_now = asyncio.Event()
        self._bar_done = asyncio.Event()
        self._at_work = asyncio.Lock()
        self._halt = Halt(post, voice)
        self._rounds = Rounds(post, voice)
        self._pace = Pace(post.clock)
        self._arming = Arming(post, voice)
        self._state = STARTING
        self._next_ms: int | None = None
        self._outcome = post.desk.governor.outcome
        self._asked_for = post.desk.governor.posture.requests
        self._unbeaten = ""

    def stop(self) -> None:
        """End after the work that is under way; stops stay with the venue."""
        self._stop.set()

    async def run(self) -> None:
        """Run until told to stop.

        Raises:
            LedgerError: something could not be recorded; what was under way was ended first, and stops stay.
        """
        self._note(BEGUN)
        bars = asyncio.create_task(self._bars())
        tasks = [bars, *(asyncio.create_task(work) for work in self._others())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._stop.set()
            await asyncio.wait({bars})
        finally:
            for task in tasks:
                task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await self._halt.finish(self._cadence.last_words_s)
        self._state, self._next_ms = STOPPED, None
        self._beat()
        for result in ended:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                self._voice.show(
                    "stopped: stops stay with the venue, nothing more is sent; `stagegate flatten` closes all"
                )
                raise result
        self._note(ENDED)

    async def once(self) -> BarView:
        """Do the work of the last bar that has closed, and no more; the risk guard is obeyed first.

        Raises:
            LedgerError: something could not be recorded.
        """
        self._halt.look_for_strangers()
        self._halt.look()
        now_ms = self._post.clock.now_ms()
        view = await self._bar(hour_start(now_ms))
        await self._halt.finish(self._cadence.last_words_s)
        self._state = STOPPED
        self._beat()
        return view

    def _others(self) -> list[Coroutine[object, object, None]]:
        others = [self._looks(), self._rounds_for_ever(), self._arm()]
        if self._streaming:
            others.append(Ears(self._post, self._voice, self._look_now.set).listen())
        if self._beside is not None:
            others.append(self._beside())
        return others

    async def _bars(self) -> None:
        now_ms = self._post.clock.now_ms()
        close_ms = hour_start(now_ms)
        while True:
            await self._bar(close_ms)
            now_ms = self._post.clock.now_ms()
            close_ms = max(close_ms + HOUR_MS, hour_start(now_ms))
            self._state, self._next_ms = RUNNING, close_ms
            self._bar_done.set()
            if await self._told_to_stop_before(close_ms + self._cadence.after_close_ms):
                return

    async def _told_to_stop_before(self, at_ms: int) -> bool:
        """Wait until an instant, or until told to stop; return whether that was it."""
        waiting = [
            asyncio.ensure_future(sleep_until(self._post.clock, at_ms)),
            asyncio.ensure_future(self._stop.wait()),
        ]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()
        return self._stop.is_set()

    async def _bar(self, close_ms: int) -> BarView:
        post = self._post
        async with self._at_work:
            held = post.desk.account.qty
            report = await post.desk.bar(close_ms)
        self.last = bar_view(report, post.desk, post.place.release.config, held, halted=not post.permit.present())
        self._voice.show(bar_line(self.last))
        self._tell(report)
        self._beat()
        return self.last

    def _tell(self, report: BarReport) -> None:
        """Tell people of what a bar brought that they should know."""
        for unheard in report.unheard[:1]:
            self._rounds.failed(unheard)
        for result in report.results:
            if (severity := _TOLD.get(result.status)) is not None:
                order = result.order
                what = f"{order.symbol}: {order.reason} of {order.qty:f} {result.status}, {result.filled_qty:f} filled"
                self._voice.alert(severity, f"order {result.parent_id}", what, why=result.detail)
        self._rounds.take_stops(report.stops)
        if report.flattened is not None and not report.flattened.flat:
            why = "; ".join(report.flattened.problems[-2:])
            self._voice.alert(Severity.CRITICAL, "not-flat", f"{report.outcome}: NOT FLAT", why=why, do=BY_HAND)
        self._tell_outcome(report)
        tell_stages(self._post, self._voice, report.close_ms)
        self._ask(report.verdict_id)

    def _tell_outcome(self, report: BarReport) -> None:
        """Tell of an outcome that is another than the last one, as its policy wants it told."""
        before, self._outcome = self._outcome, report.outcome
        effects = self._post.desk.governor.judge.policy.effects.get(report.outcome)
        if effects is None or effects.alert is None or before == report.outcome:
            return
        done = "every position closed, verified" if report.flattened and report.flattened.flat else ""
        why = f"stagegate verdict show {report.verdict_id}"
        self._voice.alert(OF_EFFECT[effects.alert], report.verdict_id, f"{report.outcome}", why=why, done=done)

    def _ask(self, decision_id: str) -> None:
        """Have people asked for what waits for them."""
        post = self._post
        self._asked_for = post.desk.governor.posture.requests
        governor, bundle, now_ms = post.desk.governor, post.place.release.bundle, post.clock.now_ms()
        ask_people(post.ledger, post.approvals, governor, bundle, decision_id, now_ms)

    async def _looks(self) -> None:
        while True:
            self._halt.look()
            if self._post.desk.governor.posture.requests != self._asked_for:  # the book was closed: not a bar later
                decision = self._post.guard.decision()
                self._ask(decision.decision_id if decision is not None else "")
            self._beat()
            await asyncio.sleep(self._cadence.look_s)

    async def _rounds_for_ever(self) -> None:
        while True:
            await self._until_round()
            async with self._at_work:
                await self._rounds.look()
                self._halt.look_for_strangers()
                self._halt.look_for_guard()

    async def _arm(self) -> None:
        """Find out after a bar whether the dead-man timer may be armed, as long as that is not known."""
        while True:
            await self._bar_done.wait()
            self._bar_done.clear()
            async with self._at_work:  # nothing of ours must rest while a countdown runs out
                await self._arming.look()

    async def _until_round(self) -> None:
        """Wait for the next round, or until something was heard that calls for one now."""
        try:
            async with asyncio.timeout(self._cadence.rounds_s):
                await self._look_now.wait()
                await self._pace.wait()
        except TimeoutError:
            return
        finally:
            self._look_now.clear()

    def _note(self, kind: str) -> None:
        """Record that a run began or ended."""
        now_ms = self._post.clock.now_ms()
        detail = {"pid": os.getpid(), "what": self._what, "where": self._post.place.connection.where}
        self._post.ledger.append(Event(f"{kind}-{now_ms}-{os.getpid()}", now_ms, kind, RUNNER, canonical(detail)))

    def _beat(self) -> None:
        """Show a sign of life; that it cannot be written is said once."""
        post = self._post
        beat = Heartbeat(
            pid=os.getpid(),
            mode=str(post.place.connection.mode),
            what=self._what,
            state=self._state,
            at_ms=post.clock.now_ms(),
            real_ms=SystemClock().now_ms(),
            last_bar_ms=self.last.close_ms if self.last else last_bar_ms(post.ledger),
            next_bar_ms=self._next_ms,
            outcome=post.desk.governor.outcome,
            equity_usd=post.desk.account.equity_usd,
            halted=not post.permit.granted,
            doubts=tuple(sorted(post.permit.doubts)),
            unheard=self._rounds.unheard,
        )
        problem = write_beat(heartbeat_beside(post.ledger.path), beat)
        if problem and problem != self._unbeaten:
            self._voice.show(problem)
        self._unbeaten = problem
