"""Dataclasses to JSON values and back, by their declared types; decimals travel as text, so nothing is rounded."""

from __future__ import annotations

import dataclasses
import types
import typing
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable


def encode(value: Any) -> Any:
    """Return `value` as JSON values: dataclasses become objects, tuples lists, decimals text, keys text."""
    if dataclasses.is_dataclass(value):
        return {one.name: encode(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {str(key): encode(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(one) for one in value]
    return value


def decode(kind: Any, value: Any) -> Any:
    """Return what `encode` was given, of the type `kind`.

    Raises:
        KeyError: a field is missing.
    """
    inner = typing.get_args(kind)
    if value is not None and typing.get_origin(kind) in (typing.Union, types.UnionType):
        return decode(next(one for one in inner if one is not type(None)), value)
    if value is None or kind is Any:
        found = value
    elif isinstance(kind, type) and dataclasses.is_dataclass(kind):
        found = kind(**{name: decode(hint, value[name]) for name, hint in _hints(kind).items()})
    elif kind is Decimal:
        found = Decimal(value)
    elif typing.get_origin(kind) is dict:
        found = {inner[0](key): decode(inner[1], one) for key, one in value.items()}
    elif typing.get_origin(kind) in (list, tuple):
        found = typing.get_origin(kind)(decode(inner[0], one) for one in value)
    else:
        found = value
    return found


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(kind)
