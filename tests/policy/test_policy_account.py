"""A decision explained: trees that agree with the interpreter, causes that are minimal, ways to other outcomes."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.policy.account import Account, account
from engine.policy.explain import Leaf
from engine.policy.interpreter import truth
from engine.policy.model import Snapshot
from engine.policy.tree import Node, must_turn, proof

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.policy.model import Policy

TEXT = """
bands:
  y: {green: "> 5%", red: "< 0%"}
rules:
  stop: {outcome: STOP, when: {x: "> 0.5"}, because: x is high}
  halt: {outcome: STOP, when: {all: [{x: "> 0.3"}, {any: [{n: "> 7"}, {y: red}]}]}, because: b}
  word: {outcome: STOP, when: {not: {mode: "= CLEAR"}}, because: b}
  yellow: {outcome: KEEP, each: band, when: {band: yellow}, because: b}
  rise:
    outcome: RISE
    when: {all: [{n: "= 3"}, {every_band: green}, {not: {x: unknown}}, {y: "> 6%"}]}
    for: 10 days
    because: b
  often: {outcome: STOP, when: {y: "< 1%"}, for: 2 of 4 days, because: b}
  blind: {outcome: KEEP, when: {any: [{y: unknown}, {n: "> 7"}]}, because: b}
  check: {outcome: KEEP, unless: {all: [{x: "< 0.9"}, {y: "> 0%"}]}, because: b}
