"""Days of facts on which a policy and a mutant may differ: those about which their conditions and streaks turn.

They are guesses, in the order of their length; whether the two do differ is for the machinery that decides to say.
"""

from __future__ import annotations

from heapq import merge
from typing import TYPE_CHECKING

from engine.policy.derive import day_effect, in_all_steps
from engine.policy.facts import MISSING, OK, YOUNG
from engine.policy.interpreter import truth
from engine.policy.mutation.equivalence import may_fire
from engine.policy.points import UndecidedError, alike, joined
from engine.policy.testing.series import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from engine.policy.model import Difference, Instance, Policy, Span, Truth
    from engine.policy.mutation.equivalence import Comparison, Pair
    from engine.policy.points import Expression, Point

Day = dict[str, Entry]


def histories(comparison: Comparison) -> Iterator[list[Day]]:
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
    values = in_all_steps(policy, facts)
    return day_effect(instance, truth(instance.when, values, policy.bands), facts, specs)


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
    assert before is not None
    assert after is not None
    rest = comparison.outweighed(before, after.outcome)
    alone = _sought(
        comparison, lambda truths: truths[0] is True and truths[1] is not True, comparison.before(before), rest
    )
    return alone or _sought(comparison, _true, comparison.before(before))


def _firing_together(comparison: Comparison, one: Instance, other: Instance) -> Day | None:
    rest = comparison.outweighed(one, one.outcome)
    fires = may_fire(other, comparison.policy)
    both = (comparison.before(one), comparison.before(other))
    return _sought(
        comparison, lambda truths: truths[0] is True and truths[1] in fires and truths[2] is not True, *both, rest
    ) or _sought(comparison, _all(True), *both)  # noqa: FBT003 - the truth that all have


def _sought(
    comparison: Comparison, wanted: Callable[[tuple[Truth, ...]], bool], *expressions: Expression
) -> Day | None:
    try:
        point = comparison.find(wanted, *expressions)
    except UndecidedError:
        return None
    return None if point is None else _day(comparison, point, expressions)


def _day(comparison: Comparison, point: Point, expressions: Sequence[Expression]) -> Day | None:
    """Return a day on which facts have the values of a point; None where a difference of two cannot come about."""
    specs = comparison.policy.vocabulary.facts
    steps = {name: value for name, value in point.items() if specs[name].difference is None}
    for name, value in point.items():
        difference = specs[name].difference
        if difference is None:
            continue
        if value is None:
            free = next((one for one in (difference.left, difference.right) if one not in steps), None)
            if free is not None:
                steps[free] = None
            continue
        # The two facts may have no values that are just so far apart: then others that make no difference.
        reach = difference.left_scale * difference.right_scale
        near = sorted(range(value - reach, value + reach + 1), key=lambda other: abs(other - value))
        values = (other for other in near if alike(expressions, name, value, other))
        if not any(_apart(comparison, difference, other, steps, expressions) for other in values):
            return None
    return {name: Entry(value, OK if value is not None else MISSING) for name, value in steps.items()}


def _apart(
    comparison: Comparison, difference: Difference, value: int, steps: Point, expressions: Sequence[Expression]
) -> bool:
    """Put into `steps` values of two facts whose difference is `value`; one of the two is moved where that is free."""
    specs = comparison.policy.vocabulary.facts
    left, right = difference.left, difference.right

    def free(name: str, needed: int) -> bool:
        given = steps.get(name, needed)
        within = specs[name].low <= needed <= specs[name].high
        return within and given is not None and alike(expressions, name, given, needed)

    one, other = (steps.get(name, comparison.usual.get(name)) or 0 for name in (left, right))
    needed, rest = divmod(value + other * difference.right_scale, difference.left_scale)
    if rest == 0 and free(left, needed):
        steps[left], steps[right] = needed, other
        return True
    needed, rest = divmod(one * difference.left_scale - value, difference.right_scale)
    if rest == 0 and free(right, needed):
        steps[left], steps[right] = one, needed
        return True
    return False


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
