"""What is so, as far as it can be told: by the venue, the ledger, the runner's sign of life and the risk guard.

Each is read by itself, so what one cannot tell, the others still do: with the bot dead, the ledger corrupt or the venue
away (R112, R167). What nobody could tell is listed, never left out.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.book import newest_mark, worth_usd
from engine.clock import SystemClock
from engine.config import load_config
from engine.documents import parse_document
from engine.drill import DRILL, drill_venue
from engine.errors import StagegateError, UsageError, VenueError
from engine.execution.journal import Journal
from engine.execution.permit import Permit
from engine.execution.reconcile import differences, ledger_side, venue_side
from engine.inquiry import ACTION, posture_at
from engine.ledger import Ledger
from engine.live.connection import Mode, connection
from engine.live.decision_file import DecisionFiles, named
from engine.live.drill import mark_beside
from engine.live.heartbeat import Heartbeat, heartbeat_beside, read_beat
from engine.live.lock import Holder, holder
from engine.live.opening import FOR_EVER_MS, last_bar_ms, launched_ms
from engine.live.service_sign import ServiceSign, locked_as, read_sign, service_beside
from engine.live.time_check import present_of

if TYPE_CHECKING:
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.reconcile import Difference, LedgerSide, VenueSide
    from engine.ledger import VerdictRecord

PATIENCE_S = 5.0
"""How long a person waits for a venue that accepts and says nothing, whatever each request would wait by itself."""


@dataclass(frozen=True)
class Holding:
    """One position; prices in USDT."""

    symbol: str
    qty: float
    entry_price: float
    mark_price: float
    unrealized_usd: float
    liquidation_price: float | None


@dataclass(frozen=True)
class Standing:
    """One order or stop that stands; `price` is a stop's trigger, None at the market, `qty` None: whatever is held."""

    kind: str
    client_id: str
    symbol: str
    side: int
    qty: float | None
    price: float | None


@dataclass(frozen=True)
class AtVenue:
    """What the venue holds, by its own answers."""

    at_ms: int
    positions: tuple[Holding, ...]
    standing: tuple[Standing, ...]
    wallet_usd: float


@dataclass(frozen=True)
class InLedger:
    """What the ledger remembers.

    Attributes:
        kind: paper or live.
        launched_ms: when the rollout began.
        stage: as are `cap_usd`, `exposure` and `entries_allowed`: in force.
        paused_since_ms: until a signed restart; None: it is not paused.
        waiting: what waits for approval.
        equity_usd: at the last mark, with what has flowed since.
        marked_ms: the last mark, the desk's or the risk guard's.
        last_bar_ms: the close of the last bar whose work was done; None: none yet.
        verdict_id: of the last verdict; empty before the first.
        outcome: of it.
        verdict_ms: its moment.
    """

    kind: str
    launched_ms: int
    stage: int
    cap_usd: float
    exposure: float
    entries_allowed: bool
    paused_since_ms: int | None
    waiting: tuple[str, ...]
    equity_usd: float
    marked_ms: int
    last_bar_ms: int | None
    verdict_id: str = ""
    outcome: str = ""
    verdict_ms: int | None = None


@dataclass(frozen=True)
class GuardSays:
    """The risk guard's latest decision; `age_ms` by the venue's clock, or the machine's where that does not tell."""

    outcome: str
    age_ms: int
    holds: bool
    doing: str


