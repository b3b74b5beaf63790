"""Virtual time: exact timers, nothing waited for, and python-binance against an aiohttp server in the same loop."""

from __future__ import annotations

import asyncio
import http.client
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import WSMsgType, web
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import SimulatedClock, elapsed_s, wait_s
from engine.timeline import LoopClock, StalledError, loops, run_paced, run_virtual, sleep_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from engine.clock import Clock

START_MS = 1_668_000_000_000
HOUR_S = 3_600


# --- timers


@settings(max_examples=40)
@given(st.lists(st.integers(0, 400 * 24 * HOUR_S * 1000), min_size=1, max_size=30))
def test_every_sleeper_wakes_at_its_millisecond_in_order(delays_ms: list[int]) -> None:
    woken: list[tuple[int, int]] = []

    async def sleeper(clock: Clock, delay_ms: int) -> None:
        await asyncio.sleep(delay_ms / 1000)
        woken.append((clock.now_ms() - START_MS, delay_ms))

    async def main(clock: Clock) -> None:
        await asyncio.gather(*(sleeper(clock, delay) for delay in delays_ms))

    run_virtual(main, START_MS)
    assert woken == [(delay, delay) for delay in sorted(delays_ms)]


def test_chained_sleeps_add_up_without_drift() -> None:
    async def main(clock: Clock) -> int:
        for _ in range(10_000):
            await asyncio.sleep(1.001)
        return clock.now_ms()

    before_s = elapsed_s()
    assert run_virtual(main, START_MS) == START_MS + 10_010_000
    assert elapsed_s() - before_s < 1.0


def test_a_deadline_strikes_at_its_instant() -> None:
    async def main(clock: Clock) -> int:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), timeout=9.75)
        return clock.now_ms()

    assert run_virtual(main, START_MS) == START_MS + 9_750


def test_sleep_until_reaches_the_instant_and_returns_at_once_when_it_is_past() -> None:
    async def main(clock: Clock) -> tuple[int, int]:
        await sleep_until(clock, START_MS + 90 * 60_000 + 7)
        first = clock.now_ms()
        await sleep_until(clock, START_MS)
        return first, clock.now_ms()

    assert run_virtual(main, START_MS) == (START_MS + 5_400_007, START_MS + 5_400_007)


def test_sleep_until_follows_a_clock_that_is_set_forward() -> None:
    clock = SimulatedClock(START_MS)

    async def main(loop_clock: Clock) -> int:
        asyncio.get_running_loop().call_later(150, clock.advance_to, START_MS + 10**9)
        await sleep_until(clock, START_MS + 10**9)
        return loop_clock.now_ms() - START_MS

    assert run_virtual(main, START_MS) == 600_000


def test_threads_are_really_waited_for_while_time_stands_still() -> None:
    async def main(clock: Clock) -> int:
        asyncio.get_running_loop().call_later(0.001, lambda: None)
        await asyncio.to_thread(wait_s, 0.05)
        return clock.now_ms()

    before_s = elapsed_s()
    assert run_virtual(main, START_MS) == START_MS
    assert elapsed_s() - before_s >= 0.05


def test_a_loop_in_which_nothing_can_happen_any_more_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "PATIENCE_S", 0.01)

    async def main(clock: Clock) -> None:
        del clock
        await asyncio.Event().wait()

    with pytest.raises(StalledError, match="nothing is left to happen"):
        run_virtual(main, START_MS)


def test_a_paced_loop_runs_so_many_times_as_fast() -> None:
    async def main(clock: Clock) -> int:
        await asyncio.sleep(20)
        return clock.now_ms()

    before_s = elapsed_s()
    now_ms = run_paced(main, START_MS, speed=1_000)
    assert 0.02 <= elapsed_s() - before_s < 1.0
    assert now_ms >= START_MS + 20_000
    with pytest.raises(ValueError, match="above 0"):
        run_paced(main, START_MS, speed=0)


# --- connections


class Sink(asyncio.Protocol):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.told.append(len(data))

    def pause_writing(self) -> None:
        self.told.append("wait")

    def resume_writing(self) -> None:
        self.told.append("go on")

    def eof_received(self) -> bool:
        self.told.append("end")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(type(exc).__name__ if exc else "lost")


