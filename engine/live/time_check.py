"""A ledger that knows more than the machine's clock: whoever acts on it then would act in its past."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import MINUTE_MS, iso
from engine.errors import Problem, UsageError
from engine.ledger import Ledger
from engine.live.account_time import clock_of

if TYPE_CHECKING:
    from pathlib import Path

    from engine.ledger.queries import LedgerReader

_REHEARSAL = "rehearsal"
_APART_MS = MINUTE_MS  # marks and verdicts carry the venue's time, which may differ from the machine's by less


def present_of(ledger: Ledger) -> int:
    """Return the present of a ledger's account, for whoever is about to write into it.

    Raises:
        UsageError: clock-back.
        LedgerError: the ledger cannot be read.
    """
    now_ms = clock_of(ledger).now_ms()
    check_time(ledger, now_ms, ledger.path)
    return now_ms


def check_present(path: Path) -> None:
    """Refuse to ask for the present of a ledger from the future: what is asked for would be recorded in its past.

    The present of a rehearsal is its own.

    Raises:
        UsageError: clock-back.
        LedgerError: the ledger cannot be read.
    """
    with Ledger.open(path, read_only=True) as ledger:
        if ledger.meta().get("kind") != _REHEARSAL:
            present_of(ledger)


def check_time(ledger: LedgerReader, now_ms: int, where: object) -> None:
    """Refuse to go on where the ledger's latest entry lies in the future: the clock has gone back, or was ahead.

    Args:
        ledger: whose latest mark or verdict is looked at.
        now_ms: what the clock says.
        where: the ledger's path, for the message.

    Raises:
        UsageError: clock-back.
        LedgerError: the ledger cannot be read.
    """
    newest_ms = ledger.newest_ms()
    if newest_ms is None or newest_ms <= now_ms + _APART_MS:
        return
    problem = f"its latest entry is of {iso(newest_ms)}, and the clock here says {iso(now_ms)}"
    help_ = "set the clock right (`timedatectl`, `chronyc tracking`), then run it again; nothing was changed"
    raise UsageError(Problem("clock-back", str(where), problem, help_))
