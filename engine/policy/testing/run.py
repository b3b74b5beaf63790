"""Runs policy tests: each day's facts through the machinery that decides in production, against what is expected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from engine.clock import elapsed_s
from engine.policy.decide import Decision
from engine.policy.derive import Day, History
from engine.policy.facts import validated_all
from engine.policy.interpreter import evaluate, outcome_of
from engine.policy.testing.casefile import load_cases
from engine.policy.testing.cases import day_ms
from engine.policy.testing.declared import declared_text
from engine.policy.testing.variants import switched

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from engine.policy.bundle import Bundle
    from engine.policy.decide import Engine
    from engine.policy.facts import Facts
    from engine.policy.model import Policy, Snapshot
    from engine.policy.testing.cases import Case, Suite

Engines = Literal["interpreter", "both"]


@dataclass(frozen=True)
class Played:
    """One day of a test: the facts at its end, and the snapshot that the engines read."""

    at_ms: int
    facts: Facts = field(repr=False)
    snapshot: Snapshot = field(repr=False)


@dataclass(frozen=True)
class Failure:
    """One expectation that was not met.

    Attributes:
        day: counted from 1; None for what the policy declares.
        what: ``outcome``, ``rules``, ``engines``, or such as ``effects PAUSE``.
        expected: as text.
        found: as text.
        fired: the rules that fired on that day.
        where: file:line:column.
    """

    day: int | None
    what: str
    expected: str
    found: str
    fired: tuple[str, ...]
    where: str

    def __str__(self) -> str:
        on = "" if self.day is None else f"day {self.day}: "
        fired = "" if self.day is None else f"; fired: {', '.join(self.fired) or 'none'}"
        return f"{on}{self.what}: expected {self.expected}, found {self.found}{fired}"


@dataclass(frozen=True)
class CaseResult:
    """One test as it went.

    Attributes:
        case: the test.
        outcomes: what was decided, a day.
        fired: the rules that fired, a day, in the policy's order.
        failures: expectations that were not met; empty where it passed.
        played: the days, for coverage and mutation.
        seconds: it took.
    """

    case: Case
    outcomes: tuple[str, ...]
    fired: tuple[tuple[str, ...], ...]
    failures: tuple[Failure, ...]
    played: tuple[Played, ...] = field(repr=False)
    seconds: float = field(compare=False)

    @property
    def passed(self) -> bool:
        """Whether every expectation was met."""
        return not self.failures


@dataclass(frozen=True)
class TestRun:
    """All tests as they went, in the order of their files."""

    __test__: ClassVar[bool] = False  # pytest: not a class of tests

    results: tuple[CaseResult, ...]
    suite: Suite = field(repr=False)
    policies: Mapping[str, Policy] = field(repr=False)
    seconds: float = field(compare=False)

    @property
    def failed(self) -> tuple[CaseResult, ...]:
        """The tests that failed."""
        return tuple(result for result in self.results if not result.passed)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many tests each policy has; a policy that has none is named too."""
        return {name: sum(one.case.policy == name for one in self.results) for name in self.policies}

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "passed": len(self.results) - len(self.failed),
            "failed": len(self.failed),
            "seconds": round(self.seconds, 3),
            "tests": [
                {
                    "name": one.case.name,
                    "policy": one.case.policy,
                    "where": one.case.where,
                    "passed": one.passed,
                    "failures": [str(failure) for failure in one.failures],
                }
                for one in self.results
            ],
        }


def run_policy_tests(bundle: Bundle, paths: Iterable[Path], *, engines: Engines = "interpreter") -> TestRun:
    """Run the tests in files or folders against the policies of a bundle.

    Args:
        bundle: whose policies are tested.
        paths: files, or folders of ``*.yaml``.
        engines: ``both`` decides each day with durable-rules in this process as well; the two must agree.

    Raises:
        PolicyError: with every mistake of the test files, by line.
    """
    started_s = elapsed_s()
    suite = load_cases(paths, bundle.policies)
    results = tuple(run_suite(suite, bundle.policies, engines=engines))
    return TestRun(results, suite, bundle.policies, elapsed_s() - started_s)


