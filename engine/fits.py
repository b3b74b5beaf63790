"""Whether plain values fit a schema, answered quickly: Cerberus is asked what is wrong only where something is.

A file is nearly always right, and Cerberus checks its own schema and makes a validator for every mapping of the file.
The schema is the same; a word of it that is not known here counts as a misfit, so this can only ask Cerberus too often.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "dict": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
}


def fits(value: Any, schema: Mapping[str, Any], *, require_all: bool = False) -> bool:
    """Return whether the mapping `value` fits a schema of Cerberus's kind: True only where Cerberus finds nothing.

    Args:
        value: plain values.
        schema: key -> rules.
        require_all: whether keys whose rules do not say otherwise must be there.
    """
    for key, rules in schema.items():
        if key in value:
            if not _fits_rules(value[key], rules, require_all=require_all):
                return False
        elif rules.get("required", require_all):
            return False
    return all(key in schema for key in value)


def _fits_rules(value: Any, rules: Mapping[str, Any], *, require_all: bool) -> bool:
    if value is None:
        return rules.get("nullable") is True and _fits_checks(value, rules.get("check_with", ()))
    kinds = rules.get("type")
    if kinds is None or not any(_KINDS[kind](value) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    for name, constraint in rules.items():
        if name in _NESTED:
            if not _NESTED[name](value, constraint, require_all=require_all):
                return False
        elif name not in _CHECKS or not _CHECKS[name](value, constraint):
            return False
    return True


def _fits_schema(value: Any, schema: Mapping[str, Any], *, require_all: bool) -> bool:
    if isinstance(value, dict):
        return fits(value, schema, require_all=require_all)
    return _fit_rules(value, schema, require_all=require_all)


def _fits_items(value: Any, items: list[Mapping[str, Any]], *, require_all: bool) -> bool:
    return len(value) == len(items) and all(
        _fits_rules(one, rules, require_all=require_all) for one, rules in zip(value, items, strict=True)
    )


def _fit_rules(values: Iterable[Any], rules: Mapping[str, Any], *, require_all: bool) -> bool:
    return all(_fits_rules(value, rules, require_all=require_all) for value in values)


def _fits_checks(value: Any, checks: Any) -> bool:
    """Return whether functions of the schema, which report what is wrong by calling back, report nothing."""
    said: list[str] = []
    for check in [checks] if callable(checks) else checks:
        check("", value, lambda _field, code: said.append(code))
    return not said


@lru_cache(maxsize=64)
def _matcher(regex: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(regex).fullmatch


# a word of the schema -> whether a value of the right type meets its constraint
_CHECKS: Mapping[str, Callable[[Any, Any], bool]] = {
    "type": lambda _value, _kinds: True,
    "meta": lambda _value, _meta: True,
    "required": lambda _value, _required: True,
    "nullable": lambda _value, _nullable: True,
    "empty": lambda value, may_be: may_be or len(value) > 0,
    "minlength": lambda value, least: len(value) >= least,
    "allowed": lambda value, words: value in words,
    "regex": lambda value, regex: _matcher(regex)(value) is not None,
    "min": lambda value, least: value >= least,
    "max": lambda value, most: value <= most,
    "check_with": _fits_checks,
}
# … and of the values inside it
_NESTED: Mapping[str, Callable[..., bool]] = {
    "schema": _fits_schema,
    "items": _fits_items,
    "keysrules": _fit_rules,
    "valuesrules": lambda value, rules, require_all: _fit_rules(value.values(), rules, require_all=require_all),
}
