"""The ledger as it was, beside the incident: a copy by the backup API, checked, with its last rows (R171, A79)."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from engine.clock import iso
from engine.errors import LedgerError, Problem
from engine.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def copy_ledger(source: Path, folder: Path, at_ms: int) -> dict[str, Any]:
    """Copy a ledger to ``<stamp>_trading.db``, and show that the copy is whole and holds the last rows.

    Args:
        source: the ledger, in use.
        folder: made where it is missing.
        at_ms: the time, for the stamp.

    Returns:
        The copy's path, its number of events and verdicts, the last link of its audit trail, and whether that trail
        holds: what somebody altered before is evidence, and no reason to keep none.

    Raises:
        LedgerError: it cannot be copied, or the copy is not whole, or lacks what was written before it was begun.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"the folder cannot be made: {error.strerror or error}"
        raise LedgerError(Problem("cannot-open", str(folder), problem, "free the disk or its permissions")) from None
    with Ledger.open(source, read_only=True) as ledger, _claimed(folder, at_ms) as free:
        before, head = ledger.counts(), ledger.audit_head()
        target = ledger.backup(free)
    with Ledger.open(target, read_only=True) as copy:
        after, last, audit = copy.counts(), copy.audit_head(), _audit(copy)
    lost = [f"{before[name] - after[name]} rows of `{name}`" for name in before if after[name] < before[name]]
    if lost or last.length < head.length:
        help_ = "copy the ledger with its `-wal` file by hand"
        raise LedgerError(Problem("backup", str(target), f"the copy lacks {', '.join(lost) or 'events'}", help_))
    return {
        "path": str(target),
        "events": after["events"],
        "verdicts": after["verdicts"],
        "audit_length": last.length,
        "audit_sha256": last.sha256,
        "audit": audit,
    }


def _audit(copy: Ledger) -> str:
    try:
        copy.verify()
    except LedgerError as error:
        return error.problems[0].problem
    return "holds"


def stamp(at_ms: int) -> str:
    """Return the time as the SOP stamps files.

    >>> stamp(1667998800000)
    '20221109_1300'
    """
    return iso(at_ms)[:16].replace("-", "").replace(":", "").replace("T", "_")


@contextmanager
def _claimed(folder: Path, at_ms: int) -> Iterator[Path]:
    """Lend a name that nobody else takes meanwhile: a second copy within a minute says so in its name."""
    for number in count(1):
        path = folder / f"{stamp(at_ms)}{'' if number == 1 else f'-{number}'}_trading.db"
        claim = path.with_name(f".{path.name}.claim")
        try:
            claim.touch(exist_ok=False)
        except FileExistsError:
            continue
        try:
            if not path.exists():
                yield path
                return
        finally:
            claim.unlink(missing_ok=True)
