"""Proofs that a mutant can never be told from the policy: an exhaustive search over the values of the facts read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

from engine.policy.model import facts_of
from engine.policy.points import UndecidedError, compared_facts, expression, find, joined
from engine.policy.testing.variants import switched

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from engine.policy.model import Instance, Policy, Truth
    from engine.policy.mutation.mutants import Mutant
    from engine.policy.points import Expression, Point

_NAMED = 6

Pair = tuple["Instance | None", "Instance | None"]


@dataclass(frozen=True)
class Proof:
    """Why no facts whatsoever can tell a mutant from the policy."""

    reason: str


@dataclass(frozen=True)
class Comparison:
    """A policy and a mutant of it, rule by rule.

    Attributes:
        policy: as it is written.
        mutant: of it.
        usual: the steps of each fact on a day on which all is well; what the search prefers.
    """

    policy: Policy
    mutant: Mutant
    usual: Mapping[str, int | None] = field(repr=False)

    @classmethod
    def of(
        cls, policy: Policy, mutant: Mutant, usual: Mapping[str, int | None], switched_on: Collection[str] = ()
    ) -> Comparison:
        """Return the comparison of the two with some rules switched on."""
        mutant = replace(mutant, policy=switched(mutant.policy, switched_on))
        steps = dict(usual)
        for name, spec in policy.vocabulary.facts.items():
            one = spec.difference
            left, right = (usual.get(one.left), usual.get(one.right)) if one else (None, None)
            if one is not None and left is not None and right is not None:
                steps[name] = left * one.left_scale - right * one.right_scale
        return cls(switched(policy, switched_on), mutant, steps)

    @cached_property
    def touched(self) -> list[Pair]:
        """The rules that the mutant changes: before and after, None where there is none."""
        before, after = self.policy.by_id, self.mutant.policy.by_id
        pairs = [(before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])]
        return [pair for pair in pairs if self._touches(*pair)]

    def _touches(self, before: Instance | None, after: Instance | None) -> bool:
        if before is None or after is None or before != after:
            return True
        one, other = self.policy.bands, self.mutant.policy.bands
        return any(one.get(fact) != other.get(fact) for fact in facts_of(before.when))

    def before(self, instance: Instance | None) -> Expression:
        """Return the condition of a rule of the policy; of none: False."""
        return instance is not None and expression(instance.when, self.policy.bands)

    def after(self, instance: Instance | None) -> Expression:
        """Return the condition of a rule of the mutant; of none: False."""
        return instance is not None and expression(instance.when, self.mutant.policy.bands)

    def both(self, pair: Pair) -> tuple[Expression, Expression]:
        """Return the conditions of a rule and of what became of it."""
        return self.before(pair[0]), self.after(pair[1])

    def find(self, wanted: Callable[[tuple[Truth, ...]], bool], *expressions: Expression) -> Point | None:
        """Return a point at which the truths are as wanted, None where there is none; see `points.find`."""
        return find(expressions, wanted, self.policy.vocabulary.facts, self.usual)

    def outweighed(self, instance: Instance, other: str) -> Expression:
        """Return the condition that another rule asks at once for at least what `instance`, or `other`, would."""
        order = self.policy.outcomes
        severe = min(order.index(instance.outcome), order.index(other))
        rules = [
            one
            for one in self.policy.instances
            if one.rule.name != instance.rule.name and one.span is None and order.index(one.outcome) <= severe
        ]
        return joined([self.before(one) for one in rules], conjunction=False)

    def turned(self) -> list[tuple[Instance, Instance]]:
        """Return the pairs of rules of which the mutant lets the other one decide."""
        before, after = (
            {outcome: place for place, outcome in enumerate(policy.outcomes)}
            for policy in (self.policy, self.mutant.policy)
        )
        return [
            (one, other)
            for one, other in product(self.policy.instances, repeat=2)
            if before[one.outcome] < before[other.outcome] and after[one.outcome] > after[other.outcome]
        ]


def may_fire(instance: Instance, policy: Policy) -> Collection[Truth]:
    """Return the truths of the present with which a rule can fire: a streak that the present breaks is 0."""
    span = instance.span
    if span is None:
        return (True,)
    if span.of is not None and instance.outcome not in policy.promotes:
        return (True, False, None)
    return (True,) if instance.rule.gap == "breaks" else (True, None)


def proof(comparison: Comparison) -> Proof | None:
    """Return a proof that the mutant always decides as the policy does, if there is one."""
    try:
        match comparison.mutant.kind:
            case "outcome":
                return _outweighed_proof(comparison)
            case "severity":
                return _severity_proof(comparison)
            case "otherwise":
                return _otherwise_proof(comparison)
            case _:
                return _conditions_proof(comparison)
    except UndecidedError:
        return None


def _conditions_proof(comparison: Comparison) -> Proof | None:
    if not comparison.touched:
        return Proof("no rule reads it")
    if comparison.mutant.lost_each:
        alike = _alike_in_all(comparison)
    else:
        alike = all(_alike(comparison, pair) for pair in comparison.touched)
    if not alike:
        return None
    read = {fact for pair in comparison.touched for one in pair if one for fact in facts_of(one.when)}
    facts = ", ".join(name for name in comparison.policy.facts if name in read)
    facts = facts if len(read) <= _NAMED else f"the {len(read)} facts that are read"
    return Proof(f"the same on every value of {facts}: at, under and over each threshold, and unknown")


def _alike_in_all(comparison: Comparison) -> bool:
    """Return whether a rule for each band fires, for some band, just when the one that it became does."""
    if any(one and one.span for pair in comparison.touched for one in pair):
        return False
    each = joined((comparison.before(before) for before, _ in comparison.touched), conjunction=False)
    one = joined((comparison.after(after) for _, after in comparison.touched), conjunction=False)
    return comparison.find(_fire_differently, each, one) is None


def _alike(comparison: Comparison, pair: Pair) -> bool:
    """Return whether no facts on any days tell a rule from what became of it."""
    before, after = pair
    one, other = comparison.both(pair)
    if (before is None or before.span is None) and (after is None or after.span is None):
        return comparison.find(_fire_differently, one, other) is None
    if before is None or after is None or before.span != after.span:
        return _never_counts(comparison, before, one) and _never_counts(comparison, after, other)
    if _only_counts(comparison, before, after):
        return comparison.find(_fire_differently, one, other) is None
    if comparison.find(_differ, one, other) is not None:
        return False
    if before.rule.gap == after.rule.gap and (
        before.rule.gap == "breaks" or compared_facts(one) == compared_facts(other)
    ):
        return True
    # What a day of unknown truth does was changed, or which facts being young makes it break.
    return comparison.find(_unknown, one) is None


def _only_counts(comparison: Comparison, *rules: Instance) -> bool:
    """Return whether a day counts or does not: in a window of days nothing breaks, unless the rule promotes."""
    policies = (comparison.policy, comparison.mutant.policy)
    return all(
        one.span and one.span.of and one.rule.gap != "counts" and one.outcome not in policy.promotes
        for one, policy in zip(rules, policies, strict=True)
    )


def _never_counts(comparison: Comparison, instance: Instance | None, condition: Expression) -> bool:
    if instance is None:
        return True
    counting = (True, None) if instance.span and instance.rule.gap == "counts" else (True,)
    return comparison.find(lambda truths: truths[0] in counting, condition) is None


def _outweighed_proof(comparison: Comparison) -> Proof | None:
    for before, after in comparison.touched:
        assert before is not None
        assert after is not None
        promotes = [one.outcome in comparison.policy.promotes for one in (before, after)]
        if before.span and before.span.of and promotes[0] != promotes[1]:
            return None  # what breaks its streak was changed as well
        fires = may_fire(before, comparison.policy)

        def decides(truths: tuple[Truth, ...], fires: Collection[Truth] = fires) -> bool:
            return truths[0] in fires and truths[1] is not True

        rest = comparison.outweighed(before, after.outcome)
        if comparison.find(decides, comparison.before(before), rest) is not None:
            return None
    return Proof("whenever the rule fires, another one asks for at least as much")


def _severity_proof(comparison: Comparison) -> Proof | None:
    for one, other in comparison.turned():
        fires = (may_fire(one, comparison.policy), may_fire(other, comparison.policy))

        def together(truths: tuple[Truth, ...], fires: tuple[Collection[Truth], ...] = fires) -> bool:
            return truths[0] in fires[0] and truths[1] in fires[1]

        if comparison.find(together, comparison.before(one), comparison.before(other)) is not None:
            return None
    return Proof("no two rules whose order was exchanged can fire together")


def _otherwise_proof(comparison: Comparison) -> Proof | None:
    at_once = [comparison.before(one) for one in comparison.policy.instances if one.span is None]
    silent = comparison.find(lambda truths: truths[0] is not True, joined(at_once, conjunction=False))
    return Proof("some rule always fires") if silent is None else None


def _fire_differently(truths: tuple[Truth, ...]) -> bool:
    return (truths[0] is True) != (truths[1] is True)


def _differ(truths: tuple[Truth, ...]) -> bool:
    return truths[0] != truths[1]


def _unknown(truths: tuple[Truth, ...]) -> bool:
    return truths[0] is None
