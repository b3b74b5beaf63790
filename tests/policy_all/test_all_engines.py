"""Both engines on every shipped policy: at, just under and just over each threshold, with unknowns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.policy.difference.firing import compares
from engine.policy.durable import MAX_LEAVES, compile_policy
from engine.policy.model import Snapshot

if TYPE_CHECKING:
    from engine.policy.model import Policy
    from tests.policy_all.conftest import Desk

NAMES = ("launch", "stages", "action", "risk_guard", "restart", "review")


def edges(policy: Policy) -> dict[str, list[int | None]]:
    """Return values worth trying for each input: around each threshold, the ends of the range, unknown."""
    values: dict[str, set[int | None]] = {}
    for fact in policy.facts:
        spec = policy.vocabulary.facts[fact]
        values[fact] = {None, spec.low, spec.high}
    leaves = [leaf for instance in policy.instances for leaf in compares(instance.when)]
    leaves += [edge for band in policy.bands.values() for edge in (band.green, band.red)]
    for leaf in leaves:
        spec = policy.vocabulary.facts[leaf.fact]
        near = (leaf.steps - 1, leaf.steps, leaf.steps + 1)
        values[leaf.fact] |= {steps for steps in near if spec.low <= steps <= spec.high}
    for instance in policy.timed:
        assert instance.span
        values[instance.days_key] = {0, instance.span.days - 1, instance.span.days, instance.span.days + 1}
    return {name: sorted(found, key=lambda one: (one is None, one or 0)) for name, found in values.items()}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_both_engines_fire_the_same_rules(desk: Desk, name: str, data: st.DataObject) -> None:
    policy = desk.bundle.policies[name]
    values = {key: data.draw(st.sampled_from(found), label=key) for key, found in edges(policy).items()}
    decision = desk.engines[name].decide(Snapshot(0, values))
    assert decision.trusted, decision


@pytest.mark.parametrize("name", NAMES)
def test_each_input_alone_at_each_edge(desk: Desk, name: str) -> None:
    policy = desk.bundle.policies[name]
    tried = edges(policy)
    base = {key: None if key in policy.facts else 0 for key in tried}
    for key, found in tried.items():
        for value in found:
            decision = desk.engines[name].decide(Snapshot(0, {**base, key: value}))
            assert decision.trusted, (key, value, decision)


def test_every_shipped_policy_is_tried_here(desk: Desk) -> None:
    assert set(NAMES) == set(desk.bundle.policies)


def test_the_launch_guard_needs_several_shards_each_within_the_engines_limit(desk: Desk) -> None:
    shards = compile_policy(desk.bundle.policies["launch"]).shards
    assert len(shards) > 1
    for shard in shards:
        text = repr(shard["rules"])
        assert text.count("'v") + text.count("'k") <= MAX_LEAVES
