"""R1's own policy tests: they pass in both engines, see every condition both ways, and let no mutant live."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from engine.policy.coverage import coverage
from engine.policy.mutation import mutate_tested
from engine.policy.testing import run_policy_tests

if TYPE_CHECKING:
    from engine.policy.bundle import Bundle
    from engine.policy.testing import TestRun

TESTS = Path(__file__).resolve().parents[2] / "policies" / "tests"

# What nothing can kill, and why that is as it should be: another number would not be written, or says the same.
EQUIVALENT = {
    "action: rules.scale_up: operator: `stage = 3` → `stage >= 3`": "3 is the last stage",
    "action: rules.scale_up: operator: `exposure = 1` → `exposure >= 1`": "1 is the most",
    "action: rules.scale_up: operator: `flatten_events_30d = 0` → `flatten_events_30d <= 0`": "0 is the least",
    "action: rules.scale_up: condition dropped: `sharpe_20d green` dropped": "above 0.8 is above 0.5",
    "action: rules.yellow_review: each: `each: band` → any band": "without `for`, only the names of the rules differ",
    "action: bands.negative_sleeves.green: band: operator: `negative_sleeves = 0` → `negative_sleeves <= 0`": (
        "0 is the least"
    ),
}


def test_the_shipped_tests_pass_in_both_engines(bundle: Bundle) -> None:
    run = run_policy_tests(bundle, [TESTS], engines="both")
    assert [f"{result.case.where}: {failure}" for result in run.failed for failure in result.failures] == []


def test_every_rule_and_condition_is_seen_both_ways(shipped: TestRun) -> None:
    seen = coverage(shipped)["action"]
    assert seen.gaps == ()
    assert (seen.rules_percent, seen.leaves_percent) == (100, 100)


def test_no_mutant_lives(shipped: TestRun) -> None:
    report = mutate_tested(shipped, policies=["action"])
    assert [f"{one.mutant}: {one.reason}" for one in report.survivors] == []
    assert report.score_percent == 100
    assert {str(one.mutant) for one in report.of("equivalent")} == set(EQUIVALENT)


def test_R113_R158_every_row_of_the_action_policy_has_a_test(shipped: TestRun) -> None:
    """R142 is about the code: no literal in it."""
    named = {ref for result in shipped.results for ref in re.findall(r"\b[RA][0-9]{2,3}\b", result.case.name)}
    assert {f"R{number}" for number in range(113, 159)} - {"R142"} - named == set()
