"""`stagegate review`: weekly and monthly reviews, held by people and signed with their keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.commands.approvals import SIGNERS, SignersOption
from engine.commands.shared import (
    CONFIG,
    LEDGER,
    MARKET,
    RULES,
    ConfigOption,
    JsonOption,
    LedgerOption,
    RulesOption,
    output,
)

if TYPE_CHECKING:
    from engine.live.review_desk import ReviewDesk

review_app = typer.Typer(
    help="Weekly and monthly reviews: what is due, and who decided what.", no_args_is_help=True, rich_markup_mode=None
)

PeriodOption = Annotated[
    str | None, typer.Option("--period", help="As `review list` prints it, the last day; the newest if absent.")
]


@review_app.command("list")
def review_list(
    ledger: LedgerOption = LEDGER,
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """List weekly and monthly reports, newest first: due, overdue, held by whom with what decision.

    Example: stagegate review list
    """
    from engine.reports.terminal_reviews import reviews_table

    rows = _desk(ledger, config, rules).every()
    document = [{"report": report, "state": state, "review": review} for report, state, review in rows]
    output(document if as_json else rows, reviews_table, as_json)


@review_app.command("show")
def review_show(
    period: Annotated[str, typer.Argument(metavar="PERIOD", help="The last day, as `review list` prints it.")],
    kind: Annotated[Literal["weekly", "monthly"], typer.Option("--kind", help="Of which report.")] = "weekly",
    ledger: LedgerOption = LEDGER,
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Show one report and the reviews of it.

    Example: stagegate review show 2022-11-13
    """
    from engine.reports.terminal_reviews import review_text

    report, state, reviews = _desk(ledger, config, rules).one(kind, period)
    document = {"report": report, "state": state, "reviews": reviews}
    output(document, lambda _: review_text(report, state, reviews), as_json)


@review_app.command("sign")
def review_sign(
    kind: Annotated[Literal["weekly", "monthly"], typer.Argument(help="Which report.")],
    decision: Annotated[
        Literal["continue", "adjust", "pause"], typer.Option("--decision", help="What follows from the report.")
    ],
    key: Annotated[Path, typer.Option("--key", help="Your private OpenSSH key.")],
    notes: Annotated[str, typer.Option("--notes", help="Why, in your words; kept with the signature.")] = "",
    period: PeriodOption = None,
    ledger: LedgerOption = LEDGER,
    signers: SignersOption = SIGNERS,
    config: ConfigOption = CONFIG,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Sign that you have read a report and what you decide; a breach stops freezing SCALE_UP with it, but for a pause.

    Example: stagegate review sign weekly --decision continue --key ~/.ssh/id_ed25519 --notes "as expected"
    """
    from engine.operations.reviews.signing import to_do
    from engine.reports.terminal_reviews import signed_text

    review = _desk(ledger, config, rules).sign(kind, period, decision, notes, key.expanduser(), signers)
    output(review, lambda _: signed_text(review, to_do(review)), as_json)


def _desk(ledger: Path, config: Path, rules: Path) -> ReviewDesk:
    from engine.live.review_desk import ReviewDesk

    return ReviewDesk(ledger, config, rules, None, "klines", MARKET)
