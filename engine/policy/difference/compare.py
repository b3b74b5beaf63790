"""What changed between two vocabularies, policies or bundles: in words, and whether it became softer or harder.

Nothing here reads a file, and nothing compares text: comments, layout and the order of rules change no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from engine.documents import parse_document
from engine.policy.bundle import Bundle
from engine.policy.difference.declared import declared_changes
from engine.policy.difference.impacts import Impact
from engine.policy.difference.lean import NEITHER, UNDECIDED, Lean, joint
from engine.policy.difference.rules import Change, Rules
from engine.policy.difference.vocabulary import fact_changes, wording_changed
from engine.policy.model import Policy, Vocabulary
from engine.policy.notation import printed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Change", "Difference", "Impact", "Lean", "Model", "difference"]

Model = Vocabulary | Policy | Bundle

_SHORT_HASH = 8
_MOST_KEYS = 12  # of a configuration, in one sentence
_OF_FILES = ("name", "path", "sha256", "text", "source", "vocabulary", "policies", "files")
_OF_CONFIG = ("config_path", "config_sha256", "config_text")


@dataclass(frozen=True)
class Difference:
    """What is different between two models.

    Attributes:
        changes: in the order of the files; those of the wording alone (section ``words``) included.
        impacts: policy -> what all changes together do to each rule that can fire.
        same_text: whether the two are the same to the byte.
    """

    changes: tuple[Change, ...]
    impacts: Mapping[str, tuple[Impact, ...]]
    same_text: bool

    @property
    def meaning(self) -> tuple[Change, ...]:
        """The changes of meaning."""
        return tuple(change for change in self.changes if change.section != "words")

    @property
    def lean(self) -> Lean:
        """The direction of everything together."""
        of_rules = [impact.lean for impacts in self.impacts.values() for impact in impacts]
        return joint([*of_rules, *(change.lean for change in self.changes)])

    @property
    def by_outcome(self) -> Mapping[tuple[str, str], Lean]:
        """The direction by policy and outcome, of outcomes that something does anything to; "" is all outcomes."""
        found: dict[tuple[str, str], Lean] = {}
        pairs = [(change.policy, impact) for change in self.changes for impact in change.impacts]
        pairs += [(policy, impact) for policy, impacts in self.impacts.items() for impact in impacts]
        for policy, impact in pairs:
            found[policy, impact.outcome] = found.get((policy, impact.outcome), NEITHER) | impact.lean
        return found

    @property
    def summary(self) -> str:
        """The whole in one sentence."""
        if self.same_text and not self.changes:
            return "The two are the same to the byte."
        count = len(self.meaning)
        if not count:
            return "No change in meaning: only comments, layout, the order of rules, or wording."
        return f"{count} {'change' if count == 1 else 'changes'} of meaning: {_DIRECTIONS[self.lean.word]}."


_DIRECTIONS = {
    "softer": "softer",
    "harder": "harder",
    "both": "softer in some situations, harder in others",
    "neither": "neither softer nor harder",
    "undecided": "whether softer or harder cannot be told from the policy alone",
}


@singledispatch
def difference(old: Model, new: Model) -> Difference:
    """Return what changed from `old` to `new`, two vocabularies, two policies or two bundles.

    Raises:
        TypeError: the two are of different kinds.
    """
    raise TypeError(f"no difference between {type(old).__name__} and {type(new).__name__}")


@difference.register
def _of_vocabularies(old: Vocabulary, new: Model) -> Difference:
    _check(old, new)
    assert isinstance(new, Vocabulary)
    changes = (*_vocabulary(old, new), *_shared_parameters(old, new))
    return Difference(changes, {}, old.sha256 == new.sha256)


@difference.register
def _of_policies(old: Policy, new: Model) -> Difference:
    _check(old, new)
    assert isinstance(new, Policy)
    rules = Rules(old, new)
    changes = (*rules.changes(), *declared_changes(old, new))
    impacts = tuple(impact for impacts in rules.impacts.values() for impact in impacts)
    return Difference(changes, {new.name: impacts} if impacts else {}, old.sha256 == new.sha256)


@difference.register
def _of_bundles(old: Bundle, new: Model) -> Difference:
    _check(old, new)
    assert isinstance(new, Bundle)
    changes = [*_bundle(old, new), *_vocabulary(old.vocabulary, new.vocabulary)]
    impacts: dict[str, tuple[Impact, ...]] = {}
    same = old.digest == new.digest
    for name in dict.fromkeys([*old.policies, *new.policies]):
        before, after = old.policies.get(name), new.policies.get(name)
        if before is None or after is None:
            changes.append(_whole(name, before, after))
            same = False
            continue
        one = difference(before, after)
        changes += one.changes
        impacts.update(one.impacts)
        same = same and one.same_text
    return Difference(tuple(changes), impacts, same)


def _check(old: Model, new: Model) -> None:
    if type(old) is not type(new):
        raise TypeError(f"no difference between {type(old).__name__} and {type(new).__name__}")


def _whole(name: str, old: Policy | None, new: Policy | None) -> Change:
    """Return the change of a policy that only one bundle has."""
    policy = old or new
    assert policy is not None
    word = "is no longer part of the bundle" if new is None else "is new in the bundle"
    asks = ", ".join(policy.outcomes) or "stages alone"
    sentence = f"The policy `{name}` {word}: {len(policy.rules)} rules, {asks}."
    return Change(name, "policies", name, sentence, (), UNDECIDED)


def _vocabulary(old: Vocabulary, new: Vocabulary) -> Iterator[Change]:
    for name, sentence, lean in fact_changes(old, new):
        yield Change("", "facts", name, sentence, (), lean)
    for name, spec in new.facts.items():
        if name in old.facts and wording_changed(old.facts[name], spec):
            yield Change("", "words", name, f"The fact `{name}` is described in other words.")


def _shared_parameters(old: Vocabulary, new: Vocabulary) -> Iterator[Change]:
    """Yield the changes of shared thresholds where no policy is at hand that would say what they do."""
    for name in dict.fromkeys([*old.parameters, *new.parameters]):
        before, after = (one.parameters[name].value if name in one.parameters else None for one in (old, new))
        if before != after:
            words = ["nothing" if value is None else printed(value) for value in (after, before)]
            sentence = (
                f"The shared parameter `{name}` is {words[0]} instead of {words[1]}; the policies tell what it does."
            )
            yield Change("", "parameters", name, sentence, (), UNDECIDED)


def _bundle(old: Bundle, new: Bundle) -> Iterator[Change]:
    if old.name != new.name:
        yield Change("", "bundle", "bundle", f"The bundle is called {new.name} instead of {old.name}.")
    if old.config_sha256 != new.config_sha256:
        yield Change("", "config", "config", _config_sentence(old, new), (), UNDECIDED)
    for one in fields(new):
        before, after = getattr(old, one.name), getattr(new, one.name)
        if one.name not in {*_OF_FILES, *_OF_CONFIG} and before != after:
            yield Change(
                "", "bundle", one.name, f"`{one.name}` is {_value(after)} instead of {_value(before)}.", (), UNDECIDED
            )


def _config_sentence(old: Bundle, new: Bundle) -> str:
    hashes = f"({old.config_sha256[:_SHORT_HASH]}… → {new.config_sha256[:_SHORT_HASH]}…)"
    before, after = (
        dict(_leaves(parse_document(one.config_text.encode(), str(one.config_path)).data)) for one in (old, new)
    )
    changed = [key for key in dict.fromkeys([*before, *after]) if before.get(key) != after.get(key)]
    said = [f"`{key}` {_value(after.get(key))} instead of {_value(before.get(key))}" for key in changed[:_MOST_KEYS]]
    rest = f", and {len(changed) - _MOST_KEYS} more" if len(changed) > _MOST_KEYS else ""
    values = f"{', '.join(said)}{rest}" if said else "its values are the same"
    return f"The frozen configuration is another one {hashes}: {values}."


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _value(value: Any) -> str:
    return "nothing" if value is None else str(value)
