"""Prices out of a `Market`: recorded or synthetic bars walked along a path, funding at the recorded settlements."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from engine.clock import HOUR_MS, hour_start
from engine.market.series import FundingRates
from engine.simulator.path import LEGS, PathSettings, corners, decimals_of, exact, price_at, steps
from engine.simulator.prices import BarClose, PriceEvent, Settlement, Tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.market.series import Market
    from engine.simulator.path import Step
    from strategies.bars import Bars, IntArray

USUAL_SETTLEMENT_MS = 8 * HOUR_MS
USUAL_RATE = 1e-4

_HOURS_KEPT = 4

_Hour = tuple[list[int], list[list[PriceEvent]]]


class RecordedPrices:
    """A market walked bar by bar; the same market, settings and seed give the same ticks, wherever one starts.

    Args:
        market: hourly bars; mark prices and funding where there are any. Where mark prices are missing the last price
            stands in. Before and after a symbol's recorded settlements funding is 1 bps at 00, 08 and 16 UTC.
        settings: how finely a bar is walked.
        seed: for the places of the ticks between the corners.
    """

    def __init__(self, market: Market, settings: PathSettings | None = None, *, seed: int) -> None:
        self._market = market
        self._settings = settings or PathSettings()
        self._seed = seed
        self._rows = {symbol: _rows(bars) for symbol, bars in market.bars.items()}
        self._mark_rows = {symbol: _rows(bars) for symbol, bars in market.mark.items()}
        self._settled = {symbol: _settlements(bars, market.funding.get(symbol)) for symbol, bars in market.bars.items()}
        opens = [bars.open_time_ms for bars in market.bars.values()]
        instants = [*opens, *(times + HOUR_MS for times in opens)]
        instants += [_within(rates.time_ms, market.bars[symbol]) for symbol, rates in self._settled.items()]
        self._hours: list[int] = np.unique(np.concatenate(instants)).tolist() if instants else []
        self._cache: dict[int, _Hour] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that have bars."""
        return self._market.symbols

    def next_ms(self, after_ms: int) -> int | None:
        """Return the first instant after `after_ms` at which anything happens."""
        at = bisect_right(self._hours, after_ms)
        if at > 0:
            times, _ = self._hour(self._hours[at - 1])
            place = bisect_right(times, after_ms)
            if place < len(times):
                return times[place]
        return self._hours[at] if at < len(self._hours) else None

    def at(self, at_ms: int) -> Sequence[PriceEvent]:
        """Return what happens at that instant."""
        times, events = self._hour(hour_start(at_ms))
        place = bisect_right(times, at_ms) - 1
        return events[place] if place >= 0 and times[place] == at_ms else ()

    def latest(self, symbol: str, at_ms: int) -> Tick | None:
        """Return the last tick at or before `at_ms`."""
        bars = self._market.bars.get(symbol)
        row = -1 if bars is None else int(np.searchsorted(bars.open_time_ms, at_ms, side="right")) - 1
        if bars is None or row < 0:
            return None
        times, events = self._hour(int(bars.open_time_ms[row]))
        ticks = [one for moment in events[: bisect_right(times, at_ms)] for one in moment]
        return next(one for one in reversed(ticks) if isinstance(one, Tick) and one.symbol == symbol)

    def bars(self, symbol: str, *, mark: bool = False) -> Bars | None:
        """Return the symbol's hourly bars, future ones included."""
        return (self._market.mark if mark else self._market.bars).get(symbol)

    def funding(self, symbol: str) -> FundingRates | None:
        """Return the symbol's settlements, recorded and usual, future ones included."""
        return self._settled.get(symbol)

    def next_settlement_ms(self, symbol: str, after_ms: int) -> int:
        """Return when funding is settled next: as recorded, else at 00, 08 or 16 UTC."""
        usual_ms = (after_ms // USUAL_SETTLEMENT_MS + 1) * USUAL_SETTLEMENT_MS
        rates = self._settled.get(symbol)
        if rates is None or not len(rates) or after_ms < int(rates.time_ms[0]) - USUAL_SETTLEMENT_MS:
            return usual_ms
        row = int(np.searchsorted(rates.time_ms, after_ms, side="right"))
        return int(rates.time_ms[row]) if row < len(rates) else usual_ms

    def _hour(self, open_ms: int) -> _Hour:
        """Return the hour's instants and what happens at each; an hour without anything is empty."""
        found = self._cache.get(open_ms)
        if found is None:
            found = self._cache[open_ms] = self._walked(open_ms)
            if len(self._cache) > _HOURS_KEPT:
                del self._cache[next(iter(self._cache))]
        return found

    def _walked(self, open_ms: int) -> _Hour:
        """Return the events of the hour that opens at `open_ms`."""
        moments: dict[int, list[PriceEvent]] = {}
        first = moments.setdefault(open_ms, [])
        rng = np.random.default_rng([self._seed, open_ms])
        draws = rng.random(LEGS * self._settings.between).tolist()
        path = steps(self._settings, draws)
        for symbol, rows in self._rows.items():
            if open_ms - HOUR_MS in rows:
                first.append(BarClose(open_ms, symbol, open_ms - HOUR_MS))
        for symbol, rows in self._rows.items():
            if open_ms in rows:
                for tick in self._ticks(symbol, open_ms, path):
                    moments.setdefault(tick.at_ms, []).append(tick)
        for symbol, rates in self._settled.items():
            row = int(np.searchsorted(rates.time_ms, open_ms))
            if row < len(rates) and int(rates.time_ms[row]) == open_ms:
                first.append(Settlement(open_ms, symbol, exact(float(rates.rate[row]))))
        times = sorted(at_ms for at_ms, events in moments.items() if events)
        return times, [moments[at_ms] for at_ms in times]

    def _ticks(self, symbol: str, open_ms: int, path: tuple[Step, ...]) -> list[Tick]:
        """Return one symbol's ticks of an hour."""
        row = _row(self._market.bars[symbol], self._rows[symbol][open_ms])
        low_first = self._low_first(symbol, open_ms, row)
        last = corners(*row, low_first=low_first)
        mark_rows = self._mark_rows.get(symbol, {})
        mark = last
        if open_ms in mark_rows:
            mark = corners(*_row(self._market.mark[symbol], mark_rows[open_ms]), low_first=low_first)
        fine, mark_fine = decimals_of(last), decimals_of(mark)
        return [
            Tick(
                open_ms + step.offset_ms,
                symbol,
                price_at(last, step, fine),
                price_at(mark, step, mark_fine),
                step.offset_ms == 0,
            )
            for step in path
        ]

    def _low_first(self, symbol: str, open_ms: int, row: tuple[float, float, float, float]) -> bool:
        if self._settings.order == "direction":
            return row[3] >= row[0]
        return bool(np.random.default_rng([self._seed, open_ms, crc32(symbol.encode())]).integers(2))


def _rows(bars: Bars) -> dict[int, int]:
    """Return the position of each bar by its open time."""
    return {open_ms: row for row, open_ms in enumerate(bars.open_time_ms.tolist())}


def _row(bars: Bars, at: int) -> tuple[float, float, float, float]:
    return float(bars.open[at]), float(bars.high[at]), float(bars.low[at]), float(bars.close[at])


def _settlements(bars: Bars, recorded: FundingRates | None) -> FundingRates:
    """Return the recorded settlements, and the usual ones between the bars' ends where nothing is recorded."""
    known_ms = np.empty(0, dtype=np.int64) if recorded is None else recorded.time_ms
    known = np.empty(0) if recorded is None else recorded.rate
    start_ms, end_ms = (int(bars.open_time_ms[0]), int(bars.open_time_ms[-1]) + HOUR_MS) if len(bars) else (0, -1)
    first_ms = -(-start_ms // USUAL_SETTLEMENT_MS) * USUAL_SETTLEMENT_MS
    usual = np.arange(first_ms, max(end_ms + 1, first_ms), USUAL_SETTLEMENT_MS, dtype=np.int64)
    if len(known_ms):
        usual = usual[(usual < known_ms[0]) | (usual > known_ms[-1])]
    times = np.concatenate([known_ms, usual])
    rates = np.concatenate([known, np.full(len(usual), USUAL_RATE)])
    order = np.argsort(times, kind="stable")
    return FundingRates(bars.symbol, times[order], rates[order])


def _within(times_ms: IntArray, bars: Bars) -> IntArray:
    """Return the instants from the first bar's open to the last bar's close."""
    if not len(bars):
        return times_ms[:0]
    inside: IntArray = times_ms[(times_ms >= bars.open_time_ms[0]) & (times_ms <= bars.open_time_ms[-1] + HOUR_MS)]
    return inside
