"""Starting the caretaker: from a request to one that works on, or that works once."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.alerts.apart import apart
from engine.alerts.outbox import deliver_alerts
from engine.alerts.settings import alert_settings
from engine.clock import SystemClock
from engine.config import load_config
from engine.errors import UsageError
from engine.ledger import Ledger
from engine.live.connection import Mode, connection
from engine.live.lock import InstanceLock
from engine.live.paper import paper_account, started_beside
from engine.live.public import public_market
from engine.live.review_desk import ReviewDesk
from engine.market.download import download as fetch
from engine.policy.bundle import load_bundle
from engine.service.cadences import papers, rounds
from engine.service.candidate import Candidate, check_candidate
from engine.service.caretaker import Keeping, Work, beat_beside
from engine.service.duty import Duty, Round
from engine.service.settings import load_settings
from engine.telegram.desk import ChatDesk
from engine.telegram.serving import serve_commands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from engine.clock import Clock
    from engine.config import FrozenConfig
    from engine.live.connection import Connection

T = TypeVar("T")


@dataclass(frozen=True)
class CareRequest:
    """What the caretaker is asked.

    Attributes:
        rules: the bundle.
        ledger: of the account.
        mode: whose money.
        signers: whose key is whose.
        settings: the service's file.
        market: the market store, for replays.
        shadow: a candidate bundle that decides beside production; None: there is none.
        telegram: commands by chat are heard.
    """

    rules: Path
    ledger: Path
    mode: Mode
    signers: Path
    settings: Path
    market: Path
    shadow: Path | None = None
    telegram: bool = False


def caretake(request: CareRequest, show: Callable[[str], None]) -> None:
    """Work until SIGTERM or SIGINT; a second process of it on the same ledger is refused.

    Raises:
        StagegateError: it cannot be begun: the files are wrong, the ledger cannot be opened, or another one works.
    """

    async def act(keeping: Keeping) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, keeping.stop)
        await keeping.run(beat_beside(request.ledger))

    _at_work(request, show, act)


def caretake_once(request: CareRequest, show: Callable[[str], None]) -> tuple[str, ...]:
    """Do everything once that is due; return what went wrong. The errors are those of `caretake`."""

    async def act(keeping: Keeping) -> tuple[str, ...]:
        return await keeping.once()

    return _at_work(request, show, act)


def _at_work(request: CareRequest, show: Callable[[str], None], act: Callable[[Keeping], Awaitable[T]]) -> T:
    times = load_settings(request.settings).caretaker
    bundle = load_bundle(request.rules)
    config = load_config(bundle.config_path)
    reached, unreached = _reached(request)
    with ExitStack() as stack:
        locked = request.ledger.with_name(f"{request.ledger.name}.caretaker")
        stack.enter_context(InstanceLock(locked, "caretake", SystemClock().now_ms()))
        ledger = stack.enter_context(Ledger.open(request.ledger))
        turns = rounds(times)
        if request.mode is Mode.PAPER and started_beside(request.ledger).exists():
            exchange = _exchange(request.ledger, config, show)
            turns.append(Round("paper exchange", times.exchange_every_s, exchange, dated=False))
        if reached is not None and reached.announcement is None:
            turns.append(Round("prices", times.prices_every_s, _prices(request.market, config), dated=False))
        if request.shadow is not None:
            candidate = load_bundle(request.shadow)
            check_candidate(candidate, bundle)
            follow = stack.enter_context(Candidate(candidate)).follow
            turns.append(Round("shadow", times.shadow_every_s, follow))

        async def main(clock: Clock) -> T:
            async with _duty(request, ledger, clock, config, reached, unreached) as duty:
                beside = list(_beside(request, config, clock, show))
                return await act(Keeping(duty, Work(turns, papers(times), times, beside), show))

        if reached is not None:
            return reached.run(main)
        return asyncio.run(_awaited(main(SystemClock())))


@asynccontextmanager
async def _duty(
    request: CareRequest,
    ledger: Ledger,
    clock: Clock,
    config: FrozenConfig,
    reached: Connection | None,
    unreached: str,
) -> AsyncIterator[Duty]:
    async with AsyncExitStack() as stack:
        venue = None
        if reached is not None:
            symbols = config.market.symbols
            venue = await stack.enter_async_context(reached.venue(symbols, clock, lambda: False))
        desk = ReviewDesk(request.ledger, config.path, request.rules, None, "klines", request.market)
        report_dir = Path(config.output.report_dir)
        yield Duty(ledger, clock, config.path, request.rules, report_dir, desk.prices, venue, unreached)


def _beside(
    request: CareRequest, config: FrozenConfig, clock: Clock, show: Callable[[str], None]
) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """Yield what runs all the time, each in a thread of its own, whatever the runner does.

    A mistake in the alerts file is told when its work begins, so that it keeps nothing else from being done.
    """

    async def deliver() -> None:
        settings = alert_settings(config, request.rules)
        if any(route.url.resolve(os.environ) is not None for route in settings.routes):
            await apart(lambda stop: deliver_alerts(request.ledger, settings, os.environ, clock, stop, show), "outbox")

    yield "alerts", deliver
    if request.telegram:
        desk = ChatDesk(request.ledger, request.rules, config.path, request.mode, request.signers)

        async def hear() -> None:
            await apart(lambda stop: serve_commands(desk, os.environ, SystemClock(), stop, show), "telegram")

        yield "commands by chat", hear


def _reached(request: CareRequest) -> tuple[Connection | None, str]:
    """Return how to reach the account; without it, whatever needs no venue is done all the same."""
    try:
        return connection(request.mode, request.ledger), ""
    except UsageError as error:
        return None, error.problems[0].problem


def _exchange(ledger: Path, config: FrozenConfig, show: Callable[[str], None]) -> Callable[[Duty], Awaitable[None]]:
    """Return what sees to it that the paper account's exchange answers: it has no operator of its own."""

    async def act(_: Duty) -> None:
        await asyncio.to_thread(paper_account, ledger, None, config, show)

    return act


def _prices(market: Path, config: FrozenConfig) -> Callable[[Duty], Awaitable[None]]:
    """Return what brings the market store up to date: reports are held against a replay of the same bars."""
    wanted = config.market

    async def act(_: Duty) -> None:
        venue = public_market(market)  # in a drill the simulator's
        span = partial(fetch, start_ms=wanted.start_ms, end_ms=wanted.end_ms)
        await asyncio.to_thread(span, market, wanted.symbols, clock=venue.clock, url=venue.url)

    return act


async def _awaited(work: Awaitable[T]) -> T:
    return await work
