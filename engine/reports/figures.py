"""The pictures of a report, each with its caption and the table that stands behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS
from engine.metrics import sharpe_interval
from engine.reports import palette, plots
from engine.reports.conditions import sentence
from engine.reports.days import stretches
from engine.reports.lines import Edge, Frame, Line, Span
from engine.reports.numbers import comparison, count, day_text, number, percent, usd
from engine.reports.performance import drawdown_percent, period_rows
from engine.reports.ribbon import Cell, ribbon_svg
from engine.reports.tables import Table, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.ledger import Marks
    from engine.reports.days import DayVerdict
    from engine.reports.view import LedgerView
    from strategies.bars import FloatArray

SHARPE_FACT = "sharpe_20d"
_SHARPE_RETURNS = 20
DRAWDOWN_FACT = "drawdown"
WITH = "with the policy"
WITHOUT = "without it"
_DASH = (5.0, 2.0)
_EDGE_NAMES = {"green": "green", "red": "red", "stop": "hard stop"}


@dataclass(frozen=True)
class Figure:
    """A picture ready for the page.

    Attributes:
        name: unique in the page.
        title: its heading.
        caption: what to look for, and how it was drawn.
        svg: an inline element.
        table: the figures behind it.
    """

    name: str
    title: str
    caption: str
    svg: str
    table: Table


def frame_of(view: LedgerView, from_ms: int | None = None) -> Frame:
    """Return the stretch of time that a report's pictures show, at least a day, with its verdicts."""
    start_ms = max(view.from_ms, from_ms or 0)
    end_ms = max(view.now_ms, start_ms + DAY_MS)
    spans = tuple(
        Span(stretch.outcome, max(stretch.from_ms, start_ms), min(stretch.to_ms, end_ms))
        for stretch in stretches(view.days)
        if stretch.to_ms > start_ms and stretch.from_ms < end_ms
    )
    return Frame(start_ms, end_ms, spans)


def equity_figure(view: LedgerView, frame: Frame) -> Figure:
    """Return what the starting capital became in both accounts; cash flows change units, never the curve (A13)."""
    accounts = [(name, _cut(marks, frame)) for name, marks in ((WITH, view.risk), (WITHOUT, view.shadow))]
    known = [(name, marks) for name, marks in accounts if len(marks) and marks.nav[0] > 0]
    start_usd = float(known[0][1].equity_usd[0]) if known else 0.0
    lines = [
        Line(name, marks.at_ms, start_usd * marks.nav / marks.nav[0], *_account_look(name)) for name, marks in known
    ]
    flows = [flow for flow in view.flows if flow.at_ms >= frame.from_ms]
    left_out = f" {count(len(flows), 'cash flow is', 'cash flows are')} left out of the curve." if flows else ""
    return Figure(
        "equity",
        f"What {usd(start_usd, 0)} became",
        "In US dollars, with the result of open positions, fees, slippage and funding. The dashed line is the shadow "
        f"account: the same strategies at full exposure, under no policy. The strip shows the verdicts.{left_out}",
        plots.equity_plot(frame, lines),
        _equity_table(lines, accounts[0][1]),
    )


def drawdown_figure(view: LedgerView, frame: Frame) -> Figure:
    """Return both drawdowns against the policy's band edges and hard stop."""
    epochs = [event.at_ms for event in view.of_kind("restart")]
    risk, shadow = view.risk, view.shadow
    lines: list[Line] = []
    rows: list[tuple[str, ...]] = []
    for name, marks, since in ((WITH, risk, epochs), (WITHOUT, shadow, [])):
        if len(marks):
            values = drawdown_percent(marks.at_ms, marks.nav, since)
            keep = marks.at_ms >= frame.from_ms
            lines.append(Line(name, marks.at_ms[keep], values[keep], *_account_look(name)))
    if lines:
        for month, first, last in period_rows(lines[0].at_ms):
            cells = [month]
            for line in lines:
                inside = (line.at_ms >= lines[0].at_ms[first]) & (line.at_ms <= lines[0].at_ms[last])
                values = line.values[inside]
                cells += [percent(float(values.max())), percent(float(values[-1]))] if len(values) else ["", ""]
            rows.append(tuple(cells + [""] * (5 - len(cells))))
    again = f" The peak begins anew at each of {count(len(epochs), 'signed restart')}." if epochs else ""
    return Figure(
        "drawdown",
        "Drawdown",
        "Distance below the highest NAV per unit since the epoch, in percent, against the policy's edges as its file "
        f"has them.{again}",
        plots.drawdown_plot(frame, lines, _edges(view, DRAWDOWN_FACT)),
        table("until | #deepest, with | #at the end, with | #deepest, without | #at the end, without", rows),
    )


