"""A small bar under a number: the policy's zones for a fact, and where the fact stands in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.reports import palette
from engine.reports.numbers import number
from engine.reports.palette import band_fill

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.reports.policy_view import Limit

_WIDTH, _HEIGHT, _BAR = 168.0, 26.0, 7.0
_MARGIN = 0.22  # room beyond the outermost edge, as a share of the distance between the outermost
_LABEL_WIDTH = 24.0
_EDGE, _MARKER, _STOP = 0.8, 1.4, 2.2  # widths of strokes
_UPWARD = (">", ">=")


def scale_svg(limits: Sequence[Limit], value: float | None) -> str:
    """Return a bar with the policy's zones and a marker at the value.

    Args:
        limits: a fact's edges; without a green and a red one there is no bar.
        value: in the fact's unit; None draws no marker.

    Returns:
        An ``<svg>`` element, or nothing.
    """
    green = next((limit for limit in limits if limit.kind == "green"), None)
    red = next((limit for limit in limits if limit.kind == "red"), None)
    if green is None or red is None or green.value == red.value:
        return ""
    edges = [limit.value for limit in limits]
    shown = edges if value is None else [*edges, value]
    room = (max(edges) - min(edges)) * _MARGIN or 1.0
    low, high = min(shown) - room, max(shown) + room
    if min(edges) >= 0 and (value is None or value >= 0):
        low = max(low, 0.0)

    def x(at: float) -> float:
        return (at - low) / (high - low) * _WIDTH

    up = green.operator in _UPWARD
    zones = (
        ("red", 0.0, x(red.value)) if up else ("green", 0.0, x(green.value)),
        ("yellow", x(red.value), x(green.value)) if up else ("yellow", x(green.value), x(red.value)),
        ("green", x(green.value), _WIDTH) if up else ("red", x(red.value), _WIDTH),
    )
    parts = [_rectangle(band, start, stop) for band, start, stop in zones]
    parts += _edge_marks(limits, x)
    if value is not None:
        at = x(value)
        parts.append(f'<path d="M{at:.1f} {_BAR + 1:g} l-4.5 -7 h9 z" fill="{palette.INK}"/>')
        parts.append(_tick(at, _BAR, 2 * _BAR, _MARKER))
    return f'<svg class="scale" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img">{"".join(parts)}</svg>'


def _edge_marks(limits: Sequence[Limit], x: Callable[[float], float]) -> list[str]:
    """Return a tick for every edge, and its figure where there is room for it."""
    parts: list[str] = []
    last = -_LABEL_WIDTH
    for limit in sorted(limits, key=lambda limit: limit.value):
        at = x(limit.value)
        parts.append(_tick(at, _BAR - 1, 2 * _BAR + 2, _STOP if limit.kind == "stop" else _EDGE))
        if at - last >= _LABEL_WIDTH:
            text = number(limit.value, 2).rstrip("0").rstrip(".")
            parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - 1:g}" text-anchor="middle">{text}</text>')
            last = at
    return parts


def _rectangle(band: str, start: float, stop: float) -> str:
    size = f'width="{max(stop - start, 0):.1f}" height="{_BAR:g}"'
    return f'<rect x="{start:.1f}" y="{_BAR:g}" {size} fill="{band_fill(band)}"/>'


def _tick(at: float, top: float, bottom: float, width: float) -> str:
    ends = f'x1="{at:.1f}" x2="{at:.1f}" y1="{top:g}" y2="{bottom:g}"'
    return f'<line {ends} stroke="{palette.INK}" stroke-width="{width:g}"/>'
