"""Posted facts: a value with a status and an age. Only a fact that is `ok` has a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.policy.model import FLAG, FactSpec, Vocabulary
from engine.policy.quantity import to_steps

if TYPE_CHECKING:
    from collections.abc import Iterable

Status = Literal["ok", "young", "stale", "missing", "invalid"]
Value = float | int | str | bool | None

OK: Status = "ok"
YOUNG: Status = "young"
STALE: Status = "stale"
MISSING: Status = "missing"
INVALID: Status = "invalid"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact as it is posted.

    Attributes:
        name: of the vocabulary.
        value: in the vocabulary's unit (percent: 12.0 is 12 %); None unless `status` is ``ok``.
        status: ``ok``, ``young`` (not enough history yet), ``stale``, ``missing`` or ``invalid``.
        as_of_ms: the moment the value describes.
    """

    name: str
    value: Value
    status: Status
    as_of_ms: int


Facts = Mapping[str, Fact]


def validated(fact: Fact, spec: FactSpec, now_ms: int) -> Fact:
    """Return `fact` as it may be used at `now_ms`; see `checked`."""
    return checked(fact, spec, now_ms)[0]


def checked(fact: Fact, spec: FactSpec, now_ms: int) -> tuple[Fact, int | None]:
    """Return `fact` as it may be used at `now_ms`, and its value in whole steps, None where it has none.

    A value of the wrong type, NaN, infinite, out of range or from the future is ``invalid``; one older than the
    vocabulary's `max_age` is ``stale``. Whatever is not ``ok`` loses its value.
    """
    if fact.status != OK:
        return (fact if fact.value is None else Fact(fact.name, None, fact.status, fact.as_of_ms)), None
    steps = in_steps(fact, spec)
    if steps is None or fact.as_of_ms > now_ms:
        return Fact(fact.name, None, INVALID, fact.as_of_ms), None
    if now_ms - fact.as_of_ms > spec.max_age_ms:
        return Fact(fact.name, None, STALE, fact.as_of_ms), None
    return fact, steps


def validated_all(
    facts: Iterable[Fact], vocabulary: Vocabulary, now_ms: int, *, only: Iterable[str] | None = None
) -> dict[str, Fact]:
    """Return facts of the vocabulary, in its order: validated, or ``missing`` where none was posted.

    Differences of facts are never posted.

    Args:
        facts: posted; those that the vocabulary does not know are left out, for no rule can read them.
        vocabulary: declares them.
        now_ms: the present.
        only: the names that matter, in the vocabulary's order; None for all.
    """
    posted = {fact.name: fact for fact in facts}
    specs = vocabulary.facts
    return {
        name: validated(posted[name], specs[name], now_ms) if name in posted else Fact(name, None, MISSING, now_ms)
        for name in (specs if only is None else only)
        if specs[name].difference is None
    }


def in_steps(fact: Fact | None, spec: FactSpec) -> int | None:
    """Return the value in whole steps of the resolution, or None where there is none that may be used.

    Total: any value of any type gives a number inside the range, or None.
    """
    if fact is None or fact.status != OK:
        return None
    value = fact.value
    if spec.choices:
        return _index(value, spec)
    if not isinstance(value, float) and (not isinstance(value, int) or isinstance(value, bool)):
        return None
    if not spec.lowest <= value <= spec.highest:  # NaN is not between anything
        return None
    if spec.whole and value != int(value):
        return None
    steps = to_steps(value, spec)
    return steps if spec.low <= steps <= spec.high else None


def _index(value: Value, spec: FactSpec) -> int | None:
    if spec.unit == FLAG:
        return int(value) if isinstance(value, bool) else None
    return spec.choices.index(value) if isinstance(value, str) and value in spec.choices else None
