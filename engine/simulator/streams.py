"""WebSocket streams: who listens to what, in the URL forms the venue has had since 2026-04-23.

``/market/ws/<stream>``, ``/market/stream?streams=<a>/<b>``, ``/public/…`` alike, and ``/private/ws?listenKey=<key>``;
the forms without a category are gone. SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS work on an open stream.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from aiohttp import WSCloseCode, WSMsgType, web

from engine.clock import SECOND_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.simulator.exchange import MarketEvent

    Payload = dict[str, Any]

PING_S = 180.0
SILENT_PINGS = 3  # ten minutes without a pong end a connection
LIFE_S = 86_400.0
MOST_WAITING = 10_000  # messages that a client may leave unread

_CATEGORIES = frozenset({"market", "public", "private"})
_SLOW_MARK_S = 3  # of `@markPrice` without `@1s`


@dataclass(frozen=True)
class Place:
    """What a stream's URL asks for.

    Attributes:
        category: ``market``, ``public`` or ``private``.
        combined: messages are wrapped with the stream's name.
        names: of streams.
        listen_key: of a private one.
    """

    category: str
    combined: bool
    names: tuple[str, ...] = ()
    listen_key: str = ""

    @classmethod
    def of(cls, path: str, query: str) -> Place | None:
        """Return what a URL asks for, None where there is no stream."""
        category, _, rest = path.strip("/").partition("/")
        form, _, names = rest.partition("/")
        if category not in _CATEGORIES or form not in {"ws", "stream"}:
            return None
        asked = parse_qs(query)
        listed = unquote(names) or "".join(asked.get("streams", []))
        streams = tuple(name for name in listed.split("/") if name)
        if category != "private":
            return cls(category, form == "stream", streams)
        key = "".join(asked.get("listenKey", [])) or "".join(streams[:1])
        return cls(category, form == "stream", (), key)


@dataclass(eq=False)
class Stream:
    """One connection.

    Attributes:
        names: of the public streams that it wants.
        muted: half-open: nothing leaves any more, nothing is answered.
        unanswered: pings since the last pong.
    """

    socket: web.WebSocketResponse
    place: Place
    names: set[str] = field(default_factory=set)
    muted: bool = False
    unanswered: int = 0
    waiting: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    @property
    def kind(self) -> str:
        """``user`` or ``market``."""
        return "user" if self.place.category == "private" else "market"

    def offer(self, name: str, payload: Any) -> None:
        """Queue a message."""
        if not self.muted and self.waiting.qsize() < MOST_WAITING:
            said = {"stream": name, "data": payload} if self.place.combined else payload
            self.waiting.put_nowait(json.dumps(said, separators=(",", ":")))


class Streams:
    """All connections.

    Args:
        account_of_listen_key: returns whose events a listen key opens, None for none.
    """

    def __init__(self, account_of_listen_key: Callable[[str], str | None]) -> None:
        self._account_of = account_of_listen_key
        self._open: set[Stream] = set()

    def __len__(self) -> int:
        return len(self._open)

    def wanted(self) -> bool:
        """Return whether anybody listens to the market."""
        return any(stream.names for stream in self._open)

    def tell_account(self, account: str, payload: Payload) -> None:
        """Send a message to an account's user streams."""
        ended = payload.get("e") == "listenKeyExpired"
        for stream in self._open:
            key = stream.place.listen_key
            mine = key == payload.get("listenKey") if ended else key and self._account_of(key) == account
            if mine:
                stream.offer(key, payload)

    def tell_market(self, events: Iterable[MarketEvent], *, slow_too: bool = True) -> None:
        """Send public messages to those who listen.

        Args:
            events: in order.
            slow_too: also to streams that want the mark price only every third second.
        """
        if not self.wanted():
            return
        marks: list[Payload] = []
        for event in events:
            if event.kind == "markPrice":
                marks.append(event.payload)
            for name, payload in _named(event, slow_too=slow_too):
                self._tell(name, payload)
        if marks:
            for name in ("!markPrice@arr@1s", *(["!markPrice@arr"] if slow_too else [])):
                self._tell(name, marks)

    def _tell(self, name: str, payload: Any) -> None:
        for stream in self._open:
            if name in stream.names:
                stream.offer(name, payload)

    def mute(self, kind: str) -> None:
        """Let the present streams of a kind (``user``, ``market``, ``all``) fall silent for good."""
        for stream in self._open:
            if kind in {"all", stream.kind}:
                stream.muted = True

    async def close(self) -> None:
        """Say good-bye to all."""
        for stream in list(self._open):
            if not stream.muted:
                await stream.socket.close(code=WSCloseCode.GOING_AWAY)

    async def serve(self, request: web.BaseRequest, place: Place) -> web.WebSocketResponse:
        """Serve one connection until it ends."""
        socket = web.WebSocketResponse(autoping=False, autoclose=False, compress=False)
        await socket.prepare(request)
        stream = Stream(socket, place, set(_of_category(place.names, place.category)))
        self._open.add(stream)
        helpers = [asyncio.ensure_future(_send(stream)), asyncio.ensure_future(_keep(stream))]
        try:
            async for message in socket:
                if not stream.muted:
                    await _hear(stream, message)
        finally:
            self._open.discard(stream)
            for helper in helpers:
                helper.cancel()
            if stream.muted and request.transport:
                request.transport.abort()
        return socket


