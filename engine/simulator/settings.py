"""The endpoints of an account's settings: modes, leverage, margin type, tiers, fees, listen keys, permissions."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from engine.clock import MINUTE_MS
from engine.simulator.accounts import CROSSED, ISOLATED
from engine.simulator.events import leverage_update, listen_key_expired, multi_assets_update
from engine.simulator.intake import optional_symbol
from engine.simulator.margins import largest_notional_usd, leverage, margin_type
from engine.simulator.money import BPS, plain
from engine.simulator.refusals import refusal

if TYPE_CHECKING:
    from engine.simulator.accounts import Account
    from engine.simulator.house import House
    from engine.simulator.params import Params
    from engine.simulator.specs import SymbolSpec

_SUCCESS = {"code": 200, "msg": "success"}


def symbol_config(house: House, account: Account, params: Params) -> Any:
    """GET symbolConfig."""
    symbol = optional_symbol(house, params)
    return [
        {
            "symbol": one.symbol,
            "marginType": margin_type(house, account, one.symbol),
            "isAutoAddMargin": "false",
            "leverage": leverage(house, account, one.symbol),
            "maxNotionalValue": plain(largest_notional_usd(one, leverage(house, account, one.symbol))),
        }
        for one in house.spec.symbols
        if symbol in ("", one.symbol)
    ]


def account_config(_: House, account: Account, __: Params) -> Any:
    """GET accountConfig."""
    return {
        "feeTier": 0,
        "canTrade": account.permissions.futures,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": account.hedge_mode,
        "updateTime": 0,
        "multiAssetsMargin": account.multi_assets,
        "tradeGroupId": -1,
    }


def position_mode(_: House, account: Account, __: Params) -> Any:
    """GET positionSide/dual."""
    return {"dualSidePosition": account.hedge_mode}


def set_position_mode(_: House, account: Account, params: Params) -> Any:
    """POST positionSide/dual."""
    params.need("dualSidePosition")
    wanted = params.flag("dualSidePosition")
    if wanted == account.hedge_mode:
        raise refusal(-4059)
    if account.open_orders() or account.open_algos():
        raise refusal(-4067)
    if account.held():
        raise refusal(-4068)
    account.hedge_mode = wanted
    return dict(_SUCCESS)


def multi_assets(_: House, account: Account, __: Params) -> Any:
    """GET multiAssetsMargin."""
    return {"multiAssetsMargin": account.multi_assets}


def set_multi_assets(house: House, account: Account, params: Params) -> Any:
    """POST multiAssetsMargin."""
    params.need("multiAssetsMargin")
    wanted = params.flag("multiAssetsMargin")
    if wanted == account.multi_assets:
        raise refusal(-4171)
    account.multi_assets = wanted
    multi_assets_update(house, account)
    return dict(_SUCCESS)


def set_leverage(house: House, account: Account, params: Params) -> Any:
    """POST leverage."""
    symbol = house.symbol(params.need("symbol"))
    params.need("leverage")
    wanted = params.number("leverage", 0)
    if not 1 <= wanted <= symbol.brackets[0].leverage:
        raise refusal(-4028, wanted)
    lower = wanted < leverage(house, account, symbol.symbol)
    isolated = margin_type(house, account, symbol.symbol) == ISOLATED
    if lower and isolated and account.held(symbol.symbol):
        raise refusal(-4161)
    account.leverage[symbol.symbol] = wanted
    leverage_update(house, account, symbol.symbol, wanted)
    largest = plain(largest_notional_usd(symbol, wanted))
    return {"leverage": wanted, "maxNotionalValue": largest, "symbol": symbol.symbol}


def set_margin_type(house: House, account: Account, params: Params) -> Any:
    """POST marginType."""
    symbol = house.symbol(params.need("symbol")).symbol
    wanted = params.need("marginType").upper()
    if wanted not in (ISOLATED, CROSSED):
        raise refusal(-1130, "marginType")
    if wanted == margin_type(house, account, symbol):
        raise refusal(-4046)
    if account.open_orders(symbol) or account.open_algos(symbol):
        raise refusal(-4047)
    if account.held(symbol):
        raise refusal(-4048)
    account.margin_type[symbol] = wanted
    return dict(_SUCCESS)


def brackets(house: House, _: Account, params: Params) -> Any:
    """GET leverageBracket."""
    symbol = optional_symbol(house, params)
    return [_brackets(one) for one in house.spec.symbols if symbol in ("", one.symbol)]


def _brackets(symbol: SymbolSpec) -> dict[str, Any]:
    return {
        "symbol": symbol.symbol,
        "notionalCoef": 1.0,
        "brackets": [
            {
                "bracket": number,
                "initialLeverage": tier.leverage,
                "notionalCap": int(tier.cap_usd),
                "notionalFloor": int(tier.floor_usd),
                "maintMarginRatio": float(tier.maint_ratio),
                "cum": float(tier.cum_usd),
            }
            for number, tier in enumerate(symbol.brackets, start=1)
        ],
    }


def commission_rate(house: House, _: Account, params: Params) -> Any:
    """GET commissionRate."""
    return {
        "symbol": house.symbol(params.need("symbol")).symbol,
        "makerCommissionRate": plain(house.spec.maker_fee_bps * BPS),
        "takerCommissionRate": plain(house.spec.taker_fee_bps * BPS),
    }


def open_listen_key(house: House, account: Account, _: Params) -> Any:
    """POST listenKey: a new one, or the one that is valid, prolonged."""
    if not account.listen_key:
        house.numbers.key += 1
        account.listen_key = sha256(f"{house.seed}/{account.name}/{house.numbers.key}".encode()).hexdigest()
    _prolong(house, account)
    return {"listenKey": account.listen_key}


def keep_listen_key(house: House, account: Account, _: Params) -> Any:
    """PUT listenKey."""
    if not account.listen_key:
        raise refusal(-1125)
    _prolong(house, account)
    return {}


def close_listen_key(_: House, account: Account, __: Params) -> Any:
    """DELETE listenKey."""
    account.listen_key = ""
    return {}


def _prolong(house: House, account: Account) -> None:
    account.listen_key_until_ms = house.now_ms + house.spec.listen_key_minutes * MINUTE_MS


def expire_listen_key(house: House, account: Account) -> None:
    """End a listen key and say so."""
    if account.listen_key:
        listen_key_expired(house, account, account.listen_key)
        account.listen_key = ""


def permissions(_: House, account: Account, __: Params) -> Any:
    """GET sapi account/apiRestrictions."""
    may = account.permissions
    return {
        "ipRestrict": may.ip_restricted,
        "createTime": account.opened_ms,
        "enableReading": may.reading,
        "enableWithdrawals": may.withdrawals,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": may.futures,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": True,
        "enableSpotAndMarginTrading": False,
        "enablePortfolioMarginTrading": False,
    }
