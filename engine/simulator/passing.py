"""What happens at one instant: bars close, timers run out, prices move, funding settles, orders match."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from engine.simulator.algo import fill_reference, trigger, working_price
from engine.simulator.events import kline_message, mark_message
from engine.simulator.house import MarketEvent, Quote
from engine.simulator.klines import bar_row, price_writer, running_prices, volume_so_far, written
from engine.simulator.matching import reaches, settle_due, touch
from engine.simulator.orders import AlgoOrder
from engine.simulator.prices import BarClose, PriceSource, Settlement, Tick
from engine.simulator.settings import expire_listen_key
from engine.simulator.settling import guard_margins, settle_funding
from engine.simulator.trading import run_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from engine.simulator.accounts import Account
    from engine.simulator.house import House
    from engine.simulator.orders import Order
    from engine.simulator.specs import SymbolSpec


def next_due_ms(house: House, prices: PriceSource) -> int | None:
    """Return the next instant, after now, at which anything happens."""
    due = [one.at_ms for one in house.dues]
    for account in house.accounts.values():
        due += account.countdowns.values()
        if account.listen_key:
            due.append(account.listen_key_until_ms)
    prices_ms = prices.next_ms(house.now_ms)
    if prices_ms is not None:
        due.append(prices_ms)
    return min(due, default=None)


def happen(house: House, prices: PriceSource) -> list[MarketEvent]:
    """Do everything of this instant and return what the public streams say.

    Funding is settled on the positions that were held before any order of the instant fills, at the mark price of the
    instant.
    """
    said: list[MarketEvent] = []
    events = [event for event in prices.at(house.now_ms) if house.spec.symbol(event.symbol) is not None]
    said += [_closed_bar(house, prices, event) for event in events if isinstance(event, BarClose)]
    _run_timers(house)
    moved = [(tick, _move(house, tick)) for tick in events if isinstance(tick, Tick)]
    for tick, _ in moved:
        said += current_events(house, prices, tick.symbol)
    for event in events:
        if isinstance(event, Settlement):
            settle_funding(house, event)
    for tick, before in moved:
        _match(house, tick, before)
    for due in [one for one in house.dues if one.at_ms <= house.now_ms]:
        if due in house.dues:
            house.dues.remove(due)
            settle_due(house, due)
    return said


def _run_timers(house: House) -> None:
    for account in house.accounts.values():
        if account.listen_key and account.listen_key_until_ms <= house.now_ms:
            expire_listen_key(house, account)
        for symbol in [name for name, end_ms in account.countdowns.items() if end_ms <= house.now_ms]:
            run_out(house, account, symbol)


def _move(house: House, tick: Tick) -> Decimal:
    """Take a tick and return the last price before it."""
    quote = house.quotes.get(tick.symbol)
    if quote is None:
        house.quotes[tick.symbol] = Quote.first(tick)
        return tick.last
    before = quote.last
    quote.move(tick)
    return before


def _match(house: House, tick: Tick, before: Decimal) -> None:
    """Let orders meet a tick, in the order in which the price came by them.

    Where the price jumped, liquidation comes before stops too: nobody could have traded on the way.
    """
    if tick.jump:
        guard_margins(house, tick.symbol)
    for account in house.accounts.values():
        if not account.open_ids and not account.open_algo_ids:
            continue
        reached: list[tuple[Decimal, AlgoOrder | Order]] = [
            (abs(fill_reference(one, tick.last, jump=tick.jump) - before), one)
            for one in account.open_algos(tick.symbol)
            if one.reached(working_price(house, one))
        ]
        resting = (one for one in account.open_orders(tick.symbol) if reaches(one, tick.last))
        reached += [(abs(one.price - before), one) for one in resting]
        for _, one in sorted(reached, key=lambda pair: pair[0]):
            _meet(house, account, one, tick)
    guard_margins(house, tick.symbol)


def _meet(house: House, account: Account, one: AlgoOrder | Order, tick: Tick) -> None:
    if not one.is_open:
        return
    if isinstance(one, AlgoOrder):
        trigger(house, account, one, fill_reference(one, tick.last, jump=tick.jump))
    else:
        touch(house, account, one, tick.last)


def _closed_bar(house: House, prices: PriceSource, event: BarClose) -> MarketEvent:
    row = partial(_closed_message, house, prices, house.now_ms, event)
    return MarketEvent("kline", event.symbol, house.now_ms, row)


def _closed_message(house: House, prices: PriceSource, at_ms: int, event: BarClose) -> dict[str, Any]:
    row = bar_row(prices, event.symbol, event.open_ms)
    bars = prices.bars(event.symbol)
    assert row is not None
    assert bars is not None
    symbol = house.symbol(event.symbol)
    price = price_writer(symbol, mark=False)
    texts = [price(float(column[row])) for column in (bars.open, bars.high, bars.low, bars.close)]
    volume = written(float(bars.volume[row]), symbol.qty_decimals)
    return kline_message(event.symbol, at_ms, event.open_ms, texts, volume, closed=True)


def current_events(house: House, prices: PriceSource, symbol: str) -> list[MarketEvent]:
    """Return the running kline and the mark price of a symbol as of now; nothing of one without prices."""
    quote, spec = house.quotes.get(symbol), house.spec.symbol(symbol)
    if quote is None or spec is None:
        return []
    now_ms = house.now_ms
    running = partial(_running_message, prices, spec, now_ms, quote.bar_open_ms, running_prices(quote, mark=False))
    mark = partial(_mark_message, prices, symbol, now_ms, quote.mark, quote.rate)
    return [MarketEvent("kline", symbol, now_ms, running), MarketEvent("markPrice", symbol, now_ms, mark)]


def _running_message(
    prices: PriceSource, spec: SymbolSpec, at_ms: int, open_ms: int, ohlc: Sequence[Decimal]
) -> dict[str, Any]:
    price = price_writer(spec, mark=False)
    texts = [price(float(one)) for one in ohlc]
    volume = written(volume_so_far(prices, spec.symbol, open_ms, at_ms), spec.qty_decimals)
    return kline_message(spec.symbol, at_ms, open_ms, texts, volume, closed=False)


def _mark_message(prices: PriceSource, symbol: str, at_ms: int, mark: Decimal, rate: Decimal) -> dict[str, Any]:
    return mark_message(symbol, at_ms, mark, rate, prices.next_settlement_ms(symbol, at_ms))
