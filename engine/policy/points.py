"""Finds values of facts at which conditions are true, false or unknown as asked, or proves that there are none.

The values between two neighbouring thresholds are all alike, so one value of each such stretch, and unknown, stand for
all. Facts are given values one after another and the conditions folded; what has become the same, or can no longer
come out as asked, is not looked at further. So the search is exhaustive without trying every combination.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from engine.policy.interpreter import compare
from engine.policy.model import All, AnyOf, BandIs, Compare, Not, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from engine.policy.model import Band, Condition, FactSpec, Truth

MAX_NODES = 50_000

Point = dict[str, int | None]


class UndecidedError(Exception):
    """The search was given up: too many combinations."""


@dataclass(frozen=True, slots=True)
class _Joined:
    conjunction: bool
    parts: frozenset[Expression]


@dataclass(frozen=True, slots=True)
class _Negated:
    part: Expression


Expression = bool | None | Compare | Unknown | _Joined | _Negated


def expression(condition: Condition, bands: Mapping[str, Band]) -> Expression:
    """Return a condition with its bands put in as comparisons."""
    if isinstance(condition, BandIs):
        band = bands[condition.fact]
        if condition.colour == "yellow":
            return joined([_negated(band.green), _negated(band.red)], conjunction=True)
        return band.green if condition.colour == "green" else band.red
    if isinstance(condition, All | AnyOf):
        parts = [expression(part, bands) for part in condition.parts]
        return joined(parts, conjunction=isinstance(condition, All))
    if isinstance(condition, Not):
        return _negated(expression(condition.part, bands))
    return condition


def find(
    expressions: Sequence[Expression],
    wanted: Callable[[tuple[Truth, ...]], bool],
    specs: Mapping[str, FactSpec],
    usual: Mapping[str, int | None],
) -> Point | None:
    """Return values of the facts that `expressions` read, at which their truths are as `wanted`.

    Args:
        expressions: of conditions.
        wanted: says yes to a tuple of their truths.
        specs: the vocabulary.
        usual: the value to prefer for a fact, as on a day on which all is well.

    Returns:
        The values in steps, None for unknown; or None where no values whatsoever give what is wanted.

    Raises:
        UndecidedError: there are too many combinations to say.
    """
    values = _representatives(expressions, specs, usual)
    order = sorted(values, key=lambda fact: (not _in_some_only(fact, expressions), list(specs).index(fact)))
    return _Search(wanted, [(fact, values[fact]) for fact in order]).run(tuple(expressions))


def compared_facts(one: Expression) -> frozenset[str]:
    """Return the facts whose values `one` compares: those that can make it unknown."""
    return frozenset(leaf.fact for leaf in _leaves(one) if isinstance(leaf, Compare))


def alike(expressions: Iterable[Expression], fact: str, one: int, other: int) -> bool:
    """Return whether every comparison of `fact` in `expressions` is as true of one value as of the other."""
    asked = [leaf for each in expressions for leaf in _leaves(each) if isinstance(leaf, Compare) and leaf.fact == fact]
    return all(compare(one, leaf.operator, leaf.steps) == compare(other, leaf.operator, leaf.steps) for leaf in asked)


def joined(parts: Iterable[Expression], *, conjunction: bool) -> Expression:
    """Return Kleene's and (or its or), folded: constants, repetitions and nested ones of the same kind are gone."""
    flat: set[Expression] = set()
    for part in parts:
        same = isinstance(part, _Joined) and part.conjunction == conjunction
        flat.update(part.parts if same and isinstance(part, _Joined) else (part,))
    if (not conjunction) in flat:
        return not conjunction
    flat.discard(conjunction)
    if len(flat) > 1:
        return _Joined(conjunction, frozenset(flat))
    return next(iter(flat)) if flat else conjunction


def _negated(part: Expression) -> Expression:
    if part is None or isinstance(part, bool):
        return None if part is None else not part
    return part.part if isinstance(part, _Negated) else _Negated(part)


