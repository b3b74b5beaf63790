"""Judging mutants: as a full run of the tests would; survivors die by their witness; proofs hold on random days."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import PolicyError
from engine.policy.mutation.run import Mutated, mutate, mutate_policy, mutate_tested
from engine.policy.testing.casefile import load_cases
from engine.policy.testing.cases import Case, Suite, posted_facts
from engine.policy.testing.run import TestRun, run_case, run_suite
from engine.policy.testing.series import Entry
from engine.policy.testing.variants import switched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.policy.bundle import Bundle
    from engine.policy.model import FactSpec, Policy
    from engine.policy.mutation.mutants import Mutant

SOME_TESTS = """
  - {name: words, facts: {mode: "CLEAR REDUCE_ONLY FLATTEN"}, expect: {outcome: "KEEPx2 STOP"}}
  - {name: both, facts: {x: "3 3.1", up: "no"}, expect: {outcome: "KEEP STOP"}}
  - {name: edges, facts: {n: "2 3 _"}, expect: {outcome: "KEEP CUTx2", rules@3: [cut_unless]}}
  - {name: yellow, facts: {x: "1x2 _ 1x2"}, expect: {outcome: "KEEPx3 CUTx2"}}
  - {name: window, facts: {y: "-6% 1% -6%", z: -7%}, expect: {rules@3: [cut_window]}}
  - {name: rising, facts: {n: "0x3 1 0x3"}, expect: {outcome: "KEEPx2 RISE KEEPx3 RISE"}}
  - {name: off, facts: {x: 9}, expect: {outcome: KEEP}}
  - {name: on, switched_on: [opt_in], facts: {x: "8 8.1"}, expect: {outcome: "KEEP STOP"}}
  - name: stop
    expect: {effects: {STOP: {exposure: 0, until: restart, approvals: 2, incident: CRITICAL, alert: page}}}
