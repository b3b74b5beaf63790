"""The ledger beside the risk guard: read and written by threads of their own, never in the guard's way.

A ledger that is locked, full, corrupt or gone delays nothing: what could not be written waits and is tried again, what
could not be read stays as it was read last. Both say why.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Self

from engine.errors import LedgerError, Problem
from engine.ledger import Ledger
from engine.ledger.rows import Mark
from engine.risk_guard.books import read_books

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.clock import Clock
    from engine.ledger.rows import Row
    from engine.risk_guard.books import Books

PATIENCE_MS = 1_000
"""How long a thread waits for another process's writing before it tries again later."""

ANSWER_S = 2.0
"""How long the guard waits for a reading before it goes on with the one before."""

MOST_WAITING = 5_000  # groups of rows; then marks are given up first
_DROPPED = ("conflict", "invalid-row")


class LedgerDesk:
    """Reads and writes one ledger for one guard; use it in an `async with` block.

    Args:
        path: the ledger.
        clock: the time.

    Attributes:
        unread: why the ledger could not be read the last time; empty where it could.
        unwritten: why rows wait; empty where none do.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.unread = ""
        self.unwritten = ""
        self._path = path
        self._clock = clock
        self._waiting: deque[tuple[Row, ...]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._reading: asyncio.Future[Books | None] | None = None
        self._reader = ThreadPoolExecutor(1, "guard-reads")
        self._writer = ThreadPoolExecutor(1, "guard-writes")
        self._ledgers: dict[bool, Ledger] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.flush()
        loop = asyncio.get_running_loop()
        for read_only, pool in ((True, self._reader), (False, self._writer)):
            await loop.run_in_executor(pool, partial(self._close, read_only=read_only))
            pool.shutdown(wait=False)

    async def read(self, before: Books | None) -> Books | None:
        """Return what the ledger tells now; where it tells nothing in time, what it told `before`."""
        if self._reading is None:
            loop = asyncio.get_running_loop()
            self._reading = asyncio.ensure_future(loop.run_in_executor(self._reader, self._read, before))
        done, _ = await asyncio.wait({self._reading}, timeout=ANSWER_S)
        if not done:
            self.unread = "the disk does not answer"
            return before
        reading, self._reading = self._reading, None
        try:
            books = reading.result()
        except LedgerError as error:
            self.unread = error.problems[0].problem
            return before
        self.unread = ""
        return books

    def write(self, rows: Sequence[Row]) -> None:
        """Hand rows over, to be written together; never waits and never fails."""
        if rows:
            self._waiting.append(tuple(rows))
            if len(self._waiting) > MOST_WAITING:
                self._give_up_marks()
        if self._waiting and (self._writing is None or self._writing.done()):
            self._writing = asyncio.ensure_future(self._write_all())

    async def flush(self) -> str:
        """Wait until what was handed over is written, or was tried; return why some of it is not."""
        self.write(())
        if self._writing is not None:
            await self._writing
        return self.unwritten

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = self._waiting[0]
            try:
                await loop.run_in_executor(self._writer, self._append, group)
            except LedgerError as error:
                self.unwritten = error.problems[0].problem
                if error.problems[0].code not in _DROPPED:
                    return  # tried again with the next rows
                self._waiting.popleft()
                if len(group) > 1:  # the others of the group may well be written
                    self._waiting.extendleft((row,) for row in reversed(group))
            else:
                self.unwritten = ""
                self._waiting.popleft()

    def _give_up_marks(self) -> None:
        kept = (tuple(row for row in group if not isinstance(row, Mark)) for group in self._waiting)
        self._waiting = deque(group for group in kept if group)

    def _read(self, before: Books | None) -> Books | None:
        try:
            return read_books(self._opened(read_only=True), self._clock.now_ms(), before)
        except LedgerError:
            self._close(read_only=True)  # a ledger that was put back is another file
            raise
        except (ValueError, KeyError, IndexError, TypeError) as error:
            problem = f"something in it makes no sense ({type(error).__name__}: {error})"
            raise LedgerError(
                Problem("nonsense", str(self._path), problem, "`stagegate audit verify` says more")
            ) from error

    def _append(self, rows: Sequence[Row]) -> None:
        try:
            self._opened(read_only=False).append(rows)
        except LedgerError:
            self._close(read_only=False)
            raise

    def _opened(self, *, read_only: bool) -> Ledger:
        if read_only not in self._ledgers:
            self._ledgers[read_only] = Ledger.open(self._path, read_only=read_only, busy_timeout_ms=PATIENCE_MS)
        return self._ledgers[read_only]

    def _close(self, *, read_only: bool) -> None:
        ledger = self._ledgers.pop(read_only, None)
        if ledger is not None:
            ledger.close()
