"""SQLite's errors in words a person can act on. One place, so that no command meets a bare `sqlite3.Error`."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from engine.errors import LedgerError, Problem

if TYPE_CHECKING:
    from pathlib import Path

_RESTORE = "keep the file as it is and restore the last backup; `sqlite3 FILE .recover` may save what is newer"

# primary result code -> (code, problem, help)
_WORDS = {
    sqlite3.SQLITE_BUSY: (
        "locked",
        "another process holds the ledger for writing and did not let go",
        "nothing was written; let the other command end, or stop it, then run this one again",
    ),
    sqlite3.SQLITE_FULL: (
        "disk-full",
        "no space is left to write",
        "free some space and run the command again; what was committed is safe, nothing is half-written",
    ),
    sqlite3.SQLITE_NOTADB: ("not-a-database", "the file is not an SQLite database", f"check the path; {_RESTORE}"),
    sqlite3.SQLITE_CORRUPT: ("corrupt", "the ledger is damaged", _RESTORE),
    sqlite3.SQLITE_READONLY: (
        "not-writable",
        "the ledger may not be written here",
        "check the permissions of the file and of its folder",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot-open",
        "the file cannot be opened",
        "check the path and the permissions of its folder (a query needs to place `-shm` beside the ledger)",
    ),
    sqlite3.SQLITE_PERM: ("not-writable", "access is refused", "check the permissions of the file and of its folder"),
    sqlite3.SQLITE_IOERR: (
        "disk",
        "the disk refused to read or write",
        "check the free space and the disk; what was committed is safe",
    ),
}
_WORDS[sqlite3.SQLITE_LOCKED] = _WORDS[sqlite3.SQLITE_BUSY]
_PRIMARY_CODE = 0xFF  # the low byte of SQLite's extended result codes


def translated(error: sqlite3.Error, path: Path) -> LedgerError:
    """Return the LedgerError that says what `error` means for the ledger at `path`."""
    name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
    known = _WORDS.get(getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE)
    if known is None:
        return LedgerError(Problem("database", str(path), f"SQLite says `{error}` ({name})", _RESTORE))
    code, problem, help_ = known
    return LedgerError(Problem(code, str(path), f"{problem} ({name})", help_))


class in_words:  # noqa: N801 - read as a word of the `with` statement; a generator would cost five times as much
    """Turn every SQLite error of the block into a LedgerError.

    Args:
        path: of the ledger, for the message.

    Raises:
        LedgerError: locked, disk-full, corrupt, not-a-database, not-writable, cannot-open, disk or database.
    """

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Translate what SQLite raised, unless it is a mistake in this package, such as a closed connection."""
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.ProgrammingError):
            raise translated(error, self._path) from error
