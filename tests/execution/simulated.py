"""The adapter at the simulator, in one virtual loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from engine.execution.binance.client import Addresses, Keys
from engine.execution.binance.connection import connected
from engine.simulator.faults import NONE
from engine.simulator.server import SimulatorServer
from engine.timeline import run_virtual
from tests.simulator.serving import ACCOUNT, KEY, PRICES, SECRET, START_MS, new_exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from engine.execution.binance.streams import Patience
    from engine.simulator.exchange import Exchange
    from engine.simulator.faults import FaultPlan

T = TypeVar("T")

SYMBOLS = tuple(PRICES)


@dataclass
class Scene:
    """What a test plays with."""

    venue: BinanceVenue
    exchange: Exchange
    server: SimulatorServer
    clock: Clock

    @property
    def book(self) -> Any:
        """The simulator's own record of the account."""
        return self.exchange.accounts[ACCOUNT]

    def told(self, path: str, **params: str) -> Any:
        """What the exchange itself answers, without any network between."""
        return self.exchange.call("GET", path, params, ACCOUNT)


def at_simulator(
    act: Callable[[Scene], Awaitable[T]],
    faults: FaultPlan = NONE,
    *,
    keys: Keys | None = None,
    permit: Callable[[], bool] = lambda: True,
    patience: Patience | None = None,
    prepare: Callable[[Exchange], None] = lambda _exchange: None,
    **options: Any,
) -> T:
    """Run `act` with the adapter connected to the simulator; what the simulator itself failed at is raised."""

    async def main(clock: Clock) -> T:
        exchange = new_exchange()
        prepare(exchange)
        async with SimulatorServer(exchange, clock, faults, **{"repeat_s": None, **options}) as server:
            addresses = Addresses(server.rest_url, server.stream_url)
            async with connected(
                keys or Keys(KEY, SECRET), SYMBOLS, clock, permit, addresses=addresses, patience=patience
            ) as venue:
                return await act(Scene(venue, exchange, server, clock))

    return run_virtual(main, START_MS)
