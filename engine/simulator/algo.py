"""Algo orders: conditional orders that wait outside the book and become ordinary ones at their trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.simulator.booking import end_algo, reducible
from engine.simulator.events import algo_update, order_update
from engine.simulator.intake import (
    LIMIT_TIFS,
    check_entry,
    check_margin,
    check_qty,
    check_tick,
    read_client_id,
    read_position_side,
    read_side,
)
from engine.simulator.matching import admit, take
from engine.simulator.money import ZERO, plain
from engine.simulator.orders import BUY, AlgoOrder, Order
from engine.simulator.refusals import VenueError, refusal

if TYPE_CHECKING:
    from decimal import Decimal

    from engine.simulator.accounts import Account
    from engine.simulator.house import House
    from engine.simulator.params import Params
    from engine.simulator.specs import SymbolSpec

KINDS = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET")
WORKING_TYPES = ("CONTRACT_PRICE", "MARK_PRICE")

_REDUCE_ONLY = -2022


def new_algo(house: House, account: Account, params: Params) -> AlgoOrder:
    """Take in the algo order that a request asks for, checked.

    Raises:
        VenueError: the venue refuses it.
    """
    if params.text("algoType", "CONDITIONAL").upper() != "CONDITIONAL":
        raise refusal(-1130, "algoType")
    symbol = house.symbol(params.need("symbol"))
    side = read_side(params)
    kind = params.need("type").upper()
    if kind not in KINDS:
        raise refusal(-1116)
    algo = AlgoOrder(
        algo_id=house.numbers.algo + 1,
        client_id=read_client_id(house, params, "clientAlgoId"),
        symbol=symbol.symbol,
        side=side,
        position_side=read_position_side(account, params, symbol),
        kind=kind,
        tif=_read_tif(params),
        qty=params.decimal("quantity"),
        trigger_price=params.decimal("triggerPrice"),
        price=params.decimal("price"),
        working_type=params.text("workingType", "CONTRACT_PRICE").upper(),
        reduce_only=params.flag("reduceOnly"),
        close_position=params.flag("closePosition"),
        price_protect=params.flag("priceProtect"),
        created_ms=house.now_ms,
        updated_ms=house.now_ms,
    )
    _check(house, account, algo, symbol, params)
    house.numbers.algo += 1
    account.algo_orders[algo.algo_id] = algo
    account.open_algo_ids.append(algo.algo_id)
    algo_update(house, account, algo)
    return algo


def _read_tif(params: Params) -> str:
    tif = params.text("timeInForce", "GTC").upper()
    if tif not in (*LIMIT_TIFS, "GTE_GTC"):
        raise refusal(-1115)
    return tif


def _check(house: House, account: Account, algo: AlgoOrder, symbol: SymbolSpec, params: Params) -> None:
    """Check an algo order against filters, mode and price."""
    if algo.working_type not in WORKING_TYPES:
        raise refusal(-1130, "workingType")
    params.need("triggerPrice")
    check_tick(symbol, algo.trigger_price)
    if any(one.client_id == algo.client_id for one in account.open_algos()):
        raise refusal(-4116)
    if algo.close_position:
        _check_close(account, algo, params)
    else:
        check_qty(symbol, algo.qty, params, market=algo.is_market)
        if not algo.reduce_only:
            check_entry(house, account)
            if algo.qty * (algo.price or algo.trigger_price) < symbol.min_notional_usd:
                raise refusal(-4164, plain(symbol.min_notional_usd))
    if not algo.is_market:
        params.need("price")
        check_tick(symbol, algo.price)
    if algo.reached(working_price(house, algo)):
        raise refusal(-2021)
    if len(account.open_algos(algo.symbol)) >= symbol.max_algo_orders:
        raise refusal(-4045)


def _check_close(account: Account, algo: AlgoOrder, params: Params) -> None:
    """Check an order that closes the whole position: one of a kind, only with a position, without a quantity."""
    if params.sent("reduceOnly"):
        raise refusal(-1106, "reduceonly")
    if algo.qty:
        raise refusal(-4137)
    if not algo.is_market:
        raise VenueError(-4136, f"Target strategy invalid for orderType {algo.kind},closePosition true")
    if not reducible(account, algo):
        raise refusal(-4509)
    for other in account.open_algos(algo.symbol):
        same = (other.side, other.kind, other.position_side) == (algo.side, algo.kind, algo.position_side)
        if other.close_position and same:
            raise refusal(-4130)


def working_price(house: House, algo: AlgoOrder) -> Decimal:
    """Return the price that an algo order watches."""
    quote = house.quote(algo.symbol)
    return quote.mark if algo.working_type == "MARK_PRICE" else quote.last


def trigger(house: House, account: Account, algo: AlgoOrder, reference: Decimal) -> None:
    """Turn an algo order whose price was reached into an ordinary one that fills around `reference`."""
    algo.status, algo.triggered_ms, algo.updated_ms = "TRIGGERING", house.now_ms, house.now_ms
    account.open_algo_ids.remove(algo.algo_id)
    algo_update(house, account, algo)
    order = _order_of(house, account, algo)
    try:
        _check_triggered(house, account, algo, order, reference)
    except VenueError as error:
        algo.reject_reason = "Reduce Only reject" if error.code == _REDUCE_ONLY else error.message
        end_algo(house, account, algo, "REJECTED")
        return
    house.numbers.order += 1
    algo.status, algo.order_id = "TRIGGERED", order.order_id
    algo_update(house, account, algo)
    if algo.is_market:
        _admit_market(house, account, order, reference)
        return
    try:
        admit(house, account, order)
    except VenueError as error:
        algo.reject_reason = error.message
        end_algo(house, account, algo, "REJECTED")


def _order_of(house: House, account: Account, algo: AlgoOrder) -> Order:
    """Return the order that an algo order becomes; it carries the algo order's client id."""
    reduces = algo.reduce_only or algo.close_position
    room = reducible(account, algo)
    qty = room if algo.close_position else min(algo.qty, room) if reduces else algo.qty
    return Order(
        order_id=house.numbers.order + 1,
        client_id=algo.client_id,
        symbol=algo.symbol,
        side=algo.side,
        position_side=algo.position_side,
        kind="MARKET" if algo.is_market else "LIMIT",
        tif="GTC" if algo.tif == "GTE_GTC" else algo.tif,
        qty=qty,
        price=ZERO if algo.is_market else algo.price,
        reduce_only=reduces,
        created_ms=house.now_ms,
        updated_ms=house.now_ms,
        close_position=algo.close_position,
        stop_price=algo.trigger_price,
        original_kind=algo.kind,
        working_type=algo.working_type,
        price_protect=algo.price_protect,
        algo_id=algo.algo_id,
    )


