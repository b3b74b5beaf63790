"""Results as plain values for ``--json``: one stable document for every query."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from engine.ledger import VerdictRecord


def plain(value: Any) -> Any:
    """Return dictionaries, lists, texts, numbers, booleans and None that say the same as `value`.

    A recorded verdict becomes its document, exactly the recorded values; whatever has `to_json` says itself what it is;
    other dataclasses become dictionaries of their fields. What is not finite is None: JSON knows no NaN.

    Raises:
        TypeError: `value` holds something that has no plain form.

    >>> plain({"at": PurePath("a") / "b", "x": (1.0, float("nan"))})
    {'at': 'a/b', 'x': [1.0, None]}
    """
    if isinstance(value, VerdictRecord):
        return json.loads(value.document)
    if hasattr(value, "to_json"):
        return plain(value.to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return _single(value)


def _single(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):  # an array, or one of its numbers
        return plain(value.tolist())
    if value is None or isinstance(value, str | bool | int):
        return value
    raise TypeError(f"no plain form of {type(value).__name__}")
