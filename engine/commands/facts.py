"""`stagegate facts`: what every rule may read, as it is now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.approvals import SIGNERS, SignersOption
from engine.commands.shared import LEDGER, RULES, JsonOption, LedgerOption, RulesOption, moment, output


def facts(
    at: Annotated[str | None, typer.Option("--at", help="The moment, UTC; now if absent.")] = None,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    signers: SignersOption = SIGNERS,
    as_json: JsonOption = False,
) -> None:
    """Show every fact: value, unit, status, age, source, and the policies that read it.

    Example: stagegate facts --ledger reports/demo/ledger.db

    As it was: stagegate facts --at 2024-06-13
    """
    from engine.config import load_config
    from engine.live.account_time import clock_at
    from engine.live.fact_sheet import Sources, fact_sheet
    from engine.live.fact_sheet_text import facts_text
    from engine.policy.bundle import load_bundle

    report_dir = load_config(load_bundle(rules, only=("action",)).config_path).output.report_dir
    sources = Sources(rules, signers, Path(report_dir))
    found = fact_sheet(ledger, sources, clock_at(ledger), moment(at, "--at"))
    output(found, facts_text, as_json)
