"""One look for every table in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from engine.reports.tables import Table

_OUTCOME_STYLES = {"PAUSE": "bold white on dark_red", "REDUCE": "bold black on dark_orange", "SCALE_UP": "bold blue"}


def rich_table(content: Table, *, title: str = "") -> RichTable:
    """Return a table for the terminal; only the words carry meaning, colour repeats the outcomes."""
    from rich import box  # noqa: PLC0415 - keeps the command line fast
    from rich.table import Table as RichTable  # noqa: PLC0415 - keeps the command line fast
    from rich.text import Text  # noqa: PLC0415 - keeps the command line fast

    shown = RichTable(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=title or None,
        title_justify="left",
        title_style="bold",
        show_footer=bool(content.total),
    )
    totals = content.total or ("",) * len(content.columns)
    for column, total in zip(content.columns, totals, strict=True):
        shown.add_column(
            column.title,
            Text(total),
            justify="right" if column.is_figure else "left",
            no_wrap=column.is_figure or column.is_outcome or column.is_whole,
            overflow="fold",
        )
    for row in content.rows:
        cells = [
            Text(text, style=_OUTCOME_STYLES.get(text, "") if column.is_outcome else "")
            for text, column in zip(row, content.columns, strict=True)
        ]
        shown.add_row(*cells)
    return shown
