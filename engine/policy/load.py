"""Reads vocabularies and policies into the typed model, and says all that is wrong with a file at once."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.documents import parse_document, read_document
from engine.errors import PolicyError
from engine.policy.conditions import RESERVED
from engine.policy.model import FLAG, ONE_OF, UNITS, FactSpec, Vocabulary
from engine.policy.parameters import read_parameters
from engine.policy.quantity import MAX_STEPS, duration_ms, nearest, quoted
from engine.policy.rulebook import read_policy
from engine.policy.schema import VOCABULARY, Findings, check_shape

if TYPE_CHECKING:
    from pathlib import Path

    from engine.documents import Document
    from engine.policy.model import Policy

_ONE_OF = re.compile(r"one of \[([^\[\]]*)\]")
_CHOICE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
_FLAG_CHOICES = ("no", "yes")


def load_vocabulary(path: Path) -> Vocabulary:
    """Return the vocabulary in a file.

    Raises:
        PolicyError: with every mistake of the file, by line.
    """
    return _vocabulary(read_document(path, error=PolicyError))


def parse_vocabulary(raw: bytes, name: str) -> Vocabulary:
    """Return the vocabulary in `raw`; errors as `load_vocabulary`, naming the file `name`."""
    return _vocabulary(parse_document(raw, name, error=PolicyError))


def load_policy(path: Path, vocabulary: Vocabulary) -> Policy:
    """Return the policy in a file, checked against `vocabulary`.

    Raises:
        PolicyError: with every mistake of the file, by line.
    """
    return read_policy(read_document(path, error=PolicyError), vocabulary)


def parse_policy(raw: bytes, name: str, vocabulary: Vocabulary) -> Policy:
    """Return the policy in `raw`; errors as `load_policy`, naming the file `name`."""
    return read_policy(parse_document(raw, name, error=PolicyError), vocabulary)


def _vocabulary(document: Document) -> Vocabulary:
    findings = Findings(document)
    check_shape(findings, VOCABULARY)
    facts = {}
    for name in findings.value("facts") or {}:
        if findings.sound("facts", name):
            spec = _fact(findings, name)
            if spec is not None:
                facts[name] = spec
    parameters, _ = read_parameters(findings)
    if findings.problems:
        raise PolicyError(findings.in_order())
    name = document.data["vocabulary"]
    return Vocabulary(name, facts, document.sha256, document.name, document.text, parameters)


def _fact(findings: Findings, name: str) -> FactSpec | None:
    path = ("facts", name)
    before = len(findings.problems)
    if name in RESERVED:
        findings.add(path, "reserved", f"`{name}` is a word of the language", "call the fact otherwise", key=True)
    unit, choices = _unit(findings, name)
    max_age = findings.value(*path, "max_age")
    max_age_ms = duration_ms(max_age)
    if max_age is not None and max_age_ms is None:
        findings.add(
            (*path, "max_age"), "duration", f"{quoted(max_age)} is no duration", "write `61 minutes` or `26 hours`"
        )
    if choices:
        for key in ("range", "resolution"):
            if findings.sound(*path, key):
                findings.add((*path, key), "range", f"words have no {key}", f"remove `{key}`", key=True)
        low, high, resolution = 0, len(choices) - 1, Decimal(1)
    else:
        low, high, resolution = _range(findings, name)
    title, worse, source = (findings.value(*path, key) for key in ("title", "worse", "from"))
    if len(findings.problems) > before or not (title and worse and source and max_age_ms):
        return None
    return FactSpec(name, title, unit, worse, low, high, resolution, max_age_ms, source, choices)


def _unit(findings: Findings, name: str) -> tuple[str, tuple[str, ...]]:
    path = ("facts", name, "unit")
    text = findings.value(*path)
    if text is None:
        return "", ()
    if text == FLAG:
        return FLAG, _FLAG_CHOICES
    if not text.startswith(ONE_OF):
        if text not in UNITS:
            findings.add(path, "unit", f"{quoted(text)} is no unit", nearest(text, UNITS))
        return text, ()
    match = _ONE_OF.fullmatch(text)
    choices = tuple(word.strip() for word in match[1].split(",")) if match else ()
    if len(set(choices)) < max(2, len(choices)) or not all(_CHOICE.fullmatch(word) for word in choices):
        findings.add(
            path, "unit", f"{quoted(text)} is no list of different words", "write `one of [CLEAR, FLATTEN_ALL]`"
        )
        return ONE_OF, ("?",)
    return ONE_OF, choices


def _range(findings: Findings, name: str) -> tuple[int, int, Decimal]:
    """Return low, high and the resolution; where they are wrong, something that nobody reads."""
    path = ("facts", name)
    nothing = (0, 0, Decimal(1))
    for key in ("range", "resolution"):
        if key not in findings.document.data["facts"][name]:
            findings.add(path, "missing", f"`{key}` is missing", key=True)
    size, ends = findings.value(*path, "resolution"), findings.value(*path, "range")
    if size is None or ends is None or not all(findings.sound(*path, "range", index) for index in (0, 1)):
        return nothing
    if not (_finite(size) and size > 0):
        findings.add((*path, "resolution"), "resolution", f"`{size}` is no size of a step", "write a number above 0")
        return nothing
    if not (all(_finite(end) for end in ends) and ends[0] < ends[1]):
        findings.add((*path, "range"), "range", f"`{ends[0]}` to `{ends[1]}` is no range", "write [lowest, highest]")
        return nothing
    resolution = Decimal(repr(size))
    low, high = (Decimal(repr(end)) / resolution for end in ends)
    if low != int(low) or high != int(high):
        findings.add((*path, "range"), "resolution", "the ends of the range are no whole number of steps")
    elif max(abs(low), abs(high)) > MAX_STEPS:
        findings.add(
            (*path, "resolution"), "resolution", f"the range has more than {MAX_STEPS:,} steps", "write a larger one"
        )
    return int(low), int(high), resolution


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
