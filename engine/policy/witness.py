"""What would kill a mutant that every test let live: days of facts on the last of which it decides otherwise."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from heapq import merge
from typing import TYPE_CHECKING

from engine.policy.cases import Case
from engine.policy.derive import day_effect
from engine.policy.equivalence import may_fire
from engine.policy.facts import YOUNG
from engine.policy.interpreter import truth
from engine.policy.points import UndecidedError, joined
from engine.policy.series import Entry, shortened
from engine.policy.testing import run_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from engine.policy.equivalence import Comparison, Pair
    from engine.policy.model import Instance, Policy, Span, Truth
    from engine.policy.points import Expression, Point
    from engine.policy.testing import CaseResult

MAX_HISTORIES = 500

Day = dict[str, Entry]


@dataclass(frozen=True)
class Witness:
    """Days of facts on the last of which the policy and its mutant differ.

    Attributes:
        facts: those that differ from the defaults, as series in short form.
        days: how many.
        outcome: what the policy decides on the last day.
        rules: what it fires there.
        mutant_outcome: what the mutant decides.
        mutant_rules: what it fires.
    """

    facts: Mapping[str, str]
    days: int
    outcome: str
    rules: tuple[str, ...]
    mutant_outcome: str
    mutant_rules: tuple[str, ...]

    def as_test(self, name: str) -> str:
        """Return the policy test that kills the mutant, to be read by a person and added to the others."""
        facts = ", ".join(f"{fact}: {json.dumps(series)}" for fact, series in self.facts.items())
        rules = ", ".join(f'"{rule}"' if "[" in rule else rule for rule in self.rules)
        return (
            f"  - name: {json.dumps(name, ensure_ascii=False)}\n    days: {self.days}\n    facts: {{{facts}}}\n"
            f"    expect: {{outcome@{self.days}: {self.outcome}, rules@{self.days}: [{rules}]}}\n"
        )


def witness(comparison: Comparison, defaults: Mapping[str, Entry]) -> Witness | None:
    """Return what would kill a mutant, None where nothing was found.

    Args:
        comparison: of the policy and a mutant that days of facts can show.
        defaults: the entries of a day on which all is well; what else the policy reads is missing.
    """
    usual = {name: defaults.get(name, Entry(None, "missing")) for name in comparison.policy.facts}
    for number, points in enumerate(_histories(comparison)):
        days = [{**usual, **point} for point in points]
        if number >= MAX_HISTORIES:
            return None
        if _differ(comparison, days, whole=False):
            found = _differ(comparison, days, whole=True)
            if found is not None:
                return found
    return None


def _differ(comparison: Comparison, days: Sequence[Day], *, whole: bool) -> Witness | None:
    """Return the witness if policy and mutant differ on some of the days; without `whole`, of changed rules alone."""
    policies = [comparison.policy, comparison.mutant.policy]
    by_outcome = comparison.mutant.kind in {"outcome", "severity", "otherwise"}
    if not whole and not by_outcome:
        ids = {one.id for pair in comparison.touched for one in pair if one}
        policies = [_only(policy, ids) for policy in policies]
    read = [name for name in comparison.policy.facts if any(name in policy.facts for policy in policies)]
    case = Case(
        "witness",
        comparison.policy.name,
        "",
        "",
        {name: tuple(day[name] for day in days) for name in read},
        outcomes=(None,) * len(days),
        rules=(None,) * len(days),
    )
    written, mutated = (run_case(policy, case) for policy in policies)
    for day in range(len(days)):
        if comparison.mutant.told_apart(_decision(written, day), _decision(mutated, day)):
            return _witness(comparison, days[: day + 1], _decision(written, day), _decision(mutated, day))
    return None


def _decision(result: CaseResult, day: int) -> tuple[str, tuple[str, ...]]:
    return result.outcomes[day], result.fired[day]


def _witness(
    comparison: Comparison,
    days: Sequence[Day],
    written: tuple[str, tuple[str, ...]],
    mutated: tuple[str, tuple[str, ...]],
) -> Witness:
    specs = comparison.policy.vocabulary.facts
    series = {name: [day[name] for day in days] for name in days[0]}
    return Witness(
        facts={
            name: shortened(entry.text(specs[name]) for entry in entries)
            for name, entries in series.items()
            if any(entry.steps != comparison.usual.get(name) for entry in entries)
        },
        days=len(days),
        outcome=written[0],
        rules=written[1],
        mutant_outcome=mutated[0],
        mutant_rules=mutated[1],
    )


def _only(policy: Policy, ids: set[str]) -> Policy:
    return replace(policy, instances=tuple(one for one in policy.instances if one.id in ids), bands=policy.bands)


def _histories(comparison: Comparison) -> Iterator[list[Day]]:
    """Yield days on which the two may differ, few days before many; each day names the facts that matter."""
    match comparison.mutant.kind:
        case "outcome":
            points = [_firing_alone(comparison, *pair) for pair in comparison.touched]
            longest = max((_longest(pair) for pair in comparison.touched), default=1)
            yield from _repeated(points, longest)
        case "severity":
            pairs = comparison.turned()
            longest = max((_longest(pair) for pair in pairs), default=1)
            yield from _repeated((_firing_together(comparison, *pair) for pair in pairs), longest)
        case "otherwise":
            at_once = [comparison.before(one) for one in comparison.policy.instances if one.span is None]
            silent = _sought(comparison, lambda truths: truths[0] is not True, joined(at_once, conjunction=False))
            yield from _repeated([silent], 1)
        case "each":
            true = [_sought(comparison, _true, comparison.before(one)) for one, _ in comparison.touched if one]
            longest = max((_longest(pair) for pair in comparison.touched), default=1)
            yield from _patterns([point for point in true if point is not None], longest)
        case _:
            yield from merge(*(_of_pair(comparison, pair) for pair in comparison.touched), key=len)


def _of_pair(comparison: Comparison, pair: Pair) -> Iterator[list[Day]]:
    both = comparison.both(pair)
    longest = _longest(pair)
    if longest == 1:
        different = _sought(comparison, lambda truths: (truths[0] is True) != (truths[1] is True), *both)
        yield from _repeated([different], 1)
        return
    found = [_sought(comparison, lambda truths: truths[0] != truths[1], *both)]
    found += [_sought(comparison, _all(asked), *both) for asked in (True, False, None)]
    young = {name: Entry(None, YOUNG) if entry.steps is None else entry for name, entry in (found[-1] or {}).items()}
    letters = [letter for letter in (*found, young) if letter]
    policies = (comparison.policy, comparison.mutant.policy)
    effects = [[_effect(policy, one, letter) for letter in letters] for policy, one in zip(policies, pair, strict=True)]
    for numbers in _numbers(len(letters), longest):
        one, other = (
            _fires([of_letter[number] for number in numbers], rule.span if rule else None)
            for of_letter, rule in zip(effects, pair, strict=True)
        )
        if one != other:
            yield [letters[number] for number in numbers]


def _effect(policy: Policy, instance: Instance | None, letter: Day) -> int:
    """Return what a day does to the rule's streak."""
    if instance is None:
        return -1
    specs = policy.vocabulary.facts
    facts = {name: entry.posted(specs[name], 0) for name, entry in letter.items()}
    values = {name: letter[name].steps if name in letter else None for name in specs}
    return day_effect(instance, truth(instance.when, values, policy.bands), facts)


