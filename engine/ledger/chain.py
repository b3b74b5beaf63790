"""The audit trail: verdicts and events as links of one chain of hashes, so that no byte of them changes unseen.

Each link is SHA-256 over the link before it and the row as SQLite stores it. What the guards of the schema forbid to
this program, the chain shows of any other: a changed, removed or inserted row breaks it at a place that can be named.
Only the end of a chain can be cut off unseen; that is why reports print its last link.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.ledger.tables import TABLES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

CHAINED = ("verdicts", "events")
GENESIS = hashlib.sha256(b"stagegate audit trail").hexdigest()

_COLUMNS = {table.name: table.columns for table in TABLES.values() if table.name in CHAINED}
_KEYS = {table.name: table.key[0] for table in TABLES.values() if table.name in CHAINED}


SINCE = 3
"""The schema that brought the trail."""


@dataclass(frozen=True)
class Head:
    """The last link: how many there are, and its hash."""

    length: int
    sha256: str


def head(connection: sqlite3.Connection) -> Head:
    """Return the last link; of an empty chain the hash that the first one covers."""
    row = connection.execute("SELECT number, chain_sha256 FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    return Head(*row) if row else Head(0, GENESIS)


def extend(connection: sqlite3.Connection) -> None:
    """Add a link for each verdict and event that has none; within the transaction that wrote them."""
    last = head(connection)
    number, chain = last.length, last.sha256
    links = []
    for table in CHAINED:
        for row_id, row_sha256 in _rows_after_last_link(connection, table):
            number += 1
            chain = _link(chain, table, row_sha256)
            links.append((number, table, row_id, row_sha256, chain))
    connection.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?)", links)


def problems_of(connection: sqlite3.Connection, where: str) -> Iterator[Problem]:
    """Yield each place at which the chain does not hold, first things first."""
    help_ = "somebody or something changed the file; compare it with a backup from before"
    chain, expected = GENESIS, 0
    for number, table, row_id, row_sha256, chain_sha256 in connection.execute("SELECT * FROM audit ORDER BY number"):
        expected += 1
        if number != expected:
            yield Problem("audit", where, f"links {expected} to {number - 1} of the audit trail are gone", help_)
            expected = number
        chain = _link(chain, table, row_sha256)
        if chain != chain_sha256:
            yield Problem("audit", where, f"link {number} does not follow from the one before it", help_)
            chain = chain_sha256
        found = _row(connection, table, row_id)
        if found is None:
            problem = f"link {number}: row {row_id} of `{table}` is gone"
            yield Problem("audit", where, problem, help_)
        elif _sha256(found) != row_sha256:
            key = found[_COLUMNS[table].index(_KEYS[table])]
            problem = f"link {number}: `{table}` {key} is not what was written"
            yield Problem("audit", where, problem, help_)
    for table in CHAINED:
        for row_id, _ in _unlinked(connection, table):
            yield Problem("audit", where, f"row {row_id} of `{table}` is in no link", help_)


def _rows_after_last_link(connection: sqlite3.Connection, table: str) -> list[tuple[int, str]]:
    last = connection.execute("SELECT max(of_row) FROM audit WHERE of_table = ?", (table,)).fetchone()[0] or 0
    columns = ", ".join(_COLUMNS[table])
    select = f"SELECT rowid, {columns} FROM {table} WHERE rowid > ? ORDER BY rowid"  # noqa: S608 - own names only
    return [(row_id, _sha256(values)) for row_id, *values in connection.execute(select, (last,))]


def _unlinked(connection: sqlite3.Connection, table: str) -> list[tuple[int, str]]:
    select = (
        f"SELECT rowid, '' FROM {table} "  # noqa: S608 - own names only
        "WHERE rowid NOT IN (SELECT of_row FROM audit WHERE of_table = ?) ORDER BY rowid"
    )
    return connection.execute(select, (table,)).fetchall()


def _row(connection: sqlite3.Connection, table: str, row_id: int) -> list[object] | None:
    select = f"SELECT {', '.join(_COLUMNS[table])} FROM {table} WHERE rowid = ?"  # noqa: S608 - own names only
    found = connection.execute(select, (row_id,)).fetchone()
    return list(found) if found else None


def _sha256(values: list[object]) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _link(before: str, table: str, row_sha256: str) -> str:
    return hashlib.sha256(f"{before} {table} {row_sha256}".encode()).hexdigest()
