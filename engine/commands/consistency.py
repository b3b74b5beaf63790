"""`stagegate consistency`: recorded signals against a replay of the same bars."""

from __future__ import annotations

import typer

from engine.commands.report import PricesOption  # noqa: TC001 - typer reads it when it builds the command
from engine.commands.shared import (
    CONFIG,
    LEDGER,
    MARKET,
    RULES,
    ConfigOption,
    FromOption,
    JsonOption,
    KlinesOption,
    LedgerOption,
    RulesOption,
    ToOption,
    moment,
    output,
)


def consistency(
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    ledger: LedgerOption = LEDGER,
    data: PricesOption = None,
    klines: KlinesOption = "klines",
    from_: FromOption = None,
    to: ToOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the recorded signals of all sleeves against a replay; exit code 1 below what the stages policy needs.

    Example: stagegate consistency -c config/prod_candidate_R1.yaml --data state/market.db
    """
    from engine.comparison.signals import is_enough, needed
    from engine.live.review_desk import ReviewDesk
    from engine.live.time_check import check_present
    from engine.policy.bundle import load_bundle
    from engine.reports.terminal_reviews import consistency_text

    check_present(ledger)
    stages = load_bundle(rules, only=("stages",)).policies["stages"]
    desk = ReviewDesk(ledger, config, rules, data, klines, MARKET)
    found = desk.consistency(moment(from_, "--from"), moment(to, "--to"))
    output(found, lambda each: consistency_text(each, needed(stages).text), as_json)
    raise typer.Exit(0 if is_enough(found, stages) else 1)
