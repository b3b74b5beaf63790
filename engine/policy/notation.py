"""Quantities, durations and conditions in short: as a policy writes them, and as they are printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS
from engine.policy.model import All, BandIs, Compare, Not, Span, Unknown

if TYPE_CHECKING:
    from engine.policy.model import Condition

_QUANTITY = re.compile(r"([-+]?)([0-9.]+) ?(.*)")
_MINUS = "\N{MINUS SIGN}"
_TIMES = "\N{MULTIPLICATION SIGN}"
_DURATIONS = (("day", DAY_MS), ("hour", HOUR_MS), ("minute", MINUTE_MS), ("ms", 1))


def printed(quantity: str) -> str:
    """Return a quantity as it is printed: a true minus, and a space before the unit.

    >>> printed("-5%"), printed("24 hours"), printed("1.5x"), printed("FLATTEN_ALL")
    ('−5 %', '24 hours', '1.5×', 'FLATTEN_ALL')
    """
    match = _QUANTITY.fullmatch(quantity.strip())
    if match is None:
        return quantity.strip()
    sign, digits, unit = match.groups()
    unit = _TIMES if unit == "x" else f" {unit}" if unit else ""
    return f"{_MINUS if sign == '-' else ''}{digits}{unit}"


def duration_unit(length_ms: int) -> tuple[str, int]:
    """Return the largest unit of which `length_ms` is a whole number, and its milliseconds.

    >>> duration_unit(36 * HOUR_MS)
    ('hour', 3600000)
    """
    return next((name, size) for name, size in _DURATIONS if length_ms % size == 0)


def duration_words(length_ms: int) -> str:
    """Return a duration in the largest unit of which it is a whole number.

    >>> duration_words(432_000_000), duration_words(900_000)
    ('5 days', '15 minutes')
    """
    name, size = duration_unit(length_ms)
    return f"{length_ms // size} {name}{'' if length_ms == size else 's'}"


def span_text(span: Span) -> str:
    """Return a span as a policy writes it.

    >>> span_text(Span(3, 5)), span_text(Span(1))
    ('3 of 5 days', '1 day')
    """
    days = f"{span.days}" if span.of is None else f"{span.days} of {span.of}"
    return f"{days} day{'' if days == '1' else 's'}"


def in_words(condition: Condition) -> str:
    """Return a condition as people read it.

    >>> in_words(All((Compare("drawdown", ">", 120000, "> 12%"), Not(Unknown("stage")))))
    'all of drawdown > 12%, not stage unknown'
    """
    if isinstance(condition, Compare):
        left, _, right = condition.fact.partition(" - ")  # the difference of two facts
        text = condition.text or f"{condition.operator} {condition.steps}"
        return f"{left if right and text.endswith(f' {right}') else condition.fact} {text}"
    if isinstance(condition, BandIs):
        return f"{condition.fact or 'band'} {condition.colour}"
    if isinstance(condition, Unknown):
        return f"{condition.fact} unknown"
    if isinstance(condition, Not):
        return f"not {in_words(condition.part)}"
    colours = {part.colour for part in condition.parts if isinstance(part, BandIs)}
    if len(condition.parts) > 1 and len(colours) == 1 and all(isinstance(part, BandIs) for part in condition.parts):
        return f"{'every' if isinstance(condition, All) else 'any'} band {colours.pop()}"
    return f"{'all of' if isinstance(condition, All) else 'any of'} {_list(condition.parts)}"


def _list(parts: tuple[Condition, ...]) -> str:
    words = [in_words(part) for part in parts]
    return ", ".join(f"({word})" if word.startswith(("all of", "any of")) else word for word in words)
