"""One holder at a time, of any process: a lock on a file that the system lets go of when its holder dies."""

from __future__ import annotations

import fcntl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Lease:
    """The right to do something alone, such as delivering a ledger's alerts.

    Attributes:
        path: of the file; it stays when the lease ends, and says nothing by being there.
    """

    path: Path
    _file: IO[bytes] | None = field(default=None, init=False, repr=False)

    @classmethod
    def beside(cls, ledger: Path, what: str) -> Lease:
        """Return the lease for `what` on the ledger at `ledger`."""
        return cls(ledger.with_name(f"{ledger.name}.{what}.lock"))

    @property
    def held(self) -> bool:
        """Whether it is ours."""
        return self._file is not None

    def take(self) -> bool:
        """Take it where nobody has it; return whether it is ours now. Ask again to take over from who died."""
        if self._file is not None:
            return True
        try:
            file = self.path.open("ab")
        except OSError:
            return False  # a folder that cannot be written: whoever can, does it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let go of it."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