@dataclass(frozen=True)
class Status:
    """Everything that could be told.

    Attributes:
        mode: whose money.
        ledger: its path.
        where: the account, in words; empty where it is not known.
        runner: who holds the ledger's lock; None: no runner runs.
        heartbeat: its last sign of life; None: there is none.
        heartbeat_age_ms: of the machine's time.
        permitted: whether the file that permits to add risk is there.
        permit: who granted it, when and why.
        books: what the ledger remembers; None: it cannot be read, or nothing was launched.
        guard: what the risk guard says; None: nothing.
        venue: what the venue holds; None: it did not tell.
        differences: what venue and ledger do not agree on; None: it cannot be told.
        unknown: what could not be told, and why.
        service: who keeps all of it running; None: nobody does.
        kept: its last sign of life: how each process is; None: there is none.
        kept_age_ms: of the machine's time.
    """

    mode: str
    ledger: str
    where: str
    runner: Holder | None
    heartbeat: Heartbeat | None
    heartbeat_age_ms: int | None
    permitted: bool
    permit: dict[str, str]
    books: InLedger | None
    guard: GuardSays | None
    venue: AtVenue | None
    differences: tuple[Difference, ...] | None
    unknown: tuple[str, ...] = field(default_factory=tuple)
    service: Holder | None = None
    kept: ServiceSign | None = None
    kept_age_ms: int | None = None

    @property
    def whole(self) -> bool:
        """Whether everything was told; that nobody runs is known, and is told."""
        return self.venue is not None and self.books is not None and not self.unknown


def status(ledger: Path, mode: Mode, config: Path, *, patience_s: float = PATIENCE_S) -> Status:
    """Return everything that can be told; whatever fails is said, and hides nothing else.

    Args:
        ledger: of the account.
        mode: paper or real.
        config: the frozen configuration, which says where the risk guard publishes.
        patience_s: how long the venue may take for all that it is asked, in seconds of this machine.
    """
    unknown: list[str] = []
    books, side, tolerance_usd = _books(ledger, unknown)
    where, asked = _venue(ledger, mode, patience_s, unknown)
    at_ms, told = asked if asked is not None else (SystemClock().now_ms(), None)
    permit = Permit.beside(ledger)
    beat = read_beat(heartbeat_beside(ledger))
    running = holder(ledger)
    kept = read_sign(service_beside(ledger))
    return Status(
        mode=str(mode),
        ledger=str(ledger),
        where=where,
        runner=running,
        heartbeat=beat,
        heartbeat_age_ms=None if beat is None else beat.age_ms(),
        permitted=permit.present(),
        permit=permit.terms(),
        books=books,
        guard=_guard(ledger, config, at_ms, unknown),
        venue=None if told is None else _held(at_ms, told),
        differences=(None if told is None or side is None else differences(told, side, tolerance_usd=tolerance_usd)),
        unknown=tuple(unknown),
        service=holder(locked_as(ledger)),
        kept=kept,
        kept_age_ms=None if kept is None else kept.age_ms(),
    )


def _books(path: Path, unknown: list[str]) -> tuple[InLedger | None, LedgerSide | None, float]:
    """Return what the ledger remembers, its side of the account, and by how much cash may differ."""
    try:
        with Ledger.open(path, read_only=True) as ledger:
            begun_ms = launched_ms(ledger)
            if begun_ms is None:
                unknown.append("nothing was launched on this ledger yet")
                return None, None, 0.0
            try:
                present_of(ledger)
            except UsageError as error:
                unknown.append(f"what time it is: {error.problems[0].problem}; nothing starts until the clock is right")
            posture, mark = posture_at(ledger, FOR_EVER_MS), newest_mark(ledger, FOR_EVER_MS)
            verdict = ledger.latest_verdict(policy=ACTION)
            books = InLedger(
                kind=ledger.meta()["kind"],
                launched_ms=begun_ms,
                stage=posture.stage,
                cap_usd=posture.cap_usd,
                exposure=posture.exposure,
                entries_allowed=posture.entries_allowed,
                paused_since_ms=posture.paused_since_ms,
                waiting=tuple(f"{request.kind} of {request.subject}" for request in posture.requests),
                equity_usd=worth_usd(ledger, FOR_EVER_MS) or 0.0,
                marked_ms=mark.at_ms if mark else begun_ms,
                last_bar_ms=last_bar_ms(ledger),
                verdict_id=verdict.verdict_id if verdict else "",
                outcome=verdict.outcome if verdict else "",
                verdict_ms=verdict.at_ms if verdict else None,
            )
            return books, ledger_side(Journal(ledger)), _tolerance_usd(ledger, verdict)
    except StagegateError as error:
        unknown.append(f"the ledger does not tell: {_in_a_line(error)}")
        return None, None, 0.0


