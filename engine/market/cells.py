"""Cells of a plain CSV as numbers, a column at a time.

Importing pandas costs more than a whole backtest; reading digits with NumPy takes as long as its parser does, and is as
exact as Python's `float`: a mantissa below 2**53 divided by a power of ten up to 10**22 is rounded once (Clinger 1990).
Every function returns None for what it does not read exactly so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import SECOND_MS

if TYPE_CHECKING:
    import numpy.typing as npt

    from strategies.bars import FloatArray, IntArray

_COMMA, _NEWLINE, _DOT, _ZERO = (ord(mark) for mark in ",\n.0")
_LAST_DIGIT = 9
_EXACT_DIGITS = 15
_POWERS = 10.0 ** np.arange(_EXACT_DIGITS + 1)
_WIDEST = 32
_MONTHS = 12
_STAMP = "0000-00-00T00:00:00Z"
_STAMP_MARKS = tuple((place, ord(mark)) for place, mark in enumerate(_STAMP) if mark != "0")


@dataclass(frozen=True)
class Cells:
    """Where the cells of a CSV lie.

    Attributes:
        text: uint8, the bytes, padded so that a cell may be read past its end.
        starts: int64 (columns, rows), first byte of each cell.
        ends: int64 (columns, rows), the byte after it.
    """

    text: npt.NDArray[np.uint8]
    starts: IntArray
    ends: IntArray


def split_cells(raw: bytes, *, width: int, skip: int) -> Cells | None:
    """Return the cells of a CSV whose every line has `width` of them; None where a line has not.

    Args:
        raw: the bytes, ending with a line end.
        width: number of columns.
        skip: header lines, 0 or 1.
    """
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n")
    head = raw.find(b"\n") + 1 if skip else 0
    text = np.frombuffer(raw + b" " * _WIDEST, dtype=np.uint8)[head:]
    body = text[: len(raw) - head]
    newline = body == _NEWLINE
    marks = np.flatnonzero(newline | (body == _COMMA))
    if not len(marks) or len(marks) % width or marks[-1] != len(body) - 1:
        return None
    ends = marks.reshape(-1, width)
    if int(newline.sum()) != len(ends) or not bool(newline[ends[:, -1]].all()):
        return None
    starts = np.empty_like(marks)
    starts[0] = 0
    starts[1:] = marks[:-1] + 1
    return Cells(text, np.ascontiguousarray(starts.reshape(-1, width).T), np.ascontiguousarray(ends.T))


def decimals(cells: Cells, column: int) -> FloatArray | None:
    """Return a column of numbers, float64 (rows,), each equal to Python's `float` of its cell."""
    starts, ends = cells.starts[column], cells.ends[column]
    lengths = ends - starts
    if int(lengths.max()) > _WIDEST:
        return None
    mantissa = np.zeros(len(starts), dtype=np.int64)
    digits = np.zeros(len(starts), dtype=np.int64)
    places = np.zeros(len(starts), dtype=np.int64)
    dots = np.zeros(len(starts), dtype=np.int64)
    for offset in range(int(lengths.max())):
        mark = cells.text[starts + offset]
        digit = mark - np.uint8(_ZERO)
        inside = lengths > offset
        is_digit = inside & (digit <= _LAST_DIGIT)
        mantissa = np.where(is_digit, mantissa * 10 + digit, mantissa)
        digits += is_digit
        places += is_digit & (dots > 0)
        dots += inside & (mark == _DOT)
    plain = (digits > 0) & (digits <= _EXACT_DIGITS) & (dots <= 1) & (digits + dots == lengths)
    numbers = mantissa / _POWERS[np.where(plain, places, 0)]
    try:
        for row in np.flatnonzero(~plain):  # signs, exponents, long mantissas: few in a file of prices
            cell = cells.text[starts[row] : ends[row]].tobytes()
            if b"_" in cell:  # Python's own spelling, no number in a file
                return None
            numbers[row] = float(cell)
    except ValueError:
        return None
    return numbers


def stamps(cells: Cells, column: int) -> IntArray | None:
    """Return a column of times, int64 (rows,) milliseconds: all ``2022-11-09T13:00:00Z`` or all plain integers."""
    starts, ends = cells.starts[column], cells.ends[column]
    if bool((ends - starts != len(_STAMP)).any()):
        numbers = decimals(cells, column)
        whole = numbers is not None and bool((np.isfinite(numbers) & (numbers == np.floor(numbers))).all())
        return numbers.astype(np.int64) if numbers is not None and whole else None
    if any(bool((cells.text[starts + place] != mark).any()) for place, mark in _STAMP_MARKS):
        return None
    columns = [cells.text[starts + place] - np.uint8(_ZERO) for place, mark in enumerate(_STAMP) if mark == "0"]
    if any(bool((digit > _LAST_DIGIT).any()) for digit in columns):
        return None
    two = [tens * np.int64(10) + ones for tens, ones in zip(columns[::2], columns[1::2], strict=True)]
    century, year, month, day, hour, minute, second = two
    return _milliseconds(century * 100 + year, month, day, (hour, minute, second))


def _milliseconds(
    year: IntArray, month: IntArray, day: IntArray, clock: tuple[IntArray, IntArray, IntArray]
) -> IntArray | None:
    hour, minute, second = clock
    if any(bool((part >= limit).any()) for part, limit in ((hour, 24), (minute, 60), (second, 60))):
        return None
    if bool(((month < 1) | (month > _MONTHS) | (day < 1)).any()):
        return None
    months = ((year - 1970) * _MONTHS + month - 1).astype("datetime64[M]")
    first_day = months.astype("datetime64[D]").astype(np.int64)
    next_month = (months + np.timedelta64(1, "M")).astype("datetime64[D]").astype(np.int64)
    if bool((day > next_month - first_day).any()):
        return None
    return ((first_day + day - 1) * 86_400 + (hour * 60 + minute) * 60 + second) * SECOND_MS
