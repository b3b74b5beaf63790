"""The only door for people: every command parses, calls one function, prints text or ``--json``, and exits."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from engine.commands.door import Door
from engine.errors import Problem, StagegateError

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    name="stagegate",
    cls=Door,
    suggest_commands=False,  # click does
    help="Policies as code for a live crypto strategy: metrics, facts, verdicts, and the orders they bound.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line; every error becomes one clear message and an exit code."""
    arguments = spread(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    try:
        app([argument for argument in arguments if argument != "--debug"], prog_name="stagegate")
    except StagegateError as error:
        _fail(str(error), error.exit_code, debug)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            _fail("interrupted: what was committed is safe, run the command again to carry on", 1, debug)
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = str(error.filename) if error.filename else "standard output"
        help_ = "look at its permissions and at the space of its disk, then run it again"
        _fail(str(Problem("file", where, error.strerror or str(error), help_)), 1, debug)
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


def _version(value: bool) -> None:
    if value:
        from engine.version import version

        print(f"stagegate {version()}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Policies as code for a live crypto strategy: metrics, facts, verdicts, and the orders they bound."""
    del version, debug


if __name__ == "__main__":
    main()
