"""Where alerts stand: which are sent and how late, which wait, and which routes do not take theirs."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.alerts.alert import FAILING, QUEUED, SENT, Alert, Severity
from engine.alerts.outbox import deliver_alerts, routes_begun
from engine.clock import elapsed_s, iso
from engine.errors import Problem, UsageError
from engine.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.alerts.routes import Route
    from engine.alerts.settings import AlertSettings
    from engine.clock import Clock

DELIVERED, COUNTED, WAITING, REFUSED, UNSET, NOT_ITS = "sent", "counted", "queued", "failing", "not set", "-"
TRIAL = "alerts test"
_LOOK_S = 0.05


@dataclass(frozen=True)
class RouteState:
    """How one alert stands on one route.

    Attributes:
        route: its name.
        state: sent, counted (in a later message of the same), queued, failing, not set (its variables), or - where it
            does not go there.
        late_ms: from queued to sent; None: it is not.
        failures: of the route in a row.
    """

    route: str
    state: str
    late_ms: int | None = None
    failures: int = 0


@dataclass(frozen=True)
class AlertState:
    """One alert, and how it stands on each route."""

    alert: Alert
    routes: tuple[RouteState, ...]


@dataclass(frozen=True)
class Trial:
    """What a test alert came to on one route; `missing` are environment variables that are not set."""

    route: str
    state: str
    late_ms: int | None
    missing: tuple[str, ...]

    @property
    def arrived(self) -> bool:
        """Whether the service took it."""
        return self.state == DELIVERED


def alert_states(
    ledger: Ledger, routes: Sequence[Route], environ: Mapping[str, str], *, last: int | None = None
) -> tuple[AlertState, ...]:
    """Return the alerts in the order of queueing, each with how it stands on every route.

    Args:
        ledger: where they are queued.
        routes: where they go.
        environ: the environment, for the addresses' secrets.
        last: only the latest so many.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    rows = ledger.events_after(0, (QUEUED,))
    noted = ((event.subject, _said(event.document)) for event in ledger.events(SENT))
    sent = {(route, said["alert_id"]): said for route, said in noted}
    begun = routes_begun(ledger)
    failing = {route.name: _failures(ledger, route) for route in routes}

    def state(place: int, alert: Alert, route: Route) -> RouteState:
        said = sent.get((route.name, alert.alert_id))
        if said is not None:
            return RouteState(route.name, COUNTED if "with" in said else DELIVERED, said["late_ms"])
        if not route.takes(alert) or place <= begun.get(route.name, 0):
            return RouteState(route.name, NOT_ITS)
        if route.url.resolve(environ) is None:
            return RouteState(route.name, UNSET)
        failures = failing[route.name]
        return RouteState(route.name, REFUSED if failures else WAITING, failures=failures)

    alerts = [(place, Alert.from_row(row)) for place, row in (rows if last is None else rows[-last:])]
    return tuple(AlertState(alert, tuple(state(place, alert, route) for route in routes)) for place, alert in alerts)


async def try_routes(
    path: Path,
    settings: AlertSettings,
    environ: Mapping[str, str],
    clock: Clock,
    only: str | None = None,
    *,
    within_s: float,
) -> tuple[Trial, ...]:
    """Send a test alert on every route, or on one, and wait for its delivery (R054).

    Whoever delivers this ledger's alerts delivers these as well; where nobody does, it is done here.

    Args:
        path: of the ledger.
        settings: where alerts go.
        environ: the environment, for the addresses' secrets.
        clock: the time.
        only: the name of a route; None: all.
        within_s: how long a delivery may take.

    Raises:
        UsageError: no-route: there is none at all, or none of this name.
        LedgerError: there is no ledger, or the alerts cannot be queued.
    """
    routes = [route for route in settings.routes if only in {None, route.name}]
    if not routes:
        names = ", ".join(f"`{route.name}`" for route in settings.routes) or "none"
        problem = "there is no route for alerts" if only is None else f"there is no route `{only}`"
        raise UsageError(Problem("no-route", "--route", problem, f"routes here: {names}; config/alerts.example.yaml"))
    with Ledger.open(path) as ledger:
        alerts = {route.name: _test_alert(route, clock.now_ms()) for route in routes}
        reachable = {route.name for route in routes if route.url.resolve(environ) is not None}
        ledger.append([alert.row() for name, alert in alerts.items() if name in reachable])
        stop = asyncio.Event()
        delivering = asyncio.ensure_future(deliver_alerts(path, settings, environ, clock, stop))
        begun_s = elapsed_s()
        late: dict[str, int] = {}
        while late.keys() != reachable and elapsed_s() - begun_s < within_s:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(delivering), _LOOK_S)
            late = _late_ms(ledger, {name: alerts[name] for name in reachable})
        stop.set()
        await delivering
    return tuple(
        Trial(
            route.name,
            DELIVERED if route.name in late else REFUSED if route.name in reachable else UNSET,
            late.get(route.name),
            tuple(name for name in route.url.names if not environ.get(name)),
        )
        for route in routes
    )


def _test_alert(route: Route, now_ms: int) -> Alert:
    lines = (("why", f"somebody asked whether `{route.name}` works"), ("do", "nothing"))
    # with its time, for a second test is no repetition of the first
    return Alert(now_ms, Severity.INFO, TRIAL, f"test alert of {iso(now_ms)}", lines, route.name)


def _late_ms(ledger: Ledger, alerts: Mapping[str, Alert]) -> dict[str, int]:
    since_ms = min((alert.at_ms for alert in alerts.values()), default=0)
    noted = ((event.subject, _said(event.document)) for event in ledger.events(SENT, since_ms))
    found = {(route, said["alert_id"]): said["late_ms"] for route, said in noted}
    return {name: found[name, one.alert_id] for name, one in alerts.items() if (name, one.alert_id) in found}


def _failures(ledger: Ledger, route: Route) -> int:
    """Return how often a route has failed in a row, as far as that was noted; 0: its last message was taken."""
    failed = [event for event in ledger.events(FAILING) if event.subject == route.name]
    if not failed:
        return 0
    taken = any(event.subject == route.name for event in ledger.events(SENT, failed[-1].at_ms))
    return 0 if taken else int(_said(failed[-1].document)["failures"])


def _said(document: str) -> dict[str, Any]:
    return dict(json.loads(document))
