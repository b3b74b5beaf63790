"""The one picture of a review: what became of $100 under the old policies and under the new ones, as a small SVG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np

from engine.reports import palette
from engine.reports.numbers import day_text, usd

if TYPE_CHECKING:
    from engine.policy_review.rehearsals import Course
    from strategies.bars import FloatArray

START_USD = 100.0

_WIDTH, _HEIGHT = 760, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 150, 28, 30
_LABEL_GAP = 14.0
_TICKS = 4
_LEAST_SPAN = 0.1  # a curve without movement still has an axis
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
_FONT = 'font-family="DejaVu Sans, Arial, sans-serif" font-size="11"'
_BARS = "▁▂▃▄▅▆▇█"
_COLUMNS = 60


def values_of(course: Course) -> FloatArray:
    """Return what $100 became, at the end of each day: float64 (n,)."""
    values: FloatArray = course.nav / course.nav[0] * START_USD
    return values


def plot_svg(old: Course, new: Course) -> str:
    """Return the picture; the same courses give the same bytes."""
    curves = [values_of(old), values_of(new)]
    low, high = min(float(one.min()) for one in curves), max(float(one.max()) for one in curves)
    if high - low < _LEAST_SPAN:
        low, high = low - _LEAST_SPAN, high + _LEAST_SPAN
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    first_ms, last_ms = int(old.day_ms[0]), int(max(old.day_ms[-1], new.day_ms[-1]))

    def x(at_ms: float) -> float:
        return _LEFT + (at_ms - first_ms) / max(1, last_ms - first_ms) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" {_FONT}>',
        "<title>What $100 became under the old and under the new policies</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="{palette.PAPER}"/>',
        _text(_LEFT, 14, "what $100 became; cash moved in or out is left aside", palette.MUTED),
    ]
    for tick in ticks:
        at = f'y1="{y(tick):.1f}" y2="{y(tick):.1f}"'
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" {at} stroke="{palette.GRID}"/>')
        parts.append(_text(_LEFT - 6, y(tick) + 4, usd(tick, 0 if tick == round(tick) else 1), palette.MUTED, "end"))
    for at_ms, anchor in ((first_ms, "start"), (last_ms, "end")):
        parts.append(_text(x(at_ms), _HEIGHT - 10, day_text(at_ms), palette.MUTED, anchor))
    ends = _apart([y(float(one[-1])) for one in curves])
    looks = (("old", palette.WITHOUT_POLICY, ' stroke-dasharray="5 3"'), ("new", palette.WITH_POLICY, ""))
    for course, values, end, (name, color, dashes) in zip((old, new), curves, ends, looks, strict=True):
        points = " ".join(
            f"{x(at_ms):.1f},{y(value):.1f}"
            for at_ms, value in zip(course.day_ms.tolist(), values.tolist(), strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.6"{dashes}/>')
        said = f"{name} {usd(float(values[-1]))}"
        parts.append(_text(_WIDTH - _RIGHT + 6, end + 4, said, color))
    return "\n".join([*parts, "</svg>"]) + "\n"


def sparkline(old: Course, new: Course) -> tuple[str, str]:
    """Return both curves as one line of bars each, on one scale: for readers without pictures."""
    curves = [_sampled(values_of(course)) for course in (old, new)]
    low, high = min(float(one.min()) for one in curves), max(float(one.max()) for one in curves)
    step = (high - low) / (len(_BARS) - 1) or 1.0
    lines = ["".join(_BARS[round((value - low) / step)] for value in one.tolist()) for one in curves]
    return lines[0], lines[1]


def _sampled(values: FloatArray) -> FloatArray:
    places = np.linspace(0, len(values) - 1, min(_COLUMNS, len(values))).round().astype(np.int64)
    sampled: FloatArray = values[places]
    return sampled


def _ticks(low: float, high: float) -> list[float]:
    """Return a few round values from about `low` to about `high`."""
    size = 10 ** math.floor(math.log10((high - low) / _TICKS))
    step = next(size * nice for nice in _NICE if size * nice * _TICKS >= high - low)
    first = math.floor(low / step)
    return [round((first + number) * step, 6) for number in range(math.ceil(high / step) - first + 1)]


def _apart(places: list[float]) -> list[float]:
    """Return where two names stand at the right edge without touching."""
    one, other = places
    gap = _LABEL_GAP - abs(one - other)
    if gap <= 0:
        return places
    shift = gap / 2 if one >= other else -gap / 2
    return [one + shift, other - shift]


def _text(x: float, y: float, words: str, color: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}">{escape(words)}</text>'
