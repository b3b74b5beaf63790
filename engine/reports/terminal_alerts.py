"""Alerts in the terminal: where each stands, and what a test came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import iso
from engine.reports.tables import table
from engine.reports.terminal_tables import rich_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table as RichTable

    from engine.alerts.standing import AlertState, RouteState, Trial

_SECOND_MS = 1_000


def alerts_table(states: Sequence[AlertState]) -> RichTable | str:
    """Return alerts, oldest first, with one column a route."""
    if not states:
        return "nothing was ever told"
    routes = [one.route for one in states[0].routes]
    rows = [
        (iso(each.alert.at_ms)[:19], str(each.alert.severity), each.alert.what, *(_state(one) for one in each.routes))
        for each in states
    ]
    return rich_table(table(" | ".join(("=at", "!severity", "what", *routes)), rows))


def trials_text(trials: Sequence[Trial]) -> str:
    """Return what test alerts came to, a line a route."""
    return "\n".join(f"{_word(each):<5} {each.route:<12} {_came_to(each)}" for each in trials)


def _state(one: RouteState) -> str:
    if one.late_ms is not None:
        return f"{one.state} +{one.late_ms / _SECOND_MS:,.1f} s"
    return f"{one.state}, {one.failures} times" if one.failures else one.state


def _word(trial: Trial) -> str:
    return "ok" if trial.arrived else "FAIL"


def _came_to(trial: Trial) -> str:
    if trial.late_ms is not None:
        return f"taken after {trial.late_ms / _SECOND_MS:.2f} s"
    if trial.missing:
        return f"{' and '.join(trial.missing)} not set"
    return "not taken: wrong address or secret, or no way there; it stays queued and is tried again"
