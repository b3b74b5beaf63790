"""The outbox: alerts leave the ledger in order, each route at its own pace, and every delivery is noted exactly once.

An alert that a service does not take is tried again, later and later, and holds back those behind it on the same route:
people read them in the order in which things happened. A crash between sending and noting sends it once more; it is
never lost. Any process may deliver; one at a time does, and another takes over when it dies.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from engine.alerts.alert import QUEUED, ROUTE, SENT, Alert
from engine.alerts.lane import Lane
from engine.alerts.lease import Lease
from engine.alerts.quiet import hush
from engine.clock import DAY_MS
from engine.errors import LedgerError, StagegateError
from engine.ledger.rows import Event
from engine.ledger.store import CONFLICT, Ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from engine.alerts.routes import Route
    from engine.alerts.settings import AlertSettings
    from engine.clock import Clock

    Send = Callable[[str, str], Awaitable[bool]]

LOOK_EVERY_S = 0.25
LEASE = "outbox"

NEW_ROUTE_MS = DAY_MS
"""A route that was not there before hears what happened in the last day, not of years."""

_TAKE_OVER_S = 1.0
_SEND_TIMEOUT_S = 20


class Outbox:
    """Delivers what is queued in a ledger.

    Args:
        ledger: open for writing; this outbox is the only one on it, see `deliver_alerts`.
        routes: where alerts go.
        prefix: first word of every message.
        environ: the environment, for the addresses' secrets.
        clock: tells the time.
        send: sends a text to an address; None: Apprise.
        repeats_ms: the same alert again within so long is counted, not sent.
    """

    def __init__(
        self,
        ledger: Ledger,
        routes: Sequence[Route],
        prefix: str,
        environ: Mapping[str, str],
        clock: Clock,
        send: Send | None = None,
        *,
        repeats_ms: int = 0,
    ) -> None:
        self._ledger = ledger
        self._prefix = prefix
        self._environ = environ
        self._clock = clock
        self._send = send or send_by_apprise
        self._lanes = {route.name: Lane(route, repeats_ms) for route in routes}
        self._place = 0
        self._unwritten: list[Event] = []
        self._begun = False

    def on(self, ledger: Ledger) -> Self:
        """Go on with the same ledger, opened again after a fault; what is not noted yet is noted first."""
        self._ledger = ledger
        return self

    @property
    def unreachable(self) -> tuple[str, ...]:
        """The routes whose environment variables are not set: what is queued for them waits."""
        lanes = self._lanes.values()
        return tuple(lane.route.name for lane in lanes if lane.route.url.resolve(self._environ) is None)

    def waiting(self, route: Route) -> tuple[Alert, ...]:
        """Return what has not been delivered to a route, as it was queued.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        self._read()
        return self._lanes[route.name].waiting

    async def deliver(self) -> int:
        """Send what is due now, on every route; return how many alerts were delivered.

        Raises:
            LedgerError: what is queued cannot be read, or a delivery not be noted; it is noted with the next, and what
                was delivered is not sent again meanwhile.
        """
        self._write()
        self._read()
        lanes = [asyncio.ensure_future(self._deliver_on(lane)) for lane in self._lanes.values()]
        await asyncio.gather(*lanes, return_exceptions=True)  # what is on its way is noted, or it would go out twice
        self._write()
        return sum(lane.result() for lane in lanes)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until told to stop, then once more what is due.

        Raises:
            LedgerError: as `deliver`.
        """
        while not stop.is_set():
            await self.deliver()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)
        await self.deliver()

    def _read(self) -> None:
        """Read what was written since the last time."""
        if not self._begun:
            self._begin()
        for place, event in self._ledger.events_after(self._place, (QUEUED, SENT)):
            self._place = place
            if event.kind == QUEUED:
                alert = Alert.from_row(event)
                for lane in self._lanes.values():
                    lane.queue(alert, place)
            elif event.subject in self._lanes:
                self._lanes[event.subject].sent(json.loads(event.document)["alert_id"], event.at_ms)

    def _begin(self) -> None:
        """Note the routes that are new on this ledger; what an older version delivered on is not new."""
        begun = routes_begun(self._ledger)
        missing = self._lanes.keys() - begun.keys()
        before = {event.subject for event in self._ledger.events(SENT)} if missing else set()
        now_ms = self._clock.now_ms()
        for name in sorted(missing):
            begun[name] = 0 if name in before else self._a_day_ago(now_ms)
            self._ledger.append(Event(f"{ROUTE}-{name}", now_ms, ROUTE, name, json.dumps({"after": begun[name]})))
        for name, lane in self._lanes.items():
            lane.begins_after = begun[name]
        self._begun = True

    def _a_day_ago(self, now_ms: int) -> int:
        """Return the place in the ledger behind which the alerts of the last day begin."""
        queued = self._ledger.events_after(0, (QUEUED,))
        recent = [place for place, event in queued if event.at_ms >= now_ms - NEW_ROUTE_MS]
        return min(recent) - 1 if recent else max((place for place, _ in queued), default=0)

    async def _deliver_on(self, lane: Lane) -> int:
        count = 0
        address = lane.route.url.resolve(self._environ)
        while address is not None and (letter := lane.next_letter(self._clock.now_ms())) is not None:
            taken = await self._send(address, letter.text(self._prefix))
            now_ms = self._clock.now_ms()
            self._unwritten += lane.delivered(letter, now_ms) if taken else lane.refused(letter, now_ms)
            if not taken:
                break
            count += len(letter.alerts)
            self._write()
        return count

    def _write(self) -> None:
        """Note what was delivered; what stands there already, by another time, is not noted again."""
        if not self._unwritten:
            return
        try:
            self._ledger.append(self._unwritten)
        except LedgerError as error:
            if error.problems[0].code != CONFLICT:
                raise
            for row in self._unwritten:
                self._ledger.append_unless_known(row)
        self._unwritten = []


def routes_begun(ledger: Ledger) -> dict[str, int]:
    """Return the routes that a ledger knows, each with the place behind which its alerts begin.

    Raises:
        LedgerError: it cannot be read.
    """
    return {event.subject: int(json.loads(event.document)["after"]) for event in ledger.events(ROUTE)}


async def deliver_alerts(
    path: Path,
    settings: AlertSettings,
    environ: Mapping[str, str],
    clock: Clock,
    stop: asyncio.Event,
    show: Callable[[str], None] = lambda _: None,
) -> None:
    """Deliver a ledger's alerts until told to stop, in any process: one at a time does, the others wait to take over.

    Beside a desk run it by `engine.alerts.apart.apart`, so that neither waits for the other.

    Args:
        path: of the ledger.
        settings: where alerts go.
        environ: the environment, for the addresses' secrets.
        clock: as alerts are timed.
        stop: ends it within a second, or after the message that is under way.
        show: a line for the terminal, when something is wrong, such as a ledger that does not answer.
    """
    hush()
    await asyncio.to_thread(_load)
    lease = Lease.beside(path, LEASE)
    said = ""
    outbox: Outbox | None = None
    try:
        while not stop.is_set():
            if lease.take():
                try:
                    with Ledger.open(path) as ledger:
                        outbox = outbox or _outbox(ledger, settings, environ, clock)
                        await outbox.on(ledger).run(stop)
                except Exception as error:  # noqa: BLE001 - whatever is wrong here, the desk beside it goes on
                    fault = error.problems[0].problem if isinstance(error, StagegateError) else type(error).__name__
                    if fault != said:
                        show(f"alerts wait: {fault}")
                    said = fault
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TAKE_OVER_S)
    finally:
        lease.release()


def _outbox(ledger: Ledger, settings: AlertSettings, environ: Mapping[str, str], clock: Clock) -> Outbox:
    prefix = settings.prefix_in(environ)
    return Outbox(ledger, settings.routes, prefix, environ, clock, repeats_ms=settings.repeats_ms)


async def send_by_apprise(address: str, text: str) -> bool:
    """Send a text to one Apprise address; return whether the service took it.

    Apprise blocks and knows no route that is none: with no service it says false, as it does where one refuses.
    """
    try:
        return await asyncio.wait_for(asyncio.to_thread(_notify, address, text), _SEND_TIMEOUT_S)
    except TimeoutError:
        return False


def _load() -> None:
    """Load what sending needs before the first alert waits for it: Apprise reads its services with the first one."""
    import apprise  # noqa: PLC0415 - over a second that only a sender needs

    apprise.Apprise.instantiate("json://localhost")


def _notify(address: str, text: str) -> bool:
    import apprise  # noqa: PLC0415 - 0.3 s that only a sender needs

    hush()
    service = apprise.Apprise()
    separator = "&" if "?" in address else "?"
    if not service.add(f"{address}{separator}overflow=split"):
        return False
    return bool(service.notify(body=text, body_format=apprise.NotifyFormat.TEXT))
