"""How orders meet prices.

A taker fills at the last price, worse by the slippage; a resting order fills at its own price when the path touches it.
The best bid and ask stand one tick below and above the last price.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import SECOND_MS
from engine.simulator.booking import book_fill, end_order, reducible
from engine.simulator.events import order_update
from engine.simulator.house import Due
from engine.simulator.money import BPS, ZERO, above, amount, below, floor_to, on_tick
from engine.simulator.orders import BUY
from engine.simulator.refusals import refusal

if TYPE_CHECKING:
    from engine.simulator.accounts import Account
    from engine.simulator.house import House
    from engine.simulator.orders import Order


def best_prices(house: House, symbol: str) -> tuple[Decimal, Decimal]:
    """Return the best bid and ask."""
    last, tick = house.quote(symbol).last, house.symbol(symbol).tick_size
    return below(last, tick), above(last, tick)


def taker_price(house: House, symbol: str, side: int, reference: Decimal) -> Decimal:
    """Return what a taker pays or gets around a reference price."""
    liquidity = house.spec.liquidity
    price = reference * (1 + side * liquidity.slippage_bps * BPS)
    return on_tick(price, house.symbol(symbol).tick_size) if liquidity.on_tick else amount(price)


def admit(house: House, account: Account, order: Order) -> None:
    """Let a checked order in: it is known from now on, and fills or rests.

    Raises:
        VenueError: −5021, −5022: it would be filled at once and must not, or not at once and must.
    """
    takes = order.kind == "MARKET" or _crosses(house, order)
    if order.tif == "GTX" and takes:
        raise refusal(-5022)
    if order.tif == "FOK" and not takes:
        raise refusal(-5021)
    account.orders[order.order_id] = order
    account.open_ids.append(order.order_id)
    order_update(house, account, order, "NEW")
    if takes:
        take(house, account, order, house.quote(order.symbol).last)
    elif order.tif == "IOC":
        end_order(house, account, order, "EXPIRED")
    elif house.spec.liquidity.queue_s is not None:
        _queue(house, account, order)


def _crosses(house: House, order: Order) -> bool:
    bid, ask = best_prices(house, order.symbol)
    return order.price >= ask if order.side == BUY else order.price <= bid


def take(house: House, account: Account, order: Order, reference: Decimal) -> None:
    """Fill an order as a taker around `reference`, in one trade or several, now or spread over time."""
    liquidity = house.spec.liquidity
    step = house.symbol(order.symbol).step_size
    wanted = min(order.left, reducible(account, order)) if order.reduce_only else order.left
    if order.kind == "MARKET":
        wanted = floor_to(wanted * liquidity.market_ratio, step) if liquidity.market_ratio != 1 else wanted
    parts = _parts(house, order, wanted, step)
    order.parts_left = len(parts)
    for number, qty in enumerate(parts):
        if number and liquidity.part_delay_ms:
            at_ms = house.now_ms + number * liquidity.part_delay_ms
            house.dues.append(Due(at_ms, account.name, order.order_id, qty, maker=False))
        else:
            take_part(house, account, order, qty, reference)
    if not parts:
        _finish(house, account, order)


def take_part(house: House, account: Account, order: Order, qty: Decimal, reference: Decimal) -> None:
    """Fill one part of a taker order; after the last one, a market order that is not filled expires."""
    if not order.is_open:
        return
    order.parts_left -= 1
    price = taker_price(house, order.symbol, order.side, reference)
    if order.kind == "LIMIT":
        price = min(price, order.price) if order.side == BUY else max(price, order.price)
    qty = min(qty, order.left)
    if order.reduce_only:
        qty = min(qty, reducible(account, order))
    if qty:
        book_fill(house, account, order, qty, price, maker=False)
    _finish(house, account, order)


def _finish(house: House, account: Account, order: Order) -> None:
    """Expire what is left of an order that does not rest."""
    rests = order.kind == "LIMIT" and order.tif not in ("IOC", "FOK")
    if order.is_open and not order.parts_left and not rests:
        end_order(house, account, order, "EXPIRED")


def _parts(house: House, order: Order, qty: Decimal, step: Decimal) -> list[Decimal]:
    """Cut a quantity into seeded parts of whole steps."""
    if qty <= ZERO:
        return []
    steps = int(qty / step)
    most = min(house.spec.liquidity.parts, steps)
    if most <= 1:
        return [qty]
    rng = house.draws("parts", order.order_id)
    count = int(rng.integers(1, most + 1))
    cuts = np.unique(rng.integers(1, steps, size=count - 1)) if count > 1 else np.empty(0, dtype=np.int64)
    edges = [0, *cuts.tolist(), steps]
    sizes = [Decimal(right - left) * step for left, right in pairwise(edges)]
    return [*sizes[:-1], sizes[-1] + qty - step * steps]


def _queue(house: House, account: Account, order: Order) -> None:
    """Let somebody hit an order that rests at the best price, after a seeded while."""
    bid, ask = best_prices(house, order.symbol)
    mean_s = house.spec.liquidity.queue_s
    best = order.price >= bid if order.side == BUY else order.price <= ask
    if mean_s is not None and best:
        wait_s = float(house.draws("queue", order.order_id).exponential(mean_s))
        at_ms = house.now_ms + max(1, round(wait_s * SECOND_MS))
        house.dues.append(Due(at_ms, account.name, order.order_id, order.left, maker=True))


def touch(house: House, account: Account, order: Order, last: Decimal) -> None:
    """Fill a resting order, reached by the price `last`, as a maker at its own price."""
    ratio = house.spec.liquidity.touch_ratio
    qty = min(order.left, reducible(account, order)) if order.reduce_only else order.left
    if ratio != 1 and last == order.price:
        step = house.symbol(order.symbol).step_size
        qty = max(floor_to(qty * ratio, step), step) if qty >= step else qty
    if qty:
        book_fill(house, account, order, qty, order.price, maker=True)
    if order.is_open and order.reduce_only and not reducible(account, order):
        end_order(house, account, order, "EXPIRED")


def reaches(order: Order, last: Decimal) -> bool:
    """Return whether a resting limit order fills at the price `last`."""
    if order.kind != "LIMIT" or order.parts_left:
        return False
    return last <= order.price if order.side == BUY else last >= order.price


def settle_due(house: House, due: Due) -> None:
    """Do a fill that was promised for now."""
    account = house.accounts[due.account]
    order = account.orders[due.order_id]
    if not order.is_open:
        return
    last = house.quote(order.symbol).last
    if not due.maker:
        take_part(house, account, order, due.qty, last)
        return
    bid, ask = best_prices(house, order.symbol)
    still_best = order.price >= bid if order.side == BUY else order.price <= ask
    if still_best:
        touch(house, account, order, order.price)
