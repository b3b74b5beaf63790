"""Which new orders the venue takes: parameters, filters, modes, margin – each with the code of its refusal."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.simulator.booking import reducible
from engine.simulator.margins import available_usd, largest_notional_usd, leverage
from engine.simulator.matching import taker_price
from engine.simulator.money import ZERO, decimals_of, is_multiple, plain
from engine.simulator.orders import BUY, CONDITIONAL, SIDES, Order
from engine.simulator.refusals import VenueError, refusal

if TYPE_CHECKING:
    from decimal import Decimal

    from engine.simulator.accounts import Account
    from engine.simulator.house import House
    from engine.simulator.params import Params
    from engine.simulator.specs import SymbolSpec

_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_LONGEST_ID = 36
LIMIT_TIFS = ("GTC", "IOC", "FOK", "GTX")
_OVERLOADED = 503


def new_order(house: House, account: Account, params: Params) -> Order:
    """Return the order that a request asks for, checked, without letting it in.

    Raises:
        VenueError: the venue refuses it.
    """
    symbol = house.symbol(params.need("symbol"))
    side = read_side(params)
    kind = params.need("type").upper()
    if kind in CONDITIONAL:
        raise refusal(-4120)
    if kind not in ("MARKET", "LIMIT"):
        raise refusal(-1116)
    reduce_only = params.flag("reduceOnly")
    position_side = read_position_side(account, params, symbol)
    order = Order(
        order_id=house.numbers.order + 1,
        client_id=read_client_id(house, params, "newClientOrderId"),
        symbol=symbol.symbol,
        side=side,
        position_side=position_side,
        kind=kind,
        tif=_read_tif(params, kind),
        qty=params.decimal("quantity"),
        price=params.decimal("price") if kind == "LIMIT" else ZERO,
        reduce_only=reduce_only,
        created_ms=house.now_ms,
        updated_ms=house.now_ms,
    )
    if any(one.client_id == order.client_id for one in account.open_orders()):
        raise refusal(-4116)
    check_qty(symbol, order.qty, params, market=kind == "MARKET")
    if kind == "LIMIT":
        params.need("price")
        _check_price(house, symbol, order.price, side)
    return _admissible(house, account, order, symbol)


def _admissible(house: House, account: Account, order: Order, symbol: SymbolSpec) -> Order:
    """Check what depends on the account: reduce-only, notional, number of orders, margin."""
    if order.reduce_only or account.hedge_mode:
        order = _reducing(account, order)
    reference = order.price or taker_price(house, symbol.symbol, order.side, house.quote(symbol.symbol).last)
    if not order.reduce_only:
        check_entry(house, account)
        mark = order.price or house.quote(symbol.symbol).mark
        if order.qty * mark < symbol.min_notional_usd:
            raise refusal(-4164, plain(symbol.min_notional_usd))
        check_margin(house, account, order, reference)
    if len(account.open_orders(symbol.symbol)) >= symbol.max_orders:
        raise refusal(-2025)
    house.numbers.order += 1
    return order


def _reducing(account: Account, order: Order) -> Order:
    """Check an order that must reduce; a reduce-only quantity above the position is cut to it, as the venue does."""
    room = reducible(account, order)
    closes = not account.hedge_mode or (order.side == BUY) == (order.position_side == "SHORT")
    if not closes:
        return order
    if not room or (account.hedge_mode and order.qty > room):
        raise refusal(-2022)
    return replace(order, qty=min(order.qty, room), reduce_only=True) if not account.hedge_mode else order


def check_entry(house: House, account: Account) -> None:
    """Refuse what does not reduce while the venue or the account is restricted.

    Raises:
        VenueError: −4400, −1008.
    """
    if account.reduce_only_rule:
        raise refusal(-4400)
    if house.overloaded:
        words = "Server is currently overloaded with other requests. Please try again in a few minutes."
        raise VenueError(-1008, words, _OVERLOADED)


def check_margin(house: House, account: Account, order: Order, reference: Decimal) -> None:
    """Check margin and the largest position of the leverage.

    Raises:
        VenueError: −2019, −2027.
    """
    priced = replace(order, price=reference)
    fee = order.qty * reference * house.spec.taker_fee_bps / 10_000 if order.kind == "MARKET" else ZERO
    needs = order.qty > reducible(account, order)
    if needs and available_usd(house, account, priced) < fee:
        raise refusal(-2019)
    position = account.position(order.symbol, order.position_side)
    same_side = [one for one in account.open_orders(order.symbol) if one.side == order.side and not one.reduce_only]
    after = abs(position.qty + order.side * (order.qty + sum((one.left for one in same_side), ZERO)))
    largest = largest_notional_usd(house.symbol(order.symbol), leverage(house, account, order.symbol))
    if needs and after * reference > largest:
        raise refusal(-2027)


def optional_symbol(house: House, params: Params) -> str:
    """Return the symbol that is asked for, empty for all.

    Raises:
        VenueError: −1121.
    """
    symbol = params.text("symbol")
    if symbol:
        house.symbol(symbol)
    return symbol


def read_side(params: Params) -> int:
    """Return +1 or −1.

    Raises:
        VenueError: −1102, −1117.
    """
    side = SIDES.get(params.need("side").upper())
    if side is None:
        raise refusal(-1117)
    return side


def read_position_side(account: Account, params: Params, symbol: SymbolSpec) -> str:
    """Return the position side that fits the account's mode.

    Raises:
        VenueError: −4061, −1106, −4108.
    """
    if symbol.status != "TRADING":
        raise refusal(-4108)
    side = params.text("positionSide", "BOTH").upper()
    if side not in account.sides():
        raise refusal(-4061)
    if account.hedge_mode and params.sent("reduceOnly"):
        raise refusal(-1106, "reduceonly")
    return side


def read_client_id(house: House, params: Params, name: str) -> str:
    """Return the sender's id, or one that the venue makes up.

    Raises:
        VenueError: −4015, −1100.
    """
    house.numbers.key += 1
    found = params.text(name, f"web_{house.numbers.key:018d}")
    if len(found) > _LONGEST_ID:
        raise refusal(-4015)
    if not _CLIENT_ID.fullmatch(found):
        words = f"Illegal characters found in parameter '{name}'; legal range is '^[\\.A-Z\\:/a-z0-9_-]{{1,36}}$'."
        raise VenueError(-1100, words)
    return found


def _read_tif(params: Params, kind: str) -> str:
    if kind == "MARKET":
        return "GTC"
    tif = params.need("timeInForce").upper()
    if tif not in LIMIT_TIFS:
        raise refusal(-1115)
    return tif


def check_qty(symbol: SymbolSpec, qty: Decimal, params: Params, *, market: bool) -> None:
    """Check a quantity against the lot size.

    Raises:
        VenueError: −1102, −4003, −1111, −4004, −4005, −4023.
    """
    params.need("quantity")
    if qty <= 0:
        raise refusal(-4003)
    if decimals_of(qty) > symbol.qty_decimals:
        raise refusal(-1111)
    if not is_multiple(qty, symbol.step_size):
        raise refusal(-4023)
    if qty < symbol.min_qty:
        raise refusal(-4004)
    if qty > (symbol.market_max_qty if market else symbol.max_qty):
        raise refusal(-4005)


def check_tick(symbol: SymbolSpec, price: Decimal) -> None:
    """Check a price against the price filter.

    Raises:
        VenueError: −1111, −4013, −4002, −4014.
    """
    if decimals_of(price) > symbol.price_decimals:
        raise refusal(-1111)
    if price < symbol.min_price:
        raise refusal(-4013)
    if price > symbol.max_price:
        raise refusal(-4002)
    if not is_multiple(price, symbol.tick_size):
        raise refusal(-4014)


def _check_price(house: House, symbol: SymbolSpec, price: Decimal, side: int) -> None:
    check_tick(symbol, price)
    mark = house.quote(symbol.symbol).mark
    highest, lowest = mark * symbol.price_up_ratio, mark * symbol.price_down_ratio
    if side == BUY and price > highest:
        raise refusal(-4016, plain(highest))
    if side != BUY and price < lowest:
        raise refusal(-4024, plain(lowest))
