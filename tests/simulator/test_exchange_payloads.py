"""Every answer and event has the fields, and the kinds of values, of the venue's recorded and documented ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import HOUR_MS
from tests.simulator.exchange_bench import BTC, ETH, START_MS, Bench, bench, flat, market

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NET = "binance_net_usdfutures"
GCT = "gocryptotrader_recorded"
PY = "nautilus_python_futures"

# of orders that the simulator does not know: trailing stops
TRAILING = {"activatePrice", "priceRate"}


def busy() -> Bench:
    """A bench on which everything has happened once."""
    rows = [*flat(40_000.0, 1), (40_000.0, 40_000.0, 39_000.0, 39_600.0), *flat(39_600.0, 2)]
    made = market({BTC: rows, ETH: flat(2_000.0, 4)}, mark={BTC: rows}, funding={BTC: {1: 0.0003}, ETH: {1: 0.0001}})
    desk = bench(made)
    desk.order("BUY", "0.300")
    desk.stop("SELL", "39500", quantity="0.100", reduceOnly=True, clientAlgoId="s-1")
    desk.stop("BUY", "45000", quantity="0.100", clientAlgoId="s-2")
    desk.order("BUY", "0.010", price="30000", newClientOrderId="l-1")
    desk.exchange.advance(START_MS + 2 * HOUR_MS)
    desk.exchange.deleverage(desk.name, BTC, "0.050")
    return desk


def placed(**more: object) -> Callable[[Bench], Any]:
    sent = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "30000", "quantity": "0.01"}
    return lambda desk: desk.post("order", **{**sent, **more})


def got(path: str, **params: object) -> Callable[[Bench], Any]:
    return lambda desk: desk.get(path, **params)


def first(path: str, **params: object) -> Callable[[Bench], Any]:
    return lambda desk: desk.get(path, **params)[:1]


def posted(path: str, **params: object) -> Callable[[Bench], Any]:
    return lambda desk: desk.post(path, **params)


def deleted(path: str, **params: object) -> Callable[[Bench], Any]:
    return lambda desk: desk.delete(path, **params)


def kept_alive(desk: Bench) -> Any:
    desk.post("listenKey")
    return desk.ask("PUT", "listenKey")


@dataclass(frozen=True)
class Case:
    """One payload and how to ask for its like.

    Attributes:
        lacks: fields of the payload that the simulator leaves out, each for a reason given beside it.
        adds: fields that the venue has had since.
        loose: fields whose kind of value differs between the venue's own examples.
    """

    file: str
    ask: Callable[[Bench], Any]
    lacks: frozenset[str] = frozenset()
    adds: frozenset[str] = frozenset()
    loose: frozenset[str] = frozenset()


def case(file: str, ask: Callable[[Bench], Any], lacks: Any = (), adds: Any = (), loose: Any = ()) -> tuple[Case, str]:
    return Case(file, ask, frozenset(lacks), frozenset(adds), frozenset(loose)), file.rpartition("/")[2]


ACCOUNT, DATA, TRADE = (f"{NET}/Endpoints/{name}" for name in ("Account", "ExchangeData", "Trading"))
HTTP = f"{PY}/http_responses/http_futures"

CASES = [
    case(f"{ACCOUNT}/GetAccountConfiguration", got("accountConfig")),
    case(f"{ACCOUNT}/GetAccountInfo", got("/fapi/v2/account")),
    case(f"{ACCOUNT}/GetAccountInfoV3", got("/fapi/v3/account")),
    case(f"{ACCOUNT}/GetBalances", got("/fapi/v3/balance")),
    case(f"{ACCOUNT}/GetBrackets", first("leverageBracket", symbol=ETH), loose={"cum"}),
    # the file has one entry with a text and one with a number
    case(f"{ACCOUNT}/GetIncomeHistory", got("income"), loose={"tranId", "tradeId"}),
    case(f"{ACCOUNT}/GetPositionInformation", first("/fapi/v2/positionRisk", symbol=BTC)),
    case(f"{ACCOUNT}/GetSymbolConfiguration", first("symbolConfig", symbol=BTC)),
    case(f"{ACCOUNT}/GetUserCommissionRate", got("commissionRate", symbol=BTC)),
    case(f"{ACCOUNT}/ChangeInitialLeverage", posted("leverage", symbol=ETH, leverage=21)),
    case(f"{ACCOUNT}/ChangeMarginType", posted("marginType", symbol=ETH, marginType="CROSSED")),
    case(f"{ACCOUNT}/GetMultiAssetsMode", got("multiAssetsMargin")),
    case(f"{ACCOUNT}/StartUserStream", posted("listenKey")),
    case(f"{ACCOUNT}/KeepAliveUserStream", kept_alive),
    case(f"{ACCOUNT}/StopUserStream", deleted("listenKey")),
    case(f"{HTTP}_account_position_side_dual", got("positionSide/dual")),
    case(f"{HTTP}_account_trades", first("userTrades", symbol=BTC)),
    case(f"{HTTP}_wallet_commission_rate_btcusdt", got("commissionRate", symbol=BTC)),
    case(f"{DATA}/GetServerTime", got("time")),
    case(f"{DATA}/GetFundingRates", first("fundingRate", symbol=BTC)),
    case(f"{DATA}/GetFundingInfo", first("fundingInfo"), adds={"updateTime"}),
    case(f"{DATA}/GetKlines", first("klines", symbol=BTC, interval="1h")),
    case(f"{DATA}/GetMarkPriceKlines", first("markPriceKlines", symbol=BTC, interval="1h")),
    case(f"{DATA}/GetMarkPrice", got("premiumIndex", symbol=BTC)),
    case(f"{DATA}/GetPrice", got("/fapi/v2/ticker/price", symbol=BTC)),
    case(f"{DATA}/GetBookPrice", got("ticker/bookTicker", symbol=BTC)),
    case(f"{GCT}/GET_fapi_v1_fundingInfo", first("fundingInfo")),
    case(f"{GCT}/GET_fapi_v1_premiumIndex", got("premiumIndex", symbol=BTC)),
    case(f"{GCT}/GET_fapi_v1_time", got("time")),
    case(f"{GCT}/GET_fapi_v1_klines", first("klines", symbol=BTC, interval="1h")),
    case(f"{GCT}/GET_fapi_v1_ticker_price", got("ticker/price", symbol=BTC)),
    case(f"{TRADE}/PlaceOrder", placed(), lacks=TRAILING),
    case(f"{TRADE}/CancelOrder", deleted("order", symbol=BTC, origClientOrderId="l-1"), lacks=TRAILING),
    case(f"{TRADE}/GetOrder", got("order", symbol=BTC, origClientOrderId="l-1"), lacks=TRAILING),
    case(f"{TRADE}/GetOpenOrder", got("openOrder", symbol=BTC, origClientOrderId="l-1"), lacks=TRAILING),
    case(f"{TRADE}/GetOpenOrders", first("openOrders"), lacks=TRAILING),
    case(f"{TRADE}/GetOrders", first("allOrders", symbol=BTC), lacks=TRAILING),
    case(f"{TRADE}/CancelAllOrders", deleted("allOpenOrders", symbol=BTC)),
    case(f"{TRADE}/CancelAllOrdersAfterTimeout", posted("countdownCancelAll", symbol=BTC, countdownTime=100_000)),
    case(f"{TRADE}/GetForcedOrders", first("forceOrders")),
    case(f"{TRADE}/GetUserTrades", first("userTrades", symbol=BTC), adds={"marginAsset"}),
    case(
        f"{TRADE}/PlaceConditionalOrder",
        posted("algoOrder", symbol=BTC, side="BUY", type="STOP_MARKET", triggerPrice="44000", quantity="1"),
    ),
    case(f"{TRADE}/GetConditionalOrder", got("algoOrder", clientAlgoId="s-1")),
    case(f"{TRADE}/GetOpenConditionalOrders", first("openAlgoOrders")),
    case(f"{TRADE}/CancelAllConditionalOrders", deleted("algoOpenOrders", symbol=BTC)),
]


def like(theirs: Any, ours: Any, rules: Case, where: str = "") -> None:
    """Hold one answer against the other: the same fields, the same kinds of values, to the ground."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), where
        assert set(ours) - rules.adds == set(theirs) - rules.lacks, where
        for key in set(theirs) & set(ours) - rules.loose:
            like(theirs[key], ours[key], rules, f"{where}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), where
        if theirs and isinstance(theirs[0], (dict, list)):
            assert ours, where
            like(theirs[0], ours[0], rules, f"{where}[0]")
        elif theirs and where.endswith("[0]"):  # a row of columns
            assert [type(one) for one in ours] == [type(one) for one in theirs], where
    elif theirs is not None:
        assert type(ours) is type(theirs), f"{where}: {ours!r}, {theirs!r} was expected"


def payload(folder: Path, file: str) -> Any:
    """The body of a recorded answer: some files hold it bare, some with the request, some a list of requests."""
    found = json.loads((folder / "payloads" / f"{file}.json").read_text())
    if isinstance(found, list) and found and isinstance(found[0], dict) and "response" in found[0]:
        found = found[0]
    return found["response"] if isinstance(found, dict) and "response" in found else found


@pytest.mark.parametrize(("rules", "name"), CASES, ids=[name for _, name in CASES])
def test_answers_have_the_fields_of_the_venues(rules: Case, name: str, real_data: Path) -> None:
    del name
    theirs = payload(real_data, rules.file)
    ours = rules.ask(busy())
    if isinstance(theirs, dict) and isinstance(ours, list):
        ours = ours[0]
    if isinstance(theirs, list) and isinstance(ours, dict):
        ours = [ours]
    like(theirs, json.loads(json.dumps(ours)), rules)


def test_symbols_and_limits_equal_the_recorded_ones(real_data: Path) -> None:
    theirs = payload(real_data, f"{GCT}/GET_fapi_v1_exchangeInfo")
    ours = json.loads(json.dumps(busy().get("exchangeInfo")))
    assert set(ours) == set(theirs)
    assert ours["rateLimits"] == theirs["rateLimits"]
    for symbol in (BTC, ETH):
        mine, recorded = (next(one for one in each["symbols"] if one["symbol"] == symbol) for each in (ours, theirs))
        like(recorded, mine, Case("", lambda _: None))
        for key in ("pricePrecision", "quantityPrecision", "liquidationFee", "orderTypes", "timeInForce", "status"):
            assert mine[key] == recorded[key]
        assert [one["filterType"] for one in mine["filters"]] == [one["filterType"] for one in recorded["filters"]]
        for one, other in zip(mine["filters"], recorded["filters"], strict=True):
            assert set(one) == set(other)
            for key in set(one) - {"filterType", "positionControlSide"}:
                assert Decimal(str(one[key])) == Decimal(str(other[key])), (symbol, one["filterType"], key)


def test_brackets_equal_the_recorded_ones(real_data: Path) -> None:
    recorded = json.loads((real_data / "payloads/leverage_brackets/freqtrade_2026.9_BTC_ETH_SOL.json").read_text())
    desk = bench(market({BTC: flat(40_000.0, 1)}))
    for row in desk.get("leverageBracket"):
        base = row["symbol"].removesuffix("USDT")
        theirs = [one["info"] for one in recorded[f"{base}/USDT:USDT"]]
        assert [json.loads(json.dumps(one)) for one in row["brackets"]] == [
            {key: one[key] for key in ("bracket", "initialLeverage", "notionalCap", "notionalFloor")}
            | {"maintMarginRatio": one["maintMarginRatio"], "cum": one["cum"]}
            for one in theirs
        ]


# events


def streamed(folder: Path, file: str) -> dict[str, Any]:
    """The last message of a recorded stream."""
    found = json.loads((folder / "payloads" / f"{file}.json").read_text())
    message = found[-1]["msg"] if isinstance(found, list) else found
    body: dict[str, Any] = message.get("data", message)
    return body


def told(desk: Bench, kind: str, **order: str) -> dict[str, Any]:
    """The first message of a kind, of an order whose fields are as told."""
    return next(
        one
        for one in desk.events(kind)
        if all(one.get("o", {}).get(key, "").startswith(value) for key, value in order.items())
    )


# seen in the venue's live stream of 2026, not in its documentation
SINCE = frozenset({"er"})


def test_order_updates_are_those_of_the_live_stream(real_data: Path) -> None:
    folder = real_data / "payloads/github_issues_live"
    live = json.loads((folder / "unicorn-binance-websocket-api_pr445_2026-05-21_live.json").read_text())["messages"][0]
    like(live, told(busy(), "ORDER_TRADE_UPDATE", x="NEW"), Case("", lambda _: None))
    fill = json.loads((folder / "Binance.Net_issue546_2021-01-14.json").read_text())["messages"][1]
    since = SINCE | {"V", "pm", "gtd"}
    like(fill, told(busy(), "ORDER_TRADE_UPDATE", x="TRADE"), Case("", lambda _: None, adds=since))
    example = streamed(real_data, f"{NET}/Subscriptions/OrderUpdate")
    rules = Case("", lambda _: None, adds=SINCE, lacks=frozenset({"AP", "cr"}))
    like(example, told(busy(), "ORDER_TRADE_UPDATE", x="TRADE"), rules)


@pytest.mark.parametrize(("file", "name"), [("adl", "adl_autoclose"), ("liquidation", "autoclose-")])
def test_forced_orders_are_told_as_recorded(file: str, name: str, real_data: Path) -> None:
    theirs = streamed(real_data, f"{PY}/ws_messages/ws_futures_order_update_{file}")
    desk = busy()
    if file == "liquidation":
        rows = [*flat(40_000.0, 1), (40_000.0, 40_000.0, 20_000.0, 20_000.0)]
        desk = bench(market({BTC: rows}))
        desk.order("BUY", "0.300")
        desk.wait(hours=2)
    ours = told(desk, "ORDER_TRADE_UPDATE", x="CALCULATED")
    rules = Case("", lambda _: None, adds=SINCE | {"pm"}, lacks=frozenset({"AP", "cr", "W"}))
    like(theirs, ours, rules)
    assert ours["o"]["c"].startswith(name)
    assert (ours["o"]["x"], ours["o"]["X"]) == (theirs["o"]["x"], theirs["o"]["X"])


def test_account_updates_are_as_recorded_and_come_before_the_fill(real_data: Path) -> None:
    folder = real_data / "payloads/github_issues_live"
    live = json.loads((folder / "Binance.Net_issue546_2021-01-14.json").read_text())["messages"]
    desk = busy()
    kinds = [one["e"] for one in desk.events()]
    assert kinds[1:3] == [one["e"] for one in live] == ["ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
    rules = Case("", lambda _: None, adds=frozenset({"bc", "bep"}))
    like(live[0], told(busy(), "ACCOUNT_UPDATE"), rules)
    example = streamed(real_data, f"{NET}/Subscriptions/AccountUpdate")
    like(example, told(busy(), "ACCOUNT_UPDATE"), Case("", lambda _: None, adds=frozenset({"ma"})))


@pytest.mark.parametrize("status", ["triggering", "triggered", "finished"])
def test_algo_updates_are_those_of_the_live_stream(status: str, real_data: Path) -> None:
    theirs = streamed(real_data, f"{PY}/ws_messages/ws_futures_algo_update_{status}")
    ours = told(busy(), "ALGO_UPDATE", X=status.upper())
    like(theirs, ours, Case("", lambda _: None))
    assert ours["o"]["act" if "act" in ours["o"] else "ai"] == theirs["o"].get("act", "")


def test_a_cancelled_algo_order_is_told_as_documented(real_data: Path) -> None:
    desk = busy()
    desk.delete("algoOrder", clientAlgoId="s-2")
    theirs = streamed(real_data, f"{NET}/Subscriptions/AlgoOrderUpdate")
    like(theirs, told(desk, "ALGO_UPDATE", X="CANCELED"), Case("", lambda _: None))


def test_settings_are_told_as_documented(real_data: Path) -> None:
    desk = busy()
    desk.events()
    desk.post("leverage", symbol=ETH, leverage=5)
    desk.post("multiAssetsMargin", multiAssetsMargin="true")
    for file, ours in zip(("Leverage", "MultiAssetMode"), desk.events(), strict=True):
        like(streamed(real_data, f"{NET}/Subscriptions/{file}"), ours, Case("", lambda _: None))


def test_a_margin_call_is_told_as_documented(real_data: Path) -> None:
    rows = [*flat(40_000.0, 1), (40_000.0, 40_000.0, 26_790.0, 26_790.0)]
    desk = bench(market({BTC: rows}))
    desk.order("BUY", "0.300")
    desk.wait(hours=2)
    like(streamed(real_data, f"{NET}/Subscriptions/MarginUpdate"), told(desk, "MARGIN_CALL"), Case("", lambda _: None))


@pytest.mark.parametrize(("file", "kind"), [("Klines", "kline"), ("MarkPrice", "markPrice")])
def test_market_events_are_as_documented(file: str, kind: str, real_data: Path) -> None:
    desk = busy()
    ours = next(one.payload for one in desk.exchange.take_market_events() if one.kind == kind)
    like(streamed(real_data, f"{NET}/Subscriptions/{file}"), ours, Case("", lambda _: None))


def test_refusals_are_worded_as_recorded(real_data: Path) -> None:
    table = json.loads((real_data / "payloads/error_codes/ccxt_4.5.90_binance_linear_and_common.json").read_text())
    from engine.simulator.refusals import WORDS  # noqa: PLC0415 - only this test looks at the words

    # bodies of ccxt that are its own wording, or filled in
    other = {-1102, -2011, -2013, -1106, -1130, -4164}
    compared = 0
    for group in ("linear", "common"):
        for code, row in table[group].items():
            if "body" in row and int(code) in WORDS and int(code) not in other:
                assert WORDS[int(code)] == row["body"]["msg"]
                compared += 1
    assert compared >= 12
    live = real_data / "payloads/github_issues_live"
    for file in ("ccxt_issue7542_2020-08-31_error_2019", "lean_brokerages_issue59_2025-12-31_error_4120"):
        body = json.loads((live / f"{file}.json").read_text())["response"]
        assert WORDS[body["code"]] == body["msg"]
    batch = json.loads((live / "passivbot_issue401_2023-05-07_batch_order_error_and_ok.json").read_text())["response"]
    assert WORDS[-4164] % "5.0" == batch[0]["msg"]


def test_position_risk_3_has_neither_leverage_nor_margin_type() -> None:
    (row,) = busy().get("/fapi/v3/positionRisk")
    documented = {"symbol", "positionSide", "positionAmt", "entryPrice", "breakEvenPrice", "markPrice"}
    documented |= {"unRealizedProfit", "liquidationPrice", "isolatedMargin", "notional", "marginAsset"}
    documented |= {"isolatedWallet", "initialMargin", "maintMargin", "positionInitialMargin"}
    documented |= {"openOrderInitialMargin", "adl", "bidNotional", "askNotional", "updateTime"}
    assert set(row) == documented
