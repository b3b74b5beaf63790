"""The stage policy, decided by both engines at one moment after another, and which of its verdicts are kept.

A verdict stands at an instant of its own, a moment after the action policy's: the facts of the end of a day are those
that the action policy decides on, and those of the stages stand beside them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import DAY_MS
from engine.operations.stages.facts import Moment
from engine.operations.stages.tenure import Tenure
from engine.policy.model import PROMOTE
from engine.policy.stages import next_stage
from engine.verdict import Judge, Situation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.bounds import Change, Posture
    from engine.ledger import Ledger
    from engine.operations.stages.facts import StageFacts
    from engine.policy.facts import Facts
    from engine.policy.stages import Transition
    from engine.verdict import Verdict

STAGES = "stages"
EPISODE = "episode_start"


@dataclass(frozen=True)
class Before:
    """What a rollout must know of the time before it: all of it stands in the ledger.

    Attributes:
        tenure: the stages so far.
        scaled_down_ms: when a REDUCE began, every time (A55).
        outcome: of the last verdict of the stage policy; empty before the first.
        fired: the rules that fired in it.
    """

    tenure: Tenure
    scaled_down_ms: tuple[int, ...] = ()
    outcome: str = ""
    fired: tuple[str, ...] = ()

    @classmethod
    def read(cls, ledger: Ledger, outcomes: Iterable[str], to_ms: int | None = None) -> Before:
        """Return what a ledger remembers.

        Args:
            ledger: with a rollout.
            outcomes: of the action policy: episodes of another name, such as missing data, are no scale-downs.
            to_ms: nothing later counts; None: everything does.

        Raises:
            LedgerError: it cannot be read.
        """
        named = frozenset(outcomes)
        begun = tuple(event.at_ms for event in ledger.events(EPISODE, to_ms=to_ms) if event.subject in named)
        last = ledger.latest_verdict(to_ms, policy=STAGES)
        fired = tuple(json.loads(last.document)["fired"]) if last else ()
        return cls(Tenure.read(ledger, to_ms), begun, last.outcome if last else "", fired)


@dataclass(frozen=True)
class Decided:
    """A verdict of the stage policy, and the transition it demands; None: the stage goes on."""

    verdict: Verdict
    transition: Transition | None

    @property
    def promotes(self) -> bool:
        """Whether the next stage may be entered, as far as both engines agree."""
        return self.transition is not None and self.transition.outcome == PROMOTE and self.verdict.decision.trusted


class Rollout:
    """Decides where the rollout goes.

    Args:
        judge: the stage policy with both engines.
        facts: computes its facts.
        before: what was before.
        paper: the ledger of a paper account: Stage 0 is left on a ledger of real money.
        instant: returns an instant at or after the one given at which the ledger holds no facts yet.

    Attributes:
        judge: as given.
        trusted: whether both engines agreed the last time.
    """

    def __init__(
        self,
        judge: Judge,
        facts: StageFacts,
        before: Before,
        *,
        paper: bool = False,
        instant: Callable[[int], int] = lambda at_ms: at_ms,
    ) -> None:
        self.judge = judge
        self.trusted = True
        self._facts = facts
        self._tenure = before.tenure
        self._scaled_down_ms = list(before.scaled_down_ms)
        self._last = (before.outcome, before.fired, True)
        self._paper = paper
        self._instant = instant
        self._unwritten: list[Verdict] = []

    def add_day(self, at_ms: int, posted: Facts) -> None:
        """Take in the facts at the end of a complete day, as the action policy posted them."""
        self.judge.add_day(at_ms, posted)

    def decide(
        self, now_ms: int, posture: Posture, posted: Facts, flattened_ms: Sequence[int], equity_usd: float
    ) -> Decided:
        """Return what the stage policy decides now.

        Args:
            now_ms: the moment.
            posture: with the bounds that the action policy has just set.
            posted: the facts that the action policy decided on.
            flattened_ms: when the book was flattened, every time.
            equity_usd: the risk equity now.
        """
        moment = Moment(now_ms, posture, self._tenure, flattened_ms, self._scaled_down_ms)
        facts = {**posted, **self._facts.at(moment)}
        situation = Situation(posture.stage, posture.exposure, posture.cap_usd, equity_usd)
        at_ms = self._instant(now_ms + 1)
        verdict = self.judge.verdict(facts, at_ms, situation, streaks_since_ms=posture.streaks_since_ms)
        decision = verdict.decision
        self.trusted = decision.trusted
        transition = next_stage(self.judge.policy, posture.stage, decision.outcome, decision.fired)
        if transition is not None and transition.outcome == PROMOTE and self._paper:
            transition = None
        state = (decision.outcome, decision.fired, decision.trusted)
        if state != self._last or now_ms % DAY_MS == 0:
            self._unwritten.append(verdict)
        self._last = state
        return Decided(verdict, transition)

    def keep(self, verdict: Verdict) -> None:
        """Have a verdict recorded that something was done on."""
        if verdict not in self._unwritten:
            self._unwritten.append(verdict)

    def note(self, at_ms: int, changes: Iterable[Change], posture: Posture, outcomes: Iterable[str]) -> None:
        """Take note of what came into force; `outcomes` of the action policy, as in `Before`."""
        self._tenure = self._tenure.then(posture, at_ms)
        named = frozenset(outcomes)
        self._scaled_down_ms += [at_ms for one in changes if one.kind == EPISODE and one.subject in named]

    def unwritten(self) -> list[Verdict]:
        """Return the verdicts that are to be recorded, and forget them: the end of each day, and whatever is new."""
        verdicts, self._unwritten = self._unwritten, []
        return verdicts