async def wired(near: Sink, far: Sink) -> tuple[Any, Any, tuple[str, int]]:
    """Connect two sinks through a server that then closes; return both transports and the server's address."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: far, "127.0.0.1", 0)
    name = server.sockets[0].getsockname()
    await loop.create_connection(lambda: near, *name)
    server.close()
    return near.transport, far.transport, name


def test_a_writer_waits_while_the_reader_does_not_read() -> None:
    near, far = Sink(), Sink()

    async def main(clock: Clock) -> None:
        del clock
        mine, theirs, _ = await wired(near, far)
        theirs.pause_reading()
        mine.write(b"x" * 300_000)
        mine.write(b"y")
        await asyncio.sleep(1)
        assert (near.told, far.told, mine.get_write_buffer_size()) == (["wait"], [], 300_001)
        theirs.resume_reading()
        await asyncio.sleep(1)

    run_virtual(main, START_MS)
    assert near.told == ["wait", "go on"]
    assert far.told == [300_001]


def test_what_was_written_before_a_close_arrives_and_then_the_end() -> None:
    near, far = Sink(), Sink()

    async def main(clock: Clock) -> None:
        del clock
        mine, theirs, _ = await wired(near, far)
        mine.write(b"last words")
        mine.close()
        mine.write(b"too late")
        await asyncio.sleep(1)
        theirs.write(b"into the void")
        await asyncio.sleep(1)

    run_virtual(main, START_MS)
    assert near.told == ["lost"]
    assert far.told == [10, "end", "ConnectionResetError"]


def test_nobody_answers_at_a_closed_port() -> None:
    async def main(clock: Clock) -> None:
        del clock
        *_, name = await wired(Sink(), Sink())
        with pytest.raises(ConnectionRefusedError):
            await asyncio.get_running_loop().create_connection(asyncio.Protocol, *name)

    run_virtual(main, START_MS)


# --- python-binance and aiohttp in one virtual loop


def client_of(port: int, clock: Clock) -> Any:
    from binance import AsyncClient  # noqa: PLC0415 - heavy

    class Client(AsyncClient):  # type: ignore[misc] # python-binance has no types
        FUTURES_URL = f"http://127.0.0.1:{port}/fapi"

        @property
        def timestamp_offset(self) -> int:
            return clock.now_ms() - int(time.time() * 1000)  # noqa: TID251 - what the library adds it to

        @timestamp_offset.setter
        def timestamp_offset(self, value: int) -> None:
            pass

    return Client("key", "secret")


@asynccontextmanager
async def serving(handler: Callable[[web.BaseRequest], Any]) -> AsyncIterator[int]:
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def test_python_binance_and_a_server_run_together_in_virtual_time() -> None:
    seen: list[tuple[str, int]] = []

    async def main(clock: Clock) -> tuple[int, int]:
        async def handler(request: web.BaseRequest) -> web.Response:
            if request.path.endswith("/time"):
                await asyncio.sleep(2.5)
                return web.json_response({"serverTime": clock.now_ms()})
            stamp = dict(pair.split("=") for pair in request.query_string.split("&"))["timestamp"]
            seen.append((request.path, int(stamp)))
            await asyncio.sleep(60)
            return web.json_response({})

        async with serving(handler) as port:
            client = client_of(port, clock)
            answer = await client.futures_time()
            with pytest.raises(TimeoutError):
                await client.futures_account_balance()
            ended_ms = clock.now_ms()
            await client.close_connection()
        return answer["serverTime"], ended_ms

    before_s = elapsed_s()
    served_ms, ended_ms = run_virtual(main, START_MS)
    assert elapsed_s() - before_s < 5.0
    assert served_ms == START_MS + 2_500
    assert [path for path, _ in seen] == ["/fapi/v3/balance"]
    assert abs(seen[0][1] - served_ms) <= 1
    # aiohttp rounds a timeout of more than 5 s up to a whole second of the loop
    assert ended_ms == START_MS + 13_000


def test_websocket_heartbeats_keep_virtual_time_and_a_silent_server_is_noticed() -> None:
    import websockets  # noqa: PLC0415 - heavy

    pings: list[int] = []

    async def main(clock: Clock) -> int:
        async def handler(request: web.BaseRequest) -> web.WebSocketResponse:
            socket = web.WebSocketResponse(autoping=False)
            await socket.prepare(request)
            async for message in socket:
                pings.append(clock.now_ms() - START_MS)
                if message.type is WSMsgType.PING and len(pings) <= 3:
                    await socket.pong(message.data)
            return socket

        async with (
            serving(handler) as port,
            websockets.connect(f"ws://127.0.0.1:{port}/ws", close_timeout=0.1, proxy=None) as stream,
        ):
            with pytest.raises(websockets.ConnectionClosedError):
                await stream.recv()
            return clock.now_ms() - START_MS

    assert run_virtual(main, START_MS) == 100_000
    assert pings[:4] == [20_000, 40_000, 60_000, 80_000]


def test_another_thread_reaches_the_server_through_the_system() -> None:
    async def main(clock: Clock) -> tuple[bytes, int]:
        async def handler(request: web.BaseRequest) -> web.Response:
            del request
            return web.Response(text="here")

        def ask(port: int) -> bytes:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/")
            body = connection.getresponse().read()
            connection.close()
            return body

        async with serving(handler) as port:
            body = await asyncio.to_thread(ask, port)
        return body, clock.now_ms()

    assert run_virtual(main, START_MS) == (b"here", START_MS)


def test_the_clock_shows_the_loop() -> None:
    async def main(clock: Clock) -> None:
        assert clock == LoopClock(asyncio.get_running_loop(), START_MS)

    run_virtual(main, START_MS)
