"""Reads the conditions of a policy file: `all`, `any`, `not`, comparisons, bands and `unknown`."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast, get_args

from engine.policy.model import All, AnyOf, BandIs, Colour, Compare, Difference, Not, Unknown
from engine.policy.quantity import MAX_STEPS, MistakeError, nearest, quoted, shown, threshold
from engine.policy.regions import colour_region, everything, intersection, region, union

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from engine.documents import Key
    from engine.policy.model import Band, Condition, FactSpec, Operator, Parameter
    from engine.policy.regions import Region
    from engine.policy.schema import Findings

COLOURS: tuple[str, ...] = get_args(Colour)
RESERVED = ("all", "any", "not", "band", "every_band")
MOST_LEAVES = 60  # the production engine is trusted with fewer in one rule; each is held against all others
EXAMPLE = 'write one condition, such as `{drawdown: "> 12%"}`'

_COMPARISON = re.compile(r"(>=|<=|!=|>|<|=)\s*(\S.*)")
_WORD_OPERATORS = ("=", "!=")
_OTHER_OPERATORS = {"==": "=", "=>": ">=", "=<": "<=", "≥": ">=", "≤": "<=", "≠": "!=", "<>": "!="}

# A leaf of an `all` or `any`: where it stands, what it says, and whether a person wrote it (and not `every_band`).
Leaf = tuple["Key", "Condition", bool]


class ConditionReader:
    """Reads conditions and checks each against the vocabulary, the bands and the parameters.

    Attributes:
        used: the parameters that some comparison has read.
        bands: the bands read so far; bands are read before rules.
        facts: the vocabulary's, and the differences that comparisons of two facts need.
    """

    def __init__(
        self,
        findings: Findings,
        facts: Mapping[str, FactSpec],
        parameters: Mapping[str, Parameter],
        unsound: Collection[str],
    ) -> None:
        self.used: set[str] = set()
        self.bands: dict[str, Band] = {}
        self._findings = findings
        self.facts: dict[str, FactSpec] = dict(facts)
        self._parameters = parameters
        self._unsound = unsound

    def read(self, path: Key, *, each_band: bool) -> Condition | None:
        """Return the condition at `path`, or None where it is wrong; mistakes are added to the findings."""
        value = self._findings.value(*path)
        if not isinstance(value, dict) or not value:
            self._findings.add(path, "condition", "expected a condition", EXAMPLE)
            return None
        if len(value) > 1:
            parts = ", ".join(f"{{{key}: …}}" for key in value)
            self._findings.add(
                path, "two-keys", f"{len(value)} keys in one condition", f"if all must hold, write `all: [{parts}]`"
            )
            return None
        key, inner = next(iter(value.items()))
        inside = (*path, key)
        if key in {"all", "any"}:
            return self.many(inside, key, each_band=each_band)
        if key == "not":
            part = self.read(inside, each_band=each_band)
            return None if part is None else Not(part)
        if key in {"band", "every_band"}:
            return self._bands(inside, key, inner, each_band=each_band)
        return self._fact(inside, key, inner)

    def many(self, path: Key, key: str, *, each_band: bool = False) -> All | AnyOf | None:
        """Return the list of conditions at `path` joined by `key`, ``all`` or ``any``; None where one is wrong."""
        items = self._findings.value(*path)
        if not isinstance(items, list) or not items:
            self._findings.add(path, "condition", f"`{key}` takes a list of conditions", EXAMPLE)
            return None
        read = [((*path, index), self.read((*path, index), each_band=each_band)) for index in range(len(items))]
        parts = [(at, part) for at, part in read if part is not None]
        if len(parts) < len(read):
            return None
        kind = All if key == "all" else AnyOf
        condition = kind(tuple(part for _, part in parts))
        leaves = [leaf for at, part in parts for leaf in _leaves(at, part, kind, by_hand=True)]
        if len(leaves) > MOST_LEAVES:
            problem = f"`{key}` joins {len(leaves):,} comparisons, at most {MOST_LEAVES} are read"
            self._findings.add(path, "too-many-conditions", problem, "split the rule", key=True)
            return None
        if kind is All:
            self._check_all(path, leaves)
        else:
            self._check_any(path, leaves)
        return condition

    def _bands(self, path: Key, key: str, colour: Any, *, each_band: bool) -> Condition | None:
        if colour not in COLOURS:
            self._findings.add(path, "colour", f"{quoted(colour)} is no colour", f"write {', '.join(COLOURS)}")
            return None
        colour = cast("Colour", colour)
        if key == "every_band":
            if not self.bands:
                self._findings.add(path, "unknown-band", "this policy declares no bands", key=True)
                return None
            return All(tuple(BandIs(fact, colour) for fact in self.bands))
        if not each_band:
            help_ = "add `each: band` to the rule, or name a fact, such as `{drawdown: red}`"
            self._findings.add(path, "each", "`band` stands for the band of `each: band`", help_, key=True)
            return None
        return BandIs("", colour)

    def _fact(self, path: Key, fact: str, value: Any) -> Condition | None:
        spec = self.facts.get(fact)
        if spec is None or spec.difference:
            self._findings.add(
                path,
                "unknown-fact",
                f"there is no fact {quoted(fact)}",
                nearest(fact, [*self.facts, *RESERVED]),
                key=True,
            )
            return None
        if value == "unknown":
            return Unknown(fact)
        if value in COLOURS:
            if fact not in self.bands:
                self._findings.add(path, "unknown-band", f"`{fact}` has no band", nearest(fact, self.bands))
                return None
            return BandIs(fact, cast("Colour", value))
        return self.compare(path, spec, with_facts=True)

    def compare(self, path: Key, spec: FactSpec, *, with_facts: bool = False) -> Compare | None:
        """Return the comparison of a fact at `path`, or None where it is wrong.

        A band's edge is a constant; elsewhere `with_facts` allows another fact of the same unit.
        """
        value = self._findings.value(*path)
        try:
            compare = self._comparison(spec, value, with_facts=with_facts)
            if compare is None:
                return None
        except MistakeError as mistake:
            self._findings.add(path, mistake.code, mistake.problem, mistake.help)
            return None
        spec = self.facts[compare.fact]
        values = region(compare, spec)
        if not values:
            self._findings.add(path, "never", f"`{spec.name}` is never {quoted(value)}", _range_help(spec))
            return None
        if values == everything(spec):
            self._findings.add(path, "always", f"`{spec.name}` is always {quoted(value)}", _range_help(spec))
            return None
        return compare

    def _comparison(self, spec: FactSpec, value: Any, *, with_facts: bool) -> Compare | None:
        if not isinstance(value, str):
            example = f'write `"= {value}"`' if isinstance(value, int | float) else f"{EXAMPLE}"
            raise MistakeError("operator", f"{quoted(_yaml(value))} is no comparison", example)
        match = _COMPARISON.fullmatch(value.strip())
        for wrong, right in _OTHER_OPERATORS.items():
            if value.strip().startswith(wrong):
                raise MistakeError("operator", f"`{wrong}` is no operator", f"write `{right}`")
        if match is None:
            raise MistakeError(
                "operator", f"{quoted(value)} has no operator", f'write `"> {value}"` or another of > >= < <= = !='
            )
        return self._compared(spec, cast("Operator", match[1]), match[2].strip(), value, with_facts=with_facts)

    def _compared(
        self, spec: FactSpec, operator: Operator, text: str, value: str, *, with_facts: bool
    ) -> Compare | None:
        """Return the comparison of a fact with what stands right of the operator: a number, a parameter or a fact."""
        if spec.choices and operator not in _WORD_OPERATORS:
            raise MistakeError(
                "operator", f"`{spec.name}` is a word, {quoted(value)} asks for an order", "write `=` or `!=`"
            )
        other = self.facts.get(text)
        if other is not None and not spec.choices:
            if not with_facts:
                raise MistakeError("threshold", f"the edge of a band is a number, not the fact `{text}`")
            return Compare(self._difference(spec, other), operator, 0, f"{operator} {text}")
        parameter = text[1:] if text.startswith("$") else ""
        if parameter:
            if parameter in self._unsound:
                return None  # its own mistake has been reported
            if parameter not in self._parameters:
                raise MistakeError(
                    "unknown-parameter",
                    f"there is no parameter {quoted(parameter)}",
                    nearest(parameter, self._parameters),
                )
            self.used.add(parameter)
            text = self._parameters[parameter].value
        try:
            steps = threshold(spec, text, operator)
        except MistakeError as mistake:
            help_ = f"change the parameter `{parameter}`" if parameter else mistake.help
            raise MistakeError(mistake.code, mistake.problem, help_) from None
        return Compare(spec.name, operator, steps, f"{operator} {text}", parameter)

    def _difference(self, left: FactSpec, right: FactSpec) -> str:
        """Return the name of the fact `left` − `right`, and declare it where it is new."""
        if left.unit != right.unit:
            help_ = f"compare facts of one unit: {', '.join(self._alike(left)) or 'there is no other'}"
            raise MistakeError("unit", f"`{left.name}` is in {left.unit}, `{right.name}` in {right.unit}", help_)
        if left.name == right.name:
            raise MistakeError("always", f"`{left.name}` is compared with itself")
        step = min(left.resolution, right.resolution)
        scales = [spec.resolution / step for spec in (left, right)]
        if any(scale != int(scale) for scale in scales):
            problem = f"the steps of `{left.name}` and `{right.name}` have no common size"
            raise MistakeError("resolution", problem, "give one of the two a finer resolution")
        one, other = (int(scale) for scale in scales)
        low, high = left.low * one - right.high * other, left.high * one - right.low * other
        if max(abs(low), abs(high)) > MAX_STEPS:
            problem = f"`{left.name}` and `{right.name}` may differ by more than {MAX_STEPS:,} steps"
            raise MistakeError("resolution", problem)
        name = f"{left.name} - {right.name}"
        self.facts[name] = replace(
            left,
            name=name,
            title=f"{left.title}, less {right.title}",
            low=low,
            high=high,
            resolution=Decimal(step),
            source=f"the difference of {left.name} and {right.name}",
            difference=Difference(left.name, right.name, one, other),
        )
        return name

    def _alike(self, spec: FactSpec) -> list[str]:
        return [
            other.name
            for other in self.facts.values()
            if other.unit == spec.unit and other.name != spec.name and not other.difference
        ]

    def _check_all(self, path: Key, leaves: list[Leaf]) -> None:
        """Report facts that can never satisfy an `all`, and comparisons that another one makes superfluous."""
        for fact, group in self._by_fact(leaves):
            spec = self.facts[fact]
            values = everything(spec)
            for _, condition, _ in group:
                values = intersection(values, self._values(condition, spec))
            if not values:
                said = " and ".join(dict.fromkeys(_said(condition) for _, condition, _ in group))
                self._findings.add(
                    path, "never", f"no value of `{fact}` is {said}", "this condition can never be true", key=True
                )
                continue
            kept = [leaf for leaf in group if leaf[2]]
            for leaf in reversed([leaf for leaf in group if leaf[2]]):
                others = [other for other in kept if other is not leaf]
                rest = everything(spec)
                for _, other, _ in others:
                    rest = intersection(rest, self._values(other, spec))
                if others and intersection(rest, self._values(leaf[1], spec)) == rest:
                    self._shadowed(leaf, others)
                    kept = others

    def _check_any(self, path: Key, leaves: list[Leaf]) -> None:
        """Report an `any` that is always true of a fact with a value, and comparisons that add nothing to it."""
        for fact, group in self._by_fact(leaves):
            spec = self.facts[fact]
            kept = [leaf for leaf in group if leaf[2]]
            if len(kept) > 1 and union(self._values(one, spec) for _, one, _ in kept) == everything(spec):
                said = " or ".join(_said(one) for _, one, _ in kept)
                self._findings.add(
                    path, "always", f"`{fact}` is always {said}", f"write `not: {{{fact}: unknown}}`", key=True
                )
                continue
            for leaf in reversed(list(kept)):
                others = [other for other in kept if other is not leaf]
                rest = union(self._values(other, spec) for _, other, _ in others)
                if others and union([rest, self._values(leaf[1], spec)]) == rest:
                    self._shadowed(leaf, others)
                    kept = others

    def _shadowed(self, leaf: Leaf, others: list[Leaf]) -> None:
        said = " and ".join(_said(other) for _, other, _ in others)
        self._findings.add(leaf[0], "shadowed", f"{_said(leaf[1])} adds nothing to {said}", "remove it")

    def _by_fact(self, leaves: list[Leaf]) -> Iterable[tuple[str, list[Leaf]]]:
        groups: dict[str, list[Leaf]] = {}
        for leaf in leaves:
            condition = leaf[1]
            if isinstance(condition, Compare | BandIs) and condition.fact:
                groups.setdefault(condition.fact, []).append(leaf)
        return groups.items()

    def _values(self, leaf: Condition, spec: FactSpec) -> Region:
        if isinstance(leaf, BandIs):
            return colour_region(self.bands[leaf.fact], leaf.colour, spec)
        assert isinstance(leaf, Compare)
        return region(leaf, spec)


def _leaves(path: Key, condition: Condition, kind: type[All | AnyOf], *, by_hand: bool) -> list[Leaf]:
    """Return the leaves that the `all` (or `any`) at hand joins directly or through nested ones of its kind."""
    if not isinstance(condition, kind):
        return [(path, condition, by_hand)]
    # `every_band` is an All whose parts stand nowhere in the file: a stricter comparison beside it is no mistake.
    written = by_hand and not all(isinstance(part, BandIs) for part in condition.parts)
    return [leaf for part in condition.parts for leaf in _leaves(path, part, kind, by_hand=written)]


def _said(leaf: Condition) -> str:
    if isinstance(leaf, BandIs):
        return f"`{leaf.colour}`"
    assert isinstance(leaf, Compare)
    return f"`{leaf.text}`"


def _range_help(spec: FactSpec) -> str:
    if spec.choices:
        return f"its values are {', '.join(spec.choices)}"
    return f"its values run from {shown(spec, spec.low)} to {shown(spec, spec.high)}"


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
