"""A ledger of an older version brought up to this one's schema: asked for by a person, alone with it, after a copy.

No other command does it on its way: one that is refused would have changed the ledger all the same, and an older
version that still runs on it would find a ledger that it does not know.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.custody.alone import be_alone, take_outbox
from engine.errors import LedgerError
from engine.ledger import Ledger
from engine.ledger.schema import shipped_migrations
from engine.live.lock import InstanceLock

if TYPE_CHECKING:
    from pathlib import Path

    from engine.ledger.opening import Migrated

_WHAT = "ledger migrate"


@dataclass(frozen=True)
class UpToDate:
    """A ledger of this version's schema, and what was done for it; None: it was of it before."""

    ledger: Path
    schema: int
    migrated: Migrated | None


def migrate(ledger: Path, now_ms: int) -> UpToDate:
    """Bring a ledger's schema up to date; all of it in one transaction, or it stays as it was.

    Args:
        ledger: of the account.
        now_ms: the machine's time.

    Raises:
        UsageError: second-instance, in-use: something runs on it; nothing was changed.
        LedgerError: missing, no ledger, damaged, of a newer schema, or the disk does not take the copy.
    """
    newest = shipped_migrations()[-1].number
    if _is_of_today(ledger):
        return UpToDate(ledger, newest, None)
    with ExitStack() as stack:
        stack.enter_context(InstanceLock(ledger, _WHAT, now_ms))
        take_outbox(stack, ledger)
        be_alone(ledger)
        with Ledger.open(ledger, migrate=True) as opened:
            return UpToDate(ledger, newest, opened.migrated)


def _is_of_today(ledger: Path) -> bool:
    try:
        with Ledger.open(ledger, read_only=True):
            return True
    except LedgerError as error:
        if error.problems[0].code != "schema-older":
            raise
        return False


def migrated_text(done: UpToDate) -> str:
    """Return what was done, for people."""
    if done.migrated is None:
        return f"{done.ledger}: its schema is number {done.schema} already, there is nothing to do"
    return (
        f"{done.ledger}: its schema is number {done.schema} now, it was {done.migrated.before}\n"
        f"  the file before it is kept, checked, as {done.migrated.copy}\n"
        "  an older version of stagegate does not read this one any more: it would need that copy"
    )
