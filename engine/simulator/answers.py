"""How orders, algo orders, trades and income look in answers, field by field as the venue sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.simulator.money import ONE, ZERO, average, fixed, plain, usd
from engine.simulator.orders import BUY, SIDE_WORDS

if TYPE_CHECKING:
    from engine.simulator.house import House
    from engine.simulator.orders import AlgoOrder, Fill, Income, Order

Answer = dict[str, Any]


def order_answer(house: House, order: Order, shape: str) -> Answer:
    """Return an order as the venue shows it when it is ``placed``, ``queried`` or ``canceled``."""
    symbol = house.symbol(order.symbol)
    answer: Answer = {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": fixed(order.price, symbol.tick_size) if order.price else "0",
        "avgPrice": average(order.quote, order.filled),
        "origQty": fixed(order.qty, symbol.step_size),
        "executedQty": fixed(order.filled, symbol.step_size),
        "cumQty": fixed(order.filled, symbol.step_size),
        "cumQuote": average(order.quote, ONE) if order.filled else "0",
        "timeInForce": order.tif,
        "type": order.kind,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": SIDE_WORDS[order.side],
        "positionSide": order.position_side,
        "stopPrice": fixed(order.stop_price, symbol.tick_size) if order.stop_price else "0",
        "workingType": order.working_type,
        "priceProtect": order.price_protect,
        "origType": order.original_kind or order.kind,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": 0,
        "updateTime": order.updated_ms,
    }
    dropped = {"placed": (), "queried": ("cumQty",), "canceled": ("avgPrice",)}[shape]
    if shape == "placed" and not house.spec.averages_in_answers:
        dropped = ("avgPrice", "cumQuote")
    if shape == "queried":
        answer["time"] = order.created_ms
    return {key: value for key, value in answer.items() if key not in dropped}


def accepted(house: House, order: Order) -> Answer:
    """Return the acknowledgement of a new order: as it was before anything filled."""
    answer = order_answer(house, order, "placed")
    untouched = {"status": "NEW", "avgPrice": "0.00000", "cumQuote": "0", "updateTime": order.created_ms}
    zero = fixed(ZERO, house.symbol(order.symbol).step_size)
    untouched |= {"executedQty": zero, "cumQty": zero}
    return {key: untouched.get(key, value) for key, value in answer.items()}


def algo_answer(house: House, algo: AlgoOrder, shape: str) -> Answer:
    """Return an algo order as the venue shows it when it is ``placed``, ``queried`` or ``open``."""
    symbol = house.symbol(algo.symbol)
    tick, step = symbol.tick_size, symbol.step_size
    answer: Answer = {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.kind,
        "symbol": algo.symbol,
        "side": SIDE_WORDS[algo.side],
        "positionSide": algo.position_side,
        "timeInForce": algo.tif,
        "quantity": fixed(algo.qty, step),
        "algoStatus": algo.status,
        "triggerPrice": fixed(algo.trigger_price, tick),
        "price": fixed(algo.price, tick),
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": algo.working_type,
        "priceMatch": "NONE",
        "closePosition": algo.close_position,
        "priceProtect": algo.price_protect,
        "reduceOnly": algo.reduce_only,
        "createTime": algo.created_ms,
        "updateTime": algo.updated_ms,
        "triggerTime": algo.triggered_ms,
        "goodTillDate": 0,
    }
    if shape == "placed":
        return answer | {"activatePrice": "", "callbackRate": ""}
    zero = fixed(ZERO, tick)
    legs = dict.fromkeys(("tpTriggerPrice", "tpPrice", "slTriggerPrice", "slPrice"), zero)
    answer |= {"actualOrderId": str(algo.order_id) if algo.order_id else "", **legs, "tpOrderType": ""}
    answer["actualPrice"] = average(algo.actual_price * algo.actual_qty, algo.actual_qty)
    if shape == "queried" and algo.order_id:
        answer["actualQty"] = fixed(algo.actual_qty, step)
        answer["actualType"] = "MARKET" if algo.is_market else "LIMIT"
    return answer


def fill_answer(house: House, fill: Fill) -> Answer:
    """Return one row of userTrades."""
    symbol = house.symbol(fill.symbol)
    return {
        "buyer": fill.side == BUY,
        "commission": usd(fill.fee_usd),
        "commissionAsset": "USDT",
        "id": fill.trade_id,
        "maker": fill.maker,
        "marginAsset": "USDT",
        "orderId": fill.order_id,
        "positionSide": fill.position_side,
        "price": fixed(fill.price, symbol.tick_size),
        "qty": fixed(fill.qty, symbol.step_size),
        "quoteQty": plain(fill.qty * fill.price),
        "realizedPnl": usd(fill.realized_usd) if fill.realized_usd else "0",
        "side": SIDE_WORDS[fill.side],
        "symbol": fill.symbol,
        "time": fill.at_ms,
    }


def income_answer(income: Income) -> Answer:
    """Return one row of the income history."""
    return {
        "symbol": income.symbol,
        "incomeType": income.kind,
        "income": usd(income.amount_usd),
        "asset": "USDT",
        "info": str(income.trade_id) if income.trade_id else income.kind,
        "time": income.at_ms,
        "tranId": income.tran_id,
        "tradeId": str(income.trade_id) if income.trade_id else "",
    }
