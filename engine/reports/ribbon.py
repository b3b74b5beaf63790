"""The ribbon of verdicts: a calendar, one row a month, one cell a day, each saying why when pointed at."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from engine.clock import DAY_MS
from engine.reports import palette
from engine.reports.palette import outcome_look

if TYPE_CHECKING:
    from collections.abc import Sequence

_CELL_W = 27
_CELL_H = 22
_GAP = 2
_LEFT = 74
_TOP = 20
_RIGHT = 118
_DAYS = 31
_TEXT_DROP = 4.5  # from a cell's middle down to the letter's baseline
_HATCH_GAP = 7  # between two strokes
_RISING = ("////", "xxxx")  # how Matplotlib writes its hatches; here they are drawn by hand, the same way
_FALLING = ("\\\\\\\\", "xxxx")


@dataclass(frozen=True)
class Cell:
    """One day: its start (00:00 UTC), its outcome, and the reason in words."""

    day_ms: int
    outcome: str
    why: str


def ribbon_svg(cells: Sequence[Cell], name: str = "ribbon") -> str:
    """Return the calendar of verdicts as an ``<svg>`` element.

    Args:
        cells: at most one a day, in any order; a day between two months that has none is drawn empty.
        name: prefix of every id, unique in the page.

    Returns:
        The element; an empty calendar for no cells.
    """
    by_day = {_date(cell.day_ms): cell for cell in cells}
    months = _months(min(by_day), max(by_day)) if by_day else []
    height = _TOP + len(months) * (_CELL_H + _GAP)
    width = _LEFT + _DAYS * (_CELL_W + _GAP) + _RIGHT
    shapes = {outcome: f"{name}-{index}" for index, outcome in enumerate(dict.fromkeys(cell.outcome for cell in cells))}
    rows = [line for index, month in enumerate(months) for line in _month(index, month, by_day, shapes)]
    defined = "".join(f'<g id="{shape}">{_drawn(outcome)}</g>' for outcome, shape in shapes.items())
    return "\n".join(
        [
            f'<svg class="ribbon" viewBox="0 0 {width} {height}" role="img" aria-label="Verdicts by day">',
            f"<defs>{defined}</defs>",
            *(_day_number(day) for day in range(1, _DAYS + 1)),
            *rows,
            "</svg>",
        ]
    )


def legend_svg(outcome: str) -> str:
    """Return one cell of the ribbon on its own, for a legend."""
    return (
        f'<svg class="swatch" viewBox="0 0 {_CELL_W} {_CELL_H}" width="{_CELL_W}" height="{_CELL_H}">'
        f"{_drawn(outcome)}</svg>"
    )


def _month(index: int, first: dt.date, by_day: dict[dt.date, Cell], shapes: dict[str, str]) -> list[str]:
    y = _TOP + index * (_CELL_H + _GAP)
    middle = y + _CELL_H / 2 + _TEXT_DROP
    lines = [f'<text x="{_LEFT - 10}" y="{middle:g}" text-anchor="end" class="month">{first:%b %Y}</text>']
    tally: dict[str, int] = {}
    day = first
    while day.month == first.month:
        x = _LEFT + (day.day - 1) * (_CELL_W + _GAP)
        cell = by_day.get(day)
        if cell is None:
            lines.append(
                f'<rect x="{x + 0.5}" y="{y + 0.5}" width="{_CELL_W - 1}" height="{_CELL_H - 1}" rx="3" fill="none" '
                f'stroke="{palette.GRID}"><title>{day}: no verdict</title></rect>'
            )
        else:
            tally[cell.outcome] = tally.get(cell.outcome, 0) + 1
            title = escape(f"{day} {cell.outcome}: {cell.why}", quote=False)
            lines.append(f'<use href="#{shapes[cell.outcome]}" x="{x}" y="{y}"><title>{title}</title></use>')
        day += dt.timedelta(days=1)
    text = escape(" ".join(f"{outcome_look(outcome).letter}{days}" for outcome, days in sorted(tally.items())))
    x = _LEFT + _DAYS * (_CELL_W + _GAP) + 8
    return [*lines, f'<text x="{x}" y="{middle:g}" class="tally">{text}</text>']


def _drawn(outcome: str) -> str:
    """Return a cell at the origin: its colour, its hatching, and its letter on a plain patch that keeps it readable.

    Strokes are drawn one by one: a pattern fill becomes a picture of its own in every cell of a printed page.
    """
    look = outcome_look(outcome)
    strokes = _strokes(look.hatch)
    middle_x, middle_y = _CELL_W / 2, _CELL_H / 2
    hatching = (
        f'<path d="{strokes}" stroke="{look.ink}" stroke-width="0.9" stroke-opacity="0.55" fill="none"/>'
        f'<circle cx="{middle_x:g}" cy="{middle_y:g}" r="8" fill="{look.fill}"/>'
        if strokes
        else ""
    )
    return (
        f'<rect width="{_CELL_W}" height="{_CELL_H}" rx="3" fill="{look.fill}"/>{hatching}'
        f'<text x="{middle_x:g}" y="{middle_y + _TEXT_DROP:g}" text-anchor="middle" fill="{look.ink}">'
        f"{escape(look.letter)}</text>"
    )


def _strokes(hatch: str) -> str:
    """Return the diagonals of a hatch inside one cell, as an SVG path."""
    parts: list[str] = []
    for foot in range(-_CELL_H, _CELL_W, _HATCH_GAP):
        left, right = max(foot, 0), min(foot + _CELL_H, _CELL_W)
        if hatch in _RISING:
            parts.append(f"M{left},{_CELL_H - (left - foot)} L{right},{_CELL_H - (right - foot)}")
        if hatch in _FALLING:
            parts.append(f"M{left},{left - foot} L{right},{right - foot}")
    return " ".join(parts)


def _day_number(day: int) -> str:
    x = _LEFT + (day - 1) * (_CELL_W + _GAP) + _CELL_W / 2
    return f'<text x="{x:g}" y="{_TOP - 7}" text-anchor="middle" class="day">{day}</text>'


def _months(first: dt.date, last: dt.date) -> list[dt.date]:
    months = [first.replace(day=1)]
    while (months[-1].year, months[-1].month) < (last.year, last.month):
        months.append((months[-1] + dt.timedelta(days=_DAYS + 1)).replace(day=1))
    return months


def _date(day_ms: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=day_ms // DAY_MS)
