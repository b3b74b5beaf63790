"""What happens to positions without an order of their owner: funding, margin calls, liquidation, deleveraging."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine.simulator.accounts import ISOLATED
from engine.simulator.booking import book_fill, book_income, end_order
from engine.simulator.events import account_update, margin_call, order_update
from engine.simulator.margins import (
    cross_positions,
    cross_surplus_usd,
    isolated_surplus_usd,
    maintenance_usd,
    margin_type,
)
from engine.simulator.matching import taker_price
from engine.simulator.money import BPS, ZERO, amount
from engine.simulator.orders import Order

if TYPE_CHECKING:
    from engine.simulator.accounts import Account, Position
    from engine.simulator.house import House
    from engine.simulator.prices import Settlement

# the venue warns when the maintenance margin is this part of the margin
CALL_RATIO = Decimal("0.8")


def settle_funding(house: House, settlement: Settlement) -> None:
    """Book −quantity × mark × rate on every position of the symbol, out of an isolated position's own margin."""
    quote = house.quotes.get(settlement.symbol)
    if quote is None:
        return
    quote.rate = settlement.rate
    stamp_ms = house.now_ms + funding_jitter_ms(house, settlement.symbol, house.now_ms)
    for account in house.accounts.values():
        for position in account.held(settlement.symbol):
            paid = amount(-position.qty * quote.mark * settlement.rate)
            if not paid:
                continue
            book_income(house, account, "FUNDING_FEE", settlement.symbol, paid, at_ms=stamp_ms)
            isolated = margin_type(house, account, settlement.symbol) == ISOLATED
            if isolated:
                position.isolated_wallet += paid
            account_update(house, account, "FUNDING_FEE", [position] if isolated else [], paid)


def funding_jitter_ms(house: House, symbol: str, at_ms: int) -> int:
    """Return by how many milliseconds the stamp of a settlement is late."""
    most = house.spec.funding_jitter_ms
    return int(house.draws("funding", symbol, at_ms).integers(most + 1)) if most else 0


def guard_margins(house: House, symbol: str) -> None:
    """Call or liquidate the positions that a new mark price of `symbol` endangers."""
    for account in house.accounts.values():
        held = account.held(symbol)
        if held and margin_type(house, account, symbol) == ISOLATED:
            for position in held:
                _guard_isolated(house, account, position)
        elif held and cross_surplus_usd(house, account) < 0:
            for position in cross_positions(house, account):
                _liquidate(house, account, position)


def _guard_isolated(house: House, account: Account, position: Position) -> None:
    surplus = isolated_surplus_usd(house, position)
    if surplus < 0:
        _liquidate(house, account, position)
        return
    mark = house.quotes[position.symbol].mark
    needed = maintenance_usd(house.symbol(position.symbol), abs(position.qty) * mark)
    near = needed >= CALL_RATIO * (surplus + needed)
    if near and not position.called:
        margin_call(house, account, position)
    position.called = near


def _liquidate(house: House, account: Account, position: Position) -> None:
    """Close a position by force, never beyond its bankruptcy price; the insurance fund takes its fee of the rest."""
    for order in account.open_orders(position.symbol):
        end_order(house, account, order, "EXPIRED")
    symbol = house.symbol(position.symbol)
    isolated = margin_type(house, account, position.symbol) == ISOLATED
    margin = position.isolated_wallet if isolated else max(account.cross_wallet, ZERO)
    side = -1 if position.qty > 0 else 1
    qty = abs(position.qty)
    fee_ratio = house.spec.taker_fee_bps * BPS
    # the price at which margin, loss and fee come out at exactly 0
    broke = (abs(position.cost) + side * margin) / (qty * (1 + side * fee_ratio))
    market = taker_price(house, position.symbol, side, house.quotes[position.symbol].last)
    price = amount(max(market, broke) if side < 0 else min(market, broke))
    before = account.wallet
    _force(house, account, position, qty, price, f"autoclose-{house.now_ms}{house.numbers.order % 1000:03d}")
    rest = max(margin + account.wallet - before, ZERO)
    clearance = min(amount(qty * price * symbol.liquidation_fee_ratio), rest)
    book_income(house, account, "INSURANCE_CLEAR", position.symbol, -clearance)
    if clearance:
        account_update(house, account, "INSURANCE_CLEAR", [], -clearance)


def deleverage(house: House, account: Account, position: Position, qty: Decimal) -> None:
    """Take `qty` off a position at the mark price, as auto-deleveraging does."""
    _force(house, account, position, qty, house.quotes[position.symbol].mark, "adl_autoclose")


def _force(house: House, account: Account, position: Position, qty: Decimal, price: Decimal, client_id: str) -> None:
    """Fill an order that the venue places itself."""
    house.numbers.order += 1
    order = Order(
        order_id=house.numbers.order,
        client_id=client_id,
        symbol=position.symbol,
        side=-1 if position.qty > 0 else 1,
        position_side=position.side,
        kind="LIMIT",
        tif="IOC",
        qty=qty,
        price=price,
        reduce_only=False,
        created_ms=house.now_ms,
        updated_ms=house.now_ms,
    )
    account.orders[order.order_id] = order
    account.open_ids.append(order.order_id)
    order_update(house, account, order, "NEW")
    book_fill(house, account, order, qty, price, maker=False, execution="CALCULATED")
