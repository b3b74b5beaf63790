"""Why a verdict came out as it did, and how far it was from coming out otherwise. Data; others put it into words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from engine.policy.interpreter import compare, truth
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


def explained(policy: Policy, snapshot: Snapshot) -> tuple[Explained, ...]:
    """Return every rule of the policy as it stands in `snapshot`, in the policy's order."""
    return Explainer(policy).explained(snapshot)


def explain(policy: Policy, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return `explained` as plain JSON values, for the record of a verdict."""
    return Explainer(policy).plain(snapshot)


class Explainer:
    """Explains one policy's snapshots; what does not depend on a snapshot is worked out once."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._lines = _Lines(policy)
        self._rules = [
            (one, dict.fromkeys(self._lines.of(one.when, asked=True)), _plain(one)) for one in policy.instances
        ]

    def explained(self, snapshot: Snapshot) -> tuple[Explained, ...]:
        """Return every rule as it stands in `snapshot`, in the policy's order."""
        teller = Teller(self.policy, snapshot, self._lines)
        found = []
        for instance, lines, _ in self._rules:
            rule, span, (now, days) = instance.rule, instance.span, teller.standing(instance)
            leaves = tuple(teller.leaf(line) for line in lines)
            streak = None if span is None else Streak(days, span.days, span.of)
            found.append(Explained(instance.id, rule.outcome, now, rule.refs, rule.because, leaves, streak))
        return tuple(found)

    def plain(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """Return `explained` as plain JSON values; a comparison that several rules share is one object in all."""
        teller = Teller(self.policy, snapshot, self._lines)
        found = []
        for instance, lines, plain in self._rules:
            span, (now, days) = instance.span, teller.standing(instance)
            streak = None if span is None else {"days": days, "needed": span.days, "of": span.of}
            conditions = [teller.plain(line) for line in lines]
            found.append({**plain, "conditions": conditions, "streak": streak, "truth": now})
        return found


class Teller:
    """Tells what one snapshot makes of comparisons; one that several rules share is worked out once."""

    def __init__(self, policy: Policy, snapshot: Snapshot, lines: _Lines | None = None) -> None:
        self._bands = policy.bands
        self._facts = policy.vocabulary.facts
        self._values = snapshot.values
        self._lines = _Lines(policy) if lines is None else lines
        self._plain: dict[_Line, dict[str, Any]] = {}
        self._told: dict[_Line, Leaf] = {}
        self._texts: dict[str, str | None] = {}

    def standing(self, instance: Instance) -> tuple[TruthName, int]:
        """Return the truth of a rule as `Explained` has it, and the days counted for it."""
        span = instance.span
        days = 0 if span is None else self._values[instance.days_key] or 0
        if span is not None and days >= span.days:
            return "TRUE", days
        now = truth(instance.when, self._values, self._bands)
        if span is not None and now is True:
            now = False  # true at this moment, but not for long enough
        return _NAMES[now], days

    def leaves(self, condition: Condition, *, asked: bool) -> list[Leaf]:
        """Return the comparisons of a condition, or without `asked` of its contrary, as they count."""
        return [self.leaf(line) for line in self._lines.of(condition, asked=asked)]

    def leaf(self, line: _Line) -> Leaf:
        """Return one comparison."""
        if line not in self._told:
            self._told[line] = Leaf(**self.plain(line))
        return self._told[line]

    def plain(self, line: _Line) -> dict[str, Any]:
        """Return one comparison as the plain values of a `Leaf`."""
        found = self._plain.get(line)
        if found is None:
            found = self._plain[line] = self._worked_out(line)
        return found

    def _worked_out(self, line: _Line) -> dict[str, Any]:
        fact, edge = line.fact, line.edge
        value = self._values[fact if edge is None else edge.fact]
        held: Truth
        margin: str | None = None
        if edge is None:
            held = (value is None) == line.asked
        elif value is None:
            held = True if line.or_unknown else None
        else:
            spec = self._facts[edge.fact]
            held = compare(value, edge.operator, edge.steps) is line.asked
            margin = None if spec.choices else digits(spec, abs(value - edge.steps))
        return {
            "fact": fact,
            "margin": margin,
            "test": line.test,
            "truth": _NAMES[held],
            "unit": line.unit,
            "value": self._text(fact),
        }

    def _text(self, fact: str) -> str | None:
        if fact not in self._texts:
            spec, steps = self._facts[fact], self._values[fact]
            self._texts[fact] = None if steps is None else spec.choices[steps] if spec.choices else digits(spec, steps)
        return self._texts[fact]


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """What a comparison shows in every snapshot.

    Attributes:
        fact: whose value is shown.
        unit: of the value; empty for words.
        test: what is asked of it, in words.
        edge: what is compared; None where it is asked only whether the fact is known.
        asked: which truth of `edge`, or of the fact being unknown, counts as true.
        or_unknown: whether an unknown fact counts as true as well: what `unless` unfolds to.
    """

    fact: str
    unit: str
    test: str
    edge: Compare | None
    asked: bool
    or_unknown: bool = False


class _Lines:
    """The lines of one policy's conditions; a comparison that several rules share has one line."""

    def __init__(self, policy: Policy) -> None:
        self._bands = policy.bands
        self._facts = policy.vocabulary.facts
        self._compares: dict[tuple[int, bool], _Line] = {}  # by identity: the policy holds all its comparisons

    def of(self, condition: Condition, *, asked: bool) -> list[_Line]:  # noqa: PLR0911 - one a kind of condition
        """Return the comparisons of a condition, or without `asked` of its contrary."""
        match condition:
            case Compare():
                return [self._compared(condition, asked=asked)]
            case Unknown(fact):
                return [_Line(fact, self._unit(fact), "unknown" if asked else "known", None, asked)]
            case BandIs(fact, colour):
                band = self._bands[fact]
                if colour == "yellow":
                    return [self._compared(edge, asked=not asked) for edge in (band.green, band.red)]
                return [self._compared(band.green if colour == "green" else band.red, asked=asked)]
            case Not(part):
                return self.of(part, asked=not asked)
            case AnyOf((one, Unknown(fact))) if asked and _fact_of(one) == fact:
                lines = self.of(one, asked=True)
                return [replace(line, test=f"{line.test} or unknown", or_unknown=True) for line in lines]
            case All(parts) | AnyOf(parts):
                return [line for part in parts for line in self.of(part, asked=asked)]

    def _compared(self, edge: Compare, *, asked: bool) -> _Line:
        key = (id(edge), asked)
        if key not in self._compares:
            operator, threshold = edge.text.split(" ", 1)
            if not asked:
                operator = _OPPOSITE[edge.operator]
            difference = self._facts[edge.fact].difference
            fact = edge.fact if difference is None else difference.left
            self._compares[key] = _Line(fact, self._unit(fact), f"{operator} {threshold}", edge, asked)
        return self._compares[key]

    def _unit(self, fact: str) -> str:
        spec = self._facts[fact]
        return "" if spec.choices else spec.unit


def _plain(instance: Instance) -> dict[str, Any]:
    """Return what the record says of a rule whatever the snapshot."""
    rule = instance.rule
    return {"id": instance.id, "outcome": rule.outcome, "refs": rule.refs, "because": rule.because}


def _fact_of(condition: Condition) -> str:
    """Return the fact of a comparison or band, also of a negated one; empty for anything else."""
    if isinstance(condition, Not):
        return _fact_of(condition.part)
    return condition.fact if isinstance(condition, Compare | BandIs) else ""
