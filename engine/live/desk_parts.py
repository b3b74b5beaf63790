"""What a desk is made of, what it trades by, and what it reports of a bar: values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.clock import Clock
    from engine.config import FrozenConfig
    from engine.execution.executor import Executor, ParentResult
    from engine.execution.fills import FillBook
    from engine.execution.flattened import FlattenReport
    from engine.execution.permit import Permit
    from engine.execution.planned import Plan
    from engine.execution.stops import StopKeeper, StopReport
    from engine.execution.venue import Venue
    from engine.governor import Governor
    from engine.ledger import Ledger
    from engine.live.account import RiskAccount
    from engine.live.eventlog import EventLog
    from engine.live.settlements import SettlementBook
    from engine.live.shadow import Shadow
    from engine.live.signals import Reading, Signals, Tape
    from engine.policy.bundle import Bundle


@dataclass(frozen=True)
class Rules:
    """What a desk trades by, from the frozen configuration and the bundle.

    Attributes:
        symbols: in the order of the configuration.
        weights: symbol -> share of the equity.
        dead_band: ratio of a target.
        decision_valid_for_ms: after it a decision only reduces (A74).
        prefer_limit: post first, then take.
    """

    symbols: tuple[str, ...]
    weights: Mapping[str, float]
    dead_band: float
    decision_valid_for_ms: int
    prefer_limit: bool

    @classmethod
    def of(cls, config: FrozenConfig, bundle: Bundle) -> Rules:
        """Return the rules of a release."""
        return cls(
            config.market.symbols,
            config.ensemble.fixed_weights,
            bundle.rebalance_dead_band_ratio,
            bundle.decision_valid_ms,
            config.live.prefer_limit_order,
        )


@dataclass(frozen=True)
class Parts:
    """What a desk works with; all of it made by whoever opens the desk.

    `resume` grants the permit once a restart is approved; None: a person does (`stagegate resume`).
    """

    ledger: Ledger
    venue: Venue
    permit: Permit
    clock: Clock
    governor: Governor
    account: RiskAccount
    shadow: Shadow
    tape: Tape
    signals: Signals
    fills: FillBook
    settlements: SettlementBook
    executor: Executor
    stops: StopKeeper
    events: EventLog
    resume: Callable[[], None] | None = None


@dataclass(frozen=True)
class BarReport:
    """What a desk did at the close of a bar.

    Attributes:
        close_ms: of the bar.
        outcome: of the action policy.
        verdict_id: of the verdict.
        plan: what it led to.
        results: what became of the orders.
        stops: how the protection stands.
        flattened: the report of a flatten, where the book had to be closed.
        unheard: what the venue did not answer, in words; the equity is then as old as the last mark.
        readings: what each sleeve said.
    """

    close_ms: int
    outcome: str
    verdict_id: str
    plan: Plan
    results: tuple[ParentResult, ...] = ()
    stops: tuple[StopReport, ...] = ()
    flattened: FlattenReport | None = None
    unheard: tuple[str, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)
