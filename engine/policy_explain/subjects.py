"""What an id stands for: a rule in words with its effects, a fact with its readers, a requirement's places."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from os.path import normpath
from typing import TYPE_CHECKING, Any

from engine.errors import Problem, UsageError
from engine.policy.model import compared_facts, facts_of
from engine.policy.notation import duration_words, printed, span_text
from engine.policy.quantity import nearest, quoted, shown
from engine.policy.words import band_words, effects_words, gap_words, rule_notes, rule_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.policy.account import Judged
    from engine.policy.bundle import Bundle
    from engine.policy.model import Policy, Rule
    from engine.policy_explain.accounts import Explanation

_REFERENCE = re.compile(r"[RA]\d{2,3}")
_VERDICT = re.compile(r"V\d{8}-.+")


@dataclass(frozen=True)
class RuleText:
    """One rule of one policy, and how it stands now where that is known."""

    policy: Policy
    rule: Rule
    judged: tuple[Judged, ...] = ()
    now: Explanation | None = None

    @property
    def where(self) -> str:
        """File, line and column."""
        return normpath(self.rule.where)

    @property
    def ids(self) -> tuple[str, ...]:
        """Of what it stands for: one a band with `each: band`."""
        return tuple(id_ for id_, instance in self.policy.by_id.items() if instance.rule.name == self.rule.name)

    @property
    def sentence(self) -> str:
        """The rule in words."""
        return rule_words(self.rule, self.policy)

    @property
    def facts(self) -> tuple[str, ...]:
        """The facts that it reads; a rule for each band reads that of every band."""
        specs = self.policy.vocabulary.facts
        read = self.policy.bands if self.rule.each_band else facts_of(self.rule.when)
        return tuple(dict.fromkeys(name for fact in read for name in compared_facts(fact, specs)))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        rule = self.rule
        now = None
        if self.now is not None:
            moment = self.now.to_json()
            now = {key: moment[key] for key in ("of", "at", "outcome")} | {
                "rules": [judged.to_json() for judged in self.judged]
            }
        return {
            "policy": self.policy.name,
            "rule": rule.name,
            "where": self.where,
            "sentence": self.sentence,
            "outcome": rule.outcome,
            "because": rule.because,
            "refs": list(rule.refs),
            "severity": rule.severity,
            "cure": rule.cure,
            "enabled": rule.enabled,
            "for": None if rule.span is None else span_text(rule.span),
            "gap": rule.gap if rule.span else None,
            "outcome_effects": list(effects_words(self.policy.effects[rule.outcome])),
            "rule_effects": list(effects_words(rule.effects)),
            "episode": rule.episode,
            "facts": list(self.facts),
            "now": now,
        }


@dataclass(frozen=True)
class FactText:
    """One fact: its declaration, its bands, and the rules that read it, in words."""

    name: str
    declared: tuple[tuple[str, str], ...]
    bands: tuple[tuple[str, str], ...]
    rules: tuple[RuleText, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        rules = [{"policy": one.policy.name, "rule": one.rule.name, "sentence": one.sentence} for one in self.rules]
        return {"fact": self.name, **dict(self.declared), "bands": dict(self.bands), "rules": rules}


@dataclass(frozen=True)
class ReferenceText:
    """A requirement or resolution: the rules that implement it, and every line of the files that names it."""

    name: str
    rules: tuple[RuleText, ...]
    lines: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        rules = [{"policy": one.policy.name, "rule": one.rule.name, "sentence": one.sentence} for one in self.rules]
        return {
            "id": self.name,
            "rules": rules,
            "lines": [{"where": where, "text": text} for where, text in self.lines],
        }


@dataclass(frozen=True)
class Subject:
    """What was asked about: rules of that name, or a fact, or a reference."""

    name: str
    parts: tuple[RuleText | FactText | ReferenceText, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        kind = {RuleText: "rule", FactText: "fact", ReferenceText: "reference"}[type(self.parts[0])]
        return {"subject": self.name, "kind": kind, "found": [part.to_json() for part in self.parts]}


def is_verdict_id(name: str) -> bool:
    """Return whether a name looks like a verdict's id."""
    return _VERDICT.fullmatch(name) is not None


