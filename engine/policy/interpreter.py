"""The interpreter: the meaning of the language in plain, total Python. Small enough to be reviewed in one sitting.

It reads a snapshot (whole numbers, or None where unknown) and says which rules fire. The production engine,
durable-rules, must give the same answer; where the two differ, this file says what was meant.
"""

from __future__ import annotations

from operator import eq, ge, gt, le, lt, ne
from typing import TYPE_CHECKING

from engine.policy.model import All, AnyOf, BandIs, Compare, Not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.policy.model import Band, Condition, Instance, Operator, Policy, Snapshot, Truth

_HOLDS: Mapping[Operator, Callable[[int, int], bool]] = {
    ">": gt,
    ">=": ge,
    "<": lt,
    "<=": le,
    "=": eq,
    "!=": ne,
}


def evaluate(policy: Policy, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the ids of the rules that fire, in the policy's order. A rule fires on True only."""
    values, bands = snapshot.values, policy.bands
    return tuple([instance.id for instance in policy.instances if fires(instance, values, bands)])


def fires(instance: Instance, values: Mapping[str, int | None], bands: Mapping[str, Band]) -> bool:
    """Return whether one rule fires: its condition is True or, with a span, it has been for enough days."""
    span = instance.rule.span
    if span is None:
        return truth(instance.when, values, bands) is True
    days = values[instance.days_key]
    return days is not None and days >= span.days


def outcome_of(policy: Policy, fired: Iterable[str]) -> str:
    """Return the most severe outcome that a fired rule asks for; `policy.otherwise` where none fired."""
    asked = {policy.by_id[name].outcome for name in fired}
    return next((outcome for outcome in policy.outcomes if outcome in asked), policy.otherwise)


def truth(condition: Condition, values: Mapping[str, int | None], bands: Mapping[str, Band]) -> Truth:
    """Return a condition's truth: True, False, or None where it cannot be known (Kleene's three values)."""
    kind = type(condition)
    if kind is Compare:
        return compare(values[condition.fact], condition.operator, condition.steps)  # type: ignore[union-attr]
    if kind is BandIs:
        return colour(values, bands[condition.fact], condition.colour)  # type: ignore[union-attr]
    if kind is All:
        return _all(condition.parts, values, bands)  # type: ignore[union-attr]
    if kind is AnyOf:
        return _any(condition.parts, values, bands)  # type: ignore[union-attr]
    if kind is Not:
        part = truth(condition.part, values, bands)  # type: ignore[union-attr]
        return None if part is None else not part
    return values[condition.fact] is None  # type: ignore[union-attr]


def _all(parts: tuple[Condition, ...], values: Mapping[str, int | None], bands: Mapping[str, Band]) -> Truth:
    result: Truth = True
    for part in parts:
        one = truth(part, values, bands)
        if one is False:
            return False
        if one is None:
            result = None
    return result


def _any(parts: tuple[Condition, ...], values: Mapping[str, int | None], bands: Mapping[str, Band]) -> Truth:
    result: Truth = False
    for part in parts:
        one = truth(part, values, bands)
        if one is True:
            return True
        if one is None:
            result = None
    return result


def colour(values: Mapping[str, int | None], band: Band, asked: str) -> Truth:
    """Return whether a band shows a colour: green, red, else yellow; unknown where the fact has no value."""
    value, green, red = values[band.fact], band.green, band.red
    if value is None:
        return None
    if asked == "yellow":
        return not (compare(value, green.operator, green.steps) or compare(value, red.operator, red.steps))
    edge = green if asked == "green" else red
    return compare(value, edge.operator, edge.steps)


def compare(value: int | None, operator: Operator, steps: int) -> Truth:
    """Return `value operator steps`, exact; unknown where there is no value."""
    return None if value is None else _HOLDS[operator](value, steps)
