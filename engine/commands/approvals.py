"""`stagegate approvals`, `approve` and `audit`: who agreed to what, and that nobody changed it since."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.shared import LEDGER, JsonOption, LedgerOption, output

SIGNERS = Path("config/allowed_signers")

SignersOption = Annotated[
    Path, typer.Option("--signers", envvar="STAGEGATE_SIGNERS", help="Whose key is whose: an allowed-signers file.")
]
audit_app = typer.Typer(help="The audit trail of decisions and commands.", no_args_is_help=True, rich_markup_mode=None)


def approvals(ledger: LedgerOption = LEDGER, signers: SignersOption = SIGNERS, as_json: JsonOption = False) -> None:
    """List what was ever asked for, and who has signed it.

    Example: stagegate approvals
    """
    from engine.errors import UsageError
    from engine.ledger import Ledger
    from engine.live.account_time import clock_of
    from engine.operations.approvals import tallies
    from engine.operations.signatures import signer_faults
    from engine.reports.terminal_approvals import approvals_table

    faults = signer_faults(signers) if signers.exists() else ()
    if faults:  # what people signed would look as if nobody had
        raise UsageError(faults)
    with Ledger.open(ledger, read_only=True) as opened:
        found = tallies(opened, signers, clock_of(opened).now_ms())
    output([tally.to_json() for tally in found] if as_json else found, approvals_table, as_json)


def approve(
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="As `approvals` prints it, or a part of it.")],
    key: Annotated[Path, typer.Option("--key", help="Your private OpenSSH key.")],
    ledger: LedgerOption = LEDGER,
    signers: SignersOption = SIGNERS,
    as_json: JsonOption = False,
) -> None:
    """Sign a request with your OpenSSH key; it takes effect once enough different people have.

    Example: stagegate approve A20221114-090000-recovery-3fa9c1 --key ~/.ssh/id_ed25519

    The only one of its kind that waits: stagegate approve bundle --key ~/.ssh/id_ed25519
    """
    from engine.ledger import Ledger
    from engine.live.time_check import present_of
    from engine.operations.approvals import approve as sign_request
    from engine.reports.terminal_approvals import approval_text

    with Ledger.open(ledger) as opened:
        tally = sign_request(opened, request, key.expanduser(), signers, present_of(opened))
    output(tally.to_json() if as_json else tally, approval_text, as_json)


@audit_app.command("verify")
def audit_verify(ledger: LedgerOption = LEDGER, as_json: JsonOption = False) -> None:
    """Check every link of the audit trail, and every hash in the ledger; what was changed is named.

    Example: stagegate audit verify --ledger reports/demo/ledger.db
    """
    from engine.ledger import Ledger
    from engine.reports.terminal_approvals import audit_text

    with Ledger.open(ledger, read_only=True) as opened:
        opened.verify()
        head = opened.audit_head()
    output(head, audit_text, as_json)
