"""Coverage: each rule fired and silent, each condition true and false; and JUnit XML of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from engine.policy.testing.casefile import load_cases
from engine.policy.testing.coverage import coverage
from engine.policy.testing.junit import junit, write_junit
from engine.policy.testing.run import TestRun, run_suite

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.policy.model import Policy
    from engine.policy.testing.coverage import LeafSeen


def run(path: Path, tiny: Policy) -> TestRun:
    suite = load_cases([path], {"tiny": tiny})
    return TestRun(tuple(run_suite(suite, {"tiny": tiny})), suite, {"tiny": tiny}, 1.5)


def leaf(tested: TestRun, rule: str, words: str) -> LeafSeen:
    (found,) = [one for one in coverage(tested)["tiny"].leaves if one.rule == rule and one.leaf == words]
    return found


def test_a_condition_is_covered_when_seen_true_and_false(case_file: Callable[..., Path], tiny: Policy) -> None:
    tested = run(case_file("  - {name: a, facts: {x: '0 4 _', up: yes}, expect: {outcome: '_'}}\n"), tiny)
    seen = leaf(tested, "stop_both", "x > 3")
    assert (seen.true, seen.false, seen.unknown, seen.covered) == (1, 1, 1, True)
    seen = leaf(tested, "stop_both", "up = yes")
    assert (seen.true, seen.false, seen.unknown, seen.covered) == (3, 0, 0, False)


def test_a_rule_is_covered_when_it_fired_and_was_silent(case_file: Callable[..., Path], tiny: Policy) -> None:
    tested = run(case_file("  - {name: a, facts: {age: '0minutes 6minutes', n: 5}, expect: {outcome: '_'}}\n"), tiny)
    seen = {one.rule: (one.fired, one.silent, one.covered) for one in coverage(tested)["tiny"].rules}
    assert seen["late"] == (1, 1, True)
    assert seen["cut_unless"] == (2, 0, False)
    assert seen["cut_yellow[x]"] == (0, 2, False)


def test_a_rule_that_is_off_is_covered_by_tests_that_switch_it_on(case_file: Callable[..., Path], tiny: Policy) -> None:
    off = "  - {name: a, facts: {x: '0 9'}, expect: {outcome: '_'}}\n"
    on = "  - {name: b, switched_on: [opt_in], facts: {x: '0x2 9'}, expect: {outcome: '_'}}\n"
    without = {one.rule: (one.fired, one.silent) for one in coverage(run(case_file(off), tiny))["tiny"].rules}
    assert without["opt_in"] == (0, 0)
    tested = run(case_file(off + on), tiny)
    assert {one.rule: (one.fired, one.silent) for one in coverage(tested)["tiny"].rules}["opt_in"] == (1, 2)
    seen = leaf(tested, "opt_in", "x > 8")
    assert (seen.true, seen.false) == (1, 2)


def test_percentages_and_gaps(case_file: Callable[..., Path], tiny: Policy) -> None:
    seen = coverage(run(case_file("  - {name: a, days: 2, expect: {outcome: KEEP}}\n"), tiny))["tiny"]
    assert (seen.tests, seen.days) == (1, 2)
    assert (seen.rules_percent, seen.leaves_percent) == (0, 0)
    assert len(seen.gaps) == len(seen.rules) + len(seen.leaves)


def test_junit_names_files_tests_and_failures(case_file: Callable[..., Path], tiny: Policy, tmp_path: Path) -> None:
    tests = (
        '  - {name: "passes <&>", expect: {outcome: KEEP}}\n'
        '  - {name: "a \\x00 bell \\a", facts: {n: 3}, expect: {outcome: KEEP, rules: []}}\n'
    )
    tested = run(case_file(tests), tiny)
    write_junit(tested, tmp_path / "junit.xml")
    text = (tmp_path / "junit.xml").read_text(encoding="utf-8")
    assert text == junit(tested)
    root = ET.fromstring(text)  # noqa: S314 - written by the line above
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("time")) == ("testsuites", "2", "1", "1.500000")
    (suite,) = root
    assert Path(suite.get("name", "")).name == "tiny.yaml"
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    passed, failed = suite
    assert (passed.get("name"), passed.get("classname"), passed.get("line"), len(passed)) == (
        "passes <&>",
        "tiny.tiny",
        "4",
        0,
    )
    assert failed.get("name") == "a \N{REPLACEMENT CHARACTER} bell \N{REPLACEMENT CHARACTER}"
    message = failed[0].get("message")
    assert message == "day 1: outcome: expected KEEP, found CUT; fired: cut_unless"
    assert "tiny.yaml:5:5: day 1: rules: expected [], found also [cut_unless]" in (failed[0].text or "")
