"""A desk at a simulated venue for a day or more, under faults and deaths: everything a run needs, and what it leaves.

What runs is what runs with real money: the runner with its streams, the executor, the stops, reconciliation, and a
flatten by somebody else's hand. A process that dies is followed by another one on the same ledger.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.bounds import RESTART, Request
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from engine.errors import VenueError
from engine.execution.binance.client import Addresses
from engine.execution.binance.connection import open_venue
from engine.execution.binance.streams import Patience
from engine.execution.flatten import flatten
from engine.execution.flattened import Terms
from engine.execution.reconcile import check_start
from engine.live.connection import Connection, Mode
from engine.live.decision_file import DecisionFiles
from engine.live.lock import InstanceLock
from engine.live.opening import launch, launched_ms
from engine.real_path.loop import ACCOUNT, KEYS, Course, opened_exchange
from engine.rehearsal.approvals import Unsigned
from engine.risk_guard.guard import Guard, GuardParts
from engine.risk_guard.mind import Mind
from engine.risk_guard.record import LedgerDesk
from engine.runner.open import Place, assembled
from engine.runner.runner import Cadence, Runner
from engine.runner.voice import Voice
from engine.simulator.faults import KINDS, FaultPlan, Strike
from engine.simulator.server import SimulatorServer
from engine.simulator.specs import Liquidity, usual_spec
from engine.timeline import run_virtual, sleep_until
from engine.verdict import bundle_hashes
from tests.creeping import creeping
from tests.execution.faults.hot import START_MS, SYMBOLS, Interpreted, engine, hot_market, hot_release
from tests.execution.faults.mortal import Fate, Life, MortalLeave, MortalLedger, MortalRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from engine.execution.flattened import FlattenReport
    from engine.live.decision_file import GuardDecision
    from engine.live.opening import Hands
    from engine.runner.open import Post
    from engine.simulator.accounts import Account
    from engine.simulator.exchange import Exchange

STAGE = 3
CALM_HOURS = 2
"""At the end of a run, when every fault is over."""

SETTLED_MS = 20 * MINUTE_MS
"""After the last close, before the end is looked at."""

LINK = Patience(ping_every_s=300.0, ping_answer_s=10.0, market_silence_s=None)
"""In virtual time a ping costs as much as an order: half-open links are noticed within minutes here, not seconds."""

SELDOM = Cadence(look_s=300.0, rounds_s=1_800.0)
"""For the same reason; what a runner looks for each second and each minute, it looks for here less often."""

FAULTS = tuple(KINDS)

NAP_S = 3_600
RENEWED_EVERY_S = 1_500  # a key lives for an hour

AGAIN_S = 5.0
LOOK_EVERY_S = 60.0  # of the guard, beside each tick of the marks

EARLY, LATE = (2, 5), (4, 9)
"""Hours between which a crash is drawn: early where each second of a day is looked at by two processes."""


@dataclass(frozen=True)
class Play:
    """What is played.

    Attributes:
        seed: of prices, liquidity, faults, drills and deaths.
        faults: names, of `KINDS`.
        hours: of trading.
        kill_at: points at which a process dies; see `mortal`.
        crash: an hour in which all prices jump, when positions stand.
        cadence: of the runner.
        guarded: a risk guard watches by a connection of its own.
        creeping: time passes while things are done, which in virtual time else takes none.
    """

    seed: int
    faults: tuple[str, ...] = ()
    hours: int = 24
    kill_at: frozenset[int] = frozenset()
    crash: bool = False
    cadence: Cadence = SELDOM
    guarded: bool = False
    creeping: bool = False

    @property
    def end_ms(self) -> int:
        return START_MS + self.hours * HOUR_MS

    @property
    def plan(self) -> FaultPlan:
        """The faults, drawn; over `CALM_HOURS` before the end."""
        return FaultPlan.drawn(self.faults, self.seed, START_MS + MINUTE_MS, self.end_ms - CALM_HOURS * HOUR_MS)

    def __str__(self) -> str:
        parts = ["+".join(self.faults) or "no fault", f"seed {self.seed}", f"{self.hours} h"]
        parts += [word for word in ("crash", "guarded", "creeping") if getattr(self, word)]
        parts += [f"killed at {sorted(self.kill_at)}"] if self.kill_at else []
        return ", ".join(parts)


@dataclass
class Ended:
    """What a run leaves.

    Attributes:
        course: market, release and venue that were played with.
        account: the venue's own books.
        ledger: the desk's.
        permits: when the permit came and went.
        flattens: reports of those that came to their end, with when that was.
        lives: when each runner began and ended.
        strikes: of the faults.
        fate: which points there were, and who died where.
        decisions: of the risk guard, each that was another than the one before.
    """

    play: Play
    course: Course
    account: Account
    exchange: Exchange
    ledger: Path
    fate: Fate
    permits: list[tuple[int, bool]] = field(default_factory=list)
    flattens: list[tuple[int, FlattenReport]] = field(default_factory=list)
    lives: list[tuple[int, int]] = field(default_factory=list)
    strikes: tuple[Strike, ...] = ()
    decisions: list[GuardDecision] = field(default_factory=list)

    @property
    def plan(self) -> FaultPlan:
        return self.play.plan

    @property
    def capital_usd(self) -> Decimal:
        return Decimal(str(self.course.capital_usd))

    @property
    def weights(self) -> Mapping[str, float]:
        return self.course.release.config.ensemble.fixed_weights

    def close_of(self, symbol: str, at_ms: int, *, mark: bool = True) -> float:
        """The mark price, or the last one, at the close of the bar that ends at an instant."""
        bars = (self.course.market.mark if mark else self.course.market.bars)[symbol]
        return float(bars.close[int(np.searchsorted(bars.open_time_ms, at_ms - HOUR_MS))])


def played(play: Play, folder: Path) -> Ended:
    """Play it in virtual time, to its end."""

    async def main(clock: Clock) -> Ended:
        return await _World(play, folder, clock).run()

    with _patient_library(), creeping() if play.creeping else nullcontext():
        return run_virtual(main, START_MS)


@contextmanager
def _patient_library() -> Iterator[None]:
    """Let the library's sockets take longer naps and renew their keys less often: that is what costs here."""
    from binance.ws.keepalive_websocket import KeepAliveWebsocket  # noqa: PLC0415 - heavy
    from binance.ws.reconnecting_websocket import ReconnectingWebsocket  # noqa: PLC0415 - heavy

    start = KeepAliveWebsocket._start_socket_timer

    def start_slowly(socket: Any) -> None:
        socket._user_timeout = RENEWED_EVERY_S
        start(socket)

    usual_s, ReconnectingWebsocket.TIMEOUT = ReconnectingWebsocket.TIMEOUT, NAP_S
    KeepAliveWebsocket._start_socket_timer = start_slowly
    try:
        yield
    finally:
        ReconnectingWebsocket.TIMEOUT, KeepAliveWebsocket._start_socket_timer = usual_s, start


