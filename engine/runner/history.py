"""The hours since before the launch, for the shadow account: last prices, mark prices and settlements, in memory.

They come from the venue at each start and grow by what the desk reads, so nothing of them needs to be stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.backtest import Simulation
from engine.clock import HOUR_MS, MINUTE_MS
from engine.live.bar_reader import WARMUP_MS
from engine.live.signals import Tape
from engine.market.series import FundingRates, Market
from engine.portfolio import Costs
from strategies.bars import Bars
from strategies.ensemble import make_sleeves

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.execution.venue import Venue
    from engine.live.opening import Release
    from engine.portfolio import SymbolFilters

PUBLISHED_MS = 5 * MINUTE_MS
"""A settlement stands in the venue's history so long after its hour at the latest."""

_FOR_GOOD = 2**31  # bars of a symbol that are kept: all


class History:
    """What the shadow account is run on.

    Args:
        release: configuration and policies.
        start_ms: the launch.
        capital_usd: that it began with.
        filters: symbol -> the venue's limits at the launch, as the bundle names them; absent: quantities are not cut.
    """

    def __init__(
        self, release: Release, start_ms: int, capital_usd: float, filters: Mapping[str, SymbolFilters]
    ) -> None:
        self._release = release
        self._start_ms = start_ms
        self._capital_usd = capital_usd
        self._filters = dict(filters)
        self._symbols = release.config.market.symbols
        self._tape = Tape(self._symbols, _FOR_GOOD)
        self._funding: dict[str, FundingRates] = {}
        self._settled_ms = 0
        self._followed: Tape | None = None

    async def load(self, venue: Venue, now_ms: int) -> None:
        """Read everything from before the warm-up until now.

        Raises:
            VenueError: the venue does not tell.
        """
        for symbol in self._symbols:  # one after the other: many large answers at once keep each other waiting
            for mark in (False, True):
                await self._load(venue, symbol, mark=mark)
        await self.read_funding(venue, now_ms)

    async def _load(self, venue: Venue, symbol: str, *, mark: bool) -> None:
        from_ms = self._tape.next_ms(symbol, mark=mark) or self._start_ms - WARMUP_MS
        self._tape.add(await venue.closed_bars(symbol, from_ms, mark=mark), mark=mark)

    async def read_funding(self, venue: Venue, now_ms: int) -> None:
        """Read the settlements that are new, once an hour however often it is asked: a close needs those before it.

        Raises:
            VenueError: the venue does not tell.
        """
        settled_ms = now_ms - PUBLISHED_MS - (now_ms - PUBLISHED_MS) % HOUR_MS
        if settled_ms <= self._settled_ms:
            return
        for symbol in self._symbols:
            known = self._funding.get(symbol)
            from_ms = int(known.time_ms[-1]) + HOUR_MS if known is not None and len(known) else self._start_ms
            new = await venue.funding_rates(symbol, from_ms)
            self._funding[symbol] = new if known is None else _joined(known, new)
        self._settled_ms = settled_ms

    def lend(self, tape: Tape) -> None:
        """Give a desk's tape what it needs of the past, so that its first bar is quick; from then on, follow it."""
        self._followed = tape
        _copy(self._tape, tape)

    def simulate(self, close_ms: int) -> Simulation:
        """Return the shadow account from the launch on, at its start, over the hours of which everything is known.

        Where there is none yet, it ends before the bar that opens at `close_ms` and of which nothing is said.
        """
        if self._followed is not None:
            _copy(self._followed, self._tape)
        known_ms = self._known_ms()
        bars = {symbol: _until(kept, known_ms) for symbol in self._symbols if (kept := self._tape.bars(symbol))}
        if known_ms <= self._start_ms:
            bars = {symbol: _with_unsaid(bars.get(symbol), symbol, close_ms) for symbol in self._symbols}
        marks = {symbol: _until(kept, known_ms) for symbol in self._symbols if (kept := self._tape.marks(symbol))}
        config, bundle = self._release.config, self._release.bundle
        backtest = config.backtest
        return Simulation(
            Market(bars, marks, self._funding),
            make_sleeves(config.ensemble.strategies, bars, self._symbols, backtest.slippage_bps),
            weights=config.ensemble.fixed_weights,
            costs=Costs(backtest.fee_bps, backtest.slippage_bps),
            initial_equity_usd=self._capital_usd,
            start_ms=self._start_ms,
            end_ms=max(known_ms, close_ms + HOUR_MS),
            dead_band=bundle.rebalance_dead_band_ratio,
            default_rate_8h=backtest.funding_rate.default_rate_8h if backtest.funding_rate.enabled else None,
            filters=self._filters,
        )

    def _known_ms(self) -> int:
        """Return until when every symbol's bars are known, and the settlements within them."""
        ends = [self._tape.next_ms(symbol) or 0 for symbol in self._symbols]
        return min(*ends, self._settled_ms + HOUR_MS)


def _copy(there: Tape, here: Tape) -> None:
    """Put on one tape what it lacks of another."""
    for symbol in there.symbols:
        for bars, mark in ((there.bars(symbol), False), (there.marks(symbol), True)):
            if bars is not None:
                here.add(bars, mark=mark)


def _until(bars: Bars, end_ms: int) -> Bars:
    return bars.part(0, int(np.searchsorted(bars.open_time_ms, end_ms - HOUR_MS, side="right")))


def _with_unsaid(bars: Bars | None, symbol: str, open_ms: int) -> Bars:
    """Return the bars and one more, of which nothing is known but that it will open."""
    price = np.array([1.0]) if bars is None or not len(bars) else bars.close[-1:]
    at_ms = np.array([open_ms], dtype=np.int64)
    unsaid = Bars(symbol, at_ms, price, price, price, price, np.zeros(1))
    return unsaid if bars is None or not len(bars) else bars.joined(unsaid)


def _joined(before: FundingRates, after: FundingRates) -> FundingRates:
    times = np.concatenate([before.time_ms, after.time_ms])
    return FundingRates(before.symbol, times, np.concatenate([before.rate, after.rate]))
