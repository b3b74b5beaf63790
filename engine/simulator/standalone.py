"""A simulated exchange by itself: started by hand, for any client, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.clock import DAY_MS, day_start
from engine.errors import DataError, Problem, UsageError
from engine.market.imports import open_market
from engine.market.synthetic import synthetic_market
from engine.simulator.accounts import ISOLATED
from engine.simulator.exchange import Exchange
from engine.simulator.faults import NONE, FaultPlan
from engine.simulator.recorded import RecordedPrices
from engine.simulator.server import HOST, SimulatorServer
from engine.simulator.specs import usual_spec
from engine.simulator.state import Origin, StateFile
from engine.timeline import run_paced

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.clock import Clock
    from engine.simulator.live import LivePrices
    from engine.simulator.prices import PriceSource

ACCOUNT = "main"
# of an account that exists only here: they open nothing
API_KEY = "simulated-key-" + "0" * 50
API_SECRET = "simulated-secret-" + "0" * 47
RECORDED_DAYS = 30


@dataclass(frozen=True)
class SimulateRequest:
    """What to simulate.

    Attributes:
        data: recorded prices; None: synthetic ones, or `live`.
        klines: the folder of `data` with last prices.
        seed: of the synthetic market, of the path within bars and of everything else that is drawn.
        days: of the synthetic market, from the start on.
        live: follow the venue's public prices.
        venue_url: instead of the venue's own, such as ``http://127.0.0.1:8080``; for `live`.
        from_ms: the instant to begin at; None: 30 days before recorded prices end, or now.
        port: 0 takes a free one.
        speed: simulated seconds a second.
        faults: a file of faults.
        state: a file that outlives the process.
        balance_usd: of the account.
        isolated: leverage of every symbol, on isolated margin; None: as a new account has it.
        api_key: of the account.
        api_secret: of the account.
    """

    data: Path | None = None
    klines: str = "klines"
    seed: int = 7
    days: int = 366
    live: bool = False
    venue_url: str | None = None
    from_ms: int | None = None
    port: int = 0
    speed: float = 1.0
    faults: Path | None = None
    state: Path | None = None
    balance_usd: float = 10_000.0
    isolated: int | None = None
    api_key: str = field(default=API_KEY, repr=False)
    api_secret: str = field(default=API_SECRET, repr=False)


@dataclass(frozen=True)
class Serving:
    """What is being served, for whoever wants to connect.

    Attributes:
        rest_url: requests go to ``<rest_url>/fapi/v1/…``.
        stream_url: streams are at ``<stream_url>market/…``.
        api_key: of the simulated account, as is `api_secret`.
        prices: where they come from.
        now_ms: what time it is on the exchange.
        speed: simulated seconds a second.
        faults: how many rules.
        resumed: the state of an earlier process goes on.
    """

    rest_url: str
    stream_url: str
    api_key: str
    api_secret: str
    prices: str
    now_ms: int
    speed: float
    faults: int
    resumed: bool


def simulate(request: SimulateRequest, clock: Clock, ready: Callable[[Serving], None]) -> None:
    """Serve an exchange until SIGTERM or SIGINT; the state is on disk whenever a client has an answer.

    Args:
        request: what to simulate.
        clock: the machine's.
        ready: called once clients may connect.

    Raises:
        UsageError: options that contradict each other.
        DataError: prices or state are missing, broken, or belong to something else.
        ConfigError: the fault file is wrong.
        UnavailableError: live prices were asked for, and the venue cannot be reached.
    """
    _check(request)
    with ExitStack() as stack:
        file = stack.enter_context(StateFile(request.state)) if request.state else None
        kept = file.read() if file else None
        source = _Source(request)
        real_ms = clock.now_ms()
        if kept is None:
            origin = Origin(source.words, source.start_ms(real_ms), real_ms, request.speed)
        else:
            origin = kept[0]
            source.check(origin, str(request.state))
        faults = FaultPlan.read(request.faults, origin.start_ms) if request.faults else NONE
        run = _Run(request, source, origin, kept[1] if kept else None, file, faults, ready)
        run_paced(run.serve, origin.simulated_ms(real_ms), request.speed)


def _check(request: SimulateRequest) -> None:
    if not request.speed > 0:
        raise UsageError(Problem("speed", "--speed", f"`{request.speed:g}` is not above 0", "1 is real time"))
    if request.live and (request.data or request.speed != 1 or request.from_ms is not None):
        help_ = "leave out --data, --speed and --from, or --live"
        raise UsageError(Problem("live", "--live", "live prices come now, and at their own speed", help_))


class _Source:
    """Where prices come from."""

    def __init__(self, request: SimulateRequest) -> None:
        self.request = request
        if request.live:
            self.words = "live"
        elif request.data:
            self.words = f"recorded, {request.data}, {request.klines}, seed {request.seed}"
        else:
            self.words = f"synthetic, seed {request.seed}, {request.days} days"
        symbols = [one.symbol for one in usual_spec().symbols]
        self._recorded = open_market(request.data, symbols, klines=request.klines) if request.data else None

    def start_ms(self, real_ms: int) -> int:
        """Return when the exchange opens."""
        if self.request.from_ms is not None:
            return self.request.from_ms
        if self._recorded is None:
            return real_ms
        return max(int(bars.open_time_ms[-1]) for bars in self._recorded.bars.values()) - RECORDED_DAYS * DAY_MS

    def check(self, origin: Origin, where: str) -> None:
        """Refuse a state that belongs to other prices or another speed."""
        asked = (self.words, self.request.speed)
        if asked != (origin.prices, origin.speed):
            problem = (
                f"the state belongs to prices `{origin.prices}` at speed {origin.speed:g}, asked were `{asked[0]}`"
            )
            raise DataError(Problem("other-prices", where, problem, "start as before, or name another state file"))

    def prices(self, start_ms: int) -> PriceSource:
        """Return recorded or synthetic prices, the same for the same start."""
        seed, days = self.request.seed, self.request.days
        market = self._recorded or synthetic_market(seed, start_ms=day_start(start_ms), days=days)
        return RecordedPrices(market, seed=seed)


@dataclass(frozen=True)
class _Run:
    request: SimulateRequest
    source: _Source
    origin: Origin
    kept: Any
    file: StateFile | None
    faults: FaultPlan
    ready: Callable[[Serving], None]

    async def serve(self, clock: Clock) -> None:
        async with AsyncExitStack() as stack:
            live = await self._live(stack) if self.request.live else None
            exchange = self._exchange(live or self.source.prices(self.origin.start_ms), clock)
            self._save(exchange)
            server = SimulatorServer(
                exchange, clock, self.faults, port=self.request.port, changed=lambda: self._save(exchange)
            )
            try:
                await stack.enter_async_context(server)
            except OSError as failure:
                reason = (failure.strerror or str(failure)).lower()
                where = f"{HOST}:{self.request.port}"
                raise UsageError(Problem("port", where, f"cannot listen: {reason}", "name another --port")) from None
            if live:
                await self._follow(stack, live, server, clock)
            stop = asyncio.Event()
            for name in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(name, stop.set)
            self.ready(self._serving(server, clock))
            await stop.wait()
            self._save(exchange)

    def _exchange(self, prices: PriceSource, clock: Clock) -> Exchange:
        if self.kept is not None:
            return Exchange.from_json(self.kept, prices)
        spec, isolated = usual_spec(), self.request.isolated
        if isolated is not None:
            spec = replace(spec, default_leverage=isolated, default_margin_type=ISOLATED)
        exchange = Exchange(spec, prices, clock.now_ms(), seed=self.request.seed)
        exchange.open_account(ACCOUNT, self.request.api_key, self.request.api_secret, self.request.balance_usd)
        return exchange

    def _save(self, exchange: Exchange) -> None:
        if self.file:
            self.file.write(self.origin, exchange.to_json())

    def _serving(self, server: SimulatorServer, clock: Clock) -> Serving:
        request = self.request
        return Serving(
            server.rest_url,
            server.stream_url,
            request.api_key,
            request.api_secret,
            self.source.words,
            clock.now_ms(),
            request.speed,
            len(self.faults.rules),
            self.kept is not None,
        )

    async def _live(self, stack: AsyncExitStack) -> LivePrices:
        from engine.simulator.feed import live_prices, public_client  # noqa: PLC0415 - only for live prices

        client = public_client(self.request.venue_url)
        stack.push_async_callback(client.close_connection)
        return await live_prices(client, [one.symbol for one in usual_spec().symbols])

    async def _follow(self, stack: AsyncExitStack, live: LivePrices, server: SimulatorServer, clock: Clock) -> None:
        from engine.simulator.feed import PublicFeed, public_client  # noqa: PLC0415 - only for live prices

        client = public_client(self.request.venue_url)
        stack.push_async_callback(client.close_connection)
        following = asyncio.ensure_future(PublicFeed(client, live, clock).follow(server.step))
        stack.callback(following.cancel)
