"""Series in short form: what they mean, what they refuse, and that nothing is lost on the way there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.policy.facts import in_steps
from engine.policy.load import parse_vocabulary
from engine.policy.quantity import MistakeError
from engine.policy.testing.series import Entry, fact_series, shortened, word_series

if TYPE_CHECKING:
    from engine.policy.model import Vocabulary

FACTS = parse_vocabulary(
    b"""
vocabulary: series
facts:
  ratio: {title: a, unit: ratio, worse: lower, range: [-10, 10], resolution: 0.01, max_age: 1 hour, from: a test}
  percent: {title: a, unit: percent, worse: lower, range: [-100, 100], resolution: 0.5, max_age: 1 hour, from: a test}
  multiple: {title: a, unit: multiple, worse: lower, range: [0, 10], resolution: 0.1, max_age: 1 hour, from: a test}
  usd: {title: a, unit: usd, worse: lower, range: [0, 9000], resolution: 1, max_age: 1 hour, from: a test}
  minutes: {title: a, unit: minutes, worse: lower, range: [0, 9000], resolution: 0.25, max_age: 1 hour, from: a test}
  count: {title: a, unit: count, worse: lower, range: [0, 9], resolution: 1, max_age: 1 hour, from: a test}
  flag: {title: a, unit: flag, worse: neither, max_age: 1 hour, from: a test}
  word: {title: a, unit: "one of [CLEAR, TIERx2, young]", worse: neither, max_age: 1 hour, from: a test}
""",
    "series.yaml",
).facts


def steps(fact: str, raw: Any) -> list[int | str | None]:
    return [entry.status if entry.steps is None else entry.steps for entry in fact_series(FACTS[fact], raw)]


@pytest.mark.parametrize(
    ("fact", "raw", "expected"),
    [
        ("ratio", "0.9x3 _ 0.9", [90, 90, 90, "missing", 90]),
        ("ratio", 0.9, [90]),
        ("ratio", -1, [-100]),
        ("ratio", "young stale invalid missing _x2", ["young", "stale", "invalid", "missing", "missing", "missing"]),
        ("percent", "1% -1.5%x2", [2, -3, -3]),
        ("percent", "1%..3%x5", [2, 3, 4, 5, 6]),
        ("percent", "3%..1%x3 0%", [6, 4, 2, 0]),
        ("percent", "0%..1%x4", [0, 1, 1, 2]),
        ("multiple", "1.2x3", [12, 12, 12]),
        ("multiple", "1.2x", [12]),
        ("multiple", "1.2xx3", [12, 12, 12]),
        ("usd", "5000 usd", [5000]),
        ("usd", "5000usdx2 1usd", [5000, 5000, 1]),
        ("minutes", "24 hours", [5760]),
        ("minutes", "1hourx2 15minutes", [240, 240, 60]),
        ("count", "0..3x4", [0, 1, 2, 3]),
        ("flag", True, [1]),
        ("flag", "yesx2 no _", [1, 1, 0, "missing"]),
        ("word", "CLEARx2 TIERx2 TIERx2x2", [0, 0, 1, 1, 1]),
        ("word", "young stale", [2, "stale"]),
    ],
)
def test_a_series_says_what_each_day_holds(fact: str, raw: Any, expected: list[int | str | None]) -> None:
    assert steps(fact, raw) == expected


@pytest.mark.parametrize(
    ("fact", "raw", "code"),
    [
        ("percent", "0.12", "unit"),
        ("percent", 0.13, "unit"),
        ("ratio", "12%x3", "unit"),
        ("ratio", "11", "range"),
        ("ratio", "0.001", "resolution"),
        ("ratio", "big", "threshold"),
        ("ratio", "", "series"),
        ("ratio", None, "series"),
        ("ratio", [1, 2], "series"),
        ("ratio", {"a": 1}, "series"),
        ("ratio", True, "series"),
        ("ratio", float("nan"), "threshold"),
        ("ratio", float("inf"), "threshold"),
        ("ratio", "1e2", "threshold"),
        ("ratio", "1..2", "series"),
        ("ratio", "1..2x1", "series"),
        ("ratio", "0x3660 0", "series"),
        ("ratio", "0x99999", "series"),
        ("count", "1.5", "resolution"),
        ("word", "clear", "choice"),
        ("word", "CLEAR..TIERx2x3", "series"),
        ("flag", 1, "choice"),
    ],
)
def test_a_series_that_means_nothing_is_refused(fact: str, raw: Any, code: str) -> None:
    with pytest.raises(MistakeError) as caught:
        fact_series(FACTS[fact], raw)
    assert caught.value.code == code


def test_outcomes_by_day() -> None:
    assert word_series("KEEPx2 _ PAUSE", ["PAUSE", "KEEP"], "outcome") == ("KEEP", "KEEP", None, "PAUSE")
    with pytest.raises(MistakeError, match="unknown-outcome"):
        word_series("KEEPx2 STOP", ["PAUSE", "KEEP"], "outcome")
    with pytest.raises(MistakeError, match="series"):
        word_series(["KEEP"], ["PAUSE", "KEEP"], "outcome")


def entries(fact: str) -> st.SearchStrategy[Entry]:
    spec = FACTS[fact]
    return st.one_of(
        st.integers(spec.low, spec.high).map(Entry),
        st.sampled_from(["missing", "stale", "invalid"]).map(lambda status: Entry(None, status)),  # type: ignore[arg-type]
    )


@given(st.sampled_from(list(FACTS)).flatmap(lambda fact: st.tuples(st.just(fact), st.lists(entries(fact), min_size=1))))
def test_entries_written_short_read_back_the_same(case: tuple[str, list[Entry]]) -> None:
    fact, days = case
    spec = FACTS[fact]
    assert list(fact_series(spec, shortened(entry.text(spec) for entry in days))) == days


@given(st.sampled_from(list(FACTS)).flatmap(lambda fact: st.tuples(st.just(fact), entries(fact))))
def test_a_posted_entry_has_its_steps(case: tuple[str, Entry]) -> None:
    fact, entry = case
    posted = entry.posted(FACTS[fact], 0)
    assert posted.status == entry.status
    assert in_steps(posted, FACTS[fact]) == entry.steps


def test_a_repetition_stands_for_its_days(tiny_vocabulary: Vocabulary) -> None:
    spec = tiny_vocabulary.facts["x"]
    assert fact_series(spec, "1x3 2") == fact_series(spec, "1 1 1 2")
