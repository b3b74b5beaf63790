"""One process kept alive: started, heard, killed when it hangs, started again after pauses that grow."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.alerts.alert import Severity
from engine.clock import SystemClock
from engine.live.service_sign import ENDED, STARTING, UP, WAITING, ChildSign
from engine.live.whole_file import replace_json
from engine.service.book import CHILD_DIED, CHILD_HUNG, CHILD_STARTED, CHILD_STOPPED
from engine.service.children import Ended

if TYPE_CHECKING:
    from engine.service.book import ServiceBook
    from engine.service.children import Child, Part, Spawner
    from engine.service.settings import Settings

_CANNOT = 127  # the shell's code of a command that cannot be started
_DO = "stops stay with the venue; read what it says, `stagegate status`; `stagegate flatten` closes everything"


class Pulse:
    """Whether a process shows signs of life; counted by the loop's time, so a clock that is set kills nobody.

    Args:
        part: whose.
        now_s: the loop's time.
    """

    def __init__(self, part: Part, now_s: float) -> None:
        self.felt = False
        self._path = part.beat
        self._limits = part.limits
        self._seen = self._content()
        self._since_s = now_s

    def lost(self, now_s: float) -> bool:
        """Return whether it has shown none for too long; a disk that takes no file proves nothing."""
        content = self._content()
        if content is not None and content != self._seen:
            self.felt, self._seen, self._since_s = True, content, now_s
        limit_s = self._limits.hung_after_s if self.felt else self._limits.starts_within_s
        if now_s - self._since_s <= limit_s:
            return False
        probe = self._path.with_name(f"{self._path.name}.probe")
        if replace_json(probe, {}, lasting=False):
            self._since_s = now_s
            return False
        with suppress(OSError):
            probe.unlink()
        return True

    def _content(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except OSError:
            return None


class Keeper:
    """Keeps one part of the tree.

    Args:
        part: what is kept.
        spawner: starts it.
        settings: of the service.
        book: records what happens.
    """

    def __init__(self, part: Part, spawner: Spawner, settings: Settings, book: ServiceBook) -> None:
        self.part = part
        self._spawner = spawner
        self._settings = settings
        self._book = book
        self._child: Child | None = None
        self._state = WAITING
        self._since_ms = SystemClock().now_ms()
        self._said = ""
        self._deaths = 0
        self._in_a_row = 0
        self._recent: deque[float] = deque(maxlen=settings.restart.dying_deaths)
        self._told = False
        self._stop = asyncio.Event()
        self._stop_by_s: float | None = None
        self._renewed = False

    @property
    def sign(self) -> ChildSign:
        """How it is."""
        pid = None if self._child is None else self._child.pid
        return ChildSign(self.part.name, pid, self._state, self._since_ms, self._deaths, self._said)

    async def run(self) -> None:
        """Keep it until told to stop."""
        while not self._stop.is_set():
            began_s = self._now_s()
            ended = await self._live()
            self._child = None
            if self._stop.is_set():
                self._book.note(CHILD_STOPPED, part=self.part.name, how=str(ended))
            elif self._renewed:
                self._book.note(CHILD_STOPPED, part=self.part.name, how=str(ended))
                self._renewed, self._stop_by_s = False, None
            else:
                await self._pause(self._died(ended, self._now_s() - began_s))
        self._turn(ENDED)

    def stop(self) -> None:
        """Let it end what is under way, and then end."""
        self._stop.set()
        self._end_softly()

    def kill(self) -> None:
        """End it now."""
        self._stop.set()
        if self._child is not None:
            self._child.kill()

    def renew(self, part: Part) -> None:
        """Let it end what is under way, and start it again as another part says."""
        self.part = part
        if self._child is not None:
            self._renewed = True
            self._end_softly()

    def _end_softly(self) -> None:
        self._stop_by_s = self._now_s() + self._settings.stop_within_s
        if self._child is not None:
            self._child.terminate()

    async def _live(self) -> Ended:
        """Start it, and return how it ended."""
        self._turn(STARTING)
        part = self.part
        try:
            child = await self._spawner.start(part)
        except OSError as error:
            return Ended(_CANNOT, f"cannot be started: {error.strerror or error}")
        self._child = child
        self._book.note(CHILD_STARTED, part=part.name, child=child.pid)
        if part is not self.part:  # another release came into force while it was being started
            self._renewed = True
        if self._stop.is_set() or part is not self.part:
            self._end_softly()
        end = asyncio.ensure_future(child.ended())
        try:
            await self._watch(child, end, Pulse(part, self._now_s()))
            return await end
        finally:
            end.cancel()

    async def _watch(self, child: Child, end: asyncio.Future[Ended], pulse: Pulse) -> None:
        """Look at it until it has ended; end it by force where it hangs, or does not end in time."""
        began_s, killed = self._now_s(), False
        while not end.done():
            await asyncio.wait({end}, timeout=self._settings.look_every_s)
            now_s = self._now_s()
            if end.done() or killed:
                continue
            late = self._stop_by_s is not None and now_s > self._stop_by_s
            lost = pulse.lost(now_s)
            if pulse.felt and self._state == STARTING:
                self._turn(UP)
            if late or lost:
                killed = True
                self._book.note(CHILD_HUNG, part=self.part.name, child=child.pid, why="stop" if late else "pulse")
                child.kill()
            self._well(now_s - began_s)

    def _died(self, ended: Ended, lived_s: float) -> float:
        """Take note of a death; return how long to wait before it is started again, seconds."""
        limits, name = self._settings.restart, self.part.name
        self._said = str(ended)
        self._deaths += 1
        self._in_a_row = 1 if lived_s >= limits.well_after_s else self._in_a_row + 1
        self._recent.append(self._now_s())
        pause_s = float(min(limits.first_pause_s * 2 ** (self._in_a_row - 1), self.part.limits.longest_pause_s))
        self._book.note(CHILD_DIED, part=name, how=str(ended), pause_s=pause_s, deaths=self._deaths)
        often = len(self._recent) == limits.dying_deaths
        dying = often and self._recent[-1] - self._recent[0] <= limits.dying_within_s
        done = f"started again after {pause_s:g} s"
        if dying and not self._told:
            self._told = True
            what = f"the {name} keeps dying: {limits.dying_deaths} deaths in {limits.dying_within_s:g} s"
            subject = f"{name} keeps dying"
            self._book.alert(Severity.CRITICAL, subject, what, why=str(ended), done=f"{done}, again and again", do=_DO)
        elif not self._told:
            self._book.alert(Severity.WARN, f"{name} died", f"the {name} died", why=str(ended), done=done)
        else:
            self._book.show(f"the {name} died again: {ended}; {done}")
        return pause_s

    def _well(self, lived_s: float) -> None:
        if self._told and lived_s >= self._settings.restart.well_after_s:
            self._told = False
            self._recent.clear()
            self._book.alert(Severity.INFO, f"{self.part.name} lives", f"the {self.part.name} lives again")

    async def _pause(self, pause_s: float) -> None:
        self._turn(WAITING)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stop.wait()

    def _turn(self, state: str) -> None:
        self._state, self._since_ms = state, SystemClock().now_ms()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()
