"""`unless`, switched-off rules, stages as rules, shared parameters, milliseconds, and comparisons of two facts."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from cerberus import Validator
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS
from engine.documents import read_document
from engine.errors import PolicyError
from engine.fits import fits
from engine.policy.derive import Day, derive
from engine.policy.durable import DurableEngine
from engine.policy.expansion import not_true
from engine.policy.explain import explained
from engine.policy.facts import Fact, validated_all
from engine.policy.interpreter import truth
from engine.policy.load import parse_policy, parse_vocabulary
from engine.policy.model import All, AnyOf, Band, BandIs, Compare, Condition, Not, Policy, Snapshot, Unknown, Vocabulary
from engine.policy.schema import POLICY, VOCABULARY

ROOT = Path(__file__).resolve().parents[2]
NOW_MS = 20_000 * DAY_MS + HOUR_MS
FACTS = """vocabulary: small
parameters:
  limit: {value: "50%", range: ["0%", "100%"], about: a limit that policies share}
facts:
  x: {title: x, unit: ratio, worse: higher, range: [-100, 100], resolution: 0.01, max_age: 1 hour, from: a test}
  y: {title: y, unit: ratio, worse: higher, range: [-10, 10], resolution: 0.1, max_age: 1 hour, from: a test}
  z: {title: z, unit: percent, worse: higher, range: [0, 100], resolution: 0.1, max_age: 1 hour, from: a test}
  lag: {title: lag, unit: ms, worse: higher, range: [0, 100000], resolution: 0.5, max_age: 1 hour, from: a test}
  up: {title: up, unit: flag, worse: neither, max_age: 1 hour, from: a test}
