"""Three-valued truth: Kleene's tables, his laws, and that knowing more never changes a verdict already known."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy.interpreter import compare, evaluate, outcome_of, truth
from engine.policy.model import All, AnyOf, Band, BandIs, Compare, Not, Snapshot, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.policy.model import Condition, Policy, Truth

FACTS = ("a", "b", "c")
BANDS = {
    "a": Band("a", Compare("a", "<", 0), Compare("a", ">", 2)),
    "b": Band("b", Compare("b", ">=", 3), Compare("b", "<=", -1)),
}
Values = dict[str, int | None]

VALUES = st.fixed_dictionaries({fact: st.none() | st.integers(-4, 5) for fact in FACTS})
COMPARES = st.builds(
    Compare, st.sampled_from(FACTS), st.sampled_from((">", ">=", "<", "<=", "=", "!=")), st.integers(-3, 4)
)
COLOURS = st.builds(BandIs, st.sampled_from(tuple(BANDS)), st.sampled_from(("green", "yellow", "red")))


def trees(leaves: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.builds(Not, inner)
            | st.builds(All, st.lists(inner, min_size=1, max_size=3).map(tuple))
            | st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
        ),
        max_leaves=8,
    )


CONDITIONS = trees(COMPARES | COLOURS | st.builds(Unknown, st.sampled_from(FACTS)))
WITHOUT_UNKNOWN = trees(COMPARES | COLOURS)


def known(condition: Condition, values: Values) -> Truth:
    return truth(condition, values, BANDS)


@pytest.mark.parametrize(
    ("operator", "below", "at", "above"),
    [
        (">", False, False, True),
        (">=", False, True, True),
        ("<", True, False, False),
        ("<=", True, True, False),
        ("=", False, True, False),
        ("!=", True, False, True),
    ],
)
def test_comparisons_at_under_and_over(operator: str, below: bool, at: bool, above: bool) -> None:  # noqa: FBT001
    for value, expected in ((6, below), (7, at), (8, above)):
        assert compare(value, operator, 7) is expected  # type: ignore[arg-type]
    assert compare(None, operator, 7) is None  # type: ignore[arg-type]


TABLE: dict[Truth, Condition] = {True: Compare("a", "=", 1), False: Compare("a", "=", 0), None: Compare("b", "=", 0)}
HERE: Values = {"a": 1, "b": None, "c": 0}


@pytest.mark.parametrize(("one", "other"), list(product((True, False, None), repeat=2)))
def test_kleenes_tables(one: Truth, other: Truth) -> None:
    order = {False: 0, None: 1, True: 2}
    pair = (TABLE[one], TABLE[other])
    assert known(All(pair), HERE) is min(one, other, key=order.__getitem__)
    assert known(AnyOf(pair), HERE) is max(one, other, key=order.__getitem__)
    assert known(Not(TABLE[one]), HERE) is (None if one is None else not one)


@given(CONDITIONS, VALUES)
def test_two_nots_are_none(condition: Condition, values: Values) -> None:
    assert known(Not(Not(condition)), values) is known(condition, values)


@given(CONDITIONS, CONDITIONS, VALUES)
def test_de_morgan(one: Condition, other: Condition, values: Values) -> None:
    assert known(Not(All((one, other))), values) is known(AnyOf((Not(one), Not(other))), values)
    assert known(Not(AnyOf((one, other))), values) is known(All((Not(one), Not(other))), values)


@given(st.permutations([Compare("a", ">", 0), Compare("b", "<", 1), BandIs("a", "red"), Unknown("c")]), VALUES)
def test_order_never_matters(parts: list[Condition], values: Values) -> None:
    assert known(All(tuple(parts)), values) is known(All(tuple(sorted(parts, key=repr))), values)
    assert known(AnyOf(tuple(parts)), values) is known(AnyOf(tuple(sorted(parts, key=repr))), values)


@given(WITHOUT_UNKNOWN, VALUES, st.fixed_dictionaries({fact: st.integers(-4, 5) for fact in FACTS}))
def test_learning_a_fact_never_overturns_what_was_known(
    condition: Condition, values: Values, all_known: dict[str, int]
) -> None:
    before = known(condition, values)
    after = known(condition, {fact: all_known[fact] if value is None else value for fact, value in values.items()})
    assert before is None or after is before


@given(WITHOUT_UNKNOWN, st.fixed_dictionaries({fact: st.integers(-4, 5) for fact in FACTS}))
def test_with_all_facts_known_nothing_is_unknown(condition: Condition, values: Values) -> None:
    assert known(condition, values) is not None


@given(VALUES, st.sampled_from(tuple(BANDS)))
def test_a_band_shows_exactly_one_colour_or_none(values: Values, fact: str) -> None:
    shown = [known(BandIs(fact, colour), values) for colour in ("green", "yellow", "red")]
    assert shown.count(True) == (0 if values[fact] is None else 1)
    assert shown.count(None) == (3 if values[fact] is None else 0)


@pytest.fixture
def policy(small_policy: Callable[[str], Policy]) -> Policy:
    rules = """
  k: {outcome: KEEP, when: {n: "> 0"}, because: b}
  s: {outcome: STOP, when: {n: "> 2"}, because: b}
  r: {outcome: RISE, when: {n: "> 1"}, for: 2 days, because: b}
"""
    return small_policy(f"rules:{rules}")


@pytest.mark.parametrize(
    ("n", "days", "fired", "outcome"),
    [
        (0, 0, (), "KEEP"),
        (1, 1, ("k",), "KEEP"),
        (3, 1, ("k", "s"), "STOP"),
        (2, 2, ("k", "r"), "RISE"),
        (3, 9, ("k", "s", "r"), "STOP"),
        (None, 0, (), "KEEP"),
    ],
)
def test_fired_in_the_policys_order_and_the_most_severe_outcome(
    policy: Policy, n: int | None, days: int, fired: tuple[str, ...], outcome: str
) -> None:
    assert evaluate(policy, Snapshot(0, {"n": n, "days r": days})) == fired
    assert outcome_of(policy, reversed(fired)) == outcome


def test_counted_days_that_are_unknown_fire_nothing(policy: Policy) -> None:
    assert evaluate(policy, Snapshot(0, {"n": 0, "days r": None})) == ()
