"""The venue's public prices into a simulated exchange: paper trading on what the market does now.

Prices and mark prices are asked for every few seconds; bars once they are closed, settlements once they are published.
While the venue cannot be reached, prices stand still; afterwards, bars and settlements that were missed come late.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import HOUR_MS, hour_start
from engine.errors import Problem, UnavailableError
from engine.market.series import FundingRates, Market
from engine.simulator.live import LivePrices
from strategies.bars import Bars

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.clock import Clock

EVERY_S = 2.0
PAUSE_S = 10.0  # after a failure
BARS_A_PAGE = 1_500
HISTORY_BARS = 3_000
"""Closed bars to begin with: more than the slowest strategy warms up on."""

SETTLEMENTS_A_PAGE = 1_000
_OPEN_TIME, _CLOSE_TIME = 0, 6
_PRICES = (1, 2, 3, 4, 5)

_LOG = logging.getLogger(__name__)


def public_client(url: str | None = None) -> Any:
    """Return python-binance's client for public data; nothing is sent yet. Call it within a running event loop.

    Args:
        url: instead of the venue's own, such as ``http://127.0.0.1:8080``.
    """
    from binance import AsyncClient  # noqa: PLC0415 - keeps the import of this room light

    places = {} if url is None else {"FUTURES_URL": f"{url}/fapi"}
    return type("PublicClient", (AsyncClient,), places)()


async def live_prices(client: Any, symbols: Sequence[str]) -> LivePrices:
    """Return prices that begin with the venue's last bars, mark prices and settlements.

    Args:
        client: python-binance's AsyncClient; only public endpoints are asked.
        symbols: the venue's names.

    Raises:
        UnavailableError: the venue cannot be reached, or answers nonsense.
    """
    bars: dict[str, Bars] = {}
    mark: dict[str, Bars] = {}
    funding: dict[str, FundingRates] = {}
    try:
        for symbol in symbols:
            bars[symbol] = await _history(client, symbol, mark=False)
            mark[symbol] = await _history(client, symbol, mark=True)
            rows = await client.futures_funding_rate(symbol=symbol, limit=SETTLEMENTS_A_PAGE)
            hours = [int(row["fundingTime"]) // HOUR_MS * HOUR_MS for row in rows]
            rates = [float(row["fundingRate"]) for row in rows]
            funding[symbol] = FundingRates(symbol, np.array(hours, dtype=np.int64), np.array(rates, dtype=np.float64))
    except _failures() as failure:
        help_ = "check the network and start again"
        raise UnavailableError(Problem("unavailable", "live prices", _reason(failure), help_)) from None
    return LivePrices(Market(bars, mark, funding))


@dataclass
class PublicFeed:
    """Follows the venue; see the module.

    Attributes:
        client: python-binance's AsyncClient; only public endpoints are asked.
        prices: where everything goes.
        clock: the exchange's; what comes is stamped with it.
        every_s: between two looks.
    """

    client: Any
    prices: LivePrices
    clock: Clock
    every_s: float = EVERY_S
    _announced_ms: dict[str, int] = field(default_factory=dict)

    async def follow(self, step: Callable[[], None]) -> None:
        """Look again and again until cancelled; `step` is called after each look."""
        while True:
            try:
                await self.look()
                pause_s = self.every_s
            except _failures() as failure:
                _LOG.warning("live prices stand still: %s", _reason(failure))
                pause_s = PAUSE_S
            step()
            await asyncio.sleep(pause_s)

    async def look(self) -> None:
        """Take what is new."""
        marks = {row["symbol"]: row for row in await self.client.futures_mark_price()}
        lasts = {row["symbol"]: row for row in await self.client.futures_symbol_ticker()}
        for symbol in self.prices.symbols:
            await self._settlements(symbol, int(marks[symbol]["nextFundingTime"]))
            await self._bars(symbol)
            last, mark = Decimal(lasts[symbol]["price"]), Decimal(marks[symbol]["markPrice"])
            self.prices.push(self.clock.now_ms(), symbol, last, mark)

    async def _bars(self, symbol: str) -> None:
        for mark in (False, True):
            known = self.prices.bars(symbol, mark=mark)
            assert known is not None, "live prices begin with bars"
            next_ms = int(known.open_time_ms[-1]) + HOUR_MS
            if self.clock.now_ms() >= next_ms + HOUR_MS:
                fresh = await _closed_bars(self.client, symbol, mark=mark, startTime=next_ms, limit=BARS_A_PAGE)
                if len(fresh):
                    self.prices.append_bar(self.clock.now_ms(), symbol, fresh, mark=mark)

    async def _settlements(self, symbol: str, next_ms: int) -> None:
        """Take what was settled, once the venue announces another time for the next settlement."""
        if self._announced_ms.setdefault(symbol, next_ms) == next_ms:
            return
        known = self.prices.funding(symbol)
        since_ms = int(known.time_ms[-1]) + HOUR_MS if known is not None and len(known) else 0
        rows = await self.client.futures_funding_rate(symbol=symbol, startTime=since_ms, limit=SETTLEMENTS_A_PAGE)
        for row in rows:
            self.prices.settle(int(row["fundingTime"]), symbol, Decimal(row["fundingRate"]))
        if rows:  # it may be published a little after its time
            self._announced_ms[symbol] = next_ms


async def _history(client: Any, symbol: str, *, mark: bool) -> Bars:
    """Return the last closed bars; fewer where the venue has no more."""
    now_ms = int((await client.futures_time())["serverTime"])
    first_ms = hour_start(now_ms) - HISTORY_BARS * HOUR_MS
    found = await _closed_bars(client, symbol, mark=mark, startTime=first_ms, limit=BARS_A_PAGE)
    while len(found):
        next_ms = int(found.open_time_ms[-1]) + HOUR_MS
        page = await _closed_bars(client, symbol, mark=mark, startTime=next_ms, limit=BARS_A_PAGE)
        if not len(page):
            break
        found = found.joined(page)
    return found


async def _closed_bars(client: Any, symbol: str, *, mark: bool, **span: int) -> Bars:
    """Return the bars whose hour is over, by the venue's own clock: all but the one that still runs."""
    now_ms = int((await client.futures_time())["serverTime"])
    method = client.futures_mark_price_klines if mark else client.futures_klines
    rows = await method(symbol=symbol, interval="1h", **span)
    closed = [row for row in rows if int(row[_CLOSE_TIME]) < now_ms]
    times = np.array([int(row[_OPEN_TIME]) for row in closed], dtype=np.int64)
    return Bars(symbol, times, *(np.array([float(row[at]) for row in closed], dtype=np.float64) for at in _PRICES))


def _failures() -> tuple[type[Exception], ...]:
    """Return what asking the venue may raise."""
    import aiohttp  # noqa: PLC0415 - keeps the import of this room light
    from binance.exceptions import BinanceAPIException, BinanceRequestException  # noqa: PLC0415 - the same

    network = (aiohttp.ClientError, TimeoutError, ConnectionError)
    return (*network, BinanceAPIException, BinanceRequestException, KeyError, ValueError, TypeError)


def _reason(failure: BaseException) -> str:
    status = getattr(failure, "status_code", None)
    return f"the venue answered HTTP {status}" if status else f"no useful answer ({type(failure).__name__})"
