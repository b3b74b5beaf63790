"""Money: funding, margin, liquidation, and that none appears or vanishes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.market.synthetic import synthetic_market
from engine.simulator.exchange import VenueError
from engine.simulator.specs import known_symbols
from tests.backtest.builders import real_market
from tests.simulator.exchange_bench import BTC, ETH, SOL, START_MS, Bench, Row, bench, flat, market, quiet, spec

if TYPE_CHECKING:
    from pathlib import Path

    from engine.market.series import Market

ZERO = Decimal(0)
MIDNIGHT_MS = START_MS - HOUR_MS


def income(desk: Bench, kind: str = "") -> list[dict[str, Any]]:
    rows = desk.exchange.call("GET", "/fapi/v1/income", {"startTime": "1", "limit": "1000"}, desk.name)
    return [one for one in rows if kind in ("", one["incomeType"])]


def total(desk: Bench, *kinds: str) -> Decimal:
    return sum((Decimal(one["income"]) for one in income(desk) if one["incomeType"] in kinds), ZERO)


# funding


def test_funding_is_paid_on_the_position_before_the_orders_of_the_instant() -> None:
    rows = [*flat(40_000.0, 1), (39_000.0, 40_000.0, 39_000.0, 40_000.0), *flat(40_000.0, 2)]
    marks = [*flat(40_000.0, 1), (40_100.0, 40_100.0, 40_000.0, 40_000.0), *flat(40_000.0, 2)]
    desk = bench(market({BTC: rows}, mark={BTC: marks}, funding={BTC: {1: 0.0003, 2: -0.0001}}))
    desk.order("BUY", "0.100")
    # a stop that fills at the very instant of the settlement pays it all the same
    desk.stop("SELL", "39500", quantity="0.060", reduceOnly=True)
    desk.events()
    desk.exchange.advance(START_MS + HOUR_MS)
    assert desk.position() == Decimal("0.040")
    (row,) = income(desk, "FUNDING_FEE")
    assert Decimal(row["income"]) == Decimal("-0.1") * Decimal(40100) * Decimal("0.0003")
    assert START_MS + HOUR_MS <= row["time"] <= START_MS + HOUR_MS + 9
    (event,) = [one["a"] for one in desk.events("ACCOUNT_UPDATE") if one["a"]["m"] == "FUNDING_FEE"]
    assert event["B"][0]["bc"] == row["income"]
    assert event["P"][0]["s"] == BTC
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    assert Decimal(income(desk, "FUNDING_FEE")[1]["income"]) == Decimal("0.04") * 40_000 * Decimal("0.0001")


def test_what_is_not_settled_yet_is_not_known() -> None:
    desk = bench(market({BTC: flat(40_000.0, 9)}, funding={BTC: {1: 0.0003, 5: 0.0007}}))
    desk.wait(hours=2)
    known = desk.get("fundingRate", symbol=BTC, startTime=1, endTime=START_MS + DAY_MS)
    assert [one["fundingRate"] for one in known] == ["0.00030000"]
    index = desk.get("premiumIndex", symbol=BTC)
    assert (index["lastFundingRate"], index["nextFundingTime"]) == ("0.00030000", START_MS + 5 * HOUR_MS)
    assert desk.get("klines", symbol=BTC, interval="1h", endTime=START_MS + DAY_MS)[-1][0] == START_MS + 2 * HOUR_MS


def test_funding_comes_out_of_the_isolated_margin() -> None:
    desk = bench(market({BTC: flat(40_000.0, 3)}, funding={BTC: {1: 0.0003}}))
    desk.order("BUY", "0.300")
    before = desk.get("/fapi/v3/account")
    desk.exchange.advance(START_MS + HOUR_MS)
    after = desk.get("/fapi/v3/account")
    assert Decimal(before["positions"][0]["isolatedWallet"]) - Decimal("3.6") == Decimal(
        after["positions"][0]["isolatedWallet"]
    )
    assert before["availableBalance"] == after["availableBalance"]


def test_recorded_settlements_are_paid_to_the_cent(real_data: Path) -> None:
    """SOL in the days of FTX: every 8, then 4, then 2 hours; each one is paid as recorded, none more, none less."""
    start_ms, end_ms = parse_time("2022-11-09"), parse_time("2022-11-12")
    whole = real_market(real_data, sol="klines")
    sol = replace(known_symbols()[2], price_down_ratio=Decimal("0.2"), price_up_ratio=Decimal(5))
    desk = bench(_only(whole, SOL), rules=spec(on_tick=False).with_symbol(sol), now_ms=start_ms, leverage=1)
    desk.order("SELL", "100", SOL)
    desk.exchange.advance(end_ms)
    rates, marks = whole.funding[SOL], whole.mark.get(SOL)
    assert marks is None or marks.open_time_ms[0] > end_ms  # the last price stands in
    bars = whole.bars[SOL]
    expected = []
    for at_ms, rate in zip(rates.time_ms.tolist(), rates.rate.tolist(), strict=True):
        if start_ms < at_ms <= end_ms:
            price = bars.open[int(np.searchsorted(bars.open_time_ms, at_ms))]
            expected.append(round(100 * Decimal(repr(float(price))) * Decimal(repr(rate)), 8))
    hours = np.diff(rates.time_ms[(rates.time_ms >= start_ms) & (rates.time_ms <= end_ms)]) // HOUR_MS
    assert set(hours.tolist()) >= {2, 4, 8}
    assert [Decimal(one["income"]) for one in income(desk, "FUNDING_FEE")] == expected
    assert len(expected) > 15
    shown = desk.get("fundingRate", symbol=SOL, startTime=start_ms + HOUR_MS, limit=1000)
    assert [one["fundingTime"] // HOUR_MS * HOUR_MS for one in shown] == [
        at_ms for at_ms in rates.time_ms.tolist() if start_ms < at_ms <= end_ms
    ]


def _only(whole: Market, symbol: str) -> Market:
    return type(whole)(
        {symbol: whole.bars[symbol]},
        {name: one for name, one in whole.mark.items() if name == symbol},
        {symbol: whole.funding[symbol]},
    )


# margin


def test_isolated_margin_is_set_aside_and_comes_back() -> None:
    desk = quiet()
    desk.order("BUY", "0.300")
    sums = desk.get("/fapi/v3/account")
    fee = Decimal(6)
    assert Decimal(sums["totalWalletBalance"]) == 100_000 - fee
    assert Decimal(sums["totalCrossWalletBalance"]) == 100_000 - fee - 4_000
    assert Decimal(sums["totalPositionInitialMargin"]) == 4_000
    assert Decimal(sums["totalMaintMargin"]) == 12_000 * Decimal("0.004")
    desk.order("SELL", "0.100")
    assert Decimal(desk.get("/fapi/v3/account")["positions"][0]["isolatedWallet"]) == Decimal("2666.66666667")
    desk.order("SELL", "0.200")
    sums = desk.get("/fapi/v3/account")
    assert sums["totalCrossWalletBalance"] == sums["totalWalletBalance"] == sums["availableBalance"]


def test_open_orders_hold_margin_once() -> None:
    desk = quiet()
    desk.order("BUY", "3", price="39000", newClientOrderId="b")
    assert Decimal(desk.get("/fapi/v3/account")["totalOpenOrderInitialMargin"]) == 39_000
    # the smaller side costs nothing more
    desk.order("SELL", "1", price="41000")
    assert Decimal(desk.get("/fapi/v3/account")["totalOpenOrderInitialMargin"]) == 39_000
    sent = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "39000"}
    assert desk.refused("POST", "order", quantity="4.7", **sent) == -2019
    desk.delete("allOpenOrders", symbol=BTC)
    desk.order("BUY", "1")
    # what only reduces needs none
    desk.order("SELL", "1", price="41500", reduceOnly="true")
    desk.order("SELL", "1", price="41000")
    assert Decimal(desk.get("/fapi/v3/account")["totalOpenOrderInitialMargin"]) == 0


def test_leverage_and_its_limits() -> None:
    desk = quiet(balance=10_000_000)
    answer = desk.post("leverage", symbol=BTC, leverage=75)
    assert answer == {"leverage": 75, "maxNotionalValue": "3000000", "symbol": BTC}
    assert desk.refused("POST", "order", symbol=BTC, side="BUY", type="MARKET", quantity="75.1") == -2027
    desk.order("BUY", "75")
    assert desk.refused("POST", "leverage", symbol=BTC, leverage=20) == -4161
    assert desk.refused("POST", "leverage", symbol=BTC, leverage=0) == -4028
    assert desk.refused("POST", "leverage", symbol=BTC, leverage=151) == -4028
    assert desk.get("symbolConfig", symbol=BTC)[0]["leverage"] == 75
    assert desk.events("ACCOUNT_CONFIG_UPDATE")[0]["ac"] == {"s": BTC, "l": 75}


def test_codes_that_mean_it_is_so_already() -> None:
    desk = quiet()
    assert desk.refused("POST", "marginType", symbol=BTC, marginType="ISOLATED") == -4046
    assert desk.refused("POST", "positionSide/dual", dualSidePosition="false") == -4059
    assert desk.refused("POST", "multiAssetsMargin", multiAssetsMargin="false") == -4171
    desk.order("BUY", "0.010", price="39000")
    assert desk.refused("POST", "marginType", symbol=BTC, marginType="CROSSED") == -4047
    assert desk.refused("POST", "positionSide/dual", dualSidePosition="true") == -4067
    desk.delete("allOpenOrders", symbol=BTC)
    desk.order("BUY", "0.010")
    assert desk.refused("POST", "marginType", symbol=BTC, marginType="CROSSED") == -4048
    assert desk.refused("POST", "marginType", symbol=BTC, marginType="BOTH") == -1130
    assert desk.post("multiAssetsMargin", multiAssetsMargin="true") == {"code": 200, "msg": "success"}
    assert desk.get("multiAssetsMargin") == {"multiAssetsMargin": True}


# liquidation

TIERS = {"small": ("0.100", 3), "second tier": ("12", 3), "third tier": ("40", 20), "fourth tier": ("100", 25)}


def broke_at(qty: float, entry: float, margin: float, side: int) -> float:
    """The mark price at which margin + profit = maintenance margin, found by halving; tiers written out again."""
    table = [(3e5, 0.004), (8e5, 0.005), (3e6, 0.0065), (12e6, 0.01), (7e7, 0.02)]

    def surplus(price: float) -> float:
        needed, floor = 0.0, 0.0
        for cap, ratio in table:
            needed += max(min(qty * price, cap) - floor, 0.0) * ratio
            floor = cap
        return margin + side * qty * (price - entry) - needed

    safe, gone = entry, (0.0 if side > 0 else 3 * entry)
    for _ in range(200):
        middle = (safe + gone) / 2
        safe, gone = (middle, gone) if surplus(middle) > 0 else (safe, middle)
    return safe


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("qty", "leverage"), TIERS.values(), ids=TIERS)
def test_liquidation_at_the_tier_formula(qty: str, leverage: int, side: int) -> None:
    desk = quiet(balance=1e7, leverage=leverage)
    desk.order("BUY" if side > 0 else "SELL", qty)
    (row,) = desk.get("/fapi/v3/positionRisk")
    expected = broke_at(float(qty), 40_000.0, float(qty) * 40_000 / leverage, side)
    assert float(row["liquidationPrice"]) == pytest.approx(expected, rel=1e-7)


def falling(last: float, mark: float) -> list[list[Row]]:
    """An hour at 40,000, then one down to `last` with the mark price down to `mark`."""
    return [[*flat(40_000.0, 1), (40_000.0, 40_000.0, price, price)] for price in (last, mark)]


def test_a_position_is_liquidated_where_the_formula_says_and_not_before() -> None:
    for cents, gone in ((1, False), (-1, True)):
        desk = quiet()
        desk.order("BUY", "0.300")
        price = float(desk.get("/fapi/v3/positionRisk")[0]["liquidationPrice"]) + cents / 100
        rows, marks = falling(26_900.0, price)
        desk = bench(market({BTC: rows}, mark={BTC: marks}))
        desk.order("BUY", "0.300")
        desk.stop("SELL", "20000", quantity="0.300", reduceOnly=True)
        desk.order("BUY", "0.010", price="26000")
        desk.exchange.advance(START_MS + 2 * HOUR_MS)
        assert (desk.position() == 0) is gone
        assert (desk.get("openOrders") == []) is gone


def test_liquidation_takes_the_margin_and_nothing_else() -> None:
    rows, marks = falling(20_000.0, 20_000.0)
    desk = bench(market({BTC: rows}, mark={BTC: marks}))
    desk.order("BUY", "0.300", newClientOrderId="in")
    free = desk.get("/fapi/v3/account")["availableBalance"]
    desk.events()
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    events = desk.events()
    (order,) = [one["o"] for one in events if one["e"] == "ORDER_TRADE_UPDATE" and one["o"]["x"] == "CALCULATED"]
    assert order["c"].startswith("autoclose-")
    assert (order["X"], order["S"]) == ("FILLED", "SELL")
    assert [one["clientOrderId"] for one in desk.get("forceOrders")] == [order["c"]]
    # far beyond the bankruptcy price: the insurance fund pays, the cross wallet stays whole
    assert abs(Decimal(desk.get("/fapi/v3/account")["availableBalance"]) - Decimal(free)) <= Decimal("1e-6")
    assert total(desk, "INSURANCE_CLEAR") == 0


def test_liquidation_in_time_leaves_the_rest_to_owner_and_fund() -> None:
    rows, marks = falling(39_000.0, 26_700.0)
    desk = bench(market({BTC: rows}, mark={BTC: marks}))
    desk.order("BUY", "0.300")
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    assert desk.position() == 0
    assert total(desk, "INSURANCE_CLEAR") == -Decimal("0.3") * 39_000 * Decimal("0.0125")
    assert desk.wallet() == 100_000 + total(desk, "REALIZED_PNL", "COMMISSION", "INSURANCE_CLEAR")


def test_a_stop_saves_what_a_liquidation_would_take() -> None:
    rows, marks = falling(20_000.0, 20_000.0)
    desk = bench(market({BTC: rows}, mark={BTC: marks}))
    desk.order("BUY", "0.300")
    desk.stop("SELL", "39000", closePosition=True)
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    assert desk.get("forceOrders") == []
    assert total(desk, "REALIZED_PNL") == -300


def test_beyond_a_jump_the_liquidation_comes_before_the_stop() -> None:
    rows = [*flat(40_000.0, 1), *flat(26_000.0, 1)]
    desk = bench(market({BTC: rows}))
    desk.order("BUY", "0.300")
    desk.stop("SELL", "39000", closePosition=True)
    desk.exchange.advance(START_MS + HOUR_MS)
    assert len(desk.get("forceOrders")) == 1
    assert desk.get("openAlgoOrders") == []


def test_a_margin_call_comes_once_before() -> None:
    rows = [*flat(40_000.0, 1), (40_000.0, 40_000.0, 26_790.0, 26_790.0), (26_790.0, 26_792.0, 26_788.0, 26_790.0)]
    desk = bench(market({BTC: rows}))
    desk.order("BUY", "0.300")
    desk.events()
    desk.exchange.advance(START_MS + 3 * HOUR_MS)
    calls = desk.events("MARGIN_CALL")
    assert [(one["p"][0]["s"], one["p"][0]["mt"]) for one in calls] == [(BTC, "ISOLATED")]
    assert desk.position() == Decimal("0.300")


def test_cross_margin_is_liquidated_together() -> None:
    last, _ = falling(30_000.0, 30_000.0)
    desk = bench(market({BTC: last, ETH: flat(2_000.0, 3)}), isolated=False, leverage=20, balance=10_000)
    desk.order("BUY", "1")
    desk.order("BUY", "10", ETH)
    row = desk.get("/fapi/v2/positionRisk", symbol=BTC)[0]
    assert (row["marginType"], row["isolatedWallet"]) == ("cross", "0")
    # wallet 9,970 − ETH's maintenance 80 + q(P − E) = 0.004·q·P
    assert float(row["liquidationPrice"]) == pytest.approx((40_000 - 9_970 + 80) / 0.996, rel=1e-9)
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    assert desk.get("/fapi/v3/positionRisk") == []
    assert 0 <= desk.wallet() < 100


def test_deleveraging_takes_a_part_at_the_mark() -> None:
    desk = bench(market({BTC: flat(40_000.0, 2)}, mark={BTC: flat(40_010.0, 2)}))
    desk.order("SELL", "0.300")
    desk.exchange.deleverage(desk.name, BTC, "0.100")
    assert desk.position() == Decimal("-0.200")
    trade = desk.get("userTrades", symbol=BTC)[-1]
    assert trade["price"] == "40010.0"
    assert desk.get("order", symbol=BTC, orderId=trade["orderId"])["clientOrderId"] == "adl_autoclose"
    with pytest.raises(VenueError):
        desk.exchange.deleverage(desk.name, BTC, "0.500")


# conservation


def random_days(seed: int, *, partial: bool) -> Bench:
    """Three days of random orders of all kinds on a synthetic market."""
    made = synthetic_market(seed, start_ms=MIDNIGHT_MS, days=4)
    rules = spec(slippage_bps=Decimal(3), parts=4 if partial else 1, part_delay_ms=300 if partial else 0)
    desk = bench(made, rules=rules, balance=50_000, seed=seed)
    rng = np.random.default_rng(seed)
    symbols = (BTC, ETH, SOL)
    for _ in range(60):
        desk.exchange.advance(desk.exchange.now_ms + int(rng.integers(1, HOUR_MS * 2)))
        symbol = symbols[rng.integers(3)]
        price = Decimal(desk.get("ticker/price", symbol=symbol)["price"])
        side = "BUY" if rng.random() < 0.5 else "SELL"
        qty = str(round(Decimal(float(rng.uniform(500, 20_000))) / price, 2) or Decimal("0.01"))
        away = round(price * Decimal(1 + float(rng.uniform(-0.02, 0.02))), 1)
        try:
            match int(rng.integers(5)):
                case 0 | 1:
                    desk.order(side, qty, symbol)
                case 2:
                    desk.order(side, qty, symbol, price=str(away))
                case 3:
                    desk.stop(side, str(away), symbol, quantity=qty)
                case _:
                    desk.order(side, qty, symbol, reduceOnly="true")
        except VenueError as refused:
            assert refused.code in (-2022, -2021, -2019, -4164, -2027, -4016, -4024, -4045)  # noqa: PT017 - the rest is a fault of the test
    return desk


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), partial=st.booleans())
def test_no_money_appears_or_vanishes(seed: int, partial: bool) -> None:  # noqa: FBT001 - drawn
    desk = random_days(seed, partial=partial)
    books = desk.exchange.accounts[desk.name]
    fees = sum((one.fee_usd for one in books.fills), ZERO)
    realized = sum((one.realized_usd for one in books.fills), ZERO)
    other = sum((one.amount_usd for one in books.income if one.kind in ("FUNDING_FEE", "INSURANCE_CLEAR")), ZERO)
    assert books.wallet == 50_000 + realized - fees + other
    # the same from the trades alone: cash in and out, and what is held at the mark
    cash = sum((-one.side * one.qty * one.price for one in books.fills), ZERO)
    marks = {one["symbol"]: Decimal(one["markPrice"]) for one in desk.get("premiumIndex")}
    held = {symbol: sum((one.side * one.qty for one in books.fills if one.symbol == symbol), ZERO) for symbol in marks}
    worth = sum((held[symbol] * marks[symbol] for symbol in marks), ZERO)
    equity = Decimal(desk.get("/fapi/v2/account")["totalMarginBalance"])
    assert abs(equity - (50_000 + cash + worth - fees + other)) <= Decimal("1e-8") * (len(books.fills) + 1)
    for symbol, qty in held.items():
        assert desk.position(symbol) == qty
    for order in books.orders.values():
        mine = [one for one in books.fills if one.order_id == order.order_id]
        assert sum((one.qty for one in mine), ZERO) == order.filled <= order.qty
    assert len(books.fills) > 10
    sums = desk.get("/fapi/v2/account")
    isolated = sum((one.isolated_wallet for one in books.positions.values()), ZERO)
    assert Decimal(sums["totalCrossWalletBalance"]) == books.wallet - isolated


def test_the_realised_profit_is_that_of_the_average_price() -> None:
    rows = [*flat(40_000.0, 1), *flat(41_000.0, 1), *flat(42_000.0, 1)]
    desk = bench(market({BTC: rows}))
    desk.order("BUY", "0.100")
    desk.wait(hours=1)
    desk.order("BUY", "0.300")
    (row,) = desk.get("/fapi/v3/positionRisk")
    assert row["entryPrice"] == "40750.00000"
    desk.wait(hours=1)
    desk.order("SELL", "0.200")
    assert total(desk, "REALIZED_PNL") == Decimal("0.2") * 1_250
    assert desk.get("userTrades", symbol=BTC)[-1]["realizedPnl"] == "250.00000000"
    desk.order("SELL", "0.200")
    assert total(desk, "REALIZED_PNL") == 500
    assert desk.wallet() == 100_500 + total(desk, "COMMISSION")


def test_deposits_are_income() -> None:
    desk = quiet()
    desk.exchange.deposit(desk.name, "-1500.5")
    assert desk.wallet() == Decimal("98499.5")
    assert [one["income"] for one in income(desk, "TRANSFER")] == ["100000.00000000", "-1500.50000000"]
    (event,) = desk.events("ACCOUNT_UPDATE")
    assert (event["a"]["m"], event["a"]["B"][0]["bc"]) == ("WITHDRAW", "-1500.50000000")


def test_a_month_of_three_symbols_passes_quickly() -> None:
    """A bound on work, not on time: no more than a few instants an hour, so that a virtual month stays short."""
    desk = bench(synthetic_market(3, start_ms=MIDNIGHT_MS, days=30), now_ms=MIDNIGHT_MS)
    instants = 0
    while (at_ms := desk.exchange.next_event_ms()) is not None:
        desk.exchange.advance(at_ms)
        instants += 1
    assert desk.exchange.now_ms == MIDNIGHT_MS + 30 * DAY_MS
    assert instants <= 7 * 30 * 24 + 1
