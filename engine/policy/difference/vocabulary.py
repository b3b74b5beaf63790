"""Two vocabularies: what changed in words, and one common measure in which conditions of both can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.policy.difference.lean import NEITHER, UNDECIDED
from engine.policy.model import All, AnyOf, BandIs, Compare, Not, Unknown
from engine.policy.notation import duration_words, printed
from engine.policy.quantity import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.policy.difference.lean import Lean
    from engine.policy.model import Band, Condition, FactSpec, Vocabulary

_WORDING = ("title", "source")


@dataclass(frozen=True)
class Measure:
    """One declaration of every fact for two vocabularies, and how each one's conditions are said in it.

    Attributes:
        specs: by name; of a fact whose units differ there are two.
        old: fact -> what becomes of a comparison of the old vocabulary; absent: nothing.
        new: the same of the new one.
    """

    specs: Mapping[str, FactSpec]
    old: Mapping[str, Callable[[Compare], Compare]] = field(default_factory=dict)
    new: Mapping[str, Callable[[Compare], Compare]] = field(default_factory=dict)


def common_measure(old: Mapping[str, FactSpec], new: Mapping[str, FactSpec]) -> Measure:
    """Return a measure for the facts of two vocabularies."""
    specs = {**old, **new}
    from_old: dict[str, Callable[[Compare], Compare]] = {}
    from_new: dict[str, Callable[[Compare], Compare]] = {}
    for name in old:
        if name not in new or _decides(old[name]) == _decides(new[name]):
            continue
        one, other = old[name], new[name]
        if one.choices and other.choices:
            words = tuple(dict.fromkeys((*one.choices, *other.choices)))
            specs[name] = replace(other, choices=words, low=0, high=len(words) - 1)
            from_old[name], from_new[name] = _by_word(one, words), _by_word(other, words)
            continue
        step = min(one.resolution, other.resolution)
        scales = [spec.resolution / step for spec in (one, other)]
        if one.unit == other.unit and all(scale == int(scale) for scale in scales):
            ends = [
                (spec.low * int(scale), spec.high * int(scale))
                for spec, scale in zip((one, other), scales, strict=True)
            ]
            low, high = min(end[0] for end in ends), max(end[1] for end in ends)
            specs[name] = replace(other, low=low, high=high, resolution=step)
            from_old[name], from_new[name] = (_scaled(int(scale)) for scale in scales)
        else:  # facts of different units are different facts
            specs[f"{name} (before)"] = one
            from_old[name] = _renamed(f"{name} (before)")
    return Measure(specs, from_old, from_new)


def _decides(spec: FactSpec) -> tuple[object, ...]:
    return spec.unit, spec.low, spec.high, spec.resolution, spec.choices


def _by_word(spec: FactSpec, words: tuple[str, ...]) -> Callable[[Compare], Compare]:
    return lambda compare: replace(compare, steps=words.index(spec.choices[compare.steps]))


def _scaled(scale: int) -> Callable[[Compare], Compare]:
    return lambda compare: replace(compare, steps=compare.steps * scale)


def _renamed(name: str) -> Callable[[Compare], Compare]:
    return lambda compare: replace(compare, fact=name)


def measured(condition: Condition, said: Mapping[str, Callable[[Compare], Compare]]) -> Condition:
    """Return a condition in the common measure."""
    if not said:
        return condition
    match condition:
        case Compare(fact):
            return said[fact](condition) if fact in said else condition
        case All(parts) | AnyOf(parts):
            return type(condition)(tuple(measured(part, said) for part in parts))
        case Not(part):
            return Not(measured(part, said))
        case BandIs(fact) | Unknown(fact):
            if fact not in said:
                return condition
            return replace(condition, fact=said[fact](Compare(fact, "=", 0)).fact)


def measured_bands(bands: Mapping[str, Band], said: Mapping[str, Callable[[Compare], Compare]]) -> dict[str, Band]:
    """Return bands in the common measure, by their facts in it."""
    result = {}
    for band in bands.values():
        green, red = (said[band.fact](edge) if band.fact in said else edge for edge in (band.green, band.red))
        result[green.fact] = replace(band, fact=green.fact, green=green, red=red)
    return result


def fact_changes(old: Vocabulary, new: Vocabulary) -> Iterator[tuple[str, str, Lean]]:
    """Yield fact, sentence and direction of every change of a vocabulary's facts."""
    for name in old.facts:
        if name not in new.facts:
            yield name, f"The fact `{name}` is no longer declared.", NEITHER
    for name, spec in new.facts.items():
        if name not in old.facts:
            yield name, f"The fact `{name}` is new: {spec.title}.", NEITHER
        else:
            yield from ((name, *change) for change in _spec_changes(old.facts[name], spec))


def _spec_changes(old: FactSpec, new: FactSpec) -> Iterator[tuple[str, Lean]]:
    name = f"`{new.name}`"
    if old.unit != new.unit:
        yield f"{name} is in {new.unit} instead of {old.unit}.", UNDECIDED
    if old.choices != new.choices and old.unit == new.unit:
        yield f"{name} is one of {', '.join(new.choices)} instead of {', '.join(old.choices)}.", UNDECIDED
    if not (old.choices or new.choices):
        if (old.low * old.resolution, old.high * old.resolution) != (
            new.low * new.resolution,
            new.high * new.resolution,
        ):
            yield f"{name} runs from {_range(new)} instead of from {_range(old)}; beyond it is invalid.", UNDECIDED
        if old.resolution != new.resolution:
            yield f"{name} is rounded to steps of {new.resolution} instead of {old.resolution}.", UNDECIDED
    if old.max_age_ms != new.max_age_ms:
        ages = [duration_words(spec.max_age_ms) for spec in (new, old)]
        yield f"{name} counts as known for {ages[0]} instead of {ages[1]}.", UNDECIDED
    if old.worse != new.worse:
        yield f"Of {name}, {new.worse} is worse instead of {old.worse}; no rule reads that.", NEITHER


def wording_changed(old: FactSpec, new: FactSpec) -> bool:
    """Return whether a fact is described in other words."""
    return any(getattr(old, name) != getattr(new, name) for name in _WORDING)


def _range(spec: FactSpec) -> str:
    return f"{printed(shown(spec, spec.low))} to {printed(shown(spec, spec.high))}"
