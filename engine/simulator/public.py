"""The endpoints that need no key: time, symbols, prices, bars, funding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import HOUR_MS
from engine.simulator.intake import LIMIT_TIFS
from engine.simulator.matching import best_prices
from engine.simulator.money import fixed, plain
from engine.simulator.settling import funding_jitter_ms
from engine.simulator.trading import rows_wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.simulator.house import House
    from engine.simulator.params import Params
    from engine.simulator.prices import PriceSource
    from engine.simulator.specs import SymbolSpec

_FUNDING_ROWS, _MOST_FUNDING = 100, 1000
_BOOK_QTY = 1000
WEIGHT_A_MINUTE, ORDERS_A_MINUTE, ORDERS_IN_10_S = 2400, 1200, 300
_DELIVERY_MS = 4_133_404_800_000


def ping(_: House, __: PriceSource, ___: Params) -> Any:
    """GET ping."""
    return {}


def server_time(house: House, _: PriceSource, __: Params) -> Any:
    """GET time."""
    return {"serverTime": house.now_ms}


def exchange_info(house: House, _: PriceSource, __: Params) -> Any:
    """GET exchangeInfo."""
    limits = (
        ("REQUEST_WEIGHT", "MINUTE", 1, WEIGHT_A_MINUTE),
        ("ORDERS", "MINUTE", 1, ORDERS_A_MINUTE),
        ("ORDERS", "SECOND", 10, ORDERS_IN_10_S),
    )
    return {
        "timezone": "UTC",
        "serverTime": house.now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}
            for kind, interval, count, limit in limits
        ],
        "exchangeFilters": [],
        "assets": [
            {"asset": asset, "marginAvailable": True, "autoAssetExchange": floor}
            for asset, floor in (("USDT", "-10000"), ("USDC", "-10000"), ("BNB", "0"))
        ],
        "symbols": [_symbol_info(one) for one in house.spec.symbols],
    }


def _symbol_info(symbol: SymbolSpec) -> dict[str, Any]:
    tick, step = symbol.tick_size, symbol.step_size
    lot = {"stepSize": plain(step), "minQty": plain(symbol.min_qty)}
    band = {"multiplierUp": f"{symbol.price_up_ratio:.4f}", "multiplierDown": f"{symbol.price_down_ratio:.4f}"}
    prices = {"minPrice": plain(symbol.min_price), "maxPrice": plain(symbol.max_price), "tickSize": plain(tick)}
    return {
        "symbol": symbol.symbol,
        "pair": symbol.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": _DELIVERY_MS,
        "onboardDate": symbol.onboard_ms,
        "status": symbol.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": symbol.base_asset,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": symbol.price_decimals,
        "quantityPrecision": symbol.qty_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": f"{symbol.liquidation_fee_ratio:.6f}",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            {"filterType": "PRICE_FILTER", **prices},
            {"filterType": "LOT_SIZE", "maxQty": plain(symbol.max_qty), **lot},
            {"filterType": "MARKET_LOT_SIZE", "maxQty": plain(symbol.market_max_qty), **lot},
            {"filterType": "MAX_NUM_ORDERS", "limit": symbol.max_orders},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": symbol.max_algo_orders},
            {"filterType": "MIN_NOTIONAL", "notional": plain(symbol.min_notional_usd)},
            {"filterType": "PERCENT_PRICE", **band, "multiplierDecimal": "4"},
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        "orderTypes": [
            "LIMIT",
            "MARKET",
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ],
        "timeInForce": [*LIMIT_TIFS, "GTD"],
        "permissionSets": ["GRID", "COPY"],
    }


def _one_or_all(house: House, params: Params, show: Callable[[str], dict[str, Any]]) -> Any:
    """Answer for the symbol that is asked for, else for all that have a price."""
    if params.sent("symbol"):
        symbol = house.symbol(params.need("symbol")).symbol
        house.quote(symbol)
        return show(symbol)
    return [show(one.symbol) for one in house.spec.symbols if one.symbol in house.quotes]


def premium_index(house: House, prices: PriceSource, params: Params) -> Any:
    """GET premiumIndex; the rate is the last one settled, the index stands at the mark price."""

    def show(symbol: str) -> dict[str, Any]:
        quote = house.quote(symbol)
        mark = f"{quote.mark:.8f}"
        return {
            "symbol": symbol,
            "markPrice": mark,
            "indexPrice": mark,
            "estimatedSettlePrice": mark,
            "lastFundingRate": f"{quote.rate:.8f}",
            "interestRate": "0.00010000",
            "nextFundingTime": prices.next_settlement_ms(symbol, house.now_ms),
            "time": house.now_ms,
        }

    return _one_or_all(house, params, show)


def ticker_price(house: House, _: PriceSource, params: Params) -> Any:
    """GET ticker/price."""

    def show(symbol: str) -> dict[str, Any]:
        quote = house.quote(symbol)
        return {"symbol": symbol, "price": fixed(quote.last, house.symbol(symbol).tick_size), "time": quote.at_ms}

    return _one_or_all(house, params, show)


def book_ticker(house: House, _: PriceSource, params: Params) -> Any:
    """GET ticker/bookTicker: one tick on either side of the last price."""

    def show(symbol: str) -> dict[str, Any]:
        spec, quote = house.symbol(symbol), house.quote(symbol)
        bid, ask = best_prices(house, symbol)
        qty = fixed(spec.min_qty * _BOOK_QTY, spec.step_size)
        sides = {"bidPrice": fixed(bid, spec.tick_size), "bidQty": qty}
        sides |= {"askPrice": fixed(ask, spec.tick_size), "askQty": qty}
        return {"lastUpdateId": quote.at_ms, "symbol": symbol, **sides, "time": quote.at_ms}

    return _one_or_all(house, params, show)


def funding_rate(house: House, prices: PriceSource, params: Params) -> Any:
    """GET fundingRate: settlements so far, oldest first."""
    limit = rows_wanted(params, _FUNDING_ROWS, _MOST_FUNDING)
    end_ms = min(params.number("endTime", house.now_ms), house.now_ms)
    names = [house.symbol(params.need("symbol")).symbol] if params.sent("symbol") else list(prices.symbols)
    rows = [row for name in names for row in _settled(house, prices, name, params.number("startTime", 0), end_ms)]
    rows.sort(key=lambda row: int(row["fundingTime"]))
    return rows[:limit] if params.sent("startTime") else rows[-limit:]


def _settled(house: House, prices: PriceSource, symbol: str, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    rates = prices.funding(symbol)
    if rates is None:
        return []
    first, stop = (int(np.searchsorted(rates.time_ms, edge)) for edge in (start_ms - HOUR_MS, end_ms + 1))
    rows = []
    for at in range(first, stop):
        at_ms = int(rates.time_ms[at])
        stamp_ms = at_ms + funding_jitter_ms(house, symbol, at_ms)
        if stamp_ms >= start_ms:
            row = {"symbol": symbol, "fundingTime": stamp_ms, "fundingRate": f"{float(rates.rate[at]):.8f}"}
            rows.append(row | {"markPrice": _mark_at(prices, symbol, at_ms)})
    return rows


def _mark_at(prices: PriceSource, symbol: str, at_ms: int) -> str:
    """Return the mark price at which a settlement was booked: the open of its hour; empty where it is not known."""
    bars = prices.bars(symbol, mark=True) or prices.bars(symbol)
    if bars is None:
        return ""
    row = int(np.searchsorted(bars.open_time_ms, at_ms))
    known = row < len(bars) and int(bars.open_time_ms[row]) == at_ms
    return f"{float(bars.open[row]):.8f}" if known else ""


def funding_info(house: House, _: PriceSource, __: Params) -> Any:
    """GET fundingInfo."""
    return [
        {
            "symbol": one.symbol,
            "adjustedFundingRateCap": "0.02000000",
            "adjustedFundingRateFloor": "-0.02000000",
            "fundingIntervalHours": one.funding_hours,
            "disclaimer": False,
            "updateTime": one.onboard_ms,
        }
        for one in house.spec.symbols
    ]
