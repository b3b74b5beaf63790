"""From rules as they are written to what the engines read: `unless` unfolded, `each: band` and switched-off rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.policy.model import All, AnyOf, Instance, Not, Unknown, in_band

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.policy.model import Band, Condition, Rule


def instances_of(rule: Rule, bands: Mapping[str, Band]) -> list[Instance]:
    """Return what a rule stands for: itself, one instance a band, or nothing where it is switched off."""
    if not rule.enabled:
        return []
    if not rule.each_band:
        return [Instance(rule.name, rule, "", rule.when)]
    return [Instance(f"{rule.name}[{fact}]", rule, fact, in_band(rule.when, fact)) for fact in bands]


def not_true(condition: Condition) -> Condition:
    """Return the condition that is true exactly where `condition` is false or unknown, and false elsewhere.

    It is never unknown itself: each comparison is joined with "or its fact is unknown".
    """
    return _turned(condition, true=True)


def _turned(condition: Condition, *, true: bool) -> Condition:
    """Return "not True" (or, with `true` unset, "not False") of a condition."""
    match condition:
        case All(parts) | AnyOf(parts):
            kind = AnyOf if isinstance(condition, All) == true else All
            return kind(tuple(_turned(part, true=true) for part in parts))
        case Not(part):
            return _turned(part, true=not true)
        case Unknown():
            return Not(condition) if true else condition
        case _:
            return AnyOf((Not(condition) if true else condition, Unknown(condition.fact)))
