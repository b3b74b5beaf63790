"""Ordinary orders: how they live, fill and are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS
from engine.simulator.exchange import VenueError
from engine.simulator.path import PathSettings
from engine.simulator.specs import Liquidity, known_symbols
from tests.simulator.exchange_bench import BTC, ETH, SOL, START_MS, bench, flat, market, quiet, spec


def steps(desk_events: list[dict[str, object]]) -> list[str]:
    """Each message in short: its kind, and of orders what happened."""
    return [f"{one['o']['x']}/{one['o']['X']}" if "o" in one else str(one["e"]) for one in desk_events]  # type: ignore[index]


def test_a_market_order_is_acknowledged_filled_and_told_in_order() -> None:
    desk = quiet(rules=spec(slippage_bps=Decimal(3)))
    answer = desk.order("BUY", "0.100", newClientOrderId="a-1", newOrderRespType="ACK")
    assert (answer["status"], answer["executedQty"], answer["avgPrice"]) == ("NEW", "0.000", "0.00000")
    events = desk.events()
    assert steps(events) == ["NEW/NEW", "ACCOUNT_UPDATE", "TRADE/FILLED"]
    fill = events[2]["o"]
    assert (fill["c"], fill["L"], fill["l"], fill["n"], fill["m"]) == ("a-1", "40012.0", "0.100", "2.00060000", False)
    shown = desk.get("order", symbol=BTC, origClientOrderId="a-1")
    assert (shown["status"], shown["avgPrice"], shown["cumQuote"]) == ("FILLED", "40012.00000", "4001.20000")
    (trade,) = desk.get("userTrades", symbol=BTC)
    assert (trade["orderId"], trade["price"], trade["commission"]) == (answer["orderId"], "40012.0", "2.00060000")
    assert desk.wallet() == Decimal("99997.9994")
    sold = desk.order("SELL", "0.100")
    assert sold["avgPrice"] == "39988.00000"


def test_a_limit_order_rests_until_the_path_comes_by() -> None:
    rows = [*flat(40_000.0, 1), (40_000.0, 40_100.0, 39_900.0, 40_050.0)]
    desk = bench(market({BTC: rows}))
    answer = desk.order("BUY", "0.100", price="39950", newClientOrderId="l-1")
    assert (answer["status"], answer["executedQty"]) == ("NEW", "0.000")
    assert [one["clientOrderId"] for one in desk.get("openOrders", symbol=BTC)] == ["l-1"]
    assert desk.get("openOrder", symbol=BTC, origClientOrderId="l-1")["price"] == "39950.0"
    desk.exchange.advance(START_MS + HOUR_MS + 19 * MINUTE_MS)
    desk.exchange.advance(START_MS + HOUR_MS + 20 * MINUTE_MS)
    shown = desk.get("order", symbol=BTC, orderId=answer["orderId"])
    assert (shown["status"], shown["avgPrice"]) == ("FILLED", "39950.00000")
    (trade,) = desk.get("userTrades", symbol=BTC)
    assert (trade["maker"], trade["commission"]) == (True, "0.79900000")
    assert desk.get("openOrders") == []
    assert desk.refused("GET", "openOrder", symbol=BTC, orderId=answer["orderId"]) == -2013


def test_a_marketable_limit_takes_and_never_pays_more_than_its_price() -> None:
    desk = quiet(rules=spec(slippage_bps=Decimal(30)))
    assert desk.order("BUY", "0.010", price="40010")["avgPrice"] == "40010.00000"
    assert desk.order("SELL", "0.010", price="39990")["avgPrice"] == "39990.00000"
    assert [one["maker"] for one in desk.get("userTrades", symbol=BTC)] == [False, False]
    # at the last price itself it rests: the best bid and ask stand a tick away
    assert desk.order("BUY", "0.010", price="40000")["status"] == "NEW"
    assert desk.get("ticker/bookTicker", symbol=BTC)["bidPrice"] == "39999.9"


def test_time_in_force() -> None:
    desk = quiet()
    assert desk.order("BUY", "0.010", price="39000", timeInForce="IOC")["status"] == "EXPIRED"
    assert desk.order("BUY", "0.010", price="40010", timeInForce="IOC")["status"] == "FILLED"
    sent = {"symbol": BTC, "side": "BUY", "quantity": "0.010", "type": "LIMIT"}
    assert desk.refused("POST", "order", **sent, price="40010", timeInForce="GTX") == -5022
    assert desk.refused("POST", "order", **sent, price="39000", timeInForce="FOK") == -5021
    assert desk.order("BUY", "0.010", price="39000", timeInForce="GTX")["status"] == "NEW"
    assert len(desk.get("allOrders", symbol=BTC)) == 3


def test_a_cancelled_order_says_so_once() -> None:
    desk = quiet()
    desk.order("BUY", "0.010", price="39000", newClientOrderId="c-1")
    desk.events()
    assert desk.delete("order", symbol=BTC, origClientOrderId="c-1")["status"] == "CANCELED"
    assert steps(desk.events()) == ["CANCELED/CANCELED"]
    assert desk.refused("DELETE", "order", symbol=BTC, origClientOrderId="c-1") == -2011
    assert desk.refused("DELETE", "order", symbol=BTC, origClientOrderId="never") == -2011
    assert desk.refused("GET", "order", symbol=BTC, origClientOrderId="never") == -2013
    # unfilled and ended: gone after three days
    assert desk.get("order", symbol=BTC, origClientOrderId="c-1")["status"] == "CANCELED"
    desk.exchange.advance(START_MS + 3 * DAY_MS + 1)
    assert desk.refused("GET", "order", symbol=BTC, origClientOrderId="c-1") == -2013


def test_an_id_is_unique_among_open_orders_only() -> None:
    desk = quiet()
    desk.order("BUY", "0.010", price="39000", newClientOrderId="x")
    assert desk.refused("POST", "order", symbol=BTC, side="BUY", type="MARKET", quantity="1", newClientOrderId="x") == (
        -4116
    )
    desk.delete("order", symbol=BTC, origClientOrderId="x")
    # the trap: the venue takes a used id again, so a blind resend trades twice
    first, second = (desk.order("BUY", "0.010", newClientOrderId="x")["orderId"] for _ in range(2))
    assert desk.get("order", symbol=BTC, origClientOrderId="x")["orderId"] == second > first
    assert desk.position() == Decimal("0.020")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "DOGEUSDT"}, -1121),
        ({"symbol": ""}, -1102),
        ({"side": "LONG"}, -1117),
        ({"type": "ICEBERG"}, -1116),
        ({"type": "STOP_MARKET", "stopPrice": "39000"}, -4120),
        ({"type": "TAKE_PROFIT"}, -4120),
        ({"quantity": "0"}, -4003),
        ({"quantity": "-1"}, -4003),
        ({"quantity": "0.0105"}, -1111),
        ({"quantity": ""}, -1102),
        ({"quantity": "much"}, -1130),
        ({"quantity": "NaN"}, -1130),
        ({"quantity": "0.002"}, -4164),
        ({"quantity": "121"}, -4005),
        ({"type": "LIMIT", "timeInForce": "GTC"}, -1102),
        ({"type": "LIMIT", "price": "39000"}, -1102),
        ({"type": "LIMIT", "price": "39000", "timeInForce": "GTD"}, -1115),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "39000.05"}, -4014),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "39000.001"}, -1111),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "500"}, -4013),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "5000000"}, -4002),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "42000.1"}, -4016),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "37999.9", "side": "SELL"}, -4024),
        ({"newClientOrderId": "x" * 37}, -4015),
        ({"newClientOrderId": "so so"}, -1100),
        ({"positionSide": "LONG"}, -4061),
        ({"reduceOnly": "true"}, -2022),
        ({"quantity": "10"}, -2019),
    ],
)
def test_refusals(changes: dict[str, str], code: int) -> None:
    desk = quiet()
    sent = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    assert desk.refused("POST", "order", **{**sent, **changes}) == code
    assert desk.get("openOrders") == []
    assert desk.get("allOrders", symbol=BTC) == []
    assert desk.events() == []
    assert desk.wallet() == 100_000


def test_refusals_use_the_venues_words() -> None:
    desk = quiet()
    with pytest.raises(VenueError) as caught:
        desk.order("BUY", "0.001")
    words = "Order's notional must be no smaller than 100 (unless you choose reduce only)"
    assert caught.value.body() == {"code": -4164, "msg": words}
    assert caught.value.http_status == 400


def test_reduce_only_never_opens_turns_or_needs_a_minimum() -> None:
    desk = quiet()
    desk.order("SELL", "0.010")
    sent = {"symbol": BTC, "type": "MARKET", "quantity": "0.010", "reduceOnly": "true"}
    assert desk.refused("POST", "order", side="SELL", **sent) == -2022
    # below the minimum notional, and more than is held
    assert desk.order("BUY", "0.001", reduceOnly="true")["status"] == "FILLED"
    cut = desk.order("BUY", "5", reduceOnly="true")
    assert (cut["origQty"], cut["executedQty"], cut["status"]) == ("0.009", "0.009", "FILLED")
    assert desk.position() == 0
    assert desk.refused("POST", "order", side="BUY", **sent) == -2022


def test_resting_reduce_only_orders_die_with_the_position() -> None:
    desk = quiet()
    desk.order("BUY", "0.010")
    desk.order("SELL", "0.010", price="41000", reduceOnly="true", newClientOrderId="r")
    desk.order("SELL", "0.010", price="41500", newClientOrderId="free")
    desk.events()
    desk.order("SELL", "0.010")
    assert desk.get("order", symbol=BTC, origClientOrderId="r")["status"] == "EXPIRED"
    assert [one["clientOrderId"] for one in desk.get("openOrders")] == ["free"]
    assert "EXPIRED/EXPIRED" in steps(desk.events())


def test_one_order_turns_a_position() -> None:
    desk = quiet()
    desk.order("BUY", "0.100")
    desk.order("SELL", "0.300")
    (row,) = desk.get("/fapi/v3/positionRisk")
    assert (row["positionAmt"], row["entryPrice"]) == ("-0.200", "40000.00000")
    assert row["isolatedWallet"] == "2666.66666667"
    assert desk.order("BUY", "0.200")["status"] == "FILLED"
    assert desk.get("/fapi/v3/positionRisk") == []
    assert desk.wallet() == 100_000 - Decimal("0.6") * 40_000 * Decimal("0.0005")


def test_partial_fills_within_a_millisecond() -> None:
    desk = quiet(rules=spec(parts=6))
    for number in range(8):
        desk.order("BUY", "0.050", newClientOrderId=f"p{number}")
    counts = []
    for number in range(8):
        shown = desk.get("order", symbol=BTC, origClientOrderId=f"p{number}")
        trades = desk.get("userTrades", symbol=BTC, orderId=shown["orderId"])
        assert sum(Decimal(one["qty"]) for one in trades) == Decimal("0.050") == Decimal(shown["executedQty"])
        assert all(Decimal(one["qty"]) % Decimal("0.001") == 0 for one in trades)
        counts.append(len(trades))
    assert max(counts) > 2
    assert min(counts) >= 1
    told = [one["o"]["X"] for one in desk.events("ORDER_TRADE_UPDATE") if one["o"]["x"] == "TRADE"]
    assert told.count("FILLED") == 8
    assert told.count("PARTIALLY_FILLED") == sum(counts) - 8


def test_partial_fills_over_time_can_be_cancelled() -> None:
    desk = quiet(rules=spec(parts=6, part_delay_ms=500))
    for number in range(8):
        answer = desk.order("BUY", "0.050", newClientOrderId=f"p{number}")
        if answer["status"] == "PARTIALLY_FILLED":
            break
    assert desk.exchange.next_event_ms() == START_MS + 500
    held = desk.position()
    desk.wait(s=0.5)
    assert held < desk.position() <= Decimal("0.050") * (number + 1)
    shown = desk.get("order", symbol=BTC, orderId=answer["orderId"])
    if shown["status"] == "PARTIALLY_FILLED":
        desk.delete("order", symbol=BTC, orderId=answer["orderId"])
    held = desk.position()
    desk.wait(s=60)
    assert desk.position() == held


def test_an_ended_order_promises_nothing_more() -> None:
    desk = quiet(rules=spec(parts=6, part_delay_ms=500))
    answers = [desk.order("BUY", "0.050") for _ in range(8)]
    for answer in answers:
        if answer["status"] == "PARTIALLY_FILLED":
            desk.delete("order", symbol=BTC, orderId=answer["orderId"])
    assert "PARTIALLY_FILLED" in {answer["status"] for answer in answers}
    assert desk.exchange.next_event_ms() == quiet().exchange.next_event_ms()


def test_a_reduce_only_order_that_fills_over_time_never_turns_the_position() -> None:
    desk = quiet(rules=spec(parts=6, part_delay_ms=500))
    desk.exchange.change_liquidity(Liquidity(slippage_bps=Decimal(0)))
    desk.order("BUY", "0.500")
    desk.exchange.change_liquidity(Liquidity(slippage_bps=Decimal(0), parts=6, part_delay_ms=500))
    answer = desk.order("SELL", "0.500", reduceOnly="true")
    assert answer["status"] == "PARTIALLY_FILLED"
    desk.exchange.change_liquidity(Liquidity(slippage_bps=Decimal(0)))
    left = desk.position() - Decimal("0.001")
    desk.exchange.place_as_other(desk.name, BTC, -1, str(left))
    desk.wait(s=10)
    assert desk.position() == 0
    shown = desk.get("order", symbol=BTC, orderId=answer["orderId"])
    assert shown["status"] == "EXPIRED"
    assert Decimal(shown["executedQty"]) == Decimal("0.500") - left


def test_what_the_book_cannot_fill_expires() -> None:
    desk = quiet(rules=spec(market_ratio=Decimal("0.4")))
    answer = desk.order("BUY", "0.011")
    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", "0.004")
    assert desk.order("SELL", "0.001", reduceOnly="true")["executedQty"] == "0.000"
    assert steps(desk.events())[-1] == "EXPIRED/EXPIRED"


def test_a_touch_fills_a_part_and_a_cross_the_rest() -> None:
    rows = [*flat(40_000.0, 1), (40_000.0, 40_000.0, 39_950.0, 40_000.0), (40_000.0, 40_000.0, 39_949.0, 40_000.0)]
    desk = bench(market({BTC: rows}), rules=spec(touch_ratio=Decimal("0.25")))
    desk.order("BUY", "0.100", price="39950", newClientOrderId="t")
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    shown = desk.get("order", symbol=BTC, origClientOrderId="t")
    assert (shown["status"], shown["executedQty"]) == ("PARTIALLY_FILLED", "0.025")
    desk.exchange.advance(START_MS + 3 * HOUR_MS)
    assert desk.get("order", symbol=BTC, origClientOrderId="t")["status"] == "FILLED"
    assert {one["price"] for one in desk.get("userTrades", symbol=BTC)} == {"39950.0"}


def test_an_order_at_the_best_price_is_hit_after_a_while() -> None:
    desk = quiet(rules=spec(queue_s=5.0))
    for number in range(40):
        desk.order("BUY", "0.010", price="40000", newClientOrderId=f"b{number}")
    desk.order("BUY", "0.010", price="39990", newClientOrderId="behind")
    desk.wait(s=5)
    filled = sum(one["status"] == "FILLED" for one in desk.get("allOrders", symbol=BTC))
    assert 15 <= filled <= 35
    desk.wait(s=50)
    assert [one["clientOrderId"] for one in desk.get("openOrders")] == ["behind"]
    assert all(one["maker"] for one in desk.get("userTrades", symbol=BTC))


def test_orders_are_met_in_the_order_the_price_comes_by() -> None:
    rows = [*flat(40_000.0, 1), (40_000.0, 40_000.0, 39_000.0, 39_000.0)]
    desk = bench(market({BTC: rows}), path=PathSettings(between=0))
    for name, price in (("far", "39100"), ("near", "39900"), ("mid", "39500")):
        desk.order("BUY", "0.010", price=price, newClientOrderId=name)
    desk.events()
    desk.wait(hours=2)
    assert [one["o"]["c"] for one in desk.events("ORDER_TRADE_UPDATE")] == ["near", "mid", "far"]


def test_a_batch_answers_for_each_order() -> None:
    desk = quiet()
    rows = [
        {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.010", "newClientOrderId": "b1"},
        {"symbol": BTC, "side": "SELL", "type": "MARKET", "quantity": 0.001, "reduceOnly": True},
        {"symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010", "stopPrice": "39000"},
    ]
    first, second, third = desk.post("batchOrders", batchOrders=json.dumps(rows))
    assert (first["clientOrderId"], second["reduceOnly"], third["code"]) == ("b1", True, -4120)
    assert desk.position() == Decimal("0.009")
    assert desk.refused("POST", "batchOrders", batchOrders=json.dumps(rows * 2)) == -4082
    assert desk.refused("POST", "batchOrders", batchOrders="[") == -1130
    desk.order("BUY", "0.010", price="39000", newClientOrderId="c1")
    gone = desk.delete("batchOrders", symbol=BTC, origclientorderidlist='["c1","c2"]')
    assert [one.get("status", one.get("code")) for one in gone] == ["CANCELED", -2011]


def test_cancel_all_spares_other_symbols_and_algo_orders() -> None:
    desk = bench(market({BTC: flat(40_000.0, 3), ETH: flat(2_000.0, 3)}))
    desk.order("BUY", "0.010", price="39000")
    desk.order("BUY", "0.100", ETH, price="1950")
    desk.order("BUY", "0.010")
    desk.stop("SELL", "38000", closePosition=True)
    assert desk.delete("allOpenOrders", symbol=BTC)["code"] == 200
    assert [one["symbol"] for one in desk.get("openOrders")] == [ETH]
    assert len(desk.get("openAlgoOrders")) == 1


def test_too_many_orders() -> None:
    few = replace(known_symbols()[0], max_orders=2)
    desk = quiet(rules=spec().with_symbol(few))
    for _ in range(2):
        desk.order("BUY", "0.010", price="39000")
    sent = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    assert desk.refused("POST", "order", **sent) == -2025


def test_filters_and_status_change_while_running() -> None:
    desk = quiet()
    desk.order("BUY", "0.010")
    symbol = known_symbols()[0]
    desk.exchange.change_symbol(replace(symbol, step_size=Decimal("0.01"), min_qty=Decimal("0.01"), qty_decimals=2))
    info = next(one for one in desk.get("exchangeInfo")["symbols"] if one["symbol"] == BTC)
    assert next(one for one in info["filters"] if one["filterType"] == "LOT_SIZE")["stepSize"] == "0.01"
    sent = {"symbol": BTC, "side": "BUY", "type": "MARKET"}
    assert desk.refused("POST", "order", quantity="0.015", **sent) == -1111
    desk.exchange.change_symbol(replace(symbol, step_size=Decimal("0.005")))
    assert desk.refused("POST", "order", quantity="0.012", **sent) == -4023
    desk.exchange.change_symbol(replace(symbol, status="SETTLING"))
    assert desk.refused("POST", "order", quantity="0.010", **sent) == -4108
    assert desk.get("exchangeInfo")["symbols"][0]["status"] == "SETTLING"


def test_a_restricted_account_or_an_overloaded_venue_still_reduces() -> None:
    desk = quiet()
    desk.order("BUY", "0.010")
    sent = {"symbol": BTC, "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    desk.exchange.restrict(desk.name, reduce_only=True)
    assert desk.refused("POST", "order", **sent) == -4400
    desk.exchange.restrict(desk.name, reduce_only=False)
    desk.exchange.overload(on=True)
    with pytest.raises(VenueError) as caught:
        desk.order("BUY", "0.010")
    assert (caught.value.code, caught.value.http_status) == (-1008, 503)
    assert desk.order("SELL", "0.010", reduceOnly="true")["status"] == "FILLED"
    desk.exchange.overload(on=False)
    assert desk.order("BUY", "0.010")["status"] == "FILLED"


def test_hedge_mode_keeps_two_positions() -> None:
    desk = quiet(hedge_mode=True)
    assert desk.get("positionSide/dual") == {"dualSidePosition": True}
    sent = {"symbol": BTC, "type": "MARKET", "quantity": "0.010"}
    assert desk.refused("POST", "order", side="BUY", **sent) == -4061
    assert desk.refused("POST", "order", side="SELL", positionSide="LONG", reduceOnly="true", **sent) == -1106
    assert desk.refused("POST", "order", side="SELL", positionSide="LONG", **sent) == -2022
    desk.order("BUY", "0.030", positionSide="LONG")
    desk.order("SELL", "0.020", positionSide="SHORT")
    rows = desk.get("/fapi/v3/positionRisk")
    assert [(one["positionSide"], one["positionAmt"]) for one in rows] == [("LONG", "0.030"), ("SHORT", "-0.020")]
    assert desk.refused("POST", "order", side="SELL", positionSide="LONG", **{**sent, "quantity": "0.031"}) == -2022
    desk.order("SELL", "0.030", positionSide="LONG")
    assert desk.position() == Decimal("-0.020")
    assert desk.refused("POST", "positionSide/dual", dualSidePosition="false") == -4068


def test_a_foreign_order_is_told_like_any_other() -> None:
    desk = bench(market({SOL: flat(100.0, 3)}))
    number = desk.exchange.place_as_other(desk.name, SOL, -1, "2.5")
    resting = desk.exchange.place_as_other(desk.name, SOL, 1, "1", price="99")
    assert desk.position(SOL) == Decimal("-2.5")
    assert [one["orderId"] for one in desk.get("openOrders")] == [resting]
    client_id = desk.get("order", symbol=SOL, orderId=number)["clientOrderId"]
    assert client_id.startswith("web_")
    assert len(desk.events("ORDER_TRADE_UPDATE")) == 3


def test_answers_without_averages() -> None:
    desk = quiet(rules=replace(spec(), averages_in_answers=False))
    answer = desk.order("BUY", "0.010")
    assert not {"avgPrice", "cumQuote"} & set(answer)
    assert answer["executedQty"] == "0.010"
    assert desk.get("userTrades", symbol=BTC)[0]["price"] == "40000.0"


def test_histories_are_paged_and_bounded() -> None:
    desk = quiet(hours=24 * 20)
    for day in range(10):
        desk.exchange.advance(START_MS + day * DAY_MS)
        desk.order("BUY", "0.010", newClientOrderId=f"d{day}")
    trades = desk.get("userTrades", symbol=BTC)
    assert len(trades) == 8
    everything = desk.get("userTrades", symbol=BTC, fromId=0)
    assert len(everything) == 10
    assert desk.get("userTrades", symbol=BTC, fromId=everything[3]["id"], limit=2) == everything[3:5]
    week = desk.get("userTrades", symbol=BTC, startTime=START_MS)
    assert week == everything[:8]
    assert desk.refused("GET", "userTrades", symbol=BTC, startTime=1, endTime=START_MS) == -4165
    assert desk.refused("GET", "userTrades", symbol=BTC, fromId=0, startTime=1) == -1128
    assert desk.refused("GET", "userTrades", symbol=BTC, limit=0) == -1130
    orders = desk.get("allOrders", symbol=BTC, orderId=everything[8]["orderId"])
    assert [one["clientOrderId"] for one in orders] == ["d8", "d9"]
    fees = desk.get("income", incomeType="COMMISSION", startTime=START_MS, limit=4, page=2)
    assert [one["tradeId"] for one in fees] == [str(one["id"]) for one in everything[4:8]]
    # three months later all of it is gone
    desk.exchange.advance(START_MS + 97 * DAY_MS)
    assert len(desk.get("userTrades", symbol=BTC, fromId=0)) == 3
    assert len(desk.get("income", incomeType="COMMISSION", startTime=START_MS)) == 3
    assert len(desk.get("allOrders", symbol=BTC, orderId=1)) == 3


def test_who_may_ask_what() -> None:
    desk = quiet()
    for account in (None, "stranger"):
        with pytest.raises(VenueError) as caught:
            desk.exchange.call("GET", "/fapi/v3/balance", {}, account)
        assert (caught.value.code, caught.value.http_status) == (-2015, 401)
        assert desk.exchange.call("GET", "/fapi/v1/ping", {}, account) == {}
    with pytest.raises(VenueError) as caught:
        desk.get("nowhere")
    assert (caught.value.code, caught.value.http_status) == (-5000, 404)
    assert desk.exchange.account_of_key("key") == (desk.name, "secret")
    assert desk.exchange.account_of_key("other") is None
