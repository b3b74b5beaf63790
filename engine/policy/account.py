"""A decision, fully explained: every rule as it stands, and the ways to softer and harder outcomes.

Everything is worked out from a snapshot; nothing is put into words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.policy.explain import Leaf, Streak, Teller, TruthName
from engine.policy.interpreter import evaluate, outcome_of
from engine.policy.model import STAGE
from engine.policy.tree import FALSE, TRUE, UNKNOWN, Node, farness, leaves_of, must_turn, proof, tightest, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from engine.policy.model import Instance, Policy, Snapshot


@dataclass(frozen=True)
class Judged:
    """One rule as it stands in a snapshot.

    Attributes:
        instance: the rule.
        truth: TRUE where it fires; UNKNOWN where a missing fact, or days of which nothing is said, may make it fire.
        tree: its condition at this moment, which a streak may outlast.
        streak: the days of its `for`; None without one, or where nothing is known of the days before.
        fires: whether it does.
    """

    instance: Instance
    truth: TruthName
    tree: Node
    streak: Streak | None
    fires: bool

    @property
    def id(self) -> str:
        """Of the rule."""
        return self.instance.id

    @property
    def outcome(self) -> str:
        """What it asks for."""
        return self.instance.outcome

    @property
    def days_unknown(self) -> bool:
        """Whether it counts days and nothing is known of them."""
        return self.instance.span is not None and self.streak is None

    @property
    def missing_days(self) -> int | None:
        """How many more days it needs; None where nothing is known of the days before."""
        if self.instance.span is None:
            return 0
        return None if self.streak is None else self.streak.missing

    @property
    def causes(self) -> tuple[Leaf, ...]:
        """A minimal set of conditions that alone make it what it is; empty where its days decide, not this moment."""
        if not self.fires and self.tree.truth == UNKNOWN:
            return tuple(leaf for leaf in leaves_of(self.tree) if leaf.truth == UNKNOWN)
        return proof(self.tree, held=self.fires) if self.tree.truth == (TRUE if self.fires else FALSE) else ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        rule = self.instance.rule
        return {
            "id": self.id,
            "outcome": self.outcome,
            "fires": self.fires,
            "truth": self.truth,
            "because": rule.because,
            "refs": list(rule.refs),
            "severity": rule.severity,
            "cure": rule.cure,
            "enabled": rule.enabled,
            "streak": None if self.streak is None else vars(self.streak) | {"missing": self.streak.missing},
            "days_unknown": self.days_unknown,
            "causes": [vars(leaf).copy() for leaf in self.causes],
            "conditions": self.tree.to_json(),
        }


@dataclass(frozen=True)
class Way:
    """One way to another outcome: the rule that would fire, what must come true for it, and how many days it lacks.

    Attributes:
        outcome: which it asks for.
        rule: its id.
        lacking: the fewest conditions that must come true; of several such sets the one nearest to it.
        days: that are missing once they do; None where nothing is known of the days before.
    """

    outcome: str
    rule: str
    lacking: tuple[Leaf, ...]
    days: int | None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "lacking": [vars(leaf).copy() for leaf in self.lacking]}


@dataclass(frozen=True)
class WayBack:
    """What ends an outcome.

    Attributes:
        outcome: that is decided once none of the rules behind the present one fires.
        ends: each of those rules, with the fewest conditions that must no longer hold; none where only unknown days
            keep it alive.
    """

    outcome: str
    ends: tuple[tuple[str, tuple[Leaf, ...]], ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        ends = [{"rule": rule, "must_end": [vars(leaf).copy() for leaf in leaves]} for rule, leaves in self.ends]
        return {"outcome": self.outcome, "ends": ends}


@dataclass(frozen=True)
class Account:
    """A decision, fully explained.

    Attributes:
        policy: that decided.
        outcome: what it decided.
        rules: all of them, in the policy's order.
        harder: ways to more severe outcomes, the nearest outcome first; promotions are none.
        promotions: ways to outcomes that raise the risk.
        softer: what ends the outcome; None where no rule asked for it.
        unknown: the facts without a value, by name, and why: ``missing``, ``young``, ``stale``, ``invalid``.
    """

    policy: Policy
    outcome: str
    rules: tuple[Judged, ...]
    harder: tuple[Way, ...]
    promotions: tuple[Way, ...]
    softer: WayBack | None
    unknown: tuple[tuple[str, str], ...]

    @property
    def fired(self) -> tuple[str, ...]:
        """The ids of the rules that fire."""
        return tuple(rule.id for rule in self.rules if rule.fires)

    @property
    def decisive(self) -> tuple[Judged, ...]:
        """The rules that fire and ask for the outcome: each alone is enough for it."""
        return tuple(rule for rule in self.rules if rule.fires and rule.outcome == self.outcome)

    @property
    def undecided(self) -> tuple[Judged, ...]:
        """The rules that ask for a more severe outcome, and of which too little is known to rule them out."""
        harder = self.policy.outcomes[: self.policy.outcomes.index(self.outcome)]
        return tuple(
            rule
            for rule in self.rules
            if rule.truth == UNKNOWN and rule.outcome in harder and (rule.missing_days or 0) <= 1
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "policy": self.policy.name,
            "outcome": self.outcome,
            "fired": list(self.fired),
            "causes": [
                {"rule": one.id, "conditions": [vars(leaf).copy() for leaf in one.causes]} for one in self.decisive
            ],
            "undecided": [rule.id for rule in self.undecided],
            "harder": [way.to_json() for way in self.harder],
            "promotions": [way.to_json() for way in self.promotions],
            "softer": None if self.softer is None else self.softer.to_json(),
            "unknown": [{"fact": fact, "status": status} for fact, status in self.unknown],
            "rules": [rule.to_json() for rule in self.rules],
        }


def account(policy: Policy, snapshot: Snapshot, unknown: Iterable[tuple[str, str]] = ()) -> Account:
    """Return what the policy decides in a snapshot, and all there is to say about it.

    Args:
        policy: what decides.
        snapshot: its facts; None under an `Instance.days_key` where nothing is known of the days before.
        unknown: the facts without a value, and why.
    """
    fired = set(evaluate(policy, snapshot))
    teller = Teller(policy, snapshot)
    rules = tuple(_judged(teller, instance, snapshot, fires=instance.id in fired) for instance in policy.instances)
    outcome = outcome_of(policy, fired)
    severity = policy.outcomes
    harder = [one for one in severity[: severity.index(outcome)] if one not in policy.promotes]
    ways = [way for way in (_way(rule) for rule in rules if not rule.fires) if not _elsewhere(policy, way)]
    return Account(
        policy,
        outcome,
        rules,
        _nearest(ways, harder[::-1]),
        _nearest(ways, [one for one in policy.promotes if one != outcome]),
        _way_back(policy, rules, outcome),
        tuple(unknown),
    )


def _judged(teller: Teller, instance: Instance, snapshot: Snapshot, *, fires: bool) -> Judged:
    tree, span = tree_of(teller, instance.when), instance.span
    days = None if span is None else snapshot.values[instance.days_key]
    streak = None if span is None or days is None else Streak(days, span.days, span.of)
    truth = TRUE if fires else tree.truth
    if not fires and truth == TRUE:  # at this moment, but not for long enough
        truth = FALSE if streak is not None else UNKNOWN
    elif not fires and span is not None and span.of is not None and streak is None:
        truth = UNKNOWN  # the days before may be enough, whatever the present is
    return Judged(instance, truth, tree, streak, fires)


def _elsewhere(policy: Policy, way: Way) -> bool:
    """Return whether a way leads out of a stage that is not the present one."""
    return bool(policy.stages) and any(leaf.fact == STAGE for leaf in way.lacking)


def _way(rule: Judged) -> Way:
    span = rule.instance.span
    lacking = tightest(must_turn(rule.tree, held=True))
    days = span.days if span is not None and span.of is None and lacking else rule.missing_days
    return Way(rule.outcome, rule.id, lacking, days)


def _nearest(ways: list[Way], outcomes: list[str]) -> tuple[Way, ...]:
    """Return the ways to `outcomes` in their order, each outcome's nearest first."""
    found = [way for way in ways if way.outcome in outcomes]
    unknown = max((way.days for way in found if way.days is not None), default=0) + 1

    def key(way: Way) -> tuple[int, int, int, Decimal]:
        many, far = farness(way.lacking)
        return outcomes.index(way.outcome), many, unknown if way.days is None else way.days, far

    return tuple(sorted(found, key=key))


def _way_back(policy: Policy, rules: tuple[Judged, ...], outcome: str) -> WayBack | None:
    decisive = [rule for rule in rules if rule.fires and rule.outcome == outcome]
    if not decisive:
        return None
    after = outcome_of(policy, [rule.id for rule in rules if rule.fires and rule.outcome != outcome])
    ends: list[tuple[str, tuple[Leaf, ...]]] = []
    words: set[str] = set()  # a fact that is a word cannot become two
    for rule in decisive:
        leaves = must_turn(rule.tree, held=False, avoid=words)
        words.update(leaf.fact for leaf in leaves if not leaf.unit)
        ends.append((rule.id, leaves))
    return WayBack(after, tuple(ends))
