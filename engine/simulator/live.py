"""Prices that a feed pushes in as they come: paper trading on the venue's public data."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import HOUR_MS, hour_start
from engine.market.series import FundingRates, Market
from engine.simulator.path import exact
from engine.simulator.prices import BarClose, PriceEvent, Settlement, Tick
from engine.simulator.recorded import USUAL_SETTLEMENT_MS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from strategies.bars import Bars


class LivePrices:
    """A queue of what a feed saw, with the bars and settlements so far.

    Whoever feeds it calls `push`, `append_bar` and `settle`, then `Exchange.advance`. What is stamped before the
    exchange's time happens at once: time never goes back.

    Args:
        market: history to begin with; it is not changed.
        interval_ms: of funding settlements, for the announced time of the next one.
    """

    def __init__(self, market: Market, interval_ms: int = USUAL_SETTLEMENT_MS) -> None:
        self._bars = dict(market.bars)
        self._mark = dict(market.mark)
        self._funding = dict(market.funding)
        self._interval_ms = interval_ms
        self._queue: deque[PriceEvent] = deque()
        self._ticks: dict[str, Tick] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that have bars."""
        return tuple(self._bars)

    def push(self, at_ms: int, symbol: str, last: Decimal, mark: Decimal) -> None:
        """Take a price that the feed saw."""
        self._queue.append(Tick(at_ms, symbol, last, mark, jump=True))

    def append_bar(self, at_ms: int, symbol: str, bar: Bars, *, mark: bool = False) -> None:
        """Take bars (one row or several) that were closed when they came; rows that are known already are dropped."""
        known = (self._mark if mark else self._bars).get(symbol)
        fresh = bar if known is None or not len(known) else bar.part(_after(bar, int(known.open_time_ms[-1])), len(bar))
        if not len(fresh):
            return
        (self._mark if mark else self._bars)[symbol] = fresh if known is None else known.joined(fresh)
        if not mark:
            self._queue.extend(BarClose(at_ms, symbol, open_ms) for open_ms in fresh.open_time_ms.tolist())

    def settle(self, at_ms: int, symbol: str, rate: Decimal, *, hour_ms: int | None = None) -> None:
        """Take a settlement that came at `at_ms`; it is recorded under `hour_ms`, or the hour in which it came.

        One that is not later than the last known settlement is dropped: it was paid already.
        """
        known = self._funding.get(symbol)
        settled_ms = hour_start(at_ms) if hour_ms is None else hour_ms
        times, rates = np.array([settled_ms], dtype=np.int64), np.array([float(rate)])
        if known is not None and len(known):
            if settled_ms <= int(known.time_ms[-1]):
                return
            times, rates = np.concatenate([known.time_ms, times]), np.concatenate([known.rate, rates])
        self._funding[symbol] = FundingRates(symbol, times, rates)
        self._queue.append(Settlement(at_ms, symbol, rate))

    def next_ms(self, after_ms: int) -> int | None:
        """Return when the next event in the queue happens."""
        return max(self._queue[0].at_ms, after_ms + 1) if self._queue else None

    def at(self, at_ms: int) -> Sequence[PriceEvent]:
        """Return, and forget, what has come by that instant."""
        due: list[PriceEvent] = []
        while self._queue and self._queue[0].at_ms <= at_ms:
            due.append(replace(self._queue.popleft(), at_ms=at_ms))
        self._ticks.update({one.symbol: one for one in due if isinstance(one, Tick)})
        return due

    def latest(self, symbol: str, at_ms: int) -> Tick | None:
        """Return the last tick handed on, else the close of the last known bar."""
        bars = self._bars.get(symbol)
        if symbol in self._ticks or bars is None or not len(bars):
            return self._ticks.get(symbol)
        close = exact(float(bars.close[-1]))
        return Tick(min(at_ms, int(bars.open_time_ms[-1]) + HOUR_MS), symbol, close, close, jump=True)

    def bars(self, symbol: str, *, mark: bool = False) -> Bars | None:
        """Return the symbol's closed bars."""
        return (self._mark if mark else self._bars).get(symbol)

    def funding(self, symbol: str) -> FundingRates | None:
        """Return the settlements so far."""
        return self._funding.get(symbol)

    def next_settlement_ms(self, symbol: str, after_ms: int) -> int:  # noqa: ARG002 - all symbols have one interval
        """Return the next multiple of the interval."""
        return (after_ms // self._interval_ms + 1) * self._interval_ms


def _after(bars: Bars, open_ms: int) -> int:
    return int(np.searchsorted(bars.open_time_ms, open_ms, side="right"))
