"""The ledger's events in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.reports.numbers import minute_text, number, usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.ledger import Event

SKIPPED = "order_skipped"
_SILENT = {SKIPPED, "posture", "bar", "report", "alert_sent", "alert_route"}
"""Counted elsewhere; bookkeeping of bounds, bars, reports and the delivery of alerts."""

_TITLES = {
    "bounds": "bounds set",
    "approval_requested": "approval asked for",
    "approval_given": "approved",
    "approval_withdrawn": "request withdrawn",
    "episode_start": "episode begins",
    "episode_end": "episode ends",
    "flatten": "book flattened",
    "restart": "restart",
    "scale_up": "cap raised",
    "incident": "incident",
    "entries_halted": "halted, what stands is left",
    "flatten_begun": "flatten begun",
    "flatten_ended": "flatten ended",
    "resume": "halt lifted",
    "stage": "stage changed",
    "sleeve_restart": "sleeve waits for a fresh signal",
    "venue_opening": "cash of the account noted",
    "canary": "dead-man timer tried",
    "difference": "venue and ledger differ",
    "difference_gone": "venue and ledger agree again",
    "outage": "venue away",
    "outage_ended": "venue back",
    "launch_guard": "launch guard",
    "acknowledged": "warning acknowledged",
    "waiver": "waived",
    "adopted": "position adopted",
    "transfer": "cash moved at the venue",
    "fee_in_other_asset": "fee in another asset",
    "telegram_command": "command by chat",
    "alert_failing": "alert not delivered",
    "review": "review held",
    "consistency": "signals compared",
}
_SHOWN = (
    "severity",
    "rule",
    "reason",
    "period",
    "decision",
    "by",
    "approvals",
    "from_stage",
    "stage",
    "exposure",
    "cap_usd",
    "entries",
)


def details(event: Event) -> Mapping[str, Any]:
    """Return an event's details; empty where its document is no JSON object."""
    try:
        data = json.loads(event.document)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def timeline(events: Iterable[Event]) -> list[tuple[str, str, str]]:
    """Return time, what happened, and details, oldest first; bookkeeping left out."""
    return [
        (minute_text(event.at_ms), _what(event), _details_text(details(event)))
        for event in events
        if event.kind not in _SILENT
    ]


def _what(event: Event) -> str:
    title = _TITLES.get(event.kind, event.kind.replace("_", " "))
    return f"{title}: {event.subject}" if event.subject and event.kind != "bounds" else title


def _details_text(values: Mapping[str, Any]) -> str:
    return ", ".join(_detail(key, values[key]) for key in _SHOWN if values.get(key) is not None)


def _detail(key: str, value: Any) -> str:
    if key == "cap_usd":
        return f"cap {usd(float(value), 0)}"
    if isinstance(value, float):
        return f"{key} {number(value, 2).rstrip('0').rstrip('.')}"
    if key == "approvals":
        return f"{value} needed"
    return str(value) if key in {"reason", "severity", "rule"} else f"{key.replace('_', ' ')} {value}"
