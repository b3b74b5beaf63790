"""YAML documents whose every value knows its line and column.

PyYAML's C loader composes nodes; scalars are resolved by YAML 1.2's core rules; anchors, aliases, tags, duplicate
keys, non-text keys and oversized files are refused. Used for the configuration and for policies alike.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from engine.errors import ConfigError, Problem, StagegateError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_DIGITS = 40

_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {".nan": float("nan"), ".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf")}
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
        line = self.text.splitlines()[place[0] - 1]
        _, mark, comment = line[place[1] - 1 :].partition(" #")
        return comment.strip() if mark else ""


def read_document(path: Path, *, error: type[StagegateError] = ConfigError) -> Document:
    """Read and parse a YAML file.

    Args:
        path: the file.
        error: the kind of error to raise.

    Raises:
        StagegateError: of kind `error`: unreadable, empty, too large, not UTF-8, or not the YAML subset.
    """
    try:
        raw = path.read_bytes()
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
        raise error(Problem("too-large", name, f"{len(raw):,} bytes, at most {MAX_BYTES:,} are read"))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise error(Problem("not-utf8", name, f"byte {failure.start} is not UTF-8", "save the file as UTF-8")) from None
    try:
        _refuse_before_composing(text, name, error)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as failure:
        raise error(_syntax_problem(failure, name)) from None
    except RecursionError:
        raise error(Problem("too-deep", name, f"nested deeper than {MAX_DEPTH} levels")) from None
    if root is None:
        raise error(Problem("empty", name, "the file holds no YAML", "see the shipped files for an example"))
    builder = _Builder(name)
    data = builder.value(root, (), 0)
    if builder.problems:
        raise error(builder.problems)
    return Document(name, text, hashlib.sha256(raw).hexdigest(), data, builder.positions, builder.key_positions)


def _refuse_before_composing(text: str, name: str, error: type[StagegateError]) -> None:
    """Refuse aliases, tags and deep nesting while they are still events: a bomb is never expanded."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        assert event.start_mark is not None, "the C parser marks every event"
        at = f"{name}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise error(
                Problem("anchor", at, "anchors and aliases are not part of this language", "write the value out")
            )
        tag = getattr(event, "tag", None)
        if tag not in {None, "!"}:
            raise error(Problem("tag", at, f"the tag `{tag}` is not part of this language", "remove the tag"))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise error(Problem("too-deep", at, f"nested deeper than {MAX_DEPTH} levels"))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _syntax_problem(failure: yaml.YAMLError, name: str) -> Problem:
    mark = getattr(failure, "problem_mark", None)
    where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    text = getattr(failure, "problem", None) or str(failure).splitlines()[0]
    return Problem(
        "yaml",
        where,
        f"not valid YAML: {text}",
        "mind the indentation; quote text that begins with `>` or holds `: ` or ` #`",
    )


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
    """Turns composed nodes into plain values and remembers where each one stood."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.positions: dict[Key, tuple[int, int]] = {}
        self.key_positions: dict[Key, tuple[int, int]] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: Key, depth: int) -> Any:
        self.positions[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        raise AssertionError(node)

    def _mapping(self, node: yaml.MappingNode, path: Key, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem("key", key_node, "a key must be plain text")
                continue
            key = str(key_node.value)
            if key in result:
                self._problem("duplicate-key", key_node, f"`{key}` is given twice", "keep one of the two")
                continue
            self.key_positions[*path, key] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            result[key] = self.value(value_node, (*path, key), depth + 1)
        return result

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        if node.style:  # quoted or a block; the C loader gives a plain scalar the empty style
            return text
        if len(text) > MAX_DIGITS and _INT.fullmatch(text):
            self._problem("number", node, f"a number of {len(text)} digits", f"at most {MAX_DIGITS} digits")
            return 0
        return _plain(text)

    def _problem(self, code: str, node: yaml.Node, problem: str, help_: str = "") -> None:
        where = f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
        self.problems.append(Problem(code, where, problem, help_))
