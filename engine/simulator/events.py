"""The messages of the streams, field by field as the venue sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.clock import HOUR_MS
from engine.simulator.accounts import ISOLATED
from engine.simulator.margins import maintenance_usd, margin_type
from engine.simulator.money import ZERO, average, fixed, plain, usd
from engine.simulator.orders import SIDE_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from engine.simulator.accounts import Account, Position
    from engine.simulator.house import House
    from engine.simulator.orders import AlgoOrder, Fill, Order


def order_update(house: House, account: Account, order: Order, execution: str, fill: Fill | None = None) -> None:
    """Queue ORDER_TRADE_UPDATE; `execution` is ``NEW``, ``TRADE``, ``CANCELED``, ``EXPIRED`` or ``CALCULATED``."""
    symbol = house.symbol(order.symbol)
    tick, step = symbol.tick_size, symbol.step_size
    resting = dict.fromkeys(SIDE_WORDS, ZERO)
    for one in account.open_orders(order.symbol):
        resting[one.side] += one.left * one.price
    bids, asks = resting.values()
    house.tell(
        account,
        {
            "e": "ORDER_TRADE_UPDATE",
            "T": house.now_ms,
            "E": house.now_ms,
            "o": {
                "s": order.symbol,
                "c": order.client_id,
                "S": SIDE_WORDS[order.side],
                "o": order.kind,
                "f": order.tif,
                "q": fixed(order.qty, step),
                "p": fixed(order.price, tick) if order.price else "0",
                "ap": average(order.quote, order.filled) if order.filled else "0",
                "sp": fixed(order.stop_price, tick) if order.stop_price else "0",
                "x": execution,
                "X": order.status,
                "i": order.order_id,
                "l": fixed(fill.qty, step) if fill else "0",
                "z": fixed(order.filled, step) if order.filled else "0",
                "L": fixed(fill.price, tick) if fill else "0",
                "n": usd(fill.fee_usd) if fill else "0",
                "N": "USDT",
                "T": house.now_ms,
                "t": fill.trade_id if fill else 0,
                "b": plain(bids),
                "a": plain(asks),
                "m": fill.maker if fill else False,
                "R": order.reduce_only,
                "wt": order.working_type,
                "ot": order.original_kind or order.kind,
                "ps": order.position_side,
                "cp": order.close_position,
                "rp": usd(fill.realized_usd) if fill and fill.realized_usd else "0",
                "pP": order.price_protect,
                "si": 0,
                "ss": 0,
                "V": "EXPIRE_MAKER",
                "pm": "NONE",
                "gtd": 0,
                "er": "0",
            },
        },
    )


def account_update(
    house: House, account: Account, reason: str, positions: Sequence[Position], change: Decimal = ZERO
) -> None:
    """Queue ACCOUNT_UPDATE; `change` is the wallet's by anything but profit and commission."""
    house.tell(
        account,
        {
            "e": "ACCOUNT_UPDATE",
            "T": house.now_ms,
            "E": house.now_ms,
            "a": {
                "B": [
                    {
                        "a": "USDT",
                        "wb": usd(account.wallet),
                        "cw": usd(account.cross_wallet),
                        "bc": usd(change) if change else "0",
                    }
                ],
                "P": [_position(house, account, one) for one in positions],
                "m": reason,
            },
        },
    )


def _position(house: House, account: Account, position: Position) -> dict[str, Any]:
    mark = house.quotes[position.symbol].mark
    isolated = margin_type(house, account, position.symbol) == ISOLATED
    return {
        "s": position.symbol,
        "pa": fixed(position.qty, house.symbol(position.symbol).step_size) if position.qty else "0",
        "ep": average(abs(position.cost), abs(position.qty)),
        "cr": usd(position.realized_usd),
        "up": usd(position.unrealized(mark)) if position.qty else "0",
        "mt": "isolated" if isolated else "cross",
        "iw": usd(position.isolated_wallet) if isolated else "0",
        "ps": position.side,
        "ma": "USDT",
        "bep": average(abs(position.cost), abs(position.qty)) if position.qty else "0",
    }


