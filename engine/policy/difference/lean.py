"""Which way a change leans: softer lets more risk through, harder less; it can do both, neither, or not be decidable.

A rule that fires more often is harder where its outcome is more severe than what would have been decided without it,
and softer where it is a promotion or less severe. Effects have their own direction each.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from decimal import Decimal

    from engine.policy.difference.firing import Firing
    from engine.policy.effects import Effects
    from engine.policy.model import Policy, Rule

Word = Literal["softer", "harder", "both", "neither", "undecided"]


@dataclass(frozen=True, slots=True)
class Lean:
    """Whether something became softer somewhere, harder somewhere, or whether nobody can say.

    >>> (Lean(softer=True) | Lean(harder=True)).word
    'both'
    """

    softer: bool = False
    harder: bool = False
    undecided: bool = False

    def __or__(self, other: Lean) -> Lean:
        return Lean(self.softer or other.softer, self.harder or other.harder, self.undecided or other.undecided)

    @property
    def word(self) -> Word:
        """The direction in one word; what is softer is said even where the rest is not decided."""
        if self.softer:
            return "both" if self.harder else "softer"
        return "undecided" if self.undecided else "harder" if self.harder else "neither"

    @property
    def softened(self) -> bool:
        """Whether it is softer somewhere, or nobody can say that it is not."""
        return self.softer or self.undecided

    @property
    def reverse(self) -> Lean:
        """The direction of the opposite change."""
        return Lean(self.harder, self.softer, self.undecided)


NEITHER = Lean()
SOFTER, HARDER, UNDECIDED = Lean(softer=True), Lean(harder=True), Lean(undecided=True)


def joint(leans: Iterable[Lean]) -> Lean:
    """Return what several directions come to."""
    result = NEITHER
    for one in leans:
        result |= one
    return result


def moved(old: float | Decimal, new: float | Decimal) -> Lean:
    """Return the direction of a figure of which more is harder."""
    return NEITHER if old == new else HARDER if new > old else SOFTER


# ── outcomes ──


def hardness(policy: Policy, outcome: str) -> int:
    """Return how hard an outcome is, to be compared within one policy: promotions least, none 0, then by severity."""
    if outcome in policy.promotes:
        return -1
    return len(policy.outcomes) - policy.outcomes.index(outcome) if outcome in policy.outcomes else 0


def fires_more(policy: Policy, outcome: str) -> Lean:
    """Return the direction of a rule for `outcome` that fires where it did not: against all it may be decided over."""
    asked = {rule.outcome for rule in policy.rules.values()}
    milder = [one for one in policy.outcomes[policy.outcomes.index(outcome) + 1 :] if one in asked]
    own = hardness(policy, outcome)
    return joint(moved(hardness(policy, one), own) for one in (policy.otherwise, *milder))


def firing_lean(policy: Policy, rule: Rule, firing: Firing) -> Lean:
    """Return the direction of a rule that fires in other situations than before.

    Args:
        policy: to which the rule belongs.
        rule: with the outcome and the effects that firing has.
        firing: where it differs.
    """
    more = fires_more(policy, rule.outcome) | effects_lean(type(rule.effects)(), rule.effects)
    if "undecided" in {firing.more, firing.less}:
        return UNDECIDED if more != NEITHER else NEITHER
    return (more if firing.more == "yes" else NEITHER) | (more.reverse if firing.less == "yes" else NEITHER)


def order_lean(old: Policy, new: Policy) -> Mapping[str, Lean]:
    """Return, by outcome, the direction of another order of severity: which of two outcomes wins."""
    result: dict[str, Lean] = {}
    both = [one for one in old.outcomes if one in new.outcomes]
    for place, one in enumerate(both):
        for other in both[place + 1 :]:
            if new.outcomes.index(one) > new.outcomes.index(other):
                lean = moved(hardness(old, one), hardness(old, other))
                for outcome in (one, other):
                    result[outcome] = result.get(outcome, NEITHER) | lean
    return result


# ── effects ──

_INCIDENTS = (None, "MEDIUM", "HIGH", "CRITICAL")
_ALERTS = (None, "info", "warn", "page")
_FOREVER = float("inf")


def _rank(words: tuple[str | None, ...]) -> Callable[[Any], float]:
    return lambda value: words.index(value) if value in words else _FOREVER


# How hard a value is. What is not here cannot be compared, so its change is undecided.
_HARDNESS: Mapping[str, Callable[[Any], float]] = {
    "exposure": lambda value: 0.0 if value is None else 1.0 - value,
    "entries_blocked": float,
    "cap_factor": lambda value: -1.0 if value is None else -value,
    "page_every_ms": lambda value: -_FOREVER if value is None else -value,
    "recovery_ms": lambda value: _FOREVER if value is None else value,
    "approvals": float,
    "at_most_ms": lambda value: 0.0 if value is None else value,
    "until": lambda value: float(value is not None),
    "incident": _rank(_INCIDENTS),
    "alert": _rank(_ALERTS),
    "flag": lambda _value: 0.0,
}


def effect_lean(name: str, old: Any, new: Any) -> Lean:
    """Return the direction of one effect's change; `name` is the attribute of `Effects`."""
    if old == new:
        return NEITHER
    how_hard = _HARDNESS.get(name)
    return UNDECIDED if how_hard is None else moved(how_hard(old), how_hard(new))


def effects_lean(old: Effects, new: Effects) -> Lean:
    """Return the direction of all effects together."""
    return joint(
        effect_lean(one.name, getattr(old, one.name), getattr(new, one.name))
        for one in fields(old)
        if one.name != "recovery_ms" or (old.once_per_episode or new.once_per_episode)
    )


def episode_lean(old: Effects, new: Effects) -> Lean:
    """Return the direction of how an episode ends: after how long, and with whose approval."""
    return joint(effect_lean(name, getattr(old, name), getattr(new, name)) for name in ("recovery_ms", "approvals"))
