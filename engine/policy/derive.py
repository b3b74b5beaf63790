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
from typing import TYPE_CHECKING

from engine.clock import DAY_MS, day_start
from engine.policy.facts import YOUNG, Fact, in_steps
from engine.policy.interpreter import truth
from engine.policy.model import All, AnyOf, Not, Snapshot, Unknown, compared_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.policy.facts import Facts
    from engine.policy.model import Condition, FactSpec, Instance, Policy, Truth

# What a day does to a streak: it counts, it breaks, or it does neither.
_COUNTS, _BREAKS, _HOLDS = 1, -1, 0
_IN_A_GAP = {"counts": _COUNTS, "breaks": _BREAKS, "holds": _HOLDS}


@dataclass(frozen=True, slots=True)
class Day:
    """The facts at the end of one complete UTC day; `at_ms` is 00:00 of the next."""

    at_ms: int
    facts: Facts


class History:
    """Complete days and what each timed rule's condition said on them, worked out once a day.

    Days are added oldest first; days between them that were never recorded count as all unknown. One history serves
    one policy and grows by a few numbers a day. `at` leaves no trace: the same days give the same snapshot.
    """

    def __init__(self, policy: Policy, days: Sequence[Day] = ()) -> None:
        self.policy = policy
        self._first_ms = 0
        self._recorded = 0
        self._tallies = [_Tally(one, promotes=one.outcome in policy.promotes) for one in policy.timed]
        self._last: tuple[Facts, dict[str, int | None], list[int]] | None = None
        self._blank = self._effects(dict.fromkeys(policy.facts), {})
        for day in days:
            self.add(day)

    def add(self, day: Day) -> None:
        """Take in the next day.

        Raises:
            ValueError: its end is not midnight UTC, or it is not after the last day added.
        """
        if day.at_ms % DAY_MS:
            raise ValueError(f"a complete day ends at midnight UTC, not at {day.at_ms}")
        if not self._recorded:
            self._first_ms = day.at_ms
        if self._index(day.at_ms) < self._recorded:
            raise ValueError(f"days are added oldest first, each once, not {day.at_ms} again or late")
        _, effects = self._read(day.facts)
        self._fill(self._index(day.at_ms))
        self._append(effects)
        self._recorded = self._index(day.at_ms) + 1

    def at(self, facts: Facts, now_ms: int, *, since_ms: int | None = None) -> Snapshot:
        """Return the snapshot at `now_ms`.

        Args:
            facts: validated, at `now_ms`; at midnight they are also the day that ends.
            now_ms: the present; days that end later are not looked at.
            since_ms: streaks begin here: a day that began earlier is in none (A34).
        """
        midnight = day_start(now_ms)
        if self._recorded and midnight < self._first_ms:
            return History(self.policy).at(facts, now_ms, since_ms=since_ms)
        if not self._recorded:  # no day is complete before the first that is known, be it this one
            self._first_ms = midnight if now_ms == midnight else midnight + DAY_MS
        values, effects = self._read(facts)
        today = self._index(midnight)
        if now_ms == midnight and today >= self._recorded:
            self._fill(today)
            self._append(effects)
        else:
            self._fill(today + 1)
        start = 0 if since_ms is None else max(0, -((self._first_ms - DAY_MS - since_ms) // DAY_MS))
        snapshot = Snapshot(now_ms, values.copy())
        for tally, effect in zip(self._tallies, effects, strict=True):
            snapshot.values[tally.key] = tally.days(start, max(0, today + 1), effect)
            tally.cut(self._recorded)
        return snapshot

    def _read(self, facts: Facts) -> tuple[dict[str, int | None], list[int]]:
        """Return the facts in steps and what they do to each streak; a replay reads each day's facts twice in a row."""
        if self._last is None or self._last[0] is not facts:
            values = in_all_steps(self.policy, facts)
            self._last = (facts, values, self._effects(values, facts))
        return self._last[1], self._last[2]

    def _index(self, at_ms: int) -> int:
        return (at_ms - self._first_ms) // DAY_MS

    def _fill(self, days: int) -> None:
        """Append days of unknowns, which were never recorded, until there are `days`."""
        for tally, effect in zip(self._tallies, self._blank, strict=True):
            while tally.length < days:
                tally.append(effect)

    def _append(self, effects: list[int]) -> None:
        for tally, effect in zip(self._tallies, effects, strict=True):
            tally.append(effect)

    def _effects(self, values: Mapping[str, int | None], facts: Facts) -> list[int]:
        bands = self.policy.bands
        return [
            day_effect(instance, truth(instance.when, values, bands), facts, self.policy.vocabulary.facts)
            for instance in (tally.instance for tally in self._tallies)
        ]


class _Tally:
    """One rule's days: running sums, so that any stretch is counted in two look-ups."""

    def __init__(self, instance: Instance, *, promotes: bool) -> None:
        span = instance.span
        assert span is not None
        self.instance = instance
        self.key = instance.days_key
        self.length = 0
        self._window = span.of
        self._breakable = span.of is None or promotes
        self._counted = [0]  # counted[i]: counting days among the first i
        self._broken = [0]  # broken[i]: 1 + the index of the last breaking day among the first i, or 0

    def append(self, effect: int) -> None:
        self.length += 1
        self._counted.append(self._counted[-1] + (effect == _COUNTS))
        self._broken.append(self.length if effect == _BREAKS else self._broken[-1])

    def cut(self, length: int) -> None:
        if self.length > length:
            self.length = length
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
    return {name: _steps(specs[name], facts, specs) for name in policy.facts}


def _steps(spec: FactSpec, facts: Facts, specs: Mapping[str, FactSpec]) -> int | None:
    difference = spec.difference
    if difference is None:
        return in_steps(facts.get(spec.name), spec)
    left, right = (in_steps(facts.get(name), specs[name]) for name in (difference.left, difference.right))
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
