"""The ledger's schema: numbered SQL files, each applied once, in a transaction, and recorded.

Creation and migration run through sqlite-utils. Importing it pulls pandas in (0.4 s), so it is imported here alone and
only when there is something to create or to migrate; reads and appends use the standard library's sqlite3 on the same
schema, which is what keeps `verdict` of an existing ledger under 0.6 s.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

APPLICATION_ID = 0x53474C31  # "SGL1" in the file's header: a stagegate ledger
MIGRATIONS_TABLE = (
    "CREATE TABLE IF NOT EXISTS migrations (number INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL) STRICT"
)


@dataclass(frozen=True)
class Migration:
    """One step of the schema; `name` is the file's, `number` its leading digits."""

    number: int
    name: str
    sql: str


@cache
def shipped_migrations() -> tuple[Migration, ...]:
    """Return the migrations of this version, in order."""
    files = sorted((Path(__file__).parent / "migrations").glob("[0-9]*.sql"))
    return tuple(Migration(int(file.stem.split("_")[0]), file.stem, file.read_text(encoding="utf-8")) for file in files)


def is_empty(connection: sqlite3.Connection) -> bool:
    """Return whether the database holds nothing at all (a new file)."""
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def schema_number(connection: sqlite3.Connection) -> int | None:
    """Return the number of the last migration applied; None where the database is no ledger."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        return None
    try:
        row = connection.execute("SELECT max(number) FROM migrations").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return None
        raise
    return row[0] if row[0] is not None else None


def migrate(
    connection: sqlite3.Connection,
    migrations: Sequence[Migration],
    then: Callable[[sqlite3.Connection], None] | None = None,
) -> None:
    """Apply what is pending in one transaction; all of it or nothing, also when two processes begin at once.

    Args:
        connection: in autocommit mode.
        migrations: the steps, those included that were applied before.
        then: what else belongs to the transaction.
    """
    from sqlite_utils import Database  # noqa: PLC0415 - imports pandas; keeps queries and appends fast

    connection.execute("BEGIN IMMEDIATE")
    try:
        database = Database(connection, execute_plugins=False, recursive_triggers=False)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(MIGRATIONS_TABLE)
        applied = {row["number"] for row in database.table("migrations").rows}
        for migration in migrations:
            if migration.number not in applied:
                for statement in statements(migration.sql):
                    database.execute(statement)
                database.table("migrations").insert({"number": migration.number, "name": migration.name})
        if then is not None:
            then(connection)
        connection.execute("COMMIT")
    except BaseException:  # also Ctrl-C, and raised again: half a migration must not stay
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@cache
def statements(script: str) -> tuple[str, ...]:
    """Cut a script into its statements; a `;` within a trigger or a text ends none.

    `executescript` of sqlite-utils asks after every character whether a statement is complete: 25 ms for this schema.
    """
    found, begun = [], ""
    *pieces, rest = script.split(";")
    for piece in pieces:
        begun += f"{piece};"
        if sqlite3.complete_statement(begun):
            found.append(begun.strip())
            begun = ""
    rest = f"{begun}{rest}".strip()
    return (*found, rest) if rest else tuple(found)


def schema_objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Return what the database consists of: (type, name) to its SQL."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {(kind, name): sql for kind, name, sql in rows}


def expected_objects(migrations: Sequence[Migration]) -> dict[tuple[str, str], str]:
    """Return what a database consists of after these migrations."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, migrations)
        return schema_objects(connection)
