"""What every command shares: options, and printing a value as text, table or JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

RULES = Path("config/prod_scale_rules_R1.yaml")
LEDGER = Path("reports/futures/live/trading.db")

RulesOption = Annotated[Path, typer.Option("--rules", help="The bundle of policies.")]
LedgerOption = Annotated[Path, typer.Option("--ledger", envvar="STAGEGATE_LEDGER", help="The ledger to read.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def show(renderable: Any) -> None:
    """Print a table or a text: coloured in a terminal, plain through a pipe."""
    if isinstance(renderable, str):
        print(renderable)
        return
    from rich.console import Console

    Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(renderable)


def output(value: Any, render: Callable[[Any], Any], as_json: bool) -> None:
    """Print a value: one JSON document, or as people read it."""
    if as_json:
        from engine.reports.plain import plain

        print(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))
        return
    show(render(value))
