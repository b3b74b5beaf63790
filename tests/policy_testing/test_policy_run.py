"""The runner: what it expects and finds, a day; both engines; and the same days as the production path derives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.clock import DAY_MS
from engine.policy.decide import Decision, decide
from engine.policy.derive import Day, derive
from engine.policy.facts import Fact, Value, validated_all
from engine.policy.host import EngineFault
from engine.policy.testing.casefile import load_cases
from engine.policy.testing.cases import day_ms
from engine.policy.testing.run import CaseResult, run_case, run_policy_tests, run_suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.policy.bundle import Bundle
    from engine.policy.model import Policy, Snapshot


def ran(path: Path, tiny: Policy) -> CaseResult:
    suite = load_cases([path], {"tiny": tiny})
    (result,) = run_suite(suite, {"tiny": tiny}, engines="both")
    return result


def failures(path: Path, tiny: Policy) -> list[str]:
    return [str(failure) for failure in ran(path, tiny).failures]


def test_a_met_expectation_passes(case_file: Callable[..., Path], tiny: Policy) -> None:
    path = case_file(
        "  - {name: a, facts: {x: '0 3.5', up: 'yes no'}, expect: {outcome: KEEP STOP, rules@2: [stop_both]}}\n"
    )
    result = ran(path, tiny)
    assert result.passed
    assert result.outcomes == ("KEEP", "STOP")
    assert result.fired == ((), ("stop_both",))


def test_a_failure_says_day_expected_found_and_what_fired(case_file: Callable[..., Path], tiny: Policy) -> None:
    path = case_file("  - {name: a, facts: {n: '1x2 3 1'}, expect: {outcome: 'KEEPx4', rules@3-4: [late]}}\n")
    assert failures(path, tiny) == [
        "day 3: outcome: expected KEEP, found CUT; fired: cut_unless",
        "day 3: rules: expected [late], found not [late] and also [cut_unless]; fired: cut_unless",
        "day 4: rules: expected [late], found not [late]; fired: none",
    ]


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        ("effects: {STOP: {exposure: 0}}", "effects STOP: expected `exposure: 0`, found `exposure: 0, approvals: 2, "),
        ("effects: {KEEP: {entries: blocked}}", "effects KEEP: expected `entries: blocked`, found `nothing`"),
        ("rule_effects: {}", "rule_effects: expected `nothing`, found `late: entries: blocked`"),
        (
            "episodes: {data: {rules: [], recovery: 15 minutes}}",
            (
                "episodes data: expected `rules: [], recovery: 15 minutes`, "
                "found `rules: [cut_held], recovery: 15 minutes`"
            ),
        ),
        ("promotes: []", "promotes: expected `nothing`, found `RISE`"),
        ("exit: {KEEP: 0}", "exit: expected `KEEP: 0`, found `CUT: 20, KEEP: 0, RISE: 10, STOP: 30`"),
        ("checks: {SOFT: [cut_unless]}", "checks: expected `SOFT: cut_unless`, found `HARD: cut_unless`"),
    ],
)
def test_what_is_declared_is_expected_exactly(
    case_file: Callable[..., Path], tiny: Policy, expect: str, expected: str
) -> None:
    (failure,) = failures(case_file(f"  - {{name: a, expect: {{{expect}}}}}\n"), tiny)
    assert failure.startswith(expected)


def test_declarations_as_they_are_pass(case_file: Callable[..., Path], tiny: Policy) -> None:
    path = case_file(
        """
  - name: all that is declared
    expect:
      effects:
        STOP: {exposure: 0, until: restart, approvals: 2, incident: CRITICAL, alert: page}
        CUT: {exposure: 0.5, once_per: episode, recovery: 120 hours}
        RISE: {cap: "x1.5", at_most: once per 30 days}
        KEEP: {}
      rule_effects: {late: {entries: blocked}}
      episodes: {data: {recovery: 15 minutes, rules: [cut_held]}}
      promotes: [RISE]
      checks: {HARD: [cut_unless]}
      exit: {STOP: 30, KEEP: 0, RISE: 10, CUT: 20}
