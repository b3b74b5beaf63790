"""Changes every decision of a policy, one at a time, and asks the tests: a change that no test notices is a gap.

The tests are played once. A mutant is then judged rule by rule: only the rules that it changes are evaluated anew, on
the same days, first by the tests that killed its neighbours, and no further than the first expectation that it misses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from engine.clock import elapsed_s
from engine.errors import PolicyError, Problem
from engine.policy.mutation.equivalence import Comparison, proof
from engine.policy.mutation.judge import Judge
from engine.policy.mutation.mutants import mutants
from engine.policy.mutation.witness import Witness, witness
from engine.policy.testing.declared import declared_text
from engine.policy.testing.run import run_policy_tests

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from engine.policy.bundle import Bundle
    from engine.policy.model import Policy
    from engine.policy.mutation.mutants import Mutant
    from engine.policy.testing.run import CaseResult, TestRun
    from engine.policy.testing.series import Entry

Fate = Literal["killed", "survived", "equivalent"]


@dataclass(frozen=True)
class Mutated:
    """A mutant and what became of it.

    Attributes:
        mutant: the change.
        fate: ``killed`` by a test, ``equivalent`` (proved: nothing can kill it), or ``survived``.
        killed_by: the name of the first test that failed.
        day: of that test; None where it failed for what the policy declares.
        witness: of a survivor, days of facts that kill it, where the search found some.
        reason: why it is equivalent, or what a survivor needs.
    """

    mutant: Mutant
    fate: Fate
    killed_by: str = ""
    day: int | None = None
    witness: Witness | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values; a survivor comes with the test that kills it, where one was found."""
        mutant, found = self.mutant, self.witness
        return {
            "policy": mutant.policy.name,
            "where": mutant.where,
            "kind": mutant.kind,
            "change": mutant.change,
            "fate": self.fate,
            "reason": self.reason,
            "witness": None
            if found is None
            else {
                "facts": dict(found.facts),
                "days": found.days,
                "expect": found.outcome,
                "mutant": found.mutant_outcome,
                "test": found.as_test(f"kills {mutant.where}: {mutant.change}"),
            },
        }


@dataclass(frozen=True)
class MutationReport:
    """All mutants of the policies that were asked about, in the order of their files."""

    mutated: tuple[Mutated, ...]
    seconds: float = field(compare=False)

    def of(self, fate: Fate) -> tuple[Mutated, ...]:
        """Return the mutants of one fate."""
        return tuple(one for one in self.mutated if one.fate == fate)

    @property
    def survivors(self) -> tuple[Mutated, ...]:
        """The gaps in the tests."""
        return self.of("survived")

    @property
    def score_percent(self) -> float | None:
        """The killed among those that can be killed, 0 to 100; None where there is nothing to kill."""
        killed, survived = len(self.of("killed")), len(self.survivors)
        return 100 * killed / (killed + survived) if killed + survived else None

    def to_json(self) -> dict[str, Any]:
        """Return plain values; the killed are counted, not listed."""
        return {
            "score_percent": self.score_percent,
            "killed": len(self.of("killed")),
            "survived": [one.to_json() for one in self.survivors],
            "equivalent": [one.to_json() for one in self.of("equivalent")],
            "seconds": round(self.seconds, 3),
        }


def mutate(bundle: Bundle, paths: Iterable[Path], *, policies: Collection[str] = ()) -> MutationReport:
    """Judge every mutant of a bundle's policies by the tests in files or folders.

    Args:
        bundle: whose policies are changed.
        paths: of the tests.
        policies: the names of those to change; all where empty.

    Raises:
        PolicyError: a test file has mistakes, or a test fails already: then nothing can be said about mutants.
    """
    return mutate_tested(run_policy_tests(bundle, paths), policies=policies)


def mutate_tested(run: TestRun, *, policies: Collection[str] = ()) -> MutationReport:
    """Judge every mutant by tests that were run; see `mutate`."""
    started_s = elapsed_s()
    failed = [result for result in run.failed if not policies or result.case.policy in policies]
    if failed:
        raise PolicyError([_failed(result) for result in failed])
    judged: list[Mutated] = []
    for name, policy in run.policies.items():
        if not policies or name in policies:
            results = [result for result in run.results if result.case.policy == name]
            judged += mutate_policy(policy, results, run.suite.defaults.get(name, {}))
    return MutationReport(tuple(judged), elapsed_s() - started_s)


def mutate_policy(policy: Policy, results: Iterable[CaseResult], defaults: Mapping[str, Entry]) -> list[Mutated]:
    """Judge every mutant of one policy.

    Args:
        policy: as it is written.
        results: of its tests, all passed.
        defaults: the entries of a day on which all is well, for survivors.
    """
    results = list(results)
    judge = Judge(policy, results)
    return [_judged(policy, mutant, judge, results, defaults) for mutant in mutants(policy)]


def _judged(
    policy: Policy, mutant: Mutant, judge: Judge, results: Iterable[CaseResult], defaults: Mapping[str, Entry]
) -> Mutated:
    if mutant.declared:
        for result in results:
            for one in result.case.declared:
                if declared_text(mutant.policy, one.section, one.name) != one.expected:
                    return Mutated(mutant, "killed", result.case.name)
        return Mutated(mutant, "survived", reason=f"no test expects what the policy declares at `{mutant.where}`")
    killed = judge.killer(mutant)
    if killed is not None:
        return Mutated(mutant, "killed", killed[0], killed[1])
    reasons: list[str] = []
    for switched_on in _switches(policy, mutant):
        comparison = Comparison.of(policy, mutant, {name: entry.steps for name, entry in defaults.items()}, switched_on)
        proved = proof(comparison)
        if proved is not None:
            reasons.append(proved.reason)
            continue
        found = witness(comparison, defaults, switched_on)
        reason = _told_apart(found) if found else "no facts were found that tell it apart, and no proof that none do"
        return Mutated(mutant, "survived", witness=found, reason=reason)
    return Mutated(mutant, "equivalent", reason=reasons[-1])


def _switches(policy: Policy, mutant: Mutant) -> list[frozenset[str]]:
    """Return the rules to be switched on: a mutant is alike only if it is so with the rules that are off as well."""
    off = frozenset(rule.name for rule in policy.rules.values() if not rule.enabled)
    if mutant.switched_on or mutant.kind == "enabled" or not off:
        return [mutant.switched_on]
    return [frozenset(), off]


def _told_apart(found: Witness) -> str:
    def decided(outcome: str, rules: Iterable[str]) -> str:
        return f"{outcome} [{', '.join(rules)}]"

    facts = ", ".join(f"{name} {series}" for name, series in found.facts.items()) or "the defaults"
    if found.switched_on:
        facts += f" with {', '.join(sorted(found.switched_on))} switched on"
    written, mutated = decided(found.outcome, found.rules), decided(found.mutant_outcome, found.mutant_rules)
    return f"on day {found.days} of {facts}: {written} as written, {mutated} changed; no test expects it"


def _failed(result: CaseResult) -> Problem:
    help_ = "all tests must pass before mutants are judged by them"
    return Problem("test-failed", result.case.where, f"`{result.case.name}`: {result.failures[0]}", help_)
