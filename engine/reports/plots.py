"""Matplotlib pictures as inline SVG: the same numbers give the same bytes, and no picture refers to the outside.

Pictures carry no headings of their own; the page does. Every axis names its unit, lines are named where they end, and
what differs by colour differs by dashes or hatching too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.reports import palette
from engine.reports.axes import (
    HEADROOM,
    as_svg,
    days_of,
    draw,
    draw_edges,
    finish,
    largest,
    name_band,
    one_plot,
    style,
    two_plots,
)
from engine.reports.lines import thinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.reports.lines import Edge, Frame, Line
    from strategies.bars import FloatArray


def equity_plot(frame: Frame, lines: Sequence[Line]) -> str:
    """Return the equity of one or two accounts in USD, with the verdicts below."""
    with style():
        figure, axes = one_plot(frame, 3.5)
        draw(axes, lines)
        finish(axes, frame, "USD", lines, money=True)
        return as_svg(figure, "equity")


def drawdown_plot(frame: Frame, lines: Sequence[Line], edges: Sequence[Edge]) -> str:
    """Return drawdowns in percent below the peak, growing downwards, with the policy's edges."""
    with style():
        figure, axes = one_plot(frame, 3.0)
        draw(axes, lines)
        if lines:
            at_ms, values = thinned(lines[0].at_ms, lines[0].values)
            axes.fill_between(days_of(at_ms), values, 0, color=lines[0].color, alpha=0.10, linewidth=0)
        draw_edges(axes, edges)
        deepest = max([*(edge.value for edge in edges), *(largest(line) for line in lines), 1.0])
        axes.set_ylim(deepest * (1 + HEADROOM), 0)
        finish(axes, frame, "% below the peak", lines, edges=edges)
        return as_svg(figure, "drawdown")


def sharpe_plot(frame: Frame, line: Line, low: FloatArray, high: FloatArray, edges: Sequence[Edge], band: str) -> str:
    """Return a rolling Sharpe ratio with its confidence band.

    Args:
        frame: the stretch of time.
        line: one value a day.
        low: float64 (n,), the band's lower edge; NaN where unknown.
        high: float64 (n,), the upper edge.
        edges: the policy's edges.
        band: the band's name in the picture.
    """
    with style():
        figure, axes = one_plot(frame, 3.0)
        days = days_of(line.at_ms)
        if len(days):
            axes.fill_between(days, low, high, color=line.color, alpha=0.12, linewidth=0)
            name_band(axes, days, high, band)
        draw(axes, [line])
        draw_edges(axes, edges)
        finish(axes, frame, "ratio, annualised", [line], edges=edges)
        return as_svg(figure, "sharpe")


def bounds_plot(frame: Frame, exposure: Line, cap: Line, gross: Line | None) -> str:
    """Return the exposure multiplier above and the cap (with what was really invested) below, as steps."""
    with style():
        figure, upper, lower = two_plots()
        days = days_of(exposure.at_ms)
        upper.plot(days, exposure.values, color=exposure.color, drawstyle="steps-post", linewidth=1.6)
        upper.fill_between(days, exposure.values, 0, step="post", color=exposure.color, alpha=0.10, linewidth=0)
        upper.set_ylim(0, 1.12)
        upper.set_yticks([0, 0.5, 1])
        finish(upper, frame, "exposure multiplier", [exposure], tick_labels=False)
        if gross is not None:
            at_ms, values = thinned(gross.at_ms, gross.values)
            lower.fill_between(days_of(at_ms), values, 0, color=gross.color, alpha=0.25, linewidth=0)
        lower.plot(days_of(cap.at_ms), cap.values, color=cap.color, drawstyle="steps-post", linewidth=1.6)
        lower.set_ylim(0, max([largest(cap), *([largest(gross)] if gross else []), 1.0]) * 1.12)
        finish(lower, frame, "USD", [cap, *([gross] if gross else [])], money=True)
        return as_svg(figure, "bounds")


def curves_plot(frame: Frame, lines: Sequence[Line], unit: str, name: str) -> str:
    """Return curves around zero, such as the sleeves' contributions; `name` keeps the picture's ids apart."""
    with style():
        figure, axes = one_plot(frame, 2.8)
        axes.axhline(0, color=palette.FAINT, linewidth=0.9)
        draw(axes, lines)
        finish(axes, frame, unit, lines, money=unit == "USD")
        return as_svg(figure, name)