def course_of(play: Play) -> Course:
    """The market and the venue's rules of a play, drawn."""
    rng = np.random.default_rng([play.seed, 0xC0])
    queue_s = float(rng.choice([2.0, 8.0, 30.0]))
    liquid = [Liquidity(), Liquidity(queue_s=queue_s), Liquidity(parts=4, queue_s=queue_s, part_delay_ms=50)]
    spec = dataclasses.replace(usual_spec(), liquidity=liquid[int(rng.integers(len(liquid)))])
    first, last = EARLY if play.guarded else LATE
    crash_hour = int(rng.integers(first, last)) if play.crash else None
    market = hot_market(play.seed, -(-play.hours // 24), crash_hour)
    return Course(market, hot_release(), START_MS, play.end_ms + DAY_MS // 2, STAGE, play.seed, spec)


class RestartsAtOnce(Unsigned):
    """Every restart is approved as soon as it is asked for; nothing else is."""

    def given(self, requests: Sequence[Request], now_ms: int) -> tuple[Request, ...]:
        del now_ms
        return tuple(request for request in requests if request.kind == RESTART)


@dataclass(frozen=True)
class SkewedClock:
    """The machine's clock, which somebody sets wrong for a while (the venue's is right).

    Attributes:
        true: the time.
        spans: from, until, and by how much it is behind.
    """

    true: Clock
    spans: tuple[tuple[int, int, int], ...]

    def now_ms(self) -> int:
        now_ms = self.true.now_ms()
        return now_ms - sum(skew_ms for from_ms, until_ms, skew_ms in self.spans if from_ms <= now_ms < until_ms)


def open_mortal(life: Life, addresses: Addresses, permit: MortalLeave, clock: Clock) -> BinanceVenue:
    """Open the adapter for one life."""
    venue = open_venue(KEYS, SYMBOLS, clock, permit.present, addresses=addresses, patience=LINK)
    life.client(venue)
    return venue


class _World:
    """The venue, and whoever comes before it, one life after the other."""

    def __init__(self, play: Play, folder: Path, clock: Clock) -> None:
        self.play, self.clock, self.course = play, clock, course_of(play)
        self.path = folder / "ledger.db"
        self.rng = np.random.default_rng([play.seed, 0xD1])
        exchange = opened_exchange(self.course)
        self.ended = Ended(play, self.course, exchange.accounts[ACCOUNT], exchange, self.path, Fate(play.kill_at))
        skewed = [rule for rule in play.plan.rules if rule.fault.name == "clock_skew"]
        others = tuple(rule for rule in play.plan.rules if rule not in skewed)
        self.faults = FaultPlan(others, play.seed)
        spans = ((rule.from_ms or 0, rule.until_ms or 0, round(rule.fault.skew_s * SECOND_MS)) for rule in skewed)  # type: ignore[attr-defined] # of ClockSkew
        self.machine = SkewedClock(clock, tuple(spans))

    async def run(self) -> Ended:
        async with SimulatorServer(self.ended.exchange, self.clock, self.faults, repeat_s=None) as server:
            self.addresses = Addresses(server.rest_url, server.stream_url, keepalive_s=DAY_MS / SECOND_MS)
            beside = [asyncio.ensure_future(self._drills())]
            beside += [asyncio.ensure_future(self._guards())] if self.play.guarded else []
            await self._run_runners()
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)
            for task in beside:
                if not task.cancelled():
                    task.result()
            self.ended.strikes = server.strikes
        return self.ended

    def permit(self, life: Life) -> MortalLeave:
        path = self.path.with_name(f"{self.path.name}.permit")
        return MortalLeave(path, life=life, log=self.ended.permits, now_ms=self.clock.now_ms)

    def venue(self, life: Life, permit: MortalLeave) -> BinanceVenue:
        return open_mortal(life, self.addresses, permit, self.machine)

    # --- runners

    async def _run_runners(self) -> None:
        while True:
            life = Life(self.ended.fate)
            began_ms = self.clock.now_ms()
            lived = await life.run(lambda: self._runner(life))  # noqa: B023 - awaited at once
            self.ended.lives.append((began_ms, self.clock.now_ms()))
            if lived:
                return
            await asyncio.sleep(float(10 ** self.rng.uniform(-1, 2.7)))

    async def _runner(self, life: Life) -> None:
        lock = InstanceLock(self.path, "campaign", self.clock.now_ms())
        with lock, MortalLedger.open(self.path, create=True) as ledger:
            ledger.life = life
            post = await self._opened(life, ledger)
            runner = Runner(
                post, Voice(ledger, post.clock, lambda _: None), "campaign", self.play.cadence, streaming=True
            )
            left_s = (self.play.end_ms + SETTLED_MS - self.clock.now_ms()) / SECOND_MS
            asyncio.get_running_loop().call_later(left_s, runner.stop)
            await runner.run()
            await self._close_all("the end")
            await post.catch_up()

    async def _opened(self, life: Life, ledger: MortalLedger) -> Post:
        """Open a desk as a runner's start does, again until the venue answers."""
        permit = self.permit(life)
        venue = self.venue(life, permit)
        place = Place(Connection(Mode.PAPER, KEYS), self.course.release, self.path.with_name("reports"), LINK)

        def armed(hands: Hands) -> Hands:
            def close_all(reason: str) -> asyncio.Future[FlattenReport]:
                return asyncio.ensure_future(self._flatten(life, permit, venue, reason))

            return dataclasses.replace(hands, flatten=close_all)

        if launched_ms(ledger) is None:
            launch(
                ledger,
                self.course.release,
                kind="rehearsal",
                stage=STAGE,
                capital_usd=self.course.capital_usd,
                at_ms=START_MS,
            )
            permit.grant(by="campaign", reason="launch", at_ms=self.clock.now_ms())
        while True:
            try:
                await venue.server_time_ms()
                time = venue.asker.clock
                post = await assembled(place, ledger, venue, permit, engine(), RestartsAtOnce(), time, armed=armed)
                tolerance_usd = place.release.bundle.balance_tolerance_usd
                found = await check_start(venue, post.journal, time, post.catch_up, tolerance_usd=tolerance_usd)
            except VenueError:
                await asyncio.sleep(AGAIN_S)
            else:
                return dataclasses.replace(post, found=found)

    # --- the risk guard

    async def _guards(self) -> None:
        while True:
            life = Life(self.ended.fate)
            await life.run(lambda: self._guard(life))  # noqa: B023 - awaited at once
            await asyncio.sleep(float(self.rng.uniform(0, 30)))

    async def _guard(self, life: Life) -> None:
        bundle, permit = self.course.release.bundle, self.permit(life)
        times, files = bundle.guard_times, DecisionFiles.under(self.path.with_name("reports"))
        assert times is not None
        policy = bundle.policies["risk_guard"]
        hashes, valid_ms = bundle_hashes(bundle), times.decision_valid_for_ms
        mind = Mind(
            policy, Interpreted(policy), hashes, "campaign", ledger=self.path, valid_ms=valid_ms, before=files.read()
        )
        async with LedgerDesk(self.path, self.clock) as desk:
            venue = self.venue(life, permit)
            parts = (venue, permit, venue.asker.clock, desk, files, mind, times, self.path, SYMBOLS)
            guard = Guard(GuardParts(*parts, look_every_s=LOOK_EVERY_S, told=self.ended.decisions.append))
            await guard.run()

    # --- other people's hands

    async def _drills(self) -> None:
        for flatten_ms, resume_ms in _drills(self.play, self.rng):
            await sleep_until(self.clock, flatten_ms)
            await self._close_all("drill")
            await sleep_until(self.clock, resume_ms)
            while self._paused():  # noqa: ASYNC110 - another task ends it and tells nobody
                await asyncio.sleep(5 * MINUTE_MS / SECOND_MS)
            self.permit(Life(Fate())).grant(by="campaign", reason="drill over", at_ms=self.clock.now_ms())

    async def _close_all(self, reason: str) -> None:
        """Flatten by a process of its own; whoever runs it runs it again where it died."""
        while True:
            life = Life(self.ended.fate)
            permit = self.permit(life)

            async def act(life: Life = life, permit: MortalLeave = permit) -> None:
                await self._flatten(life, permit, self.venue(life, permit), reason)

            if await life.run(act):
                return
            await asyncio.sleep(float(self.rng.uniform(0, 30)))

    async def _flatten(self, life: Life, permit: MortalLeave, venue: BinanceVenue, reason: str) -> FlattenReport:
        record = MortalRecord(self.path, life, int(self.rng.integers(0, 4)))
        report = await flatten(venue, permit, venue.asker.clock, record, Terms(symbols=SYMBOLS, reason=reason))
        self.ended.flattens.append((self.clock.now_ms(), report))
        return report

    def _paused(self) -> bool:
        """Whether the desk still waits for its restart: approved at its next bar."""
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as connection:
            last = "SELECT document FROM events WHERE kind = 'posture' ORDER BY rowid DESC LIMIT 1"
            posture = json.loads(connection.execute(last).fetchone()[0])
        connection.close()
        begun_ms = max((report.started_ms for _, report in self.ended.flattens), default=0)
        return posture["paused_since_ms"] is not None or posture["epoch_ms"] < begun_ms


def _drills(play: Play, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw when the book is flattened by hand, and when trading is resumed: in the first two days, half at a close."""
    drills: list[tuple[int, int]] = []
    if play.guarded:  # it is the guard who closes the book
        return drills
    for day in range(min(2, -(-play.hours // 24))):
        hours = min(24, play.hours - 24 * day)
        hour = START_MS + day * DAY_MS + int(rng.integers(1, max(2, hours - CALM_HOURS))) * HOUR_MS
        after_ms = int(rng.integers(0, 20_000) if rng.random() < 0.5 else rng.integers(0, HOUR_MS))
        drills.append((hour + after_ms, hour + after_ms + int(rng.integers(10, 100)) * MINUTE_MS))
    return drills
