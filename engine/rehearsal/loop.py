"""The rehearsal's loop: an hour of market, a verdict by both engines, and the bounds of the next hour.

Two accounts run side by side on the same bars: `risk` with the policy in the loop, `shadow` at exposure 1 under none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.backtest import Bounds, Simulation
from engine.book import AccountBook
from engine.bounds import Change, Posture, Step, after_approval, after_verdict, initial_posture
from engine.clock import DAY_MS, HOUR_MS
from engine.facts import Assumptions, FactSource, Standing
from engine.ledger.rows import Event
from engine.portfolio import Costs
from engine.rehearsal.recorder import AccountRecorder
from engine.verdict import Judge, Situation, Verdict, bundle_documents, bundle_hashes, canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.config import FrozenConfig
    from engine.ledger import Ledger
    from engine.market.series import Market
    from engine.policy.bundle import Bundle
    from engine.policy.decide import Engine
    from engine.rehearsal.approvals import Approvals
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
    """

    market: Market
    sleeves: Mapping[str, Sleeve]
    config: FrozenConfig
    bundle: Bundle
    start_ms: int
    end_ms: int
    stage: int
    approvals: Approvals


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
        stages = plan.bundle.policies["stages"]
        self._plan = plan
        self._ledger = ledger
        self._stages = stages
        self._judge = Judge(plan.bundle.policies[ACTION], engine, bundle_hashes(plan.bundle), engine_version)
        cap_usd = float(stages.stages[plan.stage].cap_usd)
        self._posture: Posture = initial_posture(plan.stage, cap_usd, plan.start_ms)
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
        self._facts = FactSource(books[RISK], books[SHADOW], assumptions)
        self._flattened_ms: list[int] = []
        self._outcome = ""
        self._events = 0
        self._pending_events: list[Event] = []
        self._recorded_posture: Posture | None = None

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
        )

    def run(self, progress: Callable[[Progress], None]) -> None:
        """Simulate hour by hour; after each day everything is in the ledger, in one transaction.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        self._ledger.append(bundle_documents(self._plan.bundle))
        self._event(self._plan.start_ms, Change("bounds", "launch", {**self._posture.in_force(), "reason": "launch"}))
        self._event(self._plan.start_ms, Change("posture", str(self._posture.stage), self._posture.to_json()))
        opens = self._simulations[RISK].grid_ms.tolist()
        pending: list[Verdict] = []
        for hour, open_ms in enumerate(opens):
            close_ms = open_ms + HOUR_MS
            self._trade(hour, close_ms)
            verdict = self._decide(close_ms)
            day_ends = close_ms % DAY_MS == 0
            if day_ends or verdict.outcome != self._outcome:
                pending.append(verdict)
            self._outcome = verdict.outcome
            if day_ends:
                self._judge.add_day(close_ms, verdict.posted)
            if day_ends or hour == len(opens) - 1:
                self._write(pending)
                pending = []
                equity = self._simulations[RISK].equity_usd
                progress(Progress(close_ms, hour + 1, len(opens), verdict.outcome, equity))

    def _trade(self, hour: int, close_ms: int) -> None:
        posture = self._posture
        bounds = Bounds(posture.exposure, posture.cap_usd, posture.entries_allowed)
        self._simulations[RISK].run(hour + 1, bounds)
        self._simulations[SHADOW].run(hour + 1, self._shadow_bounds)
        for recorder in self._recorders.values():
            recorder.hour(close_ms)

    def _decide(self, now_ms: int) -> Verdict:
        equity = self._simulations[RISK].equity_usd
        for request in self._plan.approvals.given(self._posture.requests, now_ms):
            self._event(now_ms, Change("approval_given", request.kind, {"subject": request.subject}))
            step = after_approval(self._posture, self._judge.policy, self._stages, request, now_ms, equity_usd=equity)
            self._take(step, now_ms)
            equity = self._simulations[RISK].equity_usd
        posture = self._posture
        situation = Situation(posture.stage, posture.exposure, posture.cap_usd, equity)
        facts = self._facts.at(now_ms, self._standing())
        verdict = self._judge.verdict(facts, now_ms, situation, streaks_since_ms=posture.streaks_since_ms)
        decision = verdict.decision
        step = after_verdict(
            posture, self._judge.policy, decision.outcome, decision.fired, now_ms, trusted=decision.trusted
        )
        self._take(step, now_ms, verdict)
        return verdict

    def _standing(self) -> Standing:
        posture = self._posture
        return Standing(
            stage=posture.stage,
            exposure=posture.exposure,
            epoch_ms=posture.epoch_ms,
            launched_ms=self._plan.start_ms,
            flat=posture.paused_since_ms is not None,
            flattened_ms=tuple(self._flattened_ms),
        )

    def _take(self, step: Step, now_ms: int, verdict: Verdict | None = None) -> None:
        """Put a step into force and into the ledger's events."""
        if step.flow_usd:
            self._recorders[RISK].flow(now_ms, step.flow_usd, step.changes[0].kind)
        by = {"verdict_id": verdict.verdict_id} if verdict else {}
        for change in step.changes:
            if change.kind == "flatten":
                self._flattened_ms.append(now_ms)
            self._event(now_ms, Change(change.kind, change.subject, {**change.detail, **by}))
        incident = self._judge.policy.effects[verdict.outcome].incident if verdict else None
        if incident and any(change.kind in {"flatten", "episode_start"} for change in step.changes):
            self._event(now_ms, Change("incident", verdict.outcome if verdict else "", {"severity": incident, **by}))
        before, self._posture = self._posture, step.posture
        bounds = self._posture.in_force()
        if bounds != before.in_force():
            reason = step.changes[0].kind if step.changes else "entries"
            self._event(now_ms, Change("bounds", reason, {**bounds, "reason": reason, **by}))
        if step.changes or (now_ms % DAY_MS == 0 and self._posture != self._recorded_posture):
            self._recorded_posture = self._posture
            self._event(now_ms, Change("posture", str(self._posture.stage), self._posture.to_json()))

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
