"""Whether plain values fit a schema, answered quickly: Cerberus is asked what is wrong only where something is.

A file is nearly always right, and Cerberus makes a validator for every mapping of it. The schema is the same; a word of
it that is not known here counts as a misfit, so this can only ask Cerberus too often.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "dict": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
}


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether the mapping `value` fits a schema of Cerberus's kind: True only where Cerberus finds nothing."""
    for key, rules in schema.items():
        if key in value:
            if not _fits_rules(value[key], rules):
                return False
        elif rules.get("required"):
            return False
    return all(key in schema for key in value)


def _fits_rules(value: Any, rules: Mapping[str, Any]) -> bool:
    kinds = rules.get("type")
    if kinds is None or not any(_KINDS[kind](value) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    return all(name in _CHECKS and _CHECKS[name](value, constraint) for name, constraint in rules.items())


def _fits_schema(value: Any, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, dict):
        return fits(value, schema)
    return all(_fits_rules(item, schema) for item in value)


def _fits_items(value: Any, items: list[Mapping[str, Any]]) -> bool:
    return len(value) == len(items) and all(_fits_rules(one, rules) for one, rules in zip(value, items, strict=True))


@lru_cache(maxsize=64)
def _matcher(regex: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(regex).fullmatch


# a word of the schema -> whether a value of the right type meets its constraint
_CHECKS: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": lambda _value, _kinds: True,
    "required": lambda _value, _required: True,
    "minlength": lambda value, least: len(value) >= least,
    "allowed": lambda value, words: value in words,
    "regex": lambda value, regex: _matcher(regex)(value) is not None,
    "min": lambda value, least: value >= least,
    "max": lambda value, most: value <= most,
    "schema": _fits_schema,
    "items": _fits_items,
    "keysrules": lambda value, rules: all(_fits_rules(key, rules) for key in value),
    "valuesrules": lambda value, rules: all(_fits_rules(inner, rules) for inner in value.values()),
}
