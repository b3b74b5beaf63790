"""A life of the desk's process that ends at any write: to the ledger, to the permit, to a socket.

Before and after each write there is a point at which the process may die. From then on nothing of it has any effect:
whatever still runs of it (an `except`, a `finally`) meets `Killed` at its next write, as a dead process writes nothing.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.execution.siderecord import SideRecord
from engine.ledger import Ledger
from engine.live.hands import Leave

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from engine.execution.binance.adapter import BinanceVenue
    from engine.ledger import Row

PRESENT: ContextVar[Life | None] = ContextVar("PRESENT", default=None)
BURIAL_S = 60.0
CANCEL_AGAIN_S = 0.5


class Killed(BaseException):
    """The process is dead."""


@dataclass
class Fate:
    """When processes die: at which points, counted over all lives of a run; what the points were, for the report.

    Attributes:
        kill_at: numbers of points, from 0.
        count: of points so far.
        deaths: the points at which a life ended, in words.
    """

    kill_at: frozenset[int] = frozenset()
    count: int = 0
    deaths: list[str] = field(default_factory=list)

    def strikes(self, what: str) -> bool:
        self.count += 1
        if self.count - 1 not in self.kill_at:
            return False
        self.deaths.append(what)
        return True


class Life:
    """One process: everything that was started within `run`, and what it writes with.

    Args:
        fate: when it dies.
    """

    def __init__(self, fate: Fate) -> None:
        self.dead = asyncio.Event()
        self.records: list[MortalRecord] = []
        self.venues: list[BinanceVenue] = []
        self._fate = fate
        self._tasks: set[asyncio.Task[Any]] = set()

    def point(self, what: str) -> None:
        """Pass one point of a write.

        Raises:
            Killed: the process died here, or before.
        """
        if not self.dead.is_set() and self._fate.strikes(what):
            self.dead.set()
        if self.dead.is_set():
            raise Killed(what)

    async def run(self, main: Callable[[], Awaitable[None]]) -> bool:
        """Live until `main` returns, or dies, or is cancelled; return whether it lived to its end."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(_counted)
        task = loop.create_task(self._born(main))
        death = loop.create_task(self.dead.wait())
        try:
            await asyncio.wait([task, death], return_when=asyncio.FIRST_COMPLETED)
            if not self.dead.is_set():
                await task  # raises what went wrong
            return not self.dead.is_set()
        finally:
            death.cancel()
            await self._bury()

    def took(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _born(self, main: Callable[[], Awaitable[None]]) -> None:
        PRESENT.set(self)
        self.took(asyncio.current_task() or _impossible())
        await main()

    async def _bury(self) -> None:
        """End what still runs; nothing of it can write any more."""
        if self._tasks:
            self.dead.set()
        until_s = asyncio.get_running_loop().time() + BURIAL_S
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            # again and again: `asyncio.wait_for` forgets one that meets a message, and a process dies all at once
            await asyncio.wait(list(self._tasks), timeout=CANCEL_AGAIN_S)
            assert asyncio.get_running_loop().time() < until_s, f"they do not end: {self._tasks}"
        for record in self.records:
            await record.lay_down()
        for venue in self.venues:
            await venue.close()

    def client(self, venue: BinanceVenue) -> None:
        """Have every request that changes something pass through the points of this life; close it with it."""
        self.venues.append(venue)
        client = venue.asker.client
        ask = client._request

        async def request(method: str, uri: str, *rest: Any, **params: Any) -> Any:
            writes = method.lower() != "get" and not uri.endswith("/listenKey")
            what = f"{method.upper()} {uri.rsplit('/', 1)[-1]}"
            if writes or self.dead.is_set():
                self.point(f"before {what}")
            try:
                return await ask(method, uri, *rest, **params)
            finally:
                if writes or self.dead.is_set():
                    self.point(f"after {what}")

        client._request = request


def _counted(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **more)
    life = PRESENT.get()
    # a server's task begins in the context of the client that dialled: it is not this process
    if life is not None and not getattr(coroutine, "__qualname__", "").startswith("RequestHandler"):
        life.took(task)
    return task


def _impossible() -> asyncio.Task[Any]:
    raise AssertionError("a coroutine runs in a task")


class MortalLedger(Ledger):
    """A ledger at whose commits a process may die."""

    life: Life

    def _execute(self, sql: str) -> None:
        if sql != "COMMIT":
            super()._execute(sql)
            return
        self.life.point("before a commit")
        super()._execute(sql)
        self.life.point("after a commit")


@dataclass(frozen=True)
class MortalLeave(Leave):
    """A permit at whose coming and going a process may die; it remembers when it came and went.

    Attributes:
        life: of the process.
        log: of all processes: time, and whether it is there from then on.
        now_ms: what time it is.
    """

    life: Life = field(kw_only=True, compare=False)
    log: list[tuple[int, bool]] = field(kw_only=True, compare=False)
    now_ms: Callable[[], int] = field(kw_only=True, compare=False)

    def grant(self, *, by: str, reason: str, at_ms: int) -> None:
        self.life.point("before a grant")
        super().grant(by=by, reason=reason, at_ms=at_ms)
        self.log.append((self.now_ms(), True))
        self.life.point("after a grant")

    def revoke(self) -> None:
        self.life.point("before the latch")
        there = self.granted
        super().revoke()
        if there:
            self.log.append((self.now_ms(), False))
        self.life.point("after the latch")


class MortalRecord:
    """A flatten's record; a process that dies loses what it held back, as a thread's queue is lost.

    Args:
        path: of the ledger.
        life: of the process.
        holds: so many writings have not reached the thread yet.
    """

    def __init__(self, path: Path, life: Life, holds: int) -> None:
        self._life = life
        self._holds = holds
        self._held: list[Sequence[Row]] = []
        self._record = SideRecord(path)
        self._down = False
        life.records.append(self)

    def write(self, rows: Sequence[Row]) -> None:
        self._life.point("before a record")
        self._held.append(tuple(rows))
        while len(self._held) > self._holds:
            self._record.write(self._held.pop(0))
        self._life.point("after a record")

    async def finish(self) -> str:
        while self._held:
            self._record.write(self._held.pop(0))
        self._down = True
        return await self._record.finish()

    async def lay_down(self) -> None:
        """Let the thread end; what was held back is lost."""
        if not self._down:
            self._down = True
            await self._record.finish()
