"""Whether a rule fires in more situations than before, in fewer, in both, or in the same: decided, not guessed.

Without `for`, every value of every fact (one of each stretch between thresholds, and unknown) is looked at. With `for`,
the two rules become two small machines that read the same days: all that the days can do to them is looked at.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import groupby, product
from typing import TYPE_CHECKING, Literal

from engine.policy.model import All, AnyOf, BandIs, Compare, Not, Unknown
from engine.policy.points import UndecidedError, compared_facts, expression, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.policy.model import Band, Condition, FactSpec, Gap, Instance, Span, Truth
    from engine.policy.points import Expression, Point

MAX_STATES = 20_000

Answer = Literal["yes", "no", "undecided"]
# What a day does to a streak: 1 counts, -1 breaks, 0 neither. A letter: what it does to the old rule and to the new.
Letter = tuple[int, int]
Memories = tuple[int, int]
# Values of facts, in steps or None for unknown, and for how many days they stay; 0 days: at the present moment.
Example = tuple[tuple["Point", int], ...]

_COUNTS, _BREAKS, _HOLDS = 1, -1, 0
_IN_A_GAP: Mapping[Gap, int] = {"counts": _COUNTS, "breaks": _BREAKS, "holds": _HOLDS}
_TRUTHS: tuple[Truth, ...] = (True, False, None)
_DIFFERENT = ((False, True), (True, False))  # (the old rule fires, the new one fires)


@dataclass(frozen=True)
class Side:
    """A rule as one of the two policies has it.

    Attributes:
        instance: the rule; None where this policy has none of that name: it never fires.
        bands: of its policy.
        promotes: whether the outcome it asks for is a promotion of its policy.
    """

    instance: Instance | None
    bands: Mapping[str, Band] = field(repr=False)
    promotes: bool

    @property
    def when(self) -> Expression:
        """The condition with its bands put in."""
        return self.instance is not None and expression(self.instance.when, self.bands)

    @property
    def compares(self) -> tuple[Compare, ...]:
        """Its comparisons, those of its bands included."""
        if self.instance is None:
            return ()
        when = self.instance.when
        edges = (edge for fact in band_facts(when) for edge in (self.bands[fact].green, self.bands[fact].red))
        return (*compares(when), *edges)

    @property
    def span(self) -> Span | None:
        """Its `for`."""
        return None if self.instance is None else self.instance.span


@dataclass(frozen=True)
class Firing:
    """How a rule's situations changed.

    Attributes:
        more: whether the new rule fires somewhere where the old one did not.
        less: whether the old rule fired somewhere where the new one does not.
        at_more: values, days in a row, at the end of which only the new one fires; empty where none is known.
        at_less: the same of the old one.
    """

    more: Answer
    less: Answer
    at_more: Example = ()
    at_less: Example = ()


SAME = Firing("no", "no")
_NOBODY_KNOWS = Firing("undecided", "undecided")


def firing(old: Side, new: Side, specs: Mapping[str, FactSpec]) -> Firing:
    """Return where a rule and what became of it fire differently.

    Args:
        old: the rule before.
        new: the rule after.
        specs: the facts that either reads; one declaration for both, see `difference_vocabulary`.
    """
    try:
        if old.span is None and new.span is None:
            return _at_once(old, new, specs)
        return _over_days(old, new, _letters(old, new, specs))
    except UndecidedError:
        return _NOBODY_KNOWS


def _at_once(old: Side, new: Side, specs: Mapping[str, FactSpec]) -> Firing:
    when, edges = (old.when, new.when), {leaf.fact: leaf.steps for side in (old, new) for leaf in side.compares}
    more = find(when, lambda truths: truths[0] is not True and truths[1] is True, specs, edges)
    less = find(when, lambda truths: truths[0] is True and truths[1] is not True, specs, edges)
    examples: list[Example] = [((point, 0),) if point is not None else () for point in (more, less)]
    return Firing(_answer(more is not None), _answer(less is not None), *examples)


def _letters(old: Side, new: Side, specs: Mapping[str, FactSpec]) -> dict[Letter, Point]:
    """Return all that one day can do to the two rules, and values with which it does."""
    when, edges = (old.when, new.when), {leaf.fact: leaf.steps for side in (old, new) for leaf in side.compares}
    letters: dict[Letter, Point] = {}
    for pair in product(_TRUTHS, repeat=2):
        point = find(when, lambda truths, pair=pair: truths == pair, specs, edges)  # type: ignore[misc]
        if point is not None:
            for letter in _ages(old, new, pair, specs):
                letters.setdefault(letter, point)
    return letters


def _ages(old: Side, new: Side, pair: tuple[Truth, ...], specs: Mapping[str, FactSpec]) -> Iterator[Letter]:
    """Yield the letters of a pair of truths: an unknown day breaks a streak if what is unknown is young (A16)."""
    first, second = pair
    for young in product((False, True), repeat=2):
        if any(truth is not None and flag for truth, flag in zip(pair, young, strict=True)):
            continue
        if first is None and second is None and young[0] != young[1] and not _only(old, new, young, specs):
            continue
        yield _effect(old, first, young=young[0]), _effect(new, second, young=young[1])


def _only(old: Side, new: Side, young: tuple[bool, ...], specs: Mapping[str, FactSpec]) -> bool:
    """Return whether both can be unknown while only one of the two compares a fact that is."""
    sides = (old.when, new.when) if young[0] else (new.when, old.when)
    apart = compared_facts(sides[0]) - compared_facts(sides[1])
    return any(
        find((*sides, Unknown(fact)), lambda truths: truths == (None, None, True), specs, {}) is not None
        for fact in sorted(apart)
    )


def _effect(side: Side, truth: Truth, *, young: bool) -> int:
    if truth is not None:
        return _COUNTS if truth else _BREAKS
    if side.instance is None or side.span is None or young:
        return _BREAKS
    return _IN_A_GAP[side.instance.rule.gap]


class _Machine:
    """One rule's days: what it remembers of them, and whether it fires."""

    def __init__(self, side: Side) -> None:
        self._span = side.span
        self._never = side.instance is None
        self._breakable = side.span is not None and (side.span.of is None or side.promotes)

    @property
    def start(self) -> int:
        """The memory before the first day."""
        return 0

    def after(self, memory: int, effect: int) -> int:
        """Return the memory after one more day: of a streak its length, of `K of N` the last days as bits."""
        if self._span is None:
            return 0
        if self._span.of is not None:
            return (memory << 1 | (effect == _COUNTS)) & ((1 << self._span.of) - 1)
        return 0 if effect == _BREAKS else min(self._span.days, memory + (effect == _COUNTS))

    def fires(self, memory: int, now: int) -> bool:
        """Return whether the rule fires with this memory while the present does `now` to it."""
        if self._never or (self._breakable and now == _BREAKS):
            return False
        if self._span is None:
            return now == _COUNTS
        return (memory.bit_count() if self._span.of is not None else memory) >= self._span.days


