"""Judges mutants by tests that were played once: only changed rules are evaluated again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.policy.derive import Day, History, in_all_steps
from engine.policy.interpreter import fires, outcome_of
from engine.policy.model import facts_of
from engine.policy.testing.variants import switched

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.policy.model import Band, Instance, Policy
    from engine.policy.mutation.mutants import Mutant
    from engine.policy.testing.run import CaseResult


class Judge:
    """The tests of one policy, and which of them killed last.

    Args:
        policy: as it is written.
        results: of its tests, all passed.
    """

    def __init__(self, policy: Policy, results: Iterable[CaseResult]) -> None:
        self.policy = policy
        self._results = [result for result in results if result.played]
        self._fired = {id(result): [frozenset(day) for day in result.fired] for result in self._results}
        self._last: list[CaseResult] = []

    def killer(self, mutant: Mutant) -> tuple[str, int] | None:
        """Return the name of a test that fails with the mutant, and on which day; None where all pass."""
        changes: dict[frozenset[str], _Change] = {}
        for result in self._in_order():
            on = result.case.switched_on
            if not mutant.switched_on <= on:
                continue
            if on not in changes:
                changes[on] = _change(switched(self.policy, on), switched(mutant.policy, on))
            day = _failing_day(mutant, result, self._fired[id(result)], changes[on])
            if day is not None:
                self._last = [result, *(one for one in self._last if one is not result)][:8]
                return result.case.name, day + 1
        return None

    def _in_order(self) -> list[CaseResult]:
        return [*self._last, *(result for result in self._results if not any(result is one for one in self._last))]


@dataclass(frozen=True)
class _Change:
    """What a mutant changes: rules that are gone, rules to be evaluated anew, and whether outcomes may differ."""

    policy: Policy
    gone: frozenset[str]
    anew: tuple[Instance, ...]
    outcomes: bool


def _change(policy: Policy, mutated: Policy) -> _Change:
    before = policy.by_id
    bands = {fact for fact, band in mutated.bands.items() if band != policy.bands[fact]}
    anew = [
        one
        for one in mutated.instances
        if not _same(before.get(one.id), one, policy, mutated) or bands.intersection(facts_of(one.when))
    ]
    kept = {one.id for one in mutated.instances} - {one.id for one in anew}
    asked = [before[one.id].outcome if one.id in before else None for one in anew] != [one.outcome for one in anew]
    turned = (policy.outcomes, policy.otherwise) != (mutated.outcomes, mutated.otherwise)
    return _Change(mutated, frozenset(before) - kept, tuple(anew), turned or asked)


def _failing_day(
    mutant: Mutant, result: CaseResult, fired_before: Sequence[frozenset[str]], change: _Change
) -> int | None:
    """Return the first day on which an expectation is missed, from 0."""
    case = result.case
    columns = [(rule.id, _column(change.policy, rule, result)) for rule in change.anew]
    for day, before in enumerate(fired_before):
        fired = (before - change.gone).union(name for name, column in columns if column[day])
        if fired == before and not change.outcomes:
            continue
        expected, outcome = case.rules[day], case.outcomes[day]
        if expected is not None and mutant.names(fired) != mutant.names(expected):
            return day
        if outcome is not None and outcome_of(change.policy, fired) != outcome:
            return day
    return None


def _same(before: Instance | None, after: Instance, one: Policy, other: Policy) -> bool:
    if before is None:
        return False
    decisive = (before.when, before.span, before.rule.gap, before.outcome, before.outcome in one.promotes)
    return decisive == (after.when, after.span, after.rule.gap, after.outcome, after.outcome in other.promotes)


def _column(policy: Policy, rule: Instance, result: CaseResult) -> list[bool]:
    """Return whether a rule fires, a day of a test."""
    bands: Mapping[str, Band] = policy.bands
    if rule.span is None:
        known = all(fact in result.played[0].snapshot.values for fact in facts_of(rule.when))
        return [
            fires(rule, day.snapshot.values if known else in_all_steps(policy, day.facts), bands)
            for day in result.played
        ]
    alone = replace(
        policy, instances=(rule,), bands={fact: bands[fact] for fact in facts_of(rule.when) if fact in bands}
    )
    history = History(alone)
    fired = []
    for day in result.played:
        history.add(Day(day.at_ms, day.facts))
        snapshot = history.at(day.facts, day.at_ms, since_ms=result.case.since_ms)
        fired.append(fires(rule, snapshot.values, alone.bands))
    return fired
