"""Prices and funding in the terminal: what was imported or downloaded, and what is odd about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.reports.numbers import count, minute_text
from engine.reports.tables import table
from engine.reports.terminal_tables import rich_table

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table as RichTable

    from engine.market.download import DownloadSummary
    from engine.market.imports import ImportSummary
    from engine.market.quality import QualityReport

_SHOWN = 40  # findings; the rest is in the JSON


def import_table(summary: ImportSummary) -> RichTable:
    """Return what every file brought, and all of them together."""
    rows = [
        (
            file.name,
            file.symbol,
            file.kind,
            f"{file.rows:,}",
            f"{file.inserted:,}",
            f"{file.updated:,}",
            f"{file.unchanged:,}",
            f"{file.duplicates:,}",
        )
        for file in summary.files
    ]
    sums = [
        f"{sum(getattr(file, name) for file in summary.files):,}"
        for name in ("rows", "inserted", "updated", "unchanged", "duplicates")
    ]
    return rich_table(
        table("file | symbol | series | #rows | #new | #changed | #as before | #repeated", rows, ("all", "", "", *sums))
    )


def download_table(summary: DownloadSummary) -> RichTable:
    """Return what a download brought of every series."""
    rows = [(each.symbol, each.kind, f"{each.inserted:,}", f"{each.updated:,}") for each in summary.series]
    sums = [f"{sum(getattr(each, name) for each in summary.series):,}" for name in ("inserted", "updated")]
    until = f"Bars closed by {minute_text(summary.closed_until_ms)}"
    return rich_table(table("symbol | series | #new | #changed", rows, ("all", "", *sums)), title=until)


def quality_table(report: QualityReport) -> Group:
    """Return what there is of every series, and the oddities found, by symbol, series and time."""
    from rich.console import Group  # noqa: PLC0415 - keeps the command line fast
    from rich.text import Text  # noqa: PLC0415 - the same

    series = [
        (
            each.symbol,
            each.series,
            f"{each.rows:,}",
            each.first,
            each.last,
            ", ".join(f"{many:,} {kind}" for kind, many in sorted(each.findings.items())) or "nothing odd",
        )
        for each in report.summaries
    ]
    found = [
        (each.symbol, each.series, each.kind, each.at or "", f"{each.count:,}", each.detail)
        for each in report.findings[:_SHOWN]
    ]
    parts: list[RichTable | str] = [rich_table(table("symbol | series | #rows | first | last | found", series))]
    if found:
        parts.append(rich_table(table("symbol | series | what | from | #rows | in words", found)))
    hidden = len(report.findings) - len(found)
    if hidden > 0:
        parts.append(f"and {count(hidden, 'more finding')}: `--json` lists them all")
    return Group(*(Text(part) if isinstance(part, str) else part for part in parts))
