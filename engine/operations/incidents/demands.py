"""What demands an incident, as the ledger tells it: hard stops, reductions, differences, orders by force, engines.

A demand has a key: what it is about. The same trouble again is the same incident, until something lies between.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.bounds import INCIDENT, RESTART
from engine.execution.fills import FORCED
from engine.execution.journal import FOREIGN
from engine.execution.reconcile import DIFFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.ledger import Event, Ledger
    from engine.operations.incidents.book import Incident

CRITICAL, HIGH, MEDIUM = "CRITICAL", "HIGH", "MEDIUM"
SEVERITIES = (CRITICAL, HIGH, MEDIUM)
"""A85, worst first. A critical one demands a flat book."""

BY_HAND = "by hand"
"""The trigger of an incident that a person wants; it closes nothing by itself, so it covers less than a halt."""

HALT = "halt"
"""The key of everything that closes the book: until the restart it is one incident, whoever says so."""

FLATTEN, BEGUN, ENDED = "flatten", "flatten_begun", "flatten_ended"
EPISODE_END = "episode_end"
RESUME = "resume"
"""The kind of the event of a permit granted again: it also ends a halt on which no restart was demanded."""

RISK = "risk"

FROM_OUTSIDE = "FLATTEN"
"""What triggers the incident of a book that was begun to be closed before any policy was heard."""


@dataclass(frozen=True)
class Demand:
    """Something that must have an incident.

    Attributes:
        key: what it is about.
        at_ms: of the breach's mark (A86).
        severity: CRITICAL, HIGH or MEDIUM (A85).
        trigger: the outcome, or what was found.
        why: in words, as far as the event says.
        verdict_id: of the verdict behind it; empty: none is.
        source: the event's id.
    """

    key: str
    at_ms: int
    severity: str
    trigger: str
    why: str
    verdict_id: str
    source: str


@dataclass(frozen=True)
class Separators:
    """What lies between two incidents of one kind: restarts and resumes, and ends of episodes; sorted."""

    restarts_ms: tuple[int, ...]
    recoveries_ms: tuple[int, ...]

    @classmethod
    def of(cls, ledger: Ledger) -> Separators:
        """Return those of a ledger.

        Raises:
            LedgerError: it cannot be read.
        """
        restarts, ends = [*ledger.events(RESTART), *ledger.events(RESUME)], ledger.events(EPISODE_END)
        return cls(tuple(sorted(event.at_ms for event in restarts)), tuple(event.at_ms for event in ends))

    def between(self, demand: Demand, incident: Incident) -> bool:
        """Return whether a restart, or of a reduction its end, lies between an incident and what demands one."""
        low_ms, high_ms = sorted((incident.opened_ms, demand.at_ms))
        recoveries_ms = self.recoveries_ms if incident.severity == HIGH else ()
        return any(low_ms < at_ms <= high_ms for at_ms in (*self.restarts_ms, *recoveries_ms))


def demands(ledger: Ledger) -> tuple[Demand, ...]:
    """Return everything in a ledger that demands an incident, oldest first, the worst of one instant first.

    Raises:
        LedgerError: it cannot be read.
    """
    found = [
        *_declared(ledger.events(INCIDENT)),
        *(_closed(event, event.subject) for event in ledger.events(FLATTEN)),
        *(_closed(event, FROM_OUTSIDE) for event in ledger.events(BEGUN)),
        *_differences(ledger),
    ]
    return tuple(sorted(found, key=lambda demand: (demand.at_ms, SEVERITIES.index(demand.severity))))


def covered(demand: Demand, incidents: Iterable[Incident], separators: Separators) -> bool:
    """Return whether what demands an incident has one: its own, or that of a halt which lasts."""
    return any(_covers(incident, demand, separators) for incident in incidents)


def _covers(incident: Incident, demand: Demand, separators: Separators) -> bool:
    if separators.between(demand, incident):
        return False
    if incident.key == HALT and incident.trigger != BY_HAND:  # also once it is closed: flat until the restart
        return demand.key == HALT or demand.at_ms >= incident.opened_ms
    over = incident.closed is not None and incident.closed.at_ms <= demand.at_ms
    return incident.key == demand.key and not over


def _declared(events: Sequence[Event]) -> Iterator[Demand]:
    """Yield what a policy's effect `incident:`, or engines that differ, recorded."""
    for event in events:
        detail = _detail(event)
        severity = str(detail.get("severity", MEDIUM))
        verdict_id = str(detail.get("verdict_id") or detail.get("decision_id") or "")
        key = HALT if severity == CRITICAL else event.subject
        yield Demand(key, event.at_ms, severity, event.subject, "", verdict_id, event.event_id)


def _closed(event: Event, trigger: str) -> Demand:
    detail = _detail(event)
    why = str(detail.get("reason") or (event.subject if event.kind == BEGUN else ""))
    verdict_id = str(detail.get("verdict_id") or "")
    return Demand(HALT, event.at_ms, CRITICAL, trigger, why, verdict_id, event.event_id)


def _differences(ledger: Ledger) -> Iterator[Demand]:
    for event in ledger.events(DIFFERENCE):
        found = json.loads(event.document)
        if isinstance(found, list):  # the venue held against the ledger
            said = "; ".join(f"{one['kind']}: venue {one['venue']}, ledger {one['ledger']}" for one in found)
            key = trigger = f"difference {event.subject}"
            yield Demand(key, event.at_ms, MEDIUM, trigger, said, "", event.event_id)
            continue
        fills = ledger.fills(RISK, event.at_ms, event.at_ms + 1)
        reason = next((fill.reason for fill in fills if fill.fill_id == event.subject), FOREIGN)
        what = f"{found['what']}: {event.subject}"
        trigger = "order by force" if reason == FORCED else "order of somebody else"
        yield Demand(trigger, event.at_ms, MEDIUM, trigger, what, "", event.event_id)


def _detail(event: Event) -> dict[str, Any]:
    found = json.loads(event.document)
    return found if isinstance(found, dict) else {}
