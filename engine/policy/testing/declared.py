"""What a policy declares and no day of facts shows, as tests expect it: effects, episodes, exit codes, stages, ….

An expectation is exact: an effect that is declared and not expected fails the test like one that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.policy.effects import KEYS, Effects
from engine.policy.model import HARD, SOFT
from engine.policy.notation import duration_words
from engine.policy.quantity import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.policy.model import Policy, Stage

NOTHING = "nothing"


@dataclass(frozen=True)
class Declared:
    """One expectation: in `section`, under `name` (empty: the whole section), the policy declares `expected`."""

    section: str
    name: str
    expected: str
    where: str = field(compare=False)


def declared_text(policy: Policy, section: str, name: str) -> str:
    """Return what `policy` declares, in the form of `Declared.expected`: equal texts are equal declarations."""
    return DECLARED[section](policy, name)


def effects_text(effects: Effects) -> str:
    """Return effects as a policy writes them.

    >>> effects_text(Effects(exposure=0.5, recovery_ms=432_000_000))
    'exposure: 0.5, recovery: 5 days'
    """
    nothing = Effects()
    written = [
        f"{key}: {_written(key, getattr(effects, attribute))}"
        for key, (attribute, _) in KEYS.items()
        if getattr(effects, attribute) != getattr(nothing, attribute)
    ]
    return ", ".join(written) or NOTHING


def _written(key: str, value: Any) -> str:
    if key in {"entries", "once_per"}:
        return "blocked" if key == "entries" else "episode"
    if key == "cap":
        return f"x{_number(value)}"
    if key in {"page_every", "recovery", "at_most"}:
        length = duration_words(value)
        return f"once per {length}" if key == "at_most" else length
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    return plain(Decimal(repr(value)))


def _effects(policy: Policy, name: str) -> str:
    return effects_text(policy.effects.get(name, Effects()))


def _rule_effects(policy: Policy, _name: str) -> str:
    return by_name({name: effects_text(rule.effects) for name, rule in policy.rules.items()})


def by_name(texts: Mapping[str, str]) -> str:
    """Return what several names say, those left out that say nothing."""
    return "; ".join(f"{name}: {text}" for name, text in sorted(texts.items()) if text != NOTHING) or NOTHING


def _episode(policy: Policy, name: str) -> str:
    members = sorted(rule.name for rule in policy.rules.values() if rule.episode == name)
    return f"rules: [{', '.join(members)}], {effects_text(policy.episodes.get(name, Effects()))}"


def _exit(policy: Policy, _name: str) -> str:
    return ", ".join(f"{outcome}: {code}" for outcome, code in sorted(policy.exit_codes.items()))


def _promotes(policy: Policy, _name: str) -> str:
    return ", ".join(sorted(policy.promotes)) or NOTHING


def _checks(policy: Policy, _name: str) -> str:
    return by_name(
        {
            kind: ", ".join(sorted(rule.name for rule in policy.rules.values() if rule.severity == kind)) or NOTHING
            for kind in (HARD, SOFT)
        }
    )


def _stage(policy: Policy, name: str) -> str:
    stage = policy.stages.get(int(name))
    return stage_text(stage) if stage else NOTHING


def stage_text(stage: Stage) -> str:
    """Return a stage as a policy writes it, without the conditions of the ways out of it."""
    text = f"cap: {plain(stage.cap_usd)} usd, min_days: {stage.min_days}, restart_at: {stage.restart_at}"
    if stage.promote:
        text += f", promote: {{to: {stage.promote.to}, approvals: {stage.promote.approvals}}}"
    if stage.abort:
        text += f", abort: {{to: {stage.abort.to}, flatten: {'yes' if stage.abort.flatten else 'no'}}}"
    return text


# section -> what a policy says there, as text
DECLARED: Mapping[str, Callable[[Policy, str], str]] = {
    "effects": _effects,
    "rule_effects": _rule_effects,
    "episodes": _episode,
    "checks": _checks,
    "exit": _exit,
    "promotes": _promotes,
    "stages": _stage,
}