def _in_a_line(error: StagegateError) -> str:
    """Return what is wrong, and what to do about it."""
    problem = error.problems[0]
    return f"{problem.problem}; {problem.help}" if problem.help else problem.problem


def _tolerance_usd(ledger: Ledger, verdict: VerdictRecord | None) -> float:
    """Return by how much cash may differ, as the bundle of the last verdict says; 0 before the first."""
    sha256 = json.loads(verdict.document)["hashes"].get("bundle") if verdict else None
    bundle = ledger.document(sha256) if sha256 else None
    if bundle is None:
        return 0.0
    data = parse_document(bundle.text.encode(), bundle.name).data
    return float(data.get("execution", {}).get("balance_tolerance_usd", 0.0))


def _venue(ledger: Path, mode: Mode, patience_s: float, unknown: list[str]) -> tuple[str, tuple[int, VenueSide] | None]:
    """Return where the account is, and what the venue holds with its time."""
    try:
        reached = connection(mode, ledger)
    except StagegateError as error:
        unknown.append(f"the venue cannot be asked: {error.problems[0].where}: {_in_a_line(error)}")
        return _unreached(ledger, mode, error), None

    async def main(clock: Clock) -> tuple[int, VenueSide]:
        # the loop's seconds are the venue's, which may be shorter than those of who waits
        limit_s = patience_s * (reached.announcement.speed if reached.announcement else 1.0)
        async with reached.venue((), clock, lambda: False) as venue, asyncio.timeout(limit_s):
            await venue.server_time_ms()
            side = await venue_side(venue)
            return venue.asker.clock.now_ms(), side

    try:
        return reached.where, reached.run(main)
    except VenueError as error:
        why = error.problems[0].problem
    except TimeoutError:
        why = f"it did not answer within {patience_s:g} s"
    unknown.append(f"what the venue holds is not known: {why}")
    return reached.where, None


def _unreached(ledger: Path, mode: Mode, error: StagegateError) -> str:
    """Say of a drill that it is one, also where its simulator is gone; a ledger of real money is none."""
    mixed_up = error.problems[0].code == "drill"
    is_drill = mark_beside(ledger).exists() or (drill_venue(os.environ) is not None and not mixed_up)
    return f"{DRILL}, not reached" if mode is Mode.REAL and is_drill else ""


def _held(at_ms: int, side: VenueSide) -> AtVenue:
    positions = [
        Holding(
            symbol,
            float(each.qty),
            float(each.entry_price),
            float(each.mark_price),
            float(each.unrealized_usd),
            None if each.liquidation_price is None else float(each.liquidation_price),
        )
        for symbol, each in sorted(side.positions.items())
    ]
    orders = [
        Standing(
            "order",
            each.client_id,
            each.symbol,
            each.side,
            float(each.qty - each.filled_qty),
            None if each.price is None else float(each.price),
        )
        for each in side.orders
    ]
    stops = [
        Standing(
            "stop",
            each.client_id,
            each.symbol,
            each.side,
            None if each.qty is None else float(each.qty),
            float(each.trigger_price),
        )
        for each in side.stops
    ]
    return AtVenue(at_ms, tuple(positions), (*orders, *stops), float(side.wallet_usd))


def _guard(ledger: Path, config: Path, now_ms: int, unknown: list[str]) -> GuardSays | None:
    try:
        report_dir = load_config(config).output.report_dir
    except StagegateError as error:
        where = error.problems[0].where
        unknown.append(f"where the risk guard publishes: {where}: {_in_a_line(error)}; `stagegate rollback --config`")
        return None
    decision = DecisionFiles.under(report_dir).read()
    if decision is None or decision.ledger != named(ledger):
        return None
    return GuardSays(decision.outcome, now_ms - decision.at_ms, decision.holds_at(now_ms), decision.doing)
