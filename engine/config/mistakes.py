"""Mistakes in a configuration: Cerberus finds them, people read them.

Cerberus says which rule failed at which key path; the schema's `meta` says what was expected; the document says where.
"""

from __future__ import annotations

import difflib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.config.schema import CONFIG, Rules
from engine.errors import Problem
from engine.fits import fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.documents import Document, Key

MAX_SHOWN = 40
SECRET_BLOCKS = ("notification", "routes")  # a value that was pasted here by mistake is never shown
NO_REFERENCE = "no-env"
"""The code of a text that names no environment variable, where it must."""

NEAR = 0.7  # difflib's ratio: a slip of the finger, not another word


@dataclass(frozen=True)
class Mistake:
    """One mistake at one key path; `at_key` points at the key, not at its value."""

    path: Key
    code: str
    problem: str
    help: str = ""
    at_key: bool = False


def problems(document: Document, mistakes: Iterable[Mistake]) -> list[Problem]:
    """Return the mistakes as they are shown: in the order of the file's lines, the first of each key path."""
    first: dict[Key, Mistake] = {}
    for mistake in mistakes:
        first.setdefault(mistake.path, mistake)
    placed = [(document.where(mistake.path, key=mistake.at_key), mistake) for mistake in first.values()]
    placed.sort(key=lambda pair: (*(int(part) for part in pair[0].rsplit(":", 2)[1:]), dotted(pair[1].path)))
    return [Problem(mistake.code, where, mistake.problem, mistake.help) for where, mistake in placed]


def schema_mistakes(
    data: dict[str, Any], schema: dict[str, Rules], *, at: Key = (), owner: str = "", partial: bool = False
) -> list[Mistake]:
    """Return what breaks `schema`.

    Args:
        data: a mapping of plain values.
        schema: key -> Cerberus rules, with `meta`.
        at: key path of `data` inside the file.
        owner: the strategy whose parameters these are; empty for the file's blocks.
        partial: keys may be missing.
    """
    if fits(data, schema, require_all=not partial):
        return []
    validator = _validator_class()(schema, require_all=not partial)
    validator.validate(data, normalize=False)
    return [_mistake(error, schema, at, owner) for error in validator.errors]


