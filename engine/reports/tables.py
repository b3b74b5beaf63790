"""Tables as values: made once, shown in HTML, Markdown and the terminal alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARKDOWN = str.maketrans({mark: f"\\{mark}" for mark in "\\|[]*`"} | {"<": "&lt;", "\n": " ", "\r": " "})


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        title: its heading.
        is_figure: aligned right, never broken.
        is_outcome: its cells are outcomes.
        is_whole: its cells are copied as they are, such as ids: never broken.
    """

    title: str
    is_figure: bool = False
    is_outcome: bool = False
    is_whole: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts that are ready to be read.

    Attributes:
        columns: at least one.
        rows: as many cells as columns, each.
        total: a last row that sums up; empty for none.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...] = ()


def table(columns: str, rows: Sequence[Sequence[str]], total: Sequence[str] = ()) -> Table:
    """Return a table from a short form of its headings.

    Args:
        columns: headings between ``|``; before one, ``#`` means figures, ``!`` an outcome, ``=`` never broken.
        rows: the cells.
        total: the last row, or nothing.

    >>> [column.title for column in table("day | #equity", [["Monday", "$1"]]).columns]
    ['day', 'equity']
    """
    heads = [head.strip() for head in columns.split("|")]
    return Table(
        tuple(Column(head.lstrip("#!="), *(head.startswith(mark) for mark in "#!=")) for head in heads),
        tuple(tuple(row) for row in rows),
        tuple(total),
    )


def markdown(text: str) -> str:
    r"""Return a text that Markdown shows as it is: no HTML, no link, no broken table.

    >>> print(markdown("<b> | [x](y)"))
    &lt;b> \| \[x\](y)
    """
    return text.translate(_MARKDOWN)


def markdown_table(content: Table) -> str:
    """Return a table in Markdown, figures aligned right."""
    heads = " | ".join(markdown(column.title) for column in content.columns)
    rules = " | ".join("---:" if column.is_figure else "---" for column in content.columns)
    rows = [*content.rows, *([content.total] if content.total else [])]
    lines = [" | ".join(markdown(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in (heads, rules, *lines))
