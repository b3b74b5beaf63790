"""From the shapes that the loader checks (Cerberus) to JSON Schema: what one of them refuses, the other does too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Schema = dict[str, Any]

_TYPES = {"string": "string", "number": "number", "integer": "integer", "dict": "object", "list": "array"}
_LEAST = {"string": "minLength", "dict": "minProperties", "list": "minItems"}


def shape(fields: Mapping[str, Any]) -> Schema:
    """Return the schema of a mapping with these keys and no others."""
    schema: Schema = {
        "type": "object",
        "properties": {name: value(rules) for name, rules in fields.items()},
        "additionalProperties": False,
    }
    required = [name for name, rules in fields.items() if rules.get("required")]
    return {**schema, "required": required} if required else schema


def value(rules: Mapping[str, Any]) -> Schema:
    """Return the schema of one value.

    Raises:
        KeyError: a rule of Cerberus that no file of this language has used so far.
    """
    schema: Schema = {}
    for rule, given in rules.items():
        schema |= _RULES[rule](given, rules)
    return schema


def whole(pattern: str) -> str:
    """Return a pattern that must match a whole text.

    >>> whole("a|b")
    '^(?:a|b)$'
    """
    return f"^(?:{pattern})$"


def _type(given: str | list[str], _: Mapping[str, Any]) -> Schema:
    return {"type": _TYPES[given] if isinstance(given, str) else [_TYPES[one] for one in given]}


def _schema(given: Mapping[str, Any], rules: Mapping[str, Any]) -> Schema:
    return {"items": value(given)} if rules["type"] == "list" else shape(given)


def _items(given: list[Mapping[str, Any]], _: Mapping[str, Any]) -> Schema:
    first = given[0]
    if any(one != first for one in given):
        raise KeyError("items")
    return {"items": value(first), "minItems": len(given), "maxItems": len(given)}


_RULES: Mapping[str, Callable[[Any, Mapping[str, Any]], Schema]] = {
    "type": _type,
    "required": lambda _, __: {},  # said by the mapping around it
    "schema": _schema,
    "items": _items,
    "keysrules": lambda given, _: {"propertyNames": value(given)},
    "valuesrules": lambda given, _: {"additionalProperties": value(given)},
    "regex": lambda given, _: {"pattern": whole(given)},
    "allowed": lambda given, _: {"enum": list(given)},
    "min": lambda given, _: {"minimum": given},
    "max": lambda given, _: {"maximum": given},
    "minlength": lambda given, rules: {_LEAST[rules["type"]]: given},
}
