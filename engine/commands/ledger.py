"""`stagegate ledger`: the file that remembers everything: copied, checked, put back, taken over."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.commands.approvals import SIGNERS, SignersOption
from engine.commands.shared import LEDGER, RULES, JsonOption, LedgerOption, RulesOption, agreed, moment, output

ledger_app = typer.Typer(
    help="The ledger's file: copy, check, migrate, restore, adopt.", no_args_is_help=True, rich_markup_mode=None
)


@ledger_app.command("backup")
def ledger_backup(
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="A new file, or a folder.")],
    ledger: LedgerOption = LEDGER,
    as_json: JsonOption = False,
) -> None:
    """Copy the ledger while others write to it, check the copy whole, and print its hash.

    Example: stagegate ledger backup /mnt/backup/
    """
    from engine.custody.keeping import back_up, backup_text

    output(back_up(ledger, dest), backup_text, as_json)


@ledger_app.command("check")
def ledger_check(ledger: LedgerOption = LEDGER, as_json: JsonOption = False) -> None:
    """Check the ledger: structure, schema, every stored hash, every link of the audit trail.

    Example: stagegate ledger check --ledger reports/demo/ledger.db
    """
    from engine.custody.keeping import check, contents_text

    output(check(ledger), contents_text, as_json)


@ledger_app.command("migrate")
def ledger_migrate(ledger: LedgerOption = LEDGER, as_json: JsonOption = False) -> None:
    """Bring a ledger of an older version up to this one's schema, after a checked copy beside it.

    Nothing may run on the ledger meanwhile. No other command does it: they refuse such a ledger, and leave it as it is.

    Example: stagegate ledger migrate
    """
    from engine.clock import SystemClock
    from engine.custody.migrating import migrate, migrated_text

    output(migrate(ledger, SystemClock().now_ms()), migrated_text, as_json)


@ledger_app.command("restore")
def ledger_restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    ledger: LedgerOption = LEDGER,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the ledger's place: checked first, the present file kept aside, the halt latched.

    Nothing may run on the ledger meanwhile. Nothing adds risk afterwards until `stagegate resume`.

    Example: stagegate ledger restore /mnt/backup/trading-00012345.db
    """
    from getpass import getuser

    from engine.clock import SystemClock
    from engine.custody.restoring import Plan, plan_text, restore, restored_text

    def confirmed(plan: Plan) -> bool:
        print(plan_text(plan, ledger), file=sys.stderr)
        return yes or agreed("go on?")

    output(restore(file, ledger, getuser(), SystemClock().now_ms(), confirmed), restored_text, as_json)


@ledger_app.command("adopt")
def ledger_adopt(
    stage: Annotated[int, typer.Option("--stage", help="That the account is in.")],
    equity: Annotated[float, typer.Option("--equity", help="USD at risk now: capital, profit and approved flows.")],
    peak: Annotated[float, typer.Option("--peak", help="USD: the highest that it ever was, flows aside.")],
    peak_at: Annotated[str, typer.Option("--peak-at", help="When, UTC.")],
    evidence: Annotated[list[Path] | None, typer.Option("--evidence", help="A file that shows it; any number.")] = None,
    ledger: LedgerOption = LEDGER,
    rules: RulesOption = RULES,
    signers: SignersOption = SIGNERS,
    paper: Annotated[bool, typer.Option("--paper", help="The simulated account.")] = False,
    real: Annotated[bool, typer.Option("--real", help="The real account.")] = False,
    key: Annotated[Path | None, typer.Option("--key", help="Your private OpenSSH key: ask others to sign.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take over a running account on a new ledger: its positions, its highest NAV, its stage, when people signed it.

    Say what is so and look at what would be written; add --key to ask; let others `stagegate approve`; run it again.

    Example: stagegate ledger adopt --real --stage 2 --equity 9800 --peak 10250 --peak-at 2026-10-03 --evidence old.json
    """
    from engine.custody.adopting import Wish
    from engine.custody.adoption_desk import AdoptRequest, take_over
    from engine.custody.adoption_text import came_text
    from engine.live.connection import Mode
    from engine.risk_guard.halt import mode_of

    peak_ms = moment(peak_at, "--peak-at")
    assert peak_ms is not None, "a text was given"
    mode = mode_of(ledger, paper=paper, real=real)
    kind = "live" if mode is Mode.REAL else "paper"
    wish = Wish(kind, stage, equity, peak, peak_ms, tuple(evidence or ()))
    came = take_over(AdoptRequest(ledger, mode, rules, signers, wish, key.expanduser() if key else None))
    output(came.to_json() if as_json else came, came_text, as_json)
