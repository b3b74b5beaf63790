"""python-binance's own client and sockets against the simulator, in one virtual loop."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engine.clock import HOUR_MS
from engine.market.series import FundingRates, Market
from engine.simulator.exchange import Exchange
from engine.simulator.faults import NONE
from engine.simulator.recorded import RecordedPrices
from engine.simulator.server import SimulatorServer
from engine.simulator.specs import usual_spec
from engine.timeline import run_virtual
from strategies.bars import Bars

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import numpy.typing as npt

    from engine.clock import Clock
    from engine.simulator.faults import FaultPlan

T = TypeVar("T")

START_MS = 1_668_000_000_000 // HOUR_MS * HOUR_MS
KEY, SECRET = "K" * 64, "S" * 64
ACCOUNT = "bot"
PRICES = {"BTCUSDT": 20_000.0, "ETHUSDT": 1_500.0, "SOLUSDT": 50.0}
LONGEST_S = 2 * 86_400  # in virtual time a wait without end costs the machine all it has
HOURS_BEFORE, HOURS = 12, 72


@cache
def calm_market() -> Market:
    """Three symbols that open and close at one price and move 1 % up and down within each hour."""
    times = START_MS + np.arange(-HOURS_BEFORE, HOURS, dtype=np.int64) * HOUR_MS
    bars = {symbol: _bars(symbol, price, times) for symbol, price in PRICES.items()}
    settled = times[times % (8 * HOUR_MS) == 0]
    funding = {symbol: FundingRates(symbol, settled, np.full(len(settled), 1e-4)) for symbol in PRICES}
    return Market(bars, bars, funding)


def _bars(symbol: str, price: float, times: npt.NDArray[np.int64]) -> Bars:
    whole = np.full(len(times), price)
    return Bars(symbol, times, whole, whole * 1.01, whole * 0.99, whole, np.full(len(times), 9.0))


@dataclass
class Play:
    """What a test plays with."""

    clock: Clock
    exchange: Exchange
    server: SimulatorServer
    client: Any
    sockets: Any

    @property
    def now_s(self) -> float:
        """Seconds since the start."""
        return (self.clock.now_ms() - START_MS) / 1000

    async def market_order(self, client_id: str, qty: str = "0.01", side: str = "BUY", **more: Any) -> Any:
        """Send a market order in BTCUSDT."""
        asked = {"symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": qty, "newClientOrderId": client_id}
        return await self.client.futures_create_order(**asked, **more)

    def placed(self) -> list[str]:
        """The client ids that the exchange has in its books, in order."""
        rows = self.exchange.call("GET", "/fapi/v1/allOrders", {"symbol": "BTCUSDT"}, ACCOUNT)
        return [row["clientOrderId"] for row in rows]


def new_exchange(at_ms: int = START_MS) -> Exchange:
    """Return an exchange with the calm market and one account."""
    exchange = Exchange(usual_spec(), RecordedPrices(calm_market(), seed=3), at_ms, seed=3)
    exchange.open_account(ACCOUNT, KEY, SECRET, 10_000)
    return exchange


@asynccontextmanager
async def another(on: Play, *, ahead_ms: int = 0, key: str = KEY, secret: str = SECRET) -> AsyncIterator[Any]:
    """Lend one more client."""
    client = client_of(on.server, on.clock, ahead_ms=ahead_ms, key=key, secret=secret)
    try:
        yield client
    finally:
        await client.close_connection()


def client_of(server: SimulatorServer, clock: Clock, *, ahead_ms: int = 0, key: str = KEY, secret: str = SECRET) -> Any:
    """Return python-binance's client, its clock `ahead_ms` ahead."""
    from binance import AsyncClient  # noqa: PLC0415 - heavy

    class Client(AsyncClient):  # type: ignore[misc] # python-binance has no types
        API_URL = f"{server.rest_url}/api"
        FUTURES_URL = f"{server.rest_url}/fapi"
        MARGIN_API_URL = f"{server.rest_url}/sapi"

        @property
        def timestamp_offset(self) -> int:
            return clock.now_ms() + ahead_ms - int(time.time() * 1000)  # noqa: TID251 - the library adds it to this

        @timestamp_offset.setter
        def timestamp_offset(self, value: int) -> None:
            pass

    return Client(key, secret)


def sockets_of(client: Any, server: SimulatorServer, **link: Any) -> Any:
    """Return python-binance's maker of sockets."""
    from binance import BinanceSocketManager  # noqa: PLC0415 - heavy

    sockets = type("Sockets", (BinanceSocketManager,), {"FSTREAM_URL": server.stream_url})(client)
    sockets.ws_kwargs = {"proxy": None, **link}
    return sockets


def play(act: Callable[[Play], Awaitable[T]], faults: FaultPlan = NONE, **options: Any) -> T:
    """Run `act` with a client and a server; what the simulator itself failed at is raised."""

    async def main(clock: Clock) -> T:
        exchange = new_exchange()
        async with SimulatorServer(exchange, clock, faults, **{"repeat_s": None, **options}) as server:
            client = client_of(server, clock)
            try:
                on = Play(clock, exchange, server, client, sockets_of(client, server))
                return await asyncio.wait_for(act(on), LONGEST_S)
            finally:
                await client.close_connection()

    return run_virtual(main, START_MS)
