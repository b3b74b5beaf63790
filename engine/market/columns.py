"""CSV text to columns of numbers: a fast reader for the usual file, a careful one that names the line of every fault.

The careful reader is the definition; the fast one returns None for anything it is not sure to read the same way.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import parse_time
from engine.errors import DataError, Problem
from engine.market.cells import decimals, split_cells, stamps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from strategies.bars import FloatArray, IntArray

EARLIEST_MS = parse_time("2009-01-01")
LATEST_MS = parse_time("2100-01-01")
_SHOWN = 40


@dataclass(frozen=True)
class Layout:
    """Where the wanted columns stand.

    Attributes:
        width: number of columns of every row.
        time: position of the time column.
        numbers: name -> position of the number columns wanted.
        skip: header lines before the data, 0 or 1.
    """

    width: int
    time: int
    numbers: dict[str, int]
    skip: int


@dataclass(frozen=True)
class Columns:
    """Numbers of a file in the order of its rows.

    Attributes:
        time_ms: int64 (n,), as written, not yet rounded or sorted.
        numbers: name -> float64 (n,), finite.
    """

    time_ms: IntArray
    numbers: dict[str, FloatArray]


@dataclass(frozen=True)
class Source:
    """A CSV file held in memory.

    Attributes:
        name: the path as given, for messages.
        raw: its bytes, UTF-8, ending with a line end.
        layout: the columns wanted of it.
    """

    name: str
    raw: bytes
    layout: Layout

    def line(self, row: int) -> int:
        """Return the number of the line, counted from 1, that holds data row `row`, counted from 0."""
        return next(line for index, (line, _) in enumerate(_rows(self)) if index == row)

    def where(self, row: int) -> str:
        """Return ``file:line`` of data row `row`, counted from 0."""
        return f"{self.name}:{self.line(row)}"


def read_columns(source: Source) -> Columns:
    """Return the columns of a CSV held in memory.

    Raises:
        DataError: names file and line of the first row that is damaged, or whose number or time is none.
    """
    found = _read_fast(source.raw, source.layout)
    return _read_carefully(source) if found is None else found


def _read_fast(raw: bytes, layout: Layout) -> Columns | None:
    cells = split_cells(raw, width=layout.width, skip=layout.skip)
    if cells is None:
        return None
    times = stamps(cells, layout.time)
    if times is None or not bool(((times >= EARLIEST_MS) & (times < LATEST_MS)).all()):
        return None
    numbers: dict[str, FloatArray] = {}
    for name, place in layout.numbers.items():
        column = decimals(cells, place)
        if column is None or not bool(np.isfinite(column).all()):
            return None
        numbers[name] = column
    return Columns(times, numbers)


def _read_carefully(source: Source) -> Columns:
    layout = source.layout
    names = list(layout.numbers)
    places = list(layout.numbers.values())
    times: list[int] = []
    table: list[list[float]] = []
    for line, cells in _rows(source):
        where = f"{source.name}:{line}"
        if len(cells) != layout.width:
            raise DataError(
                Problem(
                    "bad-row",
                    where,
                    f"{len(cells)} columns, {layout.width} were expected",
                    "the row is damaged or cut off: copy or download the file again",
                )
            )
        times.append(_time(cells[layout.time].strip(), where))
        table.append(
            [_number(cells[place].strip(), column, where) for column, place in zip(names, places, strict=True)]
        )
    matrix = np.array(table, dtype=np.float64).reshape(len(table), len(names))
    values = {column: np.ascontiguousarray(matrix[:, index]) for index, column in enumerate(names)}
    return Columns(np.array(times, dtype=np.int64), values)


def _rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of the data rows; blank lines are not rows."""
    reader = csv.reader(io.StringIO(source.raw.decode("utf-8", errors="replace"), newline=""))
    for index, cells in enumerate(reader):
        if index >= source.layout.skip and cells:
            yield reader.line_num, cells


def _number(text: str, column: str, where: str) -> float:
    value = _float(text)
    if not math.isfinite(value):
        shown = f"`{text[:_SHOWN]}`" if text else "empty"
        help_ = "repair the row, or delete it: a missing bar is better than a wrong one"
        raise DataError(Problem("not-a-number", where, f"`{column}` is {shown}, a number was expected", help_))
    return value


def _float(text: str) -> float:
    """Return the number a cell holds, NaN where it holds none; Python's own ``1_000`` is no number in a file."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def _time(text: str, where: str) -> int:
    number = _float(text)
    try:
        at_ms = int(number) if number.is_integer() else parse_time(text)
    except (ValueError, OverflowError):
        raise DataError(
            Problem(
                "bad-time", where, f"`{text[:_SHOWN]}` is no time", "write `2022-11-09T13:00:00Z` or epoch milliseconds"
            )
        ) from None
    if not EARLIEST_MS <= at_ms < LATEST_MS:
        raise DataError(
            Problem(
                "bad-time", where, f"`{text[:_SHOWN]}` lies outside 2009 to 2100", "epoch times are in milliseconds"
            )
        )
    return at_ms