def sharpe_figure(view: LedgerView, frame: Frame) -> Figure:
    """Return the rolling Sharpe ratio as the verdicts saw it, with its 95 % interval (Lo 2002)."""
    days = [day for day in view.facts if day.at_ms >= frame.from_ms]
    at_ms = np.array([day.at_ms for day in days], dtype=np.int64)
    found = [day.number(SHARPE_FACT) for day in days]
    values = _with_gaps(found)
    intervals = [None if value is None else sharpe_interval(value, _SHARPE_RETURNS) for value in found]
    low = _with_gaps([None if interval is None else interval[0] for interval in intervals])
    high = _with_gaps([None if interval is None else interval[1] for interval in intervals])
    rows = []
    for month, first, last in period_rows(at_ms):
        known = values[first : last + 1]
        known = known[~np.isnan(known)]
        cells = [
            number(float(part[last]), 2) if not np.isnan(part[last]) else "unknown" for part in (values, low, high)
        ]
        lowest, highest = (number(float(pick(known)), 2) if len(known) else "unknown" for pick in (np.min, np.max))
        rows.append((month, *cells, lowest, highest))
    return Figure(
        "sharpe",
        "Rolling Sharpe ratio",
        f"Of the last {_SHARPE_RETURNS} daily returns, annualised by √365, with its 95 % interval (Lo 2002). "
        "The interval is wide because twenty days say little: read the level with it.",
        plots.sharpe_plot(
            frame,
            Line("20-day Sharpe", at_ms, values),
            low,
            high,
            _edges(view, SHARPE_FACT),
            "95 % interval",
        ),
        table("until | #at the end | #interval from | #to | #lowest | #highest", rows),
    )


def bounds_figure(view: LedgerView, frame: Frame) -> Figure:
    """Return exposure and cap as steps, and what was really invested."""
    risk = _cut(view.risk, frame)
    exposure = Line("exposure", risk.at_ms, risk.exposure)
    cap = Line("cap", risk.at_ms, risk.cap_usd, palette.INK)
    gross = Line("invested", risk.at_ms, risk.gross_usd)
    turns = _turns(risk)
    rows = [
        (day_text(int(risk.at_ms[row])), number(float(risk.exposure[row]), 2), usd(float(risk.cap_usd[row]), 0))
        for row in turns
    ]
    return Figure(
        "bounds",
        "Exposure and cap",
        "What the verdicts allowed: the multiplier of every target, and the most that may be at risk. The area is what "
        "was invested, gross.",
        plots.bounds_plot(frame, exposure, cap, gross),
        table("since | #exposure | #cap", rows),
    )


def sleeves_figure(view: LedgerView, frame: Frame) -> Figure:
    """Return each sleeve's cumulative result."""
    lines: list[Line] = []
    for index, (symbol, marks) in enumerate(view.sleeves.items()):
        keep = marks.at_ms >= frame.from_ms
        values = marks.pnl_usd[keep]
        look = index % len(palette.SERIES)
        lines.append(
            Line(
                symbol,
                marks.at_ms[keep],
                values - (values[0] if len(values) else 0.0),
                palette.SERIES[look],
                palette.DASHES[look],
            )
        )
    return Figure(
        "sleeves",
        "Sleeves, cumulative",
        "Price result, fees, slippage and funding of each sleeve together, since the start of the picture.",
        plots.curves_plot(frame, lines, "USD", "sleeves"),
        _curve_table(lines),
    )


