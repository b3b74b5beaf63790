"""The daily report (SOP §3): Markdown, HTML with plots and JSON, archived by date and never overwritten."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.clock import DAY_MS
from engine.ledger import Ledger
from engine.reports import money, sections
from engine.reports.archive import DAILY, Archived, archive
from engine.reports.content import Report, report_of
from engine.reports.daily_json import daily_json
from engine.reports.days import day_of
from engine.reports.figures import bounds_figure, drawdown_figure, equity_figure, frame_of, sharpe_figure
from engine.reports.liveness import liveness_section
from engine.reports.numbers import count, day_text, number, percent, usd
from engine.reports.page import render
from engine.reports.section import Section
from engine.reports.tables import Table, table
from engine.reports.view import read_view
from engine.reports.yesterday import as_of_text, changes_table, events_table

if TYPE_CHECKING:
    from pathlib import Path

    from engine.reports.liveness import SignOfLife
    from engine.reports.view import LedgerView

PICTURE_DAYS = 60
WINDOW_DAYS = 30
_COST_DAYS = (1, 7, 30)


def write_daily_report(
    ledger_path: Path, report_dir: Path, *, at_ms: int | None = None, sign: SignOfLife | None = None
) -> Archived:
    """Write the daily report into ``<report_dir>/prod_reports/daily/``, named by the UTC day it is about.

    Args:
        ledger_path: the ledger.
        report_dir: `output.report_dir` of the configuration.
        at_ms: the instant to report; None is the last mark, which on a rehearsal's ledger is "now". Midnight closes the
            day before.
        sign: the runner's sign of life, of whoever can read it; None: nobody looked.

    Returns:
        The files (``.md``, ``.html``, ``.json``); a second, different report of a day gets a number, an identical one
        is not written again.

    Raises:
        LedgerError: the ledger is missing or cannot be read.
        ReportError: the report cannot be written.
    """
    with Ledger.open(ledger_path, read_only=True) as ledger:
        view = read_view(ledger, at_ms, days=PICTURE_DAYS + 1)
    return archive(report_dir / DAILY, day_text(day_of(view.now_ms)), daily_documents(view, sign))


def daily_documents(view: LedgerView, sign: SignOfLife | None = None) -> dict[str, str]:
    """Return suffix -> text of the daily report; the same ledger gives the same bytes."""
    report = daily_content(view, sign)
    return {
        ".md": render("daily.md.j2", report=report),
        ".html": render("report.html.j2", report=report),
        ".json": daily_json(view, sign),
    }


def daily_content(view: LedgerView, sign: SignOfLife | None = None) -> Report:
    """Return everything that the daily report shows."""
    frame = frame_of(view, view.now_ms - PICTURE_DAYS * DAY_MS)
    month_ms = max(view.from_ms, view.now_ms - WINDOW_DAYS * DAY_MS)
    drawn = (equity_figure, drawdown_figure, sharpe_figure, bounds_figure) if len(view.risk) else ()
    changed, events = changes_table(view), events_table(view)
    nothing = () if changed.rows or events.rows else ("Nothing has changed.",)
    parts = (
        Section("changes", "Since yesterday", nothing, tuple(each for each in (changed, events) if each.rows)),
        liveness_section(view, sign),
        sections.bands_section(view),
        Section("positions", "Positions", (), (positions_table(view),)),
        money.sleeves_section(view, frame),
        Section("costs", "Costs", (), (costs_table(view),)),
        _over_the_month(money.execution_section(view, month_ms), view, month_ms),
        _over_the_month(money.funding_section(view, frame, month_ms), view, month_ms),
        _over_the_month(sections.unknown_section(view, month_ms), view, month_ms),
        Section("pictures", f"The last {PICTURE_DAYS} days", figures=tuple(draw(view, frame) for draw in drawn)),
        sections.verdicts_section(view, frame.from_ms),
    )
    shown = tuple(day for day in view.days if day.day_ms >= frame.from_ms)
    return report_of(view, "daily report", as_of_text(view), parts, shown)


def positions_table(view: LedgerView) -> Table:
    """Return what is held, what the strategy wants, and the share of the risk equity that it is."""
    equity = float(view.risk.equity_usd[-1]) if len(view.risk) else 0.0
    rows = []
    gross = 0.0
    for symbol, marks in view.sleeves.items():
        qty, price, position = float(marks.qty[-1]), float(marks.mark_price[-1]), float(marks.position[-1])
        gross += abs(qty * price)
        rows.append(
            (
                symbol,
                "flat" if qty == 0 else "long" if qty > 0 else "short",
                number(abs(qty), 4),
                usd(price),
                usd(abs(qty * price), 0),
                percent(abs(qty * price) / equity * 100) if equity > 0 else "unknown",
                "no signal" if math.isnan(position) else number(position, 2, signed=True),
            )
        )
    total = ("gross", "", "", "", usd(gross, 0), percent(gross / equity * 100) if equity > 0 else "unknown", "")
    return table("symbol | side | #quantity | #mark | #notional | #of equity | #signal", rows, total if rows else ())


def costs_table(view: LedgerView) -> Table:
    """Return what trading and holding cost over a day, a week and a month, beside what the configuration assumes."""
    columns = []
    for days in _COST_DAYS:
        start_ms = view.now_ms - days * DAY_MS
        fills = [fill for fill in view.fills if fill.at_ms >= start_ms]
        paid = [payment.amount_usd for payment in view.funding if payment.at_ms >= start_ms]
        turnover = math.fsum(fill.qty * fill.price for fill in fills)
        fees = math.fsum(fill.fee_usd for fill in fills)
        slipped = math.fsum(fill.side * fill.qty * (fill.price - fill.ref_price) for fill in fills)
        funding = -math.fsum(paid)
        assumed_bps = sum(view.config.assumed_bps.values())
        columns.append(
            (
                usd(turnover, 0),
                usd(fees),
                usd(slipped),
                usd(funding),
                usd(fees + slipped + funding),
                usd(turnover * assumed_bps / 1e4) if view.config.assumed_bps else "unknown",
            )
        )
    names = ("turnover", "fees", "slippage", "funding paid, net", "all costs", "fees and slippage as assumed")
    rows = [(name, *cells) for name, *cells in zip(names, *columns, strict=True)]
    return table("cost | " + " | ".join(f"#last {count(days, 'day')}" for days in _COST_DAYS), rows)


def _over_the_month(section: Section, view: LedgerView, month_ms: int) -> Section:
    note = f"From {day_text(month_ms)} to {day_text(view.now_ms - 1)}." if view.now_ms else ""
    texts = (note, *section.texts) if note else section.texts
    return Section(section.name, section.title, texts, section.tables, section.figures, section.later, section.hidden)
