"""Changes of conditions, durations and declarations in words that a trader reads."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from engine.policy.model import All, AnyOf, BandIs, Compare, Not, Unknown
from engine.policy.notation import duration_words, printed
from engine.policy.quantity import shown
from engine.policy.words import span_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine.policy.difference.firing import Example
    from engine.policy.effects import Effects
    from engine.policy.model import Condition, FactSpec, Operator, Span
    from engine.policy.points import Point

_TIMES = "\N{MULTIPLICATION SIGN}"
_OPERATORS: Mapping[Operator, str] = {
    ">": "above", ">=": "at or above", "<": "below", "<=": "at or below", "=": "equal to", "!=": "other than",
}  # fmt: skip
_EFFECT_WORDS = {
    "exposure": "exposure",
    "entries_blocked": "new entries",
    "cap_factor": "the cap",
    "once_per_episode": "acts",
    "page_every_ms": "a page every",
    "recovery_ms": "recovery",
    "approvals": "approvals",
    "at_most_ms": "at most",
    "until": "lasts until",
    "incident": "incident",
    "alert": "alert",
    "flag": "flag",
}


def quantity_of(compare: Compare) -> str:
    """Return what a comparison compares with."""
    text = compare.text.removeprefix(compare.operator).strip()
    return printed(text or str(compare.steps))


def bound(compare: Compare) -> str:
    """Return a comparison without its fact: ``above 12 %``."""
    return f"{_OPERATORS[compare.operator]} {quantity_of(compare)}"


def phrase(condition: Condition) -> str:  # noqa: PLR0911 - one line a kind of condition
    """Return a condition in words.

    >>> phrase(All((Compare("drawdown", ">", 120000, "> 12%"), Not(Unknown("stage")))))
    'all of: `drawdown` above 12 %, `stage` known'
    """
    match condition:
        case Compare():
            return f"`{condition.fact}` {bound(condition)}"
        case BandIs(fact, colour):
            return f"{f'`{fact}`' if fact else 'its band'} {colour}"
        case Unknown(fact):
            return f"`{fact}` unknown"
        case Not(Unknown(fact)):
            return f"`{fact}` known"
        case Not(part):
            return f"not ({phrase(part)})"
        case All(parts):
            return every_band(parts) or f"all of: {_list(parts)}"
        case AnyOf(parts):
            return f"any of: {_list(parts)}"


def every_band(parts: Sequence[Condition]) -> str:
    """Return ``every band green`` where the parts are that, else nothing."""
    colours = {part.colour for part in parts if isinstance(part, BandIs)}
    whole = len(parts) > 1 and len(colours) == 1 and all(isinstance(part, BandIs) for part in parts)
    return f"every band {colours.pop()}" if whole else ""


def _list(parts: Sequence[Condition]) -> str:
    return ", ".join(f"({phrase(part)})" if isinstance(part, All | AnyOf) else phrase(part) for part in parts)


def condition_changes(old: Condition, new: Condition, *, unless: bool = False) -> Iterator[str]:
    """Yield what became of a rule's condition, as the rest of a sentence that begins with the rule's name.

    Args:
        old: the condition before.
        new: the condition after.
        unless: whether the rule is a check, which fires where its condition does not hold.
    """
    if isinstance(old, Compare) and isinstance(new, Compare) and old.fact == new.fact:
        yield f"demands `{new.fact}` {_moved(old, new)}" if unless else f"fires {_moved(old, new)}"
        return
    kind = next((one for one in (All, AnyOf) if isinstance(old, one) or isinstance(new, one)), None)
    other = AnyOf if kind is All else All
    if kind is None or isinstance(old, other) or isinstance(new, other):
        yield _other_connective(old, new) or when_words(new, unless=unless) + f", not {when_words(old, unless=unless)}"
        return
    verbs = _VERBS[unless, kind is All]
    yield from _parts(_parts_of(old, kind), _parts_of(new, kind), *verbs)


# (a check, all must hold): what a rule does with one of its conditions, and what it no longer does
_VERBS = {
    (False, True): ("requires", "no longer requires"),
    (False, False): ("fires at", "no longer fires at"),
    (True, True): ("demands", "no longer demands"),
    (True, False): ("is met by", "is no longer met by"),
}


def when_words(condition: Condition, *, unless: bool) -> str:
    """Return when a rule fires."""
    return f"fires {'unless' if unless else 'at'} {phrase(condition)}"


def _other_connective(old: Condition, new: Condition) -> str:
    if isinstance(old, All | AnyOf) and isinstance(new, All | AnyOf) and set(old.parts) == set(new.parts):
        count = len(new.parts)
        if isinstance(new, AnyOf):
            return f"reads its {count} conditions as `any` instead of `all`: one is enough"
        return f"reads its {count} conditions as `all` instead of `any`: each is needed"
    return ""


def _parts_of(condition: Condition, kind: type[All | AnyOf]) -> tuple[Condition, ...]:
    return condition.parts if isinstance(condition, kind) else (condition,)


def _parts(old: Sequence[Condition], new: Sequence[Condition], does: str, no_longer: str) -> Iterator[str]:
    gone = [part for part in old if part not in new]
    come = [part for part in new if part not in old]
    for part in list(gone):
        twin = next((one for one in come if _alike(part, one)), None)
        if isinstance(part, Compare) and isinstance(twin, Compare):
            gone.remove(part)
            come.remove(twin)
            yield f"{does} `{part.fact}` {_moved(part, twin)}"
    for part in gone:
        yield f"{no_longer} {phrase(part)}"
    for part in come:
        yield f"{does} {phrase(part)} as well"


def _alike(old: Condition, new: Condition) -> bool:
    return isinstance(old, Compare) and isinstance(new, Compare) and old.fact == new.fact


def _moved(old: Compare, new: Compare) -> str:
    return f"{bound(new)} instead of {quantity_of(old) if old.operator == new.operator else bound(old)}"


def when_due(span: Span | None) -> str:
    """Return how long a rule waits: ``at once``, ``after 4 complete days``, ``on 3 of the last 5 complete days``."""
    return span_words(span).replace("for ", "after ", 1) if span else "at once"


def effect_changes(old: Effects, new: Effects) -> Iterator[tuple[str, str]]:
    """Yield attribute and words of every effect that differs: ``exposure 0.5 instead of 0.2``."""
    for one in fields(old):
        before, after = getattr(old, one.name), getattr(new, one.name)
        if before != after:
            what = _EFFECT_WORDS.get(one.name, one.name)
            yield one.name, f"{what} {effect_value(one.name, after)} instead of {effect_value(one.name, before)}"


def effect_value(name: str, value: Any) -> str:
    """Return the value of one effect in words."""
    if name == "entries_blocked":
        return "blocked" if value else "allowed"
    if name == "once_per_episode":
        return "once per episode" if value else "on every verdict"
    if value is None:
        return "none"
    if name.endswith("_ms"):
        return f"{'once per ' if name == 'at_most_ms' else ''}{duration_words(value)}"
    if name == "cap_factor":
        return f"{_TIMES}{value:g}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def example_words(example: Example, specs: Mapping[str, FactSpec], facts: Iterable[str]) -> str:
    """Return values over days in words: ``drawdown 9 % for 3 days, then 8 %``; facts that stay are said once."""
    names = list(facts)
    stretches: list[str] = []
    before: Point = {}
    for point, days in example:
        said = [name for name in names if not stretches or point.get(name) != before.get(name)] or names
        words = ", ".join(f"{name} {_steps_words(point.get(name), specs[name])}" for name in said)
        length = "now" if stretches and not days else f"for {days} day{'s' if days > 1 else ''}" if days > 1 else ""
        stretches.append(f"{words} {length}".strip())
        before = point
    return ", then ".join(stretches)


def _steps_words(steps: int | None, spec: FactSpec) -> str:
    return "unknown" if steps is None else printed(shown(spec, steps))


def listed(names: Iterable[str]) -> str:
    """Return names in backticks: ```a`, `b` and `c```."""
    quoted = [f"`{name}`" for name in names]
    return " and ".join(part for part in (", ".join(quoted[:-1]), *quoted[-1:]) if part)
