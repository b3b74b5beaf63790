"""durable-rules against the interpreter, on generated policies and on facts at, just under and just over thresholds."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import PolicyError
from engine.policy.durable import MAX_LEAVES, DurableEngine, compile_policy
from engine.policy.effects import Effects
from engine.policy.interpreter import evaluate
from engine.policy.model import (
    All,
    AnyOf,
    Band,
    BandIs,
    Compare,
    FactSpec,
    Instance,
    Not,
    Policy,
    Rule,
    Snapshot,
    Span,
    Unknown,
    Vocabulary,
)
from engine.policy.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.policy.model import Condition

EXTREME = 10**15
FACTS = tuple(f"f{number}" for number in range(6))
OPERATORS = st.sampled_from((">", ">=", "<", "<=", "=", "!="))
THRESHOLDS = st.integers(-3, 3) | st.sampled_from((EXTREME, -EXTREME, EXTREME - 1, 2**31, -(2**31), 2**32, 2**49))
COMPARES = st.builds(Compare, st.sampled_from(FACTS), OPERATORS, THRESHOLDS)
COLOURS = st.builds(BandIs, st.sampled_from(FACTS[:3]), st.sampled_from(("green", "yellow", "red")))
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    COMPARES | COLOURS | st.builds(Unknown, st.sampled_from(FACTS)),
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(All, st.lists(inner, min_size=1, max_size=4).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=1, max_size=4).map(tuple))
    ),
    max_leaves=10,
)
# Values around every threshold, and the unknown.
VALUES = st.none() | THRESHOLDS.flatmap(lambda edge: st.integers(max(-EXTREME, edge - 1), min(EXTREME, edge + 1)))


def policy_of(rules: Sequence[tuple[Condition, Span | None]], bands: dict[str, Band]) -> Policy:
    specs = {name: FactSpec(name, name, "ratio", "higher", -EXTREME, EXTREME, Decimal(1), 1, "t") for name in FACTS}
    written = [
        Rule(
            f"rule{number}",
            "STOP",
            when,
            span,
            "holds",
            each_band=False,
            effects=Effects(),
            episode="",
            because="",
            refs=(),
        )
        for number, (when, span) in enumerate(rules)
    ]
    return Policy(
        name="made",
        title="made",
        vocabulary=Vocabulary("made", specs, "", ""),
        outcomes=("STOP", "KEEP"),
        otherwise="KEEP",
        promotes=(),
        parameters={},
        bands=bands,
        rules={rule.name: rule for rule in written},
        instances=tuple(Instance(rule.name, rule, "", rule.when) for rule in written),
        effects={},
        episodes={},
        exit_codes={},
        stages={},
        sha256="",
        source="made",
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    bands = {
        fact: Band(
            fact,
            draw(st.builds(Compare, st.just(fact), OPERATORS, THRESHOLDS)),
            draw(st.builds(Compare, st.just(fact), OPERATORS, THRESHOLDS)),
        )
        for fact in FACTS[:3]
    }
    spans = st.none() | st.none() | st.builds(Span, st.integers(1, 4))
    return policy_of(draw(st.lists(st.tuples(CONDITIONS, spans), min_size=1, max_size=12)), bands)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Policy, list[Snapshot]]:
    policy = draw(policies())
    values = {name: st.integers(0, 5) if name.startswith("days ") else VALUES for name in policy.inputs}
    snapshots = draw(st.lists(st.fixed_dictionaries(values), min_size=1, max_size=12))
    return policy, [Snapshot(0, one) for one in snapshots]


def small_enough(policy: Policy) -> bool:
    try:
        compile_policy(policy)
    except PolicyError:
        return False
    return True


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(cases().filter(lambda case: small_enough(case[0])))
def test_both_engines_fire_the_same_rules(case: tuple[Policy, list[Snapshot]]) -> None:
    policy, snapshots = case
    engine = DurableEngine(policy)
    for snapshot in snapshots:
        assert engine.fired(snapshot) == evaluate(policy, snapshot)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(cases().filter(lambda case: small_enough(case[0])))
def test_the_worker_fires_the_same_rules(case: tuple[Policy, list[Snapshot]]) -> None:
    policy, snapshots = case
    with Worker(policy) as worker:
        for snapshot in snapshots:
            assert worker.fired(snapshot) == evaluate(policy, snapshot)


def around(policy: Policy, fact: str) -> list[int | None]:
    """Return every threshold of a fact with its neighbours, inside the range, and None."""
    edges: set[int] = set()

    def visit(condition: Condition) -> None:
        match condition:
            case Compare():
                edges.update(condition.steps + step for step in (-1, 0, 1) if condition.fact == fact)
            case BandIs():
                visit(policy.bands[condition.fact].green)
                visit(policy.bands[condition.fact].red)
            case All(parts) | AnyOf(parts):
                for part in parts:
                    visit(part)
            case Not(part):
                visit(part)

    for instance in policy.instances:
        visit(instance.when)
    spec = policy.vocabulary.facts[fact]
    return [None, *sorted(edge for edge in edges | {spec.low, spec.high} if spec.low <= edge <= spec.high)]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_both_engines_agree_on_the_shipped_policy(
    action: Policy, shipped_engine: DurableEngine, data: st.DataObject
) -> None:
    values = {fact: st.sampled_from(around(action, fact)) for fact in action.facts}
    days = {one.days_key: st.integers(0, 12) for one in action.timed}
    snapshot = Snapshot(0, data.draw(st.fixed_dictionaries({**values, **days})))
    assert shipped_engine.fired(snapshot) == evaluate(action, snapshot)


def test_both_engines_agree_on_every_single_edge_of_the_shipped_policy(
    action: Policy, shipped_engine: DurableEngine
) -> None:
    """Each fact through its thresholds alone, the others unknown, then at their first known edge."""
    for others in (0, 1):
        rest = {fact: around(action, fact)[others] for fact in action.facts}
        for fact in action.facts:
            for value in around(action, fact):
                for days in (0, 3, 4, 10):
                    counted = {one.days_key: days for one in action.timed}
                    snapshot = Snapshot(0, {**rest, fact: value, **counted})
                    assert shipped_engine.fired(snapshot) == evaluate(action, snapshot)


@pytest.fixture(scope="module")
def shipped_engine(action: Policy) -> DurableEngine:
    return DurableEngine(action)


def test_more_leaves_than_one_ruleset_holds_are_packed_into_several() -> None:
    """Above 64 pending leaves the engine answers with error 303, depending on the data."""
    rules: list[tuple[Condition, Span | None]] = [(Compare(FACTS[n % 6], ">", n % 5 - 2), None) for n in range(200)]
    policy = policy_of(rules, {})
    compiled = compile_policy(policy)
    assert len(compiled.shards) > 6
    engine = DurableEngine(policy)
    for value in (None, -3, -2, 0, 2, 3):
        snapshot = Snapshot(0, dict.fromkeys(FACTS, value))
        assert engine.fired(snapshot) == evaluate(policy, snapshot)


def test_a_rule_that_no_ruleset_can_hold_is_refused() -> None:
    parts = tuple(Compare(FACTS[n % 6], "!=", n) for n in range(MAX_LEAVES))
    with pytest.raises(PolicyError, match="too-many-conditions"):
        compile_policy(policy_of([(All(parts), None)], {}))


def test_an_unknown_fact_is_never_compared() -> None:
    """The stand-in for an unknown is 0: no comparison with 0 may see it."""
    rules: list[tuple[Condition, Span | None]] = [
        (Compare("f0", operator, 0), None) for operator in (">", ">=", "<", "<=", "=", "!=")
    ]
    rules += [(Not(condition), None) for condition, _ in rules]
    assert DurableEngine(policy_of(rules, {})).fired(Snapshot(0, dict.fromkeys(FACTS))) == ()
