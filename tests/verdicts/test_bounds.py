"""What a verdict does: exposure, episodes, approvals, caps, restart. The shipped policies decide the numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bounds import (
    RECOVERY,
    RESTART,
    SCALE_UP,
    Posture,
    Request,
    Step,
    after_approval,
    after_verdict,
    initial_posture,
)
from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.policy.bundle import load_bundle

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = load_bundle(ROOT / "config/prod_scale_rules_R1.yaml")
ACTION, STAGES = BUNDLE.policies["action"], BUNDLE.policies["stages"]
START = parse_time("2022-06-01")


def launched(stage: int = 3) -> Posture:
    return initial_posture(stage, float(STAGES.stages[stage].cap_usd), START)


def changes(step: Step) -> list[str]:
    return [change.kind for change in step.changes]


def test_R132_keep_changes_nothing() -> None:
    step = after_verdict(launched(), ACTION, "KEEP", (), START + HOUR_MS)
    assert step.posture == launched()
    assert step.changes == ()


def test_R138_reduce_halves_the_exposure_once_an_episode() -> None:
    first = after_verdict(launched(), ACTION, "REDUCE", ("drawdown_red",), START + HOUR_MS)
    assert first.posture.exposure == 0.5
    assert changes(first) == ["episode_start"]
    second = after_verdict(first.posture, ACTION, "REDUCE", ("drawdown_red", "sleeves_red"), START + 2 * HOUR_MS)
    assert second.posture.exposure == 0.5  # A29: 0.5, not 0.25
    assert changes(second) == []


def test_A30_recovery_needs_five_days_without_a_condition_and_an_approval() -> None:
    reduced = after_verdict(launched(), ACTION, "REDUCE", ("drawdown_red",), START).posture
    early = after_verdict(reduced, ACTION, "KEEP", (), START + 5 * DAY_MS - 1)
    assert early.posture.requests == ()
    asked = after_verdict(early.posture, ACTION, "KEEP", (), START + 5 * DAY_MS)
    assert [request.kind for request in asked.posture.requests] == [RECOVERY]
    assert asked.posture.exposure == 0.5  # nothing happens without the approval
    again = after_verdict(asked.posture, ACTION, "REDUCE", ("sleeves_red",), START + 5 * DAY_MS + HOUR_MS)
    assert again.posture.requests == ()
    assert changes(again) == ["approval_withdrawn"]
    now = START + 6 * DAY_MS
    step = after_approval(asked.posture, ACTION, STAGES, asked.posture.requests[0], now, equity_usd=15_000)
    assert step.posture.exposure == 1.0
    assert step.posture.streaks_since_ms == now  # A34: every streak starts after recovery


def test_A28_a_reduce_for_missing_data_ends_by_itself_after_fifteen_fresh_minutes() -> None:
    stale = after_verdict(launched(), ACTION, "REDUCE", ("equity_stale",), START).posture
    assert stale.exposure == 0.5
    before = after_verdict(stale, ACTION, "KEEP", (), START + 15 * 60_000 - 1)
    assert before.posture.exposure == 0.5
    after = after_verdict(before.posture, ACTION, "KEEP", (), START + 15 * 60_000)
    assert after.posture.exposure == 1.0
    assert changes(after) == ["episode_end"]


def test_A28_the_end_of_a_data_episode_leaves_the_other_running() -> None:
    both = after_verdict(launched(), ACTION, "REDUCE", ("drawdown_red", "equity_stale"), START).posture
    after = after_verdict(both, ACTION, "REDUCE", ("drawdown_red",), START + HOUR_MS).posture
    assert [episode.kind for episode in after.episodes] == ["REDUCE"]
    assert after.exposure == 0.5


def test_R140_pause_flattens_blocks_entries_and_asks_for_a_restart() -> None:
    step = after_verdict(launched(), ACTION, "PAUSE", ("hard_stop_drawdown",), START + HOUR_MS)
    assert step.posture.exposure == 0.0
    assert not step.posture.entries_allowed
    assert changes(step) == ["flatten", "approval_requested"]
    assert step.posture.requests == (Request(RESTART, "PAUSE", START + HOUR_MS, 2),)  # A69
    again = after_verdict(step.posture, ACTION, "PAUSE", ("hard_stop_drawdown",), START + 2 * HOUR_MS)
    assert again.changes == ()
    calm = after_verdict(step.posture, ACTION, "KEEP", (), START + 3 * HOUR_MS)
    assert calm.posture.exposure == 0.0  # only a restart ends it
    assert not calm.posture.entries_allowed


@pytest.mark.parametrize(("stage", "to", "cap_usd"), [(3, 2, 10_000), (2, 1, 5_000), (1, 0, 0)])
def test_R182_restart_is_at_the_previous_stages_capital(stage: int, to: int, cap_usd: float) -> None:
    paused = after_verdict(launched(stage), ACTION, "PAUSE", ("hard_stop_drawdown",), START).posture
    now = START + DAY_MS
    step = after_approval(paused, ACTION, STAGES, paused.requests[0], now, equity_usd=13_000)
    assert (step.posture.stage, step.posture.cap_usd) == (to, cap_usd)
    assert step.posture.epoch_ms == now  # A05, A68: stop metrics restart at the signed epoch
    assert step.posture.exposure == 1.0
    assert step.flow_usd == (cap_usd - 13_000 if cap_usd else 0)  # A53; without capital there is nothing to move


def test_R134_R135_scale_up_raises_the_cap_by_half_and_only_when_approved() -> None:
    asked = after_verdict(launched(), ACTION, "SCALE_UP", ("scale_up",), START).posture
    assert asked.cap_usd == 15_000
    assert asked.requests[0].approvals == 2  # A71
    now = START + DAY_MS
    step = after_approval(asked, ACTION, STAGES, asked.requests[0], now, equity_usd=16_000)
    assert step.posture.cap_usd == 22_500
    assert step.flow_usd == 7_500
    assert step.posture.streaks_since_ms == now


def test_A50_scale_up_is_asked_for_once_and_takes_effect_once_in_thirty_days() -> None:
    asked = after_verdict(launched(), ACTION, "SCALE_UP", ("scale_up",), START).posture
    twice = after_verdict(asked, ACTION, "SCALE_UP", ("scale_up",), START + HOUR_MS).posture
    assert len(twice.requests) == 1
    scaled = after_approval(asked, ACTION, STAGES, asked.requests[0], START, equity_usd=15_000).posture
    soon = after_verdict(scaled, ACTION, "SCALE_UP", ("scale_up",), START + 30 * DAY_MS - 1).posture
    assert soon.requests == ()
    later = after_verdict(scaled, ACTION, "SCALE_UP", ("scale_up",), START + 30 * DAY_MS).posture
    assert [request.kind for request in later.requests] == [SCALE_UP]


def test_a_waiting_scale_up_is_withdrawn_by_a_reduce() -> None:
    asked = after_verdict(launched(), ACTION, "SCALE_UP", ("scale_up",), START).posture
    reduced = after_verdict(asked, ACTION, "REDUCE", ("drawdown_red",), START + HOUR_MS)
    assert reduced.posture.requests == ()
    assert "approval_withdrawn" in changes(reduced)


def test_A28_entries_are_blocked_while_the_equity_is_late_and_freed_after() -> None:
    late = after_verdict(launched(), ACTION, "KEEP", ("equity_late",), START)
    assert not late.posture.entries_allowed
    assert late.posture.exposure == 1.0
    fresh = after_verdict(late.posture, ACTION, "KEEP", (), START + HOUR_MS)
    assert fresh.posture.entries_allowed


def test_engines_that_disagree_block_entries_and_open_one_incident_while_they_do() -> None:
    step = after_verdict(launched(), ACTION, "KEEP", (), START, trusted=False)
    assert not step.posture.entries_allowed
    assert [(change.kind, change.subject, change.detail) for change in step.changes] == [
        ("incident", "engines", {"severity": "MEDIUM"})
    ]
    still = after_verdict(step.posture, ACTION, "KEEP", (), START + HOUR_MS, trusted=False)
    assert (changes(still), still.posture.distrusted_since_ms) == ([], START)
    assert Posture.from_json(json.loads(json.dumps(still.posture.to_json()))) == still.posture
    well = after_verdict(still.posture, ACTION, "KEEP", (), START + 2 * HOUR_MS)
    assert (changes(well), well.posture) == ([], launched())
    again = after_verdict(well.posture, ACTION, "REDUCE", ("drawdown_red",), START + 3 * HOUR_MS, trusted=False)
    assert changes(again) == ["episode_start", "incident"]
    stopped = after_verdict(well.posture, ACTION, "PAUSE", ("hard_stop_drawdown",), START, trusted=False)
    assert changes(stopped) == ["flatten", "approval_requested", "incident"]


def test_an_approval_of_what_nobody_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="no such request"):
        after_approval(launched(), ACTION, STAGES, Request(RESTART, "PAUSE", START, 2), START, equity_usd=1.0)


FIRED: dict[str, list[tuple[str, ...]]] = {
    "KEEP": [(), ("equity_late",)],
    "REDUCE": [("drawdown_red",), ("equity_stale",), ("sleeves_red", "equity_stale")],
    "SCALE_UP": [("scale_up",)],
    "PAUSE": [("hard_stop_drawdown",), ("hard_stop_drawdown", "drawdown_red")],
}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(sorted(FIRED)), st.integers(0, 2), st.sampled_from([HOUR_MS, DAY_MS, 6 * DAY_MS]), st.booleans()
    ),
    max_size=25,
)


@given(STEPS)
def test_no_sequence_of_verdicts_and_approvals_leaves_the_bounds(steps: list[tuple[str, int, int, bool]]) -> None:
    posture, now = launched(), START
    for outcome, choice, pause_ms, approve in steps:
        now += pause_ms
        fired = FIRED[outcome][choice % len(FIRED[outcome])]
        before = posture
        posture = after_verdict(posture, ACTION, outcome, fired, now).posture
        assert posture.exposure <= before.exposure or before.episodes  # more exposure only when an episode ends
        if before.paused_since_ms is not None:
            assert posture.exposure == 0.0  # nothing but a restart leaves a pause
        if approve and posture.requests:
            posture = after_approval(
                posture, ACTION, STAGES, posture.requests[0], now, equity_usd=max(posture.cap_usd, 1.0)
            ).posture
        assert 0.0 <= posture.exposure <= 1.0
        assert (posture.paused_since_ms is None) or (posture.exposure == 0.0 and not posture.entries_allowed)
        assert len({(request.kind, request.subject) for request in posture.requests}) == len(posture.requests)
        assert Posture.from_json(posture.to_json()) == posture


def test_a_posture_survives_the_ledger() -> None:
    posture = after_verdict(launched(), ACTION, "REDUCE", ("drawdown_red",), START).posture
    posture = dataclasses.replace(posture, requests=(Request(RECOVERY, "REDUCE", START, 1),))
    assert Posture.from_json(posture.to_json()) == posture
