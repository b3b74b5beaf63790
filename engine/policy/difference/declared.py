"""What changed in what a policy declares beside its rules: outcomes, effects, episodes, exit codes, stages."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from engine.policy.difference.impacts import Impact
from engine.policy.difference.lean import (
    HARDER,
    NEITHER,
    SOFTER,
    UNDECIDED,
    effects_lean,
    episode_lean,
    hardness,
    joint,
    moved,
    order_lean,
)
from engine.policy.difference.rules import Change
from engine.policy.difference.words import effect_changes
from engine.policy.quantity import plain
from engine.policy.words import effects_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.policy.difference.lean import Lean
    from engine.policy.effects import Effects
    from engine.policy.model import Policy, Stage


def declared_changes(old: Policy, new: Policy) -> Iterator[Change]:
    """Yield every change of what a policy declares beside rules, bands and parameters."""
    yield from _outcomes(old, new)
    yield from _effects(old, new, "effects", old.effects, new.effects)
    yield from _effects(old, new, "episodes", old.episodes, new.episodes)
    for outcome in dict.fromkeys([*old.exit_codes, *new.exit_codes]):
        codes = [str(policy.exit_codes.get(outcome, "none")) for policy in (new, old)]
        if codes[0] != codes[1]:
            sentence = f"{outcome} ends the command with exit code {codes[0]} instead of {codes[1]}."
            yield Change(new.name, "exit", outcome, sentence, (Impact(outcome, "", NEITHER),))
    yield from _stages(old, new)
    if old.title != new.title:
        yield Change(new.name, "words", "title", "The policy has another title.")


def _outcomes(old: Policy, new: Policy) -> Iterator[Change]:
    for outcome in new.outcomes:
        if outcome not in old.outcomes:
            yield _of_outcome(new, "outcomes", outcome, f"The outcome {outcome} is new.", NEITHER)
    for outcome in old.outcomes:
        if outcome not in new.outcomes:
            yield _of_outcome(new, "outcomes", outcome, f"The outcome {outcome} is gone.", NEITHER)
    order = order_lean(old, new)
    if order:
        sentence = f"The order of severity is {', '.join(new.outcomes)} instead of {', '.join(old.outcomes)}."
        impacts = tuple(Impact(outcome, "", lean) for outcome, lean in order.items())
        yield Change(new.name, "outcomes", "outcomes", sentence, impacts)
    if old.otherwise != new.otherwise:
        both = old if new.otherwise in old.outcomes else new
        lean = moved(hardness(both, old.otherwise), hardness(both, new.otherwise))
        sentence = f"Where no rule fires the outcome is {new.otherwise or 'none'}, not {old.otherwise or 'none'}."
        impacts = tuple(Impact(outcome, "", lean) for outcome in (old.otherwise, new.otherwise) if outcome)
        yield Change(new.name, "otherwise", "otherwise", sentence, impacts)
    for outcome in dict.fromkeys([*old.promotes, *new.promotes]):
        if (outcome in old.promotes) != (outcome in new.promotes):
            word = "counts as a promotion now" if outcome in new.promotes else "no longer counts as a promotion"
            yield _of_outcome(new, "promotes", outcome, f"{outcome} {word}.", UNDECIDED)


def _of_outcome(policy: Policy, section: str, outcome: str, sentence: str, lean: Lean) -> Change:
    return Change(policy.name, section, outcome, sentence, (Impact(outcome, "", lean),))


def _effects(
    old: Policy, new: Policy, section: str, before: Mapping[str, Effects], after: Mapping[str, Effects]
) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if one == other:
            continue
        what = f"The episode `{name}`" if section == "episodes" else name
        if one is None or other is None:
            known, word = (other, "is new") if one is None else (one, "is gone")
            assert known is not None
            sentence, lean = f"{what} {word}: {'; '.join(effects_words(known)) or 'nothing'}.", NEITHER
        else:
            sentence = f"{what}: {'; '.join(text for _, text in effect_changes(one, other))}."
            lean = effects_lean(one, other) | (episode_lean(one, other) if section == "episodes" else NEITHER)
        outcomes = [name] if section == "effects" else _asked(old, new, name)
        yield Change(new.name, section, name, sentence, tuple(Impact(outcome, "", lean) for outcome in outcomes))


def _asked(old: Policy, new: Policy, episode: str) -> list[str]:
    """Return the outcomes whose rules belong to an episode."""
    rules = [rule for policy in (old, new) for rule in policy.rules.values() if rule.episode == episode]
    return list(dict.fromkeys(rule.outcome for rule in rules))


def _stages(old: Policy, new: Policy) -> Iterator[Change]:
    for number in sorted({*old.stages, *new.stages}):
        one, other = old.stages.get(number), new.stages.get(number)
        if one is None or other is None:
            word, lean = ("new", UNDECIDED) if one is None else ("gone", UNDECIDED)
            yield _of_stage(new, number, f"Stage {number} is {word}.", lean)
            continue
        clauses = list(_stage(one, other))
        if clauses:
            text = ", and ".join(clause for clause, _ in clauses)
            yield _of_stage(new, number, f"Stage {number} {text}.", joint(lean for _, lean in clauses))


def _of_stage(policy: Policy, number: int, sentence: str, lean: Lean) -> Change:
    return Change(policy.name, "stages", str(number), sentence, (Impact(f"Stage {number}", "", lean),))


def _stage(old: Stage, new: Stage) -> Iterator[tuple[str, Lean]]:
    for one in fields(new):
        before, after = getattr(old, one.name), getattr(new, one.name)
        if before == after or one.name in {"number", "title"}:
            continue
        match one.name:
            case "cap_usd":
                yield (
                    f"may risk {plain(after)} usd instead of {plain(before)} usd",
                    SOFTER if after > before else HARDER,
                )
            case "min_days":
                yield f"lasts at least {after} days instead of {before}", moved(before, after)
            case "restart_at":
                yield f"restarts at stage {after} instead of {before}", moved(after, before)
            case "promote" | "abort":
                yield from _ways(one.name, before, after)
            case _:
                yield f"has {one.name} {after} instead of {before}", UNDECIDED


def _ways(name: str, old: Any, new: Any) -> Iterator[tuple[str, Lean]]:
    """Yield what changed in a stage's promotion or abort; the rules behind it are rules of the policy."""
    verb = "promotes" if name == "promote" else "aborts"
    if old is None or new is None:
        gone = new is None
        yield (f"no longer {verb}" if gone else f"{verb} now"), HARDER if gone == (name == "promote") else SOFTER
        return
    for one in fields(new):
        before, after = getattr(old, one.name), getattr(new, one.name)
        if before == after or one.name in {"rule", "rules"}:
            continue
        if one.name == "to":
            yield f"{verb} to stage {after} instead of {before}", moved(after, before)
        elif one.name == "approvals":
            yield f"{verb} with {after} approvals instead of {before}", moved(before, after)
        elif one.name == "flatten":
            yield f"{verb} {'with' if after else 'without'} flattening the book", HARDER if after else SOFTER
        else:
            yield f"{verb} with {one.name} {after} instead of {before}", UNDECIDED
