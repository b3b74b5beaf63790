"""The incidents of a ledger: what its events say of each of them, put together."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.bounds import RESTART
from engine.clock import MINUTE_MS
from engine.errors import Problem, UsageError
from engine.operations.incidents.demands import CRITICAL, HALT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.ledger import Event, Ledger

OPENED = "incident_opened"
STEP = "incident_step"
TICKED = "incident_ticked"
WRITTEN = "post_mortem"
GRANTED = "restart_granted"
CLOSED = "incident_closed"
"""The kinds of the events; but for the first, whose id it is, their subject is the incident."""

ACT, CONFIRM, ASSESS, TELL = "T+0", "T+5", "T+15", "T+30"
STEPS = (ACT, CONFIRM, ASSESS, TELL)
"""SOP §5.1; the name of a step is its time in minutes after the breach's mark (A86)."""

SCREENSHOT = "screenshot"
"""What a person ticks: the exchange's position page was photographed (R172)."""

OVERDUE_AFTER_MS = MINUTE_MS
"""A step that is still to be done so long after its time is overdue."""


@dataclass(frozen=True)
class StepRecord:
    """One attempt at a step: what was found, and what is still wrong; `problems` empty: it is done."""

    step: str
    at_ms: int
    found: Mapping[str, Any]
    problems: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self.problems


@dataclass(frozen=True)
class Tick:
    """A person says that something was done by hand, and what shows it."""

    what: str
    by: str
    at_ms: int
    evidence: Mapping[str, str]


@dataclass(frozen=True)
class Grant:
    """A restart that the policy allowed, of one waiting request.

    Attributes:
        at_ms: when.
        request: kind, subject and time of what the desk waits for.
        verdict_id: of the restart policy.
        valid_until_ms: afterwards it must be asked for anew.
        stage: to restart at.
        cap_usd: its capital.
        signers: who signed.
    """

    at_ms: int
    request: tuple[str, str, int]
    verdict_id: str
    valid_until_ms: int
    stage: int
    cap_usd: float
    signers: tuple[str, ...]


@dataclass(frozen=True)
class Closing:
    """The end of an incident: when, and who closed it."""

    at_ms: int
    by: str


@dataclass(frozen=True)
class Incident:
    """One incident.

    Attributes:
        incident_id: ``INC-20221109-01`` (A85).
        key: what it is about, see `demands`.
        severity: CRITICAL, HIGH or MEDIUM.
        trigger: the outcome, or what was found.
        why: in words.
        verdict_id: of the verdict behind it; empty: none is.
        opened_ms: T+0: the breach's mark (A86).
        recorded_ms: when it was opened.
        by: who opened it.
        steps: the latest record of each step that was tried.
        ticks: what people did by hand.
        written: the human part of the post-mortem as recorded last; None: never.
        granted: the last grant of its restart; None: none.
        restarted_ms: when the desk was restarted after it; None: not, or nothing was closed.
        closed: its end; None: it is open.
    """

    incident_id: str
    key: str
    severity: str
    trigger: str
    why: str
    verdict_id: str
    opened_ms: int
    recorded_ms: int
    by: str
    steps: Mapping[str, StepRecord] = field(default_factory=dict)
    ticks: Mapping[str, Tick] = field(default_factory=dict)
    written: Mapping[str, Any] | None = None
    granted: Grant | None = None
    restarted_ms: int | None = None
    closed: Closing | None = None

    @property
    def demands_flat(self) -> bool:
        """Whether the book must be flat."""
        return self.severity == CRITICAL

    @property
    def state(self) -> str:
        """Say it in one word: closed, restarted or open."""
        if self.closed is not None:
            return "closed"
        return "restarted" if self.restarted_ms is not None else "open"

    @property
    def ended_ms(self) -> int | None:
        """When it was over: restarted, else closed; None: it is not."""
        closed_ms = None if self.closed is None else self.closed.at_ms
        return self.restarted_ms if self.restarted_ms is not None else closed_ms

    def done(self, step: str) -> StepRecord | None:
        """Return the record of a step that is done; None: it is not."""
        record = self.steps.get(step)
        return record if record is not None and record.done else None

    @property
    def left(self) -> tuple[str, ...]:
        """The steps that are still to be done, in order."""
        return tuple(step for step in STEPS if self.done(step) is None)

    @property
    def unticked(self) -> tuple[str, ...]:
        """What a person has still to do and to tick."""
        return (SCREENSHOT,) if self.demands_flat and SCREENSHOT not in self.ticks else ()

    def due_ms(self, step: str) -> int:
        """Return when a step, or what a person does in it, is due."""
        return self.opened_ms + int((ASSESS if step == SCREENSHOT else step).removeprefix("T+")) * MINUTE_MS

    def limit_ms(self, step: str) -> int:
        """Return when it is overdue: flat within five minutes (R160), a picture by T+30, all else after a minute."""
        if step == ACT:
            return self.due_ms(CONFIRM)
        return self.due_ms(TELL) if step == SCREENSHOT else self.due_ms(step) + OVERDUE_AFTER_MS

    def due(self, now_ms: int) -> tuple[str, ...]:
        """Return the steps whose time has come."""
        return tuple(step for step in self.left if self.due_ms(step) <= now_ms)

    def overdue(self, now_ms: int) -> tuple[str, ...]:
        """Return the steps and ticks that should have been there by now."""
        return tuple(step for step in (*self.left, *self.unticked) if self.limit_ms(step) < now_ms)


