"""One decision by both engines: they must agree; where they do not, or one fails, the more severe outcome stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.policy.fault import EngineFault
from engine.policy.interpreter import evaluate, outcome_of

if TYPE_CHECKING:
    from engine.policy.model import Policy, Snapshot


class Production(Protocol):
    """The production engine by itself: the worker, or durable-rules in this process."""

    def fired(self, snapshot: Snapshot) -> tuple[str, ...]:
        """Return the ids of the rules that fire, in the policy's order.

        Raises:
            EngineFault: there is no answer that can be trusted.
        """
        ...


class Engine(Protocol):
    """Both engines: one decision a snapshot."""

    def decide(self, snapshot: Snapshot) -> Decision:
        """Return the decision; a fault of the production engine is part of it."""
        ...


@dataclass(frozen=True)
class Decision:
    """What both engines say about one snapshot.

    Attributes:
        outcome: the more severe of the two.
        fired: the ids of all rules that fired in either, in the policy's order.
        agree: whether both gave the same rules; None where the production engine gave no answer.
        fault: why the production engine gave no answer; None where it did.
        durable_fired: what the production engine fired; None where it gave no answer.
        interpreter_fired: what the interpreter fired.
    """

    outcome: str
    fired: tuple[str, ...]
    agree: bool | None
    fault: str | None
    durable_fired: tuple[str, ...] | None
    interpreter_fired: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        """Whether both engines answered, and the same; if not: entries are blocked and an incident is opened."""
        return self.agree is True and self.fault is None


def decide(policy: Policy, snapshot: Snapshot, engine: Production) -> Decision:
    """Return the decision of both engines on the same snapshot.

    Where they differ, both count: a rule fires if either says so. A fault leaves the interpreter's outcome standing.
    """
    interpreted = evaluate(policy, snapshot)
    fault: str | None = None
    durable: tuple[str, ...] | None = None
    try:
        durable = engine.fired(snapshot)
    except EngineFault as failure:
        fault = str(failure)
    agree = None if durable is None else durable == interpreted
    either = {*interpreted, *(durable or ())}
    fired = interpreted if agree else tuple(one.id for one in policy.instances if one.id in either)
    return Decision(outcome_of(policy, fired), fired, agree, fault, durable, interpreted)
