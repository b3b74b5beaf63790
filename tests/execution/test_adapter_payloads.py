"""The venue's JSON, recorded or documented, read into values; what cannot be read is an error, never a gap."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from engine.execution.binance import payloads
from engine.execution.binance.events import StreamEndedError, event_of
from engine.execution.venue import (
    BalanceEvent,
    BarEvent,
    BestPrice,
    Income,
    MarkEvent,
    MarkPrice,
    NoticeEvent,
    OrderEvent,
    OrderState,
    OrderStatus,
    Permissions,
    StopEvent,
    StopState,
    StopStatus,
    SymbolSettings,
    Trade,
)

if TYPE_CHECKING:
    from pathlib import Path

D = Decimal
BINANCE_NET = "payloads/binance_net_usdfutures"
NAUTILUS = "payloads/nautilus_python_futures"


def load(root: Path, name: str) -> Any:
    return json.loads((root / name).read_text())


def endpoint(root: Path, name: str) -> Any:
    return load(root, f"{BINANCE_NET}/Endpoints/{name}.json")["response"]


def subscribed(root: Path, name: str) -> Any:
    return next(entry["msg"] for entry in load(root, f"{BINANCE_NET}/Subscriptions/{name}.json") if entry["dir"] == "=")


def test_a_recorded_order_answer(real_data: Path) -> None:
    row = load(real_data, "payloads/github_issues_live/ccxt_issue10245_2021-10-17_order_response.json")["response"]
    expected = OrderState(
        client_id="x-xcKtGhcu506ba24b0bc2b85dd987a1",
        venue_id="13970573661",
        symbol="MATICUSDT",
        side=1,
        status=OrderStatus.FILLED,
        qty=D(811),
        filled_qty=D(811),
        avg_price=D("1.49490"),
        reduce_only=False,
        updated_ms=1634432817603,
        kind="MARKET",
        price=None,
    )
    assert payloads.order_state(row) == expected
    # since 2026-07-15 two fields may be missing: nothing but the average price is then unknown
    assert payloads.order_state({k: v for k, v in row.items() if k not in {"avgPrice", "cumQuote"}}).avg_price is None


def test_an_algo_order_that_became_an_order(real_data: Path) -> None:
    state = payloads.stop_state(endpoint(real_data, "Trading/GetConditionalOrder"))
    assert state == StopState(
        client_id="x-yHjDKm8h7cd1bf4f-9ce3-4d55-b9f",
        venue_id="1000001270850379",
        symbol="BTCUSDT",
        side=1,
        status=StopStatus.FINISHED,
        trigger_price=D("69080.20"),
        qty=D("0.002"),
        close_position=False,
        order_id="974828356187",
        updated_ms=1775461936135,
    )
    standing = payloads.stop_state(endpoint(real_data, "Trading/PlaceConditionalOrder"))
    assert (standing.status, standing.order_id, standing.status.ended) == (StopStatus.NEW, None, False)


def test_recorded_trades_and_income(real_data: Path) -> None:
    rows = load(real_data, f"{NAUTILUS}/http_responses/http_futures_account_trades.json")
    first = payloads.trade(rows[0])
    assert first == Trade(
        82357626, "ETHUSDT", "831238666", None, -1, D("0.005"), D("2778.35"), D("0.00555670"), "USDT", D(0),
        maker=False, at_ms=1645930322371,
    )  # fmt: skip
    moved, fee = (payloads.income(row) for row in endpoint(real_data, "Account/GetIncomeHistory"))
    assert moved == Income("9689322392", "TRANSFER", None, D("-0.37500000"), "USDT", 1570608000000)
    assert (fee.kind, fee.symbol, fee.income_id) == ("COMMISSION", "BTCUSDT", moved.income_id)  # unique by kind only


def test_recorded_filters(real_data: Path) -> None:
    info = load(real_data, "payloads/gocryptotrader_recorded/GET_fapi_v1_exchangeInfo.json")[0]["response"]
    found = payloads.filters(info, {"BTCUSDT", "SOLUSDT"})
    assert list(found) == ["BTCUSDT"]  # the recording lacks SOLUSDT: not listed is not in it
    btc = found["BTCUSDT"]
    assert (btc.tick_size, btc.step_size, btc.min_qty) == (D("0.10"), D("0.001"), D("0.001"))
    assert (btc.max_qty, btc.market_max_qty, btc.min_notional_usd, btc.status) == (D(1000), D(120), D(100), "TRADING")
    assert payloads.weight_limit(info) == 2400
    assert len(payloads.filters(info, [row["symbol"] for row in info["symbols"]])) == len(info["symbols"])


def test_recorded_marks_book_and_settings(real_data: Path) -> None:
    row = load(real_data, f"{NAUTILUS}/http_responses/http_futures_market_premium_index.json")
    assert payloads.mark_prices([row, {"symbol": "unreadable"}], {"BTCUSDT"}) == {
        "BTCUSDT": MarkPrice(D("11793.63104562"), D("0.00038246"), 1597392000000, 1597370495002)
    }
    book = endpoint(real_data, "ExchangeData/GetBookPrice")
    assert payloads.best_price(book) == BestPrice(D("4.00000000"), D("4.00000200"), 1589437530011)
    rows = load(real_data, f"{NAUTILUS}/http_responses/http_futures_account_symbol_config.json")
    assert payloads.settings(rows, "BTCUSDT") == SymbolSettings(25, "ISOLATED")


def test_documented_account_and_positions(real_data: Path) -> None:
    account = endpoint(real_data, "Account/GetAccountInfo")
    usdt = next(row for row in account["assets"] if row["asset"] == "USDT")
    balance = payloads.balance(account)
    assert (balance.wallet_usd, balance.margin_usd, balance.available_usd) == tuple(
        D(usdt[name]) for name in ("walletBalance", "marginBalance", "availableBalance")
    )
    rows = [dict(row, positionSide="BOTH") for row in endpoint(real_data, "Trading/GetPositions")]
    held = payloads.positions(rows)
    assert list(held) == ["BTCUSDT"]
    assert (held["BTCUSDT"].qty, held["BTCUSDT"].liquidation_price) == (D("0.001"), D("19731.45529116"))
    with pytest.raises(payloads.HedgeModeError):
        payloads.positions(endpoint(real_data, "Trading/GetPositions"))


def test_a_permission_that_is_not_named_is_unreadable_not_absent() -> None:
    row = {"enableFutures": True, "enableWithdrawals": False, "ipRestrict": True}
    assert payloads.permissions(row) == Permissions(futures=True, withdrawals=False, ip_restricted=True)
    for name in row:
        with pytest.raises(KeyError):
            payloads.permissions({other: value for other, value in row.items() if other != name})
    with pytest.raises(KeyError):
        payloads.permissions({**row, "enableWithdrawals": 0})


@pytest.mark.parametrize(
    ("read", "broken"),
    [
        (payloads.order_state, {"orderId": 1}),
        (payloads.positions, [{"symbol": "BTCUSDT"}]),
        (payloads.positions, [{"positionAmt": "a lot"}]),
        (payloads.positions, None),
        (payloads.positions, {"code": 0}),
        (payloads.trade, {"id": "one"}),
        (payloads.balance, {}),
        (payloads.balance, {"assets": [{"asset": "BNB"}]}),
        (payloads.orders, {}),
        (lambda row: payloads.filters(row, {"BTCUSDT"}), {"symbols": [{"symbol": "BTCUSDT", "filters": []}]}),
        (payloads.order_status, "SOMETHING_NEW"),
        (payloads.stop_status, "SOMETHING_NEW"),
    ],
)
def test_what_cannot_be_read_is_an_error(read: Any, broken: Any) -> None:
    with pytest.raises(payloads.UNREADABLE):
        read(broken)


def test_every_recorded_order_update_is_read(real_data: Path) -> None:
    folder = real_data / NAUTILUS / "ws_messages"
    events = {path.stem: event_of(json.loads(path.read_text())) for path in sorted(folder.glob("*order_update*.json"))}
    assert len(events) >= 8
    assert all(isinstance(event, OrderEvent) for event in events.values())
    forced = {name for name, event in events.items() if isinstance(event, OrderEvent) and event.state.forced}
    assert forced == {name for name in events if "liquidation" in name or "adl" in name or "settlement" in name}


def test_a_liquidation_is_a_fill_that_the_venue_forced(real_data: Path) -> None:
    name = f"{NAUTILUS}/ws_messages/ws_futures_order_update_liquidation.json"
    event = event_of(load(real_data, name))
    assert isinstance(event, OrderEvent)
    assert event.state.forced
    assert event.trade == Trade(
        1122334455, "BTCUSDT", "9876543210", "autoclose-1234567890123456", -1, D("0.100"), D("50000.00"),
        D("5.00000000"), "USDT", D("-100.00"), maker=False, at_ms=1759347763167,
    )  # fmt: skip
    empty = event_of(load(real_data, name.replace(".json", "_zero_qty.json")))
    assert isinstance(empty, OrderEvent)
    assert empty.trade is None


def test_recorded_fill_and_the_account_update_before_it(real_data: Path) -> None:
    said = load(real_data, "payloads/github_issues_live/Binance.Net_issue546_2021-01-14.json")["messages"]
    account, order = (event_of(message) for message in said)
    assert account == BalanceEvent("ORDER", D("41155.75036105"), {"BTCUSDT": D(5)}, 1610638208312)
    assert isinstance(order, OrderEvent)
    assert order.trade is not None
    assert (order.trade.trade_id, order.trade.fee, order.trade.qty) == (154402974, D("15.93997200"), D(1))
    assert order.state.status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("name", "status", "order_id"),
    [
        ("triggering", StopStatus.TRIGGERED, None),
        ("triggered", StopStatus.TRIGGERED, "88937381063"),
        ("finished", StopStatus.FINISHED, "88937381063"),
        ("finished_canceled", StopStatus.FINISHED, "88937381064"),
    ],
)
def test_recorded_algo_updates(real_data: Path, name: str, status: StopStatus, order_id: str | None) -> None:
    event = event_of(load(real_data, f"{NAUTILUS}/ws_messages/ws_futures_algo_update_{name}.json"))
    assert isinstance(event, StopEvent)
    assert (event.state.status, event.state.order_id, event.state.trigger_price) == (status, order_id, D("0.13855"))
    assert event.state.status.ended


def test_documented_market_messages(real_data: Path) -> None:
    message = subscribed(real_data, "Klines")
    assert event_of(message) is None  # still running
    message["data"]["k"]["x"] = True
    event = event_of(message)
    assert isinstance(event, BarEvent)
    row = event.bars
    assert (row.symbol, row.open_time_ms.tolist(), row.high.tolist(), row.close.tolist()) == (
        "BTCUSDT", [1638747660000], [0.0025], [0.0020],
    )  # fmt: skip
    assert event_of(subscribed(real_data, "MarkPrice")) == MarkEvent(
        "BTCUSDT", MarkPrice(D("11794.15000000"), D("0.00038167"), 1562306400000, 1562305380000)
    )


@pytest.mark.parametrize("name", ["MarginUpdate", "Leverage", "MultiAssetMode", "ConditionalTrigger"])
def test_what_needs_a_person_is_a_notice(real_data: Path, name: str) -> None:
    event = event_of(subscribed(real_data, name))
    assert isinstance(event, NoticeEvent)
    assert event.detail


def test_messages_that_end_a_connection_and_messages_that_concern_nobody(real_data: Path) -> None:
    for message in ({"e": "error", "type": "ConnectionClosedError", "m": ""}, {"e": "listenKeyExpired", "E": 1}):
        with pytest.raises(StreamEndedError):
            event_of(message)
        with pytest.raises(StreamEndedError):
            event_of({"stream": "listen", "data": message})
    assert event_of(load(real_data, f"{NAUTILUS}/ws_messages/ws_futures_trade_lite.json")) is None
    assert event_of({"result": None, "id": 1}) is None