"""
FRAME = """policy: small
title: a policy made by a test
outcomes: [STOP, KEEP]
otherwise: KEEP
effects: {STOP: {}, KEEP: {}}
exit: {KEEP: 0, STOP: 30}
"""


def small() -> Vocabulary:
    return parse_vocabulary(FACTS.encode(), "facts.yaml")


def policy_of(rule: str, extra: str = "") -> Policy:
    text = f"{FRAME}{extra}rules:\n  r:\n    outcome: STOP\n    because: it must\n{rule}"
    return parse_policy(text.encode(), "small.yaml", small())


def fired(policy: Policy, days: list[dict[str, Any]] | None = None, **values: Any) -> tuple[str, ...]:
    """Return what both engines fire; a value in angle brackets is a status."""

    def posted(given_: dict[str, Any], at_ms: int) -> dict[str, Fact]:
        facts = [
            Fact(name, None, value[1:-1], at_ms) if isinstance(value, str) else Fact(name, value, "ok", at_ms)  # type: ignore[arg-type]
            for name, value in given_.items()
        ]
        return validated_all(facts, policy.vocabulary, at_ms)

    midnight = NOW_MS - HOUR_MS
    history = days or []
    past = [
        Day(midnight - (len(history) - 1 - index) * DAY_MS, posted(day, midnight - (len(history) - 1 - index) * DAY_MS))
        for index, day in enumerate(history)
    ]
    decision = DurableEngine(policy).decide(derive(policy, posted(values, NOW_MS), past, NOW_MS))
    assert decision.trusted
    return decision.fired


# ── unless ──


@pytest.mark.parametrize(
    ("up", "expected"), [(True, ()), (False, ("r",)), ("<missing>", ("r",)), ("<young>", ("r",)), ("<stale>", ("r",))]
)
def test_unless_fires_on_false_and_on_unknown(up: Any, expected: tuple[str, ...]) -> None:
    assert fired(policy_of('    unless: {up: "= yes"}\n'), up=up) == expected


@pytest.mark.parametrize(
    ("x", "z", "expected"),
    [(2, 60, ()), (0, 60, ("r",)), (2, 40, ("r",)), ("<missing>", 60, ("r",)), (2, "<missing>", ("r",))],
)
def test_unless_all_needs_every_part(x: Any, z: Any, expected: tuple[str, ...]) -> None:
    assert fired(policy_of('    unless: {all: [{x: "> 1"}, {z: "> $limit"}]}\n'), x=x, z=z) == expected


@pytest.mark.parametrize(
    ("x", "z", "expected"),
    [(2, 40, ()), (0, 60, ()), ("<missing>", 60, ()), (0, 40, ("r",)), ("<missing>", 40, ("r",))],
)
def test_unless_any_needs_one_part(x: Any, z: Any, expected: tuple[str, ...]) -> None:
    assert fired(policy_of('    unless: {any: [{x: "> 1"}, {z: "> $limit"}]}\n'), x=x, z=z) == expected


def conditions() -> st.SearchStrategy[Condition]:
    leaves: st.SearchStrategy[Condition] = st.one_of(
        st.builds(Compare, st.sampled_from("abc"), st.sampled_from([">", "<=", "="]), st.integers(0, 2)),
        st.builds(Unknown, st.sampled_from("abc")),
        st.builds(BandIs, st.just("a"), st.sampled_from(["green", "yellow", "red"])),
    )

    def joined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return st.one_of(st.builds(All, parts), st.builds(AnyOf, parts), st.builds(Not, inner))

    return st.recursive(leaves, joined, max_leaves=8)


@given(conditions(), st.fixed_dictionaries({name: st.none() | st.integers(0, 3) for name in "abc"}))
def test_not_true_is_true_exactly_where_the_condition_is_not(
    condition: Condition, values: dict[str, int | None]
) -> None:
    bands = {"a": Band("a", Compare("a", "<", 1), Compare("a", ">", 2))}
    assert truth(not_true(condition), values, bands) is (truth(condition, values, bands) is not True)


def test_unless_is_told_as_one_condition_with_its_value_and_margin() -> None:
    policy = policy_of('    unless: {lag: "<= 500 ms"}\n')
    late, unknown, fine = (explained(policy, Snapshot(0, {"lag": steps}))[0] for steps in (1001, None, 1000))
    assert [(leaf.test, leaf.value, leaf.truth, leaf.margin) for leaf in late.conditions] == [
        ("> 500 ms or unknown", "500.5", "TRUE", "0.5")
    ]
    assert [(leaf.test, leaf.value, leaf.truth) for leaf in unknown.conditions] == [
        ("> 500 ms or unknown", None, "TRUE")
    ]
    assert (fine.truth, fine.conditions[0].truth) == ("FALSE", "FALSE")
    assert policy.rules["r"].unless == Compare("lag", "<=", 1000)


def test_a_rule_may_name_a_severity_and_a_cure() -> None:
    rule = policy_of('    severity: SOFT\n    cure: do it\n    when: {x: "> 1"}\n').rules["r"]
    assert (rule.severity, rule.cure, rule.enabled) == ("SOFT", "do it", True)


# ── switched off ──


def test_a_rule_that_is_off_is_read_and_never_fires() -> None:
    text = '    enabled: no\n    when: {x: "> 1"}\n  s: {outcome: STOP, enabled: yes, when: {x: "> 2"}, because: b}\n'
    policy = policy_of(text)
    assert not policy.rules["r"].enabled
    assert [instance.id for instance in policy.instances] == ["s"]
    assert fired(policy, x=1.5) == ()
    assert fired(policy, x=2.5) == ("s",)


# ── two facts of one unit ──

RATIOS = policy_of('    when: {x: "> y"}\n')


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (0.51, 0.5, ("r",)),
        (0.5, 0.5, ()),
        (0.49, 0.5, ()),
        (-9.99, -10.0, ("r",)),
        ("<missing>", 0, ()),
        (1, "<stale>", ()),
    ],
)
def test_two_facts_of_one_unit_are_compared_exactly(x: Any, y: Any, expected: tuple[str, ...]) -> None:
    assert fired(RATIOS, x=x, y=y) == expected


@given(st.integers(-10000, 10000), st.integers(-100, 100), st.sampled_from([">", ">=", "<", "<=", "=", "!="]))
@settings(max_examples=60)
def test_the_difference_of_two_facts_decides_like_the_facts(x: int, y: int, operator: str) -> None:
    policy = policy_of(f'    when: {{x: "{operator} y"}}\n')
    left, right = x, y * 10  # x in hundredths, y in tenths
    expected = {
        ">": left > right,
        ">=": left >= right,
        "<": left < right,
        "<=": left <= right,
        "=": left == right,
        "!=": left != right,
    }[operator]
    facts = {"x": Fact("x", x / 100, "ok", 0), "y": Fact("y", y / 10, "ok", 0)}
    snapshot = derive(policy, facts, [], 0)
    assert truth(policy.instances[0].when, snapshot.values, {}) is expected


def test_a_comparison_of_facts_is_told_with_the_left_one_and_how_far_apart_they_are() -> None:
    snapshot = derive(RATIOS, {"x": Fact("x", 0.7, "ok", 0), "y": Fact("y", 0.5, "ok", 0)}, [], 0)
    (leaf,) = explained(RATIOS, snapshot)[0].conditions
    assert (leaf.fact, leaf.value, leaf.test, leaf.truth, leaf.margin) == ("x", "0.7", "> y", "TRUE", "0.2")
    assert RATIOS.facts == ("x", "y", "x - y")


def test_differences_are_never_posted() -> None:
    assert "x - y" in RATIOS.vocabulary.facts
    assert "x - y" not in validated_all([], RATIOS.vocabulary, 0)


def test_a_young_fact_behind_a_difference_breaks_a_streak() -> None:
    policy = policy_of('    when: {x: "> y"}\n    for: 2 days\n')
    good = {"x": 1.0, "y": 0.0}
    assert fired(policy, [good, good], **good) == ("r",)
    assert fired(policy, [good, {"x": 1.0, "y": "<young>"}, good], **good) == ()
    assert fired(policy, [good, {"x": 1.0, "y": "<missing>"}, good], **good) == ("r",), "a gap holds"


# ── shared parameters and milliseconds ──


@pytest.mark.parametrize(("z", "expected"), [(50.0, ()), (50.1, ("r",))])
def test_a_parameter_of_the_vocabulary_is_known_to_every_policy(z: float, expected: tuple[str, ...]) -> None:
    assert fired(policy_of('    when: {z: "> $limit"}\n'), z=z) == expected


def test_every_shared_parameter_is_read_by_more_than_one_rule() -> None:
    texts = [path.read_text() for path in (ROOT / "policies").glob("*.yaml") if path.name != "facts.yaml"]
    document = read_document(ROOT / "policies" / "facts.yaml")
    for name in document.data["parameters"]:
        assert sum(f"${name}" in text for text in texts) > 1, f"`{name}` belongs to one policy"


@pytest.mark.parametrize(("lag", "expected"), [(99.5, ()), (100.0, ("r",))])
def test_milliseconds(lag: float, expected: tuple[str, ...]) -> None:
    assert fired(policy_of('    when: {lag: ">= 100 ms"}\n'), lag=lag) == expected


# ── the quick check of a file's shape ──

DOCUMENTS = [
    (read_document(path).data, VOCABULARY if path.stem == "facts" else POLICY)
    for path in sorted((ROOT / "policies").glob("*.yaml"))
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 200),
    st.floats(),
    st.sampled_from(["", "no", "HARD", "A", "a b"]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.sampled_from(["a", "to", "when"]), st.integers(), max_size=2),
)


def test_every_shipped_file_passes_the_quick_check() -> None:
    assert all(fits(data, schema) for data, schema in DOCUMENTS)


@given(st.sampled_from(range(len(DOCUMENTS))), st.data())
@settings(max_examples=150, deadline=None)
def test_the_quick_check_passes_only_what_cerberus_passes(which: int, data: st.DataObject) -> None:
    original, schema = DOCUMENTS[which]
    document = copy.deepcopy(original)
    here: Any = document
    for _ in range(data.draw(st.integers(0, 4))):
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        inner = here[data.draw(st.sampled_from(keys))] if keys else None
        if not isinstance(inner, dict | list) or not inner:
            break
        here = inner
    key = data.draw(st.sampled_from(list(here) if isinstance(here, dict) else list(range(len(here)))))
    change = data.draw(st.sampled_from(["value", "drop", "add"]))
    if change == "drop":
        del here[key]
    elif change == "add" and isinstance(here, dict):
        here[data.draw(st.sampled_from(["extra", "when", "to", "0", "A"]))] = data.draw(VALUES)
    else:
        here[key] = data.draw(VALUES)
    assert not fits(document, schema) or Validator(schema).validate(document, normalize=False)


def test_stages_without_the_facts_they_read_are_refused_once() -> None:
    stage = "    cap: 0 usd\n    min_days: 1\n"
    ways = '    promote: {to: 1, all: [{x: "> 1"}]}\n', '    restart_at: 0\n    abort: {to: 0, any: [{x: "< 0"}]}\n'
    text = FRAME.replace("[STOP, KEEP]", "[ABORT, PROMOTE, KEEP]").replace("STOP: {}", "ABORT: {}, PROMOTE: {}")
    text = text.replace("STOP: 30", "ABORT: 30, PROMOTE: 10") + f"stages:\n  0:\n{stage}{ways[0]}  1:\n{stage}{ways[1]}"
    with pytest.raises(PolicyError) as refused:
        parse_policy(text.encode(), "stages.yaml", small())
    assert [problem.problem for problem in refused.value.problems] == [
        "the vocabulary has no fact `stage`, which the stages read",
        "the vocabulary has no fact `days_in_stage`, which the stages read",
    ]