def dotted(path: Key) -> str:
    """Return a key path as people write it.

    >>> dotted(("market", "symbols", 1))
    'market.symbols[1]'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{one_line(part)}" for part in path).lstrip(".")


def one_line(text: str) -> str:
    """Return `text` cut and free of line breaks and control characters."""
    clean = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return clean if len(clean) <= MAX_SHOWN else f"{clean[: MAX_SHOWN - 1]}…"


def shown(value: object, *, hide: bool = False) -> str:
    """Return what was found, in a few words; with `hide`, its kind only."""
    if isinstance(value, dict):
        return "a block of keys"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    if value is None:
        return "nothing"
    if hide and not isinstance(value, bool):
        return "a text" if isinstance(value, str) else "a number"
    if isinstance(value, str):
        return f"the text `{one_line(value)}`" if value else "an empty text"
    return f"`{str(value).lower()}`"


def suggestion(word: str, known: Iterable[str], *, list_all: bool = True) -> str:
    """Return a help line: the known word nearest to `word`; without one all of them, or nothing.

    >>> suggestion("fee_bp", ["fee_bps", "slippage_bps"])
    'did you mean `fee_bps`?'
    """
    names = list(known)
    near = difflib.get_close_matches(word.lower(), [name.lower() for name in names], n=1, cutoff=NEAR)
    if near:
        return f"did you mean `{next(name for name in names if name.lower() == near[0])}`?"
    return f"known here: {', '.join(f'`{name}`' for name in names)}" if list_all and names else ""


@functools.cache
def _validator_class() -> Any:
    """Return a Cerberus validator whose `errors` are the leaves of its error tree."""
    import cerberus  # noqa: PLC0415  keeps commands that read no configuration fast
    from cerberus.errors import BaseErrorHandler  # noqa: PLC0415  the same

    class _Leaves(BaseErrorHandler):  # type: ignore[misc]  # cerberus ships no types
        def __call__(self, errors: Iterable[Any]) -> list[Any]:
            return list(_leaves(errors))

    class _Validator(cerberus.Validator):  # type: ignore[misc]  # the same
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{"error_handler": _Leaves} | kwargs)

    return _Validator


def _leaves(errors: Iterable[Any]) -> Iterator[Any]:
    for error in errors:
        if error.is_group_error:
            yield from _leaves(error.child_errors)
        else:
            yield error


def _mistake(error: Any, schema: dict[str, Rules], at: Key, owner: str) -> Mistake:
    path: Key = tuple(error.document_path)
    full = (*at, *path)
    code = _code(error)
    if code == "unknown-key":
        return _unknown(full, _rules_at(schema, path[:-1])["schema"], owner)
    expected = _rules_at(schema, path)["meta"]["expected"]
    if code == "missing-key":
        parent = f"to `{dotted(full[:-1])}`" if full[:-1] else "to the file"
        return Mistake(
            full,
            code,
            f"`{dotted(full)}` is missing, it must be {expected}",
            f"add `{full[-1]}:` {parent}",
            at_key=True,
        )
    hide = bool(full) and full[0] in SECRET_BLOCKS
    found = f"`{dotted(full)}` must be {expected}, found {shown(error.value, hide=hide)}"
    if code == NO_REFERENCE:
        found += " without any `${NAME}`: a secret must stand in no file"
    return Mistake(full, code, found, _help(code, error))


def _code(error: Any) -> str:
    """Return this project's code of a Cerberus error."""
    from cerberus import errors  # noqa: PLC0415  keeps commands that read no configuration fast

    if error.code == errors.CUSTOM.code:
        return str(error.info[0])
    return {
        errors.UNKNOWN_FIELD.code: "unknown-key",
        errors.REQUIRED_FIELD.code: "missing-key",
        errors.EMPTY_NOT_ALLOWED.code: "empty",
        errors.MIN_VALUE.code: "range",
        errors.MAX_VALUE.code: "range",
        errors.UNALLOWED_VALUE.code: "choice",
        errors.REGEX_MISMATCH.code: "choice",
    }.get(error.code, "type")


def _unknown(path: Key, siblings: dict[str, Rules], owner: str) -> Mistake:
    name = str(path[-1])
    what = f"a parameter of `{owner}`" if owner else "a key of this file"
    elsewhere = [] if owner else [place for place in _key_paths(CONFIG) if place[-1] == name]
    help_ = f"move it to `{dotted(elsewhere[0])}`" if len(elsewhere) == 1 else suggestion(name, siblings)
    return Mistake(path, "unknown-key", f"`{dotted(path)}` is not {what}", help_, at_key=True)


def _help(code: str, error: Any) -> str:
    if code == "env":
        return "write `${NAME}` and put the value into the environment; this file is committed and hashed"
    if code == NO_REFERENCE:
        key = error.document_path[-1]
        return f"put it, or its secret part, into the environment and write `{key}: ${{NAME}}`, or `…${{NAME}}…`"
    if not isinstance(error.value, str):
        return ""
    if code == "choice" and error.rule == "allowed":
        return suggestion(error.value, error.constraint, list_all=False)
    if code == "type" and error.constraint == "number" and _reads_as_number(error.value):
        return "write it without quotes"
    return ""


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rules_at(schema: dict[str, Rules], path: Key) -> dict[str, Any]:
    """Return the rules of the value at `path`."""
    rules: dict[str, Any] = {"schema": schema}
    for part in path:
        if isinstance(part, int):
            rules = rules["schema"]
        elif "valuesrules" in rules:
            rules = rules["valuesrules"]
        else:
            rules = rules["schema"][part]
    return rules


def _key_paths(schema: dict[str, Rules], at: Key = ()) -> Iterator[Key]:
    for name, rules in schema.items():
        yield (*at, name)
        if rules["type"] == "dict":
            yield from _key_paths(rules.get("schema", {}), (*at, name))
