"""Paper on the venue's public prices: a venue on loopback, the simulated exchange that follows it, the desk on that.

The venue here is no simulator of ours: it answers public questions only, row by row as the venue's own answers are.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from engine.execution.binance.client import Keys
from engine.ledger import Ledger
from engine.live.connection import Mode
from engine.runner.runner import Cadence
from engine.simulator.exchange import Exchange
from engine.simulator.feed import PublicFeed, live_prices, public_client
from engine.simulator.server import SimulatorServer
from engine.simulator.specs import usual_spec
from engine.timeline import run_virtual, sleep_until
from tests.runner.running import ACCOUNT, KEY, SECRET, START_MS, SYMBOLS, Scene, hours, market, release

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from engine.clock import Clock
    from strategies.bars import Bars

BTC, ETH, SOL = SYMBOLS
SLIPPAGE = 3e-4
BEGIN_MS = hours(1) - 40 * SECOND_MS
AWAY_MS = (hours(1) - 15 * SECOND_MS, hours(1) + 8 * SECOND_MS)
"""The venue cannot be reached over the close of the bar after which BTCUSDT is entered."""


class Venue:
    """The public endpoints that the feed asks; prices move straight from open to close after the first minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked: list[str] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/fapi/v1/{name}", self._answer)
        app.router.add_get("/fapi/v1/ticker/{name}", self._answer)
        app.router.add_get("/fapi/v2/ticker/{name}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(name)
        if AWAY_MS[0] <= self._clock.now_ms() < AWAY_MS[1]:
            return web.Response(status=503)
        return web.json_response(ANSWERS[name](self, request.query))

    def time(self, _: Any) -> Any:
        return {"serverTime": self._clock.now_ms()}

    def klines(self, query: Any) -> Any:
        return self._rows(market().bars[query["symbol"]], query)

    def mark_klines(self, query: Any) -> Any:
        return [[*row[:5], "0", row[6], "0", 3_600, "0", "0", "0"] for row in self.klines(query)]

    def funding(self, query: Any) -> Any:
        symbol, since_ms = query["symbol"], int(query.get("startTime", 0))
        rates = market().funding[symbol]
        rows = zip(rates.time_ms.tolist(), rates.rate.tolist(), strict=True)
        due = [(at_ms, rate) for at_ms, rate in rows if since_ms <= at_ms <= self._clock.now_ms()]
        return [{"fundingRate": f"{rate:.8f}", "fundingTime": at_ms + 2, "symbol": symbol} for at_ms, rate in due]

    def premium(self, _: Any) -> Any:
        now_ms = self._clock.now_ms()
        next_ms = (now_ms // (8 * HOUR_MS) + 1) * 8 * HOUR_MS
        return [
            {
                "symbol": symbol, "markPrice": self.price(symbol), "indexPrice": self.price(symbol),
                "lastFundingRate": "0.00010000", "interestRate": "0.00010000", "nextFundingTime": next_ms,
                "time": now_ms,
            }
            for symbol in SYMBOLS
        ]  # fmt: skip

    def prices(self, _: Any) -> Any:
        now_ms = self._clock.now_ms()
        return [{"symbol": symbol, "price": self.price(symbol), "time": now_ms} for symbol in SYMBOLS]

    def price(self, symbol: str) -> str:
        bars, now_ms = market().bars[symbol], self._clock.now_ms()
        at = int(bars.open_time_ms.searchsorted(now_ms, side="right")) - 1
        gone = max(0.0, now_ms % HOUR_MS - MINUTE_MS) / (HOUR_MS - MINUTE_MS)
        begin, end = bars.open.item(at), bars.close.item(at)
        return f"{begin + gone * (end - begin):.2f}"

    def _rows(self, bars: Bars, query: Any) -> list[list[Any]]:
        now_ms, since_ms = self._clock.now_ms(), int(query.get("startTime", 0))
        at = [i for i, open_ms in enumerate(bars.open_time_ms.tolist()) if since_ms <= open_ms <= now_ms]
        columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
        found = []
        for i in at[: int(query["limit"])] if since_ms else at[-int(query["limit"]) :]:
            open_ms = int(bars.open_time_ms[i])
            texts = [f"{column.item(i):.8f}" for column in columns]
            found.append([open_ms, *texts, open_ms + HOUR_MS - 1, "1.0", 1, "1.0", "1.0", "0"])
        return found


ANSWERS: dict[str, Callable[[Venue, Any], Any]] = {
    "time": Venue.time,
    "klines": Venue.klines,
    "markPriceKlines": Venue.mark_klines,
    "fundingRate": Venue.funding,
    "premiumIndex": Venue.premium,
    "price": Venue.prices,
}


def on_public_prices(folder: Path, act: Callable[[Scene, Venue], Awaitable[None]]) -> None:
    """Run `act` with a paper exchange that follows a venue."""

    async def main(clock: Clock) -> None:
        venue = Venue(clock)
        async with venue.serving() as url:
            client = public_client(url)
            prices = await live_prices(client, SYMBOLS)
            exchange = Exchange(usual_spec(), prices, clock.now_ms(), seed=3)
            exchange.open_account(ACCOUNT, KEY, SECRET, 10_000.0)
            async with SimulatorServer(exchange, clock, repeat_s=None) as server:
                following = asyncio.ensure_future(PublicFeed(client, prices, clock).follow(server.step))
                await asyncio.sleep(1)
                await act(Scene(exchange, server, clock, folder, Mode.PAPER, Keys(KEY, SECRET), None, release()), venue)
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            await client.close_connection()

    run_virtual(main, BEGIN_MS)


@pytest.mark.requirement("R046")
def test_R046_R060_paper_trades_at_the_venues_public_prices_and_waits_for_bars_that_come_late(tmp_path: Path) -> None:
    async def act(scene: Scene, venue: Venue) -> None:
        live = replace(release().config.live, prefer_limit_order=False)
        scene.release = replace(release(), config=replace(release().config, live=live))
        async with scene.post() as post:
            runner = scene.runner(post, Cadence(look_s=60.0, rounds_s=300.0), streaming=True)
            running = asyncio.create_task(runner.run())
            await sleep_until(scene.clock, hours(1) + 40 * SECOND_MS)
            runner.stop()
            await running
        assert set(venue.asked) == {*ANSWERS}, "and nothing that needs a key"

    on_public_prices(tmp_path, act)
    with Ledger.open(tmp_path / "trading.db", read_only=True) as ledger:
        fills = {fill.symbol: fill for fill in reversed(ledger.fills("risk"))}
        assert fills.keys() == {*SYMBOLS}
        for symbol, fill in fills.items():
            bars = market().bars[symbol]
            opening = bars.open.item(int(bars.open_time_ms.searchsorted(hours(1))))
            assert fill.reason == "entry"
            assert fill.ref_price == pytest.approx(opening, abs=0.01)
            assert fill.price == pytest.approx(opening * (1 + fill.side * SLIPPAGE), rel=1e-5)
            assert AWAY_MS[1] <= fill.at_ms < hours(1) + 30 * SECOND_MS, "the bar was waited for"
        assert ledger.marks("risk").at_ms.tolist() == [hours(0), hours(1)]
        ledger.verify()


RECORDED = {"time": "time", "klines": "klines", "fundingRate": "fundingRate", "premiumIndex": "premiumIndex"}


def test_the_venue_of_these_tests_answers_in_the_shapes_that_were_recorded(real_data: Path) -> None:
    class Noon:
        def now_ms(self) -> int:
            return START_MS

    venue = Venue(Noon())
    query = {"symbol": BTC, "limit": "5"}
    for name, file in {**RECORDED, "price": "ticker_price"}.items():
        path = real_data / "payloads/gocryptotrader_recorded" / f"GET_fapi_v1_{file}.json"
        recorded = [one["response"] for one in json.loads(path.read_text())]
        ours = ANSWERS[name](venue, query)
        same = [one for one in recorded if isinstance(one, type(ours))]
        assert same, name
        assert _shape(ours) <= _shape(same[0]), name


def _shape(answer: Any) -> set[tuple[str, str]]:
    first = answer[0] if isinstance(answer, list) else answer
    pairs = first.items() if isinstance(first, dict) else enumerate(first)
    return {(str(key), type(value).__name__) for key, value in pairs}
