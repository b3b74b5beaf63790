"""From posted facts and the days before them to the snapshot that both engines read.

Facts become whole steps. For every rule with a `for`, the days that count are counted here, once for both engines:

- A day's truth is the condition's on that day's facts. An unknown day is false if an unknown fact was `young` (A16);
  otherwise the rule's gap decides: it breaks the streak (a promotion's default), holds it (neither counts nor breaks,
  the default of all else: it prolongs but cannot complete), or counts. A day that was never recorded is all unknown.
- The difference of two facts that a rule compares is a fact of its own, unknown where one of the two is.
- `for: 4 days`: the true days since the last false one. `for: 3 of 5 days`: the true days among the last five.
- The present adds nothing, for a day counts when it is complete. It can only break: a streak whose condition is false
  now is 0, and a promotion's `3 of 5` as well. At midnight the present is the day that ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from engine.clock import DAY_MS, day_start
from engine.policy.facts import MISSING, YOUNG, Fact, checked, in_steps
from engine.policy.interpreter import truth
from engine.policy.model import All, AnyOf, Not, Snapshot, Unknown, compared_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.policy.facts import Facts
    from engine.policy.model import Condition, Difference, FactSpec, Instance, Policy, Truth

# What a day does to a streak: it counts, it breaks, or it does neither.
_COUNTS, _BREAKS, _HOLDS = 1, -1, 0
_IN_A_GAP = {"counts": _COUNTS, "breaks": _BREAKS, "holds": _HOLDS}


@dataclass(frozen=True, slots=True)
class Day:
    """The facts at the end of one complete UTC day; `at_ms` is 00:00 of the next."""

    at_ms: int
    facts: Facts


class Reading(NamedTuple):
    """The facts of one moment as one policy reads them.

    Attributes:
        at_ms: the moment.
        facts: validated, by name.
        steps: the same and the differences of two in whole steps, None where unknown.
        effects: what they do to each streak, in the order of `Policy.timed`.
    """

    at_ms: int
    facts: Facts
    steps: Mapping[str, int | None]
    effects: Sequence[int]


class History:
    """Complete days and what each timed rule's condition said on them, worked out once a day.

    Days are added oldest first; days between them that were never recorded count as all unknown. One history serves
    one policy and grows by a few numbers a day. Asking leaves no trace: the same days give the same snapshot.

    Posted facts are read once (`read`), whatever is then asked of them (`snapshot`, `end_day`); `at` and `add` take
    facts that somebody else has validated.
    """

    def __init__(self, policy: Policy, days: Sequence[Day] = ()) -> None:
        self.policy = policy
        self._first_ms = 0
        self._recorded = 0
        self._length = 0  # of every tally
        self._tallies = [_Tally(one, promotes=one.outcome in policy.promotes) for one in policy.timed]
        self._last: Reading | None = None
        self._blank = self._effects(dict.fromkeys(policy.facts), {})
        for day in days:
            self.add(day)

    def read(self, posted: Facts, at_ms: int) -> Reading:
        """Return what was posted as the policy reads it at `at_ms`: validated, ``missing`` where nothing was posted."""
        facts: dict[str, Fact] = {}
        steps: dict[str, int | None] = {}
        for name, spec in self._posted:
            fact = posted.get(name)
            if fact is None:
                facts[name], steps[name] = Fact(name, None, MISSING, at_ms), None
            else:
                facts[name], steps[name] = checked(fact, spec, at_ms)
        for name, difference in self._differences:
            steps[name] = _apart(difference, steps)
        return Reading(at_ms, facts, steps, self._effects(steps, facts))

    def end_day(self, reading: Reading) -> None:
        """Take in the next day.

        Raises:
            ValueError: its end is not midnight UTC, or it is not after the last day added.
        """
        at_ms = reading.at_ms
        if at_ms % DAY_MS:
            raise ValueError(f"a complete day ends at midnight UTC, not at {at_ms}")
        if not self._recorded:
            self._first_ms = at_ms
        day = self._index(at_ms)
        if day < self._recorded:
            raise ValueError(f"days are added oldest first, each once, not {at_ms} again or late")
        self._fill(day)
        self._append(reading.effects)
        self._recorded = day + 1

    def snapshot(self, reading: Reading, *, since_ms: int | None = None) -> Snapshot:
        """Return the snapshot at the moment of `reading`.

        Args:
            reading: at midnight it is also the day that ends; days that end later are not looked at.
            since_ms: streaks begin here: a day that began earlier is in none (A34).
        """
        now_ms = reading.at_ms
        midnight = day_start(now_ms)
        if self._recorded and midnight < self._first_ms:
            return History(self.policy).snapshot(reading, since_ms=since_ms)
        if not self._recorded:  # no day is complete before the first that is known, be it this one
            self._first_ms = midnight if now_ms == midnight else midnight + DAY_MS
        today = self._index(midnight)
        if now_ms == midnight and today >= self._recorded:
            self._fill(today)
            self._append(reading.effects)
        else:
            self._fill(today + 1)
        start = 0 if since_ms is None else max(0, -((self._first_ms - DAY_MS - since_ms) // DAY_MS))
        end = max(0, today + 1)
        values = dict(reading.steps)
        for tally, effect in zip(self._tallies, reading.effects, strict=True):
            values[tally.key] = tally.days(start, end, effect)
        self._cut(self._recorded)
        return Snapshot(now_ms, values)

    def add(self, day: Day) -> None:
        """Take in the next day, validated; raises ValueError as `end_day`."""
        self.end_day(self._reading(day.facts, day.at_ms))

    def at(self, facts: Facts, now_ms: int, *, since_ms: int | None = None) -> Snapshot:
        """Return the snapshot of validated facts at `now_ms`; see `snapshot`."""
        return self.snapshot(self._reading(facts, now_ms), since_ms=since_ms)

    def _reading(self, facts: Facts, at_ms: int) -> Reading:
        """Return validated facts as the policy reads them; a replay asks for each day's twice in a row."""
        if self._last is None or self._last.facts is not facts:
            steps = in_all_steps(self.policy, facts)
            self._last = Reading(at_ms, facts, steps, self._effects(steps, facts))
        return self._last._replace(at_ms=at_ms)

    @cached_property
    def _posted(self) -> list[tuple[str, FactSpec]]:
        specs = self.policy.vocabulary.facts
        return [(name, specs[name]) for name in self.policy.facts if specs[name].difference is None]

    @cached_property
    def _differences(self) -> list[tuple[str, Difference]]:
        return _differences(self.policy)

    def _index(self, at_ms: int) -> int:
        return (at_ms - self._first_ms) // DAY_MS

    def _fill(self, days: int) -> None:
        """Append days of unknowns, which were never recorded, until there are `days`."""
        while self._length < days:
            self._append(self._blank)

    def _append(self, effects: Sequence[int]) -> None:
        self._length += 1
        for tally, effect in zip(self._tallies, effects, strict=True):
            tally.append(effect)

    def _cut(self, days: int) -> None:
        """Forget the days that were appended for one question."""
        if self._length > days:
            self._length = days
            for tally in self._tallies:
                tally.cut(days)

    def _effects(self, steps: Mapping[str, int | None], facts: Facts) -> list[int]:
        bands, specs = self.policy.bands, self.policy.vocabulary.facts
        return [day_effect(one, truth(one.when, steps, bands), facts, specs) for one in self.policy.timed]