class _Search:
    def __init__(
        self, wanted: Callable[[tuple[Truth, ...]], bool], values: Sequence[tuple[str, Sequence[int | None]]]
    ) -> None:
        self.wanted = wanted
        self.values = values
        self.nodes = 0
        self.failed: set[tuple[Expression, ...]] = set()

    def run(self, expressions: tuple[Expression, ...], level: int = 0) -> Point | None:
        if expressions in self.failed or not self._possible(expressions):
            return None
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise UndecidedError
        while level < len(self.values) and not any(_reads(one, self.values[level][0]) for one in expressions):
            level += 1
        if level == len(self.values):
            return {}
        fact, values = self.values[level]
        for value in values:
            found = self.run(tuple(_with(one, fact, value) for one in expressions), level + 1)
            if found is not None:
                return {fact: value, **found}
        self.failed.add(expressions)
        return None

    def _possible(self, expressions: tuple[Expression, ...]) -> bool:
        different = list(dict.fromkeys(expressions))
        truths = [_truths(one) for one in different]
        return any(
            self.wanted(tuple(combination[different.index(one)] for one in expressions))
            for combination in product(*truths)
        )


def _truths(one: Expression) -> tuple[Truth, ...]:
    """Return the truths that may come out; perhaps more, never less."""
    if one is None or isinstance(one, bool):
        return (one,)
    if isinstance(one, Unknown):
        return (True, False)
    if isinstance(one, Compare):
        return (True, False, None)
    if isinstance(one, _Negated):
        return tuple(None if truth is None else not truth for truth in _truths(one.part))
    parts = [_truths(part) for part in one.parts]
    neutral = one.conjunction
    found: list[Truth] = [neutral] if all(neutral in part for part in parts) else []
    if any((not neutral) in part for part in parts):
        found.append(not neutral)
    if any(None in part for part in parts) and all(set(part) != {not neutral} for part in parts):
        found.append(None)
    return tuple(found)


def _reads(one: Expression, fact: str) -> bool:
    if isinstance(one, _Joined):
        return any(_reads(part, fact) for part in one.parts)
    if isinstance(one, _Negated):
        return _reads(one.part, fact)
    return isinstance(one, Compare | Unknown) and one.fact == fact


def _with(one: Expression, fact: str, value: int | None) -> Expression:
    if isinstance(one, _Joined):
        return joined([_with(part, fact, value) for part in one.parts], conjunction=one.conjunction)
    if isinstance(one, _Negated):
        return _negated(_with(one.part, fact, value))
    if isinstance(one, Compare) and one.fact == fact:
        return compare(value, one.operator, one.steps)
    return value is None if isinstance(one, Unknown) and one.fact == fact else one


def _leaves(one: Expression) -> set[Compare | Unknown]:
    if isinstance(one, _Joined):
        return {leaf for part in one.parts for leaf in _leaves(part)}
    if isinstance(one, _Negated):
        return _leaves(one.part)
    return {one} if isinstance(one, Compare | Unknown) else set()


def _in_some_only(fact: str, expressions: Sequence[Expression]) -> bool:
    """Return whether the expressions differ in what they ask of `fact`: such facts are looked at first."""
    asked = [{leaf for leaf in _leaves(one) if leaf.fact == fact} for one in expressions]
    return any(leaves != asked[0] for leaves in asked)


def _representatives(
    expressions: Sequence[Expression], specs: Mapping[str, FactSpec], usual: Mapping[str, int | None]
) -> dict[str, list[int | None]]:
    """Return for each fact one value of each stretch between thresholds, the usual one first, and unknown."""
    leaves = {leaf for one in expressions for leaf in _leaves(one)}
    found: dict[str, list[int | None]] = {}
    for fact in sorted({leaf.fact for leaf in leaves}):
        spec = specs[fact]
        asked = [leaf for leaf in leaves if isinstance(leaf, Compare) and leaf.fact == fact]
        edges = sorted({leaf.steps + step for leaf in asked for step in (-1, 0, 1)})
        usual_value = usual.get(fact)
        candidates = [spec.low if usual_value is None else usual_value, *edges]
        alike: dict[tuple[Truth, ...], int | None] = {}
        for value in candidates:
            if spec.low <= value <= spec.high:
                alike.setdefault(tuple(compare(value, leaf.operator, leaf.steps) for leaf in asked), value)
        found[fact] = [*alike.values(), None]
    return found
