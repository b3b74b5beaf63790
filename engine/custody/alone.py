"""Whoever changes a ledger's file as a whole is alone with it: no runner, no outbox, nobody who has it open."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from engine.alerts.lease import Lease
from engine.alerts.outbox import LEASE as OUTBOX
from engine.errors import LedgerError, Problem, UsageError
from engine.ledger import opening
from engine.ledger.faults import in_words

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

_STOP_ALL = "stop the service, the risk guard and whatever else runs on it, then run this again"


def take_outbox(stack: ExitStack, ledger: Path) -> None:
    """Hold the delivery of a ledger's alerts until the stack ends.

    Raises:
        UsageError: in-use: another process delivers them.
    """
    lease = Lease.beside(ledger, OUTBOX)
    stack.callback(lease.release)
    if not lease.take():
        raise UsageError(Problem("in-use", str(ledger), "another process delivers its alerts", _STOP_ALL))


def be_alone(ledger: Path) -> None:
    """Refuse to go on while another process works on the ledger: it would write on into what is no longer the ledger.

    Raises:
        UsageError: in-use.
    """
    if not ledger.exists():
        return
    try:
        with in_words(ledger):
            found = opening.connect(ledger, create=False, read_only=False, busy_timeout_ms=0)
            with closing(found):
                # only who is alone may leave write-ahead logging; what is in the log is in the file afterwards
                found.execute("PRAGMA journal_mode = DELETE")
    except LedgerError as error:
        if error.problems[0].code == "locked":
            raise UsageError(Problem("in-use", str(ledger), "another process has it open", _STOP_ALL)) from None
        # damaged: whoever reads it says so