def policy_named(bundle: Bundle, name: str) -> Policy:
    """Return a policy of the bundle.

    Raises:
        UsageError: it has none of that name.
    """
    if name not in bundle.policies:
        known = list(bundle.policies)
        help_ = nearest(name, known) or f"write one of {', '.join(known)}"
        raise UsageError(Problem("policy", "--policy", f"the bundle has no policy {quoted(name)}", help_))
    return bundle.policies[name]


def subject(bundle: Bundle, name: str, only: str | None = None) -> Subject:
    """Return what `name` stands for: a rule (``yellow_too_long[drawdown]`` is one of its bands), a fact, a reference.

    Args:
        bundle: whose policies are looked at.
        name: the id.
        only: the name of the one policy to look at; None for all.

    Raises:
        UsageError: it stands for nothing; the nearest id is named.
    """
    policies = list(bundle.policies.values()) if only is None else [policy_named(bundle, only)]
    return Subject(name, _parts(bundle, policies, name))


def _parts(bundle: Bundle, policies: list[Policy], name: str) -> tuple[RuleText | FactText | ReferenceText, ...]:
    rules = tuple(RuleText(policy, rule) for policy in policies for rule in policy.rules.values())
    found = tuple(one for one in rules if name in {one.rule.name, *one.ids})
    if found:
        return found
    facts = bundle.vocabulary.facts
    if name in facts and facts[name].difference is None:
        return (_fact(policies, name, [one for one in rules if name in one.facts]),)
    if _REFERENCE.fullmatch(name):
        lines = tuple(dict.fromkeys(_lines(bundle, policies, name)))
        if lines:
            return (ReferenceText(name, tuple(one for one in rules if name in one.rule.refs), lines),)
    ids = list(dict.fromkeys(id_ for one in rules for id_ in (one.rule.name, *one.ids)))
    of_bands = [id_ for id_ in ids if "[" in id_]
    near = get_close_matches(name, of_bands if "[" in name else [*ids, *facts], n=1)
    help_ = f"did you mean `{near[0]}`?" if near else "`stagegate policy doc` lists every rule and fact"
    problem = f"{quoted(name)} is no rule, fact, requirement or verdict"
    raise UsageError(Problem("unknown-id", "policy explain", problem, help_))


def _fact(policies: list[Policy], name: str, rules: list[RuleText]) -> FactText:
    spec = policies[0].vocabulary.facts[name]
    values = " or ".join(spec.choices) or " to ".join(printed(shown(spec, step)) for step in (spec.low, spec.high))
    declared = (
        ("title", spec.title),
        ("unit", spec.unit),
        ("worse", spec.worse),
        ("values", values),
        ("max_age", duration_words(spec.max_age_ms)),
        ("from", spec.source),
    )
    bands = []
    for policy in policies:
        if name in policy.bands:
            said = band_words(policy.bands[name], spec)
            bands.append((policy.name, f"green {said.green}, yellow {said.yellow or 'never'}, red {said.red}"))
    return FactText(name, declared, tuple(bands), tuple(rules))


def _lines(bundle: Bundle, policies: Iterable[Policy], name: str) -> Iterator[tuple[str, str]]:
    """Yield file:line and text of the lines that name a reference."""
    pattern = re.compile(rf"\b{name}\b")
    texts = [(bundle.vocabulary.source, bundle.vocabulary.text)]
    texts += [(policy.source, policy.text) for policy in policies]
    for source, text in [*texts, (str(bundle.path), bundle.text)]:
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                yield f"{normpath(source)}:{number}", re.sub(r"\s+", " ", line).strip()


def rule_said(one: RuleText) -> Iterator[tuple[str, str]]:
    """Yield label and words of everything there is to say about a rule."""
    rule, policy = one.rule, one.policy
    yield "why", rule.because
    yield "ids", " ".join(rule.refs)
    yield "does", " · ".join(effects_words(policy.effects[rule.outcome])) or "changes nothing"
    yield "also", " · ".join(rule_notes(rule))
    yield "check", rule.severity
    yield "counts", gap_words(rule) if rule.span else ""
    yield "cure", rule.cure
    for name in one.facts:
        spec = policy.vocabulary.facts[name]
        yield "reads", f"{name}: {spec.title} ({spec.unit}); {spec.source}"