def run_suite(
    suite: Suite, policies: Mapping[str, Policy], *, engines: Engines = "interpreter"
) -> Iterator[CaseResult]:
    """Run tests that were loaded, in order."""
    production: dict[tuple[str, frozenset[str]], Engine | None] = {}
    for case in suite.cases:
        key = (case.policy, case.switched_on)
        if key not in production:
            production[key] = _engine(switched(policies[case.policy], case.switched_on), engines)
        yield run_case(policies[case.policy], case, production[key])


def run_case(policy: Policy, case: Case, engine: Engine | None = None) -> CaseResult:
    """Run one test; with `engine`, of the policy as the test has it switched, both engines decide each day."""
    started_s = elapsed_s()
    policy = switched(policy, case.switched_on)
    played = tuple(play(policy, case))
    decisions = [_decided(policy, day.snapshot, engine) for day in played]
    failures = [failure for day, one in enumerate(decisions) for failure in _failures(case, day, one)]
    for one in case.declared:
        found = declared_text(policy, one.section, one.name)
        if found != one.expected:
            what = f"{one.section} {one.name}".strip()
            failures.append(Failure(None, what, f"`{one.expected}`", f"`{found}`", (), one.where))
    return CaseResult(
        case=case,
        outcomes=tuple(decision.outcome for decision in decisions),
        fired=tuple(decision.fired for decision in decisions),
        failures=tuple(failures),
        played=played,
        seconds=elapsed_s() - started_s,
    )


def play(policy: Policy, case: Case) -> Iterator[Played]:
    """Yield the days of a test, each with the snapshot at its end, as the production path derives it."""
    specs = policy.vocabulary.facts
    history = History(policy)
    for day in range(case.days):
        at_ms = day_ms(day + 1)
        posted = (entries[day].posted(specs[name], at_ms) for name, entries in case.facts.items())
        facts = validated_all(posted, policy.vocabulary, at_ms)
        history.add(Day(at_ms, facts))
        yield Played(at_ms, facts, history.at(facts, at_ms, since_ms=case.since_ms))


def _engine(policy: Policy, engines: Engines) -> Engine | None:
    if engines == "interpreter" or not policy.instances:
        return None
    from engine.policy.durable import DurableEngine  # noqa: PLC0415 - keeps a run without it free of the C engine

    return DurableEngine(policy)


def _decided(policy: Policy, snapshot: Snapshot, engine: Engine | None) -> Decision:
    if engine is not None:
        return engine.decide(snapshot)
    fired = evaluate(policy, snapshot)
    return Decision(
        outcome_of(policy, fired), fired, agree=True, fault=None, durable_fired=None, interpreter_fired=fired
    )


def _failures(case: Case, day: int, decision: Decision) -> Iterator[Failure]:
    def failure(what: str, expected: str, found: str) -> Failure:
        return Failure(day + 1, what, expected, found, decision.fired, case.where)

    if not decision.trusted:
        found = decision.fault or f"durable-rules {_listed(decision.durable_fired or ())}"
        yield failure("engines", f"durable-rules {_listed(decision.interpreter_fired)}", found)
    outcome, rules = case.outcomes[day], case.rules[day]
    if outcome is not None and decision.outcome != outcome:
        yield failure("outcome", outcome, decision.outcome)
    if rules is not None and rules != set(decision.fired):
        missing, extra = rules - set(decision.fired), set(decision.fired) - rules
        found = " and ".join(
            part for part in (missing and f"not {_listed(missing)}", extra and f"also {_listed(extra)}") if part
        )
        yield failure("rules", _listed(rules), found)


def _listed(rules: Iterable[str]) -> str:
    return f"[{', '.join(sorted(rules))}]"
