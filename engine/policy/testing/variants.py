"""A policy with other rules than those it was written with; all else stays as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.policy.expansion import instances_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.policy.model import Policy, Rule


def with_rule(policy: Policy, name: str, rule: Rule | None) -> Policy:
    """Return the policy with another rule under `name`, or without it."""
    rules = {**policy.rules, name: rule}
    return with_rules(policy, {one: kept for one, kept in rules.items() if kept is not None})


def with_rules(policy: Policy, rules: Mapping[str, Rule]) -> Policy:
    """Return the policy with other rules, and what they stand for."""
    instances = tuple(one for rule in rules.values() for one in instances_of(rule, policy.bands))
    return replace(policy, rules=rules, instances=instances)


def switched(policy: Policy, names: Collection[str]) -> Policy:
    """Return the policy with the rules of these names switched on: a rule that is off is tested too."""
    off = {name for name in names if name in policy.rules and not policy.rules[name].enabled}
    if not off:
        return policy
    return with_rules(
        policy, {name: replace(rule, enabled=True) if name in off else rule for name, rule in policy.rules.items()}
    )
