"""`stagegate run`, `stream` and `status`: the desk kept running, and what is so whether it runs or not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.approvals import SIGNERS, SignersOption
from engine.commands.shared import LEDGER, RULES, JsonOption, LedgerOption, RulesOption, output

if TYPE_CHECKING:
    from engine.live.connection import Mode
    from engine.live.paper import PaperPrices
    from engine.runner.bar import BarView
    from engine.runner.run import RunRequest

CONFIG = Path("config/prod_candidate_R1.yaml")

ConfigOption = Annotated[Path, typer.Option("-c", "--config", help="The frozen configuration.")]
PaperOption = Annotated[bool, typer.Option("--paper", help="Simulated money, at a simulated exchange.")]
RealOption = Annotated[bool, typer.Option("--real", help="Real money: keys, a fresh ALLOW_LAUNCH, the stage's cap.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Everything but sending; nothing is recorded either.")]
OnceOption = Annotated[bool, typer.Option("--once", help="The last closed bar, then end.")]
CheckOption = Annotated[bool, typer.Option("--check", help="Ask the venue what a run would begin with, then end.")]
StatusOption = Annotated[bool, typer.Option("--status", help="As `stagegate status`.")]
TelegramOption = Annotated[
    bool, typer.Option("--telegram-commands", help="Hear commands by chat, from those who may give them.")
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="With --paper: recorded prices, a folder or a market store.")
]
KlinesOption = Annotated[str, typer.Option("--klines", help="The folder of --data that holds the prices.")]
SyntheticOption = Annotated[int | None, typer.Option("--synthetic", help="With --paper: prices of this seed.")]
SpeedOption = Annotated[
    float | None, typer.Option("--speed", help="With --data or --synthetic: simulated seconds a second, up to 50.")
]


def run(
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    paper: PaperOption = False,
    real: RealOption = False,
    dry_run: DryOption = False,
    once: OnceOption = False,
    check: CheckOption = False,
    status_: StatusOption = False,
    ledger: LedgerOption = LEDGER,
    data: DataOption = None,
    klines: KlinesOption = "klines",
    synthetic: SyntheticOption = None,
    speed: SpeedOption = None,
    signers: SignersOption = SIGNERS,
    as_json: JsonOption = False,
) -> None:
    """Run the desk, polling at each bar's close, until Ctrl-C or SIGTERM; stops stay with the venue.

    Example: stagegate run -c config/prod_candidate_R1.yaml --paper

    Offline: stagegate run --paper --synthetic 7 --once

    Before a launch: stagegate run --real --check, then stagegate run --real --dry-run --once
    """
    if status_:
        _status(config, paper, real, ledger, as_json)
    request = _request(config, rules, paper, real, ledger, data, klines, synthetic, speed, signers, "run")
    if check:
        _check(request, as_json)
    elif dry_run:
        _dry(request, as_json)
    elif once:
        _once(request, as_json)
    else:
        _run(request)


def stream(
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    paper: PaperOption = False,
    real: RealOption = False,
    ledger: LedgerOption = LEDGER,
    data: DataOption = None,
    klines: KlinesOption = "klines",
    synthetic: SyntheticOption = None,
    speed: SpeedOption = None,
    signers: SignersOption = SIGNERS,
    telegram_commands: TelegramOption = False,
) -> None:
    """Run the desk on the venue's streams: bars, marks and orders as they come, REST where a stream was gone.

    Example: stagegate stream -c config/prod_candidate_R1.yaml --real --telegram-commands
    """
    from dataclasses import replace

    request = _request(config, rules, paper, real, ledger, data, klines, synthetic, speed, signers, "stream")
    _run(replace(request, chat=telegram_commands))


def status(
    config: ConfigOption = CONFIG,
    paper: PaperOption = False,
    real: RealOption = False,
    ledger: LedgerOption = LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Say what the venue holds, what is in force and who is alive, also with the bot dead; exit code 1: partly unknown.

    Example: stagegate status -c config/prod_candidate_R1.yaml
    """
    _status(config, paper, real, ledger, as_json)


def _status(config: Path, paper: bool, real: bool, ledger: Path, as_json: bool) -> None:
    from engine.live.status import status as found_status
    from engine.live.status_text import status_text
    from engine.risk_guard.halt import mode_of

    found = found_status(ledger, mode_of(ledger, paper=paper, real=real), config)
    output(found, status_text, as_json)
    raise typer.Exit(0 if found.whole else 1)


def _request(
    config: Path,
    rules: Path,
    paper: bool,
    real: bool,
    ledger: Path,
    data: Path | None,
    klines: str,
    synthetic: int | None,
    speed: float | None,
    signers: Path,
    command: str,
) -> RunRequest:
    from engine.runner.run import RunRequest

    mode = mode_asked(paper, real)
    prices = paper_prices(mode, data, klines, synthetic, speed)
    what = f"{command} --{mode}"
    return RunRequest(config, rules, ledger, mode, signers, prices, what, streaming=command == "stream")


def paper_prices(
    mode: Mode, data: Path | None, klines: str, synthetic: int | None, speed: float | None
) -> PaperPrices | None:
    """Return the prices of a paper account as the options name them; None: they name none."""
    from engine.errors import Problem, UsageError
    from engine.live.connection import Mode
    from engine.live.paper import prices_asked

    prices = prices_asked(data, klines, synthetic, speed)
    if prices is not None and mode is Mode.REAL:
        raise UsageError(Problem("prices", "--real", "real money trades at the venue's prices", "leave them out"))
    return prices


def mode_asked(paper: bool, real: bool) -> Mode:
    """Return whose money was named; one must be."""
    from engine.errors import Problem, UsageError
    from engine.live.connection import Mode

    if paper == real:
        problem = "both are named" if paper else "whose money is not said"
        raise UsageError(Problem("mode", "--paper --real", problem, "name one of them"))
    return Mode.PAPER if paper else Mode.REAL


def _run(request: RunRequest) -> None:
    from engine.runner.run import run as keep_running

    keep_running(request, _line)


def _once(request: RunRequest, as_json: bool) -> None:
    from engine.runner.run import run_once
    from engine.runner.text import bar_text

    view = run_once(request, aside)
    output(view, bar_text, as_json)
    raise typer.Exit(_exit_code(view))


def _exit_code(view: BarView) -> int:
    """Return 1 where the bar's work could not be done in full (R050, R051)."""
    return 1 if view.unheard or view.without_signal else 0


def _dry(request: RunRequest, as_json: bool) -> None:
    from engine.runner.run import run_dry
    from engine.runner.text import dry_text

    dry = run_dry(request, aside)
    output(dry, dry_text, as_json)
    raise typer.Exit(1 if dry.wrong else 0)


def _check(request: RunRequest, as_json: bool) -> None:
    from engine.runner.check import check_text
    from engine.runner.run import run_check

    found = run_check(request, aside)
    output(found, check_text, as_json)
    raise typer.Exit(0 if found.fine else 1)


def _line(text: str) -> None:
    print(text, flush=True)


def aside(text: str) -> None:
    """Print what is not the answer."""
    print(text, file=sys.stderr, flush=True)
