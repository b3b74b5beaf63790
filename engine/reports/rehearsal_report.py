"""The report of a rehearsal: one HTML file that opens offline, prints well, and can be made again from its ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.ledger import Ledger
from engine.reports import money, sections
from engine.reports.archive import write_report
from engine.reports.content import Report, report_of
from engine.reports.figures import frame_of
from engine.reports.page import render
from engine.reports.view import read_view

if TYPE_CHECKING:
    from pathlib import Path

    from engine.reports.view import LedgerView

FILE_NAME = "rehearsal.html"


def write_rehearsal_report(ledger_path: Path, out_dir: Path, *, name: str = FILE_NAME) -> Path:
    """Write the report of a whole ledger.

    Args:
        ledger_path: a ledger, with or without verdicts.
        out_dir: made where it is missing.
        name: of the file; what an earlier run left under it is replaced.

    Returns:
        The file's path.

    Raises:
        LedgerError: the ledger is missing or cannot be read.
        ReportError: the report cannot be written.
    """
    with Ledger.open(ledger_path, read_only=True) as ledger:
        view = read_view(ledger)
    return write_report(out_dir / name, rehearsal_html(view))


def rehearsal_html(view: LedgerView) -> str:
    """Return the page; the same ledger gives the same bytes."""
    return render("report.html.j2", report=rehearsal_content(view))


def rehearsal_content(view: LedgerView) -> Report:
    """Return everything that the page shows."""
    frame = frame_of(view)
    parts = (
        sections.effect_section(view, frame),
        sections.sharpe_section(view, frame),
        sections.bounds_section(view, frame),
        sections.verdicts_section(view),
        sections.bands_section(view),
        money.sleeves_section(view, frame),
        money.execution_section(view),
        money.funding_section(view, frame),
        sections.unknown_section(view),
    )
    return report_of(view, view.meta.get("kind", "rehearsal"), sections.effect_sentence(view), parts)
