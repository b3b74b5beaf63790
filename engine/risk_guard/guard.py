"""The risk guard: a process of its own, with its own connection, that marks the equity, decides and enforces (A72).

It looks each second and at each tick of the mark prices. Every look asks the policy, by both engines, and publishes
what comes out; one that wants everything closed is enforced (`guard_enforcer`). Reading the venue, reading and writing
the ledger and writing the file all happen beside the looks: none of them can hold one up.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.alerts.alert import OF_EFFECT, Alert, Severity
from engine.clock import MINUTE_MS, SECOND_MS
from engine.errors import StagegateError, VenueError
from engine.execution.deadman import DeadMan
from engine.ledger.rows import Mark
from engine.live.heartbeat import RUNNING, heartbeat_beside, read_beat
from engine.risk_guard.books import GUARD
from engine.risk_guard.enforcer import Enforcer
from engine.risk_guard.facts import guard_facts, value_of
from engine.risk_guard.publisher import Publisher
from engine.risk_guard.senses import Senses

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.permit import Permit
    from engine.execution.venue import Venue
    from engine.ledger.rows import Row
    from engine.live.decision_file import DecisionFiles, GuardDecision
    from engine.policy.guard_times import GuardTimes
    from engine.risk_guard.books import Books
    from engine.risk_guard.equity import EquityMark
    from engine.risk_guard.facts import Value
    from engine.risk_guard.mind import Judgement, Mind
    from engine.risk_guard.record import LedgerDesk

LOOK_EVERY_S = 1.0
FIRST_READING_S = 3.0
READ_GAP_S = 2.0

_RENEW_LISTENING_S = 30.0
_PEAK_STEP = 1e-4  # ratio: a new peak is recorded at once where it is higher than the recorded one by so much


@dataclass(frozen=True)
class GuardParts:
    """What a guard works with; all of it made by whoever starts it.

    Attributes:
        venue: its own connection.
        permit: to add risk.
        clock: the time.
        desk: the ledger, beside it.
        files: where it publishes.
        mind: the policy.
        times: of the bundle.
        ledger: the ledger's path.
        symbols: of the configuration.
        documents: the texts that a replay of its verdicts needs.
        look_every_s: the longest time between two looks.
        told: hears of each decision that is another than the one before.
    """

    venue: Venue
    permit: Permit
    clock: Clock
    desk: LedgerDesk
    files: DecisionFiles
    mind: Mind
    times: GuardTimes
    ledger: Path
    symbols: tuple[str, ...]
    documents: Sequence[Row] = ()
    look_every_s: float = LOOK_EVERY_S
    told: Callable[[GuardDecision], None] = lambda _decision: None


class Guard:
    """A running guard."""

    def __init__(self, parts: GuardParts) -> None:
        self._parts = parts
        self._senses = Senses(parts.venue, parts.clock, parts.times.outage_ends_after_ms)
        self.enforcer = Enforcer(
            parts.venue, parts.permit, parts.clock, parts.files, parts.times, parts.ledger, parts.symbols, self._tell
        )
        self._books: Books | None = None
        self._epoch_ms: int | None = None
        self._peak = 0.0
        self._recorded_peak = 0.0
        self._marked: tuple[Books, EquityMark] | None = None
        self._marked_minute = 0
        self._wake = asyncio.Event()
        self._read_again = asyncio.Event()
        self._publisher = Publisher(parts.files, parts.times.decision_valid_for_ms)
        self._seeing = asyncio.Lock()
        self._faults: dict[str, str] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        parts = self._parts
        parts.desk.write(list(parts.documents))
        # a venue that is away must not keep the first decision waiting
        first = asyncio.ensure_future(self._see())
        await asyncio.wait({first}, timeout=FIRST_READING_S)
        works = ((self._keep_seeing, 0.0), (self._listen, _RENEW_LISTENING_S), (self._hold_dead_man, LOOK_EVERY_S))
        tasks = [first, *(asyncio.ensure_future(self._for_ever(work, pause_s)) for work, pause_s in works)]
        try:
            await self._for_ever(self._look_and_wait, 0.0)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.enforcer.stop()

    async def once(self) -> GuardDecision:
        """Read, look once, and carry out what comes out; return the decision."""
        self._parts.desk.write(list(self._parts.documents))
        await self._see()
        decision = await self.look()
        if decision.closes:
            await self.enforcer.done()
            decision = await self.look()
        await self._publisher.finish()
        await self._parts.desk.flush()
        return decision

    async def look(self) -> GuardDecision:
        """Decide on what is known now, publish it, and order what it wants."""
        parts = self._parts
        judgement = self._judge()
        if judgement.decision.closes and (judgement.changed or parts.permit.present()):
            # a restart may be in force, and its permit granted, since the ledger was read
            self._books = await parts.desk.read(self._books)
            judgement = self._judge()
        decision = judgement.decision
        self.enforcer.order(decision, held=self._senses.flat is False)
        parts.desk.write(parts.mind.take(judgement))
        self._record(changed=judgement.changed)
        self._say(judgement)
        decision = replace(decision, doing=self.enforcer.doing)
        self._publisher.publish(decision)
        if judgement.changed:
            parts.told(decision)
        return decision

    def _judge(self) -> Judgement:
        parts, books = self._parts, self._books
        mark = self._senses.mark(books)
        value = self._value(books, mark)
        watch = self._senses.watch(books, mark, permitted=parts.permit.present())
        facts = guard_facts(books, value, watch)
        self._marked = (books, mark) if books and mark and self._senses.settled else None
        return parts.mind.judge(facts, books, value, watch.now_ms, problems=self._problems())

    def _value(self, books: Books | None, mark: EquityMark | None) -> Value | None:
        if books is None:
            return None
        if books.posture.epoch_ms != self._epoch_ms:
            self._epoch_ms, self._peak, self._recorded_peak = books.posture.epoch_ms, 0.0, 0.0
        value = value_of(books, mark, self._peak, self._parts.clock.now_ms())
        if value is not None and self._senses.settled:
            self._peak = max(self._peak, value.peak)
        return value

    def _record(self, *, changed: bool) -> None:
        """Hand over the mark of a minute, of a change, and of a new peak: a start anew must know it."""
        if self._marked is None:
            return
        books, mark = self._marked
        minute = mark.at_ms // MINUTE_MS
        higher = self._recorded_peak > 0 and mark.nav > self._recorded_peak * (1 + _PEAK_STEP)
        if minute == self._marked_minute and not higher and not changed:
            return
        self._marked_minute = minute
        self._recorded_peak = max(self._recorded_peak, mark.nav, books.guard_peak)
        posture, units = books.posture, mark.equity_usd / mark.nav if mark.nav else books.units
        bounds = (posture.exposure, posture.cap_usd)
        self._parts.desk.write([Mark(GUARD, mark.at_ms, mark.equity_usd, mark.nav, units, *bounds, mark.gross_usd)])

    def _problems(self) -> list[str]:
        desk, senses = self._parts.desk, self._senses
        said = {
            "the ledger cannot be read": desk.unread,
            "the ledger cannot be written": desk.unwritten,
            "the venue does not tell": senses.problem,
            "the ledger does not say what cash the account began with": self._idle_problem(),
            "the decision cannot be published": self._publisher.problem,
            **self._faults,
        }
        return [f"{what}: {why}" for what, why in said.items() if why]

    def _idle_problem(self) -> str:
        return "the equity is not known" if self._books is not None and self._books.idle_usd is None else ""

    # --- beside the looks

    async def _look_and_wait(self) -> None:
        self._wake.clear()
        await self.look()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._parts.look_every_s):
                await self._wake.wait()

    async def _keep_seeing(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._parts.times.mark_every_ms / SECOND_MS):
                await self._read_again.wait()
        self._read_again.clear()
        await self._see()
        await asyncio.sleep(READ_GAP_S)  # fills come in dozens; the allowance is for closing

    async def _see(self) -> None:
        """Read the ledger and the account."""
        desk = self._parts.desk
        async with self._seeing:
            self._books = await desk.read(self._books)
            desk.write(await self._senses.read(self._books))
        self._wake.set()

    async def _listen(self) -> None:
        async for event in self._parts.venue.events():
            if self._senses.hear(event):
                self._read_again.set()
            self._wake.set()

    async def _hold_dead_man(self) -> None:
        """Renew the venue's countdown while a runner is there whose orders it guards, and stops are spared."""
        parts, times = self._parts, self._parts.times
        dead_man = DeadMan(parts.venue, parts.symbols, times.dead_man_ms, times.dead_man_renewed_every_ms)
        armed = False
        try:
            while True:
                if self._runner_is_there():
                    await dead_man.renew()
                    armed = True
                await asyncio.sleep(times.dead_man_renewed_every_ms / SECOND_MS)
        finally:
            if armed and self._runner_is_there():
                await dead_man.disarm()

    def _runner_is_there(self) -> bool:
        books = self._books
        if books is None or not books.spared or not self._parts.permit.present():
            return False
        beat = read_beat(heartbeat_beside(self._parts.ledger))
        return beat is not None and beat.state == RUNNING and beat.age_ms() <= self._parts.times.dead_man_ms

    async def _for_ever(self, work: Callable[[], Coroutine[object, object, None]], pause_s: float) -> None:
        """Do some work again and again; whatever goes wrong with it is told, and no reason to watch no longer."""
        name = f"the guard's own fault in {work.__name__.strip('_')}"
        while True:
            try:
                await work()
                self._faults.pop(name, None)
            except VenueError as error:
                self._faults[name] = error.problems[0].problem
            except StagegateError as error:
                self._faults[name] = str(error.problems[0].problem)
            except Exception as error:  # noqa: BLE001 - a guard that ends guards nothing
                self._faults[name] = f"{type(error).__name__}: {error}"
                pause_s = max(pause_s, LOOK_EVERY_S)
            await asyncio.sleep(pause_s)

    # --- telling

    def _say(self, judgement: Judgement) -> None:
        """Queue the alert of an outcome that begins; what closes everything is told by the enforcer."""
        decision = judgement.decision
        if not judgement.changed or decision.closes or judgement.before == decision.outcome:
            return
        wanted = self._parts.mind.alert_of(decision.outcome)
        if wanted is None and not judgement.before:
            return
        what = f"{decision.outcome}: {'entries are blocked' if decision.entries_blocked else 'entries are allowed'}"
        lines = (("why", "; ".join(decision.because) or "no rule fires"), ("id", decision.decision_id))
        severity = Severity.INFO if wanted is None else OF_EFFECT.get(wanted, Severity.WARN)
        self._tell(Alert(decision.at_ms, severity, f"{decision.decision_id} begins", what, lines))

    def _tell(self, alert: Alert) -> None:
        self._parts.desk.write([alert.row()])
