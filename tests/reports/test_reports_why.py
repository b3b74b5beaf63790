from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import parse_time
from engine.errors import LedgerError
from engine.reports.conditions import condition_text, grouped, nearness, sentence, way_back_text
from engine.reports.verdicts import Condition, parse_verdict
from engine.reports.why import Standing, why_text

if TYPE_CHECKING:
    from collections.abc import Callable

AT_MS = parse_time("2022-11-09T14:00Z")
SEVERITY = ("PAUSE", "REDUCE", "SCALE_UP", "KEEP")
REDUCE_EFFECTS = {"exposure": 0.5, "once_per_episode": True, "recovery_ms": 5 * 86_400_000, "approvals": 1}


def leaf(fact: str, value: str | None, unit: str, test: str, truth: str, margin: str | None) -> dict[str, Any]:
    return {"fact": fact, "value": value, "unit": unit, "test": test, "truth": truth, "margin": margin}


def judged(
    rule_id: str,
    outcome: str,
    truth: str,
    because: str,
    refs: str,
    *leaves: dict[str, Any],
    days: tuple[int, int] | None = None,
) -> dict[str, Any]:
    streak = {"days": days[0], "needed": days[1], "of": None} if days else None
    return {
        "id": rule_id,
        "outcome": outcome,
        "truth": truth,
        "refs": refs.split(),
        "because": because,
        "conditions": list(leaves),
        "streak": streak,
    }


def document(**changes: Any) -> dict[str, Any]:
    rules = [
        judged(
            "hard_stop_drawdown",
            "PAUSE",
            "FALSE",
            "the drawdown is beyond the hard stop",
            "R155 A01",
            leaf("drawdown", "10.4", "percent", "> 12%", "FALSE", "1.6"),
        ),
        judged(
            "hard_stop_return",
            "PAUSE",
            "FALSE",
            "the 30-day return is beyond the hard stop",
            "R156 A09",
            leaf("return_window", "-6.9", "percent", "< -10%", "FALSE", "3.1"),
        ),
        judged(
            "hard_stop_risk_guard",
            "PAUSE",
            "UNKNOWN",
            "the risk guard demands a flat book",
            "R157",
            leaf("risk_guard", None, "", "= FLATTEN_ALL", "UNKNOWN", None),
        ),
        judged(
            "drawdown_red",
            "REDUCE",
            "TRUE",
            "the drawdown is red",
            "R118 R137 R151 A01",
            leaf("drawdown", "10.4", "percent", "> 10%", "TRUE", "0.4"),
        ),
        judged(
            "sharpe_negative",
            "REDUCE",
            "TRUE",
            "the 20-day Sharpe ratio is negative",
            "R150 A19",
            leaf("sharpe_20d", "-1.12", "ratio", "< 0", "TRUE", "1.12"),
        ),
        judged(
            "yellow_too_long[return_30d]",
            "REDUCE",
            "FALSE",
            "the same metric has been yellow for more than three days",
            "R136 A23",
            leaf("return_30d", "-3.2", "percent", "<= 0%", "TRUE", "3.2"),
            leaf("return_30d", "-3.2", "percent", ">= -5%", "TRUE", "1.8"),
            days=(3, 4),
        ),
        judged(
            "scale_up",
            "SCALE_UP",
            "FALSE",
            "ten complete days all green with a strong Sharpe ratio",
            "R133 A51",
            leaf("stage", "3", "count", "= 3", "TRUE", "0"),
            leaf("sharpe_20d", "-1.12", "ratio", "> 0.8", "FALSE", "1.92"),
            leaf("max_drawdown_30d", "10.9", "percent", "< 8%", "FALSE", "2.9"),
            leaf("funding_drift", None, "multiple", "<= 1.5", "UNKNOWN", None),
            days=(0, 10),
        ),
    ]
    return {
        "verdict_id": "V20221109-1400-action-3fa9c1",
        "at_ms": AT_MS,
        "policy": "action",
        "outcome": "REDUCE",
        "fired": ["drawdown_red", "sharpe_negative"],
        "agree": True,
        "fault": None,
        "rules": rules,
        "bands": {"drawdown": "red", "sharpe_20d": "red"},
        "unknown": [{"fact": "risk_guard", "status": "missing"}, {"fact": "funding_drift", "status": "young"}],
        "effects": REDUCE_EFFECTS,
        "flags": [],
        "hashes": {"policy": "7c1e" * 16, "config": "3f1c" * 16, "facts": "00" * 32},
        "engine_version": "0.1.0",
        "stage": 3,
        "exposure": 1.0,
        "cap_usd": 15_000.0,
        "equity_usd": 13_440.0,
        **changes,
    }


