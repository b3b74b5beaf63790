"""Hourly bars as the venue writes them: closed ones as recorded, the running one as far as it has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import HOUR_MS, hour_start
from engine.simulator.money import decimals_of
from engine.simulator.refusals import refusal
from engine.simulator.trading import rows_wanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from engine.simulator.house import House, Quote
    from engine.simulator.params import Params
    from engine.simulator.prices import PriceSource
    from engine.simulator.specs import SymbolSpec
    from strategies.bars import Bars

_KLINE_ROWS, _MOST_KLINES = 500, 1500


def klines(house: House, prices: PriceSource, params: Params) -> Any:
    """GET klines: hourly bars of the last price, the running one last."""
    return _klines(house, prices, params, mark=False)


def mark_klines(house: House, prices: PriceSource, params: Params) -> Any:
    """GET markPriceKlines; where no mark prices are known, the last price's bars."""
    return _klines(house, prices, params, mark=True)


def _klines(house: House, prices: PriceSource, params: Params, *, mark: bool) -> Any:
    symbol = house.symbol(params.need("symbol"))
    if params.need("interval") != "1h":
        raise refusal(-1120)
    limit = rows_wanted(params, _KLINE_ROWS, _MOST_KLINES)
    bars = (prices.bars(symbol.symbol, mark=True) if mark else None) or prices.bars(symbol.symbol)
    end_ms = min(params.number("endTime", house.now_ms), house.now_ms)
    if bars is None:
        return []
    closed = int(np.searchsorted(bars.open_time_ms, house.now_ms - HOUR_MS, side="right"))
    stop = min(closed, int(np.searchsorted(bars.open_time_ms, end_ms, side="right")))
    running = _running(house, prices, symbol, mark=mark)
    start = 0
    if params.sent("startTime"):
        start = int(np.searchsorted(bars.open_time_ms, params.number("startTime", 0)))
        rows = _rows(bars.part(start, max(start, min(stop, start + limit))), symbol, mark=mark)
    else:
        rows = _rows(bars.part(max(start, stop - limit), stop), symbol, mark=mark)
    if running and params.number("startTime", 0) <= running[0] <= end_ms and (not rows or rows[-1][0] < running[0]):
        rows = [*rows, running]
    return rows[:limit] if params.sent("startTime") else rows[-limit:]


def _rows(bars: Bars, symbol: SymbolSpec, *, mark: bool) -> list[list[Any]]:
    """Return closed bars as the venue writes them; every number reads back as the very float it came from."""
    price = price_writer(symbol, mark=mark)
    columns = (bars.open_time_ms, bars.open, bars.high, bars.low, bars.close, bars.volume)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        _kline(at_ms, [price(one) for one in four], 0.0 if mark else volume, symbol) for at_ms, *four, volume in rows
    ]


def _kline(open_ms: int, prices: list[str], volume: float, symbol: SymbolSpec) -> list[Any]:
    bought = written(volume * float(prices[-1]), 5)
    base = written(volume, symbol.qty_decimals)
    return [open_ms, *prices, base, open_ms + HOUR_MS - 1, bought, 60, "0", "0", "0"]


def price_writer(symbol: SymbolSpec, *, mark: bool) -> Callable[[float], str]:
    """Return how a symbol's prices are written: the last price on the tick's decimals, the mark price on 8."""
    decimals = 8 if mark else decimals_of(symbol.tick_size)
    return lambda price: written(price, decimals)


def written(value: float, decimals: int) -> str:
    """Return `value` with so many decimals, with more where it would not read back as itself."""
    text = f"{value:.{decimals}f}"
    return text if float(text) == value else repr(value)


def _running(house: House, prices: PriceSource, symbol: SymbolSpec, *, mark: bool) -> list[Any] | None:
    """Return the hour that is not over yet, None where nothing was traded in it."""
    quote = house.quotes.get(symbol.symbol)
    if quote is None or quote.bar_open_ms != hour_start(house.now_ms):
        return None
    price = price_writer(symbol, mark=mark)
    volume = 0.0 if mark else volume_so_far(prices, symbol.symbol, quote.bar_open_ms, house.now_ms)
    return _kline(quote.bar_open_ms, [price(float(one)) for one in running_prices(quote, mark=mark)], volume, symbol)


def running_prices(quote: Quote, *, mark: bool) -> tuple[Decimal, ...]:
    """Return open, high, low and the present price of the running hour."""
    if mark:
        return quote.mark_open, quote.mark_high, quote.mark_low, quote.mark
    return quote.open, quote.high, quote.low, quote.last


def volume_so_far(prices: PriceSource, symbol: str, open_ms: int, at_ms: int) -> float:
    """Return the part of the running bar's volume that the time passed stands for; 0 where it is not known."""
    row = bar_row(prices, symbol, open_ms)
    bars = prices.bars(symbol)
    if row is None or bars is None:
        return 0.0
    return round(float(bars.volume[row]) * (at_ms - open_ms) / HOUR_MS, 3)


def bar_row(prices: PriceSource, symbol: str, open_ms: int) -> int | None:
    """Return where the bar that opened at `open_ms` stands, None where it is not known."""
    bars = prices.bars(symbol)
    if bars is None:
        return None
    row = int(np.searchsorted(bars.open_time_ms, open_ms))
    return row if row < len(bars) and int(bars.open_time_ms[row]) == open_ms else None
