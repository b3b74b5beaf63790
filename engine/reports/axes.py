"""Axes, names and the strip of verdicts: what all pictures have in common. Matplotlib is imported on first use."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import DAY_MS
from engine.reports import palette
from engine.reports.lines import thinned
from engine.reports.numbers import number
from engine.reports.palette import outcome_look
from engine.reports.svg import inline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from engine.reports.lines import Edge, Frame, Line
    from strategies.bars import FloatArray, IntArray

_WIDTH_IN = 10.4
_FONT_PT = 9.5
_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "stagegate",
    "timezone": "UTC",
    "font.family": "DejaVu Sans",
    "font.size": _FONT_PT,
    "axes.edgecolor": palette.FAINT,
    "axes.labelcolor": palette.MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": palette.GRID,
    "grid.linewidth": 0.8,
    "xtick.color": palette.MUTED,
    "ytick.color": palette.MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "hatch.linewidth": 0.7,
    "text.parse_math": False,  # a name with a dollar sign is a name
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
}
_LABEL_PX = 17  # least distance of two names at the right edge, at Matplotlib's 100 dots an inch
HEADROOM = 0.06  # room beyond the outermost value, as a share of the axis
_WHOLE_DOLLARS = 20  # a narrower axis shows tenths
_EDGES = {
    "green": (palette.GREEN_EDGE, (4.0, 2.0)),
    "red": (palette.RED_EDGE, (7.0, 2.0)),
    "stop": (palette.HARD_STOP, ()),
}


def style() -> Any:
    """Return the context in which pictures are drawn: one look, and ids that depend on the content alone."""
    import matplotlib as mpl  # noqa: PLC0415 - keeps the command line fast

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # its font cache is no news to a reader of reports
    mpl.use("svg")
    return mpl.rc_context(_RC)


def one_plot(frame: Frame, height_in: float) -> tuple[Figure, Axes]:
    """Return a figure with one plot, and below it a strip of the verdicts where there are any."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - keeps the command line fast

    figure = Figure(figsize=(_WIDTH_IN, height_in))
    bottom = 0.62 if frame.spans else 0.34
    axes = figure.add_axes((0.066, bottom / height_in, 0.774, 1 - (bottom + 0.3) / height_in))
    if frame.spans:
        strip = figure.add_axes((0.066, 0.12 / height_in, 0.774, 0.16 / height_in))
        _draw_strip(strip, frame)
    return figure, axes


def two_plots() -> tuple[Figure, Axes, Axes]:
    """Return a figure with two plots, one above the other."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - keeps the command line fast

    height_in = 3.3
    figure = Figure(figsize=(_WIDTH_IN, height_in))
    upper = figure.add_axes((0.066, 2.0 / height_in, 0.774, 1.0 / height_in))
    lower = figure.add_axes((0.066, 0.34 / height_in, 0.774, 1.2 / height_in))
    return figure, upper, lower


def _draw_strip(axes: Axes, frame: Frame) -> None:
    """Draw the verdicts as a thin strip on the same time axis."""
    for span in frame.spans:
        look = outcome_look(span.outcome)
        start, stop = span.from_ms / DAY_MS, span.to_ms / DAY_MS
        axes.axvspan(
            start,
            stop,
            facecolor=look.fill,
            edgecolor=look.ink,
            hatch=look.hatch or None,
            linewidth=0,
        )
    axes.set_xlim(frame.from_ms / DAY_MS, frame.to_ms / DAY_MS)
    axes.set_axis_off()
    axes.text(1.008, 0.5, "verdicts", transform=axes.transAxes, va="center", color=palette.MUTED, fontsize=_FONT_PT - 1)


def draw(axes: Axes, lines: Sequence[Line]) -> None:
    """Draw the curves, thinned; a curve of a single mark is a dot."""
    for line in reversed(lines):  # the first line lies on top
        at_ms, values = thinned(line.at_ms, line.values)
        few = len(at_ms) == 1
        axes.plot(
            days_of(at_ms),
            values,
            color=line.color,
            linewidth=1.6 if not line.dashes else 1.3,
            dashes=line.dashes or (None, None),
            marker="o" if few else "",
            markersize=4,
            solid_joinstyle="round",
        )


def draw_edges(axes: Axes, edges: Sequence[Edge]) -> None:
    """Draw the policy's thresholds as horizontal lines, dashed but for a hard stop."""
    for edge in edges:
        color, dashes = _EDGES[edge.kind]
        axes.axhline(edge.value, color=color, linewidth=1.1, dashes=dashes or (None, None), zorder=1.5)


