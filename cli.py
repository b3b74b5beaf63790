"""The only door for people: every command parses, calls one function, prints text or ``--json``, and exits.

Modules are imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from engine.commands import approvals, guard, incident, launch, run
from engine.commands.policy import policy_app
from engine.commands.shared import LEDGER, RULES, JsonOption, LedgerOption, RulesOption, output, show
from engine.commands.simulate import simulate_exchange
from engine.errors import Problem, StagegateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.real_path.drill import Drill
    from engine.real_path.loop import Course, Scene
    from engine.rehearsal.run import CarryOut

CONFIG = Path("config/prod_candidate_R1.yaml")
MARKET = Path("state/market.db")
INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    name="stagegate",
    help="Policies as code for a live crypto strategy: metrics, facts, verdicts, and the orders they bound.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Prices and funding: import, download, check.", no_args_is_help=True, rich_markup_mode=None)
verdict_app = typer.Typer(rich_markup_mode=None)
app.add_typer(data_app, name="data")
app.add_typer(policy_app, name="policy")
app.add_typer(verdict_app, name="verdict")
app.add_typer(approvals.audit_app, name="audit")
app.add_typer(incident.incident_app, name="incident")
app.command()(approvals.approvals)
app.command()(approvals.approve)
app.command()(simulate_exchange)
app.command()(incident.restart)
app.command()(incident.rollback)
app.command()(guard.risk_guard)
app.command()(guard.flatten)
app.command()(guard.resume)
app.command()(launch.launch_guard)
app.command()(launch.ack)
app.command()(run.run)
app.command()(run.stream)
app.command()(run.status)

ConfigOption = Annotated[Path, typer.Option("-c", "--config", help="The frozen configuration.")]
DbOption = Annotated[Path, typer.Option("--db", help="The market store.")]
DataOption = Annotated[Path, typer.Option("--data", help="A folder of CSV files, or a market store.")]
KlinesOption = Annotated[str, typer.Option("--klines", help="The folder of --data that holds the prices.")]
FromOption = Annotated[str | None, typer.Option("--from", help="Start, a UTC date or time.")]
ToOption = Annotated[str | None, typer.Option("--to", help="End, a UTC date or time (exclusive).")]
SymbolsOption = Annotated[
    list[str] | None, typer.Option("--symbols", help="Symbols; all of the configuration if absent.")
]


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


def _typed(context: typer.Context) -> list[str]:
    """Return the command line of this command as it was typed."""
    del context
    return sys.argv[1:]


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
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Policies as code for a live crypto strategy: metrics, facts, verdicts, and the orders they bound."""
    del version, debug


@data_app.command("import")
def data_import(
    files: Annotated[list[Path], typer.Argument(help="CSV files, gzipped or not.")],
    db: DbOption = MARKET,
    as_json: JsonOption = False,
) -> None:
    """Read prices and funding from CSV files into the store; importing a file again changes nothing.

    Example: stagegate data import klines/*.csv.gz klines_mark/*.csv.gz funding/*.csv
    """
    from engine.market.imports import import_files
    from engine.reports.terminal import import_table, progress_bar

    with progress_bar("importing") as advance:
        summary = import_files(db, files, advance)
    output(summary, import_table, as_json)


@data_app.command("download")
def data_download(config: ConfigOption = CONFIG, db: DbOption = MARKET, as_json: JsonOption = False) -> None:
    """Download what is missing of prices, mark prices and funding from the venue; it may be interrupted and run again.

    Example: stagegate data download -c config/prod_candidate_R1.yaml
    """
    from engine.clock import SystemClock
    from engine.config import load_config
    from engine.market.download import download
    from engine.reports.terminal import download_table, progress_bar

    market = load_config(config).market
    with progress_bar("downloading") as advance:
        summary = download(
            db, market.symbols, start_ms=market.start_ms, end_ms=market.end_ms, clock=SystemClock(), progress=advance
        )
    output(summary, download_table, as_json)


