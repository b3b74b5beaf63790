"""The rehearsal's loop: an hour of market, a verdict by both engines, and the bounds of the next hour.

Two accounts run side by side on the same bars: `risk` with the policy in the loop, `shadow` at exposure 1 under none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.backtest import Simulation
from engine.book import AccountBook
from engine.bounds import Change, initial_posture
from engine.clock import DAY_MS, HOUR_MS
from engine.facts import WITHIN, Assumptions, FactSource
from engine.governor import Governor, Past, launch_changes
from engine.ledger.rows import Event
from engine.operations.stages.facts import AssumedCosts, StageFacts
from engine.operations.stages.papers import RehearsedPapers
from engine.operations.stages.rollout import STAGES, Before, Rollout
from engine.operations.stages.tenure import Tenure
from engine.portfolio import Bounds, Costs
from engine.rehearsal.recorder import AccountRecorder
from engine.verdict import Judge, Verdict, bundle_documents, bundle_hashes, canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.config import FrozenConfig
    from engine.governor import Approvals
    from engine.ledger import Ledger
    from engine.market.series import Market
    from engine.policy.bundle import Bundle
    from engine.policy.decide import Engine
    from engine.portfolio import SymbolFilters
    from strategies.sleeve import Sleeve

RISK = "risk"
SHADOW = "shadow"
ACTION = "action"


@dataclass(frozen=True)
class Plan:
    """What is rehearsed.

    Attributes:
        market: prices and funding, warm-up included.
        sleeves: symbol -> strategy over the whole history.
        config: the frozen configuration.
        bundle: the policies.
        start_ms: midnight UTC of the first day.
        end_ms: the end, excluded.
        stage: the stage to begin at; its cap is the capital.
        approvals: who approves what.
        filters: symbol -> the venue's limits; empty: quantities are not cut and nothing is refused.
        stage_engine: the production engine with the stage policy; None: the stage stays what it is, but for restarts.
    """

    market: Market
    sleeves: Mapping[str, Sleeve]
    config: FrozenConfig
    bundle: Bundle
    start_ms: int
    end_ms: int
    stage: int
    approvals: Approvals
    filters: Mapping[str, SymbolFilters] = field(default_factory=dict)
    stage_engine: Engine | None = None


@dataclass(frozen=True)
class Progress:
    """Where a rehearsal stands, for the one line that people watch."""

    at_ms: int
    bars: int
    total_bars: int
    outcome: str
    equity_usd: float


class Rehearsal:
    """One run: see `run`.

    Args:
        plan: what is rehearsed.
        ledger: a new ledger; everything is written to it, a day at a time.
        engine: the production engine with the action policy.
        engine_version: for the verdicts.
    """

    def __init__(self, plan: Plan, ledger: Ledger, engine: Engine, engine_version: str) -> None:
        stages = plan.bundle.policies[STAGES]
        self._plan = plan
        self._ledger = ledger
        cap_usd = float(stages.stages[plan.stage].cap_usd)
        self._shadow_bounds = Bounds(cap_usd=cap_usd)
        self._simulations = {account: self._simulation(cap_usd) for account in (RISK, SHADOW)}
        symbols = plan.config.market.symbols
        books = {account: AccountBook(symbols) for account in (RISK, SHADOW)}
        self._recorders = {
            account: AccountRecorder(account, self._simulations[account], books[account], plan.start_ms)
            for account in (RISK, SHADOW)
        }
        backtest = plan.config.backtest
        assumptions = Assumptions(backtest.slippage_bps, backtest.funding_rate.default_rate_8h)
        self._governor = Governor(
            Judge(plan.bundle.policies[ACTION], engine, bundle_hashes(plan.bundle), engine_version),
            stages,
            FactSource(books[RISK], books[SHADOW], assumptions),
            self._recorders[RISK],
            plan.approvals,
            Past(initial_posture(plan.stage, cap_usd, plan.start_ms), plan.start_ms, review=WITHIN),
            self._event,
        )
        if plan.stage_engine is not None:
            self._governor.rollout = self._rollout(plan.stage_engine, books, engine_version)
        self._events = 0
        self._skips_told = 0
        self._pending_events: list[Event] = []

    def _rollout(self, engine: Engine, books: Mapping[str, AccountBook], engine_version: str) -> Rollout:
        plan, backtest = self._plan, self._plan.config.backtest
        costs = AssumedCosts(backtest.fee_bps, backtest.slippage_bps, backtest.funding_rate.default_rate_8h)
        return Rollout(
            Judge(plan.bundle.policies[STAGES], engine, bundle_hashes(plan.bundle), engine_version),
            StageFacts(books[RISK], books[SHADOW], costs, RehearsedPapers()),
            Before(Tenure.of([(plan.start_ms, self._governor.posture)])),
        )

    def _simulation(self, equity_usd: float) -> Simulation:
        plan, backtest = self._plan, self._plan.config.backtest
        rate = backtest.funding_rate.default_rate_8h if backtest.funding_rate.enabled else None
        return Simulation(
            plan.market,
            plan.sleeves,
            weights=plan.config.ensemble.fixed_weights,
            costs=Costs(backtest.fee_bps, backtest.slippage_bps),
            initial_equity_usd=equity_usd,
            start_ms=plan.start_ms,
            end_ms=plan.end_ms,
            dead_band=plan.bundle.rebalance_dead_band_ratio,
            default_rate_8h=rate,
            filters=plan.filters,
        )

    def run(self, progress: Callable[[Progress], None]) -> None:
        """Simulate hour by hour; after each day everything is in the ledger, in one transaction.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        self._ledger.append(bundle_documents(self._plan.bundle))
        for change in launch_changes(self._governor.posture):
            self._event(self._plan.start_ms, change)
        opens = self._simulations[RISK].grid_ms.tolist()
        pending: list[Verdict] = []
        unwritten: Verdict | None = None
        for hour, open_ms in enumerate(opens):
            close_ms = open_ms + HOUR_MS
            self._trade(hour, close_ms)
            before = self._governor.outcome
            verdict = self._governor.decide(close_ms)
            day_ends = close_ms % DAY_MS == 0
            changed = verdict.outcome != before
            if changed and unwritten is not None:  # else the day would not be known to have stood under it
                pending.append(unwritten)
            written = day_ends or changed or not verdict.decision.trusted
            pending += [verdict] if written else []
            unwritten = None if written else verdict
            pending += self._governor.of_stages()
            if day_ends or hour == len(opens) - 1:
                self._write(pending)
                pending = []
                equity = self._simulations[RISK].equity_usd
                progress(Progress(close_ms, hour + 1, len(opens), verdict.outcome, equity))

    def _trade(self, hour: int, close_ms: int) -> None:
        posture = self._governor.posture
        bounds = Bounds(posture.exposure, posture.cap_usd, posture.entries_allowed)
        self._simulations[RISK].run(hour + 1, bounds)
        self._simulations[SHADOW].run(hour + 1, self._shadow_bounds)
        for recorder in self._recorders.values():
            recorder.hour(close_ms)
        self._tell_skipped()

    def _tell_skipped(self) -> None:
        """Record the orders of the risk account that the venue's limits refused (A56)."""
        skips = self._simulations[RISK].skips
        for skip in skips[self._skips_told :]:
            least_usd = self._plan.filters[skip.symbol].min_notional_usd
            detail = {"notional_usd": round(skip.notional_usd, 2), "minimum_usd": least_usd, "reason": skip.reason}
            self._event(skip.at_ms, Change("order_skipped", skip.symbol, detail))
        self._skips_told = len(skips)

    def _event(self, now_ms: int, change: Change) -> None:
        self._events += 1
        event = Event(f"E{self._events:06d}", now_ms, change.kind, change.subject, canonical(dict(change.detail)))
        self._pending_events.append(event)

    def _write(self, verdicts: Iterable[Verdict]) -> None:
        with self._ledger.transaction():
            for recorder in self._recorders.values():
                recorder.write(self._ledger)
            for verdict in verdicts:
                self._ledger.append(verdict.rows())
            self._ledger.append(self._pending_events)
        self._pending_events = []
