"""How values are written, as JSON Schema: comparisons by unit, durations, effects, series of policy tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.policy.conditions import COLOURS
from engine.policy.editor.shape import whole
from engine.policy.effects import KEYS
from engine.policy.quantity import SUFFIXES
from engine.policy.schema import NAME
from engine.policy.testing.series import STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.policy.editor.shape import Schema
    from engine.policy.model import FactSpec

NUMBER = r"[-+]?[0-9]{1,18}(?:\.[0-9]{1,18})?"
DURATION = r"[1-9][0-9]{0,5} (?:minute|hour|day)s?"  # with 05 minutes the loader bears, an editor need not
SPAN = r"[1-9][0-9]{0,3}(?: of [1-9][0-9]{0,3})? days?"

_OPERATORS = r"\s*(?:>=|<=|!=|>|<|=)\s*"
_TIMES = r"(?:x[1-9][0-9]{0,4})?"


def comparison(spec: FactSpec, others: Sequence[str] = ()) -> Schema:
    """Return how a fact is compared: with a constant or a parameter, or with one of `others`, facts of its unit."""
    if spec.choices:
        words = [f"{operator} {choice}" for operator in ("=", "!=") for choice in spec.choices]
        either = _either(spec.choices)
        return {"anyOf": [{"enum": words}, {"type": "string", "pattern": whole(rf"\s*(?:=|!=)\s*{either}\s*")}]}
    right = _either([rf"\${NAME}", quantity(spec.unit), *(re.escape(name) for name in others)], escape=False)
    return {"type": "string", "pattern": whole(rf"{_OPERATORS}{right}\s*")}


def condition_of(spec: FactSpec, others: Sequence[str]) -> Schema:
    """Return what may follow a fact in a condition: a comparison, a colour of its band, or ``unknown``."""
    return {"anyOf": [{"enum": ["unknown", *COLOURS]}, comparison(spec, others)]}


def quantity(unit: str) -> str:
    """Return the pattern of a number with its unit."""
    names = [name for name in SUFFIXES[unit] if name]
    suffix = rf"(?: ?{_either(names)})" if names else ""
    return f"{NUMBER}{suffix}{'?' if names and '' in SUFFIXES[unit] else ''}"


def series(spec: FactSpec) -> Schema:
    """Return the days of a fact in short form: ``0.9x7 _ 0.9x10``."""
    one = _either(spec.choices) if spec.choices else quantity(spec.unit)
    value = rf"(?:{one}(?:\.\.{one})?|{_either(STATUSES)}){_TIMES}"
    texts: Schema = {"type": "string", "pattern": whole(rf"\s*{value}(?:\s+{value})*\s*")}
    if not spec.choices:
        return {"anyOf": [texts, {"type": "number"}]} if "" in SUFFIXES[spec.unit] else texts
    return {"anyOf": [{"type": "boolean"}, texts]} if spec.choices == ("no", "yes") else texts


def words(pattern: str) -> str:
    """Return the pattern of a series of words: ``KEEPx17 SCALE_UP``."""
    item = rf"(?:_|{pattern}){_TIMES}"
    return rf"\s*{item}(?:\s+{item})*\s*"


def effects() -> Schema:
    """Return the effects of an outcome, a rule or an episode."""
    return {
        "type": "object",
        "properties": {key: _EFFECTS.get(key, {}) for key in KEYS},
        "additionalProperties": False,
    }


def _either(names: Iterable[str], *, escape: bool = True) -> str:
    return f"(?:{'|'.join(re.escape(name) if escape else name for name in names)})"


_EFFECTS: dict[str, Schema] = {
    "exposure": {"type": "number", "minimum": 0, "maximum": 1, "description": "factor of every target"},
    "entries": {"const": "blocked", "description": "no position is opened or increased"},
    "cap": {
        "type": "string",
        "pattern": r"^x(?!0+(?:\.0+)?$)[0-9]{1,3}(?:\.[0-9]{1,4})?$",
        "description": 'factor of the capital cap, such as "x1.5"',
    },
    "once_per": {"const": "episode", "description": "acts when an episode starts, not again while it lasts"},
    "page_every": {
        "type": "string",
        "pattern": whole(DURATION),
        "description": "how often a person is paged while an episode lasts",
    },
    "recovery": {"type": "string", "pattern": whole(DURATION), "description": "quiet time before an episode may end"},
    "approvals": {"type": "integer", "minimum": 0, "description": "how many different people must agree"},
    "at_most": {"type": "string", "pattern": whole(f"once per {DURATION}")},
    "until": {"const": "restart", "description": "what ends it"},
    "incident": {"enum": ["CRITICAL", "HIGH", "MEDIUM"], "description": "opens an incident of this severity"},
    "alert": {"enum": ["page", "warn", "info"], "description": "how people are told"},
    "flag": {"type": "string", "pattern": whole("[A-Za-z_]{1,40}"), "description": "a word beside the outcome"},
}
