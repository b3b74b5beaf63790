"""What the ledger is told after a flatten by hand: that the book was closed, and at which prices.

A runner that is alive does both within a second, and pauses the desk. Where none is, whoever flattened does it here, so
that counts, reports and the incident know of it at once; the next run pauses the desk then.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.bounds import Posture
from engine.errors import LedgerError, VenueError
from engine.execution.fills import FillBook
from engine.execution.journal import Journal
from engine.execution.reconcile import OPENING
from engine.ledger import Event, Ledger
from engine.live.lock import holder
from engine.operations.incidents.demands import RESUME
from engine.verdict import canonical

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.flattened import FlattenReport
    from engine.execution.venue import Venue

FLATTEN = "flatten"
"""The kind of the event of a book that was closed; the facts flatten_events_* count them (A61)."""

BEGUN, BY_PERSON = "flatten_begun", "by a person"


async def note_aftermath(
    report: FlattenReport, path: Path, venue: Venue, clock: Clock, symbols: Collection[str]
) -> FlattenReport:
    """Record a flatten by hand, and the fills it came to; return the report, with what could not be recorded.

    Args:
        report: of the flatten.
        path: the ledger; it is there.
        venue: the account.
        clock: the time.
        symbols: of the configuration; what the ledger holds is added.
    """
    if holder(path) is not None:
        return report
    try:
        with Ledger.open(path) as ledger:
            openings = ledger.events(OPENING)
            if not openings:
                return report  # nothing was ever traded on this ledger
            _note(ledger, report)
            journal = Journal(ledger)
            book = FillBook(venue, journal, clock, since_ms=openings[0].at_ms)
            await book.take(sorted({*symbols, *journal.held()}))
    except LedgerError as error:
        return _unrecorded(report, str(error.problems[0]))
    except VenueError as error:
        why = f"the fills are not booked yet ({error.problems[0].problem}); the next `stagegate run` does it"
        return _unrecorded(report, why)
    return report


def halt_began_ms(ledger: Ledger, epoch_ms: int) -> int | None:
    """Return when the halt that lasts began to close the book; None: nobody has closed it since it was lifted last.

    Args:
        ledger: open.
        epoch_ms: of the posture in force: a restart ends a halt, too.

    Raises:
        LedgerError: it cannot be read.
    """
    resumed = ledger.events(RESUME, from_ms=epoch_ms)
    begun = ledger.events(BEGUN, from_ms=resumed[-1].at_ms if resumed else epoch_ms)
    return begun[0].at_ms if begun else None


def _note(ledger: Ledger, report: FlattenReport) -> None:
    """Record that the book was closed, once a halt: a flatten may be run again, and a paused desk is flat already."""
    postures = ledger.events("posture")
    if not postures:
        return
    posture = Posture.from_json(json.loads(postures[-1].document))
    began_ms = halt_began_ms(ledger, posture.epoch_ms)
    if posture.paused_since_ms is not None or (began_ms is not None and ledger.events(FLATTEN, from_ms=began_ms)):
        return
    at_ms = report.started_ms if began_ms is None else began_ms
    detail = {"reason": report.reason, "flat": report.flat}
    ledger.append(Event(f"{FLATTEN}-{at_ms}", at_ms, FLATTEN, BY_PERSON, canonical(detail)))


def _unrecorded(report: FlattenReport, why: str) -> FlattenReport:
    return replace(report, unrecorded="; ".join(filter(None, (report.unrecorded, why))))
