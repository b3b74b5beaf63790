"""The staged rollout: every exit condition is needed, every abort is enough, and no stage is skipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy.bundle import load_bundle
from engine.policy.derive import derive
from engine.policy.facts import Fact, validated_all
from engine.policy.interpreter import evaluate, outcome_of
from engine.policy.stages import next_stage

if TYPE_CHECKING:
    from tests.policy_all.conftest import Desk

READY: dict[int, dict[str, Any]] = {
    0: {
        "days_in_stage": 30.0,
        "sharpe_30d": 0.5,
        "max_drawdown_30d": 5.0,
        "signal_consistency": 99.5,
        "paper_evidence": True,
        "launch": "ALLOW_LAUNCH",
        "watcher_named": True,
    },
    1: {
        "days_in_stage": 14.0,
        "sharpe_14d": 1.0,
        "max_drawdown_stage": 5.0,
        "drawdown": 1.0,
        "slippage_ratio": 1.0,
        "flatten_events_stage": 0,
        "launch": "ALLOW_LAUNCH",
        "weekly_review": True,
        "exposure": 1.0,
        "api_issues_24h": 0,
    },
    2: {
        "days_in_stage": 14.0,
        "sharpe_14d": 1.0,
        "max_drawdown_stage": 5.0,
        "drawdown": 1.0,
        "positive_sleeves": 3,
        "slippage_ratio": 1.0,
        "cost_ratio": 1.0,
        "live_days": 28.0,
        "monthly_review": True,
        "launch": "ALLOW_LAUNCH",
        "exposure": 1.0,
        "worst_sleeve_14d": 1.0,
    },
}

# requirement or resolution, stage, fact, values that still promote, values that do not
EXITS: list[tuple[str, int, str, list[Any], list[Any]]] = [
    ("R057", 0, "days_in_stage", [30.0, 31.0], [29.0]),
    ("R059", 0, "sharpe_30d", [-0.2999], [-0.3, -0.3001]),
    ("R060", 0, "max_drawdown_30d", [11.9999], [12.0, 12.0001]),
    ("R061", 0, "signal_consistency", [98.0001], [98.0, 97.9999]),
    ("R056", 0, "paper_evidence", [True], [False]),
    ("R067", 0, "launch", ["ALLOW_LAUNCH"], ["BLOCK_LAUNCH"]),
    ("R068", 0, "watcher_named", [True], [False]),
    ("R065", 1, "days_in_stage", [14.0, 15.0], [13.0]),
    ("R075", 1, "sharpe_14d", [0.0001], [0.0, -0.0001]),
    ("R076", 1, "max_drawdown_stage", [9.9999], [10.0, 10.0001]),
    ("A04", 1, "drawdown", [7.9999], [8.0, 8.0001]),
    ("R077", 1, "slippage_ratio", [1.3, 1.2999], [1.3001]),
    ("R078", 1, "flatten_events_stage", [0], [1]),
    ("R088", 1, "launch", ["ALLOW_LAUNCH"], ["BLOCK_LAUNCH"]),
    ("R089", 1, "weekly_review", [True], [False]),
    ("A34", 1, "exposure", [1.0], [0.99]),
    ("R086", 2, "days_in_stage", [14.0, 15.0], [13.0]),
    ("R092", 2, "sharpe_14d", [0.3001], [0.3, 0.2999]),
    ("R093", 2, "max_drawdown_stage", [9.9999], [10.0, 10.0001]),
    ("A04", 2, "drawdown", [7.9999], [8.0, 8.0001]),
    ("R094", 2, "positive_sleeves", [3], [2]),
    ("R095", 2, "slippage_ratio", [1.3, 1.2999], [1.3001]),
    ("R095", 2, "cost_ratio", [1.3, 1.2999], [1.3001]),
    ("R102", 2, "live_days", [28.0, 29.0], [27.0]),
    ("R104", 2, "monthly_review", [True], [False]),
    ("A58", 2, "launch", ["ALLOW_LAUNCH"], ["BLOCK_LAUNCH"]),
    ("A34", 2, "exposure", [1.0], [0.99]),
]
# requirement, stage, fact, values that do not abort, values that do, where to, whether the book is flattened
ABORTS: list[tuple[str, int, str, list[Any], list[Any], int, bool]] = [
    ("R080", 1, "drawdown", [11.9999, 12.0], [12.0001], 0, True),
    ("R081", 1, "sharpe_14d", [-0.4999, -0.5], [-0.5001], 0, True),
    ("R082", 1, "api_issues_24h", [2, 3], [4], 0, True),
    ("R097", 2, "drawdown", [9.9999, 10.0], [10.0001], 1, False),
    ("R098", 2, "sharpe_14d", [0.0001, 0.0], [-0.0001], 1, False),
    ("R099", 2, "worst_sleeve_14d", [-4.9999, -5.0], [-5.0001], 1, False),
    ("A55", 3, "scale_downs_30d", [0, 1], [2], 2, False),
]
EXIT_IDS = [f"{row[0]}-{row[1]}-{row[2]}" for row in EXITS]
BAD: dict[int, dict[str, Any]] = {1: {"api_issues_24h": 4}, 2: {"worst_sleeve_14d": -5.1}}
UNKNOWN = ["<missing>", "<young>", "<stale>", "<invalid>"]


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_R066_R079_R087_R096_R103_all_conditions_promote_by_one_stage(desk: Desk, stage: int) -> None:
    decision = desk.decide("stages", {"stage": stage, **READY[stage]})
    assert (decision.outcome, decision.fired) == ("PROMOTE", (f"promote_{stage}",))
    transition = next_stage(desk.bundle.policies["stages"], stage, decision.outcome, decision.fired)
    assert transition is not None
    assert (transition.start, transition.to, transition.flatten, transition.approvals) == (stage, stage + 1, False, 1)


@pytest.mark.parametrize(("row", "stage", "fact", "promoting", "holding"), EXITS, ids=EXIT_IDS)
def test_R079_R096_each_condition_missing_alone_holds(
    desk: Desk, row: str, stage: int, fact: str, promoting: list[Any], holding: list[Any]
) -> None:
    for value in promoting:
        assert f"promote_{stage}" in desk.decide("stages", {"stage": stage, **READY[stage], fact: value}).fired, row
    for value in [*holding, *UNKNOWN]:
        assert f"promote_{stage}" not in desk.decide("stages", {"stage": stage, **READY[stage], fact: value}).fired, row


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_every_fact_of_a_promotion_is_tried_here(desk: Desk, stage: int) -> None:
    from engine.policy.model import facts_of  # noqa: PLC0415 - only this test reads conditions

    read = set(facts_of(desk.bundle.policies["stages"].rules[f"promote_{stage}"].when)) - {"stage"}
    assert read == {fact for _, number, fact, _, _ in EXITS if number == stage}


@pytest.mark.parametrize(
    ("row", "stage", "fact", "holding", "aborting", "to", "flatten"), ABORTS, ids=[f"{a[0]}-{a[2]}" for a in ABORTS]
)
def test_R083_R100_each_abort_alone_is_enough(
    desk: Desk, row: str, stage: int, fact: str, holding: list[Any], aborting: list[Any], to: int, flatten: Any
) -> None:
    policy = desk.bundle.policies["stages"]
    names = {"worst_sleeve_14d": "worst_sleeve_14d days_in_stage"}  # A17: fourteen days of this stage
    for value in [*holding, *UNKNOWN]:
        decision = desk.decide("stages", {"stage": stage, "days_in_stage": 14, fact: value})
        assert (decision.outcome, decision.fired) == ("HOLD", ()), (row, value)
        assert next_stage(policy, stage, decision.outcome, decision.fired) is None
    for value in aborting:
        decision = desk.decide("stages", {"stage": stage, "days_in_stage": 14, fact: value})
        assert (decision.outcome, decision.fired) == ("ABORT", (f"abort_{stage}[{names.get(fact, fact)}]",)), row
        transition = next_stage(policy, stage, decision.outcome, decision.fired)
        assert transition is not None
        assert (transition.to, transition.flatten, transition.approvals) == (to, flatten, 0)


@pytest.mark.parametrize("days", [0, 13, "<missing>"])
def test_A17_a_sleeves_days_before_the_stage_do_not_end_it(desk: Desk, days: Any) -> None:
    bad = {"stage": 2, "worst_sleeve_14d": -9.0}
    assert desk.decide("stages", {**bad, "days_in_stage": days}).outcome == "HOLD"
    assert desk.decide("stages", {**bad, "days_in_stage": 14}).outcome == "ABORT"


def test_R084_A02_the_first_stage_ends_flat_in_paper(desk: Desk) -> None:
    abort = desk.bundle.policies["stages"].stages[1].abort
    assert abort is not None
    assert (abort.to, abort.flatten) == (0, True)
    assert desk.bundle.policies["stages"].stages[0].cap_usd == 0


@pytest.mark.parametrize("stage", [1, 2])
def test_an_abort_dominates_a_promotion_that_is_ready(desk: Desk, stage: int) -> None:
    bad = BAD[stage]
    decision = desk.decide("stages", {"stage": stage, **READY[stage], **bad})
    assert decision.outcome == "ABORT"
    assert f"promote_{stage}" in decision.fired
    transition = next_stage(desk.bundle.policies["stages"], stage, decision.outcome, decision.fired)
    assert transition is not None
    assert transition.to == stage - 1


def test_A18_between_exit_and_abort_the_stage_goes_on(desk: Desk) -> None:
    for stage in (0, 1, 2, 3):
        decision = desk.decide("stages", {"stage": stage, "drawdown": 9.0, "sharpe_14d": 0.0, "days_in_stage": 400.0})
        assert decision.outcome == "HOLD"


def test_A50_the_last_stage_is_never_promoted(desk: Desk) -> None:
    everything = {**READY[0], **READY[1], **READY[2], "stage": 3}
    assert desk.decide("stages", everything).fired == ()


def test_R064_R085_R101_caps_and_restarts_stand_in_the_file(desk: Desk) -> None:
    stages = desk.bundle.policies["stages"].stages
    assert [(int(one.cap_usd), one.min_days, one.restart_at) for one in stages.values()] == [
        (0, 30, 0),
        (5000, 14, 0),
        (10000, 14, 1),
        (15000, 28, 2),
    ]


def test_a_decision_of_another_stage_moves_nothing(desk: Desk) -> None:
    policy = desk.bundle.policies["stages"]
    decision = desk.decide("stages", {"stage": 1, **READY[1]})
    assert next_stage(policy, 2, decision.outcome, decision.fired) is None
    aborted = desk.decide("stages", {"stage": 1, "drawdown": 12.5})
    assert next_stage(policy, 2, aborted.outcome, aborted.fired) is None
    both = next_stage(policy, 1, "ABORT", ["abort_1[sharpe_14d]", "abort_2[drawdown]"])
    assert both is not None
    assert both.rules == ("abort_1[sharpe_14d]",)
    with pytest.raises(ValueError, match="no stage 7"):
        next_stage(policy, 7, "HOLD", ())


POLICY = load_bundle(Path(__file__).resolve().parents[2] / "config" / "prod_scale_rules_R1.yaml").policies["stages"]
POLICY_FACTS = sorted(set(POLICY.facts) - {"stage"})


NEAR: dict[str, list[Any]] = {fact: [] for fact in POLICY_FACTS}
for exit_ in EXITS:
    NEAR[exit_[2]] += [*exit_[3], *exit_[4]]
for abort_ in ABORTS:
    NEAR[abort_[2]] += [*abort_[3], *abort_[4]]


def day() -> st.SearchStrategy[dict[str, Any]]:
    """Return what one day's facts say, in the vocabulary's units, around the thresholds; a fact may be unknown."""
    return st.fixed_dictionaries({}, optional={fact: st.sampled_from(values) for fact, values in NEAR.items()})


@given(st.lists(day(), min_size=1, max_size=25), st.integers(0, 3))
def test_the_rollout_is_a_state_machine_that_skips_nothing(made: list[dict[str, Any]], stage: int) -> None:
    for facts in made:
        at = [Fact(name, value, "ok", 0) for name, value in {**facts, "stage": stage}.items()]
        snapshot = derive(POLICY, validated_all(at, POLICY.vocabulary, 0), [], 0)
        fired = evaluate(POLICY, snapshot)
        outcome = outcome_of(POLICY, fired)
        transition = next_stage(POLICY, stage, outcome, fired)
        assert all(name.startswith((f"promote_{stage}", f"abort_{stage}[")) for name in fired), "another stage's rule"
        if transition is None:
            assert outcome == "HOLD"
            continue
        assert transition.start == stage
        assert transition.to in POLICY.stages
        if any(name.startswith("abort") for name in fired):
            assert outcome == "ABORT"
            assert transition.to < stage
        else:
            assert outcome == "PROMOTE"
            assert transition.to == stage + 1
        stage = transition.to