def standing(**changes: Any) -> Standing:
    values: dict[str, Any] = {
        "release": "R1",
        "severity": SEVERITY,
        "promotes": ("SCALE_UP",),
        "exposure": 0.5,
        "exposure_since_ms": parse_time("2022-11-09"),
        "entries_allowed": True,
        "firing_since_ms": {"sharpe_negative": parse_time("2022-11-07")},
        "oldest_fact": ("equity_age", 41_000),
        "recovery_from_ms": parse_time("2022-11-14T14:00Z"),
    }
    return Standing(**{**values, **changes})


def fired_nothing(**changes: Any) -> dict[str, Any]:
    rules = [
        {**rule, "truth": "FALSE"}
        for rule in document()["rules"]
        if rule["id"] not in {"drawdown_red", "sharpe_negative"}
    ]
    return document(outcome="KEEP", fired=[], rules=rules, effects={}, **changes)


def test_why_of_a_reduce_as_on_file(golden: Callable[[str, str], None]) -> None:
    golden("why_reduce.txt", why_text(parse_verdict(document()), standing()) + "\n")


def test_why_of_a_keep_as_on_file(golden: Callable[[str, str], None]) -> None:
    keep = standing(exposure=1.0, firing_since_ms={}, recovery_from_ms=None)
    golden("why_keep.txt", why_text(parse_verdict(fired_nothing()), keep) + "\n")


def test_why_of_a_pause_by_disagreeing_engines_as_on_file(golden: Callable[[str, str], None]) -> None:
    rules = [{**rule, "truth": "TRUE"} if rule["id"] == "hard_stop_drawdown" else rule for rule in document()["rules"]]
    rules[0]["conditions"] = [leaf("drawdown", "12.0001", "percent", "> 12%", "TRUE", "0.0001")]
    pause = document(
        outcome="PAUSE",
        fired=["hard_stop_drawdown", "drawdown_red", "sharpe_negative"],
        rules=rules,
        agree=False,
        fault="the production engine gave no answer in 2 s",
        effects={"exposure": 0.0, "entries_blocked": True, "until": "restart"},
        flags=["REVIEW"],
    )
    around = standing(exposure=0.0, entries_allowed=False, waiting=("restart of PAUSE (2 needed)",), firing_since_ms={})
    golden("why_pause.txt", why_text(parse_verdict(pause), around) + "\n")


def test_every_part_is_told_in_its_place() -> None:
    lines = why_text(parse_verdict(document()), standing()).splitlines()
    starts = [line.split()[0] for line in lines[2:] if line[2:3].strip()]
    assert starts == ["why", "also", "not", "unknown", "harder", "softer", "next"]


def test_without_a_ledger_the_verdict_speaks_for_itself() -> None:
    text = why_text(parse_verdict(document()))
    assert text.startswith("Stage 3 · $15,000 cap · 2022-11-09 14:00 UTC")
    assert "drawdown_red" in text


def test_points_stand_beside_money() -> None:
    # 10.4 % below the peak at 13,440 USD: the peak is 15,000 USD, and 1.6 points of it are 240 USD
    assert "PAUSE at drawdown > 12 % (1.6 points, $240)" in why_text(parse_verdict(document()), standing())


def test_a_rule_that_stood_yesterday_is_told_after_the_new_one() -> None:
    lines = why_text(parse_verdict(document()), standing()).splitlines()
    assert lines[3].startswith("  why     drawdown_red")
    assert lines[5].startswith("  also    sharpe_negative")
    assert lines[5].endswith("since 2022-11-07")


def test_a_value_just_beyond_a_threshold_never_looks_equal_to_it() -> None:
    condition = Condition("drawdown", "12.0001", "percent", "> 12%", "TRUE", "0.0001")
    assert condition_text(condition) == "drawdown 12.0001 % > 12 %"


