"""What a transition does to the bounds: caps, flows, one cut, one stage, and nothing that paid money in by itself."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bounds import RESTART, SCALE_UP, Episode, Posture, Request, Step, after_approval, after_verdict
from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.operations.stages.steps import Rules, aborted, asked, promoted, waiting
from engine.policy.stages import Transition, next_stage
from tests.operations.stages.staging import bundle, posture

START = parse_time("2024-03-01")
NOW = START + 20 * DAY_MS
ACTION, STAGES = bundle().policies["action"], bundle().policies["stages"]
RULES = Rules(STAGES, ACTION)


def abort_of(stage: int, rule: str) -> Transition:
    transition = next_stage(STAGES, stage, "ABORT", [rule])
    assert transition is not None
    return transition


def promotion_of(stage: int) -> Transition:
    transition = next_stage(STAGES, stage, "PROMOTE", [f"promote_{stage}"])
    assert transition is not None
    return transition


def kinds(step: Step) -> list[str]:
    return [change.kind for change in step.changes]


@pytest.mark.parametrize(("stage", "cap_usd"), [(0, 5_000.0), (1, 10_000.0), (2, 15_000.0)])
@pytest.mark.requirement("R090")
def test_R064_R085_R101_A53_a_stage_begins_with_exactly_its_capital_and_epoch_and_streaks_go_on(
    stage: int, cap_usd: float
) -> None:
    before = asked(posture(stage, START), promotion_of(stage), NOW).posture
    assert waiting(before) is not None
    assert asked(before, promotion_of(stage), NOW + HOUR_MS).posture == before  # once
    step = promoted(before, promotion_of(stage), RULES, equity_usd=5_321.0, approvals=("bob",))
    after = step.posture
    assert (after.stage, after.cap_usd, step.flow_usd) == (stage + 1, cap_usd, cap_usd - 5_321.0)
    assert (after.epoch_ms, after.streaks_since_ms, after.requests) == (START, START, ())  # A05
    (change,) = step.changes
    assert change.detail == {
        "from": stage, "to": stage + 1, "cap_usd": cap_usd, "flow_usd": cap_usd - 5_321.0,
        "because": [f"promote_{stage}"], "approvals": ["bob"],
    }  # fmt: skip


@pytest.mark.parametrize("rule", ["abort_1[drawdown]", "abort_1[sharpe_14d]", "abort_1[api_issues_24h]"])
def test_R084_A02_the_end_of_stage_1_closes_the_book_opens_an_incident_and_risks_nothing_any_more(rule: str) -> None:
    step = aborted(posture(1, START), abort_of(1, rule), RULES, NOW, equity_usd=4_300.0)
    after = step.posture
    assert (after.stage, after.cap_usd, after.exposure, after.entries_allowed) == (0, 0.0, 0.0, False)
    assert (after.paused_since_ms, step.flow_usd) == (NOW, 0.0)
    assert kinds(step) == ["stage", "flatten", "approval_requested", "incident"]
    restart = after_approval(after, ACTION, STAGES, after.requests[0], NOW + DAY_MS, equity_usd=4_300.0)
    assert (restart.posture.stage, restart.posture.cap_usd, restart.flow_usd) == (0, 0.0, 0.0)  # A66


@pytest.mark.parametrize("rule", ["abort_2[drawdown]", "abort_2[sharpe_14d]"])
def test_R100_A03_stage_2_falls_to_5000_in_one_cut(rule: str) -> None:
    reduced = after_verdict(posture(2, START), ACTION, "REDUCE", ("drawdown_red",), NOW).posture
    assert reduced.exposure == 0.5
    step = aborted(reduced, abort_of(2, rule), RULES, NOW, equity_usd=8_950.0)
    after = step.posture
    assert (after.stage, after.cap_usd, after.exposure, step.flow_usd) == (1, 5_000.0, 1.0, -3_950.0)
    assert kinds(step) == ["stage", "incident"]
    later = after_verdict(after, ACTION, "REDUCE", ("drawdown_red",), NOW + HOUR_MS).posture
    assert later.exposure == 1.0  # A29: the same episode does not cut again
    (episode,) = later.episodes
    assert (episode.since_ms, episode.last_seen_ms) == (NOW, NOW + HOUR_MS)


def test_A03_a_reduction_of_an_earlier_day_is_a_cut_of_its_own() -> None:
    old = Episode("REDUCE", NOW - DAY_MS, NOW - HOUR_MS, 0.5)
    before = posture(2, START, episodes=(old,), exposure=0.5)
    step = aborted(before, abort_of(2, "abort_2[drawdown]"), RULES, NOW, equity_usd=8_950.0)
    assert (step.posture.exposure, step.posture.cap_usd) == (0.5, 5_000.0)


def test_A55_stage_3_falls_to_10000_and_what_waited_there_is_withdrawn() -> None:
    scaled = posture(3, START, cap_usd=22_500.0, requests=(Request(SCALE_UP, "SCALE_UP", NOW, 2),))
    step = aborted(scaled, abort_of(3, "abort_3[scale_downs_30d]"), RULES, NOW, equity_usd=21_000.0)
    assert (step.posture.stage, step.posture.cap_usd, step.flow_usd) == (2, 10_000.0, -11_000.0)
    assert step.posture.requests == ()


@pytest.mark.parametrize(("cap_usd", "exposure"), [(15_000.0, 0.75), (20_000.0, 1.0), (22_500.0, 1.0)])
def test_R138_what_the_fall_from_stage_3_cuts_less_the_reduction_goes_on_cutting(
    cap_usd: float, exposure: float
) -> None:
    reduced = after_verdict(posture(3, START, cap_usd=cap_usd), ACTION, "REDUCE", ("drawdown_red",), NOW).posture
    step = aborted(reduced, abort_of(3, "abort_3[scale_downs_30d]"), RULES, NOW, equity_usd=cap_usd)
    assert (step.posture.cap_usd, step.posture.exposure) == (10_000.0, exposure)
    assert step.posture.exposure * 10_000 <= reduced.exposure * cap_usd


def test_R138_A34_a_promotion_gives_back_nothing_of_a_reduction_that_nobody_has_ended() -> None:
    reduced = after_verdict(posture(2, START), ACTION, "REDUCE", ("drawdown_red",), NOW).posture
    fallen = aborted(reduced, abort_of(2, "abort_2[drawdown]"), RULES, NOW, equity_usd=9_000.0).posture
    assert (fallen.cap_usd, fallen.exposure) == (5_000.0, 1.0)
    risen = promoted(fallen, promotion_of(1), RULES, equity_usd=5_000.0, approvals=("a", "b")).posture
    assert (risen.cap_usd, risen.exposure) == (10_000.0, 0.5)
    later = after_verdict(risen, ACTION, "REDUCE", ("drawdown_red",), NOW + DAY_MS).posture
    assert later.exposure == 0.5
    calm = after_verdict(later, ACTION, "KEEP", (), NOW + 8 * DAY_MS).posture
    (recovery,) = calm.requests
    well = after_approval(calm, ACTION, STAGES, recovery, NOW + 9 * DAY_MS, equity_usd=10_000.0).posture
    assert (well.cap_usd, well.exposure) == (10_000.0, 1.0)


def test_A100_an_abort_never_pays_money_in() -> None:
    step = aborted(posture(2, START), abort_of(2, "abort_2[drawdown]"), RULES, NOW, equity_usd=4_000.0)
    assert step.flow_usd == 0.0


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_R182_a_closed_book_falls_once_by_its_restart_or_by_the_abort_that_closes_it(stage: int) -> None:
    paused = after_verdict(posture(stage, START), ACTION, "PAUSE", ("hard_stop_drawdown",), NOW).posture
    abort = STAGES.stages[stage].abort
    assert abort is not None
    step = aborted(paused, abort_of(stage, abort.rules[0]), RULES, NOW, equity_usd=4_000.0)
    assert step.posture.stage == (0 if stage == 1 else stage)  # A02
    assert step.posture.requests == paused.requests
    assert "flatten" not in kinds(step)
    restarted = after_approval(step.posture, ACTION, STAGES, step.posture.requests[0], NOW + DAY_MS, equity_usd=4_000.0)
    assert restarted.posture.stage == stage - 1


def test_R058_a_paper_account_restarts_with_its_simulated_capital_and_real_money_with_none() -> None:
    paused = after_verdict(posture(0, START, cap_usd=10_000.0), ACTION, "PAUSE", ("hard_stop_drawdown",), NOW).posture
    (request,) = paused.requests
    assert request.kind == RESTART
    paper = after_approval(paused, ACTION, STAGES, request, NOW, equity_usd=8_700.0, paper_usd=10_000.0)
    assert (paper.posture.stage, paper.posture.cap_usd, paper.flow_usd) == (0, 10_000.0, 1_300.0)
    real = after_approval(paused, ACTION, STAGES, request, NOW, equity_usd=8_700.0)
    assert (real.posture.cap_usd, real.flow_usd) == (0.0, 0.0)


@given(
    stage=st.integers(0, 3),
    equity_usd=st.floats(1.0, 50_000.0),
    exposure=st.sampled_from([0.5, 1.0]),
    scaled=st.floats(1.0, 4.0),
)
def test_a_transition_moves_one_stage_and_never_risks_more_than_the_stage(
    stage: int, equity_usd: float, exposure: float, scaled: float
) -> None:
    cap_usd = float(STAGES.stages[stage].cap_usd) * scaled
    before: Posture = dataclasses.replace(posture(stage, START), cap_usd=cap_usd, exposure=exposure)
    if STAGES.stages[stage].promote is not None:
        up = promoted(before, promotion_of(stage), RULES, equity_usd=equity_usd, approvals=())
        assert up.posture.stage == stage + 1
        assert equity_usd + up.flow_usd == pytest.approx(up.posture.cap_usd)
    abort = STAGES.stages[stage].abort
    if abort is not None:
        down = aborted(before, abort_of(stage, abort.rules[-1]), RULES, NOW, equity_usd=equity_usd)
        assert down.posture.stage == stage - 1
        assert down.posture.cap_usd == float(STAGES.stages[stage - 1].cap_usd)
        assert down.flow_usd <= 0
        assert down.posture.cap_usd == 0 or min(equity_usd, down.posture.cap_usd) == pytest.approx(
            equity_usd + down.flow_usd
        )
