"""Why: each rule's comparisons with value, threshold and margin in real units; what is missing to other outcomes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.policy.explain import Explained, Explainer, Leaf, Streak, Teller, explain, explained
from engine.policy.interpreter import evaluate
from engine.policy.model import All, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.policy.model import Policy

TEXT = """
bands:
  y: {green: "> 5%", red: "< 0%"}
rules:
  stop: {outcome: STOP, when: {x: "> 0.5"}, because: x is high}   # R155 A04
  word: {outcome: STOP, when: {not: {mode: "= CLEAR"}}, because: b}
  yellow: {outcome: KEEP, each: band, when: {band: yellow}, because: b}
  rise:
    outcome: RISE
    when: {all: [{n: "= 3"}, {every_band: green}, {not: {x: unknown}}]}
    for: 10 days
    because: b
  blind: {outcome: KEEP, when: {any: [{y: unknown}, {n: "> 7"}]}, because: b}
"""


@pytest.fixture(scope="module")
def policy(small_policy: Callable[[str], Policy]) -> Policy:
    return small_policy(TEXT)


def told(policy: Policy, rule: str, **values: int | None) -> Explained:
    here = {"x": 48, "y": 30, "n": 3, "mode": 0, "days rise": 7, **values}
    return {one.id: one for one in explained(policy, Snapshot(0, here))}[rule]


def test_a_comparison_with_its_margin(policy: Policy) -> None:
    under, over = told(policy, "stop"), told(policy, "stop", x=51)
    assert under.conditions == (Leaf("x", "0.48", "ratio", "> 0.5", "FALSE", "0.02"),)
    assert over.conditions == (Leaf("x", "0.51", "ratio", "> 0.5", "TRUE", "0.01"),)
    assert (under.truth, over.truth) == ("FALSE", "TRUE")
    assert (under.refs, under.because) == (("R155", "A04"), "x is high")


def test_what_is_unknown_has_neither_value_nor_margin(policy: Policy) -> None:
    unknown = told(policy, "stop", x=None)
    assert unknown.truth == "UNKNOWN"
    assert unknown.conditions == (Leaf("x", None, "ratio", "> 0.5", "UNKNOWN", None),)


def test_words_and_not_are_told_as_they_count(policy: Policy) -> None:
    assert told(policy, "word").conditions == (Leaf("mode", "CLEAR", "", "!= CLEAR", "FALSE", None),)
    assert told(policy, "word", mode=2).conditions == (Leaf("mode", "FLATTEN_ALL", "", "!= CLEAR", "TRUE", None),)


def test_yellow_is_told_as_its_two_edges(policy: Policy) -> None:
    assert told(policy, "yellow[y]").conditions == (
        Leaf("y", "3", "percent", "<= 5%", "TRUE", "2"),
        Leaf("y", "3", "percent", ">= 0%", "TRUE", "3"),
    )


def test_a_streak_is_told_with_the_days_it_lacks(policy: Policy) -> None:
    rise = told(policy, "rise", y=60)
    assert rise.streak == Streak(7, 10, None)
    assert rise.streak is not None
    assert rise.streak.missing == 3
    assert rise.truth == "FALSE"
    assert rise.failing == ()
    assert [leaf.test for leaf in rise.conditions] == ["= 3", "> 5%", "known"]
    assert told(policy, "rise", **{"days rise": 10}).truth == "TRUE"
    assert told(policy, "rise", y=None).truth == "UNKNOWN"


def test_unknown_as_a_condition(policy: Policy) -> None:
    assert told(policy, "blind", y=None).conditions[0] == Leaf("y", None, "percent", "unknown", "TRUE", None)
    assert told(policy, "blind").conditions[0].truth == "FALSE"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_explanation_agrees_with_the_interpreter_and_is_plain(action: Policy, data: st.DataObject) -> None:
    facts = action.vocabulary.facts
    values = {name: st.none() | st.integers(facts[name].low, facts[name].high) for name in action.facts}
    days = {one.days_key: st.integers(0, 12) for one in action.timed}
    snapshot = Snapshot(0, data.draw(st.fixed_dictionaries({**values, **days})))
    rules = explained(action, snapshot)
    assert tuple(rule.id for rule in rules if rule.truth == "TRUE") == evaluate(action, snapshot)
    assert [rule.id for rule in rules] == [one.id for one in action.instances]
    plain = explain(action, snapshot)
    assert json.loads(json.dumps(plain))[0].keys() == {
        "id",
        "outcome",
        "truth",
        "refs",
        "because",
        "conditions",
        "streak",
    }
    for rule in rules:
        for leaf in rule.conditions:
            assert (leaf.value is None) == (snapshot.values[leaf.fact] is None)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_explainer_serves_many_snapshots(action: Policy, data: st.DataObject) -> None:
    facts, explainer = action.vocabulary.facts, Explainer(action)
    values = {name: st.none() | st.integers(facts[name].low, facts[name].high) for name in action.facts}
    days = {one.days_key: st.none() | st.integers(0, 12) for one in action.timed}
    for _ in range(3):
        snapshot = Snapshot(0, data.draw(st.fixed_dictionaries({**values, **days})))
        assert explainer.explained(snapshot) == explained(action, snapshot)
        assert explainer.plain(snapshot) == [
            {
                **vars(rule),
                "conditions": [vars(leaf) for leaf in rule.conditions],
                "streak": rule.streak and vars(rule.streak),
            }
            for rule in explained(action, snapshot)
        ]


def test_a_comparison_that_rules_share_is_told_once(action: Policy) -> None:
    teller = Teller(action, Snapshot(0, dict.fromkeys(action.inputs)))
    red = next(iter(action.bands.values())).red
    assert teller.leaves(red, asked=True)[0] is teller.leaves(red, asked=True)[0]
    assert teller.leaves(red, asked=True) != teller.leaves(red, asked=False)


def test_a_comparison_asked_twice_in_one_rule_is_told_once(policy: Policy) -> None:
    stop = policy.by_id["stop"]
    twice = replace(policy, instances=(replace(stop, when=All((stop.when, stop.when))),))
    assert len(told(twice, "stop").conditions) == 1
