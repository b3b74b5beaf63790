"""What all changes of a policy together do to each rule that can fire, and by it to every outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from engine.policy.difference.firing import SAME, Firing, Side, band_facts, compares, firing
from engine.policy.difference.lean import (
    NEITHER,
    UNDECIDED,
    Lean,
    effects_lean,
    episode_lean,
    fires_more,
    firing_lean,
    hardness,
    moved,
)
from engine.policy.difference.vocabulary import common_measure, measured, measured_bands
from engine.policy.difference.words import example_words
from engine.policy.model import Instance, facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.policy.effects import Effects
    from engine.policy.model import Policy, Rule

# An instance under the name that its rule has in the new policy, and the band it is about.
Key = tuple[str, str]

_MOST_FACTS = 3  # of an example


@dataclass(frozen=True)
class Impact:
    """What changes do to one rule that can fire.

    Attributes:
        outcome: which it asks for.
        rule: its id; empty where the change is one of the outcome itself.
        lean: the direction.
        example: when it fires now and did not, or the reverse, in words; may be empty.
    """

    outcome: str
    rule: str
    lean: Lean
    example: str = ""


class Pairing:
    """The rules of two policies side by side, all in one measure.

    Attributes:
        old: the policy before.
        new: the policy after.
        measure: in which conditions of both can be compared.
        bands: of both, in that measure.
        names: old name -> new name of the rules that both have, under another name too.
    """

    def __init__(self, old: Policy, new: Policy) -> None:
        self.old, self.new = old, new
        self.measure = common_measure(old.vocabulary.facts, new.vocabulary.facts)
        self.bands = (measured_bands(old.bands, self.measure.old), measured_bands(new.bands, self.measure.new))
        self.names = self._renamed()

    def _renamed(self) -> dict[str, str]:
        """Return old name -> new name of the rules that both have, under another name too."""
        names = {name: name for name in self.old.rules if name in self.new.rules}
        free = [rule for name, rule in self.new.rules.items() if name not in self.old.rules]
        for name, rule in self.old.rules.items():
            twin = next((one for one in free if name not in names and self._same(rule, one)), None)
            if twin is not None:
                names[name] = twin.name
                free.remove(twin)
        return names

    def _same(self, old: Rule, new: Rule) -> bool:
        plain = [
            replace(rule, name="", when=measured(rule.when, said), because="", cure="", refs=())
            for rule, said in ((old, self.measure.old), (new, self.measure.new))
        ]
        return plain[0] == plain[1]

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """All that can fire in one of the two, in the order of the files."""
        return tuple(dict.fromkeys([*self._sides[0], *self._sides[1]]))

    @cached_property
    def _sides(self) -> tuple[dict[Key, Instance], dict[Key, Instance]]:
        old = {(self.names.get(one.rule.name, one.rule.name), one.band): one for one in self.old.instances}
        return old, {(one.rule.name, one.band): one for one in self.new.instances}

    def pair(self, key: Key) -> tuple[Instance | None, Instance | None]:
        """Return what can fire before and after; None where one of the two has no such rule."""
        return self._sides[0].get(key), self._sides[1].get(key)

    @cached_property
    def impacts(self) -> Mapping[Key, tuple[Impact, ...]]:
        """What all changes together do to each rule that can fire; those that nothing moves are absent."""
        found = {key: self._impacts(*self.pair(key)) for key in self.keys}
        return {key: impacts for key, impacts in found.items() if impacts}

    def of(self, wanted: Callable[[Key], bool]) -> tuple[Impact, ...]:
        """Return the impacts of some rules."""
        return tuple(impact for key, impacts in self.impacts.items() if wanted(key) for impact in impacts)

    def _impacts(self, old: Instance | None, new: Instance | None) -> tuple[Impact, ...]:
        sides = [
            Side(None if one is None else replace(one, when=measured(one.when, said)), bands, _promotes(policy, one))
            for one, said, bands, policy in zip(
                (old, new), (self.measure.old, self.measure.new), self.bands, (self.old, self.new), strict=True
            )
        ]
        if self._alike(*sides):
            return ()
        found = firing(sides[0], sides[1], self.measure.specs)
        leans = self._lean(old, new, found)
        if found == SAME and not any(lean != NEITHER for lean in leans.values()):
            return ()
        name = new.id if new is not None else old.id if old is not None else ""
        example = self._example(found, sides)
        return tuple(Impact(outcome, name, lean, example) for outcome, lean in leans.items())

    def _alike(self, old: Side, new: Side) -> bool:
        one, other = old.instance, new.instance
        if one is None or other is None:
            return False
        decides = [(it.when, it.outcome, it.span, it.rule.gap, it.rule.effects, it.rule.episode) for it in (one, other)]
        bands = [[side.bands.get(fact) for fact in band_facts(one.when)] for side in (old, new)]
        return decides[0] == decides[1] and bands[0] == bands[1] and old.promotes == new.promotes

    def _lean(self, old: Instance | None, new: Instance | None, found: Firing) -> dict[str, Lean]:
        if old is None or new is None:
            policy, one = (self.new, new) if old is None else (self.old, old)
            assert one is not None
            return {one.outcome: firing_lean(policy, one.rule, found)}
        lean = effects_lean(old.effects, new.effects)
        if old.episode != new.episode or old.outcome != new.outcome:
            lean |= episode_lean(_ending(self.old, old), _ending(self.new, new))
        if old.outcome == new.outcome:
            return {new.outcome: lean | firing_lean(self.new, new.rule, found)}
        both = self.old if new.outcome in self.old.outcomes else self.new
        lean |= moved(hardness(both, old.outcome), hardness(both, new.outcome))
        if found.more != "no":
            lean |= fires_more(self.new, new.outcome) if found.more == "yes" else UNDECIDED
        if found.less != "no":
            lean |= fires_more(self.old, old.outcome).reverse if found.less == "yes" else UNDECIDED
        return {old.outcome: lean, new.outcome: lean}

    def _example(self, found: Firing, sides: Iterable[Side]) -> str:
        facts = dict.fromkeys(fact for side in sides if side.instance for fact in facts_of(side.instance.when))
        if len(facts) > _MOST_FACTS:
            return ""
        cases = (("fires at", found.at_more), ("no longer fires at", found.at_less))
        words = [f"{verb} {example_words(example, self.measure.specs, facts)}" for verb, example in cases if example]
        return "; ".join(words)

    def parameters_of(self, key: Key) -> set[str]:
        """Return the parameters that a rule reads, in one of the two, itself or in its bands."""
        found = set()
        for one, bands in zip(self.pair(key), (self.old.bands, self.new.bands), strict=True):
            if one is not None:
                edges = [edge for fact in band_facts(one.when) for edge in (bands[fact].green, bands[fact].red)]
                found |= {compare.parameter for compare in (*compares(one.when), *edges)}
        return found - {""}


def _promotes(policy: Policy, instance: Instance | None) -> bool:
    return instance is not None and instance.outcome in policy.promotes


def _ending(policy: Policy, instance: Instance) -> Effects:
    """Return the effects that say how an episode of this rule ends."""
    return policy.episodes[instance.episode] if instance.episode else policy.effects[instance.outcome]