"""
    )
    assert failures(path, tiny) == []


def test_an_expected_stage_is_exact(case_file: Callable[..., Path], bundle: Bundle) -> None:
    stages = bundle.policies["stages"]
    path = case_file("  - {name: a, expect: {stages: {1: {cap: 1 usd, min_days: 2}}}}\n", head="policy: stages\n")
    (result,) = run_suite(load_cases([path], {"stages": stages}), {"stages": stages})
    assert [failure.expected for failure in result.failures] == ["`cap: 1 usd, min_days: 2, restart_at: 0`"]
    assert result.failures[0].found.startswith("`cap: 5000 usd, min_days: 14, restart_at: 0")


def test_R064_R065_R182_a_stage_and_its_ways_out_are_expected(case_file: Callable[..., Path], bundle: Bundle) -> None:
    stages = bundle.policies["stages"]
    stage = stages.stages[1]
    assert stage.promote is not None
    assert stage.abort is not None
    written = (
        f"{{cap: 5000 usd, min_days: 14, restart_at: 0, promote: {{to: 2, approvals: {stage.promote.approvals}}}, "
        f"abort: {{to: 0, flatten: {'yes' if stage.abort.flatten else 'no'}}}}}"
    )
    path = case_file(f"  - {{name: a, expect: {{stages: {{1: {written}}}}}}}\n", head="policy: stages\n")
    (result,) = run_suite(load_cases([path], {"stages": stages}), {"stages": stages})
    assert result.failures == ()


def test_a_rule_that_is_off_fires_only_where_it_is_switched_on(case_file: Callable[..., Path], tiny: Policy) -> None:
    path = case_file("  - {name: a, facts: {x: 9}, expect: {outcome: KEEP, rules: []}}\n")
    assert failures(path, tiny) == []
    path = case_file("  - {name: a, switched_on: [opt_in], facts: {x: 9}, expect: {outcome: STOP, rules: [opt_in]}}\n")
    assert failures(path, tiny) == []


def test_R136_streaks_gaps_and_youth_are_those_of_production(case_file: Callable[..., Path], tiny: Policy) -> None:
    path = case_file(
        "  - {name: a, facts: {x: '1.5x2 _ 1.5 young 1.5x3'}, expect: {outcome: 'KEEPx3 CUT KEEPx3 CUT'}}\n"
    )
    assert failures(path, tiny) == []


def test_A34_streaks_begin_with_the_day_that_is_named(case_file: Callable[..., Path], tiny: Policy) -> None:
    path = case_file("  - {name: a, days: 5, streaks_from: 3, facts: {x: 1.5}, expect: {outcome: 'KEEPx4 CUT'}}\n")
    assert failures(path, tiny) == []


def test_a_day_is_what_the_production_path_makes_of_its_facts(case_file: Callable[..., Path], tiny: Policy) -> None:
    path = case_file("  - {name: a, facts: {x: '1.5 2.6x2 _', y: '1% -6%x3', n: 0}, expect: {outcome: '_x4'}}\n")
    (case,) = load_cases([path], {"tiny": tiny}).cases
    green: dict[str, Value] = {"z": 0.0, "n": 0, "age": 1.0, "up": True, "mode": "CLEAR"}
    changed: list[dict[str, Value]] = [{"x": 1.5, "y": 1.0}, {"x": 2.6, "y": -6.0}, {"x": 2.6, "y": -6.0}, {"y": -6.0}]
    days = [
        Day(
            day_ms(number),
            validated_all(
                [Fact(name, value, "ok", day_ms(number)) for name, value in {**green, **one}.items()],
                tiny.vocabulary,
                day_ms(number),
            ),
        )
        for number, one in enumerate(changed, 1)
    ]
    for played, day in zip(run_case(tiny, case).played, days, strict=True):
        assert played.snapshot == derive(tiny, day.facts, days, day.at_ms)
    assert days[1].at_ms - days[0].at_ms == DAY_MS


class _Engine:
    """A production engine that gives the same answer to everything, or none."""

    def __init__(self, policy: Policy, answer: tuple[str, ...] | None) -> None:
        self.policy = policy
        self.answer = answer

    def fired(self, _snapshot: Snapshot) -> tuple[str, ...]:
        if self.answer is None:
            raise EngineFault("it hangs")
        return self.answer

    def decide(self, snapshot: Snapshot) -> Decision:
        return decide(self.policy, snapshot, self)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (("late",), "day 1: engines: expected durable-rules [], found durable-rules [late]; fired: late"),
        (None, "day 1: engines: expected durable-rules [], found it hangs; fired: none"),
        ((), None),
    ],
)
def test_the_two_engines_must_agree(
    case_file: Callable[..., Path], tiny: Policy, answer: tuple[str, ...] | None, expected: str | None
) -> None:
    (case,) = load_cases([case_file("  - {name: a, expect: {outcome: KEEP}}\n")], {"tiny": tiny}).cases
    result = run_case(tiny, case, _Engine(tiny, answer))
    assert [str(failure) for failure in result.failures] == ([] if expected is None else [expected])


def test_a_run_counts_its_tests(bundle: Bundle, case_file: Callable[..., Path]) -> None:
    head = "policy: action\n"
    path = case_file(
        "  - {name: a, expect: {promotes: [SCALE_UP]}}\n  - {name: b, expect: {promotes: []}}\n", head=head
    )
    run = run_policy_tests(bundle, [path])
    assert [result.case.name for result in run.failed] == ["b"]
    assert run.counts["action"] == 2
    assert run.counts["stages"] == 0
    assert run.seconds > 0
