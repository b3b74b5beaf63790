"""Alerts of incidents: each thing is told once, however often it is tried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.alerts.alert import QUEUED, Alert, Severity
from engine.clock import SECOND_MS, iso
from engine.operations.incidents.book import ACT, ASSESS, CONFIRM, SCREENSHOT, TELL
from engine.operations.incidents.demands import BY_HAND, CRITICAL, HIGH, MEDIUM

if TYPE_CHECKING:
    from pathlib import Path

    from engine.ledger import Ledger
    from engine.operations.incidents.book import Incident

LOUDNESS = {CRITICAL: Severity.CRITICAL, HIGH: Severity.HIGH, MEDIUM: Severity.WARN}
"""How an incident of a severity is told."""

COPY = "copy"
"""The part of T+15 that is told: where the copy of the ledger lies."""


def tell_once(ledger: Ledger, alert: Alert, since_ms: int) -> str:
    """Queue an alert unless one of its subject was queued since a time; return the id of the one that is.

    Raises:
        LedgerError: the ledger cannot be read or written.
    """
    for row in ledger.events(QUEUED, from_ms=since_ms):
        if json.loads(row.document)["subject"] == alert.subject:
            return row.event_id
    ledger.append(alert.row())
    return alert.alert_id


def opening_alert(incident: Incident) -> Alert:
    """Return the alert of T+0."""
    lines = [("why", incident.why), ("do", f"read `stagegate incident show {incident.incident_id}`")]
    if incident.trigger == BY_HAND:
        lines.insert(1, ("done", "nothing is closed by this: `stagegate flatten` closes everything"))
    elif incident.demands_flat:
        lines.insert(1, ("done", "everything is being closed; T+5 looks whether the venue shows nothing"))
    what = f"{incident.trigger}: incident {incident.incident_id}"
    return Alert(incident.recorded_ms, LOUDNESS[incident.severity], incident.incident_id, what, tuple(lines))


def overdue_alert(incident: Incident, step: str, now_ms: int) -> Alert:
    """Return the alert of a step that should have been done by now."""
    record = incident.steps.get(step)
    late_s = (now_ms - incident.due_ms(step)) // SECOND_MS
    why = "; ".join(record.problems) if record else "nobody has carried it out"
    do = f"`stagegate incident step {incident.incident_id} {step}`"
    if step == SCREENSHOT:
        why = "nobody has ticked it"
        do = f"photograph the venue's position page, then `stagegate incident tick {incident.incident_id} {step}`"
    what = f"{incident.incident_id}: {step} is overdue since {iso(incident.due_ms(step))}, by {late_s:,} s"
    subject = f"{incident.incident_id} {step} overdue"
    return Alert(now_ms, LOUDNESS[incident.severity], subject, what, (("why", why), ("do", do)))


def summary_alert(incident: Incident, now_ms: int, folder: Path) -> Alert:
    """Return what the team is told at T+30 (R174)."""
    name = incident.incident_id
    lines = [("why", incident.why)]
    closed, stand, kept = (incident.done(step) for step in (ACT, CONFIRM, ASSESS))
    if closed is not None and "verified_ms" in closed.found["flat"]:
        after_s = (closed.found["flat"]["verified_ms"] - incident.opened_ms) / SECOND_MS
        lines.append(("done", f"flat {after_s:.1f} s after the breach"))
    if stand is not None:
        seen = stand.found["account"]
        held, standing = len(seen["positions"]), len(seen["orders"]) + len(seen["stops"])
        lines.append(("venue", f"{held} positions; {standing} orders and stops; seen {seen['at']}"))
        lines.append(("balance", f"{float(seen['margin_usd']):,.2f} USDT"))
    if kept is not None:
        lines.append(("kept", str(kept.found[COPY]["path"])))
    missing = [
        *(step for step in incident.left if step != TELL),
        *(f"{tick}, to be ticked" for tick in incident.unticked),
    ]
    if missing:
        lines.append(("missing", "; ".join(missing)))
    lines.append(("do", f"fill in the post-mortem of {name} in {folder}, then `stagegate incident close {name}`"))
    what = f"{incident.trigger}: summary of {name}"
    return Alert(now_ms, LOUDNESS[incident.severity], f"{name} summary", what, tuple(lines))