"""
CALM = {"x": 48, "y": 70, "n": 3, "mode": 0, "days rise": 7, "days often": 0}
NAMES = {True: "TRUE", False: "FALSE", None: "UNKNOWN"}


@pytest.fixture(scope="module")
def policy(small_policy: Callable[[str], Policy]) -> Policy:
    return small_policy(TEXT)


def told(policy: Policy, **values: int | None) -> Account:
    return account(policy, Snapshot(0, {**CALM, **values}))


def values_of(policy: Policy) -> st.SearchStrategy[dict[str, int | None]]:
    facts = policy.vocabulary.facts
    near = {"x": st.integers(0, 100), "y": st.integers(-40, 120), "n": st.integers(0, 10), "mode": st.integers(0, 2)}
    days = {one.days_key: st.none() | st.integers(0, 12) for one in policy.timed}
    assert {"x", "y", "n", "mode"} <= set(facts)
    return st.fixed_dictionaries({**{name: st.none() | one for name, one in near.items()}, **days})


def kleene(node: Node, truths: Mapping[Leaf, str]) -> str:
    """The truth of a tree by these truths of its leaves; UNKNOWN where one is not told."""
    if node.leaf is not None:
        return truths.get(node.leaf, "UNKNOWN")
    order = {"all": ["FALSE", "UNKNOWN", "TRUE"], "any": ["TRUE", "UNKNOWN", "FALSE"]}[node.kind]
    return min((kleene(part, truths) for part in node.parts), key=order.index)


def leaves(node: Node) -> list[Leaf]:
    found = [node.leaf] if node.leaf else [leaf for part in node.parts for leaf in leaves(part)]
    return list(dict.fromkeys(found))


def turned(node: Node, some: tuple[Leaf, ...]) -> str:
    """The truth of a tree once some of its leaves have turned."""
    to = "FALSE" if node.truth == "TRUE" else "TRUE"
    return kleene(node, {leaf: to if leaf in some else leaf.truth for leaf in leaves(node)})


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_trees_agree_with_the_interpreter_and_their_proofs_are_minimal(policy: Policy, data: st.DataObject) -> None:
    snapshot = Snapshot(0, data.draw(values_of(policy)))
    for rule, instance in zip(account(policy, snapshot).rules, policy.instances, strict=True):
        node = rule.tree
        assert node.truth == NAMES[truth(instance.when, snapshot.values, policy.bands)]
        if node.truth == "UNKNOWN":
            continue
        causes = proof(node, held=node.truth == "TRUE")
        truths = {leaf: leaf.truth for leaf in causes}
        assert kleene(node, truths) == node.truth
        for left_out in causes:
            assert kleene(node, {leaf: each for leaf, each in truths.items() if leaf != left_out}) == "UNKNOWN"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_must_turn_is_enough_and_no_fewer_would_be(policy: Policy, data: st.DataObject) -> None:
    snapshot = Snapshot(0, data.draw(values_of(policy)))
    for rule in account(policy, snapshot).rules:
        node, held = rule.tree, rule.tree.truth != "TRUE"
        every = leaves(node)

        needed = must_turn(node, held=held)
        assert (turned(node, needed) == "TRUE") == held
        fewer = (some for size in range(len(needed)) for some in combinations(every, size))
        assert not any((turned(node, some) == "TRUE") == held for some in fewer)


def test_the_causes_of_an_outcome(policy: Policy) -> None:
    stopped = told(policy, x=51, y=-1)
    assert stopped.outcome == "STOP"
    assert {rule.id: [leaf.fact for leaf in rule.causes] for rule in stopped.decisive} == {
        "stop": ["x"],
        "halt": ["x", "y"],
    }
    silent = next(rule for rule in stopped.rules if rule.id == "rise")
    assert len(silent.causes) == 1, "one condition that fails is enough to keep it silent"


def test_the_ways_to_harder_outcomes_and_to_a_promotion(policy: Policy) -> None:
    calm = told(policy)
    assert calm.outcome == "KEEP"
    assert [(way.outcome, way.rule, [leaf.test for leaf in way.lacking], way.days) for way in calm.harder] == [
        ("STOP", "stop", ["> 0.5"], 0),
        ("STOP", "halt", ["< 0%"], 0),
        ("STOP", "word", ["!= CLEAR"], 0),
        ("STOP", "often", ["< 1%"], 2),
    ]
    assert [(way.rule, way.lacking, way.days) for way in calm.promotions] == [("rise", (), 3)]
    assert calm.harder[0].lacking[0].margin == "0.02"


def test_days_count_anew_where_a_condition_must_come_true_first(policy: Policy) -> None:
    (way,) = told(policy, n=4).promotions
    assert ([leaf.fact for leaf in way.lacking], way.days) == (["n"], 10)


def test_of_two_bounds_of_one_fact_only_the_tighter_is_lacking(policy: Policy) -> None:
    (way,) = told(policy, y=30).promotions
    assert [leaf.test for leaf in way.lacking] == ["> 6%"]


def test_the_way_back_needs_every_rule_behind_the_outcome_to_end(policy: Policy) -> None:
    softer = told(policy, x=51, n=8).softer
    assert softer is not None
    assert softer.outcome == "KEEP"
    assert {rule: [leaf.test for leaf in must_end] for rule, must_end in softer.ends} == {
        "stop": ["> 0.5"],
        "halt": ["> 7"],
    }
    assert told(policy, n=9, mode=0, x=20).softer is not None, "a rule that asks for the default outcome has a way back"
    nothing = told(policy, **{"days rise": 0})
    assert nothing.softer is None


def test_unknown_days_leave_a_rule_undecided(policy: Policy) -> None:
    unknown = told(policy, y=5, **{"days often": None})
    often = next(rule for rule in unknown.rules if rule.id == "often")
    assert (often.truth, often.fires, often.days_unknown, often.missing_days) == ("UNKNOWN", False, True, None)
    assert [rule.id for rule in unknown.undecided] == ["often"]
    assert told(policy, y=5, **{"days often": 0}).undecided == ()


def test_unknown_facts_leave_a_rule_undecided_that_could_harden_the_outcome(policy: Policy) -> None:
    assert [rule.id for rule in told(policy, mode=None).undecided] == ["word"]
    assert told(policy, mode=None, x=51).undecided == ()


def test_a_proof_leaves_out_what_another_part_of_it_already_shows() -> None:
    def leaf(fact: str) -> Node:
        return Node("test", "TRUE", leaf=Leaf(fact, "1", "ratio", "> 0", "TRUE", "1"))

    twice = Node("all", "TRUE", (Node("any", "TRUE", (leaf("a"), leaf("b"))), leaf("b")))
    assert [one.fact for one in proof(twice, held=True)] == ["b"]


def test_a_rule_that_lacks_days_whatever_the_unknown_is_stays_ruled_out(small_policy: Callable[[str], Policy]) -> None:
    rise = '  rise: {outcome: RISE, when: {n: "= 3"}, because: b}\n'
    slow = small_policy(f'rules:\n  slow: {{outcome: STOP, when: {{x: "> 0.5"}}, for: 3 days, because: b}}\n{rise}')
    assert [
        [rule.id for rule in account(slow, Snapshot(0, {"x": None, "n": 0, "days slow": days})).undecided]
        for days in (1, 2)
    ] == [[], ["slow"]]


def test_what_ends_an_outcome_does_not_ask_one_word_to_be_two(small_policy: Callable[[str], Policy]) -> None:
    both = small_policy("""
rules:
  one: {outcome: STOP, unless: {any: [{mode: "= CLEAR"}, {n: "> 4"}]}, because: b}
  two: {outcome: STOP, unless: {any: [{mode: "= REDUCE_ONLY"}, {n: "> 5"}]}, because: b}
  rise: {outcome: RISE, when: {x: "> 0.5"}, because: b}
""")
    softer = account(both, Snapshot(0, {"x": 0, "y": 0, "n": None, "mode": None})).softer
    assert softer is not None
    assert [[leaf.fact for leaf in must_end] for _, must_end in softer.ends] == [["mode"], ["n"]]