def _check_triggered(house: House, account: Account, algo: AlgoOrder, order: Order, reference: Decimal) -> None:
    """Check what the matching engine checks.

    Raises:
        VenueError: −2022, −2019, −2027, −4400, −1008.
    """
    if order.reduce_only:
        if not order.qty:
            raise refusal(_REDUCE_ONLY)
        return
    check_entry(house, account)
    check_margin(house, account, order, algo.price or reference)


def _admit_market(house: House, account: Account, order: Order, reference: Decimal) -> None:
    """Fill a triggered market order around its trigger, or around the price that jumped beyond it."""
    account.orders[order.order_id] = order
    account.open_ids.append(order.order_id)
    order_update(house, account, order, "NEW")
    take(house, account, order, reference)


def fill_reference(algo: AlgoOrder, last: Decimal, *, jump: bool) -> Decimal:
    """Return the price a triggered market order fills around: its trigger, but the price itself after a jump.

    A stop on the mark price fills at the last price.
    """
    if jump or algo.working_type == "MARK_PRICE":
        return last
    beyond = last >= algo.trigger_price if (algo.side == BUY) == algo.is_stop else last <= algo.trigger_price
    return algo.trigger_price if beyond else last


def cancel_open_algos(house: House, account: Account, symbol: str) -> None:
    """Cancel all waiting algo orders of a symbol."""
    for algo in account.open_algos(symbol):
        end_algo(house, account, algo, "CANCELED")
