"""The SQLite file of a market store: its schema, how it is opened, and every way in which SQLite can refuse."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from engine.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION_ID = 0x53474D4B  # "SGMK": a store is told from a ledger and from other programs' databases
SCHEMA_VERSION = 1
BUSY_S = 5.0

# WITHOUT ROWID keeps a symbol's bars together in time order: half the size, twice the reading speed
_SCHEMA = (
    """CREATE TABLE bars (
        kind TEXT NOT NULL CHECK (kind IN ('last', 'mark')), symbol TEXT NOT NULL, open_time_ms INTEGER NOT NULL,
        open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL, volume REAL NOT NULL,
        PRIMARY KEY (kind, symbol, open_time_ms)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE funding (
        symbol TEXT NOT NULL, time_ms INTEGER NOT NULL, rate REAL NOT NULL, PRIMARY KEY (symbol, time_ms)
    ) STRICT, WITHOUT ROWID""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block writes, or nothing of it.

    IMMEDIATE: what is compared is what is then overwritten, and a second writer waits instead of failing half-way.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:  # also Ctrl-C, and raised again: half a block must not stay
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def create_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables, unless another process has done so meanwhile; to be called inside a transaction."""
    if not is_store(connection, path):
        for statement in _SCHEMA:
            connection.execute(statement)


def is_store(connection: sqlite3.Connection, path: Path) -> bool:
    """Tell a store from an empty database.

    Raises:
        DataError: a database of something else, or of another version.
    """
    application, version, tables = connection.execute(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), "
        "(SELECT count(*) FROM sqlite_master)"
    ).fetchone()
    if not tables:
        return False
    if application != APPLICATION_ID:
        raise DataError(
            Problem("not-a-store", str(path), "is the database of something else", "give a market store's path")
        )
    if version != SCHEMA_VERSION:
        problem = f"has schema version {version}, this program reads version {SCHEMA_VERSION}"
        raise DataError(Problem("store-version", str(path), problem, "import or download the data into a new file"))
    return True


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a store for reading.

    Raises:
        DataError: no such file, no store, locked or corrupt.
    """
    if not path.is_file():
        raise DataError(
            Problem("no-store", str(path), "there is no such market store", "give an existing file or folder")
        )
    with (
        explained(path),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as connection,
    ):
        if not is_store(connection, path):
            raise DataError(Problem("not-a-store", str(path), "is an empty database", "import or download data first"))
        yield connection


_KEPT = "what was committed before is kept; run the command again"
_EXPLANATIONS: dict[int, tuple[str, str, str]] = {
    sqlite3.SQLITE_BUSY: ("locked", "another program is writing to it", f"wait until it has ended; {_KEPT}"),
    sqlite3.SQLITE_LOCKED: ("locked", "another program is writing to it", f"wait until it has ended; {_KEPT}"),
    sqlite3.SQLITE_FULL: ("disk-full", "the disk is full", f"make room; {_KEPT}"),
    sqlite3.SQLITE_READONLY: ("read-only", "may not be written", "check the permissions of the file and its folder"),
    sqlite3.SQLITE_CANTOPEN: ("unreadable", "cannot be opened", "check the permissions of the file and its folder"),
    sqlite3.SQLITE_NOTADB: ("not-a-store", "is no market store", "give a market store or a folder of CSV files"),
    sqlite3.SQLITE_CORRUPT: ("corrupt", "is damaged", "move it away and import or download the data again"),
    sqlite3.SQLITE_IOERR: ("io", "the disk reports an error", f"check the disk; {_KEPT}"),
}  # fmt: skip
_PRIMARY_CODE = 0xFF


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into one clear message each."""
    try:
        yield
    except sqlite3.Error as failure:
        code = getattr(failure, "sqlite_errorcode", 0) & _PRIMARY_CODE
        kind, problem, help_ = _EXPLANATIONS.get(code, ("store", f"cannot be used: {failure}", ""))
        raise DataError(Problem(kind, str(path), problem, help_)) from None
