"""YAML documents whose every value knows its line and column.

PyYAML's C parser reads events; scalars are resolved by YAML 1.2's core rules; anchors, aliases, tags, duplicate
keys, non-text keys and oversized files are refused. Used for the configuration and for policies alike.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml

from engine.errors import ConfigError, Problem, StagegateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_DIGITS = 40
MAX_VALUES = 10_000  # seven times what the largest shipped file holds; checking so many takes less than a second
MAX_PROBLEMS = 200  # of one file: nobody reads more, and each is worth a search for the nearest known name

_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {".nan": float("nan"), ".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf")}
_QUOTE_OR_COMMENT = re.compile(r"""["']|(?P<comment>(?:^|(?<=\s))#)""")
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""")
_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUES = {"true", "True", "TRUE"}
_FALSES = {"false", "False", "FALSE"}

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed YAML file: plain values, and where each of them stands.

    Attributes:
        name: the path as the user gave it, for messages.
        text: the whole text.
        sha256: of the file's bytes.
        data: mappings, lists, str, int, float, bool and None only.
        positions: value path -> (line, column) of the value, counted from 1.
        key_positions: value path -> (line, column) of the key that leads to it.
    """

    name: str
    text: str
    sha256: str
    data: Any
    positions: dict[Key, tuple[int, int]] = field(repr=False)
    key_positions: dict[Key, tuple[int, int]] = field(repr=False)

    def where(self, path: Key = (), *, key: bool = False) -> str:
        """Return ``file:line:column`` of the value (or, with `key`, of its key) at `path`, or of its nearest parent."""
        table = self.key_positions if key else self.positions
        for cut in range(len(path), -1, -1):
            place = table.get(path[:cut]) or self.positions.get(path[:cut])
            if place:
                return f"{self.name}:{place[0]}:{place[1]}"
        return self.name

    def comment(self, path: Key) -> str:
        """Return the comment that ends the line of the key (or list item) at `path`, without ``#``; empty for none."""
        place = self.key_positions.get(path) or self.positions.get(path)
        if place is None:
            return ""
        number, column = place
        line = self._lines[number - 1]
        at = column - 1
        while (found := _QUOTE_OR_COMMENT.search(line, at)) is not None:
            if found["comment"]:
                return line[found.end() :].strip()
            at = found.start()
            if (number, at + 1) not in self._starts:  # a quote within plain text
                at += 1
                continue
            quoted = _QUOTED.match(line, at)
            if quoted is None:
                break  # the text ends on another line
            at = quoted.end()
        return ""

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def _starts(self) -> set[tuple[int, int]]:
        return {*self.positions.values(), *self.key_positions.values()}


