"""What time it is for an account: a simulated venue has a time of its own, and a rehearsal's stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import SimulatedClock, SystemClock
from engine.drill import OF_DRILL, VENUE
from engine.errors import UsageError
from engine.inquiry import now_of
from engine.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from engine.clock import Clock

_LIVE, _REHEARSAL = "live", "rehearsal"


def clock_of(ledger: Ledger, path: Path | None = None) -> Clock:
    """Return the time of a ledger's account; of one that cannot be reached, or is none, the machine's.

    Args:
        ledger: open.
        path: beside which its venue is announced; None: the ledger's own.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    meta, real = ledger.meta(), SystemClock()
    kind = meta.get("kind", _LIVE if meta.get(VENUE) == OF_DRILL else "")
    if kind == _REHEARSAL:
        return SimulatedClock(now_of(ledger, real))
    from engine.live.connection import MODES, connection  # noqa: PLC0415 - keeps `verdict` of a rehearsal fast

    try:
        said = connection(MODES[kind], path or ledger.path).announcement if kind in MODES else None
    except UsageError:
        said = None
    return SimulatedClock(said.simulated_ms(real.now_ms())) if said is not None and said.paced else real


def clock_at(ledger: Path) -> Clock:
    """Return the time of the account of a ledger that is not open; where there is none, the machine's.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    if not ledger.is_file():
        return SystemClock()
    with Ledger.open(ledger, read_only=True) as opened:
        return clock_of(opened)
