"""Small changes of what a policy declares, one at a time: effects, episodes, promotions, exit codes, stages."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from engine.policy.notation import duration_unit
from engine.policy.testing.declared import effects_text, stage_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.policy.effects import Effects
    from engine.policy.model import Policy, Stage
    from engine.policy.mutation.alterations import Kind

_WORDS: Mapping[str, tuple[str, ...]] = {
    "incident": ("CRITICAL", "HIGH", "MEDIUM"),
    "alert": ("page", "warn", "info"),
}
_ADDED = "entries_blocked"
_DURATIONS = ("page_every_ms", "recovery_ms", "at_most_ms")


def altered_effects(effects: Effects) -> Iterator[Effects]:
    """Yield effects with each one dropped, exchanged, or a little less and more; and with entries blocked."""
    nothing = type(effects)()
    for name in (one.name for one in fields(effects)):
        value, absent = getattr(effects, name), getattr(nothing, name)
        others = [absent, *_others(name, value)] if value != absent else []
        for other in dict.fromkeys([True] if name == _ADDED and not value else others):
            if other != value:
                yield replace(effects, **{name: other})


def _others(name: str, value: Any) -> list[Any]:
    if isinstance(value, str):
        return list(_WORDS.get(name, ()))
    if isinstance(value, float):
        return [value / 2, (value + 1) / 2]
    if isinstance(value, int) and not isinstance(value, bool):
        step = duration_unit(value)[1] if name in _DURATIONS else 1
        return [one for one in (value - step, value + step) if one > 0]
    return []


def effects_changed(before: Effects, after: Effects) -> str:
    """Return a change of effects in words."""
    return f"`{effects_text(before)}` → `{effects_text(after)}`"


def altered_declarations(policy: Policy) -> Iterator[tuple[Kind, str, str, Policy]]:
    """Yield the policy with each single change: what kind, where, in words, and the whole policy with it."""
    for name, effects in policy.effects.items():
        for other in altered_effects(effects):
            after = replace(policy, effects={**policy.effects, name: other})
            yield "effects", f"effects.{name}", effects_changed(effects, other), after
    for name, effects in policy.episodes.items():
        for other in altered_effects(effects):
            after = replace(policy, episodes={**policy.episodes, name: other})
            yield "effects", f"episodes.{name}", effects_changed(effects, other), after
    for outcome in policy.outcomes:
        promotes = tuple(one for one in policy.outcomes if (one in policy.promotes) != (one == outcome))
        change = f"`{outcome}` {'added' if outcome in promotes else 'removed'}"
        yield "promotes", "promotes", change, replace(policy, promotes=promotes)
    for outcome, code in policy.exit_codes.items():
        after = replace(policy, exit_codes={**policy.exit_codes, outcome: code + 1})
        yield "exit", f"exit.{outcome}", f"`{code}` → `{code + 1}`", after
    for number, stage in policy.stages.items():
        for changed in _stages(stage, policy):
            after = replace(policy, stages={**policy.stages, number: changed})
            yield "stage", f"stages.{number}", f"`{stage_text(stage)}` → `{stage_text(changed)}`", after


def _stages(stage: Stage, policy: Policy) -> Iterator[Stage]:
    for step in (-1, 1):
        if stage.cap_usd + step >= 0:
            yield replace(stage, cap_usd=stage.cap_usd + step)
        if stage.min_days + step >= 0:
            yield replace(stage, min_days=stage.min_days + step)
    for other in policy.stages:
        if other != stage.restart_at and other < stage.number:
            yield replace(stage, restart_at=other)
    if (promote := stage.promote) is not None:
        yield from (replace(stage, promote=replace(promote, to=to)) for to in policy.stages if to != promote.to)
        yield from (
            replace(stage, promote=replace(promote, approvals=promote.approvals + step))
            for step in (-1, 1)
            if promote.approvals + step >= 0
        )
    if (abort := stage.abort) is not None:
        yield from (replace(stage, abort=replace(abort, to=to)) for to in policy.stages if to != abort.to)
        yield replace(stage, abort=replace(abort, flatten=not abort.flatten))