def _fires(effects: Sequence[int], span: Span | None) -> bool:
    """Return whether a rule may fire on the last of some days: a guess, which the real machinery then checks."""
    if span is None or effects[-1] < 0:
        return span is None and effects[-1] > 0
    days = 0
    for effect in effects[-span.of :] if span.of else effects:
        days = 0 if effect < 0 and span.of is None else days + (effect > 0)
    return days >= span.days


def _all(asked: Truth) -> Callable[[tuple[Truth, ...]], bool]:
    return lambda truths: all(one is asked for one in truths)


def _true(truths: tuple[Truth, ...]) -> bool:
    return truths[0] is True


def _firing_alone(comparison: Comparison, before: Instance | None, after: Instance | None) -> Day | None:
    """Return a day on which the rule holds and nothing outweighs what it asks for, or asks for now."""
    if before is None or after is None:
        return None
    rest = comparison.outweighed(before, after.outcome)
    alone = _sought(
        comparison, lambda truths: truths[0] is True and truths[1] is not True, comparison.before(before), rest
    )
    return alone or _sought(comparison, _true, comparison.before(before))


def _firing_together(comparison: Comparison, one: Instance, other: Instance) -> Day | None:
    rest = comparison.outweighed(one, one.outcome)
    fires = may_fire(other.span)
    both = (comparison.before(one), comparison.before(other))
    return _sought(
        comparison, lambda truths: truths[0] is True and truths[1] in fires and truths[2] is not True, *both, rest
    ) or _sought(comparison, _all(True), *both)  # noqa: FBT003 - the truth that all have


def _sought(
    comparison: Comparison, wanted: Callable[[tuple[Truth, ...]], bool], *expressions: Expression
) -> Day | None:
    try:
        point: Point | None = comparison.find(wanted, *expressions)
    except UndecidedError:
        return None
    if point is None:
        return None
    return {name: Entry(steps, "ok" if steps is not None else "missing") for name, steps in point.items()}


def _longest(pair: tuple[Instance | None, Instance | None]) -> int:
    spans = [one.span for one in pair if one and one.span]
    return max((span.of or span.days for span in spans), default=1)


def _repeated(days: Iterable[Day | None], longest: int) -> Iterator[list[Day]]:
    for day in days:
        if day is not None:
            yield [day] * longest


def _patterns(letters: Sequence[Day], longest: int) -> Iterator[list[Day]]:
    for numbers in _numbers(len(letters), longest):
        yield [letters[number] for number in numbers]


def _numbers(letters: int, longest: int) -> Iterator[list[int]]:
    """Yield up to three stretches of equal days, of the lengths about which a streak of `longest` days can differ."""
    lengths = sorted({1, 2, longest - 2, longest - 1, longest, longest + 1} - {-1, 0})
    stretches: list[list[tuple[int, int]]] = [[]]
    found: list[list[tuple[int, int]]] = []
    for _ in range(3):
        stretches = [
            [*before, (letter, length)]
            for before in stretches
            for letter in range(letters)
            if not before or before[-1][0] != letter
            for length in lengths
        ]
        found += stretches
    for stretch in sorted(found, key=lambda parts: sum(length for _, length in parts)):
        yield [letter for letter, length in stretch for _ in range(length)]
