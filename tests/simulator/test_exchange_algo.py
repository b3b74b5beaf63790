"""Algo orders: stops that wait outside the book, fill where domain.md says, and die or stay as on the venue."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.clock import HOUR_MS, MINUTE_MS
from engine.portfolio import fill_price, stop_fill_reference
from engine.simulator.specs import known_symbols
from tests.simulator.exchange_bench import BTC, START_MS, Bench, Row, bench, flat, market, quiet, spec


def life(desk: Bench) -> list[str]:
    """What was told of algo orders and orders, in short."""
    short = []
    for one in desk.events():
        if one["e"] == "ALGO_UPDATE":
            short.append(f"algo {one['o']['X']}")
        elif one["e"] == "ORDER_TRADE_UPDATE":
            short.append(f"order {one['o']['X']}")
    return short


def held(rows: list[Row], side: str, **settings: Any) -> Bench:
    """A position of 0.1 BTC bought or sold at 40,000, then the rows."""
    desk = bench(market({BTC: [*flat(40_000.0, 1), *rows]}), **settings)
    desk.order(side, "0.100")
    desk.events()
    return desk


# (what happens, side of the stop, trigger, the bar after, where it fills before slippage)
GAPS: list[tuple[str, str, float, Row]] = [
    ("a low runs through a long's stop", "SELL", 39_500.0, (39_800.0, 39_900.0, 39_000.0, 39_600.0)),
    ("a low just reaches it", "SELL", 39_500.0, (39_800.0, 39_900.0, 39_500.0, 39_600.0)),
    ("a gap below a long's stop", "SELL", 39_500.0, (39_200.0, 39_900.0, 39_000.0, 39_600.0)),
    ("a high runs through a short's stop", "BUY", 40_500.0, (40_100.0, 41_000.0, 40_050.0, 40_800.0)),
    ("a gap above a short's stop", "BUY", 40_500.0, (40_700.0, 41_000.0, 40_050.0, 40_800.0)),
]


@pytest.mark.parametrize(("what", "side", "stop", "row"), GAPS, ids=[one[0] for one in GAPS])
def test_a_stop_fills_as_in_the_backtest(what: str, side: str, stop: float, row: Row) -> None:
    del what
    long = side == "SELL"
    rules = spec(slippage_bps=Decimal(3), on_tick=False)
    desk = held([row], "BUY" if long else "SELL", rules=rules)
    desk.stop(side, str(stop), quantity="0.100", reduceOnly=True, clientAlgoId="s-1")
    assert desk.get("openOrders") == []
    desk.events()
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    trade = desk.get("userTrades", symbol=BTC)[-1]
    reference = stop_fill_reference(row[0], stop, long=long)
    assert float(trade["price"]) == pytest.approx(fill_price(reference, -1 if long else 1, 3e-4), abs=1e-8)
    assert desk.position() == 0
    algo = desk.get("algoOrder", clientAlgoId="s-1")
    assert (algo["algoStatus"], algo["actualQty"], algo["actualOrderId"]) == (
        "FINISHED",
        "0.100",
        str(trade["orderId"]),
    )
    order = desk.get("order", symbol=BTC, orderId=trade["orderId"])
    assert (order["clientOrderId"], order["origType"], order["type"]) == ("s-1", "STOP_MARKET", "MARKET")


def test_the_life_of_a_stop() -> None:
    desk = held([(39_800.0, 39_900.0, 39_000.0, 39_600.0)], "BUY")
    desk.stop("SELL", "39500", quantity="0.100", reduceOnly=True)
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    told = life(desk)
    assert told == ["algo NEW", "algo TRIGGERING", "algo TRIGGERED", "order NEW", "order FILLED", "algo FINISHED"]


def test_a_take_profit_waits_for_the_other_side() -> None:
    desk = held([(40_100.0, 40_600.0, 39_000.0, 40_200.0)], "BUY")
    desk.stop("SELL", "40500", quantity="0.100", reduceOnly=True, type="TAKE_PROFIT_MARKET")
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    assert desk.get("userTrades", symbol=BTC)[-1]["price"] == "40500.0"


def test_a_stop_limit_rests_at_its_price() -> None:
    desk = held([(39_900.0, 39_900.0, 39_000.0, 39_600.0)], "BUY")
    desk.stop("SELL", "39500", type="STOP", price="39550", quantity="0.100", reduceOnly=True)
    desk.exchange.advance(START_MS + HOUR_MS + 41 * MINUTE_MS)
    assert [one["price"] for one in desk.get("openOrders")] == ["39550.0"]
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    assert desk.get("userTrades", symbol=BTC)[-1]["price"] == "39550.0"


def test_a_stop_on_the_mark_price_ignores_the_last_price() -> None:
    rows = [*flat(40_000.0, 1), (39_800.0, 39_900.0, 39_000.0, 39_600.0), *flat(39_600.0, 1)]
    marks = [*flat(40_000.0, 1), (39_900.0, 39_900.0, 39_700.0, 39_700.0), (39_700.0, 39_700.0, 39_400.0, 39_600.0)]
    desk = bench(market({BTC: rows}, mark={BTC: marks}))
    desk.order("BUY", "0.100")
    desk.stop("SELL", "39500", workingType="MARK_PRICE", quantity="0.100", reduceOnly=True)
    desk.exchange.advance(START_MS + 2 * HOUR_MS - 1)
    assert desk.position() == Decimal("0.100")
    desk.exchange.advance(START_MS + 3 * HOUR_MS)
    assert desk.position() == 0
    assert desk.get("userTrades", symbol=BTC)[-1]["price"] == "39600.0"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"triggerPrice": "40000"}, -2021),
        ({"triggerPrice": "40100"}, -2021),
        ({"side": "BUY", "triggerPrice": "39900"}, -2021),
        ({"type": "TAKE_PROFIT_MARKET", "triggerPrice": "39900"}, -2021),
        ({"triggerPrice": "39500.05"}, -4014),
        ({"triggerPrice": ""}, -1102),
        ({"quantity": ""}, -1102),
        ({"quantity": "0.0105"}, -1111),
        ({"quantity": "0.001"}, -4164),
        ({"type": "MARKET"}, -1116),
        ({"algoType": "VP"}, -1130),
        ({"workingType": "INDEX"}, -1130),
        ({"timeInForce": "DAY"}, -1115),
        ({"clientAlgoId": "x" * 37}, -4015),
        ({"type": "STOP"}, -1102),
        ({"closePosition": "true", "quantity": ""}, -4509),
        ({"closePosition": "true"}, -4137),
        ({"closePosition": "true", "reduceOnly": "true", "quantity": ""}, -1106),
        ({"closePosition": "true", "type": "STOP", "price": "39000", "quantity": ""}, -4136),
    ],
)
def test_refusals(changes: dict[str, str], code: int) -> None:
    desk = quiet()
    sent = {"symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "triggerPrice": "39500", "quantity": "0.010"}
    assert desk.refused("POST", "algoOrder", **{**sent, **changes}) == code
    assert desk.get("openAlgoOrders") == []
    assert desk.events() == []


def test_a_second_closing_stop_is_refused_and_so_is_an_id_in_use() -> None:
    desk = held(flat(40_000.0, 1), "BUY")
    desk.stop("SELL", "39500", closePosition=True, clientAlgoId="a")
    sent = {"symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "triggerPrice": "39000"}
    assert desk.refused("POST", "algoOrder", closePosition=True, **sent) == -4130
    assert desk.refused("POST", "algoOrder", quantity="0.1", clientAlgoId="a", **sent) == -4116
    assert desk.delete("algoOrder", clientAlgoId="a") == {
        "algoId": desk.get("algoOrder", clientAlgoId="a")["algoId"],
        "clientAlgoId": "a",
        "code": "200",
        "msg": "success",
    }
    assert desk.refused("DELETE", "algoOrder", clientAlgoId="a") == -2011
    assert desk.refused("GET", "algoOrder", clientAlgoId="b") == -2013
    desk.stop("SELL", "39000", closePosition=True, clientAlgoId="a")
    assert [one["triggerPrice"] for one in desk.get("openAlgoOrders", symbol=BTC)] == ["39000.0"]
    assert len(desk.get("allAlgoOrders", symbol=BTC)) == 2


def test_a_closing_stop_closes_whatever_is_held_and_dies_with_the_position() -> None:
    desk = held([(39_800.0, 39_900.0, 39_000.0, 39_600.0)], "BUY")
    desk.stop("SELL", "39500", closePosition=True, clientAlgoId="a")
    desk.order("BUY", "0.050")
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    assert desk.get("userTrades", symbol=BTC)[-1]["qty"] == "0.150"
    desk.order("BUY", "0.100")
    desk.stop("SELL", "39000", closePosition=True, clientAlgoId="b")
    desk.events()
    desk.order("SELL", "0.100")
    assert desk.get("algoOrder", clientAlgoId="b")["algoStatus"] == "EXPIRED"
    assert life(desk)[-1] == "algo EXPIRED"


def test_a_reduce_only_stop_stays_when_the_position_goes_and_is_rejected_at_its_trigger() -> None:
    desk = held([(39_800.0, 39_900.0, 39_000.0, 39_600.0)], "BUY")
    desk.stop("SELL", "39500", quantity="0.100", reduceOnly=True, clientAlgoId="a")
    desk.order("SELL", "0.100")
    assert len(desk.get("openAlgoOrders")) == 1
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    (event,) = [one["o"] for one in desk.events("ALGO_UPDATE") if one["o"]["X"] == "REJECTED"]
    assert (event["rm"], event["ai"]) == ("Reduce Only reject", "")
    assert desk.get("algoOrder", clientAlgoId="a")["algoStatus"] == "REJECTED"
    assert desk.position() == 0


def test_a_stop_larger_than_the_position_closes_it_and_no_more() -> None:
    desk = held([(39_800.0, 39_900.0, 39_000.0, 39_600.0)], "BUY")
    desk.stop("SELL", "39500", quantity="0.300", reduceOnly=True)
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    assert desk.position() == 0
    assert desk.get("userTrades", symbol=BTC)[-1]["qty"] == "0.100"


def test_an_opening_stop_without_margin_is_rejected_at_its_trigger() -> None:
    desk = bench(market({BTC: [*flat(40_000.0, 1), (40_000.0, 40_600.0, 40_000.0, 40_200.0)]}), balance=1_000)
    desk.stop("BUY", "40500", quantity="1", clientAlgoId="a")
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    assert desk.get("algoOrder", clientAlgoId="a")["algoStatus"] == "REJECTED"
    assert desk.position() == 0


def test_cancel_all_algo_orders_spares_ordinary_ones() -> None:
    desk = held(flat(40_000.0, 1), "BUY")
    desk.stop("SELL", "39500", closePosition=True)
    desk.stop("SELL", "39000", quantity="0.1", reduceOnly=True)
    desk.order("BUY", "0.010", price="39000")
    assert desk.delete("algoOpenOrders", symbol=BTC)["code"] == 200
    assert desk.get("openAlgoOrders") == []
    assert len(desk.get("openOrders")) == 1


def test_too_many_algo_orders() -> None:
    few = replace(known_symbols()[0], max_algo_orders=1)
    desk = quiet(rules=spec().with_symbol(few))
    desk.stop("SELL", "39500", quantity="0.010")
    sent = {"symbol": BTC, "side": "SELL", "type": "STOP_MARKET", "triggerPrice": "39000", "quantity": "0.010"}
    assert desk.refused("POST", "algoOrder", **sent) == -4045
