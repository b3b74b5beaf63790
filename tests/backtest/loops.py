"""The account once more, hour by hour over dictionaries, written from domain.md alone: the oracle of the tests."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.clock import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.market.series import FundingRates, Market
    from engine.portfolio import Costs
    from strategies.bars import Bars
    from strategies.sleeve import Signals


@dataclass
class Booked:
    """What stood at each hour's close, and totals."""

    equity: list[float] = field(default_factory=list)
    pnl: list[dict[str, float]] = field(default_factory=list)
    qty: list[dict[str, float]] = field(default_factory=list)
    orders: int = 0
    fees: float = 0.0
    slippage: float = 0.0
    funding: float = 0.0
    assumed: int = 0


def loop_account(  # noqa: C901, PLR0912, PLR0915 - the whole account in one reading
    market: Market,
    signals: Mapping[str, Signals],
    weights: Mapping[str, float],
    costs: Costs,
    *,
    initial: float,
    start_ms: int,
    end_ms: int,
    dead_band: float,
    default_rate_8h: float,
    warmup_bars: int = 0,
    exposure: float = 1.0,
    cap: float = math.inf,
) -> Booked:
    slip, fee = costs.slippage_bps / 1e4, costs.fee_bps / 1e4
    rows = {symbol: _by_time(bars) for symbol, bars in market.bars.items()}
    marks = {symbol: _by_time(bars) for symbol, bars in market.mark.items()}
    due = {symbol: _due(market.funding.get(symbol), start_ms, end_ms) for symbol in signals}
    hours = sorted({time for symbol in signals for time in rows[symbol] if start_ms <= time < end_ms})
    waiting = {symbol: sorted(due[symbol]) for symbol in signals}
    booked = Booked()
    cash = dict.fromkeys(signals, 0.0)
    qty = dict.fromkeys(signals, 0.0)
    target_before = dict.fromkeys(signals, 0.0)
    value = dict.fromkeys(signals, 0.0)
    equity = initial
    for hour in hours:
        base = max(0.0, min(equity, cap)) * exposure
        for symbol in signals:
            while waiting[symbol] and waiting[symbol][0] <= hour:
                instant = waiting[symbol].pop(0)
                if not qty[symbol]:
                    continue
                rate, interval = due[symbol][instant]
                price = _price_at(instant, rows[symbol], marks.get(symbol, {}))
                if rate is None:
                    paid = abs(qty[symbol]) * price * default_rate_8h * interval / 8
                    booked.assumed += 1
                else:
                    paid = qty[symbol] * price * rate
                cash[symbol] -= paid
                booked.funding += paid
        for symbol in signals:
            if hour not in rows[symbol]:
                continue
            index, open_, _, _, _ = rows[symbol][hour]
            if index < max(1, warmup_bars):
                continue
            position = float(signals[symbol].position[index - 1])
            if math.isnan(position):
                continue
            target = weights[symbol] * position * base
            moved = abs(target - target_before[symbol])
            crossed = target == 0 or target * target_before[symbol] <= 0
            if target == target_before[symbol] or not (crossed or moved >= dead_band * abs(target)):
                continue
            wanted = target / float(market.bars[symbol].close[index - 1])
            change = wanted - qty[symbol]
            price = open_ * (1 + slip) if change > 0 else open_ * (1 - slip)
            cash[symbol] -= change * price + fee * abs(change) * price
            booked.fees += fee * abs(change) * price
            booked.slippage += slip * abs(change) * open_
            booked.orders += 1
            qty[symbol], target_before[symbol] = wanted, target
        for symbol in signals:
            if hour not in rows[symbol] or not qty[symbol]:
                continue
            index, open_, high, low, _ = rows[symbol][hour]
            stop = float(signals[symbol].stop_price[index])
            if math.isnan(stop):
                continue
            if qty[symbol] > 0 and low <= stop:
                reference, price = min(open_, stop), min(open_, stop) * (1 - slip)
            elif qty[symbol] < 0 and high >= stop:
                reference, price = max(open_, stop), max(open_, stop) * (1 + slip)
            else:
                continue
            cash[symbol] += qty[symbol] * price - fee * abs(qty[symbol]) * price
            booked.fees += fee * abs(qty[symbol]) * price
            booked.slippage += slip * abs(qty[symbol]) * reference
            booked.orders += 1
            qty[symbol] = target_before[symbol] = 0.0
        for symbol in signals:
            if hour in marks.get(symbol, {}):
                value[symbol] = marks[symbol][hour][4]
            elif hour in rows[symbol]:
                value[symbol] = rows[symbol][hour][4]
        booked.pnl.append({symbol: cash[symbol] + qty[symbol] * value[symbol] for symbol in signals})
        booked.qty.append(dict(qty))
        equity = initial + sum(booked.pnl[-1].values())
        booked.equity.append(equity)
    return booked


def _by_time(bars: Bars) -> dict[int, tuple[int, float, float, float, float]]:
    columns = (bars.open, bars.high, bars.low, bars.close)
    rows = zip(range(len(bars)), *(column.tolist() for column in columns), strict=True)
    return dict(zip(bars.open_time_ms.tolist(), rows, strict=True))


def _price_at(
    instant: int,
    rows: dict[int, tuple[int, float, float, float, float]],
    marks: dict[int, tuple[int, float, float, float, float]],
) -> float:
    if instant in marks:
        return marks[instant][1]
    if instant in rows:
        return rows[instant][1]
    return rows[max(time for time in rows if time < instant)][4]


def _due(recorded: FundingRates | None, start_ms: int, end_ms: int) -> dict[int, tuple[float | None, float]]:
    """Return instant -> (rate, hours): the record, and what it lacks."""
    known = {} if recorded is None else dict(zip(recorded.time_ms.tolist(), recorded.rate.tolist(), strict=True))
    times = sorted(known)
    instants: dict[int, float | None] = dict(known)
    for hour in range(start_ms - start_ms % HOUR_MS, end_ms, HOUR_MS):
        if hour in known:
            continue
        place = bisect.bisect(times, hour)
        earlier, later = times[max(0, place - 2) : place], times[place : place + 2]
        eight = 8 * HOUR_MS
        long_hole = not earlier or not later or later[0] - earlier[-1] > eight
        if hour % eight == 0 and long_hole:
            instants[hour] = None
        elif len(earlier) > 1 and len(later) > 1:
            interval = min(eight, max(earlier[-1] - earlier[-2], later[1] - later[0]))
            hole = later[0] - earlier[-1]
            if interval < eight and hole > interval and (hour - earlier[-1]) % interval == 0:
                instants[hour] = None
    ordered = sorted(instants)
    hours = {ordered[0]: 8.0} if ordered else {}
    for before, after in zip(ordered, ordered[1:], strict=False):  # noqa: RUF007 - read side by side
        hours[after] = min(8.0, (after - before) / HOUR_MS)
    return {time: (instants[time], hours[time]) for time in ordered if start_ms <= time < end_ms}
