"""The rollout's hand: facts go to both engines, and what they decide goes into force and into the ledger's events.

The same for a rehearsal, for paper and for real money; what differs is the account, the clock and who approves.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.bounds import (
    INCIDENT,
    PROMOTION,
    RESTART,
    SCALE_UP,
    Change,
    after_approval,
    after_verdict,
    distrusted,
    paused,
)
from engine.clock import DAY_MS
from engine.facts import Standing
from engine.operations.stages.steps import Rules, aborted, asked, promoted, waiting
from engine.policy.model import ABORT
from engine.verdict import Situation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from engine.bounds import Posture, Request, Step
    from engine.facts import FactSource, GuardWord
    from engine.operations.stages.rollout import Decided, Rollout
    from engine.policy.effects import Effects
    from engine.policy.model import Policy
    from engine.verdict import Judge, Verdict


_MUST_HOLD = frozenset({PROMOTION, SCALE_UP})
"""What is signed and put into force only while a verdict of this very moment wants it."""


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

    def paper(self, request: Request) -> Mapping[str, Any]:
        """Return what the record keeps of who approved it: the id of the request, so that it is used once."""
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
        paper_usd: the simulated capital of the paper stage (R058); 0 where money is real.
    """

    posture: Posture
    launched_ms: int
    flattened_ms: tuple[int, ...] = ()
    outcome: str = ""
    review: str | None = None
    paper_usd: float = 0.0


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

    Attributes:
        judge: as given.
        posture: the bounds in force.
        outcome: of the action policy's last verdict.
        review: as in `Past`.
        rollout: decides by the stage policy; None: the stage stays what it is, but for restarts.
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
        self.rollout: Rollout | None = None
        self._rules = Rules(stages, judge.policy, past.paper_usd)
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

    @property
    def closed_for(self) -> str:
        """What closed the book that waits for its restart: an outcome; empty where none waits."""
        return next((request.subject for request in self.posture.requests if request.kind == RESTART), "")

    def decide(self, now_ms: int, *, marked: bool = True) -> Verdict:
        """Return the action policy's verdict of `now_ms`; what the policies do is in force when this returns.

        Approvals given by then come first; those of a higher cap count only where this very verdict wants it still, as
        promotions do. At the end of a day its facts join the streaks. The stage policy decides
        last, on the bounds that the action policy has set; its verdicts are in `of_stages`.

        Args:
            now_ms: the moment, a close.
            marked: whether the account is valued at that close; where it is not, approvals wait for one at which it is,
                since they move capital at the present equity. What reduces waits for nothing.
        """
        waiting = self.posture.requests if marked else ()
        self._grant([request for request in waiting if request.kind not in _MUST_HOLD], now_ms)
        posture = self.posture
        situation = Situation(posture.stage, posture.exposure, posture.cap_usd, self._account.equity_usd)
        facts = self._facts.at(now_ms, self._standing())
        verdict = self.judge.verdict(facts, now_ms, situation, streaks_since_ms=posture.streaks_since_ms)
        decision = verdict.decision
        trusted = decision.trusted and (self.rollout is None or self.rollout.trusted)
        step = after_verdict(posture, self.judge.policy, decision.outcome, decision.fired, now_ms, trusted=trusted)
        self._take(step, now_ms, verdict)
        if trusted:  # what the verdict no longer wants was withdrawn by it
            raising = [request for request in waiting if request.kind == SCALE_UP]
            self._grant([request for request in raising if request in self.posture.requests], now_ms)
        self.outcome = verdict.outcome
        if now_ms % DAY_MS == 0:
            self.judge.add_day(now_ms, verdict.posted)
        if self.rollout is not None:
            self._decide_stage(self.rollout, verdict, now_ms, marked=marked)
        return verdict

    def _grant(self, requests: Sequence[Request], now_ms: int) -> None:
        """Put into force what enough people have signed of these."""
        for request in self._approvals.given(requests, now_ms):
            self._note_given(request, now_ms)
            step = after_approval(
                self.posture,
                self.judge.policy,
                self._stages,
                request,
                now_ms,
                equity_usd=self._account.equity_usd,
                paper_usd=self._rules.paper_usd,
            )
            self._take(step, now_ms)

    def of_stages(self) -> list[Verdict]:
        """Return the stage policy's verdicts that are to be recorded, and forget them."""
        return [] if self.rollout is None else self.rollout.unwritten()

    def _decide_stage(self, rollout: Rollout, verdict: Verdict, now_ms: int, *, marked: bool) -> None:
        """Have the stage policy decided: an abort acts by itself, a promotion waits for people (A32)."""
        if now_ms % DAY_MS == 0:
            rollout.add_day(now_ms, verdict.posted)
        decided = rollout.decide(now_ms, self.posture, verdict.posted, self._flattened_ms, self._account.equity_usd)
        if not decided.verdict.decision.trusted:  # from the next decision on it is part of the action policy's trust
            rollout.keep(decided.verdict)
            self._take(distrusted(self.posture, now_ms), now_ms, decided.verdict)
        if decided.transition is None:
            return
        before = self.posture
        if decided.transition.outcome == ABORT:
            equity_usd = self._account.equity_usd
            step = aborted(before, decided.transition, self._rules, now_ms, equity_usd=equity_usd)
            self._take(step, now_ms, decided.verdict)
        elif decided.promotes and before.paused_since_ms is None:
            self._promote(decided, now_ms, marked=marked)
        if self.posture != before:
            rollout.keep(decided.verdict)

    def _promote(self, decided: Decided, now_ms: int, *, marked: bool) -> None:
        """Enter the next stage where people have agreed, else have them asked."""
        assert decided.transition is not None
        self._take(asked(self.posture, decided.transition, now_ms), now_ms, decided.verdict)
        request = waiting(self.posture)
        assert request is not None, "it was asked for"
        if not marked or not self._approvals.given((request,), now_ms):
            return
        signers = tuple(self._note_given(request, now_ms).get("signers", ()))
        equity_usd = self._account.equity_usd
        step = promoted(self.posture, decided.transition, self._rules, equity_usd=equity_usd, approvals=signers)
        self._take(step, now_ms, decided.verdict)

    def _note_given(self, request: Request, now_ms: int) -> Mapping[str, Any]:
        """Record that people agreed, by the id of what they signed: so it is used, and never again."""
        paper = self._approvals.paper(request)
        self._record(now_ms, Change("approval_given", request.kind, {"subject": request.subject, **paper}))
        return paper

    def flattened(self, at_ms: int, outcome: str, effects: Effects, reason: str, *, recorded: bool = False) -> None:
        """Take note that the book was closed from outside: by the risk guard, or by a person.

        Args:
            at_ms: when.
            outcome: of the risk guard's policy.
            effects: of that outcome.
            reason: for the record.
            recorded: the event of it stands in the ledger already: whoever closed the book wrote it.
        """
        step = paused(self.posture, outcome, effects, at_ms)
        told = Change("flatten", outcome, {"reason": reason})
        if not (recorded or step.changes):
            self._flattened_ms.append(at_ms)
            self._record(at_ms, told)
        others = tuple(change for change in step.changes if change.kind != told.kind)
        named = (told,) if step.changes and not recorded else ()
        self._take(dataclasses.replace(step, changes=(*named, *others)), at_ms)

    def _standing(self) -> Standing:
        posture = self.posture
        return Standing(
            stage=posture.stage,
            exposure=posture.exposure,
            epoch_ms=posture.epoch_ms,
            launched_ms=self._launched_ms,
            flat=posture.flat,
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
        of_action = verdict if verdict is not None and verdict.policy is self.judge.policy else None
        self._put(step.posture, now_ms, _with_incident(step.changes, self.judge.policy, of_action), by)

    def _put(self, posture: Posture, now_ms: int, changes: Iterable[Change], by: dict[str, str]) -> None:
        changes = tuple(changes)
        for change in changes:
            self._record(now_ms, Change(change.kind, change.subject, {**change.detail, **by}))
        before, self.posture = self.posture, posture
        bounds = posture.in_force()
        moved = bounds != before.in_force()
        if moved:
            reason = changes[0].kind if changes else "entries"
            self._record(now_ms, Change("bounds", reason, {**bounds, "reason": reason, **by}))
        if self.rollout is not None:
            self.rollout.note(now_ms, changes, posture, self.judge.policy.outcomes)
        # a block of entries alone is no change of a step, yet whoever starts next must stand under it too
        if (
            changes
            or posture.lasting() != before.lasting()
            or (now_ms % DAY_MS == 0 and posture != self._recorded_posture)
        ):
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
        yield Change(INCIDENT, verdict.outcome, {"severity": incident})
