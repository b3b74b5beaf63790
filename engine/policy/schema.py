"""The plain shape of vocabulary, policy and bundle files, for Cerberus, and its findings in this project's words."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from engine.documents import MAX_PROBLEMS
from engine.errors import PolicyError, Problem
from engine.fits import fits
from engine.policy.guard_times import KEYS
from engine.policy.model import HARD, SOFT
from engine.policy.quantity import nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cerberus.errors import ValidationError

    from engine.documents import Document, Key

NAME = r"[a-z][a-z0-9_]{0,59}"
OUTCOME = r"[A-Z][A-Z0-9_]{0,59}"
SHA256 = r"[0-9a-f]{64}"

VALIDITIES = ("decision_valid_for", "requests_valid_for", "promotions_valid_for", "adoptions_valid_for")
"""How long a bundle lets what is waited for stand."""

_TEXT = {"type": "string", "required": True, "minlength": 1}
_NAMES = {"type": "string", "regex": NAME}

_WORD = {"type": "string", "minlength": 1}
_YES_OR_NO = {"type": "string", "allowed": ["yes", "no"]}
_STAGE = {"type": "integer", "required": True, "min": 0, "max": 99}
_CONDITIONS = {"type": "list", "required": True, "minlength": 1}
_PARAMETERS = {
    "type": "dict",
    "keysrules": _NAMES,
    "valuesrules": {
        "type": "dict",
        "schema": {
            "value": {"type": ["string", "number"], "required": True},
            "range": {
                "type": "list",
                "required": True,
                "items": [{"type": ["string", "number"]}, {"type": ["string", "number"]}],
            },
            "about": _TEXT,
        },
    },
}

VOCABULARY: dict[str, Any] = {
    "vocabulary": _TEXT,
    "parameters": _PARAMETERS,
    "facts": {
        "type": "dict",
        "required": True,
        "minlength": 1,
        "keysrules": _NAMES,
        "valuesrules": {
            "type": "dict",
            "schema": {
                "title": _TEXT,
                "unit": _TEXT,
                "worse": {"type": "string", "required": True, "allowed": ["higher", "lower", "neither"]},
                "range": {"type": "list", "items": [{"type": "number"}, {"type": "number"}]},
                "resolution": {"type": "number"},
                "max_age": _TEXT,
                "from": _TEXT,
            },
        },
    },
}

POLICY: dict[str, Any] = {
    "policy": {**_TEXT, "regex": NAME},
    "title": _TEXT,
    "outcomes": {"type": "list", "minlength": 1, "schema": {"type": "string", "regex": OUTCOME}},
    "otherwise": {"type": "string"},
    "promotes": {"type": "list", "schema": {"type": "string"}},
    "parameters": _PARAMETERS,
    "bands": {
        "type": "dict",
        "keysrules": {"type": "string"},
        "valuesrules": {"type": "dict", "schema": {"green": _TEXT, "red": _TEXT}},
    },
    "rules": {
        "type": "dict",
        "minlength": 1,
        "keysrules": _NAMES,
        "valuesrules": {
            "type": "dict",
            "schema": {
                "enabled": _YES_OR_NO,
                "severity": {"type": "string", "allowed": [HARD, SOFT]},
                "outcome": _TEXT,
                "each": {"type": "string", "allowed": ["band"]},
                "when": {"type": "dict"},
                "unless": {"type": "dict"},
                "for": _TEXT | {"required": False},
                "gap": {"type": "string", "allowed": ["breaks", "holds", "counts"]},
                "effects": {"type": "dict"},
                "episode": {"type": "string"},
                "because": _TEXT,
                "cure": _WORD,
            },
        },
    },
    "effects": {"type": "dict", "valuesrules": {"type": "dict"}},
    "episodes": {"type": "dict", "keysrules": _NAMES, "valuesrules": {"type": "dict"}},
    "exit": {"type": "dict", "valuesrules": {"type": "integer", "min": 0, "max": 125}},
    "stages": {
        "type": "dict",
        "minlength": 1,
        "keysrules": {"type": "string", "regex": "[0-9]{1,2}"},
        "valuesrules": {
            "type": "dict",
            "schema": {
                "title": _WORD,
                "cap": _TEXT,
                "min_days": {"type": "integer", "required": True, "min": 0, "max": 3660},
                "restart_at": {"type": "integer", "min": 0, "max": 99},
                "promote": {
                    "type": "dict",
                    "schema": {
                        "to": _STAGE,
                        "approvals": {"type": "integer", "min": 0, "max": 99},
                        "all": _CONDITIONS,
                    },
                },
                "abort": {
                    "type": "dict",
                    "schema": {"to": _STAGE, "flatten": _YES_OR_NO, "any": _CONDITIONS},
                },
            },
        },
    },
}

BUNDLE: dict[str, Any] = {
    "bundle": _TEXT,
    "config": {"type": "dict", "required": True, "schema": {"path": _TEXT, "sha256": {"type": "string"}}},
    "vocabulary": _TEXT,
    "policies": {
        "type": "dict",
        "required": True,
        "minlength": 1,
        "keysrules": _NAMES,
        "valuesrules": {"type": "string", "minlength": 1},
    },
    "execution": {
        "type": "dict",
        "required": True,
        "schema": {
            "rebalance_dead_band": {"type": "string", "required": True},
            **{key: {"type": "string"} for key in VALIDITIES},
            "balance_tolerance_usd": {"type": "number", "min": 0, "max": 1000},
            "risk_guard": {"type": "dict", "schema": dict.fromkeys(KEYS, _TEXT)},
            "filters": {"type": "dict", "schema": {"path": _TEXT, "sha256": {"type": "string"}}},
        },
    },
    "reporting": {
        "type": "dict",
        "required": True,
        "schema": {
            "periods_per_year": {"type": "integer", "required": True, "min": 1, "max": 10000},
            "risk_free_rate": {"type": "number", "required": True, "min": 0, "max": 1},
        },
    },
}

_KINDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "dict": "a mapping",
    "list": "a list",
}
_UNKNOWN_KEY = 0x3
_MISSING = 0x2
_WITHOUT_VALUE = {_UNKNOWN_KEY, _MISSING}


class Findings:
    """The mistakes of one file, gathered while it is read.

    Attributes:
        document: the file.
        problems: so far.
        broken: paths of values that were found wrong: nothing below them is worth reading.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.broken: set[Key] = set()

    def add(self, path: Key, code: str, problem: str, help_: str = "", *, key: bool = False) -> None:
        """Report a mistake at the value (or, with `key`, at the key) of `path`.

        Raises:
            PolicyError: there are so many that reading on helps nobody.
        """
        self.problems.append(Problem(code, self.document.where(path, key=key), problem, help_))
        if len(self.problems) >= MAX_PROBLEMS:
            rest = Problem("too-many", self.document.name, f"reading stopped after {MAX_PROBLEMS} mistakes")
            raise PolicyError([*self.in_order(), rest])

    def sound(self, *path: str | int) -> bool:
        """Return whether a value is there and neither it nor anything above it was found wrong."""
        if self.broken and any(path[:length] in self.broken for length in range(len(path) + 1)):
            return False
        return path in self.document.positions

    def value(self, *path: str | int) -> Any:
        """Return the value at `path`, or None where it is absent or was found wrong."""
        if not self.sound(*path):
            return None
        here: Any = self.document.data
        for part in path:
            here = here[part]
        return here

    def in_order(self) -> list[Problem]:
        """Return the problems by line and column, each once."""

        def place(problem: Problem) -> tuple[int, int]:
            parts = problem.where.rsplit(":", 2)
            return (int(parts[1]), int(parts[2])) if len(parts) == 3 else (0, 0)  # noqa: PLR2004 - file:line:column

        return sorted(dict.fromkeys(self.problems), key=place)


