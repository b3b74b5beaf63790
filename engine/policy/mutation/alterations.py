"""Small changes of a condition, one at a time: what a reviewer could mistype and a test must notice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, assert_never, get_args

from engine.policy.model import All, AnyOf, BandIs, Colour, Compare, Not, Unknown
from engine.policy.notation import in_words
from engine.policy.quantity import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.policy.model import Condition, FactSpec, Operator

Kind = Literal[
    "threshold", "operator", "connective", "condition dropped", "colour", "unknown", "not dropped",
    "duration", "gap", "each", "rule removed", "band", "parameter",
    "unless", "enabled", "check",
    "outcome", "severity", "otherwise", "effects", "episode", "promotes", "exit", "stage",
]  # fmt: skip

# A bound one step over is seen at the value of the bound itself, so are all bounds further over: one step is enough.
_STEPS = (-1, 1)
_OPERATORS: Mapping[Operator, tuple[Operator, ...]] = {
    ">": (">=", "<"),
    ">=": (">", "<="),
    "<": ("<=", ">"),
    "<=": ("<", ">="),
    "=": ("!=", ">=", "<="),
    "!=": ("=",),
}
_WORD_OPERATORS: Mapping[Operator, tuple[Operator, ...]] = {"=": ("!=",), "!=": ("=",)}


@dataclass(frozen=True)
class Alteration:
    """A changed condition: what kind of change, in words from → to, and the whole condition with it."""

    kind: Kind
    change: str
    condition: Condition


def alterations(condition: Condition, facts: Mapping[str, FactSpec]) -> Iterator[Alteration]:
    """Yield the condition with each single change."""
    if isinstance(condition, Compare):
        for kind, compare in altered_compares(condition, facts[condition.fact]):
            yield Alteration(kind, changed(condition, compare), compare)
    elif isinstance(condition, BandIs):
        for colour in get_args(Colour):
            if colour != condition.colour:
                other = BandIs(condition.fact, colour)
                yield Alteration("colour", changed(condition, other), other)
    elif isinstance(condition, Unknown):
        yield Alteration("unknown", f"`{in_words(condition)}` → `{condition.fact} known`", Not(condition))
    elif isinstance(condition, Not):
        yield Alteration("not dropped", f"`not` before `{in_words(condition.part)}` dropped", condition.part)
        for inner in alterations(condition.part, facts):
            yield Alteration(inner.kind, inner.change, Not(inner.condition))
    elif isinstance(condition, All | AnyOf):
        yield from _joined(condition, facts)
    else:
        assert_never(condition)


def _joined(condition: All | AnyOf, facts: Mapping[str, FactSpec]) -> Iterator[Alteration]:
    kind, parts = type(condition), condition.parts
    if len(parts) > 1:
        other = AnyOf if kind is All else All
        yield Alteration("connective", changed(condition, other(parts)), other(parts))
        for number, part in enumerate(parts):
            rest = (*parts[:number], *parts[number + 1 :])
            yield Alteration(
                "condition dropped", f"`{in_words(part)}` dropped", kind(rest) if len(rest) > 1 else rest[0]
            )
    for number, part in enumerate(parts):
        for inner in alterations(part, facts):
            yield Alteration(inner.kind, inner.change, kind((*parts[:number], inner.condition, *parts[number + 1 :])))


def altered_compares(compare: Compare, spec: FactSpec) -> Iterator[tuple[Kind, Compare]]:
    """Yield a comparison with its bound a step lower and higher (a word: each other word) and other operators."""
    others = range(spec.low, spec.high + 1) if spec.choices else [compare.steps + step for step in _STEPS]
    for steps in others:
        if steps != compare.steps and spec.low <= steps <= spec.high:
            yield "threshold", moved(compare, spec, steps)
    for operator in (_WORD_OPERATORS if spec.choices else _OPERATORS).get(compare.operator, ()):
        text = f"{operator} {shown(spec, compare.steps)}"
        yield "operator", replace(compare, operator=operator, text=text, parameter="")


def moved(compare: Compare, spec: FactSpec, steps: int) -> Compare:
    """Return a comparison with another bound."""
    return replace(compare, steps=steps, text=f"{compare.operator} {shown(spec, steps)}", parameter="")


def changed(before: Condition, after: Condition) -> str:
    """Return a change in words."""
    return f"`{in_words(before)}` → `{in_words(after)}`"
