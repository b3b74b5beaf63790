"""What a sound file is read as: thresholds in exact steps, spans, gaps, instances, references."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from engine.clock import HOUR_MS, MINUTE_MS
from engine.errors import PolicyError
from engine.policy.load import parse_policy, parse_vocabulary
from engine.policy.model import All, AnyOf, BandIs, Compare, Not, Span, Unknown, facts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.policy.model import Condition, Policy, Vocabulary

RULE = """
rules:
  r: {{outcome: STOP, when: {when}, because: it must{more}}}
  up: {{outcome: RISE, when: {{n: "> 5"}}, because: b}}
"""


@pytest.fixture
def rule(small_policy: Callable[[str], Policy]) -> Callable[..., Policy]:
    """Return a function from one condition (and more keys) to a policy with the rule `r`."""

    def policy(when: str, more: str = "", before: str = "") -> Policy:
        return small_policy(before + RULE.format(when=when, more=f", {more}" if more else ""))

    return policy


@pytest.mark.parametrize(
    ("when", "steps"),
    [
        ("{x: '> 0.29'}", 29),  # 0.29 / 0.01 is 28.999999999999996 in floats
        ("{x: '>= -99.99'}", -9999),
        ("{x: '= +3'}", 300),
        ("{y: '< 12.3%'}", 123),
        ("{n: '!= 7'}", 7),
        ("{mode: '= FLATTEN_ALL'}", 2),
        ("{up: '!= yes'}", 1),
    ],
)
def test_thresholds_are_exact_steps(rule: Callable[..., Policy], when: str, steps: int) -> None:
    condition = rule(when).instances[0].when
    assert isinstance(condition, Compare)
    assert condition.steps == steps


def test_times_are_converted(vocabulary: Vocabulary, action: Policy) -> None:
    assert action.vocabulary is vocabulary
    stale, lost = action.rules["equity_stale"].when, action.rules["equity_lost"].when
    assert isinstance(stale, Compare)
    assert isinstance(lost, Compare)
    assert (stale.steps, lost.steps) == (60 * 100, 24 * 60 * 100)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("{x: unknown}", Unknown("x")),
        ("{not: {x: unknown}}", Not(Unknown("x"))),
        ("{y: red}", BandIs("y", "red")),
        ("{every_band: green}", All((BandIs("y", "green"), BandIs("n", "green")))),
        ("{any: [{x: '> 1'}, {n: '< 3'}]}", AnyOf((Compare("x", ">", 100), Compare("n", "<", 3)))),
        ("{all: [{x: '> 1'}, {not: {n: '< 3'}}]}", All((Compare("x", ">", 100), Not(Compare("n", "<", 3))))),
    ],
)
def test_conditions(rule: Callable[..., Policy], when: str, expected: Condition) -> None:
    bands = 'bands: {y: {green: "> 5%", red: "< 0%"}, n: {green: "= 0", red: "> 2"}}\n'
    policy = rule(when, before=bands)
    assert policy.instances[0].when == expected
    assert set(facts_of(expected)) <= set(policy.facts)


def test_each_band_makes_one_rule_a_band(rule: Callable[..., Policy]) -> None:
    bands = 'bands: {y: {green: "> 5%", red: "< 0%"}, n: {green: "= 0", red: "> 2"}}\n'
    policy = rule("{all: [{band: yellow}, {x: '> 1'}]}", "each: band", bands)
    assert [instance.id for instance in policy.instances] == ["r[y]", "r[n]", "up"]
    assert policy.by_id["r[n]"].when == All((BandIs("n", "yellow"), Compare("x", ">", 100)))
    assert policy.by_id["r[n]"].band == "n"


@pytest.mark.parametrize(
    ("more", "span", "gap"),
    [
        ("", None, "holds"),
        ("for: 1 day", Span(1), "holds"),
        ("for: 4 days", Span(4), "holds"),
        ("for: 3 of 5 days", Span(3, 5), "holds"),
        ("for: 4 days, gap: counts", Span(4), "counts"),
        ("for: 4 days, gap: breaks", Span(4), "breaks"),
    ],
)
def test_spans_and_gaps(rule: Callable[..., Policy], more: str, span: Span | None, gap: str) -> None:
    instance = rule("{x: '> 1'}", more).instances[0]
    assert (instance.span, instance.rule.gap) == (span, gap)


def test_an_unknown_day_breaks_a_promotion_by_default(small_policy: Callable[[str], Policy]) -> None:
    rules = """
  s: {outcome: STOP, when: {x: "> 1"}, for: 2 days, because: b}
  r: {outcome: RISE, when: {x: "< 1"}, for: 2 days, because: b}
"""
    policy = small_policy(f"rules:{rules}")
    assert [instance.rule.gap for instance in policy.instances] == ["holds", "breaks"]
    assert policy.inputs == ("x", "days s", "days r")


def test_parameters_are_put_in_and_remembered(rule: Callable[..., Policy]) -> None:
    limit = "parameters: {limit: {value: 3%, range: [1%, 5%], about: the limit}}\n"
    condition = rule("{y: '> $limit'}", before=limit).instances[0].when
    assert condition == Compare("y", ">", 30)
    assert isinstance(condition, Compare)
    assert (condition.text, condition.parameter) == ("> 3%", "limit")


def test_hash_source_and_text_are_kept(action: Policy) -> None:
    assert len(action.sha256) == 64
    assert action.source.endswith("policies/action.yaml")
    assert action.text.startswith("# What the ensemble may do")
    assert action.rules["hard_stop_drawdown"].where.startswith(action.source)


def test_the_vocabulary_in_steps() -> None:
    text = """
vocabulary: v
facts:
  a: {title: a, unit: ratio, worse: higher, range: [-1, 2.5], resolution: 0.0001, max_age: 61 minutes, from: here}
  b: {title: b, unit: "one of [P, Q, R]", worse: neither, max_age: 26 hours, from: there}
"""
    facts = parse_vocabulary(text.encode(), "v.yaml").facts
    a, b = facts["a"], facts["b"]
    assert (a.low, a.high, a.resolution, a.max_age_ms) == (-10_000, 25_000, Decimal("0.0001"), 61 * MINUTE_MS)
    assert (b.low, b.high, b.choices, b.max_age_ms) == (0, 2, ("P", "Q", "R"), 26 * HOUR_MS)


def test_a_file_is_checked_against_the_vocabulary_it_is_given(small: Vocabulary, action: Policy) -> None:
    with pytest.raises(PolicyError, match="there is no fact `drawdown`"):
        parse_policy(action.text.encode(), "action.yaml", small)


def test_loading_is_pure(action: Policy, vocabulary: Vocabulary) -> None:
    again = parse_policy(action.text.encode(), action.source, vocabulary)
    assert again == action
    assert again.instances == action.instances
