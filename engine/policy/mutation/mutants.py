"""Every policy that differs from a given one by a single decision.

The typed model is changed, never the text. Wording, sources and the ranges of parameters decide nothing and are left
alone; a test holds the list of all other fields of the model against what is changed here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, get_args

from engine.policy.expansion import not_true
from engine.policy.model import HARD, SOFT, All, AnyOf, BandIs, Compare, Gap, Not, Span
from engine.policy.mutation.alterations import Kind, alterations, altered_compares, changed, moved
from engine.policy.mutation.altered_effects import altered_declarations, altered_effects, effects_changed
from engine.policy.notation import span_text
from engine.policy.testing.variants import switched, with_rule, with_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from engine.policy.model import Band, Condition, FactSpec, Policy, Rule

# An outcome, and the ids of the rules that fired.
Decided = tuple[str, "Collection[str]"]

# Decisions that no day of facts can show: a test expects what the policy declares.
DECLARED_KINDS: frozenset[Kind] = frozenset({"effects", "episode", "check", "promotes", "exit", "stage"})


@dataclass(frozen=True)
class Mutant:
    """A policy with one decision changed.

    Attributes:
        policy: with the change.
        kind: of the change.
        where: such as ``rules.drawdown_red``, ``bands.drawdown.green``, ``effects.PAUSE``.
        change: in words, from → to.
        rule: the name of the rule, where it is one rule's.
        switched_on: rules that the file switches off and that are on in `policy`, and in the tests that judge it.
    """

    policy: Policy = field(repr=False)
    kind: Kind
    where: str
    change: str
    rule: str = ""
    switched_on: frozenset[str] = frozenset()

    @property
    def declared(self) -> bool:
        """Whether only what the policy declares shows it, and no day of facts."""
        return self.kind in DECLARED_KINDS

    @property
    def lost_each(self) -> bool:
        """Whether a rule lost its `each: band`, and with it the ids of what it stands for."""
        return self.kind == "each" and not self.policy.rules[self.rule].each_band

    def told_apart(self, written: Decided, mutated: Decided) -> bool:
        """Return whether two decisions differ: in the outcome, or in the rules that fired."""
        return written[0] != mutated[0] or self.names(written[1]) != self.names(mutated[1])

    def names(self, ids: Iterable[str]) -> set[str]:
        """Return ids of rules as they count for this mutant: without the band, if the rule has lost it."""
        return {self.rule if self.lost_each and name.partition("[")[0] == self.rule else name for name in ids}

    def __str__(self) -> str:
        return f"{self.policy.name}: {self.where}: {self.kind}: {self.change}"


def mutants(policy: Policy) -> Iterator[Mutant]:
    """Yield each mutant of a policy, rule by rule in the order of the file, then bands, parameters and the rest."""
    for rule in policy.rules.values():
        yield from _of_rule(policy, rule)
    for band in policy.bands.values():
        yield from _of_band(policy, band)
    yield from _of_parameters(policy)
    yield from _of_outcomes(policy)
    for kind, where, change, after in altered_declarations(policy):
        yield Mutant(after, kind, where, change)


def _of_rule(policy: Policy, rule: Rule) -> Iterator[Mutant]:
    """Yield the mutants of one rule; one that is off is changed as if it were on, and also switched on."""
    where = f"rules.{rule.name}"
    on = frozenset() if rule.enabled else frozenset({rule.name})
    if on:
        policy = switched(policy, on)
        yield Mutant(policy, "enabled", where, "`enabled: no` → `enabled: yes`", rule.name)
        rule = policy.rules[rule.name]
    for kind, change, after in (("rule removed", f"`{rule.name}` removed", None), *_altered_rules(policy, rule)):
        yield Mutant(with_rule(policy, rule.name, after), kind, where, change, rule.name, on)
    if rule.each_band:
        yield from (replace(mutant, switched_on=on) for mutant in _of_each(policy, rule))


def _altered_rules(policy: Policy, rule: Rule) -> Iterator[tuple[Kind, str, Rule]]:
    yield from _altered_duties(policy, rule)
    yield from _altered_conditions(policy, rule)
    if rule.span is not None:
        for span in (*_spans(rule.span), None):
            after = f"`for: {span_text(span)}`" if span else "at once"
            yield "duration", f"`for: {span_text(rule.span)}` → {after}", replace(rule, span=span)
        for gap in get_args(Gap):
            if gap != rule.gap:
                yield "gap", f"`gap: {rule.gap}` → `gap: {gap}`", replace(rule, gap=gap)


def _altered_conditions(policy: Policy, rule: Rule) -> Iterator[tuple[Kind, str, Rule]]:
    """Yield the rule with each change of its condition, as it was written: with `when` or with `unless`."""
    facts = policy.vocabulary.facts
    if rule.unless is None:
        yield from ((one.kind, one.change, replace(rule, when=one.condition)) for one in alterations(rule.when, facts))
        return
    yield "unless", "`unless` → `when`", replace(rule, when=rule.unless, unless=None)
    yield (
        "unless",
        "`unless` → `when: not`, which what is unknown does not fire",
        replace(rule, when=Not(rule.unless), unless=None),
    )
    for one in alterations(rule.unless, facts):
        yield one.kind, one.change, replace(rule, when=not_true(one.condition), unless=one.condition)


def _altered_duties(policy: Policy, rule: Rule) -> Iterator[tuple[Kind, str, Rule]]:
    """Yield the rule with other outcomes, episodes and effects, and as another kind of check."""
    for outcome in policy.outcomes:
        if outcome != rule.outcome:
            yield "outcome", f"`{rule.outcome}` → `{outcome}`", replace(rule, outcome=outcome)
    for episode in ("", *policy.episodes):
        if episode != rule.episode:
            change = f"`{rule.episode or rule.outcome}` → `{episode or rule.outcome}`"
            yield "episode", change, replace(rule, episode=episode)
    for effects in altered_effects(rule.effects):
        yield "effects", effects_changed(rule.effects, effects), replace(rule, effects=effects)
    for severity in (HARD, SOFT):
        if rule.severity not in {"", severity}:
            yield "check", f"`{rule.severity}` → `{severity}`", replace(rule, severity=severity)


def _of_each(policy: Policy, rule: Rule) -> Iterator[Mutant]:
    """Yield `each: band` without each band, and as one rule about any of them: not the same metric all along."""
    where = f"rules.{rule.name}"
    for fact in policy.bands:
        kept = tuple(one for one in policy.instances if one.id != f"{rule.name}[{fact}]")
        yield Mutant(replace(policy, instances=kept), "each", where, f"without the band of `{fact}`", rule.name)
    any_band = replace(rule, when=_over_any(rule.when, tuple(policy.bands)), each_band=False)
    yield Mutant(with_rule(policy, rule.name, any_band), "each", where, "`each: band` → any band", rule.name)


def _over_any(condition: Condition, bands: tuple[str, ...]) -> Condition:
    if isinstance(condition, BandIs) and not condition.fact:
        return AnyOf(tuple(BandIs(fact, condition.colour) for fact in bands))
    if isinstance(condition, All | AnyOf):
        return type(condition)(tuple(_over_any(part, bands) for part in condition.parts))
    return Not(_over_any(condition.part, bands)) if isinstance(condition, Not) else condition


def _spans(span: Span) -> list[Span]:
    days, of = span.days, span.of
    if of is None:
        return [Span(other) for other in (days - 1, days + 1) if other] + [Span(days, days + 1)]
    around = [Span(days - 1, of), Span(days + 1, of), Span(days, of - 1), Span(days, of + 1), Span(days)]
    return [other for other in around if 0 < other.days <= (other.of or other.days) and other != span]


def _of_band(policy: Policy, band: Band) -> Iterator[Mutant]:
    spec = policy.vocabulary.facts[band.fact]
    for colour in ("green", "red"):
        edge: Compare = getattr(band, colour)
        for kind, other in altered_compares(edge, spec):
            after = replace(band, green=other) if colour == "green" else replace(band, red=other)
            bands = {**policy.bands, band.fact: after}
            where = f"bands.{band.fact}.{colour}"
            yield Mutant(replace(policy, bands=bands), "band", where, f"{kind}: {changed(edge, other)}")


def _of_parameters(policy: Policy) -> Iterator[Mutant]:
    """Yield each parameter a step lower and higher, wherever it is read at once."""
    for name in dict.fromkeys(leaf.parameter for leaf in _all_compares(policy) if leaf.parameter):
        for sign in (-1, 1):
            by = partial(_shifted, policy.vocabulary.facts, name, sign)
            bands = {fact: replace(band, green=by(band.green), red=by(band.red)) for fact, band in policy.bands.items()}
            rules = {key: replace(rule, when=_mapped(rule.when, by)) for key, rule in policy.rules.items()}
            change = next((changed(leaf, by(leaf)) for leaf in _all_compares(policy) if by(leaf) != leaf), None)
            if change is not None:
                yield Mutant(with_rules(replace(policy, bands=bands), rules), "parameter", f"parameters.{name}", change)


def _shifted(specs: Mapping[str, FactSpec], parameter: str, sign: int, leaf: Compare) -> Compare:
    """Return a comparison with its bound a step over, if that is the parameter's and stays in the fact's range."""
    spec = specs[leaf.fact]
    steps = leaf.steps + sign
    return moved(leaf, spec, steps) if leaf.parameter == parameter and spec.low <= steps <= spec.high else leaf


def _all_compares(policy: Policy) -> list[Compare]:
    edges = [edge for band in policy.bands.values() for edge in (band.green, band.red)]
    return edges + [leaf for rule in policy.rules.values() for leaf in _compares(rule.when)]


def _compares(condition: Condition) -> list[Compare]:
    if isinstance(condition, All | AnyOf):
        return [leaf for part in condition.parts for leaf in _compares(part)]
    if isinstance(condition, Not):
        return _compares(condition.part)
    return [condition] if isinstance(condition, Compare) else []


def _mapped(condition: Condition, by: Callable[[Compare], Compare]) -> Condition:
    if isinstance(condition, All | AnyOf):
        return type(condition)(tuple(_mapped(part, by) for part in condition.parts))
    if isinstance(condition, Not):
        return Not(_mapped(condition.part, by))
    return by(condition) if isinstance(condition, Compare) else condition


def _of_outcomes(policy: Policy) -> Iterator[Mutant]:
    order = policy.outcomes
    for one, other in combinations(order, 2):
        swapped = tuple({one: other, other: one}.get(outcome, outcome) for outcome in order)
        change = f"`{one}` and `{other}` exchanged"
        yield Mutant(replace(policy, outcomes=swapped), "severity", "outcomes", change)
    for outcome in order:
        if outcome != policy.otherwise:
            change = f"`{policy.otherwise}` → `{outcome}`"
            yield Mutant(replace(policy, otherwise=outcome), "otherwise", "otherwise", change)