def incidents(ledger: Ledger) -> tuple[Incident, ...]:
    """Return every incident of a ledger, oldest first.

    Raises:
        LedgerError: it cannot be read.
    """
    found = {event.event_id: _opened(event) for event in ledger.events(OPENED)}
    for kind, take in _TAKE.items():
        for event in ledger.events(kind):
            incident = found.get(event.subject)
            if incident is not None:
                found[event.subject] = take(incident, event, json.loads(event.document))
    restarts_ms = [event.at_ms for event in ledger.events(RESTART)]
    for name, incident in found.items():
        if incident.key == HALT:
            after = next((at_ms for at_ms in restarts_ms if at_ms > incident.opened_ms), None)
            found[name] = replace(incident, restarted_ms=after)
    return tuple(sorted(found.values(), key=_order))


def find(ledger: Ledger, incident_id: str) -> Incident:
    """Return one incident by its id, or by a part of it that no other has.

    Raises:
        UsageError: none, or more than one, has it.
        LedgerError: it cannot be read.
    """
    every = incidents(ledger)
    named = [incident for incident in every if incident.incident_id == incident_id]
    found = named or [incident for incident in every if incident_id in incident.incident_id]
    if len(found) == 1:
        return found[0]
    problem = f"{'no incident has' if not found else f'{len(found)} incidents have'} `{incident_id}` in its name"
    raise UsageError(Problem("no-incident", str(ledger.path), problem, "`stagegate incident list` lists them"))


def _order(incident: Incident) -> tuple[str, int]:
    day, _, number = incident.incident_id.rpartition("-")
    return day, int(number)


def _opened(event: Event) -> Incident:
    said = json.loads(event.document)
    told = {name: said[name] for name in ("key", "severity", "trigger", "why", "verdict_id", "by")}
    return Incident(event.event_id, opened_ms=said["t0_ms"], recorded_ms=event.at_ms, **told)


def _stepped(incident: Incident, event: Event, said: Mapping[str, Any]) -> Incident:
    record = StepRecord(said["step"], event.at_ms, said["found"], tuple(said["problems"]))
    if incident.done(record.step):  # done is done
        return incident
    return replace(incident, steps={**incident.steps, record.step: record})


def _ticked(incident: Incident, event: Event, said: Mapping[str, Any]) -> Incident:
    tick = Tick(said["what"], said["by"], event.at_ms, said["evidence"])
    return replace(incident, ticks={tick.what: tick, **incident.ticks})


def _written(incident: Incident, _: Event, said: Mapping[str, Any]) -> Incident:
    return replace(incident, written=said)


def _granted(incident: Incident, event: Event, said: Mapping[str, Any]) -> Incident:
    values = {**said, "request": tuple(said["request"]), "signers": tuple(said["signers"])}
    return replace(incident, granted=Grant(at_ms=event.at_ms, **values))


def _closed(incident: Incident, event: Event, said: Mapping[str, Any]) -> Incident:
    return replace(incident, closed=Closing(event.at_ms, said["by"]))


_TAKE = {STEP: _stepped, TICKED: _ticked, WRITTEN: _written, GRANTED: _granted, CLOSED: _closed}