def funding_figure(view: LedgerView, frame: Frame) -> Figure:
    """Return the funding received and paid by each symbol, cumulative."""
    lines: list[Line] = []
    symbols = dict.fromkeys(payment.symbol for payment in view.funding)
    for index, symbol in enumerate(symbols):
        payments = [each for each in view.funding if each.symbol == symbol and each.at_ms >= frame.from_ms]
        at_ms = np.array([frame.from_ms, *(payment.at_ms for payment in payments)], dtype=np.int64)
        values = np.cumsum([0.0, *(payment.amount_usd for payment in payments)])
        look = index % len(palette.SERIES)
        lines.append(Line(symbol, at_ms, values, palette.SERIES[look], palette.DASHES[look]))
    return Figure(
        "funding",
        "Funding, cumulative",
        "Below zero is paid, above is received; at the venue's settlements, on the position held before the order of "
        "that instant.",
        plots.curves_plot(frame, lines, "USD", "funding"),
        _curve_table(lines),
    )


def ribbon_figure(days: Sequence[DayVerdict]) -> Figure:
    """Return the calendar of verdicts."""
    cells = [Cell(day.day_ms, day.outcome, sentence(day.verdict)) for day in days]
    rows = []
    for day in days:
        verdict = day.verdict
        equity = "unknown" if verdict.equity_usd is None else usd(verdict.equity_usd, 0)
        rows.append((day_text(day.day_ms), day.outcome, equity, count(len(verdict.unknown), "fact"), sentence(verdict)))
    return Figure(
        "ribbon",
        "Verdict of every day",
        "One cell a day; point at a cell to read why. Letters and hatching repeat what the colours say.",
        ribbon_svg(cells),
        table("day | !verdict | #equity | #unknown | why", rows),
    )


def _edges(view: LedgerView, fact: str) -> list[Edge]:
    return [
        Edge(f"{_EDGE_NAMES[limit.kind]} {comparison(limit.text)}", limit.value, limit.kind)
        for limit in view.policy.limits.get(fact, ())
    ]


def _account_look(name: str) -> tuple[str, tuple[float, ...]]:
    return (palette.WITH_POLICY, ()) if name == WITH else (palette.WITHOUT_POLICY, _DASH)


def _equity_table(lines: Sequence[Line], risk: Marks) -> Table:
    """Return what each curve is worth at the end of every period, its return, and the equity with all cash flows."""
    if not lines:
        return table("until", [])
    rows = []
    before = [float(line.values[0]) for line in lines]
    for period, _, last in period_rows(lines[0].at_ms):
        cells: list[str] = []
        for index, line in enumerate(lines):
            row = int(np.searchsorted(line.at_ms, lines[0].at_ms[last], side="right")) - 1
            value = float(line.values[max(row, 0)])
            cells += [usd(value, 0), _growth(before[index], value)]
            before[index] = value
        rows.append((period, *cells, usd(float(risk.equity_usd[last]), 0)))
    heads = " | ".join(f"#{line.name} | #return" for line in lines)
    return table(f"until | {heads} | #equity with flows", rows)


def _growth(start: float, end: float) -> str:
    if start <= 0:
        return "unknown"
    return percent((end / start - 1) * 100, signed=True)


def _curve_table(lines: list[Line]) -> Table:
    if not lines:
        return table("until", [])
    rows = []
    for month, _, last in period_rows(max((line.at_ms for line in lines), key=len)):
        until = max((line.at_ms for line in lines), key=len)[last]
        cells = []
        for line in lines:
            row = int(np.searchsorted(line.at_ms, until, side="right")) - 1
            cells.append(usd(float(line.values[row]), signed=True) if row >= 0 else "unknown")
        rows.append((month, *cells))
    return table("until | " + " | ".join(f"#{line.name}" for line in lines), rows)


def _turns(risk: Marks) -> list[int]:
    """Return the rows at which exposure or cap differ from the row before, the first row always."""
    if len(risk) == 0:
        return []
    differs = (np.diff(risk.exposure) != 0) | (np.diff(risk.cap_usd) != 0)
    return [0, *(np.flatnonzero(differs) + 1).tolist()]


def _cut(marks: Marks, frame: Frame) -> Marks:
    keep = marks.at_ms >= frame.from_ms
    return type(marks)(**{name: values[keep] for name, values in vars(marks).items()})


def _with_gaps(values: list[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
