"""One runner a ledger: a lock that the system itself lets go of when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Self

from engine.clock import iso
from engine.errors import Problem, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """Who holds a ledger's lock: its process, what it does, and since when; pid 0 where it does not say."""

    pid: int
    what: str
    since_ms: int

    def __str__(self) -> str:
        if not self.pid:
            return "a process that has not said who it is"
        return f"`{self.what}`, process {self.pid}, since {iso(self.since_ms)}"


@dataclass
class InstanceLock:
    """The lock of the ledger at `ledger`, held within a `with` block.

    Attributes:
        ledger: whose lock it is; the file stands beside it.
        what: what its holder does, for whoever is refused.
        now_ms: since when.
    """

    ledger: Path
    what: str
    now_ms: int
    _file: IO[str] | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            UsageError: second-instance: another process holds it; lock: the file cannot be opened.
        """
        path = lock_beside(self.ledger)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+", encoding="utf-8")
        except OSError as error:
            help_ = "name a folder you may write to"
            raise UsageError(
                Problem("lock", str(path), f"cannot be opened: {error.strerror or error}", help_)
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._release()
            found = holder(self.ledger)
            problem = f"another instance runs on this ledger: {found or Holder(0, '', 0)}"
            help_ = "one account has one bot: stop that one first, it lets go as soon as it ends"
            raise UsageError(Problem("second-instance", str(path), problem, help_)) from None
        with suppress(OSError):  # on a full disk the lock holds all the same, it only does not say whose it is
            os.truncate(path, 0)
            self._file.write(json.dumps({"pid": os.getpid(), "what": self.what, "since_ms": self.now_ms}))
            self._file.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def _release(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def lock_beside(ledger: Path) -> Path:
    """Return the file of a ledger's lock."""
    return ledger.with_name(f"{ledger.name}.lock")


def holder(ledger: Path) -> Holder | None:
    """Return who holds a ledger's lock; None: nobody does, whatever the file says."""
    try:
        with lock_beside(ledger).open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                said = file.read()
            else:
                return None
    except OSError:
        return None
    try:
        found = json.loads(said)
        return Holder(int(found["pid"]), str(found["what"]), int(found["since_ms"]))
    except (ValueError, KeyError, TypeError):
        return Holder(0, "", 0)
