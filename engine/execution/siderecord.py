"""The ledger as a flatten writes to it: beside the act, never in its way.

A thread of its own opens the ledger and writes what it is handed. A full disk, a corrupt ledger, another process that
holds it or a disk that does not answer delay nothing: the flatten hands over and goes on, and hears at its end whether
everything was recorded.
"""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from engine.errors import LedgerError
from engine.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.ledger import Row

FINISH_S = 5.0
"""How long the end of a flatten waits for the disk."""

BUSY_MS = 1_000
"""How long one writing waits for another process to let go of the ledger."""

MOST_NAMED = 3
"""So many of the rows that the ledger refused are named at the end; the others are counted."""

_DROPPED = ("conflict", "invalid-row")


class Record(Protocol):
    """Where a flatten tells what it does."""

    def write(self, rows: Sequence[Row]) -> None:
        """Take rows to be recorded together; never waits and never fails."""
        ...

    async def finish(self) -> str:
        """Wait a little for what was taken; return what could not be recorded and why, empty where all was."""
        ...


class NoRecord:
    """For a flatten without a ledger."""

    def write(self, rows: Sequence[Row]) -> None:
        """Take nothing."""

    async def finish(self) -> str:
        """Say that nothing was recorded."""
        return "nothing was recorded: there is no ledger"


class SideRecord:
    """Writes to the ledger at `path` from a thread of its own; what it does not take is tried again with the next.

    A row that it refuses for what it says would be refused for ever, and everything after it: it is dropped, and told.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handed: SimpleQueue[Sequence[Row] | None] = SimpleQueue()
        self._problem = ""
        self._refused: list[str] = []
        self._unnamed = 0
        # a daemon: a disk that never answers must not keep the process from ending
        self._thread = threading.Thread(target=self._run, name="flatten-record", daemon=True)
        self._thread.start()

    def write(self, rows: Sequence[Row]) -> None:
        """Hand rows over."""
        self._handed.put(tuple(rows))

    async def finish(self) -> str:
        """Return what could not be recorded in time, and why."""
        self._handed.put(None)
        await asyncio.to_thread(self._thread.join, FINISH_S)
        if self._thread.is_alive():
            return f"{self._path}: the ledger does not answer; what was done is not recorded yet"
        more = [f"{self._unnamed} more rows were refused"] if self._unnamed else []
        return "; ".join([*self._refused, *more, *([self._problem] if self._problem else [])])

    def _run(self) -> None:
        ledger: Ledger | None = None
        waiting: list[Row] = []
        more = True
        while more:
            handed = self._handed.get()
            more = handed is not None
            waiting += handed or ()
            try:
                if ledger is None:
                    ledger = Ledger.open(self._path, busy_timeout_ms=BUSY_MS)
                self._append(ledger, waiting)
            except LedgerError as error:
                self._problem = str(error.problems[0])  # kept, and tried again with what comes next
            else:
                self._problem = ""
        if ledger is not None:
            ledger.close()

    def _append(self, ledger: Ledger, waiting: list[Row]) -> None:
        """Take from `waiting` what is recorded, together where that goes, and what is refused whenever it is tried."""
        try:
            ledger.append(waiting)
        except LedgerError as error:
            if error.problems[0].code not in _DROPPED:
                raise
        else:
            waiting.clear()
        while waiting:
            try:
                ledger.append(waiting[0])
            except LedgerError as error:
                if error.problems[0].code not in _DROPPED:
                    raise
                self._refuse(f"{self._path}: {error.problems[0].problem}")
            del waiting[0]

    def _refuse(self, problem: str) -> None:
        if len(self._refused) < MOST_NAMED:
            self._refused.append(problem)
        else:
            self._unnamed += 1