def algo_update(house: House, account: Account, algo: AlgoOrder) -> None:
    """Queue ALGO_UPDATE with the algo order as it is now."""
    symbol = house.symbol(algo.symbol)
    order: dict[str, Any] = {
        "caid": algo.client_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.kind,
        "s": algo.symbol,
        "S": SIDE_WORDS[algo.side],
        "ps": algo.position_side,
        "f": algo.tif,
        "q": fixed(algo.qty, symbol.step_size) if algo.qty else "0",
        "X": algo.status,
        "ai": str(algo.order_id) if algo.order_id else "",
    }
    if algo.status not in ("NEW", "TRIGGERING"):
        order |= {
            "ap": plain(algo.actual_price),
            "aq": plain(algo.actual_qty),
            "act": ("MARKET" if algo.is_market else "LIMIT") if algo.order_id else "0",
        }
    order |= {
        "tp": fixed(algo.trigger_price, symbol.tick_size),
        "p": fixed(algo.price, symbol.tick_size) if algo.price else "0",
        "V": "EXPIRE_MAKER",
        "wt": algo.working_type,
        "pm": "NONE",
        "cp": algo.close_position,
        "pP": algo.price_protect,
        "R": algo.reduce_only,
        "tt": algo.triggered_ms,
        "gtd": 0,
    }
    if algo.reject_reason:
        order["rm"] = algo.reject_reason
    house.tell(account, {"e": "ALGO_UPDATE", "T": house.now_ms, "E": house.now_ms, "o": order})


def leverage_update(house: House, account: Account, symbol: str, leverage: int) -> None:
    """Queue ACCOUNT_CONFIG_UPDATE for a symbol's leverage."""
    message = {"e": "ACCOUNT_CONFIG_UPDATE", "E": house.now_ms, "T": house.now_ms}
    house.tell(account, {**message, "ac": {"s": symbol, "l": leverage}})


def multi_assets_update(house: House, account: Account) -> None:
    """Queue ACCOUNT_CONFIG_UPDATE for the multi-assets mode."""
    message = {"e": "ACCOUNT_CONFIG_UPDATE", "E": house.now_ms, "T": house.now_ms}
    house.tell(account, {**message, "ai": {"j": account.multi_assets}})


def margin_call(house: House, account: Account, position: Position) -> None:
    """Queue MARGIN_CALL for a position near its liquidation."""
    mark = house.quotes[position.symbol].mark
    house.tell(
        account,
        {
            "e": "MARGIN_CALL",
            "E": house.now_ms,
            "cw": usd(account.cross_wallet),
            "p": [
                {
                    "s": position.symbol,
                    "ps": position.side,
                    "pa": fixed(position.qty, house.symbol(position.symbol).step_size),
                    "mt": margin_type(house, account, position.symbol),
                    "iw": usd(position.isolated_wallet) if position.isolated_wallet else "0",
                    "mp": plain(mark),
                    "up": usd(position.unrealized(mark)),
                    "mm": usd(maintenance_usd(house.symbol(position.symbol), abs(position.qty) * mark)),
                }
            ],
        },
    )


def listen_key_expired(house: House, account: Account, listen_key: str) -> None:
    """Queue listenKeyExpired."""
    house.tell(account, {"e": "listenKeyExpired", "E": house.now_ms, "listenKey": listen_key})


def mark_message(symbol: str, at_ms: int, mark: Decimal, rate: Decimal, next_funding_ms: int) -> dict[str, Any]:
    """Return markPriceUpdate; the index stands at the mark price."""
    price = f"{mark:.8f}"
    return {
        "e": "markPriceUpdate",
        "E": at_ms,
        "s": symbol,
        "p": price,
        "i": price,
        "P": price,
        "r": f"{rate:.8f}",
        "T": next_funding_ms,
    }


def kline_message(
    symbol: str, at_ms: int, open_ms: int, prices: Sequence[str], volume: str, *, closed: bool
) -> dict[str, Any]:
    """Return a kline of the 1h interval; `prices` are open, high, low, close as the venue writes them."""
    open_, high, low, close = prices
    return {
        "e": "kline",
        "E": at_ms,
        "s": symbol,
        "k": {
            "t": open_ms,
            "T": open_ms + HOUR_MS - 1,
            "s": symbol,
            "i": "1h",
            "f": 0,
            "L": 0,
            "o": open_,
            "c": close,
            "h": high,
            "l": low,
            "v": volume,
            "n": 0,
            "x": closed,
            "q": "0",
            "V": "0",
            "Q": "0",
            "B": "0",
        },
    }
