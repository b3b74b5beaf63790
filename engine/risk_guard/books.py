"""What the ledger tells the risk guard: the bounds in force, what is idle cash, units and NAV, what happened of late.

The guard does not depend on the runner's books for the equity: that comes from the venue. The ledger says what of it is
at risk, and what it was worth before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.bounds import Posture
from engine.clock import DAY_MS
from engine.execution.fills import FORCED, OTHER_FEE
from engine.execution.reconcile import OPENING, TRANSFER
from engine.ledger.rows import Event
from engine.live.account import RISK
from engine.live.outages import BEGUN, ENDED, Outage, outages_of
from engine.metrics import YOUNG, Metric, daily_closes, known
from engine.metrics.returns import DAYS_PER_YEAR
from engine.operations.incidents.demands import RESUME
from engine.posted import facts_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.ledger import Ledger
    from engine.policy.facts import Fact
    from strategies.bars import FloatArray, IntArray

GUARD = "guard"
"""The account under which the guard's own marks stand, and the name under which it notes events."""

HELD = "entries_halted"
"""The kind of the event of a halt that leaves positions and stops; written before the permit is taken away."""

CANARY = "canary"
"""The kind of the event of what the canary showed."""

COST_DAYS = 30
"""The definition of the fact cost_drag."""

_SPARED = "spared"


def held_row(by: str, now_ms: int) -> Event:
    """Return the row of a halt that leaves what stands."""
    return Event(f"{HELD}-{now_ms}", now_ms, HELD, by, "{}")


@dataclass(frozen=True)
class Books:
    """One reading of the ledger.

    Attributes:
        launched_ms: when the rollout began.
        posture: in force.
        opened_ms: when the cash of the account was noted.
        idle_usd: cash of the wallet at the launch that is not at risk, less what flowed in since (A53); None: nobody
            noted what the account began with.
        other_fees_usd: fees that were paid in another asset, and so are not in the venue's USDT (A39).
        units: now, flows after the last mark included.
        mark_ms: int64 (n,), the risk account's marks since the epoch.
        nav: float64 (n,), per unit.
        guard_mark_ms: the guard's own last mark; None: none since the epoch.
        guard_nav: of that mark.
        guard_peak: the highest NAV among the guard's own marks since the epoch.
        posted: the facts of the last snapshot.
        forced: what the venue closed by force in the last day and since the epoch: symbol and time of each fill.
        outages: of the last two days, and one that never ended.
        transfers: of cash at the venue, as noted: id -> USDT.
        cost_drag: costs of 30 days over the mean equity, annualised, a ratio.
        halted_ms: when a flatten last began; None: never.
        resumed_ms: when the permit was last granted again; None: never.
        held_ms: when a halt was last latched that leaves what stands; None: never.
        spared: whether the last canary showed that the venue's countdown spares stops.
    """

    launched_ms: int
    posture: Posture
    opened_ms: int
    idle_usd: float | None
    other_fees_usd: float
    units: float
    mark_ms: IntArray
    nav: FloatArray
    guard_mark_ms: int | None
    guard_nav: float
    guard_peak: float
    posted: Mapping[str, Fact]
    forced: tuple[tuple[str, int], ...]
    outages: tuple[Outage, ...]
    transfers: Mapping[str, float]
    cost_drag: Metric
    halted_ms: int | None
    resumed_ms: int | None
    held_ms: int | None
    spared: bool

    @property
    def held(self) -> bool:
        """Whether the halt that is latched leaves what stands: nobody has begun to close, or gone on, since."""
        later = (self.halted_ms, self.resumed_ms, self.posture.epoch_ms)
        return self.held_ms is not None and all(at_ms is None or at_ms < self.held_ms for at_ms in later)

    @property
    def answered(self) -> bool:
        """Whether the last halt was answered by a restart that people signed, and only the permit is still to come."""
        restarted_ms = self.posture.epoch_ms if self.posture.epoch_ms > self.launched_ms else None
        if restarted_ms is None or self.posture.paused_since_ms is not None:
            return False
        return all(at_ms is None or at_ms < restarted_ms for at_ms in (self.halted_ms, self.resumed_ms))


