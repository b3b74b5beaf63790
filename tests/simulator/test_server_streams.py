"""Streams: the URL forms python-binance uses, subscriptions, heartbeats, repeats, slow and dead clients."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets

from engine.clock import HOUR_MS
from engine.simulator.streams import Place
from tests.simulator.serving import START_MS, Play, play

HOUR_S = 3_600


@pytest.mark.parametrize(
    ("path", "query", "place"),
    [
        ("/market/ws/btcusdt@kline_1h", "", Place("market", False, ("btcusdt@kline_1h",))),
        (
            "/market/stream",
            "streams=a@kline_1h/b@markPrice@1s",
            Place("market", True, ("a@kline_1h", "b@markPrice@1s")),
        ),
        ("/public/ws/btcusdt%40bookTicker", "", Place("public", False, ("btcusdt@bookTicker",))),
        ("/market/ws", "", Place("market", False)),
        ("/private/ws", "listenKey=abc", Place("private", False, (), "abc")),
        ("/private/ws/abc", "", Place("private", False, (), "abc")),
        ("/private/stream", "listenKey=abc", Place("private", True, (), "abc")),
        ("/ws/btcusdt@kline_1h", "", None),
        ("/stream", "streams=btcusdt@kline_1h", None),
        ("/market/other", "", None),
    ],
)
def test_the_forms_of_a_streams_url(path: str, query: str, place: Place | None) -> None:
    assert Place.of(path, query) == place


def test_the_librarys_market_sockets_hear_prices_as_they_move() -> None:
    async def act(on: Play) -> dict[str, Any]:
        bar = {"symbol": "BTCUSDT", "interval": "1h"}
        async with (
            on.sockets.kline_futures_socket(**bar) as continuous,
            on.sockets.symbol_mark_price_socket("BTCUSDT") as mark,
            on.sockets.all_mark_price_socket() as marks,
            on.sockets.futures_multiplex_socket(["btcusdt@kline_1h", "ethusdt@markPrice"]) as several,
        ):
            await asyncio.sleep(HOUR_S + 60)
            closed = [one for one in [await continuous.recv() for _ in range(3)] if one["e"] == "continuous_kline"]
            heard = [await several.recv() for _ in range(2)]
            return {
                "continuous": (closed[0]["ps"], closed[0]["k"]["i"], "s" in closed[0]["k"]),
                "mark": (await mark.recv())["stream"],
                "marks": sorted({one["s"] for one in (await marks.recv())["data"]}),
                "several": sorted({(one["stream"], one["data"]["e"]) for one in heard}),
            }

    seen = play(act)
    assert seen["continuous"] == ("BTCUSDT", "1h", False)
    assert seen["mark"] == "btcusdt@markPrice@1s"
    assert seen["marks"] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert set(seen["several"]) <= {("btcusdt@kline_1h", "kline"), ("ethusdt@markPrice", "markPriceUpdate")}


async def listen(stream: Any, seconds: float) -> list[Any]:
    """Return what a stream says within so many seconds."""
    heard: list[Any] = []

    async def forever() -> None:
        while True:
            heard.append(json.loads(await stream.recv()))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(forever(), seconds)
    return heard


def test_a_bar_closes_at_its_hour_for_everybody() -> None:
    async def act(on: Play) -> list[Any]:
        async with websockets.connect(f"{on.server.stream_url}market/ws/btcusdt@kline_1h", proxy=None) as stream:
            heard = await listen(stream, 2 * HOUR_S + 1)
        return [(one["E"], one["k"]["t"], float(one["k"]["h"])) for one in heard if one["k"]["x"]]

    assert play(act) == [(START_MS + (n + 1) * HOUR_MS, START_MS + n * HOUR_MS, 20_200.0) for n in range(2)]


def test_streams_repeat_each_second_and_plain_mark_prices_each_third() -> None:
    async def act(on: Play) -> list[int]:
        names = "btcusdt@markPrice@1s/btcusdt@markPrice/btcusdt@kline_1h"
        async with websockets.connect(f"{on.server.stream_url}market/stream?streams={names}", proxy=None) as stream:
            await listen(stream, 120.5)
            heard = [one["stream"] for one in await listen(stream, 30)]
        return [heard.count(name) for name in names.split("/")]

    assert play(act, repeat_s=1.0) == [30, 10, 30]


def test_a_stream_is_subscribed_and_left_while_open() -> None:
    async def act(on: Play) -> list[Any]:
        async with websockets.connect(f"{on.server.stream_url}market/ws", proxy=None) as stream:
            answers = []
            for number, (method, names) in enumerate(
                [
                    ("SUBSCRIBE", ["btcusdt@markPrice@1s", "btcusdt@bookTicker"]),
                    ("LIST_SUBSCRIPTIONS", None),
                    ("UNSUBSCRIBE", ["btcusdt@markPrice@1s"]),
                    ("LIST_SUBSCRIPTIONS", None),
                    ("SING", []),
                ]
            ):
                await stream.send(json.dumps({"method": method, "params": names or [], "id": number}))
                answers.append(json.loads(await stream.recv()))
            await stream.send("nonsense")
            answers.append(json.loads(await stream.recv()))
        return answers

    *said, sing, nonsense = play(act)
    # bookTicker is a public stream: asked for among the market's, it says nothing
    assert said == [
        {"result": None, "id": 0},
        {"result": ["btcusdt@markPrice@1s"], "id": 1},
        {"result": None, "id": 2},
        {"result": [], "id": 3},
    ]
    assert sing["error"]["code"] == nonsense["error"]["code"] == 2


def test_the_server_pings_ends_who_does_not_answer_and_everybody_after_a_day() -> None:
    async def act(on: Play) -> list[float]:
        place = f"{on.server.stream_url}market/ws/btcusdt@kline_1h"
        ended = []
        async with websockets.connect(place, proxy=None, ping_interval=None) as stream:
            with pytest.raises(websockets.ConnectionClosedError):
                await listen(stream, 100_000)
            ended.append(on.now_s)
        async with websockets.connect(place, proxy=None, ping_interval=None) as stream:
            stream.transport.pause_reading()  # a client that hangs: it hears no ping
            began_s = on.now_s
            await asyncio.sleep(1_000)
            ended.append(on.now_s - began_s - 1_000)
            assert on.server.open_streams == 0
        return ended

    assert play(act) == [86_400.0, 0.0]


def test_user_events_reach_every_stream_of_the_account_and_nobody_else() -> None:
    async def act(on: Play) -> list[Any]:
        on.exchange.open_account("other", "O" * 64, "S" * 64, 1_000)
        key = await on.client.futures_stream_get_listen_key()
        places = [f"{on.server.stream_url}private/ws?listenKey={one}" for one in (key, key, "unknown")]
        streams = [await websockets.connect(place, proxy=None) for place in places]
        on.exchange.place_as_other("other", "BTCUSDT", 1, "0.01")
        await on.market_order("mine")
        heard = [[one["e"] for one in await listen(stream, 1)] for stream in streams]
        for stream in streams:
            await stream.close()
        return heard

    mine = ["ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
    first, second, unknown = play(act)
    assert first == second
    assert sorted(first) == sorted(mine)
    assert unknown == []
