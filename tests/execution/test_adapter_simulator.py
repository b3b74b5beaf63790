"""The adapter at the simulator, which misbehaves on demand: what it says is what the simulator's own books say."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import HOUR_MS, SECOND_MS
from engine.execution.binance import history
from engine.execution.binance.absence import PROOF_MS
from engine.execution.binance.client import Keys
from engine.execution.binance.streams import LOST, USER, Patience
from engine.execution.venue import (
    Accepted,
    NoticeEvent,
    OrderEvent,
    OrderKind,
    OrderRequest,
    OrderStatus,
    Rejected,
    Resync,
    StopEvent,
    StopRequest,
    StopStatus,
    Unknown,
    VenueRefused,
    VenueUnavailable,
)
from engine.simulator.accounts import Permissions as Rights
from engine.simulator.faults import FaultPlan, Match, Rule
from engine.simulator.faults.conditions import ClockSkew, HalfOpenSocket, ListenKeyExpiry, Outage, PartialFills
from engine.simulator.faults.requests import (
    AcceptThen503,
    AcceptThenReset,
    AcceptThenTimeout,
    AcceptThenUnknown,
    DelayedVisibility,
    LostRequest,
    RateLimited,
    Slow,
)
from tests.execution.simulated import SYMBOLS, at_simulator
from tests.simulator.serving import ACCOUNT, KEY, SECRET, START_MS

if TYPE_CHECKING:
    from engine.execution.venue import OrderState, VenueEvent
    from engine.simulator.faults.model import Fault
    from tests.execution.simulated import Scene

BTC = "BTCUSDT"
LOTS = Decimal("0.010")
QUIET = Patience(ping_every_s=None, market_silence_s=None)


def market(client_id: str, side: int = 1, *, reduce_only: bool = False) -> OrderRequest:
    return OrderRequest(client_id, BTC, side, LOTS, OrderKind.MARKET, reduce_only=reduce_only)


def ids_in_the_books(scene: Scene) -> list[str]:
    return [row["clientOrderId"] for row in scene.told("/fapi/v1/allOrders", symbol=BTC)]


async def known(scene: Scene, client_id: str) -> OrderState | None:
    """Query until the venue's word holds, as an executor does."""
    while True:
        try:
            return await scene.venue.order(BTC, client_id)
        except VenueUnavailable as failure:
            await asyncio.sleep(failure.retry_after_s or 0.5)


def test_a_day_at_the_venue() -> None:
    async def act(scene: Scene) -> None:
        venue = scene.venue
        assert set(await venue.filters()) == set(await venue.mark_prices()) == set(SYMBOLS)
        bars = await venue.closed_bars(BTC, START_MS - 5 * HOUR_MS)
        assert bars.open_time_ms.tolist() == [START_MS - hours * HOUR_MS for hours in (5, 4, 3, 2, 1)]
        assert await venue.running_open(BTC, START_MS) == Decimal("20000.0")
        assert await venue.running_open(BTC, START_MS + HOUR_MS) is None
        for _twice in range(2):
            await venue.set_margin_type(BTC, "ISOLATED")
            await venue.set_one_way_mode()
            await venue.set_leverage(BTC, 3)
        settings = await venue.settings(BTC)
        assert (settings.leverage, settings.margin_type) == (3, "ISOLATED")
        assert not await venue.hedge_mode()
        best = await venue.best_price(BTC)
        assert best.bid < best.ask
        bought = await venue.place(market("buy"))
        assert isinstance(bought, Accepted)
        assert bought.state.status is OrderStatus.FILLED
        assert (await venue.positions())[BTC].qty == LOTS
        resting = OrderRequest("rest", BTC, 1, LOTS, OrderKind.LIMIT, Decimal("15000.0"))
        assert isinstance(await venue.place(resting), Accepted)
        again = await venue.place(resting)  # −4116: queried, not placed
        assert isinstance(again, Accepted)
        assert isinstance(await venue.place_stop(StopRequest("stop", BTC, -1, Decimal("18000.0"), qty=LOTS)), Accepted)
        assert [order.client_id for order in await venue.open_orders()] == ["rest"]
        assert [stop.client_id for stop in await venue.open_stops(BTC)] == ["stop"]
        assert isinstance(await venue.cancel(BTC, "rest"), Accepted)
        gone = await venue.cancel(BTC, "rest")
        assert isinstance(gone, Rejected)
        await venue.countdown(BTC, 120_000)
        await venue.countdown(BTC, 0)
        for symbol in (BTC, "ETHUSDT"):
            await venue.cancel_all(symbol)
            await venue.cancel_all_stops(symbol)
        stopped = await venue.stop("stop")
        assert stopped is not None
        assert stopped.status is StopStatus.CANCELED
        assert isinstance(await venue.place(market("sell", -1, reduce_only=True)), Accepted)
        refused = await venue.place(market("more", -1, reduce_only=True))
        assert isinstance(refused, Rejected)
        assert refused.code == -2022
        assert await venue.positions() == {}
        moved = sum(row.amount for row in await venue.income(START_MS))
        assert moved == (await venue.balance()).wallet_usd == scene.book.wallet
        trades = await venue.trades(BTC, from_ms=START_MS)
        assert [trade.side for trade in trades] == [1, -1]
        assert await venue.trades(BTC, from_id=trades[1].trade_id) == trades[1:]

    at_simulator(act)


