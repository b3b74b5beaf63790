"""Looks after incidents: opens what is demanded, carries out what is due, says what is overdue, takes ticks.

Called again and again by the service, and for one step by a person; both at once do nothing twice.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from engine.errors import Problem, UsageError
from engine.ledger import Event, sha256_of
from engine.operations.incidents.book import SCREENSHOT, STEP, TICKED, StepRecord, Tick, find, incidents
from engine.operations.incidents.opening import open_demanded
from engine.operations.incidents.steps import carried_out
from engine.operations.incidents.telling import overdue_alert, tell_once
from engine.verdict import canonical

if TYPE_CHECKING:
    from pathlib import Path

    from engine.ledger import Ledger
    from engine.operations.incidents.book import Incident
    from engine.operations.incidents.steps import Means


class Caretaker:
    """Looks after the incidents of one ledger.

    Args:
        means: what the steps are carried out with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    async def carry_out_due(self, now_ms: int) -> tuple[tuple[str, StepRecord], ...]:
        """Open what is demanded, and carry out every step whose time has come.

        Args:
            now_ms: the time.

        Returns:
            The steps that were tried, each with the id of its incident.

        Raises:
            LedgerError: the ledger cannot be read or written.
            StagegateError: the log of incidents cannot be written; what is left is tried with the next call.
        """
        ledger = self._means.ledger
        open_demanded(ledger, self._means.papers, now_ms)
        tried: list[tuple[str, StepRecord]] = []
        for incident in incidents(ledger):
            if incident.closed is not None:
                continue
            for step in incident.overdue(now_ms):
                tell_once(ledger, overdue_alert(incident, step, now_ms), incident.recorded_ms)
            name = incident.incident_id
            tried += [(name, await self.carry_out(name, step)) for step in incident.due(now_ms)]
        return tuple(tried)

    async def carry_out(self, incident_id: str, step: str) -> StepRecord:
        """Carry one step out and record it with its time; one that is done is not done again.

        Raises:
            UsageError: no such incident, one that is closed, or no such step.
            LedgerError: the ledger cannot be read or written.
            StagegateError: the step is recorded, and the log of incidents cannot be written.
        """
        incident = _open(self._means.ledger, incident_id)
        if (done := incident.done(step)) is not None:
            return done
        record = await carried_out(step, incident, self._means)
        recorded = _record(self._means.ledger, incident.incident_id, record)
        if recorded.done:
            self._means.papers.log(self._means.ledger)
        return recorded


def tick(ledger: Ledger, incident_id: str, what: str, by: str, now_ms: int, file: Path | None = None) -> Incident:
    """Record that a person did something by hand (R172): it is demanded, and nothing else stands for it.

    Args:
        ledger: open for writing.
        incident_id: of an open incident.
        what: ``screenshot``.
        by: the person's name.
        now_ms: the time.
        file: the picture; its hash is recorded.

    Raises:
        UsageError: no such incident, one that is closed, nothing to be ticked, nobody named, or no such file.
        LedgerError: the ledger cannot be read or written.
    """
    incident = _open(ledger, incident_id)
    if what != SCREENSHOT:
        raise UsageError(Problem("no-tick", "WHAT", f"`{what}` is not a person's to tick", f"`{SCREENSHOT}` is"))
    if not by.strip():
        raise UsageError(Problem("nobody", "--by", "it does not say who did it", "name the person"))
    evidence = {}
    if file is not None:
        try:
            evidence = {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
            raise UsageError(Problem("unreadable", str(file), problem, "name the picture")) from None
    if what not in incident.ticks:
        said = Tick(what, by.strip(), now_ms, evidence)
        document = canonical({"what": said.what, "by": said.by, "evidence": said.evidence})
        name = f"{incident.incident_id}-{what}"
        ledger.append(Event(name, now_ms, TICKED, incident.incident_id, document))
    return find(ledger, incident.incident_id)


def _open(ledger: Ledger, incident_id: str) -> Incident:
    incident = find(ledger, incident_id)
    if incident.closed is not None:
        problem = f"it was closed by {incident.closed.by}"
        raise UsageError(
            Problem("closed", incident.incident_id, problem, "open another with `stagegate incident open`")
        )
    return incident


def _record(ledger: Ledger, incident_id: str, record: StepRecord) -> StepRecord:
    """Record an attempt; the same failure again is one, and what somebody else has done meanwhile stays as it is."""
    with ledger.transaction():
        incident = find(ledger, incident_id)
        if (done := incident.done(record.step)) is not None:
            return done
        before = incident.steps.get(record.step)
        if before is not None and (before.found, before.problems) == (record.found, record.problems):
            return record
        document = canonical({"step": record.step, "found": record.found, "problems": record.problems})
        attempt = "done" if record.done else f"{record.at_ms}-{sha256_of(document)[:6]}"
        name = f"{incident_id}-{record.step}-{attempt}"
        ledger.append(Event(name, record.at_ms, STEP, incident_id, document))
    return record