class _Tally:
    """One rule's days: running sums, so that any stretch is counted in two look-ups."""

    def __init__(self, instance: Instance, *, promotes: bool) -> None:
        span = instance.span
        assert span is not None
        self.key = instance.days_key
        self._window = span.of
        self._breakable = span.of is None or promotes
        self._counted = [0]  # counted[i]: counting days among the first i
        self._broken = [0]  # broken[i]: 1 + the index of the last breaking day among the first i, or 0

    def append(self, effect: int) -> None:
        counted, broken = self._counted, self._broken
        broken.append(len(counted) if effect == _BREAKS else broken[-1])
        counted.append(counted[-1] + (effect == _COUNTS))

    def cut(self, length: int) -> None:
        del self._counted[length + 1 :], self._broken[length + 1 :]

    def days(self, start: int, end: int, now: int) -> int:
        """Return the days that count in ``start:end``; `now` is what the present does to the streak."""
        if now == _BREAKS and self._breakable:
            return 0
        first = self._broken[end] if self._window is None else end - self._window
        return self._counted[end] - self._counted[min(end, max(start, first, 0))]


def derive(policy: Policy, now: Facts, days: Sequence[Day], now_ms: int, *, since_ms: int | None = None) -> Snapshot:
    """Return the snapshot at `now_ms` from validated facts and the days before; see `History` for many in a row.

    Args:
        policy: whose facts and rules with a span are needed.
        now: the facts at `now_ms`.
        days: complete days, oldest first; those that end after `now_ms` are not looked at.
        now_ms: the present.
        since_ms: streaks begin here: a day that began earlier is in none (A34).
    """
    return History(policy, [day for day in days if day.at_ms <= now_ms]).at(now, now_ms, since_ms=since_ms)


def in_all_steps(policy: Policy, facts: Facts) -> dict[str, int | None]:
    """Return each of the policy's facts in whole steps, None where it has no value."""
    specs = policy.vocabulary.facts
    steps = {name: in_steps(facts.get(name), specs[name]) for name in policy.facts}
    for name, difference in _differences(policy):
        steps[name] = _apart(difference, steps)
    return steps


def _differences(policy: Policy) -> list[tuple[str, Difference]]:
    """Return the policy's facts that nobody posts, each the difference of two."""
    specs = policy.vocabulary.facts
    found = ((name, specs[name].difference) for name in policy.facts)
    return [(name, difference) for name, difference in found if difference is not None]


def _apart(difference: Difference, steps: Mapping[str, int | None]) -> int | None:
    left, right = steps[difference.left], steps[difference.right]
    if left is None or right is None:
        return None
    return left * difference.left_scale - right * difference.right_scale


def day_effect(
    instance: Instance, day_truth: Truth, facts: Mapping[str, Fact], specs: Mapping[str, FactSpec] | None = None
) -> int:
    """Return what a day of this truth does to the rule's streak: 1 counts, -1 breaks, 0 neither.

    `specs` tell which facts stand behind the difference of two.
    """
    if day_truth is not None:
        return _COUNTS if day_truth else _BREAKS
    read = [name for fact in _compared(instance.when) for name in compared_facts(fact, specs or {})]
    if any(name in facts and facts[name].status == YOUNG for name in read):
        return _BREAKS
    return _IN_A_GAP[instance.rule.gap]


def _compared(condition: Condition) -> tuple[str, ...]:
    """Return the facts of the leaves that are unknown when their fact is."""
    if isinstance(condition, All | AnyOf):
        return tuple(fact for part in condition.parts for fact in _compared(part))
    if isinstance(condition, Not):
        return _compared(condition.part)
    return () if isinstance(condition, Unknown) else (condition.fact,)
