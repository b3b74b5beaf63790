"""The four steps of SOP §5.1, each one act that can be tried again; what it found is its record.

T+0 reads how the book was closed; T+5 asks the venue; T+15 keeps evidence; T+30 tells the team. None waits for another,
and a part of one that succeeded is not done again.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import Problem, StagegateError, UnavailableError, UsageError
from engine.operations.incidents.book import ACT, ASSESS, CONFIRM, STEPS, TELL, StepRecord
from engine.operations.incidents.evidence import copy_ledger, stamp
from engine.operations.incidents.flattening import flattening
from engine.operations.incidents.telling import COPY, opening_alert, summary_alert, tell_once
from engine.operations.incidents.venue_check import look

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from engine.clock import Clock
    from engine.execution.venue import Venue
    from engine.ledger import Ledger
    from engine.operations.incidents.book import Incident
    from engine.operations.incidents.papers import Papers

    Act = Callable[[Incident, "Means"], Awaitable[Any]]

ALERT, FLAT, ACCOUNT, SNAPSHOT, REPORT, LOG, WRITE_UP = (
    "alert",
    "flat",
    "account",
    "snapshot",
    "report",
    "log",
    "post_mortem",
)
"""The parts of the steps, beside `COPY`."""

BY_HAND = "`stagegate flatten`; or close every position and cancel every order in the venue's web interface, now"


@dataclass(frozen=True)
class Means:
    """What the steps are carried out with.

    Attributes:
        ledger: open for writing.
        clock: the time.
        papers: reports and exports.
        venue: the account; None: it cannot be asked, and what needs it fails and says so.
        unreached: why there is no venue.
    """

    ledger: Ledger
    clock: Clock
    papers: Papers
    venue: Venue | None = None
    unreached: str = "no venue is connected"

    @property
    def account(self) -> Venue:
        """The venue.

        Raises:
            UnavailableError: there is none.
        """
        if self.venue is None:
            raise UnavailableError(Problem("no-venue", "the account", self.unreached))
        return self.venue


class _NotYetError(StagegateError):
    """A step looked and found that it is not done."""


async def carried_out(step: str, incident: Incident, means: Means) -> StepRecord:
    """Carry a step out, and return its record; what goes wrong is part of it.

    Raises:
        UsageError: there is no such step.
    """
    if step not in _PARTS:
        help_ = f"one of {', '.join(STEPS)}"
        raise UsageError(Problem("no-step", "STEP", f"`{step}` is no step of an incident", help_))
    before = incident.steps.get(step)
    found: dict[str, Any] = dict(before.found) if before else {}
    problems = []
    for name, act in _PARTS[step].items():
        if name in found:
            continue
        try:
            found[name] = await act(incident, means)
        except StagegateError as error:
            problems.append(f"{name}: {error.problems[0].problem}")
    return StepRecord(step, means.clock.now_ms(), found, tuple(problems))


async def _told(incident: Incident, means: Means) -> str:
    return tell_once(means.ledger, opening_alert(incident), incident.recorded_ms)


async def _flat(incident: Incident, means: Means) -> dict[str, Any]:
    """Say how the book was closed: in five minutes, counted from the breach's mark (R160)."""
    if not incident.demands_flat:
        return {"demanded": False}
    closed = flattening(means.ledger, incident)
    if closed is None:
        raise _NotYetError(Problem("not-flat", incident.incident_id, f"nothing shows that the book is flat: {BY_HAND}"))
    return closed.to_json(incident.opened_ms, incident.limit_ms(ACT))


async def _account(incident: Incident, means: Means) -> dict[str, Any]:
    """Say what the venue shows: every position 0, every order gone, ordinary and conditional; the balance."""
    stand = await look(means.account, means.clock)
    if incident.demands_flat and stand.left:
        problem = f"NOT FLAT: {', '.join(stand.left)}: {BY_HAND}"
        raise _NotYetError(Problem("not-flat", incident.incident_id, problem))
    return stand.to_json()


async def _copy(_: Incident, means: Means) -> dict[str, Any]:
    return await asyncio.to_thread(copy_ledger, means.ledger.path, means.papers.folder, means.clock.now_ms())


async def _snapshot(incident: Incident, means: Means) -> str:
    """Write what the venue says of the account and of the last movements of cash (A83)."""
    venue = means.account
    stand = await look(venue, means.clock)
    income, marks = await venue.income(incident.opened_ms), await venue.mark_prices()
    document = {
        "incident": incident.incident_id,
        **stand.to_json(),
        "mark_prices": {symbol: f"{mark.price:f}" for symbol, mark in marks.items()},
        "income": [
            {
                "kind": one.kind,
                "symbol": one.symbol,
                "amount": f"{one.amount:f}",
                "asset": one.asset,
                "at_ms": one.at_ms,
            }
            for one in income
        ],
    }
    name = f"{stamp(stand.at_ms)}_{incident.incident_id}_venue.json"
    return str(means.papers.save(name, json.dumps(document, indent=2, sort_keys=True) + "\n"))


async def _report(_: Incident, means: Means) -> list[str]:
    files = await asyncio.to_thread(means.papers.daily, means.ledger.path, means.clock.now_ms())
    return [str(path) for path in files]


async def _summary(incident: Incident, means: Means) -> str:
    alert = summary_alert(incident, means.clock.now_ms(), means.papers.folder)
    return tell_once(means.ledger, alert, incident.recorded_ms)


async def _log(_: Incident, means: Means) -> str:
    return str(means.papers.log(means.ledger))


async def _write_up(incident: Incident, means: Means) -> str:
    return str(means.papers.post_mortem(means.ledger, incident.incident_id, means.clock.now_ms()))


_PARTS: Mapping[str, Mapping[str, Act]] = {
    ACT: {ALERT: _told, FLAT: _flat},
    CONFIRM: {ACCOUNT: _account},
    ASSESS: {COPY: _copy, SNAPSHOT: _snapshot, REPORT: _report, WRITE_UP: _write_up},
    TELL: {ALERT: _summary, LOG: _log, WRITE_UP: _write_up},
}
