"""A dry run: the last closed bar's work with the account as it stands, and nothing sent (R047–R053).

It works on a copy of the ledger that is thrown away, so nothing is recorded either. The desk is the one that trades:
only the hands that send are replaced, and what they are handed is shown.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine.clock import hour_start
from engine.execution.binance.clocksync import VenueClock
from engine.execution.course import ParentStatus
from engine.execution.executor import Executor, ParentResult
from engine.execution.flattened import FlattenReport
from engine.execution.journal import Journal
from engine.execution.permit import Permit
from engine.execution.reconcile import differences, ledger_side, venue_side
from engine.execution.sending import Sender
from engine.execution.stops import StopKeeper, StopReport, StopStatus
from engine.ledger import Ledger
from engine.live.hands import Leave
from engine.live.opening import launched_ms
from engine.runner.bar import BarView, bar_view
from engine.runner.launch import begin_on, check_kind, needed_usd
from engine.runner.open import assembled
from engine.runner.probes import probe, refuse_start
from engine.runner.text import signals_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from engine.execution.journal import ParentOrder
    from engine.execution.reconcile import Difference
    from engine.execution.venue import VenueFilters
    from engine.governor import Approvals
    from engine.live.opening import Hands
    from engine.policy.decide import Engine
    from engine.runner.open import Place

NOT_SENT = "dry run: not sent"
AFTER_CLOSE_MS = 50
"""A dry run decides as of this instant after the close, whenever it is done."""


@dataclass(frozen=True)
class DryRun:
    """What a run would do now.

    Attributes:
        bar: the last closed bar's work, as it would have been done at its close.
        age_ms: how long ago that close is.
        late: whether a run now could only reduce, because the decision is too old (A74).
        wrong: why the dry run fails; empty where it does not.
        differences: what the venue and the ledger do not agree on.
    """

    bar: BarView
    age_ms: int
    late: bool
    wrong: tuple[str, ...]
    differences: tuple[Difference, ...]


class _NoHands(Executor):
    """Sends nothing, and says so."""

    async def execute(
        self,
        orders: Sequence[ParentOrder],
        filters: Mapping[str, VenueFilters],  # noqa: ARG002 - as it is called
    ) -> tuple[ParentResult, ...]:
        """Return each order as not sent."""
        return tuple(ParentResult(order, "", Decimal(0), None, ParentStatus.HALTED, NOT_SENT) for order in orders)


class _NoStops(StopKeeper):
    """Places and cancels nothing, and says so."""

    async def keep(self, symbol: str, trigger_price: float | None, tick_size: Decimal) -> StopReport:  # noqa: ARG002
        """Return where the stop would be."""
        where = "none" if trigger_price is None else f"at {trigger_price:.8g}"
        return StopReport(symbol, StopStatus.NONE, detail=f"{where}, {NOT_SENT}")


async def dry_run(
    place: Place, ledger: Path, engine: Engine, approvals_of: Callable[[Ledger], Approvals], clock: Clock
) -> DryRun:
    """Do the last closed bar's work and send nothing.

    Args:
        place: which account, which release.
        ledger: whose rollout it is; it is only read, and need not be there.
        engine: the production engine with the action policy.
        approvals_of: returns who approves what, by the ledger.
        clock: ours; the venue's is measured against it.

    Raises:
        UsageError: the account is not as it must be, or the ledger is of something else.
        VenueError: the venue does not answer, or refuses the key.
        LedgerError: the ledger cannot be read.
    """
    with _copied(ledger) as copy:
        check_kind(copy, place.connection.mode)
        permit = Leave(Permit.beside(copy.path).path)
        if launched_ms(copy) is None or Permit.beside(ledger).present():
            permit.grant(by="dry run", reason="of a copy", at_ms=clock.now_ms())
        async with place.connection.venue(place.release.config.market.symbols, clock, lambda: False) as venue:
            return await _run(place, copy, venue, permit, engine, approvals_of(copy))


async def _run(
    place: Place, copy: Ledger, venue: BinanceVenue, permit: Leave, engine: Engine, approvals: Approvals
) -> DryRun:
    release, mode = place.release, place.connection.mode
    begun = launched_ms(copy) is not None
    account = await probe(venue, release.config, needed_usd(copy, mode, release))
    time = venue.asker.clock
    now_ms = time.now_ms()
    refuse_start(account, release.bundle.policies["launch"], release.config, place.connection.where, now_ms)
    close_ms = hour_start(now_ms)
    if not begun:
        begin_on(copy, release, mode, close_ms)
    at_the_close = VenueClock(time, close_ms + AFTER_CLOSE_MS - now_ms)
    post = await assembled(place, copy, venue, permit, engine, approvals, at_the_close, armed=_disarmed(copy, time))
    held = post.desk.account.qty
    report = await post.desk.bar(close_ms)
    view = bar_view(report, post.desk, release.config, held, halted=not permit.present())
    tolerance_usd = release.bundle.balance_tolerance_usd
    sides = (await venue_side(venue), ledger_side(post.journal))
    found = differences(*sides, tolerance_usd=tolerance_usd) if begun else ()
    late = now_ms - close_ms > release.bundle.decision_valid_ms
    return DryRun(view, now_ms - close_ms, late, tuple(_wrong(view)), found)


def _disarmed(copy: Ledger, clock: Clock) -> Callable[[Hands], Hands]:
    async def no_flatten(reason: str) -> FlattenReport:
        return FlattenReport(reason, clock.now_ms(), {}, (), (NOT_SENT,), {}, "")

    def disarm(hands: Hands) -> Hands:
        sender = Sender(hands.venue, Journal(copy), hands.permit, clock)
        executor = _NoHands(sender, hands.fills, limit_timeout_ms=0)
        return replace(hands, sender=sender, executor=executor, stops=_NoStops(sender), flatten=no_flatten)

    return disarm


def _wrong(view: BarView) -> Iterator[str]:
    """Say why a dry run fails: a bot that wants nothing, or does not know what it wants, must not be launched."""
    yield from (f"the venue did not answer: {each}" for each in view.unheard)
    if view.without_signal:
        yield signals_text(view.without_signal)
    elif view.all_zero:
        yield "all targets are zero: a launch with nothing to do proves nothing (A92)"


@contextmanager
def _copied(ledger: Path) -> Iterator[Ledger]:
    """Lend a copy of a ledger, or a new one where there is none; it is gone afterwards."""
    with TemporaryDirectory(prefix="stagegate-dry-run-") as folder:
        path = Path(folder) / ledger.name
        if ledger.exists():
            with Ledger.open(ledger, read_only=True) as opened:
                opened.backup(path)
        with Ledger.open(path, create=True) as copy:
            yield copy
