"""A service in virtual time: its supervisor, and its children as lives in one loop that kill −9 ends at any write."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.alerts.alert import QUEUED, SENT, Alert
from engine.alerts.outbox import Outbox
from engine.alerts.routes import Route
from engine.clock import DAY_MS, HOUR_MS, SECOND_MS
from engine.config.secret import Secret
from engine.errors import StagegateError
from engine.execution.binance.client import Addresses
from engine.ledger import Event, Ledger, sha256_of
from engine.live.decision_file import DecisionFiles
from engine.live.heartbeat import heartbeat_beside
from engine.live.lock import InstanceLock
from engine.operations.reviews.book import DAILY, WEEKLY, written
from engine.risk_guard.record import LedgerDesk
from engine.runner.runner import Runner
from engine.runner.voice import Voice
from engine.service.book import SERVICE, ServiceBook
from engine.service.cadences import papers, rounds
from engine.service.caretaker import Keeping, Work, beat_beside
from engine.service.children import Ended, Part
from engine.service.duty import Duty, Round
from engine.service.periods import day_at, ended, week_at
from engine.service.settings import (
    CARETAKER,
    GUARD,
    RUNNER,
    CaretakerTimes,
    ChildLimits,
    RestartLimits,
    Settings,
)
from engine.service.supervisor import Supervisor
from engine.simulator.server import SimulatorServer
from engine.timeline import run_virtual, sleep_until
from tests.execution.faults.day import violations
from tests.execution.faults.evidence import Evidence
from tests.execution.faults.hot import ROOT, START_MS
from tests.execution.faults.mortal import Fate, Life, MortalLedger
from tests.execution.faults.world import FAULTS, SETTLED_MS, Play, _patient_library, _World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from engine.clock import Clock
    from tests.execution.faults.world import Ended as Played

    Main = Callable[[Life, asyncio.Event], Awaitable[None]]

RULES = ROOT / "config/prod_scale_rules_R1.yaml"
PATIENT = ChildLimits(starts_within_s=3_600, hung_after_s=3_600, longest_pause_s=60)
SETTINGS = Settings(
    children=dict.fromkeys((RUNNER, GUARD, CARETAKER), PATIENT),
    restart=RestartLimits(1, 300, 3, 900),
    stop_within_s=600,
    look_every_s=120,
    bundle_every_s=600,
    caretaker=CaretakerTimes(300, 600, 600, 600, 600, 10, 14),
)
DELIVER_EVERY_S = 120.0
BEAT_EVERY_S = 600.0
KILLED_EVERY_H = 4.0
POINTS_A_WEEK, DEATHS_A_WEEK = 5_000, 20
REFUSED = 0.2  # of what the messenger is given

ROUTE = Route("chat", Secret("json://127.0.0.1/${NOWHERE}"), every_ms=1)
ENVIRON = {"NOWHERE": "x"}


@dataclass
class Served:
    """What a run of the service leaves beside what a desk leaves.

    Attributes:
        played: the desk's and the venue's side.
        delivered: what the messenger took, as often as it took it.
        kills: who was killed from outside, and when.
        odd: what a child ended with that is no error for people.
    """

    played: Played
    delivered: Counter[str] = field(default_factory=Counter)
    kills: list[tuple[int, str]] = field(default_factory=list)
    odd: list[BaseException] = field(default_factory=list)


def served(play: Play, folder: Path) -> Served:
    """Let a service run for the time of a play, in virtual time, while its children are killed."""

    async def main(clock: Clock) -> Served:
        return await _Service(play, folder, clock).serve()

    with _patient_library():
        return run_virtual(main, START_MS)


class _Child:
    """A child that lives in this very loop."""

    def __init__(self, world: _Service, main: Main, pid: int) -> None:
        self.pid = pid
        self.life = Life(world.ended.fate)
        self._stop = asyncio.Event()
        self._world = world
        self._task = asyncio.ensure_future(self.life.run(lambda: main(self.life, self._stop)))

    async def ended(self) -> Ended:
        try:
            return Ended(0 if await asyncio.shield(self._task) else -9)
        except StagegateError as error:
            return Ended(1, str(error))
        except Exception as error:  # noqa: BLE001 - reported by the test
            self._world.served.odd.append(error)
            return Ended(1, repr(error))

    def terminate(self) -> None:
        self._stop.set()

    def kill(self) -> None:
        self.life.dead.set()


class _Service(_World):
    """A venue, and the service of one account."""

    def __init__(self, play: Play, folder: Path, clock: Clock) -> None:
        super().__init__(play, folder, clock)
        self.served = Served(self.ended)
        self._mains: dict[str, Main] = {RUNNER: self._serve_runner, CARETAKER: self._serve_caretaker}
        self._mains |= {GUARD: self._serve_guard} if play.guarded else {}
        self._living: dict[str, _Child] = {}
        self._reports = self.path.with_name("reports")
        self._pid = 100
        self._temper = np.random.default_rng([play.seed, 0xA1])

    async def start(self, part: Part) -> _Child:
        self._pid += 1
        child = _Child(self, self._mains[part.name], self._pid)
        self._living[part.name] = child
        return child

    async def serve(self) -> Served:
        async with SimulatorServer(self.ended.exchange, self.clock, self.faults, repeat_s=None) as server:
            self.addresses = Addresses(server.rest_url, server.stream_url, keepalive_s=DAY_MS / SECOND_MS)
            Ledger.open(self.path, create=True).close()
            async with LedgerDesk(self.path, self.clock) as desk:
                book = ServiceBook(desk, self.clock, lambda _: None)
                supervisor = Supervisor(self._parts(), self, SETTINGS, book)
                beside = [asyncio.ensure_future(work) for work in (self._drills(), self._kill_now_and_then())]
                left_s = (self.play.end_ms + SETTLED_MS - self.clock.now_ms()) / SECOND_MS
                asyncio.get_running_loop().call_later(left_s, supervisor.stop)
                await supervisor.run()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            self.ended.fate.kill_at = frozenset()
            await Life(Fate()).run(self._tidy_up)
            self.ended.strikes = server.strikes
        return self.served

    def _parts(self) -> list[Part]:
        beats = {
            RUNNER: heartbeat_beside(self.path),
            GUARD: DecisionFiles.under(self._reports).decision,
            CARETAKER: beat_beside(self.path),
        }
        return [Part(name, (), beats[name], PATIENT) for name in self._mains]

    async def _kill_now_and_then(self) -> None:
        rng = np.random.default_rng([self.play.seed, 0x9])
        while True:
            await asyncio.sleep(float(rng.exponential(KILLED_EVERY_H * HOUR_MS / SECOND_MS)))
            name = str(rng.choice(list(self._mains)))
            if name in self._living:
                self.served.kills.append((self.clock.now_ms(), name))
                self._living[name].kill()

    # --- the children

    async def _serve_runner(self, life: Life, stop: asyncio.Event) -> None:
        began_ms = self.clock.now_ms()
        try:
            with InstanceLock(self.path, "serve", began_ms), MortalLedger.open(self.path, create=True) as ledger:
                ledger.life = life
                post = await self._opened(life, ledger)
                voice = Voice(ledger, post.clock, lambda _: None)
                runner = Runner(post, voice, "serve", self.play.cadence, streaming=True)
                telling = asyncio.ensure_future(_when(stop, runner.stop))
                await runner.run()
                telling.cancel()
        finally:
            self.ended.lives.append((began_ms, self.clock.now_ms()))

    async def _serve_guard(self, life: Life, stop: asyncio.Event) -> None:
        watching = asyncio.ensure_future(self._guard(life))
        await asyncio.wait({watching, asyncio.ensure_future(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    async def _serve_caretaker(self, life: Life, stop: asyncio.Event) -> None:
        locked = self.path.with_name(f"{self.path.name}.caretaker")
        with InstanceLock(locked, "caretake", self.clock.now_ms()), MortalLedger.open(self.path) as ledger:
            ledger.life = life
            venue = self.venue(life, self.permit(life))
            config = self.course.release.config.path
            market = self.course.market
            duty = Duty(ledger, venue.asker.clock, config, RULES, self._reports, lambda _: market, venue)
            times = SETTINGS.caretaker
            outbox = self._outbox(ledger, life)

            async def deliver(_: Duty) -> None:
                await outbox.deliver()

            turns = [*rounds(times), Round("outbox", DELIVER_EVERY_S, deliver)]
            keeping = Keeping(duty, Work(turns, papers(times), times), lambda _: None)
            telling = asyncio.ensure_future(_when(stop, keeping.stop))
            await keeping.run(beat_beside(self.path), BEAT_EVERY_S)
            telling.cancel()

    def _outbox(self, ledger: Ledger, life: Life) -> Outbox:
        async def send(_: str, text: str) -> bool:
            life.point("before a message")
            if self._temper.random() < REFUSED:
                return False
            self.served.delivered[text.splitlines()[0]] += 1
            life.point("after a message")
            return True

        return Outbox(ledger, [ROUTE], "", ENVIRON, self.clock, send)

    async def _tidy_up(self) -> None:
        """Close the book, read everything that the venue tells, and deliver what waits."""
        life = Life(Fate())
        with MortalLedger.open(self.path) as ledger:
            ledger.life = life
            post = await self._opened(life, ledger)
            await self._close_all("the end")
            await post.catch_up()
            outbox = self._outbox(ledger, life)
            while outbox.waiting(ROUTE):
                await outbox.deliver()
                await sleep_until(self.clock, self.clock.now_ms() + HOUR_MS)
        for venue in life.venues:
            await venue.close()


async def _when(stop: asyncio.Event, act: Callable[[], None]) -> None:
    await stop.wait()
    act()


def found_wrong(run: Served) -> list[str]:
    """Everything that must never be: in the venue's books, in the archive, in the outbox, in the audit trail."""
    found = [str(one) for one in violations(Evidence(run.played))]
    found += [f"a child ended with {error!r}" for error in run.odd]
    with Ledger.open(run.played.ledger) as ledger:
        ledger.verify()
        found += [*_reports_wrong(run, ledger), *_alerts_lost(run, ledger)]
    return found


