"""`stagegate stage`: where the rollout stands, and what it takes to move it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.approvals import SIGNERS, SignersOption
from engine.commands.shared import LEDGER, RULES, JsonOption, LedgerOption, RulesOption, output

EVIDENCE = Path("reports/futures/live/paper_state.json")
PAPER_LEDGER = Path("reports/futures/paper/trading.db")

stage_app = typer.Typer(rich_markup_mode=None)
evidence_app = typer.Typer(
    help="Paper evidence: the file that Stage 1 needs.", no_args_is_help=True, rich_markup_mode=None
)
stage_app.add_typer(evidence_app, name="evidence")

KeyOption = Annotated[Path, typer.Option("--key", help="Your private OpenSSH key.")]
FileOption = Annotated[Path, typer.Option("--file", help="The evidence file.")]
PaperOption = Annotated[Path, typer.Option("--paper-ledger", help="The paper account's ledger.")]


@stage_app.callback(invoke_without_command=True)
def stage(
    context: typer.Context,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    signers: SignersOption = SIGNERS,
    as_json: JsonOption = False,
) -> None:
    """Show the stage, each condition of the next one, each that ends this one, and what is missing.

    Exit code: 0 the stage goes on (HOLD), 10 the next one may be asked for (PROMOTE), 30 it ends (ABORT).

    Example: stagegate stage

    On paper: stagegate stage --ledger reports/futures/paper/trading.db
    """
    if context.invoked_subcommand is not None:
        return
    from engine.live.stage_desk import StageDesk
    from engine.reports.terminal_stages import stage_text

    standing = StageDesk(ledger, rules, signers).standing()
    output(standing.to_json() if as_json else standing, stage_text, as_json)
    raise typer.Exit(standing.exit_code)


@stage_app.command("history")
def history(ledger: LedgerOption = LEDGER, as_json: JsonOption = False) -> None:
    """List every transition: promotions, aborts and restarts.

    Example: stagegate stage history
    """
    from dataclasses import astuple

    from engine.live.stage_history import history_of
    from engine.reports.terminal_stages import history_table

    found = history_of(ledger)
    output(found, lambda each: history_table([astuple(one)[:7] for one in each]), as_json)


@stage_app.command("promote")
def promote(
    key: KeyOption,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    signers: SignersOption = SIGNERS,
    as_json: JsonOption = False,
) -> None:
    """Ask for the next stage; once enough others have signed, enter it.

    Both engines decide first. A runner on the ledger enters the stage at its next bar; without one, the same command
    again does. Who asks does not sign. The launch guard must have allowed the stage to be entered within the hour.

    Exit code: 0 entered, or left to the runner; 10 asked, signatures are missing; 1 a condition is missing.

    Example: stagegate stage promote --key ~/.ssh/id_ed25519
    """
    from engine.live.stage_desk import ASKED, NOT_YET, StageDesk
    from engine.reports.terminal_stages import promotion_text

    done = StageDesk(ledger, rules, signers).promote(key.expanduser())
    text = lambda one: promotion_text(one.state, one.standing, one.verdict_id, one.request)  # noqa: E731 - as the others
    output(done.to_json() if as_json else done, text, as_json)
    raise typer.Exit({NOT_YET: 1, ASKED: done.standing.exit_code}.get(done.state, 0))


@stage_app.command("watcher")
def watcher(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As in the allowed-signers file.")],
    key: KeyOption,
    hours: Annotated[int, typer.Option("--hours", min=24, max=168, help="For how long from now.")] = 48,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    signers: SignersOption = SIGNERS,
    as_json: JsonOption = False,
) -> None:
    """Sign that you watch the first day of Stage 1; 24 hours must be left when it is entered.

    Example: stagegate stage watcher alice --key ~/.ssh/id_ed25519
    """
    from engine.clock import iso
    from engine.live.stage_desk import StageDesk

    until_ms = StageDesk(ledger, rules, signers).watch(name, key.expanduser(), hours)
    done = {"name": name, "until_ms": until_ms, "until": iso(until_ms)}
    output(done, lambda one: f"{one['name']} watches until {one['until']}", as_json)


@evidence_app.command("write")
def evidence_write(
    ledger: PaperOption = PAPER_LEDGER,
    file: FileOption = EVIDENCE,
    as_json: JsonOption = False,
) -> None:
    """Write what a paper ledger proves: days, Sharpe ratio, drawdown, signals, with every hourly mark.

    Example: stagegate stage evidence write --paper-ledger reports/futures/paper/trading.db
    """
    from engine.live.stage_evidence import write_evidence
    from engine.reports.terminal_stages import evidence_text

    written = write_evidence(ledger, file)
    output(written.summary if as_json else written, lambda one: evidence_text(one, f"written to {file}"), as_json)


@evidence_app.command("verify")
def evidence_verify(
    paper: PaperOption = PAPER_LEDGER,
    file: FileOption = EVIDENCE,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    as_json: JsonOption = False,
) -> None:
    """Write the evidence again from the paper ledger, compare byte for byte, and have the real ledger know of it.

    Refused: an altered file, one that the paper ledger does not prove, another configuration, other prices than the
    venue's public ones.

    Example: stagegate stage evidence verify --ledger reports/futures/live/trading.db
    """
    from engine.live.stage_evidence import verify_file
    from engine.reports.terminal_stages import evidence_text

    found = verify_file(ledger, rules, file, paper)
    output(found.summary if as_json else found, lambda one: evidence_text(one, "verified"), as_json)
