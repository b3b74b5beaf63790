"""The streams under supervision: however a connection ends, it is built anew and a Resync says what may be missing."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from engine.execution.binance import client
from engine.execution.binance.streams import LOST, MARKET, USER, Patience
from engine.execution.venue import BalanceEvent, MarkEvent, NoticeEvent, Resync, VenueRefused
from engine.timeline import run_virtual
from tests.execution.scripted import KEY, SECRET, Says, adapter_at, listening, refuses, scripted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from engine.execution.venue import VenueEvent
    from tests.execution.scripted import ScriptedVenue

START_MS = 1_700_000_400_000
LIMIT_S = 2_000.0  # of virtual time
QUIET = Patience(ping_every_s=None, market_silence_s=None)


def balance(number: int) -> dict[str, Any]:
    cash = {"a": "USDT", "wb": str(number), "cw": "0", "bc": "0"}
    return {"e": "ACCOUNT_UPDATE", "E": number, "T": number, "a": {"m": "ORDER", "B": [cash], "P": []}}


def mark(price: int) -> dict[str, Any]:
    said = {
        "e": "markPriceUpdate",
        "E": price,
        "s": "BTCUSDT",
        "p": str(price),
        "i": "1",
        "P": "1",
        "r": "0.0001",
        "T": 9,
    }
    return {"stream": "btcusdt@markPrice@1s", "data": said}


def saying(*messages: dict[str, Any], then: Callable[[web.WebSocketResponse], Any] = listening) -> Any:
    async def script(socket: web.WebSocketResponse) -> None:
        for message in messages:
            await socket.send_json(message)
        await then(socket)

    return script


async def closing(socket: web.WebSocketResponse) -> None:
    await asyncio.sleep(0.1)  # the library drops what is still unread when the other end closes
    await socket.close()


async def falling_silent(socket: web.WebSocketResponse) -> None:
    """A half-open link: nothing is read, so no ping is answered, and nothing is said."""
    assert socket._req is not None
    assert socket._req.transport is not None
    socket._req.transport.pause_reading()
    await asyncio.sleep(10_000)


async def speaking_late(socket: web.WebSocketResponse) -> None:
    await asyncio.sleep(3.0)
    await socket.send_json(balance(1))
    await asyncio.sleep(2.0)
    await socket.close()


def heard(
    until: Callable[[list[VenueEvent]], bool],
    *,
    patience: Patience = QUIET,
    script: dict[str, list[Says]] | None = None,
    beside: Callable[[BinanceVenue, ScriptedVenue, Clock], Awaitable[None]] | None = None,
    **more: Any,
) -> tuple[list[VenueEvent], ScriptedVenue, int]:
    """Return the events until they suffice, the venue as it was left, and the virtual milliseconds it took."""
    events: list[VenueEvent] = []

    async def main(clock: Clock) -> tuple[ScriptedVenue, int]:
        async with scripted(clock, script, **more) as there, adapter_at(there, clock, patience=patience) as venue:
            other = asyncio.ensure_future(beside(venue, there, clock)) if beside else None
            async with asyncio.timeout(LIMIT_S):
                async for event in venue.events():
                    events.append(event)
                    if until(events):
                        break
            if other:
                await other
            return there, clock.now_ms() - START_MS

    there, took_ms = run_virtual(main, START_MS)
    return events, there, took_ms


def resyncs(events: list[VenueEvent], stream: str) -> list[Resync]:
    return [event for event in events if isinstance(event, Resync) and event.stream == stream]


def cash(events: list[VenueEvent]) -> list[int]:
    return [int(event.wallet_usd or 0) for event in events if isinstance(event, BalanceEvent)]


def test_both_streams_begin_with_a_resync_and_use_the_present_addresses() -> None:
    events, there, _took = heard(
        lambda events: len(events) == 4, users=[saying(balance(1))], markets=[saying(mark(30_000))]
    )
    assert [len(resyncs(events, name)) for name in (USER, MARKET)] == [1, 1]
    assert all(event.since_ms is None for event in events if isinstance(event, Resync))
    assert cash(events) == [1]
    assert sum(isinstance(event, MarkEvent) for event in events) == 1
    assert events.index(resyncs(events, USER)[0]) < next(n for n, e in enumerate(events) if isinstance(e, BalanceEvent))
    assert {url.split("?")[0] for url in there.urls} == {"/private/ws", "/market/stream"}  # since 2026-04-23


@pytest.mark.parametrize(
    ("ending", "why"),
    [
        (saying(balance(1), then=closing), "Closed"),
        (saying(balance(1), {"e": "listenKeyExpired", "E": 1, "listenKey": "listen"}), "listen key"),
    ],
    ids=["closed", "listenKeyExpired"],
)
@pytest.mark.requirement("R231")
def test_a_connection_that_ends_is_built_anew_at_once(ending: Any, why: str) -> None:
    events, there, took_ms = heard(lambda events: cash(events) == [1, 2], users=[ending, saying(balance(2))])
    first, second = resyncs(events, USER)
    assert why in second.reason
    assert second.since_ms is not None
    assert first.at_ms <= second.since_ms <= second.at_ms
    lost = next(event for event in events if isinstance(event, NoticeEvent))
    assert lost.kind == LOST
    assert events.index(lost) < events.index(second) < len(events) - 1
    assert took_ms < 1_000
    assert there.connections == {"private": 2, "market": 1}  # the other one is left alone
    assert len(there.told("POST /fapi/v1/listenKey")) == 2


def test_a_resync_says_when_the_stream_was_last_heard() -> None:
    events, _there, _took = heard(lambda events: cash(events) == [1, 2], users=[speaking_late, saying(balance(2))])
    first, second = resyncs(events, USER)
    assert second.since_ms is not None
    assert second.since_ms - first.at_ms == 3_000


@pytest.mark.parametrize(
    ("patience", "within_ms"),
    [(Patience(ping_every_s=None, market_silence_s=10.0), 11_000), (Patience(market_silence_s=None), 11_000)],
    ids=["silence", "pings"],
)
def test_a_half_open_link_is_noticed(patience: Patience, within_ms: int) -> None:
    events, _there, took_ms = heard(
        lambda events: sum(isinstance(event, MarkEvent) for event in events) == 2,
        patience=patience,
        markets=[saying(mark(1), then=falling_silent), saying(mark(2))],
    )
    assert len(resyncs(events, MARKET)) == 2
    assert took_ms <= within_ms


def test_a_half_open_user_stream_is_noticed_by_its_pings() -> None:
    events, _there, took_ms = heard(
        lambda events: cash(events) == [1, 2],
        patience=Patience(market_silence_s=None),
        users=[saying(balance(1), then=falling_silent), saying(balance(2))],
    )
    first, second = resyncs(events, USER)
    assert second.since_ms is not None
    assert second.since_ms <= first.at_ms + 1_000  # when it was last heard, not when it was given up
    assert 4_000 <= took_ms <= 11_000


@pytest.mark.parametrize("hang_s", [0.0, 30.0], ids=["refused", "hanging"])
@pytest.mark.requirement("R231")
def test_after_an_outage_of_ten_minutes_the_streams_are_back_within_five_seconds(hang_s: float) -> None:
    """The library alone would have given up for good after about 20 s."""
    outage_s = 600.0

    async def breaking(socket: web.WebSocketResponse) -> None:
        await asyncio.sleep(1.0)
        await socket.close()

    async def end_it(_venue: BinanceVenue, there: ScriptedVenue, _clock: Clock) -> None:
        await asyncio.sleep(outage_s)
        del there.script["POST /fapi/v1/listenKey"]

    events, there, took_ms = heard(
        lambda events: cash(events) == [2],
        users=[breaking, saying(balance(2))],
        # the first connection gets its key, later ones do not
        script={"POST /fapi/v1/listenKey": [Says({"listenKey": "listen"}), Says("down", 503, hang_s=hang_s)]},
        beside=end_it,
    )
    assert took_ms <= (outage_s + 5.0) * 1_000
    second = resyncs(events, USER)[1]
    assert second.since_ms is not None
    assert second.at_ms - second.since_ms >= outage_s * 1_000 - 1_000
    assert len([event for event in events if isinstance(event, NoticeEvent)]) == 1  # said once, not at each attempt
    assert len(there.told("POST /fapi/v1/listenKey")) < 320


def test_a_backlog_beyond_the_librarys_queue_is_a_resync_not_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.STREAM_QUEUE >= 10_000
    monkeypatch.setattr(client, "STREAM_QUEUE", 50)
    monkeypatch.setattr("engine.execution.binance.streams.QUEUE", 5)

    events: list[VenueEvent] = []

    async def dozing(clock: Clock) -> None:
        users = [saying(*[balance(number) for number in range(500)]), saying(balance(1_000))]
        async with scripted(clock, users=users) as there, adapter_at(there, clock, patience=QUIET) as venue:
            async for event in venue.events():
                if not events:
                    await asyncio.sleep(20.0)
                events.append(event)
                if 1_000 in cash(events):
                    return

    run_virtual(dozing, START_MS)
    second = resyncs(events, USER)[1]
    assert "Overflow" in second.reason or "ended" in second.reason
    assert len(cash(events)) < 500


def test_a_listen_key_that_changed_behind_our_back_reconnects_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would reconnect in silence: whatever came between would be missing and nobody would know."""
    monkeypatch.setattr("binance.ws.keepalive_websocket.KEEPALIVE_TIMEOUT", 60)
    keys = [Says({"listenKey": name}) for name in ("one", "two")]
    events, there, took_ms = heard(
        lambda events: cash(events) == [1, 2],
        users=[saying(balance(1)), saying(balance(2))],
        script={"POST /fapi/v1/listenKey": keys},
    )
    assert len(resyncs(events, USER)) == 2
    assert there.urls[-1].endswith("listenKey=two")
    assert took_ms <= 320_000