def test_both_edges_of_yellow_are_one_range() -> None:
    low = Condition("drawdown", "9", "percent", ">= 8%", "TRUE", "1")
    high = Condition("drawdown", "9", "percent", "<= 10%", "TRUE", "1")
    (both,) = grouped((low, high))
    assert condition_text(both) == "drawdown 9.0 % between 8 and 10 %"


def test_what_asks_for_an_unknown_fact_reads_as_one() -> None:
    assert condition_text(Condition("equity_age", None, "minutes", "unknown", "TRUE", None)) == "equity_age unknown"


def test_the_way_back_turns_the_comparison_around() -> None:
    assert way_back_text(Condition("x", "1", "ratio", "< 2", "TRUE", "1")) == "x ≥ 2 (1.00)"
    assert way_back_text(Condition("x", "3", "ratio", ">= 2", "TRUE", "1")) == "x < 2 (1.00)"


def test_the_way_back_from_what_an_unknown_fact_satisfies_as_well() -> None:
    assert way_back_text(Condition("x", "1", "ratio", "< 2 or unknown", "TRUE", "1")) == "x ≥ 2 (1.00)"
    assert way_back_text(Condition("x", None, "ratio", "< 2 or unknown", "TRUE", None)) == "x ≥ 2"
    assert way_back_text(Condition("x", None, "ratio", "unknown", "TRUE", None)) == "x known"
    assert way_back_text(Condition("x", "1", "ratio", "known", "TRUE", None)) == "x unknown"


def test_a_small_margin_is_nearer_than_a_large_one() -> None:
    near = Condition("drawdown", "11.9", "percent", "> 12%", "FALSE", "0.1")
    far = Condition("drawdown", "2", "percent", "> 12%", "FALSE", "10")
    unknown = Condition("drawdown", None, "percent", "> 12%", "UNKNOWN", None)
    assert nearness(near) < nearness(far) < nearness(unknown)


def test_the_sentence_names_the_reason_the_value_and_the_threshold() -> None:
    assert sentence(parse_verdict(document())) == "the drawdown is red: 10.4 % > 10 % (and 1 more rule)"
    assert sentence(parse_verdict(fired_nothing())) == "no rule asks for anything else"


@pytest.mark.parametrize("broken", ["", "[]", '{"verdict_id": 1}', "null", '{"rules": 3}'])
def test_a_broken_document_is_one_clear_error(broken: str) -> None:
    with pytest.raises(LedgerError, match=r"verdict-document"):
        parse_verdict(broken)


WORDS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=60)
NAMES = st.from_regex(r"[a-z_]{1,50}(\[[a-z_]{1,30}\])?", fullmatch=True)
LEAVES = st.builds(
    leaf,
    NAMES,
    st.one_of(st.none(), WORDS, st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str)),
    st.sampled_from(["percent", "ratio", "multiple", "usd", "count", "minutes", "", "one of"]),
    st.one_of(WORDS, st.sampled_from(["> 12%", "<= 1.2", "= FLAT", "unknown", "!= 0"])),
    st.sampled_from(["TRUE", "FALSE", "UNKNOWN"]),
    st.one_of(st.none(), st.decimals(allow_nan=False, allow_infinity=False, min_value=0, places=4).map(str)),
)
RULES = st.lists(
    st.builds(
        lambda rule_id, outcome, truth, because, leaves, days: judged(
            rule_id, outcome, truth, because, "R1", *leaves, days=days
        ),
        NAMES,
        st.sampled_from(SEVERITY),
        st.sampled_from(["TRUE", "FALSE", "UNKNOWN"]),
        WORDS,
        st.lists(LEAVES, max_size=3),
        st.one_of(st.none(), st.tuples(st.integers(0, 99), st.integers(1, 30))),
    ),
    max_size=5,
)


@settings(max_examples=40)
@given(rules=RULES, outcome=st.sampled_from(SEVERITY), flags=st.lists(WORDS, max_size=2), data=st.data())
def test_whatever_a_verdict_holds_it_is_told_in_80_columns(
    rules: list[dict[str, Any]], outcome: str, flags: list[str], data: st.DataObject
) -> None:
    fired = [rule["id"] for rule in rules if data.draw(st.booleans())]
    verdict = parse_verdict(document(rules=rules, outcome=outcome, fired=fired, flags=flags))
    for around in (None, standing()):
        text = why_text(verdict, around)
        assert all(len(line) <= 80 for line in text.splitlines())
    assert sentence(verdict)
