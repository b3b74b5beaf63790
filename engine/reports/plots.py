"""Matplotlib pictures as inline SVG: the same numbers give the same bytes, and no picture refers to the outside.

Pictures carry no headings of their own; the page does. Every axis names its unit, lines are named where they end, and
what differs by colour differs by dashes or hatching too. Matplotlib is imported when the first picture is drawn.
"""

from __future__ import annotations

import io
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import DAY_MS
from engine.reports import palette
from engine.reports.numbers import number
from engine.reports.palette import outcome_look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
}
_WHOLE_DAYS = 60  # below it every mark is drawn
_LABEL_PX = 17  # least distance of two names at the right edge, at Matplotlib's 100 dots an inch
_HEADROOM = 0.06
_WHOLE_DOLLARS = 20  # a narrower axis shows tenths


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: what stands at its end.
        at_ms: int64 (n,), increasing.
        values: float64 (n,), in the axis' unit; NaN leaves a gap.
        color: a colour of the palette.
        dashes: Matplotlib's dash pattern; empty is a full line.
    """

    name: str
    at_ms: IntArray
    values: FloatArray
    color: str = palette.WITH_POLICY
    dashes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Edge:
    """A threshold of the policy, in the axis' unit; `kind` is green, red or stop."""

    name: str
    value: float
    kind: str


@dataclass(frozen=True)
class Span:
    """Days in a row with the same outcome."""

    outcome: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True)
class Frame:
    """What all pictures of one report share: the stretch of time, and the verdicts drawn as a strip below it."""

    from_ms: int
    to_ms: int
    spans: tuple[Span, ...] = field(default=())


_EDGES = {
    "green": (palette.GREEN_EDGE, (4.0, 2.0)),
    "red": (palette.RED_EDGE, (7.0, 2.0)),
    "stop": (palette.HARD_STOP, ()),
}


