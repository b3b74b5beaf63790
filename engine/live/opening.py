"""Opening a desk: a launch on a new ledger, or going on from what an earlier run left in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.bounds import initial_posture
from engine.clock import HOUR_MS
from engine.facts import Assumptions, FactSource
from engine.governor import Governor, Past, launch_changes
from engine.inquiry import ACTION, posture_at, review_at
from engine.live.account import RiskAccount
from engine.live.bar_reader import WARMUP_MS
from engine.live.desk import BAR, Desk
from engine.live.desk_parts import Parts, Rules
from engine.live.eventlog import EventLog
from engine.live.settlements import SettlementBook
from engine.live.signals import Signals, Tape
from engine.live.stages import Books, Staging, paper_capital_usd, rollout_of
from engine.live.trader import RESTART
from engine.portfolio import Bounds
from engine.posted import facts_from
from engine.verdict import Judge, bundle_documents, bundle_hashes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.clock import Clock
    from engine.config import FrozenConfig
    from engine.execution.executor import Executor
    from engine.execution.fills import FillBook
    from engine.execution.flattened import FlattenReport
    from engine.execution.permit import Permit
    from engine.execution.sending import Sender
    from engine.execution.stops import StopKeeper
    from engine.execution.venue import Venue
    from engine.facts import GuardWord
    from engine.governor import Approvals
    from engine.ledger import Ledger
    from engine.live.shadow import Shadow
    from engine.policy.bundle import Bundle
    from engine.policy.decide import Engine

RUNNER = "runner"
FOR_EVER_MS = 2**62


@dataclass(frozen=True)
class Release:
    """What a desk runs: the configuration, the policies, and the version of this program."""

    config: FrozenConfig
    bundle: Bundle
    engine_version: str


@dataclass(frozen=True)
class Hands:
    """What a desk reaches the venue with; `resume` as in `Parts`; `guard` returns what the risk guard says now."""

    venue: Venue
    permit: Permit
    sender: Sender
    fills: FillBook
    executor: Executor
    stops: StopKeeper
    flatten: Callable[[str], Awaitable[FlattenReport]]
    resume: Callable[[], None] | None = None
    guard: Callable[[], GuardWord | None] = lambda: None


def launched_ms(ledger: Ledger) -> int | None:
    """Return when the rollout of a ledger began; None: it has not."""
    found = ledger.meta().get("from_ms")
    return None if found is None else int(found)


def launch(ledger: Ledger, release: Release, *, kind: str, stage: int, capital_usd: float, at_ms: int) -> None:
    """Begin a rollout on a new ledger: the capital, the bounds, and every text that verdicts will be replayed with.

    Args:
        ledger: without a rollout.
        release: what is launched.
        kind: live, paper or rehearsal.
        stage: to begin at.
        capital_usd: the risk equity and cap to begin with.
        at_ms: the close of a bar.

    Raises:
        LedgerError: it cannot be written.
    """
    events = EventLog(RUNNER, ledger)
    account = RiskAccount.opened(release.config.market.symbols, at_ms, capital_usd)
    with ledger.transaction():
        ledger.append(bundle_documents(release.bundle))
        ledger.append(account.unwritten())
        for change in launch_changes(initial_posture(stage, capital_usd, at_ms)):
            events.record(at_ms, change)
        ledger.append(events.take())
    # last: `launched_ms` reads it, so a launch that was cut short is begun again, and its rows are the same
    ledger.set_meta(kind=kind, created_at_ms=at_ms, from_ms=at_ms, stage=stage, engine_version=release.engine_version)


def open_desk(
    ledger: Ledger,
    release: Release,
    hands: Hands,
    engine: Engine,
    shadow: Shadow,
    approvals: Approvals,
    clock: Clock,
    *,
    staging: Staging | None = None,
) -> Desk:
    """Return a desk that goes on where the ledger stands.

    Args:
        ledger: with a rollout.
        release: what runs.
        hands: what it reaches the venue with.
        engine: the production engine with the action policy.
        shadow: the shadow account.
        approvals: who approves what.
        clock: the time.
        staging: what the stage policy is decided with; None: the stage stays what it is, but for restarts.

    Raises:
        LedgerError: the ledger cannot be read, or holds no rollout.
    """
    config, bundle = release.config, release.bundle
    symbols = config.market.symbols
    start_ms = int(ledger.meta()["from_ms"])
    account = RiskAccount.read(ledger, symbols)
    tape = Tape(symbols, WARMUP_MS // HOUR_MS)
    events = EventLog(RUNNER, ledger)
    backtest = config.backtest
    assumptions = Assumptions(backtest.slippage_bps, backtest.funding_rate.default_rate_8h)
    judge = Judge(bundle.policies[ACTION], engine, bundle_hashes(bundle), release.engine_version)
    for snapshot in ledger.day_closes(-1):
        judge.add_day(snapshot.at_ms, facts_from(snapshot.document))
    governor = Governor(
        judge,
        bundle.policies["stages"],
        FactSource(account.book, shadow.book, assumptions),
        account,
        approvals,
        replace(past_of(ledger, start_ms), paper_usd=paper_capital_usd(ledger, config)),
        events.record,
        hands.guard,
    )
    if staging is not None:
        books = Books(account.book, shadow.book)
        governor.rollout = rollout_of(ledger, bundle, config, staging, books, release.engine_version)
    restarts: dict[str, list[int]] = {}
    for event in ledger.events(RESTART):
        restarts.setdefault(event.subject, []).append(json.loads(event.document)["bar_ms"])
    parts = Parts(
        ledger=ledger,
        venue=hands.venue,
        permit=hands.permit,
        clock=clock,
        governor=governor,
        account=account,
        shadow=shadow,
        tape=tape,
        signals=Signals(config, restarts),
        fills=hands.fills,
        settlements=SettlementBook(hands.venue, ledger, account, tape, clock, since_ms=start_ms),
        executor=hands.executor,
        stops=hands.stops,
        events=events,
        resume=hands.resume,
    )
    before, untrimmed = _last_bar(ledger)
    return Desk(Rules.of(config, bundle), parts, hands.flatten, before=before, untrimmed=untrimmed)


def past_of(ledger: Ledger, start_ms: int) -> Past:
    """Return what a governor must know of the time before.

    Raises:
        LedgerError: the ledger holds no bounds.
    """
    last = ledger.latest_verdict(policy=ACTION)
    return Past(
        posture=posture_at(ledger, FOR_EVER_MS),
        launched_ms=start_ms,
        flattened_ms=tuple(event.at_ms for event in ledger.events("flatten")),
        outcome=last.outcome if last else "",
        review=review_at(ledger, FOR_EVER_MS),
    )


def last_bar_ms(ledger: Ledger) -> int | None:
    """Return the close of the last bar whose work was done; None: none yet."""
    bars = ledger.events(BAR)
    return bars[-1].at_ms if bars else None


def _last_bar(ledger: Ledger) -> tuple[Bounds | None, frozenset[str]]:
    bars = ledger.events(BAR)
    if not bars:
        return None, frozenset()
    detail = json.loads(bars[-1].document)
    return Bounds(*detail["bounds"]), frozenset(detail["untrimmed"])
