"""The caretaker: a process beside the desk that does what must not wait for a person, and never trades.

Each kind of work has its own turn: one that fails or hangs holds up no other. What fails is told once, and tried again.
While the ledger is from the future, whatever would be written into its past waits; alerts and commands by chat go on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from engine.alerts.alert import Severity
from engine.clock import MINUTE_MS, SystemClock
from engine.errors import StagegateError, UsageError
from engine.live.time_check import check_time
from engine.live.whole_file import replace_json
from engine.service.duty import Round, tell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from engine.service.duty import Duty, Paper
    from engine.service.settings import CaretakerTimes

BEAT_EVERY_S = 5.0
AGAIN_S = 30.0
WITHIN_S = 600.0
"""How long one turn may take before it is given up and told."""

DATED = "incidents, reports and reviews"
"""What waits for the clock, for people."""

SET_RIGHT = "set the clock right (`timedatectl`, `chronyc tracking`): they wait for it, and then go on by themselves"


@dataclass(frozen=True)
class Work:
    """Everything that is done.

    Attributes:
        rounds: again and again.
        papers: once for each period.
        times: how often.
        beside: what runs all the time, by name: delivering alerts, hearing commands.
    """

    rounds: Sequence[Round]
    papers: Sequence[Paper]
    times: CaretakerTimes
    beside: Sequence[tuple[str, Callable[[], Awaitable[None]]]] = ()


class Keeping:
    """Does the work of one account.

    Args:
        duty: the account.
        work: what is done.
        show: a line for the terminal.
    """

    def __init__(self, duty: Duty, work: Work, show: Callable[[str], None]) -> None:
        self._duty = duty
        self._work = work
        self._show = show
        self._wrong: dict[str, str] = {}
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End after the work that is under way."""
        self._stop.set()

    async def run(self, beat: Path, beat_every_s: float = BEAT_EVERY_S) -> None:
        """Work until told to stop; `beat` is renewed as long as it lives."""
        working = [asyncio.ensure_future(self._for_ever(turn)) for turn in self._turns()]
        beside = [asyncio.ensure_future(self._run_beside(*one)) for one in self._work.beside]
        beating = asyncio.ensure_future(_beat(beat, beat_every_s))
        try:
            await asyncio.gather(*working)
        finally:
            for task in (beating, *working, *beside):
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def once(self) -> tuple[str, ...]:
        """Do each kind of work once; return what went wrong."""
        for turn in self._turns():
            await self._take(turn)
        return tuple(f"{name}: {why}" for name, why in self._wrong.items())

    def _turns(self) -> list[Round]:
        work, every_s = self._work, self._work.times.papers_every_s
        return [*work.rounds, *(Round(one.name, every_s, partial(self._write, one)) for one in work.papers)]

    async def _for_ever(self, turn: Round) -> None:
        while not self._stop.is_set():
            await self._take(turn)
            await self._pause(turn.every_s)

    async def _take(self, turn: Round) -> None:
        """Do some work; whatever goes wrong with it is told, and no reason to do nothing else."""
        try:
            if turn.dated and not self._in_time():
                return
            async with asyncio.timeout(WITHIN_S):
                await turn.act(self._duty)
        except StagegateError as error:
            self._failed(turn.name, str(error.problems[0].problem))
        except TimeoutError:
            self._failed(turn.name, f"it took more than {WITHIN_S:g} s")
        except Exception as error:  # noqa: BLE001 - incidents must go on whatever is wrong with a report
            self._failed(turn.name, f"{type(error).__name__}: {error}")
        else:
            self._succeeded(turn.name)

    def _in_time(self) -> bool:
        """Whether the clock is right; what it says where it is not changes with every look, and is told once."""
        ledger = self._duty.ledger
        try:
            check_time(ledger, self._duty.clock.now_ms(), ledger.path)
        except UsageError as error:
            if DATED not in self._wrong:
                self._failed(DATED, f"{ledger.path}: {error.problems[0].problem}", do=SET_RIGHT)
            return False
        self._succeeded(DATED)
        return True

    async def _write(self, paper: Paper, duty: Duty) -> None:
        """Do what is due of one kind, oldest first; a period that cannot be done holds up none after it."""
        grace_ms = round(self._work.times.paper_grace_min * MINUTE_MS)
        failed: list[Exception] = []
        for period in list(paper.due(duty.ledger, duty.clock.now_ms(), grace_ms)):
            try:
                await paper.write(duty, period)
            except Exception as error:  # noqa: BLE001 - the first of them is raised after the others were done
                failed.append(error)
            else:
                self._show(f"{paper.name} of {period.name}: done")
        if failed:
            raise failed[0]

    async def _run_beside(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Keep something running that never ends by itself."""
        while not self._stop.is_set():
            try:
                await work()
            except StagegateError as error:
                self._failed(name, str(error.problems[0].problem))
            except Exception as error:  # noqa: BLE001 - the same
                self._failed(name, f"{type(error).__name__}: {error}")
            await self._pause(AGAIN_S)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    def _failed(self, name: str, why: str, do: str = "") -> None:
        if self._wrong.get(name) == why:
            return
        self._wrong[name] = why
        self._show(f"{name}: {why}" + (f"; {do}" if do else ""))
        self._tell(Severity.HIGH, name, f"the caretaker cannot do its work: {name}", why, do)

    def _succeeded(self, name: str) -> None:
        if self._wrong.pop(name, None) is not None:
            self._tell(Severity.INFO, name, f"the caretaker does its work again: {name}")

    def _tell(self, severity: Severity, name: str, what: str, why: str = "", do: str = "") -> None:
        try:
            tell(self._duty, severity, f"caretaker {name}", what, why=why, do=do)
        except StagegateError as error:
            self._show(f"it cannot be told: {error.problems[0].problem}")


async def _beat(path: Path, every_s: float) -> None:
    while True:
        replace_json(path, {"real_ms": SystemClock().now_ms()}, lasting=False)
        await asyncio.sleep(every_s)


def beat_beside(ledger: Path) -> Path:
    """Return the file of a ledger's caretaker."""
    return ledger.with_name(f"{ledger.name}.caretaker.json")
