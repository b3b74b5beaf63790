"""The outbox: alerts leave the ledger in order, each route at its own pace, and every delivery is noted exactly once.

An alert that a service does not take is tried again, later and later, and holds back those behind it on the same route:
people read them in the order in which things happened. A crash between sending and noting sends it once more; it is
never lost.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.alerts.alert import QUEUED, SENT, Alert
from engine.clock import MINUTE_MS, SECOND_MS
from engine.ledger.rows import Event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from engine.alerts.routes import Route
    from engine.clock import Clock
    from engine.ledger import Ledger

    Send = Callable[[str, str], Awaitable[bool]]

FIRST_PAUSE_MS = 2 * SECOND_MS
LONGEST_PAUSE_MS = 5 * MINUTE_MS
LOOK_EVERY_MS = 250
_SEND_TIMEOUT_S = 20


@dataclass
class _Pace:
    """Where a route stands: not before `next_ms`, and how often the alert in front has failed."""

    next_ms: int = 0
    failures: int = 0
    sent: set[str] = field(default_factory=set)


class Outbox:
    """Delivers what is queued in a ledger.

    Args:
        ledger: open for writing; this outbox is the only one on it.
        routes: where alerts go.
        prefix: first word of every message.
        environ: the environment, for the addresses' secrets.
        clock: tells the time.
        send: sends a text to an address; None: Apprise.
    """

    def __init__(
        self,
        ledger: Ledger,
        routes: Sequence[Route],
        prefix: str,
        environ: Mapping[str, str],
        clock: Clock,
        send: Send | None = None,
    ) -> None:
        self._ledger = ledger
        self._routes = tuple(routes)
        self._prefix = prefix
        self._environ = environ
        self._clock = clock
        self._send = send or send_by_apprise
        self._paces = {route.name: _Pace() for route in routes}
        for event in ledger.events(SENT):
            if (pace := self._paces.get(event.subject)) is not None:
                pace.sent.add(json.loads(event.document)["alert_id"])

    @property
    def unreachable(self) -> tuple[str, ...]:
        """The routes whose environment variables are not set: what is queued for them waits."""
        return tuple(route.name for route in self._routes if route.url.resolve(self._environ) is None)

    def waiting(self, route: Route) -> tuple[Alert, ...]:
        """Return what has not been delivered to a route, oldest first."""
        sent = self._paces[route.name].sent
        rows = (row for row in self._ledger.events(QUEUED) if row.event_id not in sent)
        return tuple(alert for row in rows if route.takes((alert := Alert.from_row(row)).severity))

    async def deliver(self) -> int:
        """Send what is due now, on every route; return how many were delivered.

        Raises:
            LedgerError: a delivery cannot be noted.
        """
        counts = await asyncio.gather(*(self._deliver_on(route) for route in self._routes))
        return sum(counts)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until told to stop, then once more what is due."""
        while not stop.is_set():
            await self.deliver()
            await asyncio.sleep(LOOK_EVERY_MS / SECOND_MS)
        await self.deliver()

    async def _deliver_on(self, route: Route) -> int:
        pace, count = self._paces[route.name], 0
        address = route.url.resolve(self._environ)
        if address is None or self._clock.now_ms() < pace.next_ms:
            return 0
        for alert in self.waiting(route):
            if self._clock.now_ms() < pace.next_ms:
                break
            if not await self._send(address, alert.text(self._prefix)):
                pace.failures += 1
                pause_ms = min(FIRST_PAUSE_MS * 2 ** (pace.failures - 1), LONGEST_PAUSE_MS)
                pace.next_ms = self._clock.now_ms() + pause_ms
                break
            now_ms = self._clock.now_ms()
            pace.failures, pace.next_ms = 0, now_ms + route.every_ms
            self._note(route, alert, now_ms)
            count += 1
        return count

    def _note(self, route: Route, alert: Alert, now_ms: int) -> None:
        document = json.dumps({"alert_id": alert.alert_id, "late_ms": now_ms - alert.at_ms}, sort_keys=True)
        self._ledger.append(Event(f"{alert.alert_id}-{route.name}", now_ms, SENT, route.name, document))
        self._paces[route.name].sent.add(alert.alert_id)


async def send_by_apprise(address: str, text: str) -> bool:
    """Send a text to one Apprise address; return whether the service took it.

    Apprise blocks and knows no route that is none: with no service it says false, as it does where one refuses.
    """
    try:
        return await asyncio.wait_for(asyncio.to_thread(_notify, address, text), _SEND_TIMEOUT_S)
    except TimeoutError:
        return False


def _notify(address: str, text: str) -> bool:
    import apprise  # noqa: PLC0415 - 0.3 s that only a sender needs

    service = apprise.Apprise()
    separator = "&" if "?" in address else "?"
    if not service.add(f"{address}{separator}overflow=split"):
        return False
    return bool(service.notify(body=text, body_format=apprise.NotifyFormat.TEXT))
