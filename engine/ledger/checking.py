"""The ledger's check of itself: structure, schema and guards, stored hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.ledger import schema
from engine.ledger.rows import sha256_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

_HASHED = (("documents", "text"), ("facts", "document"))


def problems_of(connection: sqlite3.Connection, where: str, steps: Sequence[schema.Migration]) -> Iterator[Problem]:
    """Yield what is wrong: damaged pages, tables and guards unlike this version's, texts that lost their hash."""
    for (text,) in connection.execute("PRAGMA integrity_check"):
        if text != "ok":
            yield Problem("corrupt", where, text, "restore the last backup")
    expected, actual = schema.expected_objects(steps), schema.schema_objects(connection)
    for kind, name in sorted(expected.keys() | actual.keys()):
        if expected.get((kind, name)) != actual.get((kind, name)):
            problem = f"the {kind} `{name}` is not as this version makes it"
            yield Problem(
                "schema-altered", where, problem, "the file was changed by other hands; compare it with a backup"
            )
    for table, column in _HASHED:
        for stored, content in connection.execute(f"SELECT sha256, {column} FROM {table}"):  # noqa: S608 - own names
            if sha256_of(content) != stored:
                yield Problem("hash", where, f"`{table}` {stored} does not have that hash", "compare it with a backup")
