"""The shipped action policy at its edges: every band, rule and streak at, just under and just over its threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import DAY_MS, HOUR_MS
from engine.policy.derive import Day, derive
from engine.policy.durable import DurableEngine
from engine.policy.facts import Fact, validated_all
from engine.policy.interpreter import colour, outcome_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.policy.facts import Facts
    from engine.policy.model import Policy

NOW_MS = 20_000 * DAY_MS
GREEN: dict[str, Any] = {
    "sharpe_20d": 0.7,
    "drawdown": 1.0,
    "max_drawdown_30d": 1.0,
    "return_30d": 3.0,
    "return_30d_low": 3.0,
    "return_window": 3.0,
    "negative_sleeves": 0,
    "worst_sleeve_14d": 1.0,
    "slippage_ratio": 1.0,
    "parent_orders": 30,
    "funding_drag": 0.5,
    "funding_drift": 1.0,
    "stage": 3,
    "exposure": 1.0,
    "flatten_events_30d": 0,
    "equity_age": 0.0,
    "review": "WITHIN",
    "risk_guard": "CLEAR",
}
STRONG = {"sharpe_20d": 0.9}


@pytest.fixture(scope="module")
def engine(action: Policy) -> DurableEngine:
    return DurableEngine(action)


def posted(policy: Policy, at_ms: int, **changed: Any) -> Facts:
    """All green but for `changed`; a value may be a status in angle brackets, such as ``<young>``."""
    facts = []
    for name, value in {**GREEN, **changed}.items():
        status = value[1:-1] if isinstance(value, str) and value.startswith("<") else "ok"
        facts.append(Fact(name, value if status == "ok" else None, status, at_ms))  # type: ignore[arg-type]
    return validated_all(facts, policy.vocabulary, at_ms)


def fired(engine: DurableEngine, changed: dict[str, Any], days: Sequence[dict[str, Any] | None] = ()) -> set[str]:
    """Return what both engines fire at the end of the last of `days` (None: a day never recorded), or at `NOW_MS`."""
    policy = engine.policy
    recorded = [
        Day(at_ms, posted(policy, at_ms, **day))
        for at_ms, day in zip(range(NOW_MS - len(days) * DAY_MS + DAY_MS, NOW_MS + 1, DAY_MS), days, strict=True)
        if day is not None
    ]
    now_ms = NOW_MS if days else NOW_MS + HOUR_MS
    decision = engine.decide(derive(policy, posted(policy, now_ms, **changed), recorded, now_ms))
    assert decision.trusted
    return set(decision.fired)


def test_all_green_keeps(engine: DurableEngine) -> None:
    assert fired(engine, {}) == set()
    assert outcome_of(engine.policy, ()) == "KEEP"


BANDS = [
    ("R113", "sharpe_20d", 0.5001, "green"),
    ("R113", "sharpe_20d", 0.5, "yellow"),
    ("R114", "sharpe_20d", 0.4999, "yellow"),
    ("R114", "sharpe_20d", 0.0, "yellow"),
    ("R115", "sharpe_20d", -0.0001, "red"),
    ("R116", "drawdown", 7.9999, "green"),
    ("R117", "drawdown", 8.0, "yellow"),
    ("R117", "drawdown", 10.0, "yellow"),
    ("R118", "drawdown", 10.0001, "red"),
    ("R119", "return_30d", 0.0001, "green"),
    ("R120", "return_30d", 0.0, "yellow"),
    ("R120", "return_30d", -5.0, "yellow"),
    ("R121", "return_30d", -5.0001, "red"),
    ("R122", "slippage_ratio", 1.2, "green"),
    ("R123", "slippage_ratio", 1.2001, "yellow"),
    ("R123", "slippage_ratio", 1.5, "yellow"),
    ("R124", "slippage_ratio", 1.5001, "red"),
    ("R125", "funding_drag", 0.9999, "green"),
    ("R126", "funding_drag", 1.0, "yellow"),
    ("R126", "funding_drag", 2.0, "yellow"),
    ("R127", "funding_drag", 2.0001, "red"),
    ("R128", "negative_sleeves", 0, "green"),
    ("R129", "negative_sleeves", 1, "yellow"),
    ("R130", "negative_sleeves", 2, "red"),
    ("R130", "negative_sleeves", 3, "red"),
]


@pytest.mark.parametrize(("row", "fact", "value", "expected"), BANDS, ids=[f"{row[0]}-{row[2]}" for row in BANDS])
def test_R113_R130_bands(action: Policy, row: str, fact: str, value: float, expected: str) -> None:
    facts = posted(action, NOW_MS + HOUR_MS, **{fact: value})
    values = derive(action, facts, [], NOW_MS + HOUR_MS).values
    shown = {name: colour(values, action.bands[fact], name) for name in ("green", "yellow", "red")}
    assert shown == {name: name == expected for name in shown}, row


@pytest.mark.parametrize("fact", ["sharpe_20d", "drawdown", "slippage_ratio"])
@pytest.mark.parametrize("status", ["<young>", "<stale>", "<missing>", "<invalid>"])
def test_a_band_without_a_value_has_no_colour(action: Policy, fact: str, status: str) -> None:
    values = derive(action, posted(action, NOW_MS, **{fact: status}), [], NOW_MS).values
    assert {colour(values, action.bands[fact], name) for name in ("green", "yellow", "red")} == {None}


def yellow(*facts: str) -> set[str]:
    return {f"yellow_review[{fact}]" for fact in facts}


EDGES: list[tuple[str, dict[str, Any], set[str], str]] = [
    # hard stops
    ("R155 under", {"drawdown": 11.9999}, {"drawdown_red"}, "REDUCE"),
    ("R155 at", {"drawdown": 12.0}, {"drawdown_red"}, "REDUCE"),
    ("R155 over", {"drawdown": 12.0001}, {"drawdown_red", "hard_stop_drawdown"}, "PAUSE"),
    ("R156 under", {"return_window": -9.9999}, {"return_red"}, "REDUCE"),
    ("R156 at", {"return_window": -10.0}, {"return_red"}, "REDUCE"),
    ("R156 over", {"return_window": -10.0001}, {"return_red", "hard_stop_return"}, "PAUSE"),
    ("R157 clear", {"risk_guard": "REDUCE_ONLY"}, set(), "KEEP"),
    ("R157 flatten", {"risk_guard": "FLATTEN_ALL"}, {"hard_stop_risk_guard"}, "PAUSE"),
    # scale-down
    ("R150 at", {"sharpe_20d": 0.0}, yellow("sharpe_20d"), "KEEP"),
    ("R150 over", {"sharpe_20d": -0.0001}, {"sharpe_negative"}, "REDUCE"),
    ("R151 at", {"drawdown": 10.0}, yellow("drawdown"), "KEEP"),
    ("R151 over", {"drawdown": 10.0001}, {"drawdown_red"}, "REDUCE"),
    ("R121 at", {"return_window": -5.0}, set(), "KEEP"),
    ("R121 over", {"return_window": -5.0001}, {"return_red"}, "REDUCE"),
    ("R127 at", {"funding_drag": 2.0}, yellow("funding_drag"), "KEEP"),
    ("R127 over", {"funding_drag": 2.0001}, {"funding_drag_red"}, "REDUCE"),
    ("R129", {"negative_sleeves": 1}, yellow("negative_sleeves"), "KEEP"),
    ("R130", {"negative_sleeves": 2}, {"sleeves_red"}, "REDUCE"),
    ("R153 at", {"worst_sleeve_14d": -3.0}, set(), "KEEP"),
    ("R153 over", {"worst_sleeve_14d": -3.0001}, {"worst_sleeve"}, "REDUCE"),
    # A26: red slippage acts at once on ten orders, not on nine
    ("A26 nine", {"slippage_ratio": 1.6, "parent_orders": 9}, set(), "KEEP"),
    ("A26 ten", {"slippage_ratio": 1.6, "parent_orders": 10}, {"slippage_red"}, "REDUCE"),
    ("A26 at", {"slippage_ratio": 1.5, "parent_orders": 10}, yellow("slippage_ratio"), "KEEP"),
    # A28: data ages
    ("A28 5 min", {"equity_age": 5.0}, set(), "KEEP"),
    ("A28 late", {"equity_age": 5.01}, {"equity_late"}, "KEEP"),
    ("A28 60 min", {"equity_age": 60.0}, {"equity_late"}, "KEEP"),
    ("A28 stale", {"equity_age": 60.01}, {"equity_late", "equity_stale"}, "REDUCE"),
    ("A28 a day", {"equity_age": 1440.0}, {"equity_late", "equity_stale"}, "REDUCE"),
    ("A28 lost", {"equity_age": 1440.01}, {"equity_late", "equity_stale", "equity_lost"}, "PAUSE"),
    ("A28 unknown age", {"equity_age": "<missing>"}, {"equity_late"}, "KEEP"),
    ("A28 unknown drawdown", {"drawdown": "<stale>"}, {"equity_late"}, "KEEP"),
    # A16: nothing is fired for youth
    ("A16", {"sharpe_20d": "<young>", "return_30d": "<young>", "funding_drag": "<young>"}, set(), "KEEP"),
    # invalid values fire nothing but the block of entries
    ("invalid", {"drawdown": float("nan")}, {"equity_late"}, "KEEP"),
]


@pytest.mark.parametrize(("row", "changed", "expected", "outcome"), EDGES, ids=[edge[0] for edge in EDGES])
def test_R115_R157_rules_at_their_edges(
    engine: DurableEngine, row: str, changed: dict[str, Any], expected: set[str], outcome: str
) -> None:
    found = fired(engine, changed)
    assert found == expected, row
    assert outcome_of(engine.policy, found) == outcome


@pytest.mark.requirement("R154")
@pytest.mark.requirement("R158")
@pytest.mark.parametrize("order", [("PAUSE", "REDUCE"), ("REDUCE", "PAUSE")])
def test_any_one_trigger_is_enough_and_severity_decides(engine: DurableEngine, order: tuple[str, str]) -> None:
    found = fired(engine, {"drawdown": 12.5, "sharpe_20d": -1.0, "negative_sleeves": 3})
    assert {"hard_stop_drawdown", "sharpe_negative", "sleeves_red", "drawdown_red"} == found
    by_outcome = sorted(found, key=lambda name: order.index(engine.policy.by_id[name].outcome))
    assert outcome_of(engine.policy, by_outcome) == "PAUSE"


def test_R133_scale_up_on_the_tenth_day_not_the_ninth(engine: DurableEngine) -> None:
    assert "scale_up" not in fired(engine, STRONG, [STRONG] * 9)
    assert fired(engine, STRONG, [STRONG] * 10) == {"scale_up"}
    assert "scale_up" in fired(engine, STRONG, [STRONG] * 11)


PROMOTIONS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("R143", {"sharpe_20d": 0.8}, {"sharpe_20d": 0.8001}),
    ("R144", {"max_drawdown_30d": 8.0}, {"max_drawdown_30d": 7.9999}),
    ("R145", {"slippage_ratio": 1.2001}, {"slippage_ratio": 1.2}),
    ("R146", {"funding_drift": 1.5001}, {"funding_drift": 1.5}),
    ("R147", {"flatten_events_30d": 1}, {"flatten_events_30d": 0}),
    ("A34", {"exposure": 0.99}, {"exposure": 1.0}),
    ("A51", {"stage": 2}, {"stage": 3}),
    ("A28", {"equity_age": 5.01}, {"equity_age": 5.0}),
    ("A28 unknown", {"equity_age": "<missing>"}, {}),
    ("A99", {"review": "BREACH"}, {"review": "WITHIN"}),
    ("A99 unknown", {"review": "<missing>"}, {}),
    ("A27 drawdown", {"drawdown": 8.0}, {"drawdown": 7.9999}),
    ("A27 return", {"return_30d": 0.0}, {"return_30d": 0.0001}),
    ("A27 worst mark", {"return_30d_low": 0.0}, {"return_30d_low": 0.0001}),
    ("A27 unseen hour", {"return_30d_low": "<missing>"}, {}),
    ("A27 drag", {"funding_drag": 1.0}, {"funding_drag": 0.9999}),
    ("A27 sleeves", {"negative_sleeves": 1}, {"negative_sleeves": 0}),
    ("A47", {"funding_drift": "<young>"}, {}),
    ("unknown", {"sharpe_20d": "<missing>"}, {}),
]


@pytest.mark.requirement("R148")
@pytest.mark.parametrize(("row", "fails", "holds"), PROMOTIONS, ids=[row[0] for row in PROMOTIONS])
def test_R143_R147_every_condition_alone_stops_a_promotion(
    engine: DurableEngine, row: str, fails: dict[str, Any], holds: dict[str, Any]
) -> None:
    good, bad = {**STRONG, **holds}, {**STRONG, **fails}
    assert "scale_up" in fired(engine, good, [good] * 10), row
    assert "scale_up" not in fired(engine, bad, [bad] * 10), row


@pytest.mark.parametrize(
    "broken_by", [{"sharpe_20d": 0.8}, {"drawdown": 9.0}, {"exposure": 0.5}, {"sharpe_20d": "<young>"}, None]
)
def test_R149_a_break_on_day_seven_resets(engine: DurableEngine, broken_by: dict[str, Any] | None) -> None:
    bad = None if broken_by is None else {**STRONG, **broken_by}
    days = [STRONG] * 6 + [bad] + [STRONG] * 9
    assert "scale_up" not in fired(engine, STRONG, days)
    assert "scale_up" in fired(engine, STRONG, [*days, STRONG])


YELLOWS: list[tuple[str, float]] = [
    ("sharpe_20d", 0.3),
    ("drawdown", 9.0),
    ("return_30d", -2.0),
    ("slippage_ratio", 1.3),
    ("funding_drag", 1.5),
    ("negative_sleeves", 1),
]


@pytest.mark.parametrize(("fact", "value"), YELLOWS)
def test_R136_reduce_on_the_fourth_yellow_day_not_the_third(engine: DurableEngine, fact: str, value: float) -> None:
    day = {fact: value}
    assert fired(engine, day, [day] * 3) == yellow(fact)
    assert fired(engine, day, [day] * 4) == {f"yellow_too_long[{fact}]"} | yellow(fact)


def test_R136_different_metrics_do_not_add_up(engine: DurableEngine) -> None:
    one, other = {"drawdown": 9.0}, {"funding_drag": 1.5}
    assert fired(engine, other, [one, one, other, other]) == yellow("funding_drag")


def test_A16_young_days_are_not_yellow(engine: DurableEngine) -> None:
    young, low = {"sharpe_20d": "<young>"}, {"sharpe_20d": 0.3}
    assert fired(engine, low, [young] * 10 + [low] * 3) == yellow("sharpe_20d")


def test_A28_an_unknown_day_prolongs_a_yellow_streak_but_completes_none(engine: DurableEngine) -> None:
    low, unknown = {"sharpe_20d": 0.3}, {"sharpe_20d": "<missing>"}
    assert "yellow_too_long[sharpe_20d]" not in fired(engine, low, [low, low, unknown, low])
    assert "yellow_too_long[sharpe_20d]" in fired(engine, low, [low, low, unknown, None, low, low])
    assert "yellow_too_long[sharpe_20d]" not in fired(engine, unknown, [low, low, low, unknown, unknown])
    assert "yellow_too_long[sharpe_20d]" in fired(engine, unknown, [low, low, low, low, unknown])


def test_R152_slippage_on_the_third_day_not_the_second(engine: DurableEngine) -> None:
    few = {"slippage_ratio": 1.5001, "parent_orders": 3}
    assert fired(engine, few, [few] * 2) == set()
    assert fired(engine, few, [few] * 3) == {"slippage_sustained"}
    assert fired(engine, few, [few, few, GREEN, few, few]) == set()


def test_the_shipped_policy_names_what_each_rule_implements(action: Policy) -> None:
    for rule in action.rules.values():
        assert rule.refs, f"{rule.name} names no requirement and no resolution"
    assert action.rules["yellow_too_long"].refs == ("R136", "A16", "A23")


def test_R134_R135_R138_R140_R141_effects_are_data(action: Policy) -> None:
    effects = action.effects
    assert (effects["SCALE_UP"].cap_factor, effects["SCALE_UP"].approvals) == (1.5, 2)
    assert effects["SCALE_UP"].at_most_ms == 30 * DAY_MS
    assert (effects["REDUCE"].exposure, effects["REDUCE"].once_per_episode) == (0.5, True)
    assert (effects["PAUSE"].exposure, effects["PAUSE"].entries_blocked, effects["PAUSE"].until) == (
        0.0,
        True,
        "restart",
    )
    assert effects["PAUSE"].incident == "CRITICAL"
    assert effects["KEEP"] == type(effects["KEEP"])()
    assert action.exit_codes == {"KEEP": 0, "SCALE_UP": 10, "REDUCE": 20, "PAUSE": 30}


def test_R064_R085_R101_R182_stages(stages: Policy) -> None:
    assert [int(stage.cap_usd) for stage in stages.stages.values()] == [0, 5000, 10000, 15000]
    assert [stage.restart_at for stage in stages.stages.values()] == [0, 0, 1, 2]
    assert [stage.min_days for stage in stages.stages.values()] == [30, 14, 14, 28]
