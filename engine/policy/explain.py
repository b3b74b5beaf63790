"""Why a verdict came out as it did, and how far it was from coming out otherwise. Data; others put it into words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from engine.policy.interpreter import compare, fires, truth
from engine.policy.model import All, AnyOf, BandIs, Compare, Not, Unknown
from engine.policy.quantity import digits

if TYPE_CHECKING:
    from engine.policy.model import Condition, Instance, Operator, Policy, Snapshot, Truth

TruthName = Literal["TRUE", "FALSE", "UNKNOWN"]

_NAMES: dict[Truth, TruthName] = {True: "TRUE", False: "FALSE", None: "UNKNOWN"}
_OPPOSITE: dict[Operator, Operator] = {">": "<=", "<=": ">", "<": ">=", ">=": "<", "=": "!=", "!=": "="}


@dataclass(frozen=True)
class Leaf:
    """One comparison of a rule, as it stands once bands and `not` are resolved.

    Attributes:
        fact: its name.
        value: in the fact's unit, exact decimal digits or a word; None where it is unknown.
        unit: of value and margin; empty for words.
        test: ``> 12%``, ``= FLATTEN_ALL``, ``unknown`` or ``known``.
        truth: TRUE, FALSE or UNKNOWN.
        margin: how far the value is from the threshold, in the unit, without sign; None where that means nothing.
    """

    fact: str
    value: str | None
    unit: str
    test: str
    truth: TruthName
    margin: str | None


@dataclass(frozen=True)
class Streak:
    """Days counted, days needed, and out of how many (None: in a row)."""

    days: int
    needed: int
    of: int | None

    @property
    def missing(self) -> int:
        """How many more days are needed."""
        return max(0, self.needed - self.days)


@dataclass(frozen=True)
class Explained:
    """One rule as it was judged.

    Attributes:
        id: of the rule.
        outcome: what it asks for.
        truth: TRUE where it fires; else the truth of its condition at the moment, which a streak may outlast.
        refs: requirements and resolutions it implements.
        because: the reason in words.
        conditions: its comparisons, at the moment of the verdict.
        streak: the days of its `for`; None without one.
    """

    id: str
    outcome: str
    truth: TruthName
    refs: tuple[str, ...]
    because: str
    conditions: tuple[Leaf, ...]
    streak: Streak | None

    @property
    def failing(self) -> tuple[Leaf, ...]:
        """The comparisons that are not true."""
        return tuple(leaf for leaf in self.conditions if leaf.truth != "TRUE")


@dataclass(frozen=True)
class Way:
    """One way to another outcome: the rule that would fire, what it lacks now, and how many more days it needs."""

    outcome: str
    rule: str
    lacking: tuple[Leaf, ...]
    days: int


def explained(policy: Policy, snapshot: Snapshot) -> tuple[Explained, ...]:
    """Return every rule of the policy as it stands in `snapshot`, in the policy's order."""
    teller = _Teller(policy, snapshot)
    return tuple(teller.rule(instance) for instance in policy.instances)


