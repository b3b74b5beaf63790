"""The streams under supervision: whatever ends a connection, it is built anew and a `Resync` says what may be missing.

python-binance's own reconnecting is switched off. It gives up for good after about 20 s, goes on in silence where it
succeeds, takes half a minute to notice a half-open link, and an expired listen key makes it do nothing at all (1.0.37).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.clock import SECOND_MS
from engine.execution.binance.asking import error_of
from engine.execution.binance.client import Call, calling, make_sockets
from engine.execution.binance.events import StreamEndedError, event_of
from engine.execution.binance.outcomes import KEY_CODES, Failure, Kind, failure_of
from engine.execution.binance.payloads import UNREADABLE
from engine.execution.venue import NoticeEvent, Resync

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from engine.execution.binance.client import Addresses
    from engine.execution.binance.clocksync import VenueClock
    from engine.execution.venue import VenueEvent

    Queue = asyncio.Queue[VenueEvent | Exception | None]

USER, MARKET = "user", "market"
LOST = "STREAM_LOST"  # the kind of the notice that a stream is gone; a Resync follows when it is back

QUEUE = 10_000  # events; a consumer that falls behind further makes the library's queue overflow, hence a Resync

_CLOSE_S = 1.0
_CANCEL_AGAIN_S = 3.0  # longer than the closing of a connection, which a second cancel would cut short
_STABLE_S = 30.0  # a connection that lived this long is no reason to hesitate


@dataclass(frozen=True)
class Patience:
    """How long a connection may be silent, and how fast it is built anew; all in seconds.

    Attributes:
        connect_s: to connect, listen key included.
        ping_every_s: a ping is sent this often, on both streams; None: never.
        ping_answer_s: how long its answer may take.
        market_silence_s: the market stream ticks each second; this much silence means that it is dead. None: any.
        first_pause_s: before the first attempt to connect again.
        longest_pause_s: before later ones.
    """

    connect_s: float = 2.5
    ping_every_s: float | None = 5.0
    ping_answer_s: float = 5.0
    market_silence_s: float | None = 10.0
    first_pause_s: float = 0.25
    longest_pause_s: float = 2.0


@dataclass
class Streams:
    """The user stream and the market stream of one account.

    Attributes:
        client: of `make_client`.
        clock: of the venue.
        symbols: whose bars and marks are streamed.
        addresses: instead of the venue's own.
        patience: see there.
    """

    client: Any
    clock: VenueClock
    symbols: Collection[str]
    addresses: Addresses | None = None
    patience: Patience = field(default_factory=Patience)
    _open: list[tuple[Queue, list[asyncio.Task[None]]]] = field(default_factory=list, init=False, repr=False)

    async def events(self) -> AsyncIterator[VenueEvent]:
        """Yield events of both streams as they come, until `close`; each stream's first one is a `Resync`.

        Raises:
            VenueRefused: the venue refuses the key; every other fault is tried again.
        """
        queue: Queue = asyncio.Queue(QUEUE)
        links = (
            Link(USER, lambda sockets: sockets.futures_user_socket(), None, self, queue),
            Link(MARKET, self._market_socket, self.patience.market_silence_s, self, queue),
        )
        tasks = [asyncio.create_task(link.run()) for link in links]
        self._open.append((queue, tasks))
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            await _ended(tasks)

    async def close(self) -> None:
        """Drop every connection and end every `events`, read or not; idempotent."""
        while self._open:
            queue, tasks = self._open.pop()
            await _ended(tasks)
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    def _market_socket(self, sockets: Any) -> Any:
        names = [f"{symbol.lower()}@{what}" for symbol in self.symbols for what in ("kline_1h", "markPrice@1s")]
        return sockets.futures_multiplex_socket(names, category="market")


@dataclass
class Link:
    """One connection and its successors.

    Attributes:
        name: `USER` or `MARKET`.
        make: a socket, of the library's maker.
        silence_s: see `Patience`; None: any.
        streams: that it belongs to.
        queue: where its events go; an exception ends the events.
        heard_ms: when the venue was last heard on it, by the venue's clock; None: never.
    """

    name: str
    make: Callable[[Any], Any]
    silence_s: float | None
    streams: Streams
    queue: Queue
    heard_ms: int | None = None

    async def run(self) -> None:
        """Connect, listen and begin again, for good; a fault of our own goes to whoever reads the events."""
        try:
            await self._run()
        except Exception as error:  # noqa: BLE001 - not swallowed: `events` raises it
            await self.queue.put(error)

    async def _run(self) -> None:
        patience = self.streams.patience
        reason, pause_s = "connected", 0.0
        while True:
            socket = self._socket()
            lost, lived_s = await self._lived(socket, reason)
            if lived_s is not None:
                await self.queue.put(NoticeEvent(LOST, None, f"{self.name}: {lost}", self._now_ms()))
                reason = lost
                pause_s = pause_s if lived_s < _STABLE_S else 0.0
            pause_s = min(patience.longest_pause_s, max(patience.first_pause_s, 2 * pause_s))
            await asyncio.sleep(pause_s)

    async def _lived(self, socket: Any, reason: str) -> tuple[str, float | None]:
        """Return why a connection ended and how long it lived; None: it never came about."""
        wire = None
        try:
            failed = await self._connected(socket)
            if failed is not None:
                return failed, None
            wire = socket.ws  # the library forgets it, open or not, when it would reconnect
            began_ms = self._now_ms()
            await self.queue.put(Resync(reason, self.heard_ms, began_ms, self.name))
            self.heard_ms = began_ms
            lost = await self._listened(socket)
            return lost, (self._now_ms() - began_ms) / SECOND_MS
        finally:
            await _dropped(socket, wire)

    async def _connected(self, socket: Any) -> str | None:
        """Connect; return why it failed, None when it stands."""
        connect_s = self.streams.patience.connect_s
        refused = None
        try:
            with calling(Call(urgent=True, patience_s=connect_s)):
                async with asyncio.timeout(connect_s):
                    await socket.connect()
        except Exception as error:  # noqa: BLE001 - whatever a network can do; the reason is reported
            failure = failure_of(error) or Failure(Kind.UNKNOWN, 0, type(error).__name__)
            if failure.code not in KEY_CODES:
                return failure.message
            refused = failure
        if refused is not None:
            raise error_of("the user stream", refused)
        return None

    async def _listened(self, socket: Any) -> str:
        """Pass on what is said until nothing more comes; return why."""
        from binance.exceptions import ReadLoopClosed  # noqa: PLC0415 - keeps queries fast

        while True:
            try:
                async with asyncio.timeout(self.silence_s):
                    message = await socket.recv()
                event = event_of(message)
                self.heard_ms = self._now_ms()  # not for what the library says: a dead link was dead before that
            except TimeoutError:
                return f"silent for {self.silence_s} s"
            except ReadLoopClosed:
                return "the connection ended"
            except StreamEndedError as ended:
                return str(ended)
            except UNREADABLE:
                event = Resync("a message that cannot be read", self.heard_ms, self._now_ms(), self.name)
            if event is not None:
                await self.queue.put(event)

    def _socket(self) -> Any:
        patience = self.streams.patience
        link = {
            "open_timeout": patience.connect_s,
            "ping_interval": patience.ping_every_s,
            "ping_timeout": patience.ping_answer_s,
        }
        socket = self.make(make_sockets(self.streams.client, link, self.streams.addresses))
        socket.MAX_RECONNECTS = 0
        return socket

    def _now_ms(self) -> int:
        return self.streams.clock.now_ms()


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until it is heard: `asyncio.wait_for`, in the library, forgets a cancel that meets a message.

    (Python 3.11; of the same instant, which a busy stream makes likely.)
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


async def _dropped(socket: Any, wire: Any) -> None:
    """Close a connection, dead or alive; what it says last interests nobody."""
    from binance.ws.constants import WSListenerState  # noqa: PLC0415 - keeps queries fast

    socket.ws_state = WSListenerState.EXITING  # otherwise its reader waits ten seconds for a message before it looks
    with suppress(Exception):
        async with asyncio.timeout(_CLOSE_S):
            if wire is not None:
                await wire.close()
            await socket.__aexit__(None, None, None)
