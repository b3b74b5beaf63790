"""Judges mutants by tests that were played once: only changed rules are evaluated again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.policy.derive import Day, History
from engine.policy.interpreter import fires, outcome_of
from engine.policy.model import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.policy.model import Band, Instance, Policy
    from engine.policy.mutants import Mutant
    from engine.policy.testing import CaseResult


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
        gone, rules = self._changed(mutant.policy)
        for result in self._in_order():
            day = self._failing_day(mutant, result, gone, rules)
            if day is not None:
                self._last = [result, *(one for one in self._last if one is not result)][:8]
                return result.case.name, day + 1
        return None

    def _in_order(self) -> list[CaseResult]:
        return [*self._last, *(result for result in self._results if not any(result is one for one in self._last))]

    def _changed(self, mutated: Policy) -> tuple[frozenset[str], list[Instance]]:
        """Return the ids of rules that are no longer what they were, and the rules to be evaluated anew."""
        before = self.policy.by_id
        bands = {fact for fact, band in mutated.bands.items() if band != self.policy.bands[fact]}
        anew = [
            one
            for one in mutated.instances
            if not _same(before.get(one.id), one, self.policy, mutated) or bands.intersection(facts_of(one.when))
        ]
        kept = {one.id for one in mutated.instances} - {one.id for one in anew}
        return frozenset(before) - kept, anew

    def _failing_day(
        self, mutant: Mutant, result: CaseResult, gone: frozenset[str], rules: Sequence[Instance]
    ) -> int | None:
        """Return the first day on which an expectation is missed."""
        policy, case = mutant.policy, result.case
        columns = [(rule.id, _column(policy, rule, result)) for rule in rules]
        order_changed = policy.outcomes != self.policy.outcomes or policy.otherwise != self.policy.otherwise
        outcomes_changed = order_changed or any(self._asks_otherwise(rule) for rule in rules)
        for day, before in enumerate(self._fired[id(result)]):
            fired = (before - gone).union(name for name, column in columns if column[day])
            if fired == before and not outcomes_changed:
                continue
            expected, outcome = case.rules[day], case.outcomes[day]
            if expected is not None and mutant.names(fired) != mutant.names(expected):
                return day
            if outcome is not None and outcome_of(policy, fired) != outcome:
                return day
        return None

    def _asks_otherwise(self, rule: Instance) -> bool:
        before = self.policy.by_id.get(rule.id)
        return before is None or before.outcome != rule.outcome


def _same(before: Instance | None, after: Instance, one: Policy, other: Policy) -> bool:
    if before is None:
        return False
    decisive = (before.when, before.span, before.rule.gap, before.outcome, before.outcome in one.promotes)
    return decisive == (after.when, after.span, after.rule.gap, after.outcome, after.outcome in other.promotes)


def _column(policy: Policy, rule: Instance, result: CaseResult) -> list[bool]:
    """Return whether a rule fires, a day of a test."""
    bands: Mapping[str, Band] = policy.bands
    if rule.span is None:
        return [fires(rule, day.snapshot.values, bands) for day in result.played]
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
