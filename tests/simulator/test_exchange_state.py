"""Timers, listen keys, restarts: the same state gives the same future."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import HOUR_MS, MINUTE_MS
from engine.market.synthetic import synthetic_market
from engine.simulator.exchange import Exchange, Permissions, VenueError
from engine.simulator.path import PathSettings
from engine.simulator.recorded import RecordedPrices
from tests.simulator.exchange_bench import BTC, ETH, SOL, START_MS, Bench, bench, flat, market, quiet, spec

MARKET = synthetic_market(11, start_ms=START_MS - HOUR_MS, days=2)
BUSY = spec(slippage_bps=Decimal(3), parts=5, part_delay_ms=700, touch_ratio=Decimal("0.3"), queue_s=20.0)


def act(desk: Bench, number: int) -> None:
    """One of a few orders, the same for the same number."""
    symbol = (BTC, ETH, SOL)[number % 3]
    price = Decimal(desk.get("ticker/price", symbol=symbol)["price"])
    qty = str(round(Decimal(2_000 + 100 * number) / price, 2))
    try:
        if number % 4 == 0:
            desk.order("BUY" if number % 8 else "SELL", qty, symbol)
        elif number % 4 == 1:
            desk.order("BUY", qty, symbol, price=str(round(price, 1)))
        elif number % 4 == 2:
            desk.stop("SELL", str(round(price * Decimal("0.99"), 1)), symbol, quantity=qty)
        else:
            desk.post("countdownCancelAll", symbol=symbol, countdownTime=90_000)
    except VenueError:
        return


def future(desk: Bench, numbers: range) -> str:
    """Everything that is said and known after some hours of acting."""
    for number in numbers:
        desk.wait(s=1_117)
        act(desk, number)
    public = [one.payload for one in desk.exchange.take_market_events()]
    return json.dumps([desk.events(), public, desk.exchange.to_json()])


@settings(max_examples=6)
@given(cut=st.integers(1, 25), seed=st.integers(0, 5))
def test_a_restart_changes_nothing(cut: int, seed: int) -> None:
    whole, first = (bench(MARKET, rules=BUSY, path=PathSettings(order="seeded"), seed=seed) for _ in range(2))
    for desk in (whole, first):
        desk.post("listenKey")
        future(desk, range(cut))
    document = json.loads(json.dumps(first.exchange.to_json()))
    prices = RecordedPrices(MARKET, PathSettings(order="seeded"), seed=seed)
    again = Bench(Exchange.from_json(document, prices))
    assert future(again, range(cut, 40)) == future(whole, range(cut, 40))
    assert whole.exchange.accounts["me"].fills


def test_the_seed_decides_the_parts_and_nothing_else_does() -> None:
    first, same, other = (bench(MARKET, rules=BUSY, seed=seed) for seed in (1, 1, 2))
    told = [future(desk, range(30)) for desk in (first, same, other)]
    assert told[0] == told[1] != told[2]


# countdown


def test_the_countdown_runs_out_at_its_millisecond() -> None:
    desk = quiet()
    desk.order("BUY", "0.010", price="39000", newClientOrderId="a")
    desk.order("BUY", "0.010")
    desk.stop("SELL", "39500", closePosition=True)
    assert desk.post("countdownCancelAll", symbol=BTC, countdownTime=120_000) == {
        "symbol": BTC,
        "countdownTime": "120000",
    }
    desk.wait(s=100)
    # renewed: the old one no longer counts
    desk.post("countdownCancelAll", symbol=BTC, countdownTime=120_000)
    desk.events()
    desk.wait(s=119.999)
    assert len(desk.get("openOrders")) == 1
    assert desk.exchange.next_event_ms() == desk.exchange.now_ms + 1
    desk.wait(s=0.001)
    assert desk.get("openOrders") == []
    (event,) = desk.events("ORDER_TRADE_UPDATE")
    assert (event["o"]["c"], event["o"]["X"], event["T"]) == ("a", "CANCELED", START_MS + 220_000)
    assert len(desk.get("openAlgoOrders")) == 1
    assert desk.position() == Decimal("0.010")


def test_a_countdown_is_stopped_by_zero_and_counts_for_one_symbol() -> None:
    desk = bench(market({BTC: flat(40_000.0, 3), ETH: flat(2_000.0, 3)}))
    desk.order("BUY", "0.010", price="39000")
    desk.order("BUY", "0.100", ETH, price="1950")
    desk.post("countdownCancelAll", symbol=BTC, countdownTime=1_000)
    desk.post("countdownCancelAll", symbol=ETH, countdownTime=1_000)
    desk.post("countdownCancelAll", symbol=BTC, countdownTime=0)
    desk.wait(s=5)
    assert [one["symbol"] for one in desk.get("openOrders")] == [BTC]
    assert desk.refused("POST", "countdownCancelAll", symbol=BTC, countdownTime=-1) == -1130


def test_a_venue_whose_countdown_takes_algo_orders_too() -> None:
    desk = quiet(rules=replace(spec(), countdown_spares_algo=False))
    desk.order("BUY", "0.010")
    desk.stop("SELL", "39500", closePosition=True)
    desk.post("countdownCancelAll", symbol=BTC, countdownTime=1_000)
    desk.wait(s=1)
    assert desk.get("openAlgoOrders") == []


# listen keys


def test_a_listen_key_lives_an_hour_after_its_last_keep_alive() -> None:
    desk = quiet()
    key = desk.post("listenKey")["listenKey"]
    assert desk.post("listenKey")["listenKey"] == key
    assert desk.exchange.account_of_listen_key(key) == desk.name
    desk.wait(s=59 * 60)
    assert desk.ask("PUT", "listenKey", listenKey=key) == {}
    desk.wait(s=59 * 60)
    assert desk.exchange.account_of_listen_key(key) == desk.name
    desk.events()
    desk.wait(s=60)
    assert desk.exchange.account_of_listen_key(key) is None
    expired = {"e": "listenKeyExpired", "E": START_MS + 119 * MINUTE_MS, "listenKey": key}
    assert desk.events() == [expired]
    assert desk.refused("PUT", "listenKey", listenKey=key) == -1125
    fresh = desk.post("listenKey")["listenKey"]
    assert fresh != key
    assert desk.delete("listenKey") == {}
    assert desk.exchange.account_of_listen_key(fresh) is None
    assert desk.exchange.account_of_listen_key("") is None


def test_a_listen_key_can_be_ended_by_force() -> None:
    desk = quiet()
    desk.exchange.expire_listen_key(desk.name)
    assert desk.events() == []
    desk.post("listenKey")
    desk.exchange.expire_listen_key(desk.name)
    assert [one["e"] for one in desk.events()] == ["listenKeyExpired"]


# keys


@pytest.mark.parametrize("withdrawals", [False, True])
def test_permissions_are_shown(withdrawals: bool) -> None:  # noqa: FBT001 - a parameter
    desk = quiet()
    may = Permissions(withdrawals=withdrawals, ip_restricted=not withdrawals)
    desk.exchange.open_account("other", "k2", "s2", 5, permissions=may)
    shown = Bench(desk.exchange, "other").get("/sapi/v1/account/apiRestrictions")
    assert (shown["enableWithdrawals"], shown["ipRestrict"]) == (withdrawals, not withdrawals)
    assert shown["enableFutures"] is True


def test_a_key_without_futures_sees_its_restrictions_only() -> None:
    desk = quiet()
    desk.exchange.open_account("other", "k2", "s2", 5, permissions=Permissions(futures=False))
    other = Bench(desk.exchange, "other")
    assert other.get("/sapi/v1/account/apiRestrictions")["enableFutures"] is False
    assert other.refused("GET", "/fapi/v3/balance") == -2015
    assert other.refused("POST", "order", symbol=BTC) == -2015


def test_accounts_do_not_see_each_other() -> None:
    desk = quiet()
    desk.exchange.open_account("other", "k2", "s2", 50_000)
    other = Bench(desk.exchange, "other")
    desk.order("BUY", "0.010", price="39000", newClientOrderId="mine")
    assert other.get("openOrders") == []
    assert other.refused("DELETE", "order", symbol=BTC, origClientOrderId="mine") == -2011
    other.order("SELL", "0.010", newClientOrderId="mine")
    desk.wait(s=HOUR_MS / 1_000)
    assert desk.position() == 0
    assert other.position() == Decimal("-0.010")
