"""How positions and balances look in answers, field by field as the venue sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.simulator.accounts import ISOLATED
from engine.simulator.margins import (
    available_usd,
    cross_positions,
    largest_notional_usd,
    leverage,
    liquidation_price,
    maintenance_usd,
    margin_type,
    order_margin_usd,
    position_margin_usd,
)
from engine.simulator.money import BPS, ZERO, average, fixed, plain, usd
from engine.simulator.orders import BUY, SELL

if TYPE_CHECKING:
    from decimal import Decimal

    from engine.simulator.accounts import Account, Position
    from engine.simulator.house import House

Answer = dict[str, Any]

_THIRD = 3
_MARGIN_KEYS = ("initialMargin", "maintMargin", "positionInitialMargin", "openOrderInitialMargin")


def risk_answer(house: House, account: Account, position: Position, version: int) -> Answer:
    """Return one row of positionRisk, version 2 or 3; version 3 has neither leverage nor margin type."""
    symbol = house.symbol(position.symbol)
    mark = house.quote(position.symbol).mark
    isolated = margin_type(house, account, position.symbol) == ISOLATED
    wallet = position.isolated_wallet if isolated else ZERO
    profit = position.unrealized(mark)
    answer: Answer = {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": fixed(position.qty, symbol.step_size),
        "entryPrice": average(abs(position.cost), abs(position.qty)) if position.qty else "0.0",
        "breakEvenPrice": _break_even(house, position),
        "markPrice": usd(mark),
        "unRealizedProfit": usd(profit),
        "liquidationPrice": plain(round(liquidation_price(house, account, position), 8)),
        "isolatedMargin": usd(wallet + profit if isolated and position.qty else ZERO),
        "notional": usd(position.qty * mark) if position.qty else "0",
        "isolatedWallet": usd(wallet) if wallet else "0",
        "updateTime": position.updated_ms,
    }
    if version < _THIRD:
        largest = largest_notional_usd(symbol, leverage(house, account, position.symbol))
        return answer | {
            "marginType": "isolated" if isolated else "cross",
            "isAutoAddMargin": "false",
            "leverage": str(leverage(house, account, position.symbol)),
            "maxNotionalValue": plain(largest),
        }
    margins = _margins(house, account, position)
    bids, asks = _resting(account, position)
    return answer | {
        "marginAsset": "USDT",
        **{key: margins[key] for key in _MARGIN_KEYS},
        "adl": 2 if position.qty else 0,
        "bidNotional": plain(bids),
        "askNotional": plain(asks),
    }


def _break_even(house: House, position: Position) -> str:
    """Return the price at which closing pays for the entry's fee too."""
    if not position.qty:
        return "0.0"
    side = 1 if position.qty > 0 else -1
    fee = house.spec.taker_fee_bps * BPS
    return f"{position.entry_price * (1 + side * fee) / (1 - side * fee):.8f}"


def _margins(house: House, account: Account, position: Position) -> dict[str, str]:
    """Return the four margins of a position, and its profit."""
    mark = house.quote(position.symbol).mark
    held = position_margin_usd(house, account, position)
    orders = order_margin_usd(house, account, position.symbol)
    needed = maintenance_usd(house.symbol(position.symbol), abs(position.qty) * mark)
    return {
        "initialMargin": _usd_or_0(held + orders),
        "maintMargin": _usd_or_0(needed),
        "positionInitialMargin": _usd_or_0(held),
        "openOrderInitialMargin": _usd_or_0(orders),
        "unrealizedProfit": usd(position.unrealized(mark)),
    }


def _usd_or_0(value: Decimal) -> str:
    return usd(value) if value else "0"


def _resting(account: Account, position: Position) -> tuple[Decimal, Decimal]:
    orders = account.open_orders(position.symbol)
    bids, asks = (sum((one.left * one.price for one in orders if one.side == side), ZERO) for side in (BUY, SELL))
    return bids, asks


def totals(house: House, account: Account) -> dict[str, Decimal]:
    """Return the sums that account answers show, in USDT."""
    held = account.held()
    profit = {one.symbol: house.quote(one.symbol).mark for one in held}
    unrealized = sum((one.unrealized(profit[one.symbol]) for one in held), ZERO)
    cross = sum((one.unrealized(profit[one.symbol]) for one in cross_positions(house, account)), ZERO)
    positions = sum((position_margin_usd(house, account, one) for one in held), ZERO)
    orders = sum((order_margin_usd(house, account, one) for one in {o.symbol for o in account.open_orders()}), ZERO)
    needed = sum((maintenance_usd(house.symbol(one.symbol), abs(one.qty) * profit[one.symbol]) for one in held), ZERO)
    free = max(available_usd(house, account), ZERO)
    return {
        "initialMargin": positions + orders,
        "maintMargin": needed,
        "walletBalance": account.wallet,
        "unrealizedProfit": unrealized,
        "marginBalance": account.wallet + unrealized,
        "positionInitialMargin": positions,
        "openOrderInitialMargin": orders,
        "crossWalletBalance": account.cross_wallet,
        "crossUnPnl": cross,
        "availableBalance": free,
        "maxWithdrawAmount": free,
    }


def account_position(house: House, account: Account, position: Position, version: int) -> Answer:
    """Return one row of the account's positions, version 2 or 3."""
    symbol = house.symbol(position.symbol)
    mark = house.quote(position.symbol).mark
    margins = _margins(house, account, position)
    isolated = margin_type(house, account, position.symbol) == ISOLATED
    bids, asks = _resting(account, position)
    amount_text = fixed(position.qty, symbol.step_size)
    if version < _THIRD:
        return {
            "symbol": position.symbol,
            **margins,
            "leverage": str(leverage(house, account, position.symbol)),
            "isolated": isolated,
            "entryPrice": average(abs(position.cost), abs(position.qty)),
            "maxNotional": plain(largest_notional_usd(symbol, leverage(house, account, position.symbol))),
            "bidNotional": plain(bids),
            "askNotional": plain(asks),
            "positionSide": position.side,
            "positionAmt": amount_text,
            "updateTime": position.updated_ms,
        }
    wallet = position.isolated_wallet if isolated else ZERO
    return {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": amount_text,
        "unrealizedProfit": margins["unrealizedProfit"],
        "isolatedMargin": usd(wallet + position.unrealized(mark) if wallet else ZERO),
        "notional": _usd_or_0(position.qty * mark),
        "isolatedWallet": _usd_or_0(wallet),
        "initialMargin": margins["initialMargin"],
        "maintMargin": margins["maintMargin"],
        "updateTime": position.updated_ms,
    }
