"""The pictures of a weekly or monthly report: both sides of the comparison, and what lies between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS
from engine.reports import palette, plots
from engine.reports.figures import Figure
from engine.reports.lines import Line
from engine.reports.numbers import day_text, number, percent, usd
from engine.reports.tables import table

if TYPE_CHECKING:
    from engine.comparison.compare import Comparison
    from engine.comparison.measures import Curve
    from engine.reports.lines import Frame
    from strategies.bars import FloatArray, IntArray

_DASH = (5.0, 2.0)
_HUNDRED, _BPS = 100.0, 1e4
_ROWS = 40


def replay_figure(compared: Comparison, frame: Frame) -> Figure:
    """Return the return of both sides since the start of the picture."""
    lines = [
        Line("live", *_growth(compared.live_curve, frame), palette.WITH_POLICY),
        Line("replay", *_growth(compared.replay_curve, frame), palette.WITHOUT_POLICY, _DASH),
    ]
    rows = [(day, *(percent(value, 3, signed=True) for value in values)) for day, values in _daily(lines, frame.to_ms)]
    return Figure(
        "live-replay",
        "Return on both sides",
        "Of a unit, cash flows left out, since the start of the picture. Where the dashed line cannot be seen, it lies "
        "under the other.",
        plots.curves_plot(frame, lines, "%", "live-replay"),
        table("day's end | #live | #replay", rows),
    )


def apart_figure(compared: Comparison, frame: Frame) -> Figure:
    """Return by how much the ledger is ahead of its replay."""
    at_ms, ours = _growth(compared.live_curve, frame)
    theirs_ms, theirs = _growth(compared.replay_curve, frame)
    both, here, there = np.intersect1d(at_ms, theirs_ms, assume_unique=True, return_indices=True)
    line = Line("live less replay", both, (ours[here] - theirs[there]) / _HUNDRED * _BPS, palette.SERIES[1])
    rows = [(day, number(values[0], 2, signed=True)) for day, values in _daily([line], frame.to_ms)]
    return Figure(
        "apart",
        "What lies between them",
        "The ledger's return less the replay's, in basis points: above zero the desk did better than its assumptions.",
        plots.curves_plot(frame, [line], "basis points", "apart"),
        table("day's end | #live less replay, bps", rows),
    )


def sleeves_figure(compared: Comparison, frame: Frame) -> Figure:
    """Return each sleeve's result on both sides since the start of the picture."""
    lines: list[Line] = []
    for index, symbol in enumerate(compared.live_curve.symbols):
        color = palette.SERIES[index % len(palette.SERIES)]
        lines.append(Line(symbol, *_earned(compared.live_curve, symbol, frame), color))
        if symbol in compared.replay_curve.symbols:
            lines.append(Line("", *_earned(compared.replay_curve, symbol, frame), color, (1.5, 1.5)))
    named = [line for line in lines if line.name]
    rows = [(day, *(usd(value, signed=True) for value in values)) for day, values in _daily(named, frame.to_ms)]
    return Figure(
        "sleeves-both",
        "Sleeves, cumulative, on both sides",
        "Full lines are the ledger's, dotted ones the replay's: price result, fees, slippage and funding together.",
        plots.curves_plot(frame, lines, "USD", "sleeves-both"),
        table("day's end | " + " | ".join(f"#{line.name}" for line in named), rows),
    )


def _growth(curve: Curve, frame: Frame) -> tuple[IntArray, FloatArray]:
    keep = (curve.at_ms >= frame.from_ms) & (curve.at_ms <= frame.to_ms)
    nav = curve.nav[keep]
    return curve.at_ms[keep], (nav / nav[0] - 1.0) * _HUNDRED if len(nav) and nav[0] > 0 else np.zeros(len(nav))


def _earned(curve: Curve, symbol: str, frame: Frame) -> tuple[IntArray, FloatArray]:
    keep = (curve.at_ms >= frame.from_ms) & (curve.at_ms <= frame.to_ms)
    values = curve.pnl_usd[keep, curve.symbols.index(symbol)]
    return curve.at_ms[keep], values - (values[0] if len(values) else 0.0)


def _daily(lines: list[Line], to_ms: int) -> list[tuple[str, list[float]]]:
    """Return the curves at the end of each day, the newest days where there are many."""
    found = []
    for end_ms in range(to_ms - to_ms % DAY_MS, int(lines[0].at_ms[0]) if len(lines[0].at_ms) else to_ms, -DAY_MS):
        places = [int(np.searchsorted(line.at_ms, end_ms, side="right")) - 1 for line in lines]
        values = [float(line.values[place]) for line, place in zip(lines, places, strict=True)]
        found.append((day_text(end_ms - 1), values))
        if len(found) == _ROWS:
            break
    return found[::-1]
