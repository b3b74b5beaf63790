"""Margins, tiers, liquidation prices: the venue's formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.simulator.accounts import CROSSED, ISOLATED
from engine.simulator.money import ZERO

if TYPE_CHECKING:
    from decimal import Decimal

    from engine.simulator.accounts import Account, Position
    from engine.simulator.house import House
    from engine.simulator.orders import Order
    from engine.simulator.specs import Bracket, SymbolSpec


def leverage(house: House, account: Account, symbol: str) -> int:
    """Return the leverage that the account has for a symbol."""
    return account.leverage.get(symbol, house.spec.default_leverage)


def margin_type(house: House, account: Account, symbol: str) -> str:
    """Return ``ISOLATED`` or ``CROSSED``."""
    return account.margin_type.get(symbol, house.spec.default_margin_type)


def bracket(symbol: SymbolSpec, notional_usd: Decimal) -> Bracket:
    """Return the tier of a notional; above the last one, the last one."""
    for tier in symbol.brackets:
        if notional_usd <= tier.cap_usd:
            return tier
    return symbol.brackets[-1]


def maintenance_usd(symbol: SymbolSpec, notional_usd: Decimal) -> Decimal:
    """Return the maintenance margin: notional × ratio − cum of its tier."""
    tier = bracket(symbol, notional_usd)
    return notional_usd * tier.maint_ratio - tier.cum_usd


def largest_notional_usd(symbol: SymbolSpec, leverage_: int) -> Decimal:
    """Return the largest position that a leverage allows."""
    allowed = [tier.cap_usd for tier in symbol.brackets if tier.leverage >= leverage_]
    return allowed[-1] if allowed else ZERO


def liquidation_price(house: House, account: Account, position: Position) -> Decimal:
    """Return the mark price at which the margin is down to the maintenance margin, 0 where no price does that.

    With margin W, entry E, quantity q > 0 and the tier's ratio r and cum c:
    a long's is (q·E − W − c) ÷ (q·(1 − r)), a short's (q·E + W + c) ÷ (q·(1 + r)).
    """
    if not position.qty:
        return ZERO
    symbol = house.symbol(position.symbol)
    margin = _margin_usd(house, account, position)
    qty, cost, side = abs(position.qty), abs(position.cost), 1 if position.qty > 0 else -1
    price = ZERO
    for tier in symbol.brackets:
        price = (cost - side * (margin + tier.cum_usd)) / (qty * (1 - side * tier.maint_ratio))
        if qty * price <= tier.cap_usd:
            break
    return max(price, ZERO)


def _margin_usd(house: House, account: Account, position: Position) -> Decimal:
    """Return what stands behind a position: its isolated wallet, or the cross wallet and what other positions bring."""
    if margin_type(house, account, position.symbol) == ISOLATED:
        return position.isolated_wallet
    others = (one for one in cross_positions(house, account) if one is not position)
    return account.cross_wallet + sum((_surplus_usd(house, one) for one in others), ZERO)


def _surplus_usd(house: House, position: Position) -> Decimal:
    mark = house.quotes[position.symbol].mark
    return position.unrealized(mark) - maintenance_usd(house.symbol(position.symbol), abs(position.qty) * mark)


def cross_positions(house: House, account: Account) -> list[Position]:
    """Return the positions that share the cross wallet."""
    return [one for one in account.held() if margin_type(house, account, one.symbol) == CROSSED]


def cross_surplus_usd(house: House, account: Account) -> Decimal:
    """Return what the cross wallet has above the maintenance margin of its positions; negative: liquidation."""
    positions = cross_positions(house, account)
    return account.cross_wallet + sum((_surplus_usd(house, one) for one in positions), ZERO)


def isolated_surplus_usd(house: House, position: Position) -> Decimal:
    """Return what an isolated position's margin has above its maintenance margin; negative: liquidation."""
    return position.isolated_wallet + _surplus_usd(house, position)


def position_margin_usd(house: House, account: Account, position: Position) -> Decimal:
    """Return the initial margin of a position at its mark price."""
    mark = house.quotes[position.symbol].mark
    return abs(position.qty) * mark / leverage(house, account, position.symbol)


def order_margin_usd(house: House, account: Account, symbol: str, extra: Order | None = None) -> Decimal:
    """Return the initial margin that a symbol's open orders need; `extra` is one that is about to be placed.

    Only what would enlarge a position needs any: in one-way mode the larger of the two sides, each against the
    position held.
    """
    orders = account.open_orders(symbol)
    if extra is not None:
        orders = [*orders, extra]
    opening = [one for one in orders if not one.reduce_only]
    if not opening:
        return ZERO
    needed = sum((_side_notional(account, symbol, side, opening) for side in account.sides()), ZERO)
    return needed / leverage(house, account, symbol)


def _side_notional(account: Account, symbol: str, side: str, orders: list[Order]) -> Decimal:
    """Return by how much the orders could enlarge one position, in USDT at their own prices."""
    position = account.positions.get(f"{symbol}:{side}")
    held = position.qty if position else ZERO
    largest = ZERO
    for direction in (1, -1):
        mine = [one for one in orders if one.side == direction and one.position_side == side]
        closing = max(-held * direction, ZERO)
        notional = ZERO
        for one in mine:
            free = min(closing, one.left)
            closing -= free
            notional += (one.left - free) * one.price
        largest = max(largest, notional)
    return largest


def available_usd(house: House, account: Account, extra: Order | None = None) -> Decimal:
    """Return what is free for new positions; negative: too little for `extra`."""
    symbols = {one.symbol for one in account.open_orders()} | ({extra.symbol} if extra else set())
    orders = sum(
        (order_margin_usd(house, account, one, extra if extra and extra.symbol == one else None) for one in symbols),
        ZERO,
    )
    free = account.cross_wallet - orders
    for position in cross_positions(house, account):
        free += min(position.unrealized(house.quotes[position.symbol].mark), ZERO)
        free -= position_margin_usd(house, account, position)
    return free
