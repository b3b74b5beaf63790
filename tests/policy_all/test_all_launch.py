"""The launch guard: every HARD check failed alone blocks, and so does every check that could not be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.policy_all.conftest import Desk

READY: dict[str, Any] = {
    "python_supported": True,
    "virtual_environment": True,
    "dependencies_missing": 0,
    "clock_synced": True,
    "clock_offset": 3.0,
    "venue_clock_offset": 20.0,
    "api_key_set": True,
    "api_secret_set": True,
    "telegram_delivered": True,
    "telegram_waived": False,
    "futures_enabled": True,
    "withdrawals_enabled": False,
    "ip_restricted": True,
    "ip_list_confirmed": True,
    "venue_answers": True,
    "config_hash_matches": True,
    "bundle_signers": 2,
    "trade_on": "next_open",
    "config_fee": 5.0,
    "config_slippage": 3.0,
    "config_funding": True,
    "config_ensemble": True,
    "weight_btc": 34.0,
    "weight_eth": 33.0,
    "weight_sol": 33.0,
    "symbols_with_data": 3,
    "last_bar_age": 30.0,
    "largest_gap_30d": 60.0,
    "margin_type": "ISOLATED",
    "leverage_lowest": 3,
    "leverage_highest": 3,
    "position_mode": "ONE_WAY",
    "foreign_positions": 0,
    "other_instances": 0,
    "balance_cover": 100.0,
    "dry_run_targets": 3,
    "dry_run_nonzero_targets": 2,
    "stop_levels_correct": True,
}

# requirement or resolution, rule, fact, values that pass, values that fail
CHECKS: list[tuple[str, str, str, list[Any], list[Any]]] = [
    ("R017", "python_version", "python_supported", [True], [False]),
    ("R018", "virtual_environment", "virtual_environment", [True], [False]),
    ("R019", "dependencies", "dependencies_missing", [0], [1]),
    ("R020", "clock_synced", "clock_synced", [True], [False]),
    ("R020", "clock_offset", "clock_offset", [99.0, 99.999], [100.0, 101.0]),
    ("A94", "venue_clock", "venue_clock_offset", [499.0, 500.0], [500.001]),
    ("R021", "api_key", "api_key_set", [True], [False]),
    ("R022", "api_secret", "api_secret_set", [True], [False]),
    ("R023 R024", "telegram", "telegram_delivered", [True], [False]),
    ("R025", "futures_permission", "futures_enabled", [True], [False]),
    ("R026", "withdrawal_permission", "withdrawals_enabled", [False], [True]),
    ("R027", "ip_restriction", "ip_restricted", [True], [False]),
    ("R028", "ip_list_confirmed", "ip_list_confirmed", [True], [False]),
    ("R029", "venue_answers", "venue_answers", [True], [False]),
    ("R031", "config_hash", "config_hash_matches", [True], [False]),
    ("A90", "bundle_signed", "bundle_signers", [2, 3], [0, 1]),
    ("R032", "trade_on", "trade_on", ["next_open"], ["other"]),
    ("R033", "fee_assumption", "config_fee", [5.0], [4.999, 5.001, 0.0]),
    ("R034", "slippage_assumption", "config_slippage", [3.0], [2.999, 3.001, 0.0]),
    ("R035", "funding_assumption", "config_funding", [True], [False]),
    ("R036", "ensemble_enabled", "config_ensemble", [True], [False]),
    ("R037", "ensemble_weights", "weight_btc", [34.0], [33.9999, 34.0001]),
    ("R037", "ensemble_weights", "weight_eth", [33.0], [32.9999, 33.0001]),
    ("R037", "ensemble_weights", "weight_sol", [33.0], [32.9999, 33.0001]),
    ("R039", "data_symbols", "symbols_with_data", [3], [2, 4]),
    ("R040", "data_fresh", "last_bar_age", [119.0, 119.99], [120.0, 121.0]),
    ("R041", "data_gaps", "largest_gap_30d", [60.0, 180.0], [180.01, 240.0]),
    ("R013", "margin_type", "margin_type", ["ISOLATED"], ["CROSSED", "MIXED"]),
    ("R014", "leverage", "leverage_lowest", [3], [2]),
    ("R014", "leverage", "leverage_highest", [3], [4]),
    ("A63", "position_mode", "position_mode", ["ONE_WAY"], ["HEDGE"]),
    ("A64", "foreign_positions", "foreign_positions", [0], [1]),
    ("A64", "single_instance", "other_instances", [0], [1]),
    ("R090", "balance", "balance_cover", [98.0, 130.0], [97.9999]),
    ("R050 R051", "dry_run_signals", "dry_run_targets", [3], [2]),
    ("R052", "dry_run_zero", "dry_run_nonzero_targets", [1, 3], [0]),
    ("R053", "stop_levels", "stop_levels_correct", [True], [False]),
]
IDS = [f"{row}-{fact}" for row, _, fact, _, _ in CHECKS]


def blocking(desk: Desk, changed: dict[str, Any]) -> set[str]:
    """Return the HARD rules that fire; the outcome must follow from them."""
    decision = desk.decide("launch", {**READY, **changed})
    rules = desk.bundle.policies["launch"].rules
    hard = {name for name in decision.fired if rules[name].severity == "HARD"}
    assert decision.outcome == ("BLOCK_LAUNCH" if hard else "ALLOW_LAUNCH")
    return hard


def test_R043_everything_in_order_allows_the_launch(desk: Desk) -> None:
    decision = desk.decide("launch", READY)
    assert (decision.outcome, decision.fired) == ("ALLOW_LAUNCH", ())
    assert desk.bundle.policies["launch"].exit_codes == {"ALLOW_LAUNCH": 0, "BLOCK_LAUNCH": 30}


@pytest.mark.parametrize(("row", "rule", "fact", "passing", "failing"), CHECKS, ids=IDS)
def test_R044_each_hard_check_failed_alone_blocks(
    desk: Desk, row: str, rule: str, fact: str, passing: list[Any], failing: list[Any]
) -> None:
    for value in passing:
        assert blocking(desk, {fact: value}) == set(), (row, value)
    for value in failing:
        assert blocking(desk, {fact: value}) == {rule}, (row, value)


@pytest.mark.parametrize("status", ["<missing>", "<stale>", "<young>", "<invalid>"])
@pytest.mark.parametrize(("rule", "fact"), [(check[1], check[2]) for check in CHECKS], ids=IDS)
def test_R044_a_check_that_could_not_be_made_blocks(desk: Desk, rule: str, fact: str, status: str) -> None:
    expected = set() if rule == "clock_offset" else {rule}  # where there is no chrony, `clock_synced` alone decides
    assert blocking(desk, {fact: status}) == expected


def test_nothing_known_blocks_on_every_check_but_the_optional_one(desk: Desk) -> None:
    policy = desk.bundle.policies["launch"]
    hard = {name for name, rule in policy.rules.items() if rule.severity == "HARD"}
    assert set(desk.decide("launch", {}).fired) == hard - {"clock_offset"}


def test_every_hard_check_is_tried_here(desk: Desk) -> None:
    policy = desk.bundle.policies["launch"]
    assert {name for name, rule in policy.rules.items() if rule.severity == "HARD"} == {check[1] for check in CHECKS}
    assert set(policy.facts) == set(READY)


def test_R045_A87_soft_warnings_are_listed_and_do_not_block(desk: Desk) -> None:
    waived = desk.decide("launch", {**READY, "telegram_delivered": False, "telegram_waived": True})
    assert (waived.outcome, waived.fired) == ("ALLOW_LAUNCH", ("telegram_waived",))
    gap = desk.decide("launch", {**READY, "largest_gap_30d": 60.01})
    assert (gap.outcome, gap.fired) == ("ALLOW_LAUNCH", ("data_gap_small",))
    rules = desk.bundle.policies["launch"].rules
    for name in ("telegram_waived", "data_gap_small"):
        assert (rules[name].severity, rules[name].effects.flag) == ("SOFT", "ACKNOWLEDGE")


def test_every_check_says_how_severe_it_is_and_what_to_do(desk: Desk) -> None:
    for rule in desk.bundle.policies["launch"].rules.values():
        assert rule.severity in {"HARD", "SOFT"}, rule.name
        assert rule.cure, rule.name
        assert rule.refs, rule.name
