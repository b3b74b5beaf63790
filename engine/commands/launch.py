"""`stagegate launch-guard` and `ack`: may it be launched, and who has seen the warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.approvals import SIGNERS, SignersOption
from engine.commands.run import DataOption, KlinesOption, SpeedOption, SyntheticOption, aside, paper_prices
from engine.commands.shared import LEDGER, RULES, JsonOption, LedgerOption, RulesOption, output

MARKET = Path("state/market.db")

LaunchConfigOption = Annotated[
    Path | None, typer.Option("-c", "--config", help="The frozen configuration; the bundle's if absent.")
]


def launch_guard(
    config: LaunchConfigOption = None,
    rules: RulesOption = RULES,
    ledger: LedgerOption = LEDGER,
    paper: Annotated[bool, typer.Option("--paper", help="The simulated account.")] = False,
    real: Annotated[bool, typer.Option("--real", help="The real account; the default on a new ledger.")] = False,
    stage: Annotated[int | None, typer.Option("--stage", help="To be entered; the ledger's, or the first.")] = None,
    db: Annotated[Path, typer.Option("--db", help="The market store.")] = MARKET,
    signers: SignersOption = SIGNERS,
    data: DataOption = None,
    klines: KlinesOption = "klines",
    synthetic: SyntheticOption = None,
    speed: SpeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check everything that a launch depends on; exit code 0 for ALLOW_LAUNCH, 30 for BLOCK_LAUNCH.

    It sends no order and changes nothing at the venue. The verdict is recorded, the report archived. The paper account
    is started where it does not answer yet, as `stagegate run --paper` does; that needs no launch.

    Example: stagegate launch-guard --rules config/prod_scale_rules_R1.yaml

    On paper: stagegate launch-guard --paper

    Offline: stagegate launch-guard --paper --synthetic 7
    """
    from engine.launch.case import LaunchRequest
    from engine.launch.guard import launch_guard as run
    from engine.launch.mode import mode_of
    from engine.launch.paper import open_paper
    from engine.live.connection import Mode
    from engine.reports.terminal_launch import launch_text

    mode = mode_of(ledger, paper=paper, real=real)
    request = LaunchRequest(rules, config, ledger, db, signers, mode, stage)
    prices = paper_prices(mode, data, klines, synthetic, speed)
    if mode is Mode.PAPER:
        open_paper(request, prices, aside)
    filed = run(request)
    output(filed, lambda one: launch_text(one.report.to_json(), str(one.path)), as_json)
    raise typer.Exit(filed.report.exit_code)


def ack(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the warning, as `launch-guard` prints it.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it may stand.")] = "",
    by: Annotated[str | None, typer.Option("--by", help="Who; your login if absent.")] = None,
    ledger: LedgerOption = LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Acknowledge a warning of the launch guard's last run, by name.

    Example: stagegate ack data_gap_small --reason "the venue was down for maintenance"
    """
    from dataclasses import asdict
    from getpass import getuser

    from engine.launch_word import acknowledge
    from engine.ledger import Ledger
    from engine.live.time_check import present_of
    from engine.reports.terminal_launch import ack_text

    with Ledger.open(ledger) as opened:
        done = acknowledge(opened, name, by or getuser(), reason, present_of(opened))
    output(asdict(done), ack_text, as_json)