def read_books(ledger: Ledger, now_ms: int, before: Books | None = None) -> Books | None:
    """Read the ledger; None: it holds no rollout.

    Args:
        ledger: open.
        now_ms: the time.
        before: the reading before: the guard's own marks are read once, they come from nobody else.

    Raises:
        LedgerError: it cannot be read.
    """
    started = ledger.meta().get("from_ms")
    postures = ledger.events("posture")
    if started is None or not postures:
        return None
    launched_ms = int(started)
    posture = Posture.from_json(json.loads(postures[-1].document))
    marks = ledger.marks(RISK, min(posture.epoch_ms, now_ms - (COST_DAYS + 2) * DAY_MS))
    if not len(marks):
        return None
    since_epoch = marks.at_ms >= posture.epoch_ms
    flows = ledger.cash_flows(RISK)
    later = sum(flow.amount_usd for flow in flows if flow.at_ms >= marks.at_ms[-1])
    opening = ledger.events(OPENING)
    idle_usd = None
    if opening:
        wallet_usd = float(json.loads(opening[0].document)["wallet_usd"])
        capital_usd = float(ledger.marks(RISK, launched_ms, launched_ms).equity_usd[0])
        idle_usd = wallet_usd - capital_usd - sum(flow.amount_usd for flow in flows)
    facts = ledger.facts_at()
    halts, resumes, holds = ledger.events("flatten_begun"), ledger.events(RESUME), ledger.events(HELD)
    canaries = ledger.events(CANARY)
    read = Books(
        launched_ms=launched_ms,
        posture=posture,
        opened_ms=opening[0].at_ms if opening else launched_ms,
        idle_usd=idle_usd,
        other_fees_usd=sum(json.loads(event.document)["fee_usd"] for event in ledger.events(OTHER_FEE)),
        units=marks.units.item(-1) + later / marks.nav.item(-1),
        mark_ms=marks.at_ms[since_epoch],
        nav=marks.nav[since_epoch],
        guard_mark_ms=None,
        guard_nav=0.0,
        guard_peak=0.0,
        posted={} if facts is None else facts_from(facts.document),
        forced=_forced(ledger, max(posture.epoch_ms, now_ms - DAY_MS)),
        outages=outages_of([*ledger.events(BEGUN), *ledger.events(ENDED)]),
        transfers={event.subject: json.loads(event.document)["amount_usd"] for event in ledger.events(TRANSFER)},
        cost_drag=_cost_drag(ledger, marks.at_ms, marks.equity_usd, now_ms),
        halted_ms=halts[-1].at_ms if halts else None,
        resumed_ms=resumes[-1].at_ms if resumes else None,
        held_ms=holds[-1].at_ms if holds else None,
        spared=bool(canaries) and canaries[-1].subject == _SPARED,
    )
    return _with_own_marks(read, ledger, before)


def _with_own_marks(read: Books, ledger: Ledger, before: Books | None) -> Books:
    if before is not None and before.posture.epoch_ms == read.posture.epoch_ms:
        own = (before.guard_mark_ms, before.guard_nav, before.guard_peak)
    else:
        marks = ledger.marks(GUARD, read.posture.epoch_ms)
        own = (int(marks.at_ms[-1]), marks.nav.item(-1), float(np.max(marks.nav))) if len(marks) else (None, 0.0, 0.0)
    return replace(read, guard_mark_ms=own[0], guard_nav=own[1], guard_peak=own[2])


def _forced(ledger: Ledger, from_ms: int) -> tuple[tuple[str, int], ...]:
    return tuple((fill.symbol, fill.at_ms) for fill in ledger.fills(RISK, from_ms) if fill.reason == FORCED)


def _cost_drag(ledger: Ledger, mark_ms: IntArray, equity_usd: FloatArray, now_ms: int) -> Metric:
    """Return fees, slippage and net funding of 30 days over the mean of the 30 daily closes, annualised, a ratio."""
    closes = daily_closes(mark_ms, equity_usd, now_ms)
    status = closes.status(COST_DAYS + 1)
    if status != "ok":
        return YOUNG if status == "young" else Metric(None, status)
    mean_usd = float(np.mean(closes.value[-COST_DAYS:]))
    from_ms = now_ms - COST_DAYS * DAY_MS
    fills, payments = ledger.fills(RISK, from_ms, now_ms), ledger.funding(RISK, from_ms, now_ms)
    costs = sum(fill.fee_usd + fill.side * fill.qty * (fill.price - fill.ref_price) for fill in fills)
    costs -= sum(payment.amount_usd for payment in payments)
    return known(costs / mean_usd * DAYS_PER_YEAR / COST_DAYS if mean_usd > 0 else None)
