"""What would kill a mutant that every test let live: days of facts on the last of which it decides otherwise."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from engine.policy.facts import MISSING
from engine.policy.mutation.histories import histories
from engine.policy.testing.cases import Case, posted_facts
from engine.policy.testing.run import run_case
from engine.policy.testing.series import Entry, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.policy.model import Policy
    from engine.policy.mutation.equivalence import Comparison
    from engine.policy.mutation.histories import Day
    from engine.policy.testing.run import CaseResult

MAX_HISTORIES = 500


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
        switched_on: rules that are off in the file and on here.
    """

    facts: Mapping[str, str]
    days: int
    outcome: str
    rules: tuple[str, ...]
    mutant_outcome: str
    mutant_rules: tuple[str, ...]
    switched_on: frozenset[str] = frozenset()

    def as_test(self, name: str) -> str:
        """Return the policy test that kills the mutant, to be read by a person and added to the others."""
        facts = ", ".join(f"{fact}: {json.dumps(series)}" for fact, series in self.facts.items())
        rules = ", ".join(f'"{rule}"' if "[" in rule else rule for rule in self.rules)
        on = f"    switched_on: [{', '.join(sorted(self.switched_on))}]\n" if self.switched_on else ""
        return (
            f"  - name: {json.dumps(name, ensure_ascii=False)}\n    days: {self.days}\n    facts: {{{facts}}}\n"
            f"{on}    expect: {{outcome@{self.days}: {self.outcome}, rules@{self.days}: [{rules}]}}\n"
        )


def witness(
    comparison: Comparison, defaults: Mapping[str, Entry], switched_on: frozenset[str] = frozenset()
) -> Witness | None:
    """Return what would kill a mutant, None where nothing was found.

    Args:
        comparison: of the policy and a mutant that days of facts can show.
        defaults: the entries of a day on which all is well; what else the policy reads is missing.
        switched_on: rules that are off in the file and on in both.
    """
    usual = {name: defaults.get(name, Entry(None, MISSING)) for name in posted_facts(comparison.policy)}
    for points in islice(histories(comparison), MAX_HISTORIES):
        days = [{**usual, **point} for point in points]
        if _differ(comparison, days, whole=False):
            found = _differ(comparison, days, whole=True)
            if found is not None:
                return replace(found, switched_on=switched_on)
    return None


def _differ(comparison: Comparison, days: Sequence[Day], *, whole: bool) -> Witness | None:
    """Return the witness if policy and mutant differ on some of the days; without `whole`, of changed rules alone."""
    policies = [comparison.policy, comparison.mutant.policy]
    by_outcome = comparison.mutant.kind in {"outcome", "severity", "otherwise"}
    if not whole and not by_outcome:
        ids = {one.id for pair in comparison.touched for one in pair if one}
        policies = [_only(policy, ids) for policy in policies]
    read = dict.fromkeys(name for policy in policies for name in posted_facts(policy))
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
