"""`stagegate report`: what the desk did, for people and for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.shared import (
    CONFIG,
    LEDGER,
    MARKET,
    RULES,
    ConfigOption,
    JsonOption,
    KlinesOption,
    LedgerOption,
    RulesOption,
    output,
)
from engine.errors import Problem, UsageError

PricesOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Prices to replay on: a store or a folder; a rehearsal and a paper account know theirs."
    ),
]


def report(
    daily: Annotated[bool, typer.Option("--daily", help="The daily report.")] = False,
    weekly: Annotated[
        bool, typer.Option("--weekly", help="The last seven complete days against their replay.")
    ] = False,
    monthly: Annotated[bool, typer.Option("--monthly", help="The last month, of at least 28 live days.")] = False,
    ledger: LedgerOption = LEDGER,
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    data: PricesOption = None,
    klines: KlinesOption = "klines",
    as_json: JsonOption = False,
) -> None:
    """Write a report as Markdown, HTML and JSON to the archive; nothing is ever overwritten.

    A weekly and a monthly one are held against a replay of the same bars; the exit code is the review policy's.

    Example: stagegate report --daily --ledger reports/demo/ledger.db

    Another: stagegate report --weekly --data state/market.db
    """
    asked = [kind for kind, wanted in (("daily", daily), ("weekly", weekly), ("monthly", monthly)) if wanted]
    if len(asked) != 1:
        problem = "no kind of report was asked for" if not asked else f"{' and '.join(asked)} were asked for at once"
        raise UsageError(Problem("report", "report", problem, "add --daily, --weekly or --monthly"))
    from engine.live.review_desk import ReviewDesk
    from engine.live.time_check import check_present

    check_present(ledger)
    desk = ReviewDesk(ledger, config, rules, data, klines, MARKET)
    if daily:
        from engine.reports.terminal import archived_text

        output(desk.daily(), archived_text, as_json)
        return
    from engine.reports.terminal_reviews import review_written_text

    written = desk.report(asked[0])
    output(written, review_written_text, as_json)
    raise typer.Exit(written.exit_code)
