"""`stagegate verdict`: now, then, and all that were ever recorded."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.commands.shared import (
    LEDGER,
    RULES,
    FromOption,
    JsonOption,
    LedgerOption,
    RulesOption,
    ToOption,
    moment,
    output,
)

verdict_app = typer.Typer(rich_markup_mode=None)


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
    from functools import partial

    from engine.inquiry import verdict_at
    from engine.live.account_time import clock_at
    from engine.live.decision_file import guard_word
    from engine.live.time_check import check_present
    from engine.reports.terminal import verdict_text

    if at is None:
        check_present(ledger)
    clock = clock_at(ledger)
    guard = partial(guard_word, ledger=ledger, clock=clock)
    answer = verdict_at(ledger, rules, clock, moment(at, "--at"), guard=guard)
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

    output(records(ledger, last, moment(from_, "--from"), moment(to, "--to")), verdict_log_table, as_json)


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
