"""Files of policy tests: what they mean, and every mistake in them with its place, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import PolicyError
from engine.policy.testing.casefile import load_cases
from engine.policy.testing.cases import day_ms
from engine.policy.testing.series import Entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.policy.bundle import Bundle
    from engine.policy.model import Policy
    from engine.policy.testing.cases import Case


def one(path: Path, tiny: Policy) -> Case:
    suite = load_cases([path], {"tiny": tiny})
    assert len(suite.cases) == 1
    return suite.cases[0]


def problems(path: Path, tiny: Policy) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load_cases([path], {"tiny": tiny})
    return [
        f"{problem.where.rsplit('/', 1)[-1]} {problem.code}: {problem.problem}" for problem in caught.value.problems
    ]


def test_a_test_takes_the_defaults_for_what_it_does_not_say(case_file: Callable[..., Path], tiny: Policy) -> None:
    path = case_file("  - {name: a, facts: {x: '1x2 _'}, expect: {outcome: KEEP, rules@2-3: [late]}}\n")
    case = one(path, tiny)
    assert case.days == 3
    assert case.facts["x"] == (Entry(10), Entry(10), Entry(None, "missing"))
    assert case.facts["y"] == (Entry(2),) * 3
    assert set(case.facts) == {"x", "y", "z", "n", "age", "up", "mode"}
    assert case.outcomes == ("KEEP",) * 3
    assert case.rules == (None, frozenset({"late"}), frozenset({"late"}))
    assert case.where.endswith("tiny.yaml:4:5")


def test_days_come_from_the_longest_series_or_are_given(case_file: Callable[..., Path], tiny: Policy) -> None:
    assert one(case_file("  - {name: a, expect: {outcome: KEEP}}\n"), tiny).days == 1
    assert one(case_file("  - {name: a, days: 4, expect: {outcome@4: KEEP}}\n"), tiny).days == 4
    assert one(case_file("  - {name: a, expect: {outcome: 'KEEPx3 _'}}\n"), tiny).outcomes == (*("KEEP",) * 3, None)
    assert one(case_file("  - {name: a, expect: {promotes: [RISE]}}\n"), tiny).days == 0


def test_streaks_may_begin_later(case_file: Callable[..., Path], tiny: Policy) -> None:
    case = one(case_file("  - {name: a, days: 4, streaks_from: 3, expect: {outcome: KEEP}}\n"), tiny)
    assert case.since_ms == day_ms(2)


def test_defaults_may_stand_in_another_file(case_file: Callable[..., Path], tiny: Policy) -> None:
    case_file("  - {name: a, expect: {outcome: KEEP}}\n", name="green.yaml")
    path = case_file(
        "  - {name: a, facts: {x: 1}, expect: {outcome: KEEP}}\n",
        name="other.yaml",
        head="policy: tiny\ndefaults: green.yaml\n",
    )
    assert one(path, tiny).facts["x"] == (Entry(10),)
    assert one(path, tiny).facts["n"] == (Entry(1),)


def test_a_test_without_days_needs_no_facts(case_file: Callable[..., Path], tiny: Policy) -> None:
    path = case_file("  - {name: a, expect: {promotes: [RISE]}}\n", head="policy: tiny\n")
    assert one(path, tiny).declared[0].expected == "RISE"


MISTAKES = [
    ("{name: a, facts: {xx: 1}, expect: {outcome: KEEP}}", "4:23 unknown-fact: `tiny` reads no fact `xx`"),
    ("{name: a, facts: {y: 1}, expect: {outcome: KEEP}}", "4:26 unit: `y` is in percent, `1` has no unit"),
    ("{name: a, facts: {x: 11}, expect: {outcome: KEEP}}", "4:26 range: `x` runs from -10 to 10, `11` lies outside"),
    (
        "{name: a, facts: {x: 1x3, y: '1%x2'}, expect: {outcome: KEEP}}",
        "4:34 length: `y` has 2 days, `x` has 3",
    ),
    (
        "{name: a, facts: {x: 1x3}, expect: {outcome: 'KEEPx2 CUTx2'}}",
        "4:50 length: `outcome` has 4 days, `x` has 3",
    ),
    ("{name: a, days: 2, facts: {x: 1x3}, expect: {outcome: KEEP}}", "4:35 length: `x` has 3 days, `days` has 2"),
    ("{name: a, expect: {outcome: HALT}}", "4:33 unknown-outcome: there is no outcome `HALT`"),
    ("{name: a, expect: {outcome: 3}}", "4:33 series: `3` is no series"),
    ("{name: a, expect: {rules: [stop]}}", "4:32 unknown-rule: `tiny` has no rule `stop`"),
    ("{name: a, expect: {rules: [cut_yellow]}}", "4:32 unknown-rule: `tiny` has no rule `cut_yellow`"),
    ("{name: a, expect: {rules: stop_mode}}", "4:31 type: expected a list of rules"),
    ("{name: a, expect: {outcome@2: KEEP}}", "4:24 days: `outcome@2` names days that the test does not have, it has 1"),
    (
        "{name: a, days: 3, expect: {rules@3-2: []}}",
        "4:33 days: `rules@3-2` names days that the test does not have, it has 3",
    ),
    ("{name: a, days: 3, expect: {outcome@1-2: 'KEEPx3'}}", "4:46 length: expected 2 outcomes, found 3"),
    ("{name: a, days: 3, expect: {outcome: KEEP, outcome@2: CUT}}", "4:48 duplicate: day 2 is expected twice"),
    ("{name: a, expect: {outcomes: KEEP}}", "4:24 unknown-key: `outcomes` cannot be expected"),
    ("{name: a, expect: {}}", "4:23 empty: something is needed here, found nothing"),
    ("{name: a}", "4:5 missing: `expect` is missing"),
    ("{name: a, facts: 3, expect: {outcome: KEEP}}", "4:22 type: expected a mapping, found the number 3"),
    ("{name: a, wait: 3, expect: {outcome: KEEP}}", "4:15 unknown-key: there is no key `wait` here"),
    ("{name: a, policy: action, expect: {outcome: KEEP}}", "4:23 unknown-policy: the bundle has no policy `action`"),
    (
        "{name: a, switched_on: [late], expect: {outcome: KEEP}}",
        "4:29 unknown-rule: `tiny` has no rule `late` that is switched off",
    ),
    ("{name: a, expect: {effects: {HALT: {}}}}", "4:34 unknown-name: `tiny` has nothing under `effects` called `HALT`"),
    ("{name: a, expect: {effects: [STOP]}}", "4:33 type: expected a mapping here"),
    ("{name: a, expect: {effects: {STOP: 3}}}", "4:40 type: expected a mapping here"),
    ("{name: a, expect: {effects: {STOP: {exposure: 2}}}}", "4:51 effect: `2` is no value of `exposure`"),
    ("{name: a, expect: {effects: {STOP: {exposed: 2}}}}", "4:50 unknown-key: there is no effect `exposed`"),
    ("{name: a, expect: {rule_effects: {late: 3}}}", "4:45 type: expected a mapping here"),
    ("{name: a, expect: {rule_effects: {later: {}}}}", "4:39 unknown-rule: `tiny` has no rule `later`"),
    (
        "{name: a, expect: {episodes: {data: {recovery: 15 minutes}}}}",
        "4:41 missing: `rules` does not list the rules of the episode",
    ),
    ("{name: a, expect: {episodes: {data: {rules: [cut]}}}}", "4:50 unknown-rule: `tiny` has no rule `cut`"),
    ("{name: a, expect: {promotes: [UP]}}", "4:35 unknown-outcome: there is no outcome `UP`"),
    ("{name: a, expect: {exit: {UP: 3}}}", "4:31 unknown-outcome: there is no outcome `UP`"),
    ("{name: a, expect: {exit: {KEEP: no}}}", "4:37 type: `no` is no exit code"),
    ("{name: a, expect: {checks: {EASY: [late]}}}", "4:39 type: expected lists of `HARD` and `SOFT` checks here"),
    ("{name: a, expect: {checks: {HARD: [early]}}}", "4:40 unknown-rule: `tiny` has no rule `early`"),
    (
        "{name: a, expect: {stages: {1: {cap: 5000 usd}}}}",
        "4:33 unknown-name: `tiny` has nothing under `stages` called `1`",
    ),
]


@pytest.mark.parametrize(("test", "expected"), MISTAKES, ids=[expected for _, expected in MISTAKES])
def test_each_mistake_has_its_place(case_file: Callable[..., Path], tiny: Policy, test: str, expected: str) -> None:
    assert problems(case_file(f"  - {test}\n"), tiny) == [f"tiny.yaml:{expected}"]


def test_all_mistakes_of_all_files_come_at_once(case_file: Callable[..., Path], tiny: Policy) -> None:
    case_file("  - {name: a, expect: {outcome: HALT}}\n  - {name: b, facts: {x: 1%}, expect: {rules: [a]}}\n")
    path = case_file("  - {name: a, facts: {n: 9}, expect: {outcome: KEEP}}\n", name="zz.yaml")
    assert [problem.split(" ")[0] for problem in problems(path.parent, tiny)] == [
        "tiny.yaml:4:33",
        "tiny.yaml:5:26",
        "tiny.yaml:5:48",
        "zz.yaml:4:26",
    ]


def test_two_tests_of_one_name(case_file: Callable[..., Path], tiny: Policy) -> None:
    path = case_file("  - {name: a, expect: {outcome: KEEP}}\n" * 2)
    assert problems(path, tiny) == ["tiny.yaml:5:12 duplicate: `a` is the name of two tests"]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("policy: tiny\n", "3:5 missing: neither the defaults nor the test say what `y` is, and `tiny` reads it"),
        ("defaults: {x: 0}\n", "3:5 missing: the test names no policy"),
        ("policy: tiny\ndefaults: 3\n", "2:11 type: expected a mapping or text, found the number 3"),
        ("policy: tiny\ndefaults: none.yaml\n", "2:11 no-file: there is no file `none.yaml` beside this one"),
        ("policy: tiny\ndefaults: {w: 0}\n", "2:12 unknown-fact: there is no fact `w`"),
        ("policy: tiny\ndefaults: {x: 1%}\n", "2:15 unit: `x` is a plain ratio, `1%` is written in `%`"),
        ("policy: tiny\ndefaults: {x: 1x2}\n", "2:15 series: a default is one value, not a series of days"),
        ("policy: other\n", "1:9 unknown-policy: the bundle has no policy `other`"),
    ],
)
def test_mistakes_above_the_tests(case_file: Callable[..., Path], tiny: Policy, head: str, expected: str) -> None:
    path = case_file("  - {name: a, facts: {x: 1}, expect: {outcome: KEEP}}\n", head=head)
    assert f"tiny.yaml:{expected}" in problems(path, tiny)


def test_defaults_of_a_file_that_has_none(case_file: Callable[..., Path], tiny: Policy) -> None:
    case_file("  - {name: a, expect: {promotes: [RISE]}}\n", name="bare.yaml", head="policy: tiny\n")
    path = case_file("  - {name: a, expect: {promotes: [RISE]}}\n", head="policy: tiny\ndefaults: bare.yaml\n")
    assert problems(path, tiny) == ["tiny.yaml:2:11 defaults: `bare.yaml` has no defaults of its own"]


def test_defaults_of_a_file_that_is_no_yaml(case_file: Callable[..., Path], tiny: Policy) -> None:
    case_file("  - [\n", name="broken.yaml")
    path = case_file("  - {name: a, expect: {promotes: [RISE]}}\n", head="policy: tiny\ndefaults: broken.yaml\n")
    (problem,) = problems(path, tiny)
    assert problem.startswith("broken.yaml:5:1 yaml: not valid YAML")


STAGE = "  - {name: a, expect: {stages: {1: %s}}}\n"


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("{cap: 5000, min_days: 14}", "2:35 unit: `cap` is no amount in usd"),
        ("{cap: 5000 usd, least: 14}", "2:58 unknown-key: there is no key `least` here"),
        ("{cap: 5000 usd, promote: {too: 2}}", "2:67 unknown-key: there is no key `too` here"),
        ("{cap: 5000 usd, abort: {approvals: 2}}", "2:70 unknown-key: there is no key `approvals` here"),
    ],
)
def test_mistakes_in_an_expected_stage(
    case_file: Callable[..., Path], bundle: Bundle, stage: str, expected: str
) -> None:
    path = case_file(STAGE % stage, head="policy: stages\n")
    with pytest.raises(PolicyError) as caught:
        load_cases([path], bundle.policies)
    (problem,) = caught.value.problems
    assert f"{problem.where.rsplit('/', 1)[-1]} {problem.code}: {problem.problem}".startswith("tiny.yaml:")
    assert (problem.code, problem.problem) == tuple(expected.split(" ", 1)[1].split(": ", 1))


def test_files_that_are_not_there(tmp_path: Path, tiny: Policy) -> None:
    assert problems(tmp_path / "none.yaml", tiny) == ["none.yaml no-file: there is no such file"]
    (tmp_path / "empty").mkdir()
    assert problems(tmp_path / "empty", tiny) == ["empty no-file: there are no tests here"]


@pytest.mark.parametrize("text", ["- a\n", "tests: [", "tests: 3\n", "3\n", "tests: []\n"])
def test_a_file_that_is_no_file_of_tests(tmp_path: Path, tiny: Policy, text: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    found = problems(path, tiny)
    assert len(found) == 1
    assert found[0].startswith("wrong.yaml:")


def test_a_fact_of_which_nothing_is_said_is_reported_once(case_file: Callable[..., Path], tiny: Policy) -> None:
    head = "policy: tiny\ndefaults: {x: 0, y: 1%, z: 0%, n: 1, age: 0 minutes, up: yes}\n"
    tests = "".join(f"  - {{name: test {number}, expect: {{outcome: KEEP}}}}\n" for number in range(3))
    found = problems(case_file(tests, head=head), tiny)
    assert found == ["tiny.yaml:4:5 missing: neither the defaults nor the test say what `mode` is, and `tiny` reads it"]
