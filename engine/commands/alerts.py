"""`stagegate alerts`: does a message arrive, and what became of those that were queued."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.shared import LEDGER, RULES, JsonOption, LedgerOption, RulesOption, output

if TYPE_CHECKING:
    from engine.alerts.settings import AlertSettings

alerts_app = typer.Typer(
    help="What people are told, and whether it arrives.", no_args_is_help=True, rich_markup_mode=None
)

WITHIN_S = 30.0
"""How long a test alert may take: a route may be in the middle of a pause after a refusal."""

FileOption = Annotated[
    Path | None, typer.Option("--alerts", help="The alerts file. [default: alerts.yaml beside the bundle]")
]


@alerts_app.command("test")
def alerts_test(
    route: Annotated[str | None, typer.Option("--route", help="Only this route.")] = None,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    alerts: FileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a test alert on every route, through the outbox, and wait until it is delivered; exit code 1 if one is not.

    Example: stagegate alerts test

    Only one route: stagegate alerts test --route telegram
    """
    import asyncio
    import os

    from engine.alerts.standing import try_routes
    from engine.clock import SystemClock
    from engine.reports.terminal_alerts import trials_text

    settings = _settings(rules, alerts)
    found = asyncio.run(try_routes(ledger, settings, os.environ, SystemClock(), route, within_s=WITHIN_S))
    output(found, trials_text, as_json)
    raise typer.Exit(0 if all(each.arrived for each in found) else 1)


@alerts_app.command("list")
def alerts_list(
    last: Annotated[int, typer.Option(help="Only the latest so many.")] = 20,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    alerts: FileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was told, and on each route whether it is sent, queued or failing.

    Example: stagegate alerts list --last 50
    """
    import os

    from engine.alerts.standing import alert_states
    from engine.ledger import Ledger
    from engine.reports.terminal_alerts import alerts_table

    with Ledger.open(ledger, read_only=True) as opened:
        found = alert_states(opened, _settings(rules, alerts).routes, os.environ, last=last)
    output(found, alerts_table, as_json)


def _settings(rules: Path, path: Path | None) -> AlertSettings:
    from engine.alerts.settings import alert_settings
    from engine.config import load_config
    from engine.policy.bundle import load_bundle

    bundle = load_bundle(rules, only=("action",))
    return alert_settings(load_config(bundle.config_path), rules, path)
