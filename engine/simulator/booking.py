"""What a fill does: position, wallet, fee, history, events. The only place where money moves, but for funding.

The wallet changes by exactly what the income history says: amounts are rounded to 8 decimals once, then added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.simulator.accounts import ISOLATED
from engine.simulator.events import account_update, algo_update, order_update
from engine.simulator.margins import leverage, margin_type
from engine.simulator.money import BPS, ZERO, amount
from engine.simulator.orders import Fill, Income

if TYPE_CHECKING:
    from decimal import Decimal

    from engine.simulator.accounts import Account, Position
    from engine.simulator.house import House
    from engine.simulator.orders import AlgoOrder, Order


def book_income(
    house: House, account: Account, kind: str, symbol: str, amount_usd: Decimal, *, trade_id: int = 0, at_ms: int = 0
) -> None:
    """Change the wallet by `amount_usd` and say why; nothing is booked of 0."""
    if not amount_usd:
        return
    account.wallet += amount_usd
    house.numbers.transfer += 1
    stamp_ms = at_ms or house.now_ms
    account.income.append(Income(house.numbers.transfer, symbol, kind, amount_usd, stamp_ms, trade_id))


def reducible(account: Account, order: Order | AlgoOrder) -> Decimal:
    """Return how much of its position an order could close."""
    position = account.positions.get(f"{order.symbol}:{order.position_side}")
    return ZERO if position is None else max(-position.qty * order.side, ZERO)


def book_fill(
    house: House, account: Account, order: Order, qty: Decimal, price: Decimal, *, maker: bool, execution: str = "TRADE"
) -> None:
    """Fill `qty` of an order at `price`: books, history and both events (ACCOUNT_UPDATE first, as on the venue)."""
    position = account.position(order.symbol, order.position_side)
    fee_bps = house.spec.maker_fee_bps if maker else house.spec.taker_fee_bps
    fee_usd = amount(qty * price * fee_bps * BPS)
    closing = min(qty, reducible(account, order))
    realized_usd = _close(position, order.side, closing, price)
    if qty > closing:
        _open(house, account, position, order.side * (qty - closing), price)
    position.realized_usd += realized_usd
    position.updated_ms = order.updated_ms = house.now_ms
    house.numbers.trade += 1
    fill = Fill(
        house.numbers.trade,
        order.order_id,
        order.client_id,
        order.symbol,
        order.side,
        order.position_side,
        qty,
        price,
        fee_usd,
        realized_usd,
        maker,
        house.now_ms,
    )
    account.fills.append(fill)
    book_income(house, account, "REALIZED_PNL", order.symbol, realized_usd, trade_id=fill.trade_id)
    book_income(house, account, "COMMISSION", order.symbol, -fee_usd, trade_id=fill.trade_id)
    order.filled += qty
    order.quote += qty * price
    order.status = "FILLED" if not order.left else "PARTIALLY_FILLED"
    if not order.is_open:
        _leave(account, order)
    account_update(house, account, "ORDER", [position])
    order_update(house, account, order, execution, fill)
    _follow(house, account, order)
    if closing:
        drop_pointless(house, account, position)


def _close(position: Position, side: int, qty: Decimal, price: Decimal) -> Decimal:
    """Take `qty` off a position and return the profit; its share of the isolated margin is free again."""
    if not qty:
        return ZERO
    share = qty / abs(position.qty)
    last = qty == abs(position.qty)
    cost = position.cost if last else amount(position.cost * share)
    margin = position.isolated_wallet if last else amount(position.isolated_wallet * share)
    position.cost -= cost
    position.isolated_wallet -= margin
    position.qty += side * qty
    return amount(-side * qty * price - cost)


def _open(house: House, account: Account, position: Position, signed_qty: Decimal, price: Decimal) -> None:
    """Add to a position; under isolated margin its initial margin is set aside."""
    position.qty += signed_qty
    position.cost += signed_qty * price
    if margin_type(house, account, position.symbol) == ISOLATED:
        position.isolated_wallet += amount(abs(signed_qty) * price / leverage(house, account, position.symbol))


def end_order(house: House, account: Account, order: Order, status: str) -> None:
    """End an open order as ``CANCELED`` or ``EXPIRED``."""
    order.status = status
    order.updated_ms = house.now_ms
    _leave(account, order)
    house.dues = [due for due in house.dues if due.order_id != order.order_id]
    order_update(house, account, order, status)
    _follow(house, account, order)


def end_algo(house: House, account: Account, algo: AlgoOrder, status: str) -> None:
    """End a waiting algo order as ``CANCELED``, ``EXPIRED`` or ``REJECTED``."""
    algo.status = status
    algo.updated_ms = house.now_ms
    if algo.algo_id in account.open_algo_ids:
        account.open_algo_ids.remove(algo.algo_id)
    algo_update(house, account, algo)


def _leave(account: Account, order: Order) -> None:
    if order.order_id in account.open_ids:
        account.open_ids.remove(order.order_id)


def _follow(house: House, account: Account, order: Order) -> None:
    """Finish the algo order that sent an order which has ended."""
    if not order.algo_id or order.is_open:
        return
    algo = account.algo_orders[order.algo_id]
    algo.status = "FINISHED"
    algo.updated_ms = house.now_ms
    algo.actual_qty = order.filled
    algo.actual_price = order.quote / order.filled if order.filled else ZERO
    algo_update(house, account, algo)


def drop_pointless(house: House, account: Account, position: Position) -> None:
    """Expire what can no longer reduce: reduce-only orders, and algo orders that close a position now gone."""
    for order in account.open_orders(position.symbol):
        mine = order.reduce_only and order.position_side == position.side
        if mine and not reducible(account, order):
            end_order(house, account, order, "EXPIRED")
    for algo in account.open_algos(position.symbol):
        mine = algo.close_position and algo.position_side == position.side
        if mine and not reducible(account, algo):
            end_algo(house, account, algo, "EXPIRED")