def check_shape(findings: Findings, schema: dict[str, Any]) -> None:
    """Validate the plain values of a document with Cerberus and add what it finds."""
    document = findings.document
    if not isinstance(document.data, dict):
        findings.add((), "type", f"expected a mapping, found {_kind(document.data)}")
        findings.broken.add(())
        return
    if fits(document.data, schema):
        return
    validator = _validator_class()(schema)
    validator.validate(document.data, normalize=False)
    for error in _leaves(validator._errors):  # noqa: SLF001 - the public form of the errors has lost paths and codes
        _report(findings, schema, error)


@cache
def _validator_class() -> Any:
    """Return Cerberus's validator without its trees of errors.

    Cerberus sorts its errors and both trees anew with each error: a thousand mistakes took five seconds.
    """
    from cerberus import Validator  # noqa: PLC0415 - asked only where something is wrong: keeps queries fast

    class Plain(Validator):  # type: ignore[misc]  # cerberus ships no types
        def _error(self, *args: Any) -> None:
            if len(args) == 1:
                self._errors.extend(args[0])
            else:
                super()._error(*args)

    return Plain


def _leaves(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    for error in errors:
        if error.is_group_error:
            yield from _leaves(error.child_errors)
        else:
            yield error


def _report(findings: Findings, schema: dict[str, Any], error: ValidationError) -> None:
    path: Key = tuple(error.document_path)
    if error.code == _UNKNOWN_KEY:
        known = _at(schema, error.schema_path)
        findings.add(
            path, "unknown-key", f"there is no key {quoted(path[-1])} here", nearest(str(path[-1]), known), key=True
        )
        return
    if error.code == _MISSING:
        findings.add(path[:-1], "missing", f"`{path[-1]}` is missing", key=len(path) > 1)
        return
    of_key = "keysrules" in error.schema_path
    findings.broken.add(path)
    code, problem, help_ = _wording(error, of_key=of_key)
    if isinstance(error.value, bool) and error.rule == "type":
        words = _at(schema, error.schema_path[:-1]).get("allowed", ())
        help_ = " or ".join(f"write `{word}`" if word == words[0] else f"`{word}`" for word in words)
    findings.add(path, code, problem, help_, key=of_key)


def _wording(error: ValidationError, *, of_key: bool) -> tuple[str, str, str]:
    found, constraint = error.value, error.constraint
    match error.rule:
        case "type":
            kinds = constraint if isinstance(constraint, list) else [constraint]
            expected = " or ".join(_KINDS[kind] for kind in kinds)
            wording = ("type", f"expected {expected}, found {_kind(found)}", "")
        case "allowed":
            help_ = nearest(str(found), constraint)
            wording = ("choice", f"{quoted(found)} is not one of {', '.join(constraint)}", help_)
        case "regex":
            wrong = "is no name" if of_key else "has the wrong form"
            wording = ("name", f"{quoted(found)} {wrong}", _form(constraint))
        case "nullable":
            wording = ("empty", "something is needed here, found nothing", "")
        case "items":
            wording = ("length", f"expected {len(constraint)} values, found {len(found)}", "")
        case "minlength":
            wording = ("empty", "something is needed here, found nothing", "")
        case "min" | "max":
            word = "at least" if error.rule == "min" else "at most"
            wording = ("number", f"expected {word} {constraint}, found {found}", "")
        case _:
            raise AssertionError(error.rule)
    return wording


def _form(regex: str) -> str:
    if regex == OUTCOME:
        return "an outcome is written in capitals, digits and `_`"
    if regex == NAME:
        return "a name is written in small letters, digits and `_`"
    return "write a number of one or two digits"


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "a mapping"


def _at(schema: dict[str, Any], path: Iterable[str | int]) -> dict[str, Any]:
    here: Any = schema
    for part in path:
        here = here[part]
    return dict(here)
