"""Processes that the service keeps: what one is asked to do, and how it is started, heard and ended."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from engine.service.settings import ChildLimits

_LAST_LINES = 3
_DRAIN_S = 1.0
_CHUNK = 8_192
_BEGIN = "from engine.service.lifeline import hold; hold({patience_s!r}); import cli; cli.main()"


@dataclass(frozen=True)
class Part:
    """One process of the tree.

    Attributes:
        name: runner, guard or caretaker.
        arguments: of the command line.
        beat: the file that it renews as long as it lives.
        limits: how long it is waited for.
    """

    name: str
    arguments: tuple[str, ...]
    beat: Path
    limits: ChildLimits


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, negative for a signal, and the last lines of its standard error."""

    code: int
    said: str = ""

    def __str__(self) -> str:
        how = f"killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"exit code {self.code}"
        return f"{how}: {self.said}" if self.said else how


class Child(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    async def ended(self) -> Ended:
        """Wait for its end."""
        ...

    def terminate(self) -> None:
        """Ask it to end what is under way, and then to end; nothing where it has ended."""
        ...

    def kill(self) -> None:
        """End it at once; nothing where it has ended."""
        ...


class Spawner(Protocol):
    """Starts processes."""

    async def start(self, part: Part) -> Child:
        """Start one.

        Raises:
            OSError: the system has no room for it.
        """
        ...


@dataclass
class Process:
    """A process of the system."""

    process: asyncio.subprocess.Process
    _lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    _reading: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._reading = asyncio.ensure_future(self._read())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def ended(self) -> Ended:
        """Wait for its end."""
        code = await self.process.wait()
        assert self._reading is not None
        # what it had started may hold the pipe open: its own last words are there by then
        await asyncio.wait({self._reading}, timeout=_DRAIN_S)
        self._reading.cancel()
        return Ended(code, "; ".join(self._lines))

    def terminate(self) -> None:
        """Send SIGTERM."""
        with suppress(ProcessLookupError):
            self.process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        with suppress(ProcessLookupError):
            self.process.kill()

    async def _read(self) -> None:
        """Hand on what it says on its standard error, and keep the last lines."""
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(_CHUNK):
            text = chunk.decode(errors="replace")
            with suppress(OSError):  # a terminal that was closed: the child must not wait for it
                sys.stderr.write(text)
                sys.stderr.flush()
            self._lines.extend(line.strip() for line in text.splitlines() if line.strip())


@dataclass(frozen=True)
class Processes:
    """Starts this very program once more, with a lifeline (`engine.service.lifeline`).

    Attributes:
        patience_s: how long a child whose service has died may take to end.
    """

    patience_s: float

    async def start(self, part: Part) -> Process:
        """Start a part in a group of its own: Ctrl-C is for the service, which ends its children in order.

        Raises:
            OSError: the system has no room for it.
        """
        begin = _BEGIN.format(patience_s=self.patience_s)
        return Process(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                begin,
                *part.arguments,
                stdin=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        )
