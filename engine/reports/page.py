"""Templates: HTML with everything escaped, Markdown, and nothing fetched from anywhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.reports import palette
from engine.reports.numbers import short_hash
from engine.reports.palette import outcome_look
from engine.reports.ribbon import legend_svg
from engine.reports.tables import markdown, markdown_table

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, **values: Any) -> str:
    """Return a document from a template.

    In a page (``.html.j2``) every value is escaped but our own pictures; a Markdown template passes foreign texts
    through its `md` filter.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import (  # noqa: PLC0415 - keeps the command line fast
        Environment,
        FileSystemLoader,
        StrictUndefined,
        select_autoescape,
    )
    from markupsafe import Markup  # noqa: PLC0415 - keeps the command line fast

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        svg=Markup,  # our own pictures, whose texts are escaped where they are drawn
        md=markdown,
        md_table=markdown_table,
        hash=short_hash,
    )
    environment.globals.update(look=outcome_look, legend=legend_svg, palette=palette)
    return environment
