"""The exchange behind HTTP and WebSocket on loopback: what python-binance talks to instead of the venue.

One request comes through the front door (outage?), the faults, the meter (weights), the proof of who asks, and then to
the exchange, which is brought to the present first. Whatever it has to say afterwards goes to the streams.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from aiohttp import web

from engine.clock import SECOND_MS
from engine.simulator.auth import authenticate
from engine.simulator.faults import NONE, FaultsAtWork
from engine.simulator.faults.requests import UNAVAILABLE_PAGE
from engine.simulator.refusals import VenueError
from engine.simulator.requests import Answer, Asked, HangUpError
from engine.simulator.streams import Place, Streams, slow_turn
from engine.simulator.weights import Limits, Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.clock import Clock
    from engine.simulator.exchange import Exchange
    from engine.simulator.faults import FaultPlan, Strike
    from engine.simulator.house import MarketEvent

HOST = "127.0.0.1"
# A connection idle for so long is closed. aiohttp's client, which measures its own 15 s by the machine's clock, looks
# every 15 s as long as it is open; and nobody asks at such an odd interval, just when it closes
IDLE_S = 61.7

_LOG = logging.getLogger(__name__)
_SPOT = "/api/v3/"
_JSON = "application/json;charset=UTF-8"
_UNAVAILABLE = 503
_GONE_S = 1e9


class SimulatorServer:
    """An asynchronous context manager that serves an exchange; on leaving, all connections are closed.

    An error of the simulator itself is answered with HTTP 500 and −1000, and raised on leaving.

    Args:
        exchange: what answers.
        clock: what time it is; the exchange is brought there before each answer.
        faults: what goes wrong.
        port: 0 takes a free one.
        repeat_s: how often streams repeat the running bar and the mark price; None: only when the price moves.
        limits: on weights and orders.
        changed: called when the exchange's state has changed, before anybody is told.
        idle_s: how long a connection may be idle; longer is faster in virtual time, where hours pass at once.
    """

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        faults: FaultPlan = NONE,
        *,
        port: int = 0,
        repeat_s: float | None = 1.0,
        limits: Limits | None = None,
        changed: Callable[[], None] | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        self.exchange = exchange
        self.skew_ms = 0
        self.port = port
        self._clock = clock
        self._changed = changed
        self._repeat_s = repeat_s
        self._meter = Meter(limits or Limits())
        self._streams = Streams(exchange.account_of_listen_key)
        self._faults = FaultsAtWork(faults, exchange, clock, self)
        self._outage: str | None = None
        self._door: web.TCPSite | None = None
        self._server = web.Server(self._enter, access_log=None, keepalive_timeout=idle_s)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0)
        self._alarm: asyncio.TimerHandle | None = None
        self._failures: list[Exception] = []
        self._helpers: list[asyncio.Task[None]] = []

    @property
    def rest_url(self) -> str:
        """Where requests go: ``<rest_url>/fapi/v1/…``."""
        return f"http://{HOST}:{self.port}"

    @property
    def stream_url(self) -> str:
        """Where streams are: ``<stream_url>market/…``."""
        return f"ws://{HOST}:{self.port}/"

    @property
    def strikes(self) -> tuple[Strike, ...]:
        """Every time that a fault struck, in order."""
        return tuple(self._faults.strikes)

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await self._listen()
        self._helpers = [asyncio.ensure_future(self._faults.hold_conditions())]
        if self._repeat_s is not None:
            self._helpers.append(asyncio.ensure_future(self._repeat(self._repeat_s)))
        self.step()
        return self

    async def __aexit__(self, *_: object) -> None:
        for helper in self._helpers:
            helper.cancel()
        done = await asyncio.gather(*self._helpers, return_exceptions=True)
        if self._alarm:
            self._alarm.cancel()
        await self._streams.close()
        await self._runner.cleanup()
        self._failures += [one for one in done if isinstance(one, Exception)]
        if self._failures:
            raise self._failures[0]

    async def _listen(self) -> None:
        self._door = web.TCPSite(self._runner, HOST, self.port)
        await self._door.start()
        self.port = self._runner.addresses[0][1]

    # --- time

    def step(self) -> None:
        """Bring the exchange to the present, deliver what it has to say, and look when it will have more."""
        self._advance()
        self._deliver()
        self._set_alarm()

    def _advance(self) -> None:
        self.exchange.advance(self._clock.now_ms())

    def _set_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
        due_ms = self.exchange.next_event_ms()
        if due_ms is not None:
            wait_s = max(0, due_ms - self._clock.now_ms()) / SECOND_MS
            self._alarm = asyncio.get_running_loop().call_later(wait_s, self._ring)

    def _ring(self) -> None:
        try:
            self.step()
        except Exception as failure:  # noqa: BLE001 - raised on leaving; the loop would only log it
            self._fail(failure, "when time passed")

    def _fail(self, failure: Exception, where: str) -> None:
        self._failures.append(failure)
        _LOG.error("the simulator failed %s", where, exc_info=failure)

    async def _repeat(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            if not self._streams.wanted():
                continue
            self._advance()
            events = [
                event for one in self.exchange.spec.symbols for event in self.exchange.current_market_events(one.symbol)
            ]
            self._tell_market(events, slow_too=slow_turn(self._clock.now_ms()))

    # --- telling

    def _deliver(self) -> None:
        told = [(account, self.exchange.take_user_events(account)) for account in self.exchange.accounts]
        if self._changed and any(events for _, events in told):
            self._changed()
        for account, events in told:
            for payload in events:
                for later_s, said in self._faults.deliveries(payload):
                    self._after(later_s, self._streams.tell_account, account, said)
        self._tell_market(self.exchange.take_market_events())

    def _tell_market(self, events: Iterable[MarketEvent], *, slow_too: bool = True) -> None:
        tell = partial(self._streams.tell_market, slow_too=slow_too)
        if not self._faults.strike_market:
            tell(events)
            return
        for event in events:
            for later_s, said in self._faults.deliveries(event.payload):
                self._after(later_s, tell, [replace(event, write=partial(dict, said))])

    def _after(self, later_s: float, act: Callable[..., None], *what: object) -> None:
        if later_s <= 0:
            act(*what)
        else:
            asyncio.get_running_loop().call_later(later_s, act, *what)

    # --- requests

    async def _enter(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._outage:
            return await self._turn_away(request, self._outage)
        path, _, query = request.raw_path.partition("?")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            place = Place.of(path, query)
            return await self._streams.serve(request, place) if place else web.Response(status=404)
        payload = query + (await request.text() if request.can_read_body else "")
        path = f"/fapi/v1/{path.removeprefix(_SPOT)}" if path in {f"{_SPOT}ping", f"{_SPOT}time"} else path
        asked = Asked(request.method, path, payload, request.headers.get("X-MBX-APIKEY"))
        try:
            answer = await self._faults.answer(asked, self._serve)
        except HangUpError:
            return _hang_up(request)
        except VenueError as refused:
            answer = Answer.refusing(refused)
        except Exception as failure:  # noqa: BLE001 - raised on leaving; the client gets what the venue would say
            self._fail(failure, f"at {asked.method} {asked.path}")
            words = "An unknown error occurred while processing the request."
            answer = Answer.refusing(VenueError(-1000, words, 500))
        return _response(answer, self._meter)

    async def _serve(self, asked: Asked) -> Answer:
        now_ms = self._clock.now_ms()
        headers: dict[str, str] = {}
        try:
            self._meter.weigh(asked, now_ms)
            self._advance()
            authenticate(asked, self.exchange.account_of_key, now_ms + self.skew_ms)
            headers = self._meter.count_order(asked, now_ms)
            answer = Answer(self._ask(asked), headers=headers)
        except VenueError as refused:
            answer = Answer(refused.body(), refused.http_status, {**headers, **refused.headers})
        if asked.method != "GET":
            if self._changed:
                self._changed()
            self._deliver()
            self._set_alarm()
        return answer

    def _ask(self, asked: Asked) -> object:
        result = self.exchange.call(asked.method, asked.path, asked.params, asked.account)
        if self.skew_ms and asked.path == "/fapi/v1/time":
            return {**result, "serverTime": result["serverTime"] + self.skew_ms}
        return result

    # --- outages

    async def cut_off(self, manner: str) -> None:
        """Begin an outage; see `engine.simulator.faults.conditions.Outage`."""
        self._outage = manner
        if manner == "refuse" and self._door:
            await self._door.stop()
        if manner == "silent":
            self._streams.mute("all")
            return
        for connection in list(self._server.connections):
            if connection.transport:
                connection.transport.abort()

    async def let_in(self) -> None:
        """End the outage."""
        if self._outage == "refuse":
            await self._listen()
        self._outage = None

    def mute(self, kind: str) -> None:
        """Make the present streams half-open: ``user``, ``market`` or ``all``."""
        self._streams.mute(kind)

    async def _turn_away(self, request: web.BaseRequest, manner: str) -> web.StreamResponse:
        if manner == "503":
            return web.Response(text=UNAVAILABLE_PAGE, status=_UNAVAILABLE, content_type="text/html")
        if manner == "silent":
            await asyncio.sleep(_GONE_S)
        return _hang_up(request)


def _hang_up(request: web.BaseRequest) -> web.Response:
    if request.transport:
        request.transport.abort()
    return web.Response()


def _response(answer: Answer, meter: Meter) -> web.Response:
    kind = "text/html" if isinstance(answer.result, str) else _JSON
    headers = {"Content-Type": kind, **meter.headers(), **answer.headers}
    return web.Response(body=answer.body(), status=answer.status, headers=headers)
