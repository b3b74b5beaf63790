"""Opening a ledger's file: finding it, refusing what is no ledger, bringing an older schema up to date, copying it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import LedgerError, Problem
from engine.ledger import chain, schema
from engine.ledger.faults import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


OLDEST_SQLITE = (3, 37, 0)
"""The first with STRICT tables."""


@dataclass(frozen=True)
class Rights:
    """What whoever opens a ledger may do: make it, migrate it, write to it."""

    create: bool = False
    migrate: bool = False
    read_only: bool = False


def check_sqlite(path: Path, version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Refuse an SQLite library that cannot read the schema.

    Raises:
        LedgerError: sqlite-older.
    """
    if version < OLDEST_SQLITE:
        found, needed = (".".join(map(str, numbers)) for numbers in (version, OLDEST_SQLITE))
        problem = f"this Python brings SQLite {found}, the ledger needs {needed}"
        raise LedgerError(Problem("sqlite-older", str(path), problem, "install a Python built with a newer SQLite"))


def check_path(path: Path, *, create: bool) -> None:
    """Refuse a path that cannot be a ledger; make its folder where the ledger is to be created.

    Raises:
        LedgerError: missing-ledger, cannot-open.
    """
    if path.is_dir():
        raise LedgerError(
            Problem("cannot-open", str(path), "this is a folder, a ledger is a file", "name a file in it")
        )
    if not create and not path.exists():
        help_ = "check the path; a rehearsal or a first run makes a ledger"
        raise LedgerError(Problem("missing-ledger", str(path), "there is no ledger here", help_))
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"its folder cannot be made: {error.strerror or error}"
            raise LedgerError(Problem("cannot-open", str(path), problem, "name a folder you may write to")) from error


def connect(path: Path, *, create: bool, read_only: bool, busy_timeout_ms: int) -> sqlite3.Connection:
    """Return a connection in autocommit mode, where transactions begin and end as written."""
    may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    uri = file_uri(path, create=create, read_only=read_only, may_write=may_write)
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_timeout_ms / 1000)
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def file_uri(path: Path, *, create: bool, read_only: bool, may_write: bool) -> str:
    """Return the URI to open.

    A query opens the file writable where it may and forbids itself to write: SQLite's own read-only mode would leave an
    empty `-wal` and `-shm` beside the ledger. Where the folder is read-only and nobody has the ledger open (no `-wal`),
    only `immutable` opens it at all.
    """
    base = path.resolve().as_uri()
    if create:
        return f"{base}?mode=rwc"
    if may_write or not read_only:
        return f"{base}?mode=rw"
    if path.with_name(f"{path.name}-wal").exists():
        return f"{base}?mode=ro"
    return f"{base}?mode=ro&immutable=1"


@dataclass(frozen=True)
class Migrated:
    """A schema brought up to date: from and to which number, and where the checked copy from before lies."""

    before: int
    after: int
    copy: Path


def bring_up_to_date(
    connection: sqlite3.Connection, path: Path, steps: Sequence[schema.Migration], *, may: Rights
) -> Migrated | None:
    """Make the schema, migrate it where that is asked for, or say why not; a migration first leaves a checked copy.

    An older schema is refused to whoever did not come to migrate it: a command that is refused afterwards would have
    changed the ledger beneath whatever still runs on it.

    Raises:
        LedgerError: not-a-ledger, schema-newer, schema-older: nothing was changed.
    """
    newest = steps[-1].number
    number = 0 if may.create and schema.is_empty(connection) else schema.schema_number(connection)
    if number is None:
        help_ = "check the path; nothing was changed"
        raise LedgerError(Problem("not-a-ledger", str(path), "this database is not a stagegate ledger", help_))
    if number > newest:
        problem = f"its schema is number {number}, this version knows up to {newest}"
        raise LedgerError(Problem("schema-newer", str(path), problem, "update stagegate; nothing was changed"))
    if 0 < number < newest and not may.migrate:
        problem = f"its schema is number {number}, this version works with {newest}"
        help_ = f"`stagegate ledger migrate --ledger {path}` leaves a checked copy beside it, then brings it up to date"
        raise LedgerError(Problem("schema-older", str(path), problem, f"{help_}; nothing was changed"))
    if may.read_only:
        return None
    use_wal(connection, path)
    if number == newest:
        return None
    # what an older version wrote gets its place in the audit trail: it would be taken for what somebody slipped in
    link = chain.extend if newest >= chain.SINCE else None
    if number == 0:
        schema.migrate(connection, steps, link)
        return None
    before = _free(path, number)
    copy(connection, path, before)
    schema.migrate(connection, steps, link)
    return Migrated(number, newest, before)


def _free(path: Path, number: int) -> Path:
    """Return a name for the copy; one from an earlier migration is never written over."""
    target, again = path.with_name(f"{path.name}.schema-{number}.backup"), 0
    while target.exists():
        again += 1
        target = path.with_name(f"{path.name}.schema-{number}-{again}.backup")
    return target


def use_wal(connection: sqlite3.Connection, path: Path) -> None:
    """Switch to write-ahead logging, so that readers never wait for the writer.

    Raises:
        LedgerError: no-wal, on a file system without shared memory.
    """
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        help_ = "put the ledger on a local disk"
        raise LedgerError(Problem("no-wal", str(path), f"write-ahead logging is refused here (`{mode}`)", help_))


def copy(connection: sqlite3.Connection, source: Path, target: Path) -> None:
    """Copy an open ledger to `target` through SQLite's backup API; the copy is checked before it takes its name.

    Raises:
        LedgerError: corrupt (the copy fails its check), or as `in_words`.
    """
    partial = target.with_name(f"{target.name}.partial")
    try:
        with in_words(target), closing(sqlite3.connect(partial, isolation_level=None)) as into:
            connection.backup(into)
            into.execute("PRAGMA journal_mode = DELETE")
            damage = [row[0] for row in into.execute("PRAGMA integrity_check") if row[0] != "ok"]
        if damage:
            help_ = "restore an older backup; the ledger was left as it is"
            raise LedgerError([Problem("corrupt", str(source), text, help_) for text in damage])
        partial.replace(target)
    except OSError as error:
        problem = f"the copy cannot be named: {error.strerror or error}"
        raise LedgerError(Problem("cannot-open", str(target), problem, "name a file in a folder of yours")) from error
    finally:
        with suppress(OSError):  # where no file can be, there is none to be removed
            partial.unlink(missing_ok=True)