def thinned(at_ms: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return each day's first, lowest, highest and last mark where there are more than `_WHOLE_DAYS` days.

    Args:
        at_ms: int64 (n,), increasing.
        values: float64 (n,); NaN only in series of one value a day, which are never thinned.

    Returns:
        The kept rows in time order; a curve drawn from them has the same extremes as the whole one.
    """
    if len(at_ms) == 0 or at_ms[-1] - at_ms[0] <= _WHOLE_DAYS * DAY_MS or np.isnan(values).any():
        return at_ms, values
    starts = np.flatnonzero(np.diff(at_ms // DAY_MS, prepend=-1))
    keep = {0, len(at_ms) - 1}
    for start, stop in zip(starts, [*starts[1:], len(at_ms)], strict=True):
        day = values[start:stop]
        keep |= {int(start), int(start + day.argmin()), int(start + day.argmax()), int(stop - 1)}
    rows = np.array(sorted(keep))
    return at_ms[rows], values[rows]


def equity_plot(frame: Frame, lines: Sequence[Line]) -> str:
    """Return the equity of one or two accounts in USD, with the verdicts below."""
    with _style():
        figure, axes = _figure(frame, 3.5)
        _draw(axes, lines)
        _finish(axes, frame, "USD", lines, money=True)
        return _svg(figure, "equity")


def drawdown_plot(frame: Frame, lines: Sequence[Line], edges: Sequence[Edge]) -> str:
    """Return drawdowns in percent below the peak, growing downwards, with the policy's edges."""
    with _style():
        figure, axes = _figure(frame, 3.0)
        _draw(axes, lines)
        if lines:
            at_ms, values = thinned(lines[0].at_ms, lines[0].values)
            axes.fill_between(_days(at_ms), values, 0, color=lines[0].color, alpha=0.10, linewidth=0)
        _draw_edges(axes, edges)
        deepest = max([*(edge.value for edge in edges), *(_largest(line) for line in lines), 1.0])
        axes.set_ylim(deepest * (1 + _HEADROOM), 0)
        _finish(axes, frame, "% below the peak", lines, edges=edges)
        return _svg(figure, "drawdown")


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
    with _style():
        figure, axes = _figure(frame, 3.0)
        days = _days(line.at_ms)
        if len(days):
            axes.fill_between(days, low, high, color=line.color, alpha=0.12, linewidth=0)
            _name_band(axes, days, high, band)
        _draw(axes, [line])
        _draw_edges(axes, edges)
        _finish(axes, frame, "ratio, annualised", [line], edges=edges)
        return _svg(figure, "sharpe")


def bounds_plot(frame: Frame, exposure: Line, cap: Line, gross: Line | None) -> str:
    """Return the exposure multiplier above and the cap (with what was really invested) below, as steps."""
    with _style():
        figure, upper, lower = _two_axes()
        upper.plot(_days(exposure.at_ms), exposure.values, color=exposure.color, drawstyle="steps-post", linewidth=1.6)
        upper.fill_between(
            _days(exposure.at_ms), exposure.values, 0, step="post", color=exposure.color, alpha=0.10, linewidth=0
        )
        upper.set_ylim(0, 1.12)
        upper.set_yticks([0, 0.5, 1])
        _finish(upper, frame, "exposure multiplier", [exposure], tick_labels=False)
        if gross is not None:
            at_ms, values = thinned(gross.at_ms, gross.values)
            lower.fill_between(_days(at_ms), values, 0, color=gross.color, alpha=0.25, linewidth=0)
        lower.plot(_days(cap.at_ms), cap.values, color=cap.color, drawstyle="steps-post", linewidth=1.6)
        lower.set_ylim(0, max([_largest(cap), *([_largest(gross)] if gross else []), 1.0]) * 1.12)
        _finish(lower, frame, "USD", [cap, *([gross] if gross else [])], money=True)
        return _svg(figure, "bounds")


def curves_plot(frame: Frame, lines: Sequence[Line], unit: str, name: str) -> str:
    """Return curves around zero, such as the sleeves' contributions; `name` keeps the picture's ids apart."""
    with _style():
        figure, axes = _figure(frame, 2.8)
        axes.axhline(0, color=palette.FAINT, linewidth=0.9)
        _draw(axes, lines)
        _finish(axes, frame, unit, lines, money=unit == "USD")
        return _svg(figure, name)


def _style() -> Any:
    import matplotlib as mpl  # noqa: PLC0415 - keeps the command line fast

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # its font cache is no news to a reader of reports
    mpl.use("svg")
    return mpl.rc_context(_RC)


def _figure(frame: Frame, height_in: float) -> tuple[Figure, Axes]:
    """Return a figure with one plot, and below it a strip of the verdicts where there are any."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - keeps the command line fast

    figure = Figure(figsize=(_WIDTH_IN, height_in))
    bottom = 0.62 if frame.spans else 0.34
    axes = figure.add_axes((0.066, bottom / height_in, 0.774, 1 - (bottom + 0.3) / height_in))
    if frame.spans:
        strip = figure.add_axes((0.066, 0.12 / height_in, 0.774, 0.16 / height_in))
        _draw_strip(strip, frame)
    return figure, axes


def _two_axes() -> tuple[Figure, Axes, Axes]:
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


def _draw(axes: Axes, lines: Sequence[Line]) -> None:
    for line in reversed(lines):  # the first line lies on top
        at_ms, values = thinned(line.at_ms, line.values)
        few = len(at_ms) == 1
        axes.plot(
            _days(at_ms),
            values,
            color=line.color,
            linewidth=1.6 if not line.dashes else 1.3,
            dashes=line.dashes or (None, None),
            marker="o" if few else "",
            markersize=4,
            solid_joinstyle="round",
        )


def _draw_edges(axes: Axes, edges: Sequence[Edge]) -> None:
    for edge in edges:
        color, dashes = _EDGES[edge.kind]
        axes.axhline(edge.value, color=color, linewidth=1.1, dashes=dashes or (None, None), zorder=1.5)


def _name_band(axes: Axes, days: FloatArray, high: FloatArray, band: str) -> None:
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


def _finish(
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
        if len(known):
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


def _days(at_ms: IntArray) -> FloatArray:
    return at_ms / DAY_MS


def _largest(line: Line) -> float:
    known = line.values[~np.isnan(line.values)]
    return float(known.max()) if len(known) else 0.0


_CUT = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_NAMESPACES = re.compile(r'\s+xmlns(:xlink)?="[^"]*"')
_FONT = re.compile(r"font-family: [^;\"]+; ?")
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
_GROUP = re.compile(r'<g id="[^"]*"')  # Matplotlib names its groups, nobody refers to them
_COORDINATE = re.compile(r"-?\d+\.\d{3,}")


def _svg(figure: Figure, name: str) -> str:
    """Return the picture as an ``<svg>`` element for a page: ids of its own, the page's fonts, no addresses.

    Args:
        figure: the finished picture.
        name: prefix of every id, unique in the page.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - keeps the command line fast

    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return inline(buffer.getvalue(), name)


def inline(document: str, name: str) -> str:
    """Return a stand-alone SVG document as an element of a page; `name` becomes the prefix of every id."""
    text = _NAMESPACES.sub("", _CUT.sub("", document))
    text = re.sub(r'\bid="', f'id="{name}-', _GROUP.sub("<g", text))
    text = text.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    text = _FONT.sub("", _STYLE.sub("", text))
    text = _COORDINATE.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), text)
    text = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg class="plot" viewBox="\1" role="img">', text, count=1)
    return re.sub(r"\n\s*", "\n", text).strip()
