"""The search for values at which conditions come out as asked, against trying all values of small facts."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy import points
from engine.policy.interpreter import truth
from engine.policy.load import parse_vocabulary
from engine.policy.model import All, AnyOf, Band, BandIs, Compare, Condition, Not, Unknown
from engine.policy.points import UndecidedError, expression, find

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.policy.model import Truth

FACTS = parse_vocabulary(
    b"""
vocabulary: small
facts:
  a: {title: a, unit: count, worse: lower, range: [0, 5], resolution: 1, max_age: 1 hour, from: a test}
  b: {title: b, unit: count, worse: lower, range: [0, 3], resolution: 1, max_age: 1 hour, from: a test}
  c: {title: c, unit: flag, worse: neither, max_age: 1 hour, from: a test}
""",
    "small.yaml",
).facts
BANDS = {"a": Band("a", Compare("a", "<", 2), Compare("a", ">=", 4))}
USUAL = {"a": 1, "b": 1, "c": 0}

_OPERATORS = st.sampled_from([">", ">=", "<", "<=", "=", "!="])
_COMPARES = st.sampled_from(list(FACTS)).flatmap(
    lambda fact: st.builds(
        Compare, st.just(fact), _OPERATORS, st.integers(FACTS[fact].low, FACTS[fact].high), st.just(""), st.just("")
    )
)
_LEAVES = st.one_of(
    _COMPARES,
    st.sampled_from(list(FACTS)).map(Unknown),
    st.sampled_from(["green", "yellow", "red"]).map(lambda colour: BandIs("a", colour)),  # type: ignore[arg-type]
)


def _grown(parts: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    lists = st.lists(parts, min_size=1, max_size=3).map(tuple)
    return st.one_of(lists.map(All), lists.map(AnyOf), parts.map(Not))


CONDITIONS: st.SearchStrategy[Condition] = st.recursive(_LEAVES, _grown, max_leaves=6)


def all_points() -> Iterator[dict[str, int | None]]:
    ranges = [[*range(spec.low, spec.high + 1), None] for spec in FACTS.values()]
    for values in product(*ranges):
        yield dict(zip(FACTS, values, strict=True))


def truths(conditions: tuple[Condition, ...], point: Mapping[str, int | None]) -> tuple[Truth, ...]:
    return tuple(truth(condition, point, BANDS) for condition in conditions)


@given(
    st.tuples(CONDITIONS, CONDITIONS),
    st.frozensets(st.tuples(st.sampled_from([True, False, None]), st.sampled_from([True, False, None])), min_size=1),
)
def test_a_point_is_found_just_where_there_is_one(
    conditions: tuple[Condition, Condition], asked: frozenset[tuple[Truth, ...]]
) -> None:
    expressions = [expression(one, BANDS) for one in conditions]
    found = find(expressions, lambda one: one in asked, FACTS, USUAL)
    there_is = any(truths(conditions, point) in asked for point in all_points())
    assert (found is not None) == there_is
    if found is not None:
        assert truths(conditions, {**USUAL, **found}) in asked


@given(CONDITIONS)
def test_a_condition_is_no_different_from_itself(condition: Condition) -> None:
    one = expression(condition, BANDS)
    assert find([one, one], lambda pair: pair[0] is not pair[1], FACTS, USUAL) is None


def test_the_usual_value_is_preferred() -> None:
    condition = All((Compare("a", "<", 5), Compare("b", ">", 2)))
    assert find([expression(condition, {})], lambda one: one[0] is True, FACTS, USUAL) == {"a": 1, "b": 3}


def test_a_search_that_grows_too_large_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "MAX_NODES", 1)
    conditions = [
        AnyOf((Compare("a", ">", 2), Compare("b", ">", 1))),
        AnyOf((Compare("b", ">", 1), Compare("c", "=", 1))),
    ]
    with pytest.raises(UndecidedError):
        find([expression(one, {}) for one in conditions], lambda pair: pair == (False, None), FACTS, USUAL)
