"""Opening incidents: those that something demands, and those that a person wants."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.clock import MINUTE_MS, iso
from engine.errors import Problem, UsageError
from engine.ledger import Event
from engine.operations.incidents.book import OPENED, Incident, find, incidents
from engine.operations.incidents.demands import (
    BY_HAND,
    CRITICAL,
    FROM_OUTSIDE,
    HALT,
    SEVERITIES,
    Demand,
    Separators,
    covered,
    demands,
)
from engine.operations.incidents.telling import opening_alert
from engine.verdict import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.ledger import Ledger, VerdictRecord
    from engine.operations.incidents.papers import Papers

SERVICE = "stagegate"
"""Who opens what a verdict or a fault demands."""


def open_demanded(ledger: Ledger, papers: Papers, now_ms: int) -> tuple[Incident, ...]:
    """Open an incident for everything that demands one and has none; each with its alert, once however often called.

    Raises:
        LedgerError: the ledger cannot be read or written.
    """
    opened: list[Incident] = []
    known, separators = incidents(ledger), Separators.of(ledger)
    if all(covered(demand, known, separators) for demand in demands(ledger)):
        return ()
    with ledger.transaction():  # another process may be at it: from here on it waits
        known, separators = incidents(ledger), Separators.of(ledger)
        every = demands(ledger)
        for one in every:
            if not covered(one, (*known, *opened), separators):
                demand = _with_others(one, every)
                record = ledger.verdict(demand.verdict_id) if demand.verdict_id else None
                why = demand.why if record is None else _reason(demand, record, papers)
                opened.append(_open(ledger, demand, why or demand.trigger, SERVICE, now_ms, (*known, *opened)))
    return tuple(opened)


def open_by_hand(ledger: Ledger, *, severity: str, because: str, by: str, now_ms: int) -> Incident:
    """Open an incident that a person wants; it begins now.

    Raises:
        UsageError: no reason is given, or no such severity.
        LedgerError: the ledger cannot be written.
    """
    if severity not in SEVERITIES:
        help_ = f"one of {', '.join(SEVERITIES)}; CRITICAL where the book must be flat"
        raise UsageError(Problem("severity", "--severity", f"`{severity}` is no severity", help_))
    if not because.strip():
        raise UsageError(Problem("no-reason", "--because", "it does not say what happened", "say it in one line"))
    with ledger.transaction():
        known = incidents(ledger)
        demand = Demand(BY_HAND, now_ms, severity, BY_HAND, because, "", "")
        return _open(ledger, demand, because.strip(), by, now_ms, known)


def _reason(demand: Demand, record: VerdictRecord, papers: Papers) -> str:
    """Return why a verdict was what it was, and behind it what a person who closed the book said."""
    ours = demand.trigger != FROM_OUTSIDE or record.outcome in demand.why
    return papers.why(record) if ours or not demand.why else f"{papers.why(record)}; told: {demand.why}"


def _with_others(demand: Demand, every: Iterable[Demand]) -> Demand:
    """Return a demand with what others of the same trouble and minute know of it: a reason, a verdict."""
    same = [one for one in every if one.key == demand.key and 0 <= one.at_ms - demand.at_ms <= MINUTE_MS]
    return replace(
        demand,
        why=next((one.why for one in same if one.why), ""),
        verdict_id=next((one.verdict_id for one in same if one.verdict_id), ""),
    )


def _open(ledger: Ledger, demand: Demand, why: str, by: str, now_ms: int, known: Iterable[Incident]) -> Incident:
    day = iso(demand.at_ms)[:10].replace("-", "")
    number = sum(incident.incident_id.startswith(f"INC-{day}-") for incident in known) + 1
    # a hard stop by hand is a halt like any other
    key = HALT if demand.severity == CRITICAL else demand.key
    document = {
        "key": key,
        "severity": demand.severity,
        "trigger": demand.trigger,
        "why": why,
        "verdict_id": demand.verdict_id,
        "source": demand.source,
        "t0_ms": demand.at_ms,
        "by": by,
    }
    name = f"INC-{day}-{number:02d}"
    recorded_ms = max(now_ms, demand.at_ms)
    ledger.append(Event(name, recorded_ms, OPENED, name, canonical(document)))
    incident = find(ledger, name)
    ledger.append(opening_alert(incident).row())
    return incident
