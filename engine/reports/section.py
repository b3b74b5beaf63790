"""One part of a report: a heading, a few sentences, tables and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.reports.figures import Figure
    from engine.reports.tables import Table


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        name: unique in the page.
        title: its heading.
        texts: paragraphs under it.
        tables: shown.
        figures: shown below the tables.
        later: tables shown below the figures.
        hidden: tables behind a line to click, as (line, table).
    """

    name: str
    title: str
    texts: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    later: tuple[Table, ...] = ()
    hidden: tuple[tuple[str, Table], ...] = ()
