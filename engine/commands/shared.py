"""What every command shares: options, and printing a value as text, table or JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import Problem, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = Path("config/prod_candidate_R1.yaml")
MARKET = Path("state/market.db")
RULES = Path("config/prod_scale_rules_R1.yaml")
LEDGER = Path("reports/futures/live/trading.db")

RulesOption = Annotated[Path, typer.Option("--rules", help="The bundle of policies.")]
LedgerOption = Annotated[Path, typer.Option("--ledger", envvar="STAGEGATE_LEDGER", help="The ledger to read.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

ConfigOption = Annotated[Path, typer.Option("-c", "--config", help="The frozen configuration.")]
DbOption = Annotated[Path, typer.Option("--db", help="The market store.")]
DataOption = Annotated[Path, typer.Option("--data", help="A folder of CSV files, or a market store.")]
KlinesOption = Annotated[str, typer.Option("--klines", help="The folder of --data that holds the prices.")]
FromOption = Annotated[str | None, typer.Option("--from", help="Start, a UTC date or time.")]
ToOption = Annotated[str | None, typer.Option("--to", help="End, a UTC date or time (exclusive).")]
SymbolsOption = Annotated[
    list[str] | None, typer.Option("--symbols", help="Symbols; all of the configuration if absent.")
]


def moment(text: str | None, option: str) -> int | None:
    """Return a date or time of the command line in ms UTC; None where there is none.

    Raises:
        UsageError: it is no date and no time.
    """
    from engine.clock import parse_time

    try:
        return None if text is None else parse_time(text)
    except ValueError:
        problem = f"`{text}` is no date or time"
        raise UsageError(Problem("time", option, problem, "write 2022-03-01 or 2022-03-01T14:00:00Z")) from None


def agreed(question: str) -> bool:
    """Ask on the terminal whether to go on.

    Raises:
        UsageError: nobody answers: there is no terminal, or Ctrl-C was pressed.
    """
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        problem = "nobody confirmed it: nothing was done"
        raise UsageError(Problem("not-confirmed", "--yes", problem, "add `--yes` where nobody can be asked")) from None


def require_agreed(question: str) -> None:
    """Ask on the terminal whether to go on, and end where not.

    Raises:
        UsageError: declined, or nobody answers.
    """
    if not agreed(question):
        raise UsageError(Problem("declined", question, "not confirmed", "nothing was done"))


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
