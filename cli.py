"""The only door for people: every command parses, calls one function, prints text or ``--json``, and exits.

Modules are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from engine.errors import Problem, StagegateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

CONFIG = Path("config/prod_candidate_R1.yaml")
RULES = Path("config/prod_scale_rules_R1.yaml")
MARKET = Path("state/market.db")
LEDGER = Path("reports/futures/live/trading.db")

app = typer.Typer(
    name="stagegate",
    help="Policies as code for a live crypto strategy: metrics, facts, verdicts, and the orders they bound.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Prices and funding: import, download, check.", no_args_is_help=True, rich_markup_mode=None)
verdict_app = typer.Typer(help="The verdict, why, and its history.", rich_markup_mode=None)
app.add_typer(data_app, name="data")
app.add_typer(verdict_app, name="verdict")

ConfigOption = Annotated[Path, typer.Option("-c", "--config", help="The frozen configuration.")]
RulesOption = Annotated[Path, typer.Option("--rules", help="The bundle of policies.")]
DbOption = Annotated[Path, typer.Option("--db", help="The market store.")]
DataOption = Annotated[Path, typer.Option("--data", help="A folder of CSV files, or a market store.")]
KlinesOption = Annotated[str, typer.Option("--klines", help="The folder of --data that holds the prices.")]
LedgerOption = Annotated[Path, typer.Option("--ledger", envvar="STAGEGATE_LEDGER", help="The ledger to read.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
FromOption = Annotated[str | None, typer.Option("--from", help="Start, a UTC date or time.")]
ToOption = Annotated[str | None, typer.Option("--to", help="End, a UTC date or time (exclusive).")]
SymbolsOption = Annotated[list[str] | None, typer.Option("--symbols", help="Symbols; all of the configuration if absent.")]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; every error becomes one clear message and an exit code."""
    arguments = spread(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    try:
        app([argument for argument in arguments if argument != "--debug"], prog_name="stagegate")
    except StagegateError as error:
        _fail(str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        _fail("interrupted: what was committed is safe, run the command again to carry on", 1, debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the last door: no traceback reaches a user
        problem = Problem("internal", "", f"{type(error).__name__}: {error}", "run it again with --debug and report it")
        _fail(str(problem), 1, debug)
    sys.exit(0)


def _fail(message: str, exit_code: int, debug: bool) -> NoReturn:
    if debug:
        raise  # noqa: PLE0704 - called from an except clause: --debug shows the traceback
    print(message, file=sys.stderr)
    sys.exit(exit_code)


def spread(arguments: Iterable[str]) -> list[str]:
    """Return the arguments with ``--symbols A B C`` (as the SOP writes it) as ``--symbols A --symbols B …``.

    >>> spread(["backtest", "--symbols", "BTCUSDT", "ETHUSDT", "--json"])
    ['backtest', '--symbols', 'BTCUSDT', '--symbols', 'ETHUSDT', '--json']
    """
    result: list[str] = []
    option: str | None = None
    fresh = False
    for argument in arguments:
        if argument in {"--symbols", "--weights"}:
            option, fresh = argument, True
            result.append(argument)
        elif option and not argument.startswith("-"):
            result += [argument] if fresh else [option, argument]
            fresh = False
        else:
            option = None
            result.append(argument)
    return result


def _show(renderable: Any) -> None:
    """Print a table or a text: coloured in a terminal, plain through a pipe."""
    if isinstance(renderable, str):
        print(renderable)
        return
    from rich.console import Console

    Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(renderable)


def _show_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def _time(text: str | None, option: str) -> int | None:
    from engine.clock import parse_time

    try:
        return None if text is None else parse_time(text)
    except ValueError:
        problem = f"`{text}` is no date or time"
        raise UsageError(Problem("time", option, problem, "write 2022-03-01 or 2022-03-01T14:00:00Z")) from None


def _version(value: bool) -> None:
    if value:
        from engine.version import version

        print(f"stagegate {version()}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Policies as code for a live crypto strategy: metrics, facts, verdicts, and the orders they bound."""
    del version, debug


if __name__ == "__main__":
    main()
