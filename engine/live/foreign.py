"""What stands at the venue and is not ours: positions, orders and stops that the ledger does not know (A64)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.execution.fills import FillBook
from engine.execution.journal import Journal
from engine.execution.reconcile import Kind, LedgerSide, differences, ledger_side, venue_side
from engine.ledger import Ledger
from engine.live.opening import launched_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.clock import Clock
    from engine.execution.reconcile import Difference
    from engine.execution.venue import Venue

_FOREIGN = (Kind.POSITION, Kind.ORDER, Kind.STOP)
_NOTHING = LedgerSide({}, frozenset(), {}, frozenset(), None)


async def unknown_to_us(
    venue: Venue, symbols: Sequence[str], ledger: Ledger | None, clock: Clock
) -> tuple[Difference, ...]:
    """Return what stands at the venue and is not in the ledger.

    What was filled while nobody looked (a stop that was hit) is ours, and not in the ledger yet: where something
    differs, the venue's history is booked on a copy of the ledger, and compared again. The ledger itself stays as it
    is.

    Args:
        venue: the account.
        symbols: that are traded.
        ledger: of the account; None: there is none yet, so all that stands is unknown.
        clock: the venue's.

    Raises:
        VenueError: the venue does not tell.
        LedgerError: the ledger cannot be read.
    """
    found = await _compared(venue, ledger)
    since_ms = None if ledger is None else launched_ms(ledger)
    if not found or ledger is None or since_ms is None:
        return found
    with (
        tempfile.TemporaryDirectory(prefix="stagegate-") as folder,
        Ledger.open(ledger.backup(Path(folder) / "ledger.db")) as copy,
    ):
        await FillBook(venue, Journal(copy), clock, since_ms=since_ms).take(symbols)
        return await _compared(venue, copy)


async def _compared(venue: Venue, ledger: Ledger | None) -> tuple[Difference, ...]:
    known = _NOTHING if ledger is None else ledger_side(Journal(ledger))
    found = differences(await venue_side(venue), known)
    return tuple(one for one in found if one.kind in _FOREIGN)
