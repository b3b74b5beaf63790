"""A simulator's state on disk: written whole at every change, read at the next start.

The file is replaced in one step, so whoever kills the process at any instruction leaves either the old state or the
new one. It holds the secrets of simulated accounts, so only its owner may read it.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Self

from engine.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERSION = 1

_OWNER_ONLY = 0o600


@dataclass(frozen=True)
class Origin:
    """What a state belongs to; a simulator started with another one refuses it.

    Attributes:
        prices: where they come from, in words.
        start_ms: the simulated instant at which the exchange opened.
        opened_ms: the real one.
        speed: simulated seconds a second.
    """

    prices: str
    start_ms: int
    opened_ms: int
    speed: float

    def simulated_ms(self, real_ms: int) -> int:
        """Return what time it is on the exchange; it goes on while the simulator is down."""
        return self.start_ms + round((real_ms - self.opened_ms) * self.speed)


@dataclass
class StateFile:
    """The file, locked for one process while it is open.

    Args:
        path: of the file; beside it stand its lock and, for a moment, the next state.
    """

    path: Path
    _lock: IO[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            DataError: another process has it, or the folder cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self._beside(".lock").open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            raise self._wrong(
                "locked", "another simulator works on this state", "stop it, or name another file"
            ) from None
        except OSError as failure:
            self._release()
            raise self._unwritable(failure) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def read(self) -> tuple[Origin, Mapping[str, Any]] | None:
        """Return what the state belongs to and the exchange's part of it; None where there is no file yet.

        Raises:
            DataError: the file is broken, or of another version.
        """
        try:
            document = json.loads(self.path.read_bytes())
            version = document["version"]
            state = Origin(**document["origin"]), document["exchange"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError):
            raise self._wrong("broken", "this is no state of a simulator", "name another file, or remove it") from None
        if version != VERSION:
            problem = f"the state is of version {version}, {VERSION} was expected"
            raise self._wrong("version", problem, "remove it to begin anew")
        return state

    def write(self, origin: Origin, exchange: Mapping[str, Any]) -> None:
        """Replace the state.

        Raises:
            DataError: the file cannot be written.
        """
        document = {"version": VERSION, "origin": vars(origin), "exchange": exchange}
        fresh = self._beside(".next")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY), "w") as file:  # noqa: PTH123 - with a mode
                json.dump(document, file, separators=(",", ":"))
            fresh.replace(self.path)
        except OSError as failure:
            raise self._unwritable(failure) from None

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)

    def _release(self) -> None:
        if self._lock:
            self._lock.close()
            self._lock = None

    def _unwritable(self, failure: OSError) -> DataError:
        reason = (failure.strerror or type(failure).__name__).lower()
        return self._wrong("unwritable", f"the state cannot be written: {reason}", "check the folder and the disk")

    def _wrong(self, code: str, problem: str, help_: str) -> DataError:
        return DataError(Problem(code, str(self.path), problem, help_))
