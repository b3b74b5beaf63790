"""Risk guard, restart and review: every rule at, just under and just over its edge, and what is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.policy_all.conftest import Desk

CALM: dict[str, Any] = {
    "drawdown": 1.0,
    "return_window": 1.0,
    "kill_switch": False,
    "liquidations_24h": 0,
    "equity_age": 0.0,
    "api_issues_24h": 0,
}
# requirement or resolution, fact, values of calm, values that fire, rule, outcome
GUARD: list[tuple[str, str, list[Any], list[Any], str, str]] = [
    ("R155", "drawdown", [11.9999, 12.0], [12.0001], "hard_stop_drawdown", "FLATTEN_ALL"),
    ("R156", "return_window", [-9.9999, -10.0], [-10.0001], "hard_stop_return", "FLATTEN_ALL"),
    ("R159", "kill_switch", [False], [True], "kill_switch", "FLATTEN_ALL"),
    ("R159", "liquidations_24h", [0], [1], "liquidation", "FLATTEN_ALL"),
    ("A28", "equity_age", [4.99, 5.0], [5.01, 1440.0], "equity_late", "REDUCE_ONLY"),
    ("A28", "equity_age", [], [1440.01], "equity_lost", "FLATTEN_ALL"),
    ("A28", "equity_age", [], ["<missing>", "<stale>"], "equity_late", "REDUCE_ONLY"),
    ("A28", "drawdown", [], ["<missing>", "<stale>", "<invalid>"], "equity_late", "REDUCE_ONLY"),
    ("A78", "api_issues_24h", [2, 3], [4], "api_outages", "REDUCE_ONLY"),
]
GUARD_IDS = [f"{row[0]}-{row[1]}-{row[4]}-{number}" for number, row in enumerate(GUARD)]


@pytest.mark.parametrize(("row", "fact", "calm", "firing", "rule", "outcome"), GUARD, ids=GUARD_IDS)
def test_R159_the_risk_guard_at_its_edges(
    desk: Desk, row: str, fact: str, calm: list[Any], firing: list[Any], rule: str, outcome: str
) -> None:
    for value in calm:
        assert desk.decide("risk_guard", {**CALM, fact: value}).fired == (), row
    for value in firing:
        decision = desk.decide("risk_guard", {**CALM, fact: value})
        assert rule in decision.fired, row
        assert decision.outcome == outcome


def test_A20_what_the_committee_may_switch_on_is_there_and_off(desk: Desk) -> None:
    policy = desk.bundle.policies["risk_guard"]
    off = {name for name, rule in policy.rules.items() if not rule.enabled}
    assert off == {"sharpe_flatten", "daily_loss", "liquidation_distance", "correlated_gap", "cost_budget"}
    assert not off & set(policy.by_id)
    worst = {"sharpe_20d": -9.0, "return_1d": -9.0, "liquidation_distance": 1.0, "gap_loss": 90.0, "cost_drag": 90.0}
    assert desk.decide("risk_guard", {**CALM, **worst}).outcome == "CLEAR"


READY: dict[str, Any] = {
    "post_mortem_complete": True,
    "cause": "unclear",
    "fix_tested": True,
    "sharpe_positive_days": 5.0,
    "launch": "ALLOW_LAUNCH",
    "restart_signers": 2,
    "lifetime_loss": 20.0,
    "restarts_12m": 2,
    "committee_reopened": False,
}
RESTART: list[tuple[str, str, str, list[Any], list[Any]]] = [
    ("R177", "post_mortem", "post_mortem_complete", [True], [False]),
    ("R178", "fix_tested", "fix_tested", [True], [False]),
    ("R179", "regime", "sharpe_positive_days", [5.0, 6.0], [4.0, 0.0]),
    ("R180", "launch_guard", "launch", ["ALLOW_LAUNCH"], ["BLOCK_LAUNCH"]),
    ("R181", "sign_off", "restart_signers", [2, 3], [0, 1]),
    ("A68", "lifetime_loss", "lifetime_loss", [0.0, 20.0], [20.0001]),
    ("A68", "restarts", "restarts_12m", [0, 2], [3]),
]


@pytest.mark.parametrize(("row", "rule", "fact", "allowing", "staying"), RESTART, ids=[row[1] for row in RESTART])
def test_R183_each_restart_condition_missing_alone_stays_flat(
    desk: Desk, row: str, rule: str, fact: str, allowing: list[Any], staying: list[Any]
) -> None:
    for value in allowing:
        assert desk.decide("restart", {**READY, fact: value}).outcome == "ALLOW_RESTART", row
    for value in [*staying, "<missing>", "<stale>", "<young>", "<invalid>"]:
        decision = desk.decide("restart", {**READY, fact: value})
        assert (decision.outcome, decision.fired) == ("STAY_FLAT", (rule,)), (row, value)


def test_every_restart_rule_is_tried_here(desk: Desk) -> None:
    assert set(desk.bundle.policies["restart"].rules) == {row[1] for row in RESTART}
    assert set(desk.decide("restart", {}).fired) == {row[1] for row in RESTART}, "what is unknown never helps"


@pytest.mark.parametrize(
    ("cause", "fix_tested", "days", "expected"),
    [
        ("bug", True, 0.0, ()),
        ("bug", False, 9.0, ("fix_tested",)),
        ("market", False, 5.0, ()),
        ("market", True, 4.0, ("regime",)),
        ("unclear", True, 5.0, ()),
        ("unclear", False, 5.0, ("fix_tested",)),
        ("unclear", True, 4.0, ("regime",)),
        ("<missing>", False, 4.0, ("fix_tested", "regime")),
    ],
)
def test_A70_a_bug_needs_a_fix_a_market_needs_time_and_an_unclear_cause_both(
    desk: Desk, cause: str, fix_tested: Any, days: float, expected: tuple[str, ...]
) -> None:
    changed = {"cause": cause, "fix_tested": fix_tested, "sharpe_positive_days": days}
    assert desk.decide("restart", {**READY, **changed}).fired == expected


@pytest.mark.parametrize("changed", [{"lifetime_loss": 45.0}, {"restarts_12m": 3}])
def test_A68_only_the_committee_reopens(desk: Desk, changed: dict[str, Any]) -> None:
    assert desk.decide("restart", {**READY, **changed}).outcome == "STAY_FLAT"
    assert desk.decide("restart", {**READY, **changed, "committee_reopened": True}).outcome == "ALLOW_RESTART"


GOOD: dict[str, Any] = {
    "sharpe_deviation": 0.1,
    "drawdown_deviation": 1.0,
    "trades_unmatched": 0,
    "weekly_review_age": 3.0,
    "monthly_review_age": 20.0,
}
REVIEW: list[tuple[str, str, str, list[Any], list[Any]]] = [
    ("R218", "sharpe_deviation", "sharpe_deviation", [0.3, 0.0], [0.3001]),
    ("R219", "drawdown_deviation", "drawdown_deviation", [3.0], [3.0001]),
    ("R220", "trades_unmatched", "trades_unmatched", [0], [1]),
    ("R204", "weekly_overdue", "weekly_review_age", [7.0], [7.01]),
    ("R108", "monthly_overdue", "monthly_review_age", [31.0], [31.01]),
]


@pytest.mark.parametrize(("row", "rule", "fact", "within", "breach"), REVIEW, ids=[row[1] for row in REVIEW])
def test_R218_R220_review_tolerances(
    desk: Desk, row: str, rule: str, fact: str, within: list[Any], breach: list[Any]
) -> None:
    for value in within:
        assert desk.decide("review", {**GOOD, fact: value}).outcome == "WITHIN", row
    for value in [*breach, "<missing>", "<young>", "<stale>"]:
        decision = desk.decide("review", {**GOOD, fact: value})
        assert (decision.outcome, decision.fired) == ("BREACH", (rule,)), (row, value)


def test_A99_a_breach_freezes_the_way_up(desk: Desk) -> None:
    assert desk.bundle.policies["review"].effects["BREACH"].flag == "FROZEN"
