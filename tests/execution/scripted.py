"""A venue that answers what a test tells it to, over real loopback sockets; it knows nothing of the code under test."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from engine.execution.binance.client import Addresses, Keys
from engine.execution.binance.connection import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from engine.execution.binance.streams import Patience

KEY, SECRET = "SENTINEL-KEY-4f1e", "SENTINEL-SECRET-9a7c"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


@dataclass(frozen=True)
class Says:
    """One answer. `drop` closes the connection without one, `hang_s` waits before it."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    hang_s: float = 0.0


def refuses(code: int, status: int = 400, **headers: str) -> Says:
    return Says(
        {"code": code, "msg": f"the wording of {code}"}, status, {k.replace("_", "-"): v for k, v in headers.items()}
    )


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]


@dataclass
class ScriptedVenue:
    """Answers by ``METHOD path``, one after the other, the last one for good.

    Attributes:
        clock: what its time is told from, plus `ahead_ms`.
        users: what to do with the n-th user stream (the last for good), as `markets` with the market stream.
    """

    clock: Clock
    ahead_ms: int = 0
    script: dict[str, list[Says]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    users: list[Callable[[web.WebSocketResponse], Any]] = field(default_factory=list)
    markets: list[Callable[[web.WebSocketResponse], Any]] = field(default_factory=list)
    connections: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    urls: list[str] = field(default_factory=list)
    rest_url: str = ""
    stream_url: str = ""

    def told(self, *paths: str) -> list[Seen]:
        return [one for one in self.seen if f"{one.method} {one.path}" in paths]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        params = dict(request.query) | {name: str(value) for name, value in (await request.post()).items()}
        self.seen.append(Seen(request.method, request.path, params, dict(request.headers)))
        what = f"{request.method} {request.path}"
        answers = self.script.get(what)
        if answers is None and what == "GET /fapi/v1/time":
            return web.json_response({"serverTime": self.clock.now_ms() + self.ahead_ms})
        if answers is None and what == "POST /fapi/v1/listenKey":
            return web.json_response({"listenKey": "listen"})
        if answers is None:
            return web.json_response({"code": -5000, "msg": f"{what} is not in the script"}, status=404)
        says = answers.pop(0) if len(answers) > 1 else answers[0]
        if says.hang_s:
            await asyncio.sleep(says.hang_s)
        if says.drop:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        body = says.body if isinstance(says.body, str) else json.dumps(says.body)
        kind = "text/html" if isinstance(says.body, str) else "application/json"
        return web.Response(text=body, status=says.status, headers=dict(says.headers), content_type=kind)

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        name = request.path.split("/")[1]
        self.urls.append(str(request.rel_url))
        scripts = self.users if name == "private" else self.markets
        nth = self.connections[name]
        self.connections[name] += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if scripts:
            await scripts[min(nth, len(scripts) - 1)](socket)
        else:
            await listening(socket)
        return socket


async def listening(socket: web.WebSocketResponse) -> None:
    """Stay until the client goes."""
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            break


@asynccontextmanager
async def scripted(
    clock: Clock, script: dict[str, list[Says]] | None = None, **more: Any
) -> AsyncIterator[ScriptedVenue]:
    """Run a scripted venue on loopback."""
    venue = ScriptedVenue(clock, script=script or {}, **more)
    app = web.Application()
    app.router.add_get("/private/ws", venue.stream)
    app.router.add_get("/market/stream", venue.stream)
    app.router.add_route("*", "/{path:.*}", venue.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    venue.rest_url, venue.stream_url = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/"
    try:
        yield venue
    finally:
        await runner.cleanup()


@asynccontextmanager
async def adapter_at(
    there: ScriptedVenue, clock: Clock, *, permit: Callable[[], bool] = lambda: True, patience: Patience | None = None
) -> AsyncIterator[BinanceVenue]:
    """Connect the adapter to a scripted venue."""
    addresses = Addresses(there.rest_url, there.stream_url)
    async with connected(Keys(KEY, SECRET), SYMBOLS, clock, permit, addresses=addresses, patience=patience) as venue:
        yield venue
