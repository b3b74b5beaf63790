"""The endpoints that show an account: balances, positions, trades, income."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from engine.clock import DAY_MS, MINUTE_MS
from engine.simulator.answers import fill_answer, income_answer
from engine.simulator.intake import optional_symbol
from engine.simulator.money import ZERO, usd
from engine.simulator.position_answers import account_position, risk_answer, totals
from engine.simulator.refusals import refusal
from engine.simulator.trading import WEEK_MS, rows_wanted, week

if TYPE_CHECKING:
    from engine.simulator.accounts import Account, Position
    from engine.simulator.house import House
    from engine.simulator.params import Params

_OTHER_ASSETS = ("BNB", "USDC")
_ASSET_KEYS = (
    "walletBalance",
    "unrealizedProfit",
    "marginBalance",
    "maintMargin",
    "initialMargin",
    "positionInitialMargin",
    "openOrderInitialMargin",
    "crossWalletBalance",
    "crossUnPnl",
    "availableBalance",
    "maxWithdrawAmount",
)
_INCOME_ROWS, _TRADE_ROWS, _MOST_ROWS = 100, 500, 1000


def _all_positions(house: House, account: Account, symbol: str) -> list[Position]:
    """Return a position for each symbol and side that has a price, flat ones included."""
    names = [one.symbol for one in house.spec.symbols if one.symbol in house.quotes and symbol in ("", one.symbol)]
    return [account.position(name, side) for name in names for side in account.sides()]


def _busy_positions(house: House, account: Account, symbol: str) -> list[Position]:
    """Return the positions that are not flat or have orders; version 3 shows only these."""
    busy = {one.symbol for one in account.open_orders()}
    return [one for one in _all_positions(house, account, symbol) if one.qty or one.symbol in busy]


def risk_2(house: House, account: Account, params: Params) -> Any:
    """GET positionRisk v2: every symbol."""
    symbol = optional_symbol(house, params)
    return [risk_answer(house, account, one, 2) for one in _all_positions(house, account, symbol)]


def risk_3(house: House, account: Account, params: Params) -> Any:
    """GET positionRisk v3: what is held or has orders."""
    symbol = optional_symbol(house, params)
    return [risk_answer(house, account, one, 3) for one in _busy_positions(house, account, symbol)]


def balance(house: House, account: Account, _: Params) -> Any:
    """GET balance, v2 and v3."""
    sums = {key: usd(value) for key, value in totals(house, account).items()}
    keys = ("crossWalletBalance", "crossUnPnl", "availableBalance", "maxWithdrawAmount")
    alias = sha256(account.name.encode()).hexdigest()[:4]
    updated_ms = account.income[-1].at_ms if account.income else account.opened_ms
    mine = {"asset": "USDT", "balance": sums["walletBalance"], **{key: sums[key] for key in keys}}
    rows = [{"accountAlias": alias, **mine, "marginAvailable": True, "updateTime": updated_ms}]
    for asset in _OTHER_ASSETS:
        empty = {"asset": asset, "balance": usd(ZERO), **{key: usd(ZERO) for key in keys}}
        rows.append({"accountAlias": alias, **empty, "marginAvailable": True, "updateTime": 0})
    return rows


def account_2(house: House, account: Account, _: Params) -> Any:
    """GET account v2: every symbol."""
    head = {
        "feeTier": 0,
        "canTrade": account.permissions.futures,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": 0,
        "multiAssetsMargin": account.multi_assets,
        "tradeGroupId": -1,
    }
    rows = [account_position(house, account, one, 2) for one in _all_positions(house, account, "")]
    return head | _sums(house, account) | {"assets": _assets(house, account, margin_flag=True), "positions": rows}


def account_3(house: House, account: Account, _: Params) -> Any:
    """GET account v3: what is held or has orders."""
    rows = [account_position(house, account, one, 3) for one in _busy_positions(house, account, "")]
    return _sums(house, account) | {"assets": _assets(house, account, margin_flag=False), "positions": rows}


def _sums(house: House, account: Account) -> dict[str, Any]:
    sums = totals(house, account)
    kept = ("availableBalance", "maxWithdrawAmount")
    return {key if key in kept else f"total{key[0].upper()}{key[1:]}": usd(value) for key, value in sums.items()}


def _assets(house: House, account: Account, *, margin_flag: bool) -> list[dict[str, Any]]:
    sums = totals(house, account)
    flag = {"marginAvailable": True} if margin_flag else {}
    updated_ms = account.income[-1].at_ms if account.income else account.opened_ms
    rows = [{"asset": "USDT", **{key: usd(sums[key]) for key in _ASSET_KEYS}, **flag, "updateTime": updated_ms}]
    empty = {key: usd(ZERO) for key in _ASSET_KEYS}
    return [*rows, *({"asset": asset, **empty, **flag, "updateTime": 0} for asset in _OTHER_ASSETS)]


def user_trades(house: House, account: Account, params: Params) -> Any:
    """GET userTrades: from an id on, or of a week at most, oldest first."""
    symbol = house.symbol(params.need("symbol")).symbol
    limit = rows_wanted(params, _TRADE_ROWS, _MOST_ROWS)
    oldest_ms = house.now_ms - house.spec.history_days * DAY_MS
    mine = [one for one in account.fills if one.symbol == symbol and one.at_ms >= oldest_ms]
    if params.sent("orderId"):
        mine = [one for one in mine if one.order_id == params.number("orderId", 0)]
    if params.sent("fromId"):
        if params.sent("startTime") or params.sent("endTime"):
            raise refusal(-1128)
        first = params.number("fromId", 0)
        return [fill_answer(house, one) for one in mine if one.trade_id >= first][:limit]
    start_ms, end_ms = week(house, params)
    mine = [one for one in mine if start_ms <= one.at_ms <= end_ms]
    return [fill_answer(house, one) for one in (mine[:limit] if params.sent("startTime") else mine[-limit:])]


def income(house: House, account: Account, params: Params) -> Any:
    """GET income: of the last week where no range is named, oldest first."""
    start_ms = params.number("startTime", house.now_ms - WEEK_MS if not params.sent("endTime") else 0)
    start_ms = max(start_ms, house.now_ms - house.spec.history_days * DAY_MS)
    # a settlement's stamp may lie milliseconds ahead
    end_ms = params.number("endTime", house.now_ms + MINUTE_MS)
    symbol, kind = params.text("symbol"), params.text("incomeType")
    mine = [one for one in account.income if start_ms <= one.at_ms <= end_ms]
    mine = [one for one in mine if symbol in ("", one.symbol) and kind in ("", one.kind)]
    limit, page = rows_wanted(params, _INCOME_ROWS, _MOST_ROWS), max(params.number("page", 1), 1)
    return [income_answer(one) for one in mine[(page - 1) * limit : page * limit]]
