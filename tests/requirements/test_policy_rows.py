"""The cases of `policies/tests`, each a test of its own here, so that they prove the rows that they are named after."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from engine.policy.bundle import Bundle, load_bundle
from engine.policy.testing.run import run_policy_tests

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "policies" / "tests"

CASES = [
    (path.stem, case["name"])
    for path in sorted(TESTS.glob("*.yaml"))
    for case in yaml.safe_load(path.read_text())["tests"]
]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(ROOT / "config" / "prod_scale_rules_R1.yaml")


@pytest.fixture(scope="module")
def ended(bundle: Bundle) -> dict[tuple[str, str], tuple[str, ...]]:
    """What failed in each case, by file and name, by both engines."""
    run = run_policy_tests(bundle, [TESTS], engines="both")
    failures = {}
    for result in run.results:
        file = Path(result.case.where.partition(":")[0]).stem
        failures[file, result.case.name] = tuple(map(str, result.failures))
    return failures


@pytest.mark.parametrize("case", CASES, ids=[f"policies/tests/{file}.yaml: {name}" for file, name in CASES])
def test_a_case_of_the_policies_holds_in_both_engines(
    case: tuple[str, str], ended: dict[tuple[str, str], tuple[str, ...]]
) -> None:
    assert ended[case] == ()