def test_a_message_that_cannot_be_read_is_a_resync_and_not_the_end() -> None:
    events, there, _took = heard(
        lambda events: cash(events) == [2], users=[saying({"e": "ORDER_TRADE_UPDATE", "E": 1, "o": {}}, balance(2))]
    )
    assert [event.reason for event in resyncs(events, USER)] == ["connected", "a message that cannot be read"]
    assert there.connections["private"] == 1


def test_a_key_that_is_refused_ends_the_events_and_names_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(VenueRefused) as refused:
        heard(lambda _events: False, script={"POST /fapi/v1/listenKey": [refuses(-2015, 401)]})
    assert refused.value.problems[0].code == "key-refused"
    shown = str(refused.value) + caplog.text
    assert KEY not in shown
    assert SECRET not in shown


def test_closing_ends_the_events_and_leaves_no_task_behind() -> None:
    left: list[str] = []

    async def main(clock: Clock) -> None:
        async with scripted(clock) as there:
            async with adapter_at(there, clock, patience=QUIET) as venue:
                seen = 0
                async for _event in venue.events():
                    seen += 1
                    if seen == 2:
                        await venue.streams.close()
            await asyncio.sleep(1.0)
            mine = asyncio.current_task()
            left.extend(
                str(task.get_coro())
                for task in asyncio.all_tasks()
                if task is not mine and "web" not in str(task.get_coro())
            )

    run_virtual(main, START_MS)
    assert left == []


@pytest.mark.parametrize("turns", range(3, 10))
def test_a_message_that_comes_in_the_instant_of_the_end_does_not_keep_a_stream_open(turns: int) -> None:
    """`asyncio.wait_for` of Python 3.11, which the library waits with, forgets a cancel that meets a message."""
    speak = asyncio.Event()

    async def speaking_when_told(socket: web.WebSocketResponse) -> None:
        await speak.wait()
        await socket.send_json(mark(1))
        await listening(socket)

    async def main(clock: Clock) -> None:
        async with scripted(clock, markets=[speaking_when_told]) as there, adapter_at(there, clock) as venue:
            events = venue.events()
            await anext(events)
            await asyncio.sleep(1.0)
            speak.set()
            for _turn in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(5.0):
                await venue.streams.close()
            assert venue.streams._open == []

    run_virtual(main, START_MS)