"""


def suite_of(path: Path, tiny: Policy) -> Suite:
    return load_cases([path], {"tiny": tiny})


def killed_by_a_full_run(policy: Policy, mutant: Mutant, suite: Suite) -> bool:
    """The oracle: run every test on the mutant as if it were a policy, and look for a failure."""
    for case in suite.cases:
        if not mutant.switched_on <= case.switched_on:
            continue
        known = {**policy.by_id, **switched(policy, case.switched_on).by_id}
        result = run_case(mutant.policy, case)
        for day, fired in enumerate(result.fired):
            wrong = case.outcomes[day] not in {None, result.outcomes[day]}
            rules = case.rules[day]
            if rules is not None and mutant.lost_each:
                names = {known[one].rule.name if one in known else one for one in fired}
                wrong = wrong or names != {known[one].rule.name for one in rules}
            elif rules is not None:
                wrong = wrong or set(fired) != rules
            if wrong and not mutant.declared:
                return True
        if mutant.declared and any(failure.day is None for failure in result.failures):
            return True
    return False


def test_a_mutant_is_judged_as_by_a_full_run(case_file: Callable[..., Path], tiny: Policy) -> None:
    suite = suite_of(case_file(SOME_TESTS), tiny)
    results = list(run_suite(suite, {"tiny": tiny}))
    assert all(result.passed for result in results)
    judged = mutate_policy(tiny, results, suite.defaults["tiny"])
    assert {one.fate for one in judged} == {"killed", "survived", "equivalent"}
    for one in judged:
        assert (one.fate == "killed") == killed_by_a_full_run(tiny, one.mutant, suite), one.mutant


def test_shipped_mutants_are_judged_as_by_a_full_run(bundle: Bundle, shipped: TestRun) -> None:
    policy = bundle.policies["action"]
    results = [result for result in shipped.results if result.case.policy == "action"]
    suite = Suite(tuple(result.case for result in results), {})
    for one in mutate_policy(policy, results, shipped.suite.defaults["action"])[::17]:
        assert (one.fate == "killed") == killed_by_a_full_run(policy, one.mutant, suite), one.mutant


@pytest.fixture(scope="module")
def untested(tiny: Policy) -> tuple[list[Mutated], str]:
    """All mutants of the tiny policy judged by no test at all, and the tests that their witnesses make."""
    green = {"x": 0, "y": 2, "z": 0, "n": 1, "age": 100, "up": 1, "mode": 0}
    judged = mutate_policy(tiny, [], {name: Entry(steps) for name, steps in green.items()})
    witnesses = [one.witness for one in judged if one.witness]
    return judged, "".join(found.as_test(f"w{number}") for number, found in enumerate(witnesses))


def test_without_tests_every_mutant_survives_or_is_proved_equivalent(untested: tuple[list[Mutated], str]) -> None:
    judged, _ = untested
    assert [one for one in judged if one.fate == "killed"] == []
    assert [(str(one.mutant), one.reason) for one in judged if one.fate == "equivalent"] == [
        (
            "tiny: rules.cut_window: gap: `gap: holds` → `gap: breaks`",
            "the same on every value of y: at, under and over each threshold, and unknown",
        ),
        (
            "tiny: rules.rise: operator: `n = 0` → `n <= 0`",
            "the same on every value of x, y, n: at, under and over each threshold, and unknown",
        ),
    ]


def test_every_survivor_that_days_can_show_has_a_witness_that_kills_it(
    untested: tuple[list[Mutated], str], case_file: Callable[..., Path], tiny: Policy
) -> None:
    judged, tests = untested
    survivors = [one for one in judged if one.fate == "survived" and not one.mutant.declared]
    assert all(one.witness for one in survivors)
    suite = suite_of(case_file(tests), tiny)
    assert all(run_case(tiny, case).passed for case in suite.cases)
    for one, case in zip(survivors, suite.cases, strict=True):
        assert killed_by_a_full_run(tiny, one.mutant, Suite((case,), {})), one.mutant


def test_the_tests_that_witnesses_make_kill_every_mutant(
    untested: tuple[list[Mutated], str], case_file: Callable[..., Path], tiny: Policy
) -> None:
    suite = suite_of(case_file(untested[1]), tiny)
    judged = mutate_policy(tiny, run_suite(suite, {"tiny": tiny}), suite.defaults["tiny"])
    assert [str(one.mutant) for one in judged if one.fate == "survived" and not one.mutant.declared] == []


def test_a_survivor_says_what_would_kill_it(untested: tuple[list[Mutated], str]) -> None:
    judged, _ = untested
    (found,) = [one for one in judged if one.mutant.change == "`x > 3` → `x > 3.1`"]
    assert found.reason == (
        "on day 1 of x 3.1, up no: STOP [stop_both] as written, KEEP [] changed; no test expects it"
    )
    assert found.witness is not None
    assert found.witness.as_test("x over 3") == (
        '  - name: "x over 3"\n    days: 1\n    facts: {x: "3.1", up: "no"}\n'
        "    expect: {outcome@1: STOP, rules@1: [stop_both]}\n"
    )
    (found,) = [one for one in judged if one.mutant.where == "exit.CUT"]
    assert (found.witness, found.reason) == (None, "no test expects what the policy declares at `exit.CUT`")


def test_a_proof_holds_on_random_days(
    bundle: Bundle, shipped: TestRun, untested: tuple[list[Mutated], str], tiny: Policy
) -> None:
    generator = np.random.default_rng(20_260_111)
    judged = mutate_tested(shipped, policies=["action"]).mutated
    proved = [one.mutant for one in (*judged, *untested[0]) if one.fate == "equivalent"]
    assert len(proved) > 5
    for mutant in proved:
        policy = tiny if mutant.policy.name == "tiny" else bundle.policies["action"]
        for _ in range(40):
            case = random_case(policy, generator)
            before, after = run_case(policy, case), run_case(mutant.policy, case)
            assert before.outcomes == after.outcomes
            for one, other in zip(before.fired, after.fired, strict=True):
                assert mutant.names(one) == mutant.names(other)


def random_case(policy: Policy, generator: np.random.Generator) -> Case:
    """Return twelve days of values near the thresholds, so that everything fires now and then."""
    facts = {name: random_entries(policy, policy.vocabulary.facts[name], generator) for name in posted_facts(policy)}
    return Case("random", policy.name, "", "", facts, outcomes=(None,) * 12, rules=(None,) * 12)


def random_entries(policy: Policy, spec: FactSpec, generator: np.random.Generator) -> tuple[Entry, ...]:
    edges = {edge.steps for band in policy.bands.values() if band.fact == spec.name for edge in (band.green, band.red)}
    edges |= thresholds(policy, spec.name)
    near = sorted({min(spec.high, max(spec.low, edge + step)) for edge in edges or {spec.low} for step in (-1, 0, 1)})
    usual = int(generator.choice(near))
    return tuple(
        Entry(None, "missing" if kind == 0 else "young")
        if kind < 2
        else Entry(int(generator.choice(near)) if kind < 8 else usual)
        for kind in generator.integers(0, 24, 12)
    )


def thresholds(policy: Policy, fact: str) -> set[int]:
    texts = [str(instance.when) for instance in policy.instances]
    return {
        int(part.split("steps=")[1].split(",")[0])
        for text in texts
        for part in text.split("Compare(")[1:]
        if part.startswith(f"fact='{fact}'")
    }


def test_a_gap_in_the_tests_is_found(bundle: Bundle, shipped: TestRun) -> None:
    """Without the tests of one hard stop, just its mutants survive."""
    policy = bundle.policies["action"]
    kept = [
        result
        for result in shipped.results
        if result.case.policy == "action" and not {"R155", "R158"} & set(result.case.name.split())
    ]
    survived = [one for one in mutate_policy(policy, kept, shipped.suite.defaults["action"]) if one.fate == "survived"]
    assert {one.mutant.where.split(".")[1] for one in survived} == {"hard_stop_drawdown"}
    assert {one.mutant.change for one in survived} >= {
        "`drawdown > 12%` → `drawdown > 12.0001%`",
        "`drawdown > 12%` → `drawdown > 11.9999%`",
        "`drawdown > 12%` → `drawdown >= 12%`",
    }


def test_mutants_are_not_judged_by_tests_that_fail(bundle: Bundle, case_file: Callable[..., Path]) -> None:
    path = case_file("  - {name: a, expect: {promotes: []}}\n", head="policy: action\n")
    with pytest.raises(PolicyError, match=r"tiny.yaml:3:5: error\[test-failed\]: `a`: promotes: expected `nothing`"):
        mutate(bundle, [path])
    assert mutate(bundle, [path], policies=["review"]).score_percent == 0


def test_a_report_counts_what_can_be_killed(shipped: TestRun) -> None:
    report = mutate_tested(shipped, policies=["action"])
    assert len(report.mutated) == len(report.of("killed")) + len(report.of("equivalent")) + len(report.survivors)
    assert report.seconds > 0
    assert replace(report, mutated=()).score_percent is None