def read_document(path: Path, *, error: type[StagegateError] = ConfigError) -> Document:
    """Read and parse a YAML file.

    Args:
        path: the file.
        error: the kind of error to raise.

    Raises:
        StagegateError: of kind `error`: unreadable, empty, too large, not UTF-8, or not the YAML subset.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise error(
            Problem("no-file", str(path), "there is no such file", "give the path of an existing file")
        ) from None
    except OSError as failure:
        raise error(Problem("unreadable", str(path), f"cannot be read: {failure.strerror}")) from None
    return parse_document(raw, str(path), error=error)


def parse_document(raw: bytes, name: str, *, error: type[StagegateError] = ConfigError) -> Document:
    """Parse a YAML document held in memory; errors as `read_document`."""
    if len(raw) > MAX_BYTES:
        raise error(Problem("too-large", name, f"more than {MAX_BYTES:,} bytes", "write several smaller files"))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise error(Problem("not-utf8", name, f"byte {failure.start} is not UTF-8", "save the file as UTF-8")) from None
    builder = _Builder(name, _sound_events(text, name, error))
    try:
        data = builder.document()
    except yaml.YAMLError as failure:
        raise error(_syntax_problem(failure, name)) from None
    if len(builder.starts) > 1:
        raise error(_not_yaml("but found another document", builder.starts[1]))
    if not builder.starts:
        raise error(Problem("empty", name, "the file holds no YAML", "see the shipped files for an example"))
    if builder.problems:
        raise error(builder.problems)
    return Document(name, text, hashlib.sha256(raw).hexdigest(), data, builder.positions, builder.key_positions)


def _sound_events(text: str, name: str, error: type[StagegateError]) -> Iterator[yaml.Event]:
    """Yield what the C parser reads; refuse aliases, tags, deep nesting and very many values: no bomb is expanded."""
    depth = values = 0
    for event in iter(yaml.CSafeLoader(text).get_event, None):
        if isinstance(event, yaml.NodeEvent):
            if event.anchor:
                help_ = "write the value out"
                problem = "anchors and aliases are not part of this language"
                raise error(Problem("anchor", _where(name, event), problem, help_))
            tag = getattr(event, "tag", None)
            if tag not in {None, "!"}:
                problem = f"the tag `{tag}` is not part of this language"
                raise error(Problem("tag", _where(name, event), problem, "remove the tag"))
            values += 1
            if values > MAX_VALUES:
                problem = f"more than {MAX_VALUES:,} values"
                raise error(Problem("too-large", _where(name, event), problem, "write several smaller files"))
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise error(Problem("too-deep", _where(name, event), f"nested deeper than {MAX_DEPTH} levels"))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        yield event


def _place(event: yaml.Event) -> tuple[int, int]:
    """Return line and column of an event, counted from 1."""
    mark = event.start_mark
    assert mark is not None, "the C parser marks every event"
    return mark.line + 1, mark.column + 1


def _where(name: str, event: yaml.Event) -> str:
    line, column = _place(event)
    return f"{name}:{line}:{column}"


def _syntax_problem(failure: yaml.YAMLError, name: str) -> Problem:
    mark = getattr(failure, "problem_mark", None)
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    return _not_yaml(getattr(failure, "problem", None) or str(failure).splitlines()[0], where)


def _not_yaml(said: str, where: str) -> Problem:
    help_ = "mind the indentation; quote text that begins with `>` or holds `: ` or ` #`"
    return Problem("yaml", where, f"not valid YAML: {said}", help_)


def _plain(text: str) -> Any:
    """Resolve an unquoted scalar by YAML 1.2's core rules."""
    if text in _NULLS:
        return None
    if text in _TRUES or text in _FALSES:
        return text in _TRUES
    if text.lower() in _SPECIAL:
        return _SPECIAL[text.lower()]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


class _Builder:
    """Turns the events of one document into plain values and remembers where each one stood."""

    def __init__(self, name: str, events: Iterator[yaml.Event]) -> None:
        self.name = name
        self.positions: dict[Key, tuple[int, int]] = {}
        self.key_positions: dict[Key, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self.starts: list[str] = []  # of every document there is
        self._events = events

    def document(self) -> Any:
        """Return the first document; None where there is none.

        Raises:
            yaml.YAMLError: the text is not YAML.
        """
        data = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.starts.append(_where(self.name, event))
            elif isinstance(event, yaml.NodeEvent) and len(self.starts) == 1:
                data = self._value(event, ())
        return data

    def _value(self, event: yaml.Event, path: Key) -> Any:
        self.positions[path] = _place(event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        items: list[Any] = []
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(item, (*path, len(items))))
        return items

    def _mapping(self, path: Key) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._problem("key", event, "a key must be plain text")
                self._skip(event)
                self._skip(next(self._events))
                continue
            key = str(event.value)
            if key in result:
                self._problem("duplicate-key", event, f"`{key}` is given twice", "keep one of the two")
                self._skip(next(self._events))
                continue
            inside = (*path, key)
            self.key_positions[inside] = _place(event)
            result[key] = self._value(next(self._events), inside)
        return result

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text = str(event.value)
        if event.style:  # quoted or a block; the C parser gives a plain scalar the empty style
            return text
        if len(text) > MAX_DIGITS and _INT.fullmatch(text):
            self._problem("number", event, f"a number of {len(text)} digits", f"at most {MAX_DIGITS} digits")
            return 0
        return _plain(text)

    def _skip(self, event: yaml.Event) -> None:
        """Pass over a value that has no place in the document."""
        depth = int(isinstance(event, yaml.CollectionStartEvent))
        while depth:
            event = next(self._events)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)

    def _problem(self, code: str, event: yaml.Event, problem: str, help_: str = "") -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(code, _where(self.name, event), problem, help_))