def _reports_wrong(run: Served, ledger: Ledger) -> Iterator[str]:
    for kind, at in ((DAILY, day_at), (WEEKLY, week_at)):
        reports = written(ledger, kind)
        wanted = [period.to_ms for period in ended(at, START_MS, run.played.play.end_ms)]
        if [report.to_ms for report in reports] != wanted:
            yield f"{kind} reports to {[report.to_ms for report in reports]}, wanted {wanted}"
        for report in reports:
            text = Path(report.path).with_suffix(".json").read_text(encoding="utf-8")
            if sha256_of(text) != report.sha256:
                yield f"{report.path} is not what was noted"
    days = [period.name for period in ended(day_at, START_MS, run.played.play.end_ms)]
    backups = [event for event in ledger.events(SERVICE) if event.subject == "backup"]
    if [json.loads(event.document)["period"] for event in backups] != days:
        yield f"backups: {[event.event_id for event in backups]}"


def _alerts_lost(run: Served, ledger: Ledger) -> Iterator[str]:
    noted = Counter(json.loads(event.document)["alert_id"] for event in ledger.events(SENT))
    texts = {event.event_id: _text(event) for event in ledger.events(QUEUED)}
    for name, text in texts.items():
        if noted[name] != 1:
            yield f"the delivery of {name} was noted {noted[name]} times"
        if not run.delivered[text]:
            yield f"{name} never reached anybody"


def _text(event: Event) -> str:
    """The first line of an alert: what is told again within minutes is told once, with its count."""
    return Alert.from_row(event).text("").splitlines()[0]


def weeks_of_service(count: int) -> Iterator[Play]:
    """A week of a service under a fault drawn by the seed, its children killed again and again; each second guarded."""
    for number in range(count):
        seed = 500_000 + number
        rng = np.random.default_rng(seed)
        points = rng.choice(POINTS_A_WEEK, DEATHS_A_WEEK, replace=False).tolist()
        faults = tuple(rng.choice(FAULTS, 1).tolist())
        yield Play(seed, faults, hours=7 * 24, kill_at=frozenset(points), guarded=number % 2 == 1)