def _over_days(old: Side, new: Side, letters: Mapping[Letter, Point]) -> Firing:
    """Return what can be found in all the days there can be, the shortest first."""
    before, after = _Machine(old), _Machine(new)
    start = (before.start, after.start)
    origins: dict[Memories, tuple[Memories, Letter] | None] = {start: None}
    waiting = deque([start])
    found: dict[tuple[bool, bool], Example] = {}
    while waiting and len(found) < len(_DIFFERENT):
        memories = waiting.popleft()
        for letter in letters:
            following = before.after(memories[0], letter[0]), after.after(memories[1], letter[1])
            if following not in origins:
                if len(origins) >= MAX_STATES:
                    return _by_order(old, new, letters)
                origins[following] = (memories, letter)
                waiting.append(following)
            for memory, midnight in ((following, True), (memories, False)):  # when such a day ends, and within it
                fired = before.fires(memory[0], letter[0]), after.fires(memory[1], letter[1])
                if fired in _DIFFERENT and fired not in found:
                    days = [*_path(origins, memories), *([letter] if midnight else [])]
                    stretches = [(letters[one], len(list(same))) for one, same in groupby(days)]
                    found[fired] = (*stretches, *([] if midnight else [(letters[letter], 0)]))
    more, less = (found.get(fired, ()) for fired in _DIFFERENT)
    return Firing(_answer(bool(more)), _answer(bool(less)), more, less)


def _path(origins: Mapping[Memories, tuple[Memories, Letter] | None], memories: Memories) -> list[Letter]:
    """Return the days that lead to what two machines remember."""
    days: list[Letter] = []
    origin = origins[memories]
    while origin is not None:
        memories, letter = origin
        days.insert(0, letter)
        origin = origins[memories]
    return days


def _by_order(old: Side, new: Side, letters: Iterable[Letter]) -> Firing:
    """Return what follows where every day does the new rule at least as much good as the old one, or the reverse."""
    one, other = old.span, new.span
    if one is None or other is None or (one.of is None) != (other.of is None) or old.promotes != new.promotes:
        return _NOBODY_KNOWS
    easier = other.days <= one.days and (other.of or 0) >= (one.of or 0) and all(b >= a for a, b in letters)
    harder = other.days >= one.days and (other.of or 0) <= (one.of or 0) and all(b <= a for a, b in letters)
    if easier and harder:
        return SAME
    return Firing("yes", "no") if easier else Firing("no", "yes") if harder else _NOBODY_KNOWS


def compares(condition: Condition) -> Iterator[Compare]:
    """Yield the comparisons of a condition with a constant, those of bands left out."""
    if isinstance(condition, Compare):
        yield condition
    elif isinstance(condition, All | AnyOf):
        for part in condition.parts:
            yield from compares(part)
    elif isinstance(condition, Not):
        yield from compares(condition.part)


def band_facts(condition: Condition) -> tuple[str, ...]:
    """Return the facts whose bands a condition reads, each once."""
    if isinstance(condition, All | AnyOf):
        return tuple(dict.fromkeys(fact for part in condition.parts for fact in band_facts(part)))
    if isinstance(condition, Not):
        return band_facts(condition.part)
    return (condition.fact,) if isinstance(condition, BandIs) and condition.fact else ()


def _answer(found: bool) -> Answer:  # noqa: FBT001 - the answer itself
    return "yes" if found else "no"
