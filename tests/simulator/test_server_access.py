"""Keys, signatures, timestamps, weights: what the client sees when it asks in a wrong way, or too often."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from binance.exceptions import BinanceAPIException

from engine.simulator.auth import authenticate
from engine.simulator.refusals import VenueError
from engine.simulator.requests import Asked
from engine.simulator.weights import Limits, weight_of
from tests.simulator.serving import KEY, SECRET, START_MS, Play, another, play

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def refused(asking: Awaitable[Any]) -> tuple[int, int]:
    """Return HTTP status and code of a refusal."""
    with pytest.raises(BinanceAPIException) as caught:
        await asking
    return caught.value.status_code, caught.value.code


def test_the_library_creates_itself_asks_and_trades() -> None:
    async def act(on: Play) -> tuple[Any, ...]:
        made = await type(on.client).create(KEY, SECRET)
        await made.close_connection()
        bars = await on.client.futures_klines(symbol="BTCUSDT", interval="1h", limit=2)
        stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "closePosition": "true"}
        await on.market_order("one")
        await on.client.futures_create_order(**stop, triggerPrice="15000", clientAlgoId="stop-1")
        batch = [{"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "newClientOrderId": "two"}]
        await on.client.futures_place_batch_order(batchOrders=batch)
        cancelled = await on.client.futures_cancel_all_algo_open_orders(symbol="BTCUSDT")
        rights = await on.client.get_account_api_permissions()
        return len(bars), on.placed(), cancelled["code"], rights["enableFutures"]

    assert play(act) == (2, ["one", "two"], 200, True)


def test_wrong_keys_are_told_so() -> None:
    async def act(on: Play) -> list[tuple[int, int]]:
        found = []
        for key, secret in (("", SECRET), ("X" * 64, SECRET), (KEY, "X" * 64)):
            async with another(on, key=key, secret=secret) as client:
                found.append(await refused(client.futures_account_balance()))
        return found

    assert play(act) == [(401, -2014), (401, -2015), (400, -1022)]


@pytest.mark.parametrize(
    ("ahead_ms", "answer"), [(0, None), (990, None), (1_100, (400, -1021)), (-9_900, None), (-10_100, (400, -1021))]
)
def test_a_clock_too_far_off_is_refused(ahead_ms: int, answer: tuple[int, int] | None) -> None:
    async def act(on: Play) -> tuple[int, int] | None:
        await asyncio.sleep(60)
        async with another(on, ahead_ms=ahead_ms) as client:
            if answer:
                return await refused(client.futures_account_balance())
            await client.futures_account_balance()
            return None

    assert play(act) == answer


def signed(payload: str, secret: str = SECRET) -> str:
    """Return a payload with its signature."""
    return f"{payload}&signature={hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()}"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (signed(f"timestamp={START_MS}"), None),
        (signed(f"timestamp={START_MS}&recvWindow=60001"), -1131),
        (signed("recvWindow=5000"), -1102),
        (signed("timestamp=soon"), -1102),
        (f"timestamp={START_MS}", -1102),
        (signed(f"timestamp={START_MS}") + "&symbol=BTCUSDT", -1022),
        (signed(f"timestamp={START_MS}").replace("signature=", "signature=0"), -1022),
    ],
)
def test_what_is_signed_must_be_whole(payload: str, code: int | None) -> None:
    asked = Asked("GET", "/fapi/v3/balance", payload, KEY)
    if code is None:
        authenticate(asked, {KEY: ("bot", SECRET)}.get, START_MS)
        assert asked.account == "bot"
        return
    with pytest.raises(VenueError) as caught:
        authenticate(asked, {KEY: ("bot", SECRET)}.get, START_MS)
    assert (caught.value.code, asked.account) == (code, None)


def test_unknown_paths_and_streams_lead_nowhere() -> None:
    async def act(on: Play) -> tuple[Any, ...]:
        answer = await refused(on.client._request_futures_api("get", "nowhere", signed=True, data={}))
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(f"{on.server.stream_url}ws/btcusdt@kline_1h")
        return answer, caught.value.status

    assert play(act) == ((404, -5000), 404)


# --- weights


@pytest.mark.parametrize(
    ("method", "path", "payload", "weight"),
    [
        ("GET", "/fapi/v1/klines", "limit=99", 1),
        ("GET", "/fapi/v1/klines", "limit=499", 2),
        ("GET", "/fapi/v1/klines", "", 5),
        ("GET", "/fapi/v1/markPriceKlines", "limit=1500", 10),
        ("GET", "/fapi/v1/openOrders", "symbol=BTCUSDT", 1),
        ("GET", "/fapi/v1/openOrders", "", 40),
        ("GET", "/fapi/v1/income", "", 30),
        ("POST", "/fapi/v1/order", "symbol=BTCUSDT", 0),
        ("GET", "/fapi/v1/time", "", 1),
    ],
)
def test_requests_weigh_what_the_venue_publishes(method: str, path: str, payload: str, weight: int) -> None:
    assert weight_of(Asked(method, path, payload)) == weight


def test_too_much_weight_is_429_then_418_and_the_next_minute_is_fresh() -> None:
    async def act(on: Play) -> list[Any]:
        seen: list[Any] = []
        for _ in range(5):
            await on.client.futures_income_history()
        seen.append(on.client.response.headers["X-MBX-USED-WEIGHT-1M"])
        await asyncio.sleep(12.5)
        seen.append((await refused(on.client.futures_time()), on.client.response.headers["Retry-After"]))
        await asyncio.sleep(47.5)
        await on.client.futures_time()
        seen.append(on.client.response.headers["X-MBX-USED-WEIGHT-1M"])
        for _ in range(4):
            await on.client.futures_income_history()
        statuses = [(await refused(on.client.futures_income_history()))[0] for _ in range(3)]
        seen += [statuses, on.client.response.headers["Retry-After"]]
        await asyncio.sleep(119)
        seen.append((await refused(on.client.futures_time()))[0])
        await asyncio.sleep(1)
        await on.client.futures_time()
        return seen

    limits = Limits(weight_a_minute=150, patience=2)
    assert play(act, limits=limits) == ["150", ((429, -1003), "48"), "1", [429, 429, 418], "120", 418]


def test_orders_are_counted_by_account() -> None:
    async def act(on: Play) -> tuple[Any, ...]:
        for number in range(3):
            await on.market_order(f"n{number}")
        headers = on.client.response.headers
        answer = await refused(on.market_order("n3"))
        await asyncio.sleep(10)
        await on.market_order("n4")
        again = on.client.response.headers
        names = ("X-MBX-ORDER-COUNT-10S", "X-MBX-ORDER-COUNT-1M")
        return tuple(headers[name] for name in names), answer, tuple(again[name] for name in names)

    assert play(act, limits=Limits(orders_a_10_s=3)) == (("3", "3"), (429, -1015), ("1", "4"))


def test_no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def act(on: Play) -> None:
        await on.market_order("one")
        async with another(on, secret="X" * 64) as client:
            await refused(client.futures_account_balance())
        on.exchange.account_of_key = None  # type: ignore[method-assign,assignment] # the simulator breaks
        await refused(on.market_order("two"))

    with pytest.raises(TypeError):
        play(act)
    assert "the simulator failed at POST /fapi/v1/order" in caplog.text
    assert SECRET not in caplog.text
    assert "X" * 64 not in caplog.text
