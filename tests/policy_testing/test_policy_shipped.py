"""R1's own policy tests: they pass in both engines, see every condition both ways, and let no mutant live."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.policy.difference.firing import compares
from engine.policy.mutation.run import mutate_tested
from engine.policy.quantity import shown
from engine.policy.testing.coverage import coverage
from engine.policy.testing.run import run_policy_tests
from engine.policy.testing.variants import switched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.policy.bundle import Bundle
    from engine.policy.model import Compare, Policy
    from engine.policy.testing.run import TestRun

TESTS = Path(__file__).resolve().parents[2] / "policies" / "tests"

# What nothing can kill, and why that is as it should be: another number could not be, or says the same.
EQUIVALENT = {
    "launch: rules.dependencies: operator: `dependencies_missing = 0` → `dependencies_missing <= 0`": "0 is the least",
    "launch: rules.foreign_positions: operator: `foreign_positions = 0` → `foreign_positions <= 0`": "0 is the least",
    "launch: rules.single_instance: operator: `other_instances = 0` → `other_instances <= 0`": "0 is the least",
    "stages: rules.promote_0: operator: `stage = 0` → `stage <= 0`": "0 is the first stage",
    "stages: rules.promote_1: operator: `flatten_events_stage = 0` → `flatten_events_stage <= 0`": "0 is the least",
    "stages: rules.promote_1: operator: `exposure = 1` → `exposure >= 1`": "1 is the most",
    "stages: rules.promote_2: operator: `exposure = 1` → `exposure >= 1`": "1 is the most",
    "stages: rules.abort_3[scale_downs_30d]: operator: `stage = 3` → `stage >= 3`": "3 is the last stage",
    "stages: outcomes: severity: `PROMOTE` and `HOLD` exchanged": "no rule asks for HOLD",
    "action: rules.scale_up: operator: `stage = 3` → `stage >= 3`": "3 is the last stage",
    "action: rules.scale_up: operator: `exposure = 1` → `exposure >= 1`": "1 is the most",
    "action: rules.scale_up: operator: `flatten_events_30d = 0` → `flatten_events_30d <= 0`": "0 is the least",
    "action: rules.scale_up: condition dropped: `sharpe_20d green` dropped": "above 0.8 is above 0.5",
    "action: outcomes: severity: `SCALE_UP` and `KEEP` exchanged": "KEEP rules ask where it cannot",
    "action: rules.yellow_review: each: `each: band` → any band": "without `for`, only the names of the rules differ",
    "action: bands.negative_sleeves.green: band: operator: `negative_sleeves = 0` → `negative_sleeves <= 0`": (
        "0 is the least"
    ),
    "risk_guard: outcomes: severity: `REDUCE_ONLY` and `CLEAR` exchanged": "no rule asks for CLEAR",
    "restart: outcomes: severity: `STAY_FLAT` and `ALLOW_RESTART` exchanged": "no rule asks for ALLOW_RESTART",
    "review: rules.trades_unmatched: operator: `trades_unmatched = 0` → `trades_unmatched <= 0`": "0 is the least",
    "review: outcomes: severity: `BREACH` and `WITHIN` exchanged": "no rule asks for WITHIN",
}


def test_the_shipped_tests_pass_in_both_engines(bundle: Bundle) -> None:
    run = run_policy_tests(bundle, [TESTS], engines="both")
    assert [f"{result.case.where}: {failure}" for result in run.failed for failure in result.failures] == []
    assert all(run.counts.values())


def test_every_rule_and_condition_is_seen_both_ways(shipped: TestRun) -> None:
    assert {name: seen.gaps for name, seen in coverage(shipped).items()} == dict.fromkeys(shipped.policies, ())


def test_no_mutant_of_any_policy_lives(shipped: TestRun) -> None:
    report = mutate_tested(shipped)
    assert [f"{one.mutant}: {one.reason}" for one in report.survivors] == []
    assert report.score_percent == 100
    assert {str(one.mutant) for one in report.of("equivalent")} == set(EQUIVALENT)


def test_every_row_that_a_rule_implements_is_named_by_a_test_of_its_policy(shipped: TestRun) -> None:
    missing = {
        f"{policy.name}: {rule.name}: {ref}"
        for policy in shipped.policies.values()
        for rule in policy.rules.values()
        for ref in rule.refs
        if ref not in named(shipped, policy.name)
    }
    assert missing == set()


def test_R113_R158_every_row_of_the_action_policy_has_a_test(shipped: TestRun) -> None:
    """R142 is about the code: no literal in it."""
    assert {f"R{number}" for number in range(113, 159)} - {"R142"} - named(shipped, "action") == set()


def named(run: TestRun, policy: str) -> set[str]:
    """Return the ids of requirements and resolutions in the names of a policy's tests."""
    names = [result.case.name for result in run.results if result.case.policy == policy]
    return {ref for name in names for ref in re.findall(r"\b[RA][0-9]{2,3}\b", name)}


def _numbers(policy: Policy) -> Iterator[Compare]:
    """Yield every comparison of a policy, also of rules that are switched off, and the edges of its bands."""
    everything = switched(policy, policy.rules)
    for instance in everything.instances:
        yield from compares(instance.when)
    for band in policy.bands.values():
        yield from (band.green, band.red)


def test_every_number_of_every_policy_is_tested_at_just_under_and_just_over_it(shipped: TestRun) -> None:
    tried: dict[tuple[str, str], set[int | None]] = defaultdict(set)
    for result in shipped.results:
        for fact, entries in result.case.facts.items():
            tried[result.case.policy, fact].update(entry.steps for entry in entries)
    missing, looked_at = [], 0
    for name, policy in shipped.policies.items():
        for compare in _numbers(policy):
            spec = policy.vocabulary.facts[compare.fact]
            near = range(compare.steps - 1, compare.steps + 2)
            wanted = range(len(spec.choices)) if spec.choices else near
            looked_at += 1
            missing += [
                f"{name}: {compare.fact} {compare.text} is not tried at {shown(spec, steps)}"
                for steps in wanted
                if spec.low <= steps <= spec.high and steps not in tried[name, compare.fact]
            ]
            if None not in tried[name, compare.fact]:
                missing.append(f"{name}: {compare.fact} is never unknown")
    assert sorted(set(missing)) == []
    assert looked_at > 130
