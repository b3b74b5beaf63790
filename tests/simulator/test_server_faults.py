"""Every fault, and what python-binance sees of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import websockets
from binance.exceptions import BinanceAPIException

from engine.simulator.faults import KINDS, FaultPlan, Match
from engine.simulator.faults.conditions import (
    ClockSkew,
    HalfOpenSocket,
    ListenKeyExpiry,
    OnlyReducing,
    Outage,
    Overloaded,
    PartialFills,
)
from engine.simulator.faults.messages import DropEvent, DuplicateEvent, LateEvent, ReorderedEvents
from engine.simulator.faults.requests import (
    AcceptThen503,
    AcceptThenReset,
    AcceptThenTimeout,
    AcceptThenUnknown,
    DelayedVisibility,
    LostRequest,
    RateLimited,
    RejectNTimes,
    Slow,
)
from tests.simulator.serving import START_MS, Play, play
from tests.simulator.test_server_streams import listen

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from engine.simulator.faults.model import Fault

MINUTE = 60_000


async def outcome(asking: Awaitable[Any]) -> Any:
    """Return what comes of a request: its answer, (status, code), or the name of what was raised."""
    try:
        return await asking
    except BinanceAPIException as refused:
        return refused.status_code, refused.code
    except (aiohttp.ClientError, TimeoutError) as failure:
        return type(failure).__name__


# --- requests


@pytest.mark.parametrize(
    ("fault", "seen", "took_s", "placed"),
    [
        (AcceptThenTimeout(), "TimeoutError", 10, ["one"]),
        (LostRequest(), "TimeoutError", 10, []),
        (AcceptThen503(), (503, 0), 0, ["one"]),
        (AcceptThenReset(), "ServerDisconnectedError", 0, ["one"]),
        (AcceptThenUnknown(), (408, -1007), 0, ["one"]),
        (AcceptThenUnknown(code=-1006), (400, -1006), 0, ["one"]),
        (RejectNTimes(), (400, -4131), 0, []),
        (RejectNTimes(code=-2019, message="Margin is insufficient."), (400, -2019), 0, []),
        (RateLimited(), (429, -1003), 0, []),
        (RateLimited(418, 120), (418, -1003), 0, []),
    ],
)
def test_an_order_meets_a_fault_once(fault: Fault, seen: Any, took_s: float, placed: list[str]) -> None:
    async def act(on: Play) -> tuple[Any, ...]:
        first = await outcome(on.market_order("one"))
        took = on.now_s
        there = on.placed()
        again = await on.market_order("two")
        return first, took, there, again["clientOrderId"], [strike.fault for strike in on.server.strikes]

    assert play(act, FaultPlan.of(fault, times=1)) == (seen, took_s, placed, "two", [fault.name])


def test_reject_n_times_refuses_three_by_itself_and_then_takes() -> None:
    async def act(on: Play) -> list[Any]:
        return [await outcome(on.market_order(f"n{number}")) for number in range(4)]

    answers = play(act, FaultPlan.of(RejectNTimes()))
    assert answers[:3] == [(400, -4131)] * 3
    assert answers[3]["clientOrderId"] == "n3"


def test_rate_limited_says_on_its_headers_how_long() -> None:
    async def act(on: Play) -> tuple[Any, ...]:
        answer = await outcome(on.client.futures_time())
        headers = on.client.response.headers
        await asyncio.sleep(7)
        return answer, headers["Retry-After"], "serverTime" in await on.client.futures_time()

    until_ms = START_MS + 7_000
    assert play(act, FaultPlan.of(RateLimited(retry_after_s=7), until_ms=until_ms)) == ((429, -1003), "7", True)


def test_slow_delays_and_makes_requests_stale() -> None:
    async def act(on: Play) -> list[Any]:
        on.client.REQUEST_TIMEOUT = 60
        seen = [await outcome(on.market_order("one")), on.now_s, on.placed()]
        on.client.REQUEST_RECVWINDOW = 3_000
        return [*seen, await outcome(on.market_order("two")), on.placed()]

    seen = play(act, FaultPlan.of(Slow(before_s=4.0, after_s=2.0, spread_ratio=0.25)))
    assert seen[0]["clientOrderId"] == "one"
    assert 4.5 <= seen[1] <= 7.5
    assert seen[2:] == [["one"], (400, -1021), ["one"]]


def test_delayed_visibility_hides_an_order_that_exists() -> None:
    async def act(on: Play) -> list[Any]:
        limit = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01", "price": "19000", "timeInForce": "GTC"}
        stop = {"symbol": "BTCUSDT", "side": "BUY", "type": "STOP_MARKET", "triggerPrice": "25000", "quantity": "0.01"}
        await on.client.futures_create_order(**limit, type="LIMIT", newClientOrderId="young")
        await on.client.futures_create_order(**stop, clientAlgoId="young-stop")

        async def look() -> list[Any]:
            mine = {"symbol": "BTCUSDT", "origClientOrderId": "young"}
            return [
                await outcome(on.client.futures_get_order(**mine)),
                await outcome(on.client.futures_get_algo_order(clientAlgoId="young-stop")),
                await outcome(on.client.futures_get_open_orders(symbol="BTCUSDT")),
                await outcome(on.client.futures_get_open_algo_orders(symbol="BTCUSDT")),
            ]

        hidden = [
            *await look(),
            await outcome(on.client.futures_cancel_order(symbol="BTCUSDT", origClientOrderId="young")),
        ]
        hidden.append(on.placed())
        await asyncio.sleep(5)
        seen = await look()
        return [hidden, seen[0]["clientOrderId"], seen[1]["clientAlgoId"], len(seen[2]), len(seen[3])]

    hidden, *seen = play(act, FaultPlan.of(DelayedVisibility(5.0)))
    assert hidden == [(400, -2013), (400, -2013), [], [], (400, -2011), ["young"]]
    assert seen == ["young", "young-stop", 1, 1]


# --- messages


async def told(on: Play, seconds: float) -> list[tuple[float, str]]:
    """Return what a user stream says within so many seconds after an order: when, and which message."""
    heard: list[tuple[float, str]] = []
    async with on.sockets.futures_user_socket() as stream:
        await on.market_order("one")
        started_s = on.now_s

        async def listen() -> None:
            while True:
                message = await stream.recv()
                kind = message["e"]
                heard.append(
                    (round(on.now_s - started_s, 3), message["o"]["x"] if kind == "ORDER_TRADE_UPDATE" else kind)
                )

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(listen(), seconds)
    return heard


PLAIN = [(0.0, "NEW"), (0.0, "ACCOUNT_UPDATE"), (0.0, "TRADE")]
ORDER = Match(event="ORDER_TRADE_UPDATE")


@pytest.mark.parametrize(
    ("fault", "match", "expected"),
    [
        (None, None, PLAIN),
        (DuplicateEvent(), Match(), [said for said in PLAIN for _ in range(2)]),
        (DuplicateEvent(1, 2.0), ORDER, [*PLAIN, (2.0, "NEW"), (2.0, "TRADE")]),
        (DropEvent(), ORDER, PLAIN[1:2]),
        (LateEvent(3.0), ORDER, [PLAIN[1], (3.0, "NEW"), (3.0, "TRADE")]),
    ],
)
def test_messages_are_repeated_lost_or_late(fault: Fault | None, match: Match | None, expected: list[Any]) -> None:
    plan = FaultPlan.of(fault, match=match) if fault else FaultPlan()
    assert sorted(play(lambda on: told(on, 5.0), plan)) == sorted(expected)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (DropEvent(), {"btc marks": 0, "btc bars": 10, "eth marks": 10}),
        (DuplicateEvent(), {"btc marks": 20, "btc bars": 10, "eth marks": 10}),
        (LateEvent(5.0), {"btc marks": 5, "btc bars": 10, "eth marks": 10}),
    ],
)
def test_messages_of_the_market_are_struck_where_a_rule_names_them(fault: Fault, expected: dict[str, int]) -> None:
    names = {"btc marks": "btcusdt@markPrice@1s", "btc bars": "btcusdt@kline_1h", "eth marks": "ethusdt@markPrice@1s"}

    async def act(on: Play) -> dict[str, int]:
        place = f"{on.server.stream_url}market/stream?streams={'/'.join(names.values())}"
        async with websockets.connect(place, proxy=None) as stream:
            heard = [one["stream"] for one in await listen(stream, 10.5)]
        return {what: heard.count(name) for what, name in names.items()}

    plan = FaultPlan.of(fault, match=Match(event="markPriceUpdate", symbol="BTCUSDT"), times=None)
    assert play(act, plan, repeat_s=1.0) == expected


def test_messages_overtake_each_other_in_the_same_way_for_the_same_seed() -> None:
    orders = set()
    for seed in range(6):
        plan = FaultPlan.of(ReorderedEvents(2.0), seed=seed)
        heard = play(lambda on: told(on, 5.0), plan)
        assert sorted(kind for _, kind in heard) == sorted(kind for _, kind in PLAIN)
        assert all(0 <= at_s <= 2 for at_s, _ in heard)
        orders.add(tuple(kind for _, kind in heard))
        if seed == 0:
            assert play(lambda on: told(on, 5.0), plan) == heard
    assert len(orders) > 1


# --- conditions


@pytest.mark.parametrize(
    ("manner", "seen"),
    [
        ("reset", "ServerDisconnectedError"),
        ("refuse", "ClientConnectorError"),
        ("silent", "TimeoutError"),
        ("503", (503, 0)),
    ],
)
def test_an_outage_begins_and_ends(manner: str, seen: Any) -> None:
    async def act(on: Play) -> list[Any]:
        before = await outcome(on.market_order("one"))
        await asyncio.sleep(65)
        answers = [await outcome(on.market_order("two")) for _ in range(2)]
        await asyncio.sleep(240)
        after = await outcome(on.market_order("three"))
        return [before["clientOrderId"], answers, after["clientOrderId"], on.placed()]

    plan = FaultPlan.of(Outage(manner), from_ms=START_MS + MINUTE, until_ms=START_MS + 5 * MINUTE)
    # a POST is never repeated by the client, whatever happened to its connection
    assert play(act, plan) == ["one", [seen, seen], "three", ["one", "three"]]


def test_an_outage_breaks_streams() -> None:
    async def act(on: Play) -> tuple[Any, ...]:
        async with on.sockets.futures_user_socket() as stream:
            message = await stream.recv()
            return message["e"], message["type"], on.now_s, on.server.open_streams

    plan = FaultPlan.of(Outage(), from_ms=START_MS + MINUTE, until_ms=START_MS + 5 * MINUTE)
    kind, reason, *rest = play(act, plan)
    assert (kind, rest) == ("error", [60.0, 0])
    assert reason in {"BinanceWebsocketClosed", "ConnectionClosedError"}  # whichever of its tasks sees it first


@pytest.mark.parametrize("fault", [HalfOpenSocket(), HalfOpenSocket("user"), Outage("silent")])
def test_a_half_open_stream_is_noticed_only_by_its_ping(fault: Fault) -> None:
    async def act(on: Play) -> list[Any]:
        # python-binance's own socket reconnects by itself, and leaving it meanwhile never ends: websockets alone
        key = await on.client.futures_stream_get_listen_key()
        place = f"{on.server.stream_url}private/ws?listenKey={key}"
        async with websockets.connect(place, proxy=None, close_timeout=0.1) as old:
            await asyncio.sleep(65)
            await on.market_order("unheard")
            with pytest.raises(websockets.ConnectionClosedError):
                await old.recv()
            noticed_s = on.now_s
        async with websockets.connect(place, proxy=None, close_timeout=0.1) as fresh:
            await on.market_order("heard")
            heard = json.loads(await fresh.recv())
        return [noticed_s, heard["o"]["c"]]

    # the ping at 80 s gets no pong within 20 s
    plan = FaultPlan.of(fault, from_ms=START_MS + MINUTE + 1_000, until_ms=START_MS + MINUTE + 5_000)
    assert play(act, plan) == [100.0, "heard"]


def test_a_listen_key_ends_with_a_word_and_its_stream_falls_silent() -> None:
    async def act(on: Play) -> list[Any]:
        async with on.sockets.futures_user_socket() as old:
            first = await on.client.futures_stream_get_listen_key()
            message = await old.recv()
            at_s = on.now_s
            keep = await outcome(on.client.futures_stream_keepalive(first))
            second = await on.client.futures_stream_get_listen_key()
            await on.market_order("unheard")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(old.recv(), 5)
        return [message["e"], message["listenKey"] == first, at_s, keep, first == second]

    plan = FaultPlan.of(ListenKeyExpiry(), from_ms=START_MS + MINUTE)
    assert play(act, plan) == ["listenKeyExpired", True, 60.0, (400, -1125), False]


@pytest.mark.parametrize("skew_s", [5.0, -15.0])
def test_clock_skew_refuses_until_the_client_syncs(skew_s: float) -> None:
    async def act(on: Play) -> list[Any]:
        await asyncio.sleep(1)
        stale = await outcome(on.market_order("one"))
        answer = await on.client.futures_time()
        offset_s = (answer["serverTime"] - on.clock.now_ms()) / 1000
        await asyncio.sleep(60)
        return [stale, offset_s, (await outcome(on.market_order("two")))["clientOrderId"]]

    # ahead by 5 s stays within the client's window of 10 s
    expected = (400, -1021) if skew_s < 0 else None
    seen = play(act, FaultPlan.of(ClockSkew(skew_s), until_ms=START_MS + MINUTE))
    assert seen[1:] == [skew_s, "two"]
    assert (seen[0] == expected) if expected else (seen[0]["clientOrderId"] == "one")


def test_partial_fills_come_in_pieces_and_may_run_dry() -> None:
    async def act(on: Play) -> tuple[Any, ...]:
        heard: list[Any] = []
        async with on.sockets.futures_user_socket() as stream:
            await on.market_order("one", qty="0.100")
            while not heard or heard[-1]["X"] not in {"FILLED", "EXPIRED"}:
                message = await stream.recv()
                if message["e"] == "ORDER_TRADE_UPDATE":
                    heard.append(message["o"])
            await asyncio.sleep(120)
            await on.market_order("two", qty="0.100")
            after = [await stream.recv() for _ in range(3)]
        trades = [one for one in heard if one["x"] == "TRADE"]
        return len(trades), heard[-1]["X"], heard[-1]["z"], after[-1]["o"]["X"]

    plan = FaultPlan.of(PartialFills(parts=4, market_ratio=0.5), until_ms=START_MS + MINUTE)
    pieces, ended, filled, after = play(act, plan)
    assert 1 < pieces <= 4
    assert (ended, filled, after) == ("EXPIRED", "0.050", "FILLED")


@pytest.mark.parametrize(("fault", "seen"), [(Overloaded(), (503, -1008)), (OnlyReducing(), (400, -4400))])
def test_what_adds_risk_is_refused_and_what_reduces_is_not(fault: Fault, seen: Any) -> None:
    async def act(on: Play) -> list[Any]:
        await on.market_order("one", qty="0.02")
        await asyncio.sleep(61)
        refused = await outcome(on.market_order("two"))
        reduced = await on.market_order("three", side="SELL", reduceOnly="true")
        await asyncio.sleep(60)
        return [refused, reduced["clientOrderId"], (await on.market_order("four"))["clientOrderId"]]

    plan = FaultPlan.of(fault, from_ms=START_MS + MINUTE, until_ms=START_MS + 2 * MINUTE)
    assert play(act, plan) == [seen, "three", "four"]


def test_two_faults_at_once_and_rules_that_wait_their_turn() -> None:
    async def act(on: Play) -> list[Any]:
        return [await outcome(on.market_order(f"n{number}")) for number in range(4)] + [on.placed()]

    first = FaultPlan.of(AcceptThen503(), skip=1, times=1).rules
    second = FaultPlan.of(RejectNTimes(), skip=1, times=2).rules
    *answers, placed = play(act, FaultPlan(first + second))
    # the second order meets both: it is refused within, and the 503 hides even that
    assert [answer if isinstance(answer, tuple) else "taken" for answer in answers] == [
        "taken",
        (503, 0),
        (400, -4131),
        "taken",
    ]
    assert placed == ["n0", "n3"]


async def trade_for_hours(on: Play) -> tuple[Any, ...]:
    """Do what a simple bot does, whatever comes back."""
    seen: list[Any] = []
    for hour in range(8):
        await asyncio.sleep(max(0.0, hour * 3_600 - on.now_s))
        for side in ("BUY", "SELL", "BUY"):
            answer = await outcome(on.market_order(f"h{hour}{side}{len(seen)}", side=side))
            seen.append(answer["status"] if isinstance(answer, dict) else answer)
            seen.append(await outcome(on.client.futures_get_open_orders()))
    return seen, on.server.strikes, on.exchange.to_json()


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_run_to_the_byte(seed: int) -> None:
    names = ["accept_then_timeout", "partial_fills", "slow", "outage", "reject_n_times", "rate_limited"]
    plan = FaultPlan.drawn(names, seed, START_MS, START_MS + 8 * 60 * MINUTE)
    first, second = (play(trade_for_hours, plan) for _ in range(2))
    assert first == second
    assert len({strike.fault for strike in first[1]}) >= 3


def test_each_kind_of_fault_has_its_words_and_a_test() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    for name, kind in KINDS.items():
        assert kind.__doc__, name
        assert not kind.__doc__.startswith(kind.__name__), f"{name}: a docstring of its own"
        assert f" {kind.__name__}(" in here or f"({kind.__name__}(" in here, f"{name}: no test strikes with it"