def explain(policy: Policy, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return `explained` as plain JSON values, for the record of a verdict."""
    return [
        {
            **vars(rule),
            "conditions": [vars(leaf).copy() for leaf in rule.conditions],
            "streak": None if rule.streak is None else vars(rule.streak).copy(),
        }
        for rule in explained(policy, snapshot)
    ]


def ways(policy: Policy, snapshot: Snapshot) -> tuple[Way, ...]:
    """Return the rules that do not fire, by severity of their outcome, each outcome's fewest lacks first.

    Read with the outcome at hand: ways to a more severe outcome are what must not happen, the others what is missing.
    """
    found = [
        Way(rule.outcome, rule.id, rule.failing, 0 if rule.streak is None else rule.streak.missing)
        for rule, instance in zip(explained(policy, snapshot), policy.instances, strict=True)
        if not fires(instance, snapshot.values, policy.bands)
    ]
    return tuple(sorted(found, key=lambda way: (policy.outcomes.index(way.outcome), len(way.lacking), way.days)))


class _Teller:
    """Tells one snapshot's rules; a comparison that several rules share is worked out once."""

    def __init__(self, policy: Policy, snapshot: Snapshot) -> None:
        self._policy = policy
        self._facts = policy.vocabulary.facts
        self._values = snapshot.values
        self._told: dict[tuple[int, bool], Leaf] = {}  # by the identity of the comparison: the policy holds them all
        self._texts: dict[str, str | None] = {}

    def rule(self, instance: Instance) -> Explained:
        rule, span, bands = instance.rule, instance.span, self._policy.bands
        fired = fires(instance, self._values, bands)
        now = True if fired else truth(instance.when, self._values, bands)
        if span is not None and not fired and now is True:
            now = False  # true at this moment, but not for long enough
        streak = None if span is None else Streak(self._values[instance.days_key] or 0, span.days, span.of)
        leaves = {id(leaf): leaf for leaf in self._leaves(instance.when, asked=True)}
        return Explained(
            instance.id, rule.outcome, _NAMES[now], rule.refs, rule.because, tuple(leaves.values()), streak
        )

    def _leaves(self, condition: Condition, *, asked: bool) -> list[Leaf]:  # noqa: PLR0911 - one a kind of condition
        match condition:
            case Compare():
                return [self._compared(condition, asked=asked)]
            case Unknown(fact):
                known = self._values[fact] is not None
                return [self._leaf(fact, "unknown" if asked else "known", known != asked, None)]
            case BandIs(fact, colour):
                band = self._policy.bands[fact]
                if colour == "yellow":
                    return [self._compared(edge, asked=not asked) for edge in (band.green, band.red)]
                return [self._compared(band.green if colour == "green" else band.red, asked=asked)]
            case Not(part):
                return self._leaves(part, asked=not asked)
            case AnyOf((one, Unknown(fact))) if asked and _fact_of(one) == fact:
                return [self._or_unknown(leaf, fact) for leaf in self._leaves(one, asked=True)]
            case All(parts) | AnyOf(parts):
                return [leaf for part in parts for leaf in self._leaves(part, asked=asked)]

    def _compared(self, edge: Compare, *, asked: bool) -> Leaf:
        told = self._told.get((id(edge), asked))
        if told is not None:
            return told
        operator, threshold = edge.text.split(" ", 1)
        if not asked:
            operator = _OPPOSITE[edge.operator]
        value, spec = self._values[edge.fact], self._facts[edge.fact]
        margin = None if value is None or spec.choices else digits(spec, abs(value - edge.steps))
        held = compare(value, edge.operator, edge.steps)
        truth_here = None if held is None else held == asked
        left = edge.fact if spec.difference is None else spec.difference.left
        told = self._leaf(left, f"{operator} {threshold}", truth_here, margin)
        self._told[id(edge), asked] = told
        return told

    def _or_unknown(self, leaf: Leaf, fact: str) -> Leaf:
        """Return a comparison that an unknown fact satisfies as well: what `unless` unfolds to."""
        known = self._values[fact] is not None
        return replace(leaf, test=f"{leaf.test} or unknown", truth=leaf.truth if known else "TRUE")

    def _leaf(self, fact: str, test: str, held: Truth, margin: str | None) -> Leaf:
        spec = self._facts[fact]
        return Leaf(fact, self._text(fact), "" if spec.choices else spec.unit, test, _NAMES[held], margin)

    def _text(self, fact: str) -> str | None:
        if fact not in self._texts:
            spec, steps = self._facts[fact], self._values[fact]
            self._texts[fact] = None if steps is None else spec.choices[steps] if spec.choices else digits(spec, steps)
        return self._texts[fact]


def _fact_of(condition: Condition) -> str:
    """Return the fact of a comparison or band, also of a negated one; empty for anything else."""
    if isinstance(condition, Not):
        return _fact_of(condition.part)
    return condition.fact if isinstance(condition, Compare | BandIs) else ""