@data_app.command("check")
def data_check(
    data: Annotated[Path, typer.Argument(help="A market store, or a folder of CSV files.")] = MARKET,
    config: ConfigOption = CONFIG,
    klines: KlinesOption = "klines",
    as_json: JsonOption = False,
) -> None:
    """Look for gaps, impossible bars, wicks far from the mark price, and changes of the funding interval.

    Example: stagegate data check state/market.db --json
    """
    from engine.config import load_config
    from engine.market.quality import check_path
    from engine.reports.terminal import quality_table

    output(check_path(data, load_config(config).market.symbols, klines=klines), quality_table, as_json)


@app.command()
def signals(
    config: ConfigOption = CONFIG,
    symbols: SymbolsOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    data: DataOption = MARKET,
    klines: KlinesOption = "klines",
    indicators: Annotated[bool, typer.Option("--indicators", help="Add the breakout's indicators.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="A CSV file; the terminal if absent.")] = None,
) -> None:
    """Write what each strategy decides at the close of every bar: time (of the bar's open), symbol, position.

    Example: stagegate signals --data ../shared/data --from 2024-01-01 --indicators --out signals.csv
    """
    from engine.backtest import signals_rows, write_signals_csv
    from engine.config import load_config
    from engine.market.imports import open_market

    settings = load_config(config)
    chosen, span = symbols or settings.market.symbols, (_time(from_, "--from"), _time(to, "--to"))
    market = open_market(data, chosen, klines=klines)
    rows = signals_rows(settings, market, symbols=chosen, from_ms=span[0], to_ms=span[1], indicators=indicators)
    if out:
        write_signals_csv(rows, out)
    else:
        show("\n".join(rows))


@app.command()
def backtest(
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    symbols: SymbolsOption = None,
    weights: Annotated[
        list[float] | None, typer.Option("--weights", help="One a symbol; the configuration's if absent.")
    ] = None,
    from_: FromOption = None,
    to: ToOption = None,
    data: DataOption = MARKET,
    klines: KlinesOption = "klines",
    out: Annotated[Path, typer.Option("--out", help="The folder of trades, equity and picture.")] = Path(
        "reports/backtest"
    ),
    as_json: JsonOption = False,
) -> None:
    """Run the ensemble over recorded prices without any policy; print a summary, write trades, equity and a picture.

    Example: stagegate backtest --symbols BTCUSDT ETHUSDT SOLUSDT --weights 0.34 0.33 0.33 --from 2022-07-01
    """
    from engine.backtest.report import BacktestRequest, backtest_report
    from engine.backtest.text import report_text

    span = (_time(from_, "--from"), _time(to, "--to"))
    request = BacktestRequest(config, rules, data, klines, symbols, weights, *span, out)
    output(backtest_report(request), report_text, as_json)


@app.command()
def rehearse(
    context: typer.Context,
    seed: Annotated[int, typer.Option(help="Of the synthetic market.")] = 7,
    days: Annotated[int, typer.Option(help="Of the synthetic market.")] = 366,
    data: Annotated[Path | None, typer.Option("--data", help="Recorded prices: a folder or a market store.")] = None,
    klines: KlinesOption = "klines",
    from_: FromOption = None,
    to: ToOption = None,
    stage: Annotated[int, typer.Option(help="The stage to begin at.")] = 3,
    approve: Annotated[str, typer.Option(help="Who approves: all (a day later), none, or a script.")] = "all",
    venue: Annotated[
        Literal["fast", "simulator"],
        typer.Option(help="fast: orders fill at the open; simulator: every order through the client and a venue."),
    ] = "fast",
    drill: Annotated[bool, typer.Option("--drill", help="At the end pull the kill switch; on the simulator.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="The folder of ledger and report.")] = None,
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Run R1 bar by bar on a simulated clock with the policy in the loop, and write a report.

    Example: stagegate rehearse --seed 7

    Another: stagegate rehearse --data ../shared/data --from 2022-03-01 --to 2023-03-01

    The path of real orders: stagegate rehearse --days 7 --venue simulator
    """
    from engine.rehearsal.run import RehearsalRequest, default_folder, on_fast_loop, rehearse
    from engine.reports.terminal import rehearsal_progress, rehearsal_summary

    on_simulator = venue == "simulator"
    if drill and not on_simulator:
        help_ = "add --venue simulator"
        raise UsageError(Problem("drill", "--drill", "the fast loop has no venue to close anything at", help_))
    from_ms, to_ms = _time(from_, "--from"), _time(to, "--to")
    folder = out or default_folder(seed, data, from_ms, to_ms)
    command = f"stagegate {' '.join(_typed(context))}"
    request = RehearsalRequest(config, rules, folder, seed, days, data, klines, from_ms, to_ms, stage, approve, command)
    drills: list[Drill] = []
    with rehearsal_progress() as advance:
        done = rehearse(request, advance, carry_out=_real_path(seed, drills, drill) if on_simulator else on_fast_loop)
    output(done, rehearsal_summary, as_json)
    if drills and not as_json:
        from engine.real_path.drill import drill_text

        show(drill_text(drills[0]))


def _real_path(seed: int, drills: list[Drill], drill: bool) -> CarryOut:
    from functools import partial

    from engine.real_path.drill import kill_switch_drill
    from engine.real_path.loop import on_real_path

    async def pull(scene: Scene, course: Course, ledger: Path) -> None:
        drills.append(await kill_switch_drill(scene, course, ledger))

    return partial(on_real_path, seed=seed, at_end=pull if drill else None)


@verdict_app.callback(invoke_without_command=True)
def verdict(
    context: typer.Context,
    at: Annotated[str | None, typer.Option("--at", help="The moment, UTC; now if absent.")] = None,
    why: Annotated[bool, typer.Option("--why", help="Every reason, and how far it is to the next outcome.")] = False,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Give the verdict now, or at a moment of the past; the exit code is the policy's (0 KEEP, 10, 20, 30).

    Example: stagegate verdict --why --ledger reports/demo/ledger.db
    """
    if context.invoked_subcommand:
        return
    from engine.clock import SystemClock
    from engine.inquiry import verdict_at
    from engine.reports.terminal import verdict_text

    answer = verdict_at(ledger, rules, SystemClock(), _time(at, "--at"))
    output(answer.record, lambda record: verdict_text(record, ledger, why=why), as_json)
    raise typer.Exit(answer.exit_code)


@verdict_app.command("log")
def verdict_log(
    ledger: LedgerOption = LEDGER,
    last: Annotated[int | None, typer.Option(help="Only the latest so many.")] = None,
    from_: FromOption = None,
    to: ToOption = None,
    as_json: JsonOption = False,
) -> None:
    """List recorded verdicts.

    Example: stagegate verdict log --last 20
    """
    from engine.inquiry import verdict_log as records
    from engine.reports.terminal import verdict_log_table

    output(records(ledger, last, _time(from_, "--from"), _time(to, "--to")), verdict_log_table, as_json)


@verdict_app.command("show")
def verdictshow(
    verdict_id: Annotated[str, typer.Argument(metavar="ID", help="As `verdict log` prints it.")],
    ledger: LedgerOption = LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Show one recorded verdict with all its reasons.

    Example: stagegate verdict show V20221109-1400-action-3fa9c1
    """
    from engine.inquiry import verdict_record
    from engine.reports.terminal import verdict_text

    output(verdict_record(ledger, verdict_id), lambda record: verdict_text(record, ledger, why=True), as_json)


@verdict_app.command("replay")
def verdict_replay(
    verdict_id: Annotated[str, typer.Argument(metavar="ID", help="As `verdict log` prints it.")],
    ledger: LedgerOption = LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Decide a recorded verdict again; exit code 1 unless it comes out equal to the byte.

    Example: stagegate verdict replay V20221109-1400-action-3fa9c1
    """
    from engine.inquiry import replay
    from engine.reports.terminal import replay_text

    replayed = replay(ledger, verdict_id)
    output(replayed, replay_text, as_json)
    raise typer.Exit(0 if replayed.identical else 1)


@app.command()
def report(
    daily: Annotated[bool, typer.Option("--daily", help="The daily report.")] = False,
    ledger: LedgerOption = LEDGER,
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Write a report as Markdown, HTML and JSON to the archive; nothing is ever overwritten.

    Example: stagegate report --daily --ledger reports/demo/ledger.db
    """
    from engine.clock import SystemClock
    from engine.inquiry import daily_report
    from engine.reports.terminal import archived_text

    if not daily:
        raise UsageError(Problem("report", "report", "no kind of report was asked for", "add --daily"))
    output(daily_report(ledger, config, rules, SystemClock()), archived_text, as_json)


if __name__ == "__main__":
    main()
