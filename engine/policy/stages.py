"""The staged rollout as a state machine: from a stage and a decision to the next stage, or to none.

What is decided stands in the policy file and in both engines; here is only where a decision leads. One decision makes
one transition at most: an abort before every promotion, a promotion to the next stage and no further.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.policy.model import ABORT, PROMOTE

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.policy.model import Policy


@dataclass(frozen=True)
class Transition:
    """One move of the rollout.

    Attributes:
        outcome: ``ABORT`` or ``PROMOTE``.
        start: the stage that is left.
        to: the stage it leads to.
        flatten: whether every position is closed first.
        approvals: how many different people must agree before it takes place; an abort waits for nobody.
        rules: the ids of the rules that asked for it.
    """

    outcome: str
    start: int
    to: int
    flatten: bool
    approvals: int
    rules: tuple[str, ...]


def next_stage(policy: Policy, stage: int, outcome: str, fired: Collection[str]) -> Transition | None:
    """Return the transition that a decision of the stage policy makes, or None where the stage goes on.

    Args:
        policy: the stage policy.
        stage: the stage in force; rules of other stages lead nowhere.
        outcome: the decision's outcome.
        fired: the ids of the rules that fired.

    Raises:
        ValueError: the policy has no such stage.
    """
    if stage not in policy.stages:
        raise ValueError(f"the policy `{policy.name}` has no stage {stage}")
    abort, promote = policy.stages[stage].abort, policy.stages[stage].promote
    if outcome == ABORT and abort is not None:
        asking = tuple(rule for rule in abort.rules if rule in fired)
        return Transition(ABORT, stage, abort.to, abort.flatten, 0, asking) if asking else None
    if outcome == PROMOTE and promote is not None and promote.rule in fired:
        return Transition(PROMOTE, stage, promote.to, flatten=False, approvals=promote.approvals, rules=(promote.rule,))
    return None
