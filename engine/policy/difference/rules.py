"""What changed in the rules, bands and parameters of a policy, and what each change does to every outcome."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from engine.policy.difference.firing import band_facts, compares
from engine.policy.difference.impacts import Impact, Key, Pairing
from engine.policy.difference.lean import (
    HARDER,
    NEITHER,
    SOFTER,
    UNDECIDED,
    Lean,
    joint,
)
from engine.policy.difference.vocabulary import measured
from engine.policy.difference.words import (
    bound,
    condition_changes,
    effect_changes,
    listed,
    quantity_of,
    when_due,
    when_words,
)
from engine.policy.model import HARD, SOFT, All, AnyOf, Compare, Not
from engine.policy.notation import printed
from engine.policy.words import gap_words, rule_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.policy.model import Band, Condition, Parameter, Policy, Rule

_WORDING = ("because", "refs", "cure")
_SAID = ("name", "outcome", "when", "unless", "span", "gap", "each_band", "effects", "episode", "where", *_WORDING)


@dataclass(frozen=True)
class Change:
    """One thing that changed.

    Attributes:
        policy: its name; empty for what all policies share.
        section: ``rules``, ``bands``, ``parameters``, ``effects``, …; ``words`` where only the wording changed.
        subject: the name of what changed.
        sentence: in words that a trader reads.
        impacts: what it does, by outcome; where several changes move one rule, what they do together.
        own: its direction beside the impacts.
    """

    policy: str
    section: str
    subject: str
    sentence: str
    impacts: tuple[Impact, ...] = ()
    own: Lean = NEITHER

    @property
    def lean(self) -> Lean:
        """Its direction."""
        return joint([self.own, *(impact.lean for impact in self.impacts)])


class Rules:
    """The changes of the rules, bands and parameters from one policy to another."""

    def __init__(self, old: Policy, new: Policy) -> None:
        self.old, self.new = old, new
        self._rules = Pairing(old, new)

    @property
    def impacts(self) -> Mapping[Key, tuple[Impact, ...]]:
        """What all changes together do to each rule that can fire."""
        return self._rules.impacts

    def changes(self) -> Iterator[Change]:
        """Yield every change of a rule, a band or a parameter."""
        found = [*self._rule_changes(), *self._band_changes(), *self._parameter_changes()]
        yield from found
        told = {impact.rule for change in found for impact in change.impacts}
        for key, impacts in self.impacts.items():
            if impacts[0].rule not in told:  # nothing that decides goes unmentioned
                sentence = f"`{impacts[0].rule}` fires in other situations than before."
                yield self._change("rules", key[0], sentence, impacts)

    # ── rules ──

    def _rule_changes(self) -> Iterator[Change]:
        back = {new: old for old, new in self._rules.names.items()}
        for name, rule in self.new.rules.items():
            impacts = self._rules.of(lambda key, name=name: key[0] == name)  # type: ignore[misc]
            if name not in back:
                yield self._change("rules", name, f"`{name}` is new: {rule_words(rule, self.new)}.", impacts)
                continue
            old = self.old.rules[back[name]]
            if old.name != name:
                yield self._change("words", name, f"`{old.name}` is now called `{name}`; it says the same.")
            clauses = list(self._clauses(old, rule))
            if clauses:
                own = joint(lean for _, lean in clauses)
                yield self._change("rules", name, f"`{name}` {_joined(text for text, _ in clauses)}.", impacts, own)
            if any(getattr(old, field) != getattr(rule, field) for field in _WORDING if hasattr(rule, field)):
                yield self._change("words", name, f"`{name}` gives its reason or its references in other words.")
        for name, rule in self.old.rules.items():
            if name not in self._rules.names:
                impacts = self._rules.of(lambda key, name=name: key[0] == name)  # type: ignore[misc]
                yield self._change("rules", name, f"`{name}` is gone: {rule_words(rule, self.old)}.", impacts)

    def _clauses(self, old: Rule, new: Rule) -> Iterator[tuple[str, Lean]]:
        """Yield what is different between two rules, and the direction where the impacts do not tell it."""
        if old.outcome != new.outcome:
            yield f"asks for {new.outcome} instead of {old.outcome}", NEITHER
        yield from ((clause, NEITHER) for clause in self._conditions(old, new))
        if old.span != new.span:
            yield f"fires {when_due(new.span)} instead of {when_due(old.span)}", NEITHER
        if old.gap != new.gap and old.span and new.span:
            yield f"says that {gap_words(new)}; before, that {gap_words(old)}", NEITHER
        if old.each_band != new.each_band:
            yield (
                ("stands for one rule a band now" if new.each_band else "no longer stands for one rule a band"),
                NEITHER,
            )
        if old.effects != new.effects:
            words = "; ".join(text for _, text in effect_changes(old.effects, new.effects))
            yield f"has other effects of its own: {words}", NEITHER
        if old.episode != new.episode:
            kinds = [f"episode `{rule.episode}`" if rule.episode else "its outcome's episode" for rule in (new, old)]
            yield f"belongs to {kinds[0]} instead of {kinds[1]}", NEITHER
        for one in fields(new):
            if one.name not in _SAID and getattr(old, one.name) != getattr(new, one.name):
                yield self._other(one.name, getattr(old, one.name), getattr(new, one.name))

    def _conditions(self, old: Rule, new: Rule) -> Iterator[str]:
        before, after = measured(old.when, self._rules.measure.old), measured(new.when, self._rules.measure.new)
        if before == _with_old_parameters(before, after):
            return
        if (old.unless is None) != (new.unless is None):
            one, other = (rule.unless or rule.when for rule in (new, old))
            words = when_words(other, unless=old.unless is not None)
            yield f"{when_words(one, unless=new.unless is not None)}; before, it {words.replace('fires', 'fired', 1)}"
            return
        if old.unless is not None and new.unless is not None:
            before, after = measured(old.unless, self._rules.measure.old), measured(new.unless, self._rules.measure.new)
        after = _with_old_parameters(before, after)
        yield from condition_changes(before, after, unless=new.unless is not None)

    @staticmethod
    def _other(name: str, old: object, new: object) -> tuple[str, Lean]:
        if name == "enabled":
            return ("is switched on" if new else "is switched off"), NEITHER
        if name == "severity" and {old, new} == {HARD, SOFT}:
            return f"is a {new} check instead of a {old} one", HARDER if new == HARD else SOFTER
        return f"has {name} {_plain(new)} instead of {_plain(old)}", UNDECIDED

    # ── bands and parameters ──

    def _band_changes(self) -> Iterator[Change]:
        for fact in dict.fromkeys([*self._rules.bands[0], *self._rules.bands[1]]):
            old, new = (bands.get(fact) for bands in self._rules.bands)
            impacts = self._rules.of(lambda key, fact=fact: fact in self._banded(key))  # type: ignore[misc]
            if old is None and new is not None:
                words = f"green {bound(new.green)}, red {bound(new.red)}"
                yield self._change("bands", fact, f"`{fact}` has a band now: {words}.", impacts)
            elif new is None and old is not None:
                yield self._change("bands", fact, f"`{fact}` has no band any more.", impacts)
            elif old is not None and new is not None:
                clauses = list(_edges(old, new))
                if clauses:
                    yield self._change("bands", fact, f"`{fact}` is {_joined(clauses)}.", impacts)

    def _banded(self, key: Key) -> set[str]:
        return {fact for one in self._rules.pair(key) if one is not None for fact in band_facts(one.when)}

    def _parameter_changes(self) -> Iterator[Change]:
        old, new = (_parameters(policy) for policy in (self.old, self.new))
        for name in dict.fromkeys([*old, *new]):
            before, after = old.get(name), new.get(name)
            if before is None or after is None:
                word = "is no longer read here" if after is None else f"is read here now: {printed(after.value)}"
                yield self._change("parameters", name, f"The parameter `{name}` {word}.")
                continue
            if before.value != after.value:
                moves = [key for key in self._rules.keys if name in self._rules.parameters_of(key)]
                rules = listed(dict.fromkeys(key[0] for key in moves)) or "no rule"
                sentence = f"The parameter `{name}` is {printed(after.value)} instead of {printed(before.value)}"
                impacts = self._rules.of(lambda key, moves=moves: key in moves)  # type: ignore[misc]
                yield self._change("parameters", name, f"{sentence}; it moves {rules}.", impacts)
            if (before.low, before.high) != (after.low, after.high):
                ranges = [f"{printed(one.low)} to {printed(one.high)}" for one in (after, before)]
                sentence = f"The parameter `{name}` may be set from {ranges[0]} instead of from {ranges[1]}."
                yield self._change("parameters", name, sentence)
            if before.about != after.about:
                yield self._change("words", name, f"The parameter `{name}` is described in other words.")

    def _change(
        self, section: str, subject: str, sentence: str, impacts: tuple[Impact, ...] = (), own: Lean = NEITHER
    ) -> Change:
        return Change(self.new.name, section, subject, sentence, impacts, own)


def _parameters(policy: Policy) -> dict[str, Parameter]:
    used = {one.parameter for rule in policy.rules.values() for one in compares(rule.when)}
    used |= {edge.parameter for band in policy.bands.values() for edge in (band.green, band.red)}
    shared = {name: one for name, one in policy.vocabulary.parameters.items() if name in used}
    return {**shared, **policy.parameters}


def _with_old_parameters(old: Condition, new: Condition) -> Condition:
    """Return `new` with every comparison that reads a parameter as `old` does saying what `old` says."""
    known = {(one.fact, one.operator, one.parameter): one for one in compares(old) if one.parameter}

    def kept(condition: Condition) -> Condition:
        if isinstance(condition, Compare):
            return known.get((condition.fact, condition.operator, condition.parameter), condition)
        if isinstance(condition, All | AnyOf):
            return type(condition)(tuple(kept(part) for part in condition.parts))
        return Not(kept(condition.part)) if isinstance(condition, Not) else condition

    return kept(new)


def _edges(old: Band, new: Band) -> Iterator[str]:
    for colour in ("red", "green"):
        before, after = getattr(old, colour), getattr(new, colour)
        if before != _with_old_parameters(before, after):
            value = quantity_of(before) if before.operator == after.operator else bound(before)
            yield f"{colour} {bound(after)} instead of {value}"


def _joined(clauses: Iterable[str]) -> str:
    return ", and ".join(clauses)


def _plain(value: object) -> str:
    return str(value) if value not in {None, ""} else "none"
