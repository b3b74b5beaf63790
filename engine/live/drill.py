"""A ledger is of a drill or of real money, and of one for ever: neither is ever taken to the venue of the other.

The ledger's meta says it. A file beside it says it too, for the night on which the ledger cannot be read: a `flatten`
must find its venue then, and with a variable left over from a drill it must not find the simulator and report "flat".
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from engine.drill import OF_DRILL, VARIABLE, VENUE
from engine.errors import LedgerError, Problem, UsageError
from engine.ledger.opening import connect

if TYPE_CHECKING:
    from pathlib import Path

    from engine.ledger import Ledger

_LIVE = "live"
_PATIENCE_MS = 1_000


def mark_beside(ledger: Path) -> Path:
    """Return the file that says of a ledger that it is a drill's."""
    return ledger.with_name(f"{ledger.name}.{OF_DRILL}")


def mark(ledger: Ledger) -> None:
    """Mark a ledger as a drill's, once and for all.

    Raises:
        LedgerError: it cannot be written.
    """
    if ledger.meta().get(VENUE) == OF_DRILL:
        return
    beside = mark_beside(ledger.path)
    try:
        beside.write_text(f"{ledger.path.name} is the ledger of a drill; its money is simulated\n", encoding="utf-8")
    except OSError as error:
        problem = f"a drill cannot be marked: {(error.strerror or str(error)).lower()}"
        raise LedgerError(Problem("cannot-open", str(beside), problem, "name a ledger where you may write")) from None
    ledger.set_meta(**{VENUE: OF_DRILL})


def check(ledger: Path, *, drill: bool) -> None:
    """Refuse the ledger of a drill at the real venue, and that of real money in a drill.

    Raises:
        UsageError: drill.
    """
    of_drill = _is_of_drill(ledger)
    if drill and of_drill is False:
        problem = f"it is the ledger of real money, and {VARIABLE} is set: this would go to the simulator"
        help_ = f"`unset {VARIABLE}`; for a drill name another ledger with `--ledger`"
        raise UsageError(Problem("drill", str(ledger), problem, help_))
    if not drill and of_drill:
        problem = f"it is the ledger of a drill, and {VARIABLE} is not set: this would go to the real venue"
        help_ = f"set {VARIABLE} again; for real money name another ledger with `--ledger`"
        raise UsageError(Problem("drill", str(ledger), problem, help_))


def _is_of_drill(ledger: Path) -> bool | None:
    """Return what a ledger is of; None: of neither yet.

    Bare SQLite, for a moment only: `flatten` asks, whatever state the ledger is in.
    """
    if not ledger.exists():
        return None
    try:
        with closing(connect(ledger, create=False, read_only=True, busy_timeout_ms=_PATIENCE_MS)) as opened:
            meta = dict(opened.execute("SELECT key, value FROM meta WHERE key IN (?, 'kind')", (VENUE,)))
    except sqlite3.Error:
        return mark_beside(ledger).exists()
    if meta.get(VENUE) == OF_DRILL:
        return True
    return False if meta.get("kind") == _LIVE else None
