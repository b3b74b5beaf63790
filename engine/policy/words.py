"""Rules, conditions, bands and effects in words a trader reads: ``REDUCE when the current drawdown is above 10 %``.

Facts are called by their titles. Pure functions of the typed model; nothing here decides anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from engine.policy.effects import KEYS, Effects
from engine.policy.model import FLAG, All, AnyOf, BandIs, Colour, Compare, Not, Unknown
from engine.policy.notation import duration_words, printed
from engine.policy.quantity import shown
from engine.policy.regions import colour_region

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.policy.model import Band, Condition, FactSpec, Operator, Policy, Rule, Span

_ORDER: Mapping[Operator, str] = {">": "above", ">=": "at least", "<": "below", "<=": "at most", "=": "", "!=": "not"}
_EQUALS: Mapping[Operator, str] = {"=": "equal to", "!=": "not equal to"}  # said of two facts
_TIME: Mapping[Operator, str] = {**_ORDER, ">": "more than", "<": "less than"}
_NUMBER: Mapping[Operator, str] = {**_ORDER, ">": "more than", "<": "fewer than", "=": "exactly"}
_NONE_OR_SOME = {"= 0": "no", "> 0": "any"}
_EVERY_BAND = {colour: f"every band is {colour}" for colour in get_args(Colour)}
_COUNTED = ("count", "days")
_TIMES = ("minutes", "days")
# A title's first words, up to one of these, name the thing: is it one, or are they many?
_THING = re.compile(r",| (?:in|with|of|for|since|over|to|as|that|who|at|from|on|under|by|between)\b")
_MANY = re.compile(r"people|[\w-]+(?<![sui])s")
_ALERTS = {"page": "pages a person", "warn": "sends a warning", "info": "sends a notice"}
_EFFECTS: Mapping[str, Callable[[Any], str]] = {
    "exposure": lambda value: f"exposure × {value:g}" if value else "closes every position (exposure 0)",
    "entries_blocked": lambda _: "no new or larger positions",
    "cap_factor": lambda value: f"capital cap × {value:g}",
    "once_per_episode": lambda _: "once per episode",
    "page_every_ms": lambda value: f"pages a person every {duration_words(value).removeprefix('1 ')} while it lasts",
    "recovery_ms": lambda value: f"may end after {duration_words(value)} without a reason",
    "approvals": lambda value: f"{value} {'person' if value == 1 else 'people'} must agree",
    "at_most_ms": lambda value: f"at most once per {duration_words(value)}",
    "until": lambda value: f"until a signed {value}",
    "incident": lambda value: f"opens a {value} incident",
    "alert": lambda value: _ALERTS.get(value, f"alert {value}"),
    "flag": lambda value: f"shown as {value}",
}
_GAPS = {
    "breaks": "a day without data breaks the count",
    "holds": "a day without data neither counts nor breaks the count",
    "counts": "a day without data counts",
}


@dataclass(frozen=True)
class BandWords:
    """The three colours of a band: ``below 8 %``, ``8 % to 10 %``, ``above 10 %``; empty where no value has one."""

    green: str
    yellow: str
    red: str


def fact_words(spec: FactSpec) -> str:
    """Return how a sentence calls a fact."""
    if spec.unit == FLAG or re.match(r"(?:a|an|the|when|if)\b", spec.title):
        return f"“{spec.title}”"
    return f"the {spec.title}{',' if ',' in spec.title else ''}"


def threshold_words(compare: Compare, spec: FactSpec) -> str:
    """Return what a comparison asks of its fact, without the fact.

    A threshold with a name is followed by it: ``below −5 % ($return_red)``.
    """
    words = (_TIME if spec.unit in _TIMES else _ORDER)[compare.operator]
    return f"{words} {_threshold(compare, spec)}{_parameter(compare)}".lstrip()


def condition_words(condition: Condition, facts: Mapping[str, FactSpec], bands: Mapping[str, Band]) -> str:
    """Return a condition as part of a sentence that goes on from ``when``.

    Args:
        condition: what holds or does not.
        facts: the specs of its facts, by name.
        bands: of the policy; a colour is followed by the values that have it.
    """
    return _Speaker(facts, bands).said(condition).rstrip(",")


def rule_words(rule: Rule, policy: Policy) -> str:
    """Return a rule as a sentence without a full stop: what it asks for, when, and after how long."""
    word, said = _asked(rule, policy)
    if rule.span is None:
        return f"{rule.outcome} {word} {said}"
    if ": " in said:
        return f"{rule.outcome} {word}, {span_words(rule.span)}, {said}"
    return f"{rule.outcome} {word} {said} {span_words(rule.span)}"


def when_words(rule: Rule, policy: Policy) -> str:
    """Return the condition of a rule: ``when the current drawdown is above 12 %``, or ``unless …``."""
    return " ".join(_asked(rule, policy))


def gap_words(rule: Rule) -> str:
    """Return what a day without data does to the days that a rule counts."""
    return _GAPS[rule.gap]


def rule_notes(rule: Rule) -> tuple[str, ...]:
    """Return what else a rule says: that it is switched off, its episode, and its own effects."""
    off = () if rule.enabled else ("switched off",)
    episode = (f"episode “{rule.episode}”",) if rule.episode else ()
    return (*off, *episode, *effects_words(rule.effects))


def span_words(span: Span) -> str:
    """Return a `for` in words: ``for 4 complete days``, ``on 3 of the last 5 complete days``."""
    if span.of is not None:
        return f"on {span.days} of the last {span.of} complete days"
    return f"for {span.days} complete day{'s' if span.days > 1 else ''}"


def band_words(band: Band, spec: FactSpec) -> BandWords:
    """Return which values are green, yellow and red."""
    yellow = " or ".join(_between(low, high, band, spec) for low, high in colour_region(band, "yellow", spec))
    return BandWords(threshold_words(band.green, spec), yellow, threshold_words(band.red, spec))


def effects_words(effects: Effects) -> tuple[str, ...]:
    """Return what the executor does, one phrase an effect, in the order in which effects are declared."""
    nothing = Effects()
    attributes = [attribute for attribute, _ in KEYS.values()]
    changed = [name for name in attributes if getattr(effects, name) != getattr(nothing, name)]
    phrases = [_effect(name, getattr(effects, name)) for name in changed]
    if effects.recovery_ms is not None and not effects.approvals:
        phrases.append("nobody has to agree")
    return tuple(phrases)


def _asked(rule: Rule, policy: Policy) -> tuple[str, str]:
    """Return ``when`` or ``unless``, and the condition as it was written."""
    speaker = _Speaker(policy.vocabulary.facts, policy.bands, "the same band" if rule.span else "any band")
    word, condition = ("when", rule.when) if rule.unless is None else ("unless", rule.unless)
    return word, speaker.said(condition).rstrip(",")


class _Speaker:
    """Says conditions of one policy."""

    def __init__(self, facts: Mapping[str, FactSpec], bands: Mapping[str, Band], any_band: str = "the band") -> None:
        self.facts = facts
        self.bands = bands
        self.any_band = any_band

    def said(self, condition: Condition) -> str:
        """Return a condition, positively put."""
        match condition:
            case All(parts):
                return self._every_band(parts) or self._joined(parts, " and ", "all of these hold")
            case AnyOf(parts):
                return self._joined(parts, " or ", "any of these holds")
            case Not(part):
                return self._denied(part)
        return self._leaf(condition, "")

    def _denied(self, condition: Condition) -> str:
        match condition:
            case All(parts):
                return self._joined(parts, "", "not all of these hold")
            case AnyOf(parts):
                return self._joined(parts, "", "none of these holds")
            case Not(part):
                return self.said(part)
            case Compare(operator="!="):
                text = condition.text.removeprefix("!=")
                return self._leaf(replace(condition, operator="=", text=f"={text}" if text else ""), "")
        return self._leaf(condition, "not ")

    def _leaf(self, leaf: Condition, no: str) -> str:
        if isinstance(leaf, Compare):
            return self._compared(leaf, no)
        if isinstance(leaf, Unknown):
            spec = self.facts[leaf.fact]
            return f"{fact_words(spec)} {_verb(spec)} {'known' if no else 'unknown'}"
        assert isinstance(leaf, BandIs)
        if not leaf.fact:
            return f"{self.any_band} is {no}{leaf.colour}"
        spec = self.facts[leaf.fact]
        values = getattr(band_words(self.bands[leaf.fact], spec), leaf.colour)
        return f"{fact_words(spec)} {_verb(spec)} {no}{leaf.colour} ({values or 'no value'})"

    def _compared(self, compare: Compare, no: str) -> str:
        spec = self.facts[compare.fact]
        if spec.difference is not None:
            left, right = self.facts[spec.difference.left], self.facts[spec.difference.right]
            words = _EQUALS.get(compare.operator) or _ORDER[compare.operator]
            return f"{fact_words(left)} {_verb(left)} {no}{words} {fact_words(right).rstrip(',')}"
        if spec.unit in _COUNTED and not no and _is_many(spec):
            return _counted(compare, spec)
        return f"{fact_words(spec)} {_verb(spec)} {no}{threshold_words(compare, spec)}"

    def _every_band(self, parts: Sequence[Condition]) -> str:
        colours = {part.colour if isinstance(part, BandIs) else "" for part in parts}
        if len(parts) > 1 and len(colours) == 1 and [getattr(part, "fact", "") for part in parts] == list(self.bands):
            return _EVERY_BAND.get(colours.pop(), "")
        return ""

    def _joined(self, parts: Sequence[Condition], word: str, heading: str) -> str:
        said = [self.said(part) for part in parts]
        if len(parts) > 1:
            said = [
                f"({text})" if _is_list(part) and text not in _EVERY_BAND.values() else text
                for text, part in zip(said, parts, strict=True)
            ]
        if word and len(said) <= 2:  # noqa: PLR2004 - two are joined by a word, more are listed
            return word.join(said)
        return f"{heading}: {'; '.join(text.rstrip(',') for text in said)}"


def _is_list(condition: Condition) -> bool:
    return isinstance(condition, All | AnyOf) or (isinstance(condition, Not) and _is_list(condition.part))


def _is_many(spec: FactSpec) -> bool:
    return any(_MANY.fullmatch(word) for word in _THING.split(spec.title)[0].split())


def _verb(spec: FactSpec) -> str:
    return "are" if spec.unit != FLAG and not spec.choices and _is_many(spec) else "is"


def _counted(compare: Compare, spec: FactSpec) -> str:
    """Return ``there are no flattens in the last 30 days``."""
    number = _threshold(compare, spec).removesuffix(" days").removesuffix(" day")
    if compare.operator == "!=" or (compare.operator == "=" and number == "1"):
        return f"the number of {spec.title} is {'not ' if compare.operator == '!=' else ''}{number}"
    words = _NONE_OR_SOME.get(f"{compare.operator} {number}", f"{_NUMBER[compare.operator]} {number}")
    return f"there are {words} {spec.title}{_parameter(compare)}{',' if ',' in spec.title else ''}"


def _threshold(compare: Compare, spec: FactSpec) -> str:
    return printed(compare.text.removeprefix(compare.operator) or shown(spec, compare.steps))


def _parameter(compare: Compare) -> str:
    return f" (${compare.parameter})" if compare.parameter else ""


def _between(low: int, high: int, band: Band, spec: FactSpec) -> str:
    """Return an interval of yellow values in words; an edge that belongs to its neighbour is left out."""
    edges = {compare.steps: _threshold(compare, spec) for compare in (band.green, band.red)}
    first, last = (edges.get(step) or printed(shown(spec, step)) for step in (low, high))
    if low == high:
        return first
    if spec.whole or spec.choices:
        return f"{first} to {last}"
    above = None if low == spec.low else first if low in edges else f"above {edges.get(low - 1, first)}"
    below = None if high == spec.high else last if high in edges else f"below {edges.get(high + 1, last)}"
    if above == first and below == last:
        return f"{first} to {last}"
    lower = f"at least {first}" if above == first else above
    upper = f"at most {last}" if below == last else below
    return ", ".join(part for part in (lower, upper) if part)


def _effect(name: str, value: Any) -> str:
    return _EFFECTS[name](value) if name in _EFFECTS else f"{name.replace('_', ' ')} {value}"
