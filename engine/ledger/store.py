"""The ledger: one SQLite file that everything is written to once, and in which nothing is ever changed."""

from __future__ import annotations

import math
import sqlite3
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from engine.errors import LedgerError, Problem
from engine.ledger import chain, opening, schema
from engine.ledger.checking import problems_of
from engine.ledger.faults import in_words
from engine.ledger.queries import LedgerReader
from engine.ledger.rows import (
    FactsSnapshot,
    Mark,
    Marks,
    Row,
    SleeveMark,
    SleeveMarks,
    StoredDocument,
    sha256_of,
)
from engine.ledger.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from engine.ledger.tables import Table

KINDS = ("live", "paper", "rehearsal")
_BUSY_TIMEOUT_MS = 5_000
# A verdict writes some 11 pages. SQLite's own 1,000 would make one in 90 wait milliseconds for the log to be moved.
_CHECKPOINT_PAGES = 4_000

CONFLICT = "conflict"
"""The code of the refusal of a row whose name stands there already with other words."""


class Ledger(LedgerReader):
    """An open ledger; close it, or use it in a `with` block.

    Appends are plain sqlite3 on the schema that sqlite-utils made (`engine.ledger.schema` says why).

    Attributes:
        path: of the file.
        migrated: what opening it brought up to date; None: nothing.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, migrations: Sequence[schema.Migration]) -> None:
        self.path = path
        self.migrated: opening.Migrated | None = None
        self._connection = connection
        self._migrations = migrations
        self._depth = 0

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        create: bool = False,
        read_only: bool = False,
        migrate: bool = False,
        busy_timeout_ms: int = _BUSY_TIMEOUT_MS,
        migrations: Sequence[schema.Migration] | None = None,
    ) -> Self:
        """Open the ledger at `path`; one of an older schema is refused, and left as it is, unless to be migrated.

        Args:
            path: the file; its folder is made where `create` is true.
            create: make the ledger where there is none; an existing one is opened.
            read_only: refuse every write, `create` and `migrate` included.
            migrate: bring an older schema up to date, after a checked copy beside it.
            busy_timeout_ms: how long to wait for another process's writing.
            migrations: the schema's steps; None takes those of this version.

        Raises:
            LedgerError: as `engine.ledger.opening` and `in_words`: missing, no ledger, another schema, locked, corrupt.
        """
        path = Path(path)
        steps = schema.shipped_migrations() if migrations is None else migrations
        create, migrate = create and not read_only, migrate and not read_only
        opening.check_sqlite(path)
        opening.check_path(path, create=create)
        with in_words(path):
            connection = opening.connect(path, create=create, read_only=read_only, busy_timeout_ms=busy_timeout_ms)
            try:
                may = opening.Rights(create=create, migrate=migrate, read_only=read_only)
                migrated = opening.bring_up_to_date(connection, path, steps, may=may)
                ledger = cls(path, connection, steps)
                ledger.migrated = migrated
                ledger._set_durability()
            except BaseException:  # also Ctrl-C, and raised again: nobody else closes it
                connection.close()
                raise
        return ledger

    @classmethod
    def check_usable(cls, path: Path) -> None:
        """Refuse a ledger that is there and cannot be worked with, before anything else is asked; none is none.

        Raises:
            LedgerError: as `open`.
        """
        if path.exists():
            cls.open(path, read_only=True).close()

    def close(self) -> None:
        """Close the file; an open transaction is undone."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Group appends: the whole block or nothing; a block inside a block undoes only itself when it fails.

        Raises:
            LedgerError: as `in_words`; the group is then undone.
        """
        outermost = self._depth == 0
        level = f"level{self._depth}"
        if not outermost and not self._connection.in_transaction:
            problem = "an earlier failure undid the group this append belongs to"
            raise LedgerError(Problem("undone", str(self.path), problem, "run the command again; nothing was written"))
        self._execute("BEGIN IMMEDIATE" if outermost else f"SAVEPOINT {level}")
        self._depth += 1
        try:
            yield
            self._execute("COMMIT" if outermost else f"RELEASE {level}")
        except BaseException:  # also Ctrl-C, and raised again: half a group must not stay
            # SQLite ends the transaction itself on a full disk
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK" if outermost else f"ROLLBACK TO {level}")
            raise
        finally:
            self._depth -= 1

    def append(self, rows: Row | Iterable[Row]) -> int:
        """Append rows of any kinds, in order, all or none; return how many were new.

        The same row again changes nothing, so a step that was interrupted may simply be run again.

        Raises:
            LedgerError: conflict (the key exists with other content), invalid-row (NaN, infinity, out of range,
                a hash that is not its text's), or as `in_words`.
        """
        groups: list[tuple[type[Row], list[tuple[Any, ...]]]] = []
        for row in [rows] if isinstance(rows, Row) else rows:
            self._check_hash(row)
            if not groups or groups[-1][0] is not type(row):
                groups.append((type(row), []))
            groups[-1][1].append(TABLES[type(row)].values(row))
        with in_words(self.path), self.transaction():
            count = sum(self._insert(TABLES[kind], values) for kind, values in groups)
            if any(TABLES[kind].name in chain.CHAINED for kind, _ in groups):
                chain.extend(self._connection)
            return count

    def append_marks(self, account: str, marks: Marks) -> int:
        """Append columns of marks as `append` does rows; return how many were new."""
        columns = [getattr(marks, name).tolist() for name in TABLES[Mark].columns[1:]]
        with in_words(self.path), self.transaction():
            return self._insert(TABLES[Mark], [(account, *values) for values in zip(*columns, strict=True)])

    def append_sleeve_marks(self, account: str, symbol: str, marks: SleeveMarks) -> int:
        """Append columns of one symbol's sleeve marks; a NaN position is stored as no signal."""
        columns = (marks.at_ms, marks.qty, marks.mark_price, marks.pnl_usd, marks.position)
        values = zip(*(column.tolist() for column in columns), strict=True)
        rows = [
            (account, at_ms, symbol, qty, mark_price, pnl_usd, None if math.isnan(position) else position)
            for at_ms, qty, mark_price, pnl_usd, position in values
        ]
        with in_words(self.path), self.transaction():
            return self._insert(TABLES[SleeveMark], rows)

    def append_unless_known(self, row: Row) -> None:
        """Append a row; where one of its name stands there already with other words, that one holds.

        Raises:
            LedgerError: as `append`, but for a conflict.
        """
        try:
            self.append(row)
        except LedgerError as error:
            if error.problems[0].code != CONFLICT:
                raise

    def set_meta(self, **values: str | int) -> None:
        """Write what is known of the ledger itself: the one table that may change.

        Args:
            values: stored as text. `kind` is live, paper or rehearsal; a rehearsal's commits do not wait for the disk.

        Raises:
            LedgerError: kind (none of the three), or as `in_words`.
        """
        if values.get("kind", "live") not in KINDS:
            problem = f"`{values['kind']}` is no kind of ledger"
            raise LedgerError(Problem("kind", str(self.path), problem, f"one of {', '.join(KINDS)}"))
        upsert = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        with in_words(self.path), self.transaction():
            self._connection.executemany(upsert, [(key, str(value)) for key, value in values.items()])
        self._set_durability()

    def backup(self, to: Path | str) -> Path:
        """Copy what is committed to a new file through SQLite's backup API, check the copy, return its path (A79).

        Raises:
            LedgerError: exists (no backup is overwritten), corrupt (the copy fails its check), or as `in_words`.
        """
        target = Path(to)
        if target.exists():
            raise LedgerError(
                Problem("exists", str(target), "a file is there already", "name another; none is overwritten")
            )
        opening.copy(self._connection, self.path, target)
        return target

    def verify(self) -> None:
        """Check the file's structure, that tables and guards are as this version makes them, and every stored hash.

        Raises:
            LedgerError: corrupt, schema-altered, hash, audit; everything found travels together. Or as `in_words`.
        """
        with in_words(self.path):
            problems = list(problems_of(self._connection, str(self.path), self._migrations))
            problems += chain.problems_of(self._connection, str(self.path))
        if problems:
            raise LedgerError(problems)

    def audit_head(self) -> chain.Head:
        """Return the last link of the audit trail.

        Raises:
            LedgerError: as `in_words`.
        """
        with in_words(self.path):
            return chain.head(self._connection)

    def _insert(self, table: Table, rows: list[tuple[Any, ...]]) -> int:
        """Insert rows within a transaction of the caller's; return how many were new."""
        alone = len(rows) == 1  # a statement that fails undoes itself; of several, those before it would stay
        try:
            with nullcontext() if alone else self.transaction():
                self._connection.executemany(_insert_sql(table), rows)
        except sqlite3.IntegrityError:
            # something is there already or is not valid: row by row tells which, and lets repetition pass
            return sum(self._insert_one(table, row) for row in rows)
        return len(rows)

    def _insert_one(self, table: Table, values: tuple[Any, ...]) -> int:
        row = dict(zip(table.columns, values, strict=True))
        key = tuple(row[name] for name in table.key)
        where = " AND ".join(f"{name} = ?" for name in table.key)
        select = f"SELECT {', '.join(table.identity)} FROM {table.name} WHERE {where}"  # noqa: S608 - own names only
        found = self._connection.execute(select, key).fetchone()
        label = f"`{table.name}` {', '.join(str(part) for part in key)}"
        if found is None:
            try:
                self._connection.execute(_insert_sql(table), values)
            except sqlite3.IntegrityError as error:
                raise LedgerError(Problem("invalid-row", str(self.path), f"{label} is refused: {error}")) from error
            return 1
        differing = [name for name, stored in zip(table.identity, found, strict=True) if stored != row[name]]
        if differing:
            problem = f"{label} is recorded already with another {', '.join(differing)}"
            help_ = "what is recorded never changes; two runs wrote different histories into one ledger"
            raise LedgerError(Problem(CONFLICT, str(self.path), problem, help_))
        return 0

    def _check_hash(self, row: Row) -> None:
        if isinstance(row, StoredDocument):
            text = row.text
        elif isinstance(row, FactsSnapshot):
            text = row.document
        else:
            return
        if sha256_of(text) != row.sha256:
            problem = f"the text of `{TABLES[type(row)].name}` {row.sha256} has another hash"
            raise LedgerError(Problem("invalid-row", str(self.path), problem))

    def _set_durability(self) -> None:
        rehearsal = self.meta().get("kind") == "rehearsal"
        self._execute(f"PRAGMA synchronous = {'NORMAL' if rehearsal else 'FULL'}")
        self._execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")

    def _execute(self, sql: str) -> None:
        with in_words(self.path):
            self._connection.execute(sql)


def _insert_sql(table: Table) -> str:
    return f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(table.columns))})"  # noqa: S608 - own names only
