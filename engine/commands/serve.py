"""`stagegate serve` and `caretake`: everything that keeps a desk running, in one tree of processes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.approvals import SIGNERS, SignersOption
from engine.commands.run import (
    CONFIG,
    ConfigOption,
    DataOption,
    KlinesOption,
    PaperOption,
    RealOption,
    SpeedOption,
    SyntheticOption,
    mode_asked,
)
from engine.commands.shared import LEDGER, MARKET, RULES, DbOption, LedgerOption, RulesOption

SETTINGS = Path("config/service.yaml")

SettingsOption = Annotated[Path, typer.Option("--settings", help="How long the service waits for whom.")]
ShadowOption = Annotated[
    Path | None, typer.Option("--shadow", help="A candidate bundle: decides beside production and binds nothing.")
]
TelegramOption = Annotated[
    bool, typer.Option("--telegram-commands", help="Hear commands by chat, from those who may give them.")
]


def serve(
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    paper: PaperOption = False,
    real: RealOption = False,
    ledger: LedgerOption = LEDGER,
    shadow: ShadowOption = None,
    telegram_commands: TelegramOption = False,
    data: DataOption = None,
    klines: KlinesOption = "klines",
    synthetic: SyntheticOption = None,
    speed: SpeedOption = None,
    signers: SignersOption = SIGNERS,
    settings: SettingsOption = SETTINGS,
    db: DbOption = MARKET,
) -> None:
    """Run the desk with its risk guard and its caretaker until SIGTERM: whoever dies or hangs is started again.

    Example: stagegate serve -c config/prod_candidate_R1.yaml --real --telegram-commands

    Offline: stagegate serve --paper --synthetic 7 --ledger reports/futures/paper/trading.db

    A candidate beside it: stagegate serve --paper --shadow candidate/prod_scale_rules_R1.yaml
    """
    from engine.errors import Problem, UsageError
    from engine.live.connection import Mode
    from engine.live.paper import prices_asked
    from engine.service.serve import serve as keep_serving
    from engine.service.tree import ServeRequest

    mode = mode_asked(paper, real)
    prices = prices_asked(data, klines, synthetic, speed)
    if prices is not None and mode is Mode.REAL:
        raise UsageError(Problem("prices", "--real", "real money trades at the venue's prices", "leave them out"))
    request = ServeRequest(config, rules, ledger, mode, signers, settings, db, prices, shadow, telegram_commands)
    keep_serving(request, _line)


def caretake(
    rules: RulesOption = RULES,
    paper: PaperOption = False,
    real: RealOption = False,
    ledger: LedgerOption = LEDGER,
    shadow: ShadowOption = None,
    telegram_commands: TelegramOption = False,
    signers: SignersOption = SIGNERS,
    settings: SettingsOption = SETTINGS,
    db: DbOption = MARKET,
    once: Annotated[bool, typer.Option("--once", help="Everything that is due, then end.")] = False,
) -> None:
    """Carry out the steps of incidents, write reports and backups that are due; trades nothing. `serve` runs it.

    Example: stagegate caretake --paper --once --ledger reports/futures/paper/trading.db
    """
    from engine.service.care import CareRequest, caretake_once
    from engine.service.care import caretake as keep_caring

    request = CareRequest(rules, ledger, mode_asked(paper, real), signers, settings, db, shadow, telegram_commands)
    if not once:
        keep_caring(request, _line)
        return
    wrong = caretake_once(request, _line)
    raise typer.Exit(1 if wrong else 0)


def _line(text: str) -> None:
    print(text, flush=True)
