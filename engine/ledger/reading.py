"""Reading rows of the ledger's file: what every question about it is made of."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from engine.ledger.faults import in_words
from engine.ledger.rows import Row
from engine.ledger.tables import TABLES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

RowT = TypeVar("RowT", bound=Row)

_ALWAYS = sys.maxsize  # SQLite's largest integer
_NEVER = -sys.maxsize - 1


class Reading:
    """An open file of rows.

    Attributes:
        path: of the file.
    """

    path: Path
    _connection: sqlite3.Connection

    def _read(self, kind: type[RowT], where: str, parameters: Sequence[Any]) -> tuple[RowT, ...]:
        table = TABLES[kind]
        sql = f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {where}"  # noqa: S608 - own names only
        return tuple(table.from_sql(row) for row in self._rows(sql, parameters))

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with in_words(self.path):
            return self._connection.execute(sql, parameters).fetchall()


def upper(at_ms: int | None) -> int:
    """Return the bound, for None one that no time exceeds."""
    return _ALWAYS if at_ms is None else int(at_ms)


def bounds(from_ms: int | None, to_ms: int | None) -> tuple[int, int]:
    """Return both bounds; one that is None is open."""
    return _NEVER if from_ms is None else int(from_ms), upper(to_ms)
