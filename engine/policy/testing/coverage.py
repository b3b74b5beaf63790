"""What the tests of a policy have seen: every rule firing and silent, every condition true and false."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.policy.interpreter import truth
from engine.policy.model import All, AnyOf, Not
from engine.policy.notation import in_words
from engine.policy.testing.variants import switched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.policy.model import Condition, Policy
    from engine.policy.testing.run import CaseResult, TestRun


@dataclass(frozen=True)
class RuleSeen:
    """On how many days of the tests a rule fired, and on how many it did not."""

    rule: str
    fired: int
    silent: int

    @property
    def covered(self) -> bool:
        """Whether it was seen both ways."""
        return bool(self.fired and self.silent)


@dataclass(frozen=True)
class LeafSeen:
    """On how many days one comparison, band or `unknown` of a rule was true, false, and unknown.

    Attributes:
        rule: the id of the rule.
        place: of the leaf among the rule's leaves, from 1.
        leaf: in words.
        true: days.
        false: days.
        unknown: days; reported, not asked for: many a fact is always known.
    """

    rule: str
    place: int
    leaf: str
    true: int
    false: int
    unknown: int

    @property
    def covered(self) -> bool:
        """Whether it was seen true and seen false."""
        return bool(self.true and self.false)


@dataclass(frozen=True)
class Coverage:
    """What the tests of one policy have seen.

    Attributes:
        policy: its name.
        tests: how many there are.
        days: they play.
        rules: in the policy's order; one for each band of an `each: band`.
        leaves: of all rules, in order.
    """

    policy: str
    tests: int
    days: int
    rules: tuple[RuleSeen, ...]
    leaves: tuple[LeafSeen, ...]

    @property
    def rules_percent(self) -> float:
        """The rules seen both ways, 0 to 100."""
        return _percent(self.rules)

    @property
    def leaves_percent(self) -> float:
        """The conditions seen both ways, 0 to 100."""
        return _percent(self.leaves)

    @property
    def gaps(self) -> tuple[RuleSeen | LeafSeen, ...]:
        """What was not seen both ways."""
        rules = tuple(one for one in self.rules if not one.covered)
        return rules + tuple(one for one in self.leaves if not one.covered)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "policy": self.policy,
            "tests": self.tests,
            "days": self.days,
            "rules_percent": self.rules_percent,
            "conditions_percent": self.leaves_percent,
            "rules": [vars(one) | {"covered": one.covered} for one in self.rules],
            "conditions": [vars(one) | {"covered": one.covered} for one in self.leaves],
        }


def coverage(run: TestRun) -> dict[str, Coverage]:
    """Return what the tests have seen, by policy; policies without rules have nothing to be seen."""
    return {
        name: _coverage(policy, [result for result in run.results if result.case.policy == name])
        for name, policy in run.policies.items()
        if policy.rules
    }


def _coverage(policy: Policy, results: Iterable[CaseResult]) -> Coverage:
    results = list(results)
    rules: list[RuleSeen] = []
    leaves: list[LeafSeen] = []
    for instance in switched(policy, policy.rules).instances:
        rule = instance.rule
        days = [
            (instance.id in fired, day.snapshot.values)
            for result in results
            if policy.rules[rule.name].enabled or rule.name in result.case.switched_on
            for fired, day in zip(result.fired, result.played, strict=True)
        ]
        count = sum(fired for fired, _ in days)
        rules.append(RuleSeen(instance.id, count, len(days) - count))
        for place, leaf in enumerate(_leaves(instance.when), 1):
            seen = Counter(truth(leaf, values, policy.bands) for _, values in days)
            leaves.append(LeafSeen(instance.id, place, in_words(leaf), seen[True], seen[False], seen[None]))
    days_played = sum(result.case.days for result in results)
    return Coverage(policy.name, len(results), days_played, tuple(rules), tuple(leaves))


def _leaves(condition: Condition) -> Iterator[Condition]:
    if isinstance(condition, All | AnyOf):
        for part in condition.parts:
            yield from _leaves(part)
    elif isinstance(condition, Not):
        yield from _leaves(condition.part)
    else:
        yield condition


def _percent(seen: tuple[RuleSeen, ...] | tuple[LeafSeen, ...]) -> float:
    return 100 * sum(one.covered for one in seen) / len(seen) if seen else 100.0