def name_band(axes: Axes, days: FloatArray, high: FloatArray, band: str) -> None:
    """Write the name of a confidence band at its first known day."""
    known = np.flatnonzero(~np.isnan(high))
    if len(known):
        axes.text(
            days[known[0]],
            high[known[0]],
            f"{band} ",
            fontsize=_FONT_PT - 1,
            color=palette.MUTED,
            va="bottom",
            ha="left",
        )


def finish(
    axes: Axes,
    frame: Frame,
    unit: str,
    lines: Sequence[Line],
    *,
    edges: Sequence[Edge] = (),
    money: bool = False,
    tick_labels: bool = True,
) -> None:
    """Set the time axis and the unit, and name every line and edge at the right."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - keeps the command line fast
    from matplotlib.ticker import FuncFormatter, MaxNLocator  # noqa: PLC0415 - keeps the command line fast

    axes.set_xlim(frame.from_ms / DAY_MS, frame.to_ms / DAY_MS)
    locator = AutoDateLocator(minticks=4, maxticks=13)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
    axes.tick_params(labelbottom=tick_labels)
    if tick_labels or money:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    if money:
        low, high = axes.get_ylim()
        places = 0 if abs(high - low) >= _WHOLE_DOLLARS else 1
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, places)))
    axes.set_title(unit, loc="left", fontsize=_FONT_PT - 0.5, color=palette.MUTED, pad=7)
    _name_ends(axes, lines, edges)


def _name_ends(axes: Axes, lines: Sequence[Line], edges: Sequence[Edge]) -> None:
    """Write names at the right edge, pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    names: list[tuple[float, str, str, bool]] = []
    for line in lines:
        known = line.values[~np.isnan(line.values)]
        if len(known) and line.name:
            names.append(((float(known[-1]) - low) / (high - low), line.name, line.color, True))
    for edge in edges:
        share = (edge.value - low) / (high - low)
        if 0 <= share <= 1:
            names.append((share, edge.name, _EDGES[edge.kind][0], False))
    names.sort(key=lambda name: name[0])
    height_px = axes.get_window_extent().height
    gap = _LABEL_PX / height_px
    places = _apart([name[0] for name in names], gap)
    for place, (_, text, color, strong) in zip(places, names, strict=True):
        axes.text(
            1.008,
            place,
            text,
            transform=axes.transAxes,
            va="center",
            color=color,
            fontsize=_FONT_PT - 0.5,
            fontweight="bold" if strong else "normal",
        )


def _apart(shares: Sequence[float], gap: float) -> list[float]:
    """Return increasing positions at least `gap` apart, each near its share and between 0 and 1."""
    places: list[float] = []
    for share in shares:
        places.append(max(share, places[-1] + gap) if places else share)
    ceiling = 1.0
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], ceiling)
        ceiling = places[index] - gap
    return places


def days_of(at_ms: IntArray) -> FloatArray:
    """Return instants as Matplotlib counts them: days since 1970."""
    return at_ms / DAY_MS


def largest(line: Line) -> float:
    """Return the largest known value of a curve; 0 without any."""
    known = line.values[~np.isnan(line.values)]
    return float(known.max()) if len(known) else 0.0


def as_svg(figure: Figure, name: str) -> str:
    """Return the picture as an ``<svg>`` element for a page: ids of its own, the page's fonts, no addresses.

    Args:
        figure: the finished picture.
        name: prefix of every id, unique in the page.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - keeps the command line fast

    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return inline(buffer.getvalue(), name)