@pytest.mark.parametrize(
    "fault",
    [AcceptThenTimeout(), AcceptThen503(), AcceptThenReset(), AcceptThenUnknown(-1007), AcceptThenUnknown(-1006)],
    ids=lambda fault: f"{fault.name}{getattr(fault, 'code', '')}",
)
@pytest.mark.parametrize("hidden_s", [0.0, 9.0], ids=["visible", "hidden"])
def test_an_order_that_was_taken_in_silence_is_found_and_never_sent_again(fault: Fault, hidden_s: float) -> None:
    faults = [fault] if hidden_s == 0 else [fault, DelayedVisibility(hidden_s)]

    async def act(scene: Scene) -> None:
        assert isinstance(await scene.venue.place(market("one")), Unknown)
        state = await known(scene, "one")
        assert state is not None
        assert state.status is OrderStatus.FILLED
        assert ids_in_the_books(scene) == ["one"]

    at_simulator(act, FaultPlan.of(*faults))


def test_an_order_that_never_arrived_is_absent_only_when_proved() -> None:
    async def act(scene: Scene) -> None:
        assert isinstance(await scene.venue.place(market("one")), Unknown)
        asked_ms = scene.clock.now_ms()
        assert await known(scene, "one") is None
        assert PROOF_MS <= scene.clock.now_ms() - asked_ms <= PROOF_MS + 2 * SECOND_MS
        assert ids_in_the_books(scene) == []

    at_simulator(act, FaultPlan.of(LostRequest()))


def test_stops_survive_the_same_silence() -> None:
    async def act(scene: Scene) -> None:
        assert isinstance(await scene.venue.place(market("buy")), Accepted)
        request = StopRequest("stop", BTC, -1, Decimal("18000.0"), close_position=True)
        assert isinstance(await scene.venue.place_stop(request), Unknown)
        found = await scene.venue.stop("stop")
        assert found is not None
        assert (found.status, found.close_position) == (StopStatus.NEW, True)
        again = await scene.venue.place_stop(request)
        assert isinstance(again, Accepted)
        assert len(await scene.venue.open_stops()) == 1

    at_simulator(act, FaultPlan.of(AcceptThenTimeout(), match=Match("POST", "/fapi/v1/algoOrder")))


@pytest.mark.parametrize("seed", range(6))
def test_no_order_is_ever_in_the_books_twice_whatever_happens(seed: int) -> None:
    """Place, query what is unknown, retry under a new id only what is proved absent: each wish is filled once."""
    names = ("accept_then_timeout", "accept_then_503", "accept_then_reset", "accept_then_unknown", "lost_request")
    others = ("delayed_visibility", "rate_limited", "slow", "clock_skew", "outage")
    plan = FaultPlan.drawn([*names, others[seed % len(others)]], seed, START_MS + 60_000, START_MS + HOUR_MS)

    async def act(scene: Scene) -> None:
        filled = []
        for wish in range(20):
            for attempt in range(40):
                client_id = f"w{wish}-{attempt}"
                outcome = await scene.venue.place(market(client_id))
                state = await known(scene, client_id) if isinstance(outcome, Unknown) else None
                if isinstance(outcome, Accepted) or state is not None:
                    filled.append(client_id)
                    break
                await asyncio.sleep(20.0)
            await asyncio.sleep(120.0)
        assert ids_in_the_books(scene) == filled
        assert len(filled) == 20
        held = await scene.venue.positions()
        assert held[BTC].qty == 20 * LOTS
        assert scene.server.strikes

    at_simulator(act, plan)


