"""Proof of care: the policy tests of a bundle, how much of it they have seen, and which changes they would miss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.policy.mutation.run import mutate_tested
from engine.policy.testing.coverage import coverage
from engine.policy.testing.run import run_policy_tests
from engine.revisions import named

if TYPE_CHECKING:
    from engine.policy.mutation.mutants import Mutant
    from engine.policy.mutation.run import MutationReport
    from engine.policy.testing.coverage import Coverage
    from engine.policy.testing.run import TestRun
    from engine.revisions import Loaded


@dataclass(frozen=True)
class Care:
    """What proves that a bundle was written with care.

    Attributes:
        run: its tests as they went; None where it has no tests.
        coverage: what they saw, by policy.
        mutation: what became of every single change of it; None where tests fail, or there are none.
    """

    run: TestRun | None
    coverage: tuple[Coverage, ...]
    mutation: MutationReport | None

    @property
    def passed(self) -> bool:
        """Whether there are tests and all of them pass."""
        return self.run is not None and bool(self.run.results) and not self.run.failed

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "tests": 0 if self.run is None else len(self.run.results),
            "failed": [] if self.run is None else [f"{one.case.name}: {one.failures[0]}" for one in self.run.failed],
            "coverage": {
                one.policy: {"rules_percent": one.rules_percent, "conditions_percent": one.leaves_percent}
                for one in self.coverage
            },
            "mutants": None if self.mutation is None else len(self.mutation.mutated),
            "mutation_score_percent": None if self.mutation is None else self.mutation.score_percent,
            "survivors": []
            if self.mutation is None
            else [survivor_text(one.mutant) for one in self.mutation.survivors],
        }


def survivor_text(mutant: Mutant) -> str:
    """Return a change that no test notices, in words."""
    return f"{mutant.policy.name} {mutant.where}: {mutant.change}"


def proof_of_care(loaded: Loaded) -> Care:
    """Run a bundle's policy tests, and judge its mutants by them.

    Raises:
        PolicyError: a test file is wrong.
    """
    if not any(loaded.tests.glob("*.yaml")):
        return Care(None, (), None)
    with named(loaded.tree):
        run = run_policy_tests(loaded.bundle, [loaded.tests])
    mutation = None if run.failed or not run.results else mutate_tested(run)
    return Care(run, tuple(coverage(run).values()), mutation)
