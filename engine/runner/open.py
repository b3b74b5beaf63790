"""Opening a desk at its venue: the account looked at, the launch where there was none, everything caught up.

Whatever is not as it must be refuses the start with its cure, before anything is sent.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.clock import hour_start
from engine.config import load_filters
from engine.execution.journal import Journal
from engine.execution.permit import Permit
from engine.execution.reconcile import OPENING, check_start
from engine.inquiry import SHADOW
from engine.live.connection import Mode
from engine.live.decision_file import DecisionFiles, GuardWatch
from engine.live.hands import Leave, hands_at
from engine.live.opening import launched_ms, open_desk
from engine.live.shadow import Shadow
from engine.live.time_check import check_time
from engine.runner.closing_news import with_news
from engine.runner.history import History
from engine.runner.launch import begin, check_kind, check_real, needed_usd
from engine.runner.probes import SETTINGS, probe, refuse_start, settle_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from engine.execution.binance.streams import Patience
    from engine.execution.reconcile import Difference
    from engine.governor import Approvals
    from engine.ledger import Ledger
    from engine.live.connection import Connection
    from engine.live.desk import Desk
    from engine.live.opening import Hands, Release
    from engine.live.stages import Staging
    from engine.policy.decide import Engine


@dataclass(frozen=True)
class Place:
    """Which account is run on what.

    Attributes:
        connection: how to reach it.
        release: what runs.
        report_dir: where the risk guard publishes.
        patience: of the streams; None: the usual one.
        staging: what the stage policy is decided with; None: the stage stays what it is, but for restarts.
    """

    connection: Connection
    release: Release
    report_dir: Path
    patience: Patience | None = None
    staging: Staging | None = None


@dataclass(frozen=True)
class Post:
    """A desk at its venue, and what is looked after beside it.

    Attributes:
        place: where it is.
        ledger: its memory.
        venue: its account.
        clock: the venue's time.
        desk: the desk.
        hands: what it reaches the venue with.
        permit: to add risk.
        journal: of its orders.
        history: what its shadow account is run on.
        approvals: who approves what.
        guard: what the risk guard says.
        found: differences between venue and ledger at the start that one can live with.
    """

    place: Place
    ledger: Ledger
    venue: BinanceVenue
    clock: Clock
    desk: Desk
    hands: Hands
    permit: Leave
    journal: Journal
    history: History
    approvals: Approvals
    guard: GuardWatch
    found: tuple[Difference, ...] = ()

    @property
    def symbols(self) -> tuple[str, ...]:
        """What is traded, in the order of the configuration."""
        return self.place.release.config.market.symbols

    async def catch_up(self) -> None:
        """Find out what became of every order in doubt, and book what was filled and settled.

        Raises:
            VenueError: the venue does not tell.
            LedgerError: it cannot be recorded.
        """
        await self.hands.executor.recover(())  # the desk books the fills, once
        await self.desk.catch_up()


@asynccontextmanager
async def opened(
    place: Place, ledger: Ledger, engine: Engine, approvals: Approvals, clock: Clock
) -> AsyncIterator[Post]:
    """Open a desk, and close its connections at the end.

    Args:
        place: which account, which release.
        ledger: open for writing; a new one is launched.
        engine: the production engine with the action policy.
        approvals: who approves what.
        clock: ours; the venue's is measured against it.

    Raises:
        UsageError: the ledger is of something else, the account is not as it must be, something stands on it that the
            ledger does not know, or real money has no launch; all with their cure.
        VenueError: the venue does not answer, or refuses the key.
        LedgerError: the ledger cannot be read or written.
    """
    connection, config, policies = place.connection, place.release.config, place.release.bundle.policies
    mode = connection.mode
    check_kind(ledger, mode)
    check_time(ledger, clock.now_ms(), ledger.path)
    if mode is Mode.REAL:
        check_real(ledger, place.release.bundle, clock.now_ms())
    permit = Leave(Permit.beside(ledger.path).path)
    async with connection.venue(config.market.symbols, clock, permit.present, patience=place.patience) as venue:
        new_paper = mode is Mode.PAPER and launched_ms(ledger) is None
        account = await probe(venue, config, needed_usd(ledger, mode, place.release))
        time = venue.asker.clock
        passed_over = SETTINGS if new_paper else ()
        refuse_start(account, policies["launch"], config, connection.where, time.now_ms(), passed_over=passed_over)
        if launched_ms(ledger) is None:
            connection.mark(ledger)
            await _begin(venue, ledger, permit, place.release, mode, time)
        post = await assembled(place, ledger, venue, permit, engine, approvals, time)
        tolerance_usd = place.release.bundle.balance_tolerance_usd
        found = await check_start(venue, post.journal, time, post.catch_up, tolerance_usd=tolerance_usd)
        yield replace(post, found=found)


async def _begin(
    venue: BinanceVenue, ledger: Ledger, permit: Leave, release: Release, mode: Mode, clock: Clock
) -> None:
    close_ms = hour_start(clock.now_ms())
    hands = hands_at(venue, ledger, permit, clock, release.config, since_ms=clock.now_ms())

    async def catch_up() -> None:
        await hands.executor.recover(release.config.market.symbols)

    await check_start(venue, Journal(ledger), clock, catch_up)
    if mode is Mode.PAPER:
        await settle_in(venue, release.config)
    begin(ledger, permit, release, mode, close_ms=close_ms, now_ms=clock.now_ms())


async def assembled(
    place: Place,
    ledger: Ledger,
    venue: BinanceVenue,
    permit: Leave,
    engine: Engine,
    approvals: Approvals,
    clock: Clock,
    *,
    armed: Callable[[Hands], Hands] = lambda hands: hands,
) -> Post:
    """Return a desk that goes on where a launched ledger stands, with everything read that its first bar needs.

    Args:
        place: which account, which release.
        ledger: open for writing, launched.
        venue: connected.
        permit: to add risk.
        engine: the production engine with the action policy.
        approvals: who approves what.
        clock: the desk's.
        armed: may replace what the desk reaches the venue with.

    Raises:
        VenueError: the venue does not answer.
        LedgerError: the ledger cannot be read.
    """
    release, config = place.release, place.release.config
    symbols, bundle = config.market.symbols, release.bundle
    start_ms = launched_ms(ledger)
    assert start_ms is not None, "a launch stands in the ledger by now"
    first = ledger.last_mark("risk", start_ms)
    assert first is not None, "a launch marks the account"
    filters = load_filters(bundle.filters.path, symbols) if bundle.filters else {}
    history = History(release, start_ms, first.equity_usd, filters)
    await history.load(venue, clock.now_ms())
    written = ledger.last_mark(SHADOW)
    shadow = Shadow(
        history.simulate, symbols, start_ms, first.equity_usd, written_ms=None if written is None else written.at_ms
    )
    guard = GuardWatch(DecisionFiles.under(place.report_dir), ledger.path, clock)
    desks: list[Desk] = []

    async def filled(symbol: str) -> None:
        """Tell the desk, which is made with the executor that calls this."""
        await desks[0].filled(symbol)

    openings = ledger.events(OPENING)  # whatever was traded within the hour before it was not ours
    since_ms = openings[0].at_ms if openings else start_ms
    hands = hands_at(venue, ledger, permit, clock, config, since_ms=since_ms, on_fill=filled, guard=guard.word)
    hands = armed(with_news(hands, ledger, release, guard))
    desk = open_desk(ledger, release, hands, engine, shadow, approvals, clock, staging=place.staging)
    desks.append(desk)
    history.lend(desk.tape)
    await desk.read_filters()
    return Post(place, ledger, venue, clock, desk, hands, permit, Journal(ledger), history, approvals, guard)
