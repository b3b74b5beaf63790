"""`stagegate report`: what the desk did, for people and for programs."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.commands.shared import CONFIG, LEDGER, RULES, ConfigOption, JsonOption, LedgerOption, RulesOption, output
from engine.errors import Problem, UsageError


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