def _of_category(names: Iterable[str], category: str) -> list[str]:
    """Return the streams that a category serves; asked for in the wrong one, a stream says nothing."""
    return [name for name in names if (category == "public") == ("@bookTicker" in name or "@depth" in name)]


def _named(event: MarketEvent, *, slow_too: bool) -> list[tuple[str, Payload]]:
    """Return the streams that tell of an event, each with its message."""
    symbol = event.symbol.lower()
    if event.kind == "markPrice":
        names = [f"{symbol}@markPrice@1s", *([f"{symbol}@markPrice"] if slow_too else [])]
        return [(name, event.payload) for name in names]
    bar = event.payload["k"]
    continuous = {
        "e": "continuous_kline",
        "E": event.payload["E"],
        "ps": event.symbol,
        "ct": "PERPETUAL",
        "k": {key: value for key, value in bar.items() if key != "s"},
    }
    interval = bar["i"]
    return [
        (f"{symbol}@kline_{interval}", event.payload),
        (f"{symbol}_perpetual@continuousKline_{interval}", continuous),
    ]


async def _send(stream: Stream) -> None:
    with suppress(ConnectionError):
        while True:
            await stream.socket.send_str(await stream.waiting.get())


async def _keep(stream: Stream) -> None:
    """Ping every three minutes, end a connection that is a day old or does not answer."""
    with suppress(ConnectionError):
        for _ in range(round(LIFE_S / PING_S)):
            await asyncio.sleep(PING_S)
            if stream.muted:
                return
            if stream.unanswered > SILENT_PINGS:
                break
            stream.unanswered += 1
            await stream.socket.ping()
        await stream.socket.close(code=WSCloseCode.POLICY_VIOLATION)


async def _hear(stream: Stream, message: Any) -> None:
    if message.type is WSMsgType.PING:
        await stream.socket.pong(message.data)
    elif message.type is WSMsgType.PONG:
        stream.unanswered = 0
    elif message.type is WSMsgType.TEXT:
        stream.waiting.put_nowait(json.dumps(_obey(stream, message.data)))


def _obey(stream: Stream, text: str) -> Payload:
    """Return the answer to what a client asks on its stream."""
    try:
        asked = json.loads(text)
        method, names, number = asked["method"], asked.get("params", []), asked.get("id")
    except (ValueError, TypeError, KeyError, AttributeError):
        return {"error": {"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"}}
    if method == "SUBSCRIBE":
        stream.names |= set(_of_category(names, stream.place.category))
    elif method == "UNSUBSCRIBE":
        stream.names -= set(names)
    elif method == "LIST_SUBSCRIPTIONS":
        return {"result": sorted(stream.names), "id": number}
    else:
        return {"error": {"code": 2, "msg": f"Invalid request: unknown method {method!r}"}, "id": number}
    return {"result": None, "id": number}


def slow_turn(at_ms: int) -> bool:
    """Return whether streams of the mark price without ``@1s`` are served at that second."""
    return at_ms // SECOND_MS % _SLOW_MARK_S == 0
