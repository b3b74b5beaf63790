"""A backtest as one picture: equity, drawdown, and what each sleeve earned.

Written as SVG by hand: importing Matplotlib takes longer than six years of backtest. The same run gives the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from engine.backtest.writers import write_lines
from engine.clock import iso
from engine.errors import DataError, Problem
from engine.metrics import drawdown_series

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.backtest.run import BacktestResult
    from strategies.bars import FloatArray, IntArray

_WIDTH, _LEFT, _RIGHT, _TOP, _GAP = 1000.0, 78.0, 112.0, 26.0, 34.0
_HEIGHTS = (290.0, 130.0, 200.0)
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")  # Okabe and Ito, for every eye
_DASHES = ("", "7 3", "2 2", "9 3 2 3")  # what differs by colour differs in black and white too
_MONTHS = (1, 2, 3, 6, 12, 24, 60)
_DAYS = (1, 2, 7, 14)
_MOST_TICKS = 9
_LABEL_GAP = 14.0
_TEXT = 'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12" fill="#333"'


@dataclass(frozen=True)
class _Curve:
    """One line: its name, its values (one an hour), its colour and dashes."""

    name: str
    values: FloatArray
    color: str
    dashes: str = ""
    filled: bool = False


@dataclass(frozen=True)
class _Panel:
    """One set of axes: the unit of its values, its place on the page, and its curves."""

    unit: str
    top: float
    height: float
    curves: Sequence[_Curve]


def write_picture(result: BacktestResult, path: Path) -> None:
    """Draw the run into `path`.

    Raises:
        DataError: the name does not end in ``.svg``, or the file cannot be written.
    """
    if path.suffix != ".svg":
        found = f"a picture is an SVG, not `{path.suffix}`"
        raise DataError(Problem("picture-format", str(path), found, "end the name in `.svg`"))
    write_lines(picture_lines(result), path)


def picture_lines(result: BacktestResult) -> list[str]:
    """Return the lines of the SVG document."""
    history = result.history
    sleeves = [
        _Curve(symbol, history.pnl_usd[:, column], _COLORS[column % len(_COLORS)], _DASHES[column % len(_DASHES)])
        for column, symbol in enumerate(history.symbols)
    ]
    contents = (
        ("equity, USD", [_Curve("equity", history.equity_usd, _COLORS[0])]),
        ("drawdown, %", [_Curve("", -100.0 * drawdown_series(history.nav, start=1.0), _COLORS[1], filled=True)]),
        ("sleeve P&L, USD", sleeves),
    )
    tops = [_TOP + sum(_HEIGHTS[:index]) + index * _GAP for index in range(len(contents))]
    panels = [
        _Panel(unit, top, height, curves) for (unit, curves), top, height in zip(contents, tops, _HEIGHTS, strict=True)
    ]
    bottom = tops[-1] + _HEIGHTS[-1]
    title = f"Backtest of {', '.join(history.symbols)} from {iso(result.start_ms)} to {iso(result.end_ms)}"
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {bottom + 44:g}" role="img" {_TEXT}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH:g}" height="{bottom + 44:g}" fill="#fff"/>',
        *_time_axis(history.at_ms, bottom),
        *(line for panel in panels for line in _panel_lines(panel)),
        "</svg>",
    ]


def _panel_lines(panel: _Panel) -> list[str]:
    """Return the grid, the curves and their names."""
    low = min(float(curve.values.min()) for curve in panel.curves)
    high = max(float(curve.values.max()) for curve in panel.curves)
    ticks = _nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    scale = panel.height / ((high - low) or 1.0)
    lines = [f'<text x="{_LEFT:g}" y="{panel.top - 8:g}" font-weight="bold">{escape(panel.unit)}</text>']
    right = _WIDTH - _RIGHT
    for tick in ticks:
        level = panel.top + (high - tick) * scale
        lines.append(f'<path d="M{_LEFT:g} {level:.1f}H{right:g}" stroke="#ddd"/>')
        lines.append(f'<text x="{_LEFT - 8:g}" y="{level + 4:.1f}" text-anchor="end">{tick:,g}</text>')
    ends: list[float] = []
    for curve in panel.curves:
        places, values = _thinned(curve.values)
        across = _LEFT + places * ((right - _LEFT) / max(1, len(curve.values) - 1))
        down = panel.top + (high - values) * scale
        points = zip(across.tolist(), down.tolist(), strict=True)
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        if curve.filled:
            zero = panel.top + high * scale
            lines.append(f'<path d="{path}V{zero:.1f}H{_LEFT:g}Z" fill="{curve.color}" fill-opacity="0.45"/>')
            continue
        dashes = f' stroke-dasharray="{curve.dashes}"' if curve.dashes else ""
        lines.append(f'<path d="{path}" fill="none" stroke="{curve.color}" stroke-width="1.3"{dashes}/>')
        ends.append(down.item(-1))
    named = [curve for curve in panel.curves if not curve.filled]
    for curve, y_end in zip(named, _apart(ends), strict=True):
        lines.append(f'<text x="{right + 6:g}" y="{y_end + 4:.1f}" fill="{curve.color}">{escape(curve.name)}</text>')
    return lines


def _time_axis(at_ms: IntArray, bottom: float) -> list[str]:
    first, last = int(at_ms[0]), int(at_ms[-1])
    right = _WIDTH - _RIGHT
    lines = []
    for tick, name in _time_ticks(first, last):
        x = _LEFT + (tick - first) / max(1, last - first) * (right - _LEFT)
        lines.append(f'<path d="M{x:.1f} {_TOP:g}V{bottom:g}" stroke="#eee"/>')
        lines.append(f'<text x="{x:.1f}" y="{bottom + 18:g}" text-anchor="middle">{name}</text>')
    lines.append(f'<text x="{right:g}" y="{bottom + 36:g}" text-anchor="end">UTC</text>')
    return lines


def _time_ticks(first_ms: int, last_ms: int) -> list[tuple[int, str]]:
    """Return at most nine instants, the starts of months or days, and their names."""
    start, end = (np.datetime64(at_ms, "ms") for at_ms in (first_ms, last_ms))
    for unit, one, steps in (("D", np.timedelta64(1, "D"), _DAYS), ("M", np.timedelta64(1, "M"), _MONTHS)):
        whole = np.arange(start.astype(f"datetime64[{unit}]"), end.astype(f"datetime64[{unit}]") + one)
        for step in steps:
            ticks = whole[whole.astype(np.int64) % step == 0]
            if len(ticks) <= _MOST_TICKS:
                times = ticks.astype("datetime64[ms]").astype(np.int64).tolist()
                return [(at, str(tick)) for at, tick in zip(times, ticks, strict=True) if first_ms <= at <= last_ms]
    return []


def _nice_ticks(low: float, high: float) -> list[float]:
    """Return round numbers from about `low` to about `high`, four to nine of them.

    >>> _nice_ticks(9_800.0, 13_100.0)
    [9000.0, 10000.0, 11000.0, 12000.0, 13000.0, 14000.0]
    """
    span = (high - low) or max(abs(high), 1.0)
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (factor * step) <= 6)  # noqa: PLR2004 - ticks in a panel
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]


def _thinned(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return places and values of the lowest and highest point of each pixel's hours, and of the last."""
    count = len(values)
    width = max(1, count // int(_WIDTH - _LEFT - _RIGHT))
    whole = count // width * width
    columns = values[:whole].reshape(-1, width)
    offsets = np.sort(np.stack([columns.argmin(axis=1), columns.argmax(axis=1)], axis=1), axis=1)
    places = (np.arange(len(columns))[:, None] * width + offsets).ravel()
    places = np.unique(np.append(places, count - 1))
    return places.astype(np.float64), values[places]


def _apart(ends: Sequence[float]) -> list[float]:
    """Return the heights of the names at the ends of curves, pushed apart where they would overlap."""
    placed = [0.0] * len(ends)
    lowest = -math.inf
    for index in sorted(range(len(ends)), key=lambda index: ends[index]):
        lowest = max(ends[index], lowest + _LABEL_GAP)
        placed[index] = lowest
    return placed