def test_histories_are_whole_though_they_come_in_small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 8)

    async def act(scene: Scene) -> None:
        for number in range(30):
            assert isinstance(await scene.venue.place(market(f"n{number}", 1 - 2 * (number % 2))), Accepted)
            await asyncio.sleep(0.0 if number % 3 else 400.0)
        trades = await scene.venue.trades(BTC, from_ms=START_MS)
        rows = scene.told("/fapi/v1/userTrades", symbol=BTC, limit="1000")
        assert [trade.trade_id for trade in trades] == [row["id"] for row in rows]
        assert await scene.venue.trades(BTC, from_id=trades[3].trade_id) == trades[3:]
        income = await scene.venue.income(START_MS)
        assert sum(row.amount for row in income) == scene.book.wallet

    at_simulator(act)


def test_a_clock_that_goes_wrong_is_set_right_by_the_next_request() -> None:
    async def act(scene: Scene) -> None:
        await asyncio.sleep(120.0)
        outcome = await scene.venue.place(market("one"))
        assert isinstance(outcome, Accepted)
        assert abs(scene.venue.asker.clock.offset_ms + 30_000) <= 5
        assert ids_in_the_books(scene) == ["one"]

    at_simulator(act, FaultPlan((Rule(ClockSkew(-30.0), Match(), from_ms=START_MS + 60_000),)))


def test_a_ban_is_waited_out_and_not_prolonged() -> None:
    async def act(scene: Scene) -> None:
        assert await scene.venue.positions() == {}
        assert scene.clock.now_ms() - START_MS >= 20_000
        assert len(scene.server.strikes) == 1

    at_simulator(
        act,
        FaultPlan((Rule(RateLimited(418, 20), Match(path="/fapi/v3/positionRisk"), until_ms=START_MS + 10_000),)),
    )


def test_an_hour_without_a_network_answers_nothing_and_ends() -> None:
    async def act(scene: Scene) -> None:
        await asyncio.sleep(1.0)
        while scene.clock.now_ms() < START_MS + HOUR_MS:
            with pytest.raises(VenueUnavailable):
                await scene.venue.positions()
            assert isinstance(await scene.venue.place(market("x", -1, reduce_only=True)), Unknown)
            await asyncio.sleep(300.0)
        await asyncio.sleep(300.0)
        assert await scene.venue.positions() == {}

    at_simulator(act, FaultPlan((Rule(Outage("refuse"), Match(), START_MS + 500, START_MS + HOUR_MS),)))


@pytest.mark.parametrize("manner", ["reset", "refuse", "silent", "503"])
def test_streams_miss_nothing_over_an_outage_of_ten_minutes(manner: str) -> None:
    end_ms = START_MS + 660 * SECOND_MS

    async def act(scene: Scene) -> list[VenueEvent]:
        events: list[VenueEvent] = []

        async def trade() -> None:
            await asyncio.sleep(1.0)
            assert isinstance(await scene.venue.place(market("before")), Accepted)
            await asyncio.sleep(300.0)
            scene.exchange.advance(scene.clock.now_ms())
            scene.exchange.place_as_other(ACCOUNT, BTC, -1, "0.010")  # while nobody can hear it
            await asyncio.sleep(400.0)
            assert isinstance(await scene.venue.place(market("after")), Accepted)

        other = asyncio.ensure_future(trade())
        async for event in scene.venue.events():
            events.append(event)
            if isinstance(event, OrderEvent) and event.trade and event.state.client_id == "after":
                break
        await other
        back = [event for event in events if isinstance(event, Resync) and event.stream == USER][-1]
        assert end_ms <= back.at_ms <= end_ms + 5 * SECOND_MS
        assert back.since_ms is not None
        fills = {event.trade.trade_id: event.trade for event in events if isinstance(event, OrderEvent) and event.trade}
        fills |= {trade.trade_id: trade for trade in await scene.venue.trades(BTC, from_ms=back.since_ms)}
        assert sorted(fills) == [row["id"] for row in scene.told("/fapi/v1/userTrades", symbol=BTC)]
        return events

    plan = FaultPlan((Rule(Outage(manner), Match(), START_MS + 60 * SECOND_MS, end_ms),))
    events = at_simulator(act, plan, patience=Patience(market_silence_s=None))
    assert [event.kind for event in events if isinstance(event, NoticeEvent)].count(LOST) == 2  # each stream once


