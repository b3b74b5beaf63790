"""The market store: bars, mark prices and funding of many symbols in one SQLite file.

Writes go through sqlite-utils, in WAL mode, one transaction a file or page: whatever kills the process, what was
committed stays and what was half done is not there. Reads use the standard library alone, which keeps queries fast.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import DataError, Problem
from engine.market.series import FundingRates, Kind, market_of
from engine.market.storefile import BUSY_S, create_schema, explained, is_store, reading, transaction
from strategies.bars import Bars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from engine.market.series import Market
    from strategies.bars import FloatArray, IntArray

BATCH_ROWS = 5_000
_BAR_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Changes:
    """What writing a series did, in rows."""

    inserted: int
    updated: int
    unchanged: int


@dataclass(frozen=True)
class Coverage:
    """What the store holds of one symbol and kind; times are those of the first and last row."""

    kind: Kind
    symbol: str
    rows: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True)
class Store:
    """A store opened for writing; see `writing`."""

    path: Path
    db: Any

    def upsert(self, kind: Kind, series: Bars | FundingRates, progress: Callable[[int], None] | None = None) -> Changes:
        """Write a series in one transaction; rows that are already there with the same values are not touched.

        Args:
            kind: of the series.
            series: bars or funding rates.
            progress: called with the number of rows done, inside the transaction.

        Raises:
            DataError: the store is locked, corrupt, read-only or the disk is full; nothing of the series was written.
        """
        with explained(self.path), transaction(self.db.conn):
            table, key, rows = _table_of(kind, series)
            if not len(rows.time_ms):
                return Changes(0, 0, 0)
            stored = _read(self.db.conn, table, key, (int(rows.time_ms[0]), int(rows.time_ms[-1])))
            changed, changes = _compare(rows, stored)
            for start in range(0, len(changed), BATCH_ROWS):
                batch = changed[start : start + BATCH_ROWS]
                self.db[table.name].insert_all(_records(table, key, rows, batch), replace=True, batch_size=BATCH_ROWS)
                if progress:
                    progress(len(rows.time_ms) - len(changed) + start + len(batch))
            return changes

    def times(self, kind: Kind, symbol: str) -> IntArray:
        """Return the times stored of a symbol, int64 (n,), oldest first.

        Raises:
            DataError: the store cannot be read.
        """
        table, key = _table_and_key(kind, symbol)
        with explained(self.path):
            return _read(self.db.conn, table, key, None).time_ms


@contextmanager
def writing(path: Path, *, busy_s: float = BUSY_S) -> Iterator[Store]:
    """Open a store for writing, creating it where there is none.

    Args:
        path: the SQLite file.
        busy_s: how long to wait for another writer.

    Raises:
        DataError: the file is no store, or cannot be opened or created.
    """
    import sqlite_utils  # noqa: PLC0415 - imports pandas; keeps queries fast

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise DataError(Problem("unwritable", str(path), f"cannot be created: {failure.strerror}")) from None
    with explained(path), closing(sqlite3.connect(path, timeout=busy_s)) as connection:
        database = sqlite_utils.Database(connection)
        if not is_store(connection, path):
            database.enable_wal()
            with transaction(connection):
                create_schema(connection, path)
        yield Store(path, database)


def load_market(path: Path, symbols: Sequence[str]) -> Market:
    """Return everything the store holds of some symbols.

    Args:
        path: the SQLite file.
        symbols: the venue's names; each needs last-price bars, mark prices and funding may be absent.

    Raises:
        DataError: no such file, no store, locked, corrupt, or a symbol without bars.
    """
    parts: list[tuple[Kind, Bars | FundingRates]] = []
    with reading(path) as connection:
        for symbol in symbols:
            for kind in ("last", "mark", "funding"):
                table, key = _table_and_key(kind, symbol)
                rows = _read(connection, table, key, None)
                if len(rows.time_ms):
                    series = FundingRates if table.name == "funding" else Bars
                    parts.append((kind, series(symbol, rows.time_ms, *rows.columns)))
                elif kind == "last":
                    help_ = "import it with `stagegate data import FILE`, or download it with `stagegate data download`"
                    raise DataError(Problem("no-bars", str(path), f"holds no bars of `{symbol}`", help_))
    return market_of(parts)


def coverage(path: Path) -> tuple[Coverage, ...]:
    """Return what the store holds, by kind and symbol.

    Raises:
        DataError: no such file, no store, locked or corrupt.
    """
    query = (
        "SELECT kind, symbol, count(*), min(open_time_ms), max(open_time_ms) FROM bars GROUP BY kind, symbol "
        "UNION ALL SELECT 'funding', symbol, count(*), min(time_ms), max(time_ms) FROM funding GROUP BY symbol"
    )
    with reading(path) as connection:
        return tuple(Coverage(*row) for row in connection.execute(query))


@dataclass(frozen=True)
class _Table:
    name: str
    key: tuple[str, ...]
    time: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class _Rows:
    time_ms: IntArray
    columns: tuple[FloatArray, ...]


_BARS = _Table("bars", ("kind", "symbol"), "open_time_ms", _BAR_COLUMNS)
_FUNDING = _Table("funding", ("symbol",), "time_ms", ("rate",))


def _table_and_key(kind: Kind, symbol: str) -> tuple[_Table, tuple[str, ...]]:
    return (_FUNDING, (symbol,)) if kind == "funding" else (_BARS, (kind, symbol))


def _table_of(kind: Kind, series: Bars | FundingRates) -> tuple[_Table, tuple[str, ...], _Rows]:
    table, key = _table_and_key(kind, series.symbol)
    if isinstance(series, FundingRates):
        return table, key, _Rows(series.time_ms, (series.rate,))
    columns = (series.open, series.high, series.low, series.close, series.volume)
    return table, key, _Rows(series.open_time_ms, columns)


def _read(
    connection: sqlite3.Connection, table: _Table, key: tuple[str, ...], between: tuple[int, int] | None
) -> _Rows:
    where = " AND ".join(f"{column} = ?" for column in table.key)
    parameters: tuple[str | int, ...] = key
    if between:
        where += f" AND {table.time} BETWEEN ? AND ?"
        parameters = (*key, *between)
    # names come from the constants above, values are bound
    query = f"SELECT {table.time}, {', '.join(table.columns)} FROM {table.name} WHERE {where} ORDER BY {table.time}"  # noqa: S608
    rows = connection.execute(query, parameters).fetchall()
    matrix = np.array(rows, dtype=np.float64).reshape(len(rows), 1 + len(table.columns))
    # milliseconds stay below 2**53, so float64 holds them exactly
    return _Rows(matrix[:, 0].astype(np.int64), tuple(np.ascontiguousarray(column) for column in matrix.T[1:]))


def _compare(rows: _Rows, stored: _Rows) -> tuple[IntArray, Changes]:
    """Return the positions of rows to write, and the counts."""
    place = np.searchsorted(stored.time_ms, rows.time_ms)
    known = np.zeros(len(rows.time_ms), dtype=bool)
    inside = place < len(stored.time_ms)
    known[inside] = stored.time_ms[place[inside]] == rows.time_ms[inside]
    differs = np.zeros(len(rows.time_ms), dtype=bool)
    for new, old in zip(rows.columns, stored.columns, strict=True):
        differs[known] |= new[known] != old[place[known]]
    updated, present = int(differs.sum()), int(known.sum())
    return np.flatnonzero(~known | differs), Changes(len(known) - present, updated, present - updated)


def _records(
    table: _Table, key: tuple[str, ...], rows: _Rows, batch: IntArray
) -> Iterable[dict[str, str | int | float]]:
    names = (*table.key, table.time, *table.columns)
    columns = [rows.time_ms[batch].tolist(), *(column[batch].tolist() for column in rows.columns)]
    return (dict(zip(names, (*key, *row), strict=True)) for row in zip(*columns, strict=True))
