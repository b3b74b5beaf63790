"""A runner at a simulated venue, in one loop of virtual time; nothing is stubbed, only the clock is not real."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.clock import DAY_MS, HOUR_MS, SECOND_MS, parse_time
from engine.config import load_config
from engine.execution.binance.client import Keys
from engine.ledger import Ledger
from engine.live.connection import Announcement, Connection, Mode
from engine.live.opening import Release
from engine.market.synthetic import synthetic_market
from engine.policy.bundle import load_bundle
from engine.policy.worker import Worker
from engine.rehearsal.approvals import ApproveNone
from engine.runner.open import Place, Post, opened
from engine.runner.runner import Cadence, Runner
from engine.runner.voice import Voice
from engine.simulator.exchange import Exchange
from engine.simulator.faults import NONE
from engine.simulator.recorded import RecordedPrices
from engine.simulator.server import SimulatorServer
from engine.simulator.specs import usual_spec
from engine.timeline import run_virtual

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from engine.clock import Clock
    from engine.execution.binance.streams import Patience
    from engine.governor import Approvals
    from engine.market.series import Market
    from engine.policy.bundle import Bundle
    from engine.simulator.faults import FaultPlan
    from engine.simulator.specs import ExchangeSpec

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
MARKET_MS = parse_time("2024-01-01")
START_MS = parse_time("2024-01-02T19:00:00Z")
"""A busy evening of the synthetic market: ETHUSDT and SOLUSDT are entered at once, BTCUSDT from +1 h to +4 h."""

ACCOUNT = "paper"
KEY, SECRET = "SENTINEL-KEY-7d1c" + "0" * 47, "SENTINEL-SECRET-b64e" + "0" * 44
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
DAYS = 5

SELDOM = Cadence(look_s=600.0, rounds_s=1_500.0)
"""For runs of days: what is looked for each second would be most of the work."""


@cache
def market() -> Market:
    return synthetic_market(5, start_ms=MARKET_MS, days=DAYS)


@cache
def release() -> Release:
    bundle: Bundle = load_bundle(ROOT / "config/prod_scale_rules_R1.yaml")
    return Release(load_config(bundle.config_path), bundle, "test")


@cache
def worker() -> Worker:
    """The production engine, one process for the whole session."""
    return Worker(release().bundle.policies["action"])


def new_exchange(
    at_ms: int = START_MS, *, balance_usd: float = 10_000.0, spec: ExchangeSpec | None = None, **more: Any
) -> Exchange:
    exchange = Exchange(spec or usual_spec(), RecordedPrices(market(), seed=3), at_ms, seed=3)
    exchange.open_account(ACCOUNT, KEY, SECRET, balance_usd, **more)
    return exchange


@dataclass
class Scene:
    """What a test plays with."""

    exchange: Exchange
    server: SimulatorServer
    clock: Clock
    folder: Path
    mode: Mode
    keys: Keys
    patience: Patience | None
    release: Release
    said: list[str] = field(default_factory=list)

    @property
    def book(self) -> Any:
        """The venue's own record of the account."""
        return self.exchange.accounts[ACCOUNT]

    @property
    def path(self) -> Path:
        return self.folder / "trading.db"

    @property
    def place(self) -> Place:
        now_ms = self.clock.now_ms()
        there = Announcement(self.server.rest_url, self.server.stream_url, KEY, SECRET, now_ms, now_ms)
        connection = Connection(self.mode, self.keys, there)
        return Place(connection, self.release, self.folder / "reports", self.patience)

    @asynccontextmanager
    async def post(self, approvals: Callable[[Ledger], Approvals] = lambda _: ApproveNone()) -> AsyncIterator[Post]:
        with Ledger.open(self.path, create=True) as ledger:
            async with opened(self.place, ledger, worker(), approvals(ledger), self.clock) as post:
                yield post

    def runner(self, post: Post, cadence: Cadence | None = None, *, streaming: bool = False) -> Runner:
        voice = Voice(post.ledger, post.clock, self.said.append)
        return Runner(post, voice, "run --paper", cadence, streaming=streaming)

    async def run_until(self, at_ms: int, cadence: Cadence = SELDOM, *, streaming: bool = False) -> None:
        """Run a runner from its start until it is told to stop at `at_ms`, and let it end."""
        async with self.post() as post:
            await self.running(self.runner(post, cadence, streaming=streaming), at_ms)

    async def running(self, runner: Runner, at_ms: int) -> None:
        asyncio.get_running_loop().call_later((at_ms - self.clock.now_ms()) / SECOND_MS, runner.stop)
        await runner.run()

    def told(self, path: str, **params: str) -> Any:
        """What the exchange itself answers, without any network between."""
        return self.exchange.call("GET", f"/fapi/v1/{path}", params, ACCOUNT)

    @property
    def held(self) -> dict[str, Any]:
        return {one.symbol: one.qty for one in self.book.held()}


def at_venue(
    folder: Path,
    act: Callable[[Scene], Awaitable[T]],
    faults: FaultPlan = NONE,
    *,
    exchange: Exchange | None = None,
    mode: Mode = Mode.PAPER,
    keys: Keys | None = None,
    patience: Patience | None = None,
    start_ms: int = START_MS,
    patient_orders: bool = False,
    **options: Any,
) -> T:
    """Run `act` with a simulated venue; what the simulator itself failed at is raised."""
    exchange = exchange or new_exchange(start_ms)
    this = release()
    live = dataclasses.replace(this.config.live, prefer_limit_order=patient_orders)
    this = dataclasses.replace(this, config=dataclasses.replace(this.config, live=live))

    async def main(clock: Clock) -> T:
        async with SimulatorServer(exchange, clock, faults, **{"repeat_s": None, **options}) as server:
            return await act(Scene(exchange, server, clock, folder, mode, keys or Keys(KEY, SECRET), patience, this))

    return run_virtual(main, start_ms)


def days(number: float) -> int:
    """Return the instant so many days after the start."""
    return START_MS + round(number * DAY_MS)


def hours(number: float) -> int:
    """Return the instant so many hours after the start."""
    return START_MS + round(number * HOUR_MS)