@pytest.mark.parametrize("fault", [HalfOpenSocket("user"), ListenKeyExpiry()], ids=lambda fault: fault.name)
def test_a_user_stream_that_dies_quietly_is_built_anew(fault: Fault) -> None:
    async def act(scene: Scene) -> None:
        async def trade() -> None:
            await asyncio.sleep(90.0)
            await scene.venue.place(market("late"))

        other = asyncio.ensure_future(trade())
        resyncs = []
        async for event in scene.venue.events():
            if isinstance(event, Resync) and event.stream == USER:
                resyncs.append(event)
            if isinstance(event, OrderEvent) and event.state.client_id == "late":
                break
        await other
        assert len(resyncs) == 2
        assert resyncs[1].at_ms <= START_MS + 60_000 + 11_000

    plan = FaultPlan((Rule(fault, Match(), from_ms=START_MS + 60_000),))
    at_simulator(act, plan, patience=Patience(market_silence_s=None))


def test_a_stop_that_triggers_tells_the_order_it_became() -> None:
    async def act(scene: Scene) -> None:
        assert isinstance(await scene.venue.place(market("buy")), Accepted)
        request = StopRequest("stop", BTC, -1, Decimal("19900.0"), close_position=True)  # the hour's low is 19,800
        assert isinstance(await scene.venue.place_stop(request), Accepted)
        stops, orders = [], []
        async for event in scene.venue.events():
            if isinstance(event, StopEvent):
                stops.append(event.state)
            if isinstance(event, OrderEvent):
                orders.append(event)
            if stops and stops[-1].status is StopStatus.FINISHED:
                break
        assert stops[-1].order_id in {event.state.venue_id for event in orders}
        closing = [event.trade for event in orders if event.trade]
        assert sum(trade.qty * trade.side for trade in closing) == -LOTS
        assert await scene.venue.positions() == {}

    at_simulator(act, patience=QUIET)


def test_partial_fills_add_up() -> None:
    async def act(scene: Scene) -> None:
        outcome = await scene.venue.place(market("one"))
        assert isinstance(outcome, Accepted)
        await asyncio.sleep(30.0)
        state = await scene.venue.order(BTC, "one")
        trades = await scene.venue.trades(BTC, from_ms=START_MS)
        assert state is not None
        assert len(trades) > 1
        assert sum(trade.qty for trade in trades) == state.filled_qty == (await scene.venue.positions())[BTC].qty

    at_simulator(act, FaultPlan.of(PartialFills(parts=4, part_delay_s=1.0)))


@pytest.mark.parametrize(("key", "secret", "code"), [("X" * 64, SECRET, -2015), (KEY, "X" * 64, -1022)])
def test_wrong_keys_are_refused_plainly(key: str, secret: str, code: int) -> None:
    async def act(scene: Scene) -> None:
        with pytest.raises(VenueRefused) as refused:
            await scene.venue.positions()
        assert refused.value.code == code
        assert refused.value.problems[0].code == "key-refused"
        assert key not in str(refused.value)

    at_simulator(act, keys=Keys(key, secret))


def test_what_the_account_is_can_be_asked() -> None:
    def other_account(exchange: Any) -> None:
        exchange.open_account("other", "O" * 64, "P" * 64, 0, permissions=Rights(withdrawals=True), hedge_mode=True)

    async def act(scene: Scene) -> None:
        assert (await scene.venue.permissions()).withdrawals
        assert await scene.venue.hedge_mode()
        assert (await scene.venue.balance()).wallet_usd == 0

    at_simulator(act, keys=Keys("O" * 64, "P" * 64), prepare=other_account)


def test_a_clock_that_a_slow_answer_set_ahead_takes_no_running_bar_for_a_closed_one() -> None:
    slowly = Slow(4.0, 0.0, spread_ratio=0.0)  # the venue reads its clock 4 s after we asked: we think it is 2 s ahead
    faults = FaultPlan.of(slowly, match=Match(path="/fapi/v1/time"), until_ms=START_MS + 20_000)

    async def act(scene: Scene) -> None:
        assert scene.venue.asker.clock.now_ms() - scene.clock.now_ms() == 2_000
        for ahead_ms in (1_500, 500, 0):
            await asyncio.sleep((START_MS + HOUR_MS - ahead_ms - scene.clock.now_ms()) / SECOND_MS)
            for mark in (False, True):
                bars = await scene.venue.closed_bars(BTC, START_MS - HOUR_MS, mark=mark)
                assert bars.open_time_ms.tolist() == [START_MS - HOUR_MS, *([] if ahead_ms else [START_MS])]

    at_simulator(act, faults)
