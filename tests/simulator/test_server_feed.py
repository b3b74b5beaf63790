"""Live prices: one simulator follows another as if it were the venue, through its public endpoints."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.clock import HOUR_MS
from engine.errors import UnavailableError
from engine.simulator.exchange import Exchange
from engine.simulator.faults import FaultPlan
from engine.simulator.faults.conditions import Outage
from engine.simulator.feed import PublicFeed, live_prices, public_client
from engine.simulator.server import SimulatorServer
from engine.simulator.specs import usual_spec
from engine.timeline import run_virtual
from tests.simulator.serving import ACCOUNT, KEY, PRICES, SECRET, START_MS, calm_market, client_of, new_exchange

if TYPE_CHECKING:
    from engine.clock import Clock

HOURS = 5


def followed(faults: FaultPlan) -> tuple[Exchange, Exchange]:
    """Return the exchange that was followed and the one that followed it for some hours, a position open."""

    async def main(clock: Clock) -> tuple[Exchange, Exchange]:
        venue = new_exchange()
        async with SimulatorServer(venue, clock, faults, repeat_s=None) as server:
            client = public_client(server.rest_url)
            prices = await live_prices(client, list(PRICES))
            paper = Exchange(usual_spec(), prices, clock.now_ms(), seed=1)
            paper.open_account(ACCOUNT, KEY, SECRET, 10_000)
            async with SimulatorServer(paper, clock, repeat_s=None) as mine:
                following = asyncio.ensure_future(PublicFeed(client, prices, clock, every_s=60).follow(mine.step))
                await asyncio.sleep(60)
                trader = client_of(mine, clock)
                order = {"side": "BUY", "type": "MARKET", "quantity": "0.01"}
                await trader.futures_create_order(symbol="BTCUSDT", **order)
                await asyncio.sleep(HOURS * 3_600 - 30)
                following.cancel()
                await trader.close_connection()
            await client.close_connection()
        return venue, paper

    return run_virtual(main, START_MS)


def ask(exchange: Exchange, path: str, **params: Any) -> Any:
    """Return an exchange's answer to a question."""
    return exchange.call("GET", path, {name: str(value) for name, value in params.items()}, ACCOUNT)


def test_what_follows_the_venue_has_its_bars_and_its_settlements_in_spite_of_an_outage() -> None:
    # the venue is away over the turn of an hour, and over the settlement at 16:00
    away = FaultPlan.of(Outage("reset"), from_ms=START_MS + 3 * HOUR_MS - 600_000, until_ms=START_MS + 4 * HOUR_MS)
    venue, paper = followed(away)
    span = {"symbol": "BTCUSDT", "interval": "1h", "startTime": START_MS, "endTime": START_MS + (HOURS - 1) * HOUR_MS}
    bars = [np.array(ask(one, "/fapi/v1/klines", **span), dtype=float)[:, :6] for one in (venue, paper)]
    assert len(bars[0]) == HOURS
    np.testing.assert_array_equal(bars[0], bars[1])
    settled = calm_market().funding["BTCUSDT"].time_ms
    due = int(np.count_nonzero((settled > START_MS) & (settled <= START_MS + HOURS * HOUR_MS)))
    paid = [row for row in ask(paper, "/fapi/v1/income") if row["incomeType"] == "FUNDING_FEE"]
    assert due == 1
    assert len(paid) == due
    assert ask(paper, "/fapi/v1/premiumIndex", symbol="BTCUSDT")["markPrice"] != "0"


def test_live_prices_without_a_venue_are_refused_in_words() -> None:
    async def main(clock: Clock) -> None:
        async with SimulatorServer(new_exchange(), clock, FaultPlan.of(Outage("503")), repeat_s=None) as server:
            await asyncio.sleep(1)
            client = public_client(server.rest_url)
            try:
                with pytest.raises(UnavailableError, match="the venue answered HTTP 503"):
                    await live_prices(client, list(PRICES))
            finally:
                await client.close_connection()

    run_virtual(main, START_MS)
