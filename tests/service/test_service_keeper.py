"""Children that die, hang, or will not end, in virtual time: what the supervisor does, records and tells."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from engine.alerts.alert import QUEUED, Alert
from engine.clock import SECOND_MS
from engine.ledger import Event
from engine.live.service_sign import ENDED, UP
from engine.service.book import CHILD_DIED, CHILD_HUNG, CHILD_STARTED, CHILD_STOPPED, SERVICE, STARTED, STOPPED
from engine.service.book import ServiceBook as Book
from engine.service.children import Ended, Part
from engine.service.settings import CARETAKER, GUARD, RUNNER, CaretakerTimes, ChildLimits, RestartLimits, Settings
from engine.service.supervisor import Supervisor
from engine.timeline import run_virtual

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from engine.clock import Clock
    from engine.ledger.rows import Row

LIMITS = ChildLimits(starts_within_s=30, hung_after_s=10, longest_pause_s=8)
SETTINGS = Settings(
    children=dict.fromkeys((RUNNER, GUARD, CARETAKER), LIMITS),
    restart=RestartLimits(first_pause_s=1, well_after_s=100, dying_deaths=3, dying_within_s=200),
    stop_within_s=20,
    look_every_s=1,
    bundle_every_s=10,
    caretaker=CaretakerTimes(5, 60, 60, 30, 60, 10, 14),
)


@dataclass
class Toy:
    """A child that beats each second and ends when told to, unless it is made otherwise."""

    world: World
    part: Part
    pid: int
    dies_after_s: float | None = None
    silent_after_s: float | None = None
    deaf: bool = False
    code: int = 0
    _end: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._life = asyncio.ensure_future(self._live())

    async def _live(self) -> None:
        age_s = 0.0
        while not self._end.is_set():
            if self.silent_after_s is None or age_s < self.silent_after_s:
                self.world.beat(self.part)
            if self.dies_after_s is not None and age_s >= self.dies_after_s:
                self.code = -9
                return
            await asyncio.sleep(1)
            age_s += 1

    async def ended(self) -> Ended:
        await asyncio.wait({self._life})
        return Ended(self.code, "last words" if self.code else "")

    def terminate(self) -> None:
        self.world.told.append(self.part.name)
        if not self.deaf:
            self._end.set()

    def kill(self) -> None:
        self.code = -9
        self._end.set()


@dataclass
class World:
    folder: Path
    clock: Clock
    makes: dict[str, Callable[[int], dict[str, Any]]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    starts: dict[str, list[float]] = field(default_factory=dict)
    arguments: list[tuple[str, ...]] = field(default_factory=list)
    beats: int = 0

    def write(self, rows: Sequence[Row]) -> None:
        self.rows.extend(rows)

    def beat(self, part: Part) -> None:
        self.beats += 1
        part.beat.write_text(str(self.beats), encoding="utf-8")

    async def start(self, part: Part) -> Toy:
        starts = self.starts.setdefault(part.name, [])
        starts.append(asyncio.get_running_loop().time())
        self.arguments.append(part.arguments)
        made = self.makes[part.name](len(starts)) if part.name in self.makes else {}
        return Toy(self, part, 100 * len(starts) + len(self.starts), **made)

    def part(self, name: str, *arguments: str) -> Part:
        return Part(name, arguments, self.folder / f"{name}.beat", LIMITS)

    def supervisor(self, *names: str) -> Supervisor:
        book = Book(self, self.clock, lambda _: None)
        return Supervisor([self.part(name) for name in names], self, SETTINGS, book)

    async def run_for(self, seconds: float, supervisor: Supervisor) -> None:
        asyncio.get_running_loop().call_later(seconds, supervisor.stop)
        await supervisor.run()

    def noted(self, subject: str) -> list[dict[str, Any]]:
        events = [row for row in self.rows if isinstance(row, Event) and row.kind == SERVICE]
        return [json.loads(row.document) for row in events if row.subject == subject]

    @property
    def alerts(self) -> list[Alert]:
        return [Alert.from_row(row) for row in self.rows if isinstance(row, Event) and row.kind == QUEUED]


def at_work(folder: Path, act: Callable[[World], Awaitable[None]]) -> World:
    worlds: list[World] = []

    async def main(clock: Clock) -> None:
        worlds.append(World(folder, clock))
        await act(worlds[0])

    run_virtual(main, 0)
    return worlds[0]


def test_everybody_runs_and_the_runner_ends_first_the_caretaker_last(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        supervisor = world.supervisor(RUNNER, GUARD, CARETAKER)
        asyncio.get_running_loop().call_later(50, lambda: signs.extend(k.sign.state for k in supervisor.keepers))
        await world.run_for(60, supervisor)
        signs.extend(keeper.sign.state for keeper in supervisor.keepers)

    signs: list[str] = []
    world = at_work(tmp_path, act)
    assert signs == [UP, UP, UP, ENDED, ENDED, ENDED]
    assert world.told == [RUNNER, GUARD, CARETAKER]
    assert [len(world.noted(one)) for one in (STARTED, CHILD_STARTED, CHILD_STOPPED, STOPPED)] == [1, 3, 3, 1]
    assert not world.alerts


def test_who_dies_is_started_again_after_pauses_that_grow_and_people_are_told_once_that_it_keeps_dying(
    tmp_path: Path,
) -> None:
    async def act(world: World) -> None:
        world.makes[RUNNER] = lambda number: {"dies_after_s": 2} if number <= 6 else {}
        await world.run_for(300, world.supervisor(RUNNER, GUARD))

    world = at_work(tmp_path, act)
    starts = world.starts[RUNNER]
    pauses = [died["pause_s"] for died in world.noted(CHILD_DIED)]
    assert pauses == [1, 2, 4, 8, 8, 8]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(gap == pytest.approx(2 + pause, abs=1.1) for gap, pause in zip(gaps, pauses, strict=True))
    assert [(alert.severity, alert.what) for alert in world.alerts] == [
        ("WARN", "the runner died"),
        ("WARN", "the runner died"),
        ("CRITICAL", "the runner keeps dying: 3 deaths in 200 s"),
        ("INFO", "the runner lives again"),
    ]
    assert ("why", "killed by SIGKILL: last words") in world.alerts[0].lines
    assert len(world.starts[GUARD]) == 1


def test_who_lived_for_long_begins_again_with_the_first_pause(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.makes[RUNNER] = lambda number: {"dies_after_s": 2 if number < 3 else 250}
        await world.run_for(600, world.supervisor(RUNNER))

    world = at_work(tmp_path, act)
    assert [died["pause_s"] for died in world.noted(CHILD_DIED)] == [1, 2, 1, 1]
    assert {alert.severity for alert in world.alerts} == {"WARN"}


def test_who_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.makes[GUARD] = lambda number: {"silent_after_s": 20} if number == 1 else {}
        world.makes[RUNNER] = lambda number: {"silent_after_s": 0} if number == 1 else {}
        await world.run_for(100, world.supervisor(RUNNER, GUARD))

    world = at_work(tmp_path, act)
    assert [hung["part"] for hung in world.noted(CHILD_HUNG)] == [RUNNER, GUARD]
    assert world.starts[GUARD][1] == pytest.approx(20 + LIMITS.hung_after_s, abs=4)
    assert world.starts[RUNNER][1] == pytest.approx(LIMITS.starts_within_s, abs=4)
    assert len(world.starts[GUARD]) == len(world.starts[RUNNER]) == 2


def test_a_disk_that_takes_no_file_proves_nothing_and_kills_nobody(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.makes[GUARD] = lambda _: {"silent_after_s": 20}
        supervisor = world.supervisor(GUARD)
        probe = tmp_path / f"{GUARD}.beat.probe"
        (probe.with_name(f"{probe.name}.partial")).mkdir()  # nothing can be written there, as on a full disk
        await world.run_for(100, supervisor)

    world = at_work(tmp_path, act)
    assert not world.noted(CHILD_HUNG)
    assert len(world.starts[GUARD]) == 1


def test_who_does_not_end_in_time_is_ended_by_force(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.makes[RUNNER] = lambda _: {"deaf": True}
        await world.run_for(10, world.supervisor(RUNNER, GUARD))
        took.append(asyncio.get_running_loop().time() - 10)

    took: list[float] = []
    world = at_work(tmp_path, act)
    assert took[0] == pytest.approx(SETTINGS.stop_within_s, abs=4)
    assert world.noted(CHILD_HUNG)[0]["why"] == "stop"
    assert world.told == [RUNNER, GUARD]


def test_told_twice_everything_ends_at_once(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.makes[RUNNER] = lambda _: {"deaf": True}
        supervisor = world.supervisor(RUNNER, GUARD)
        asyncio.get_running_loop().call_later(12, supervisor.stop)
        await world.run_for(10, supervisor)
        assert asyncio.get_running_loop().time() < 15

    at_work(tmp_path, act)


def test_who_is_told_to_stop_while_it_waits_for_its_turn_does_not_start_again(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.makes[RUNNER] = lambda _: {"dies_after_s": 0}
        await world.run_for(4.5, world.supervisor(RUNNER))

    world = at_work(tmp_path, act)
    assert max(world.starts[RUNNER]) < 4.5


def test_another_release_starts_everybody_again_and_is_no_death(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        supervisor = world.supervisor(RUNNER, GUARD)
        for name in (RUNNER, GUARD):
            asyncio.get_running_loop().call_later(30, supervisor.renew, world.part(name, "new"))
        await world.run_for(60, supervisor)

    world = at_work(tmp_path, act)
    assert world.arguments == [(), (), ("new",), ("new",)]
    assert not world.noted(CHILD_DIED)
    assert not world.alerts


def test_a_release_that_comes_while_somebody_is_being_started_reaches_it(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        start = world.start

        async def slowly(part: Part) -> Toy:
            await asyncio.sleep(0.5)
            return await start(part)

        world.start = slowly  # type: ignore[method-assign] # another spawner
        supervisor = world.supervisor(RUNNER)
        asyncio.get_running_loop().call_later(0.2, supervisor.renew, world.part(RUNNER, "new"))
        await world.run_for(30, supervisor)

    world = at_work(tmp_path, act)
    assert world.arguments == [(), ("new",)]
    assert not world.noted(CHILD_DIED)


def test_a_start_that_the_system_refuses_is_a_death_and_tried_again(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        start = world.start

        async def refusing(part: Part) -> Toy:
            if len(world.starts.setdefault(part.name, [])) < 2:
                world.starts[part.name].append(asyncio.get_running_loop().time())
                raise OSError(12, "Cannot allocate memory")
            return await start(part)

        world.start = refusing  # type: ignore[method-assign] # another spawner
        await world.run_for(30, world.supervisor(RUNNER))

    world = at_work(tmp_path, act)
    assert [died["how"] for died in world.noted(CHILD_DIED)] == [
        "exit code 127: cannot be started: Cannot allocate memory"
    ] * 2
    assert world.starts[RUNNER][2] * SECOND_MS < 6 * SECOND_MS
