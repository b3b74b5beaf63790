"""The rollout's hand: facts go to both engines, and what they decide goes into force and into the ledger's events.

The same for a rehearsal, for paper and for real money; what differs is the account, the clock and who approves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.bounds import Change, after_approval, after_verdict, paused
from engine.clock import DAY_MS
from engine.facts import Standing
from engine.verdict import Situation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.bounds import Posture, Request, Step
    from engine.facts import FactSource, GuardWord
    from engine.policy.effects import Effects
    from engine.policy.model import Policy
    from engine.verdict import Judge, Verdict


class RiskAccount(Protocol):
    """The account whose equity is at risk."""

    @property
    def equity_usd(self) -> float:
        """The risk equity now (A53)."""
        ...

    def flow(self, at_ms: int, amount_usd: float, reason: str) -> None:
        """Move virtual cash in or out."""
        ...


class Approvals(Protocol):
    """Decides which of the waiting requests have all their approvals."""

    def given(self, requests: Sequence[Request], now_ms: int) -> tuple[Request, ...]:
        """Return the requests approved at `now_ms`."""
        ...


@dataclass(frozen=True)
class Past:
    """What a governor must know of the time before it: all of it stands in the ledger.

    Attributes:
        posture: the bounds in force.
        launched_ms: when the ledger began.
        flattened_ms: when the book was flattened, every time.
        outcome: of the last verdict; empty before the first.
        review: WITHIN, BREACH, or None where no review was held (A99).
    """

    posture: Posture
    launched_ms: int
    flattened_ms: tuple[int, ...] = ()
    outcome: str = ""
    review: str | None = None


class Governor:
    """Decides one moment after another, and keeps the posture.

    Args:
        judge: the action policy with both engines.
        stages: the stage policy: caps, and where a restart leads.
        facts: computes the facts of a moment.
        account: the risk account.
        approvals: who approves what.
        past: what was before.
        record: takes every change, with its time.
        guard: returns what the risk guard says now; None where no guard watches.
    """

    def __init__(
        self,
        judge: Judge,
        stages: Policy,
        facts: FactSource,
        account: RiskAccount,
        approvals: Approvals,
        past: Past,
        record: Callable[[int, Change], object],
        guard: Callable[[], GuardWord | None] = lambda: None,
    ) -> None:
        self.judge = judge
        self.posture = past.posture
        self.outcome = past.outcome
        self.review = past.review
        self._stages = stages
        self._facts = facts
        self._account = account
        self._approvals = approvals
        self._launched_ms = past.launched_ms
        self._flattened_ms = list(past.flattened_ms)
        self._record = record
        self._guard = guard
        self._recorded_posture: Posture | None = None

    @property
    def launched_ms(self) -> int:
        """When the rollout began."""
        return self._launched_ms

    @property
    def entries_allowed(self) -> bool:
        """Whether exposure may be opened or increased now: neither the posture nor the risk guard forbids it."""
        word = self._guard()
        forbidden = word is not None and word.epoch_ms == self.posture.epoch_ms and word.entries_blocked
        return self.posture.entries_allowed and not forbidden

    def decide(self, now_ms: int) -> Verdict:
        """Return the verdict of `now_ms`; what it does is in force when this returns.

        Approvals given by then come first. At the end of a day its facts join the streaks.
        """
        for request in self._approvals.given(self.posture.requests, now_ms):
            self._record(now_ms, Change("approval_given", request.kind, {"subject": request.subject}))
            equity = self._account.equity_usd
            step = after_approval(self.posture, self.judge.policy, self._stages, request, now_ms, equity_usd=equity)
            self._take(step, now_ms)
        posture = self.posture
        situation = Situation(posture.stage, posture.exposure, posture.cap_usd, self._account.equity_usd)
        facts = self._facts.at(now_ms, self._standing())
        verdict = self.judge.verdict(facts, now_ms, situation, streaks_since_ms=posture.streaks_since_ms)
        decision = verdict.decision
        step = after_verdict(
            posture, self.judge.policy, decision.outcome, decision.fired, now_ms, trusted=decision.trusted
        )
        self._take(step, now_ms, verdict)
        self.outcome = verdict.outcome
        if now_ms % DAY_MS == 0:
            self.judge.add_day(now_ms, verdict.posted)
        return verdict

    def flattened(self, at_ms: int, outcome: str, effects: Effects, reason: str) -> None:
        """Take note that the book was closed from outside: by the risk guard, or by a person.

        Args:
            at_ms: when.
            outcome: of the risk guard's policy.
            effects: of that outcome.
            reason: for the record.
        """
        step = paused(self.posture, outcome, effects, at_ms)
        if not step.changes:
            self._flattened_ms.append(at_ms)
            self._record(at_ms, Change("flatten", outcome, {"reason": reason}))
        self._take(step, at_ms)

    def _standing(self) -> Standing:
        posture = self.posture
        return Standing(
            stage=posture.stage,
            exposure=posture.exposure,
            epoch_ms=posture.epoch_ms,
            launched_ms=self._launched_ms,
            flat=posture.paused_since_ms is not None,
            flattened_ms=tuple(self._flattened_ms),
            review=self.review,
            guard=self._guard(),
        )

    def _take(self, step: Step, now_ms: int, verdict: Verdict | None = None) -> None:
        """Put a step into force and into the events."""
        if step.flow_usd:
            self._account.flow(now_ms, step.flow_usd, step.changes[0].kind)
        by = {"verdict_id": verdict.verdict_id} if verdict and (step.changes or step.posture != self.posture) else {}
        self._flattened_ms += [now_ms for change in step.changes if change.kind == "flatten"]
        self._put(step.posture, now_ms, _with_incident(step.changes, self.judge.policy, verdict), by)

    def _put(self, posture: Posture, now_ms: int, changes: Iterable[Change], by: dict[str, str]) -> None:
        changes = tuple(changes)
        for change in changes:
            self._record(now_ms, Change(change.kind, change.subject, {**change.detail, **by}))
        before, self.posture = self.posture, posture
        bounds = posture.in_force()
        if bounds != before.in_force():
            reason = changes[0].kind if changes else "entries"
            self._record(now_ms, Change("bounds", reason, {**bounds, "reason": reason, **by}))
        if changes or (now_ms % DAY_MS == 0 and posture != self._recorded_posture):
            self._record_posture(now_ms)

    def _record_posture(self, at_ms: int) -> None:
        self._recorded_posture = self.posture
        self._record(at_ms, Change("posture", str(self.posture.stage), self.posture.to_json()))


def launch_changes(posture: Posture) -> tuple[Change, ...]:
    """Return what is recorded of the bounds that a rollout begins with."""
    bounds = Change("bounds", "launch", {**posture.in_force(), "reason": "launch"})
    return bounds, Change("posture", str(posture.stage), posture.to_json())


def _with_incident(changes: Iterable[Change], policy: Policy, verdict: Verdict | None) -> Iterable[Change]:
    yield from changes
    incident = policy.effects[verdict.outcome].incident if verdict else None
    if verdict and incident and any(change.kind in {"flatten", "episode_start"} for change in changes):
        yield Change("incident", verdict.outcome, {"severity": incident})
