"""A YAML text as nodes that know how they are spelled and where they stand. For the formatter alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import PolicyError, Problem

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node as YamlNode

    from engine.documents import Document, Key

BLOCK_STYLES = ("|", ">")


@dataclass(frozen=True)
class Node:
    """A value of the file.

    Attributes:
        path: to it.
        value: plain, as the loader reads it.
        source: as it is spelled.
        style: empty for a plain scalar; else its first character.
        entries: of a mapping or a list, in the order of the file.
        is_list: whether it is a list.
        is_flow: whether it is written in braces or brackets.
        start: where it begins, in characters from the start of the text; `end` is behind its last one.
        column: of its beginning.
    """

    path: Key
    value: Any
    source: str
    style: str
    entries: tuple[Entry, ...]
    is_list: bool
    is_flow: bool
    start: int
    end: int
    column: int

    @property
    def is_scalar(self) -> bool:
        """Whether it is neither a mapping nor a list."""
        return not isinstance(self.value, dict | list)


@dataclass(frozen=True)
class Entry:
    """A key with its value, or an item of a list (`key` and `key_style` are empty).

    Attributes:
        path: to its value.
        key: as it is read.
        key_style: as `Node.style`.
        value: the value.
        start: where the key, or the item's value, begins.
        line: of `start`, from 0.
    """

    path: Key
    key: str
    key_style: str
    value: Node
    start: int
    line: int


@dataclass(frozen=True)
class Nodes:
    """All nodes of a file.

    Attributes:
        root: its value.
        by_path: every value.
        entries: every entry by position; an item of a list comes before the entries inside it.
        scalars: where each key and each plain value begins and ends, and whether it is a block.
    """

    root: Node
    by_path: dict[Key, Node]
    entries: list[Entry]
    scalars: list[tuple[int, int, bool]]


def parse_nodes(document: Document) -> Nodes:
    """Return the nodes of a document that the loader has accepted.

    Raises:
        PolicyError: ruamel.yaml does not read it as the loader does.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - only the formatter pays for it
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 - the same

    try:
        composed = YAML(typ="safe", pure=True).compose(document.text)
    except YAMLError as failure:
        mark = getattr(failure, "problem_mark", None)
        where = f"{document.name}:{mark.line + 1}:{mark.column + 1}" if mark else document.name
        problem = f"not valid YAML: {getattr(failure, 'problem', None) or 'ruamel.yaml cannot read it'}"
        raise PolicyError(Problem("yaml", where, problem, "write it in a simpler way, without tabs")) from None
    builder = _Builder(document.text, document.data)
    root = builder.node(composed, ())
    return Nodes(root, builder.nodes, builder.entries, builder.scalars)


class _Builder:
    """Turns composed nodes into ours, and lists them."""

    def __init__(self, text: str, data: Any) -> None:
        self.text = text
        self.data = data
        self.entries: list[Entry] = []  # by position; an item comes before the entries inside it
        self.nodes: dict[Key, Node] = {}
        self.scalars: list[tuple[int, int, bool]] = []  # start, end, whether a block

    def node(self, composed: YamlNode, path: Key) -> Node:
        start, end = composed.start_mark.index, composed.end_mark.index
        value: Any = self.data
        for part in path:
            value = value[part]
        is_map, is_list = isinstance(value, dict), isinstance(value, list)
        entries: tuple[Entry, ...] = ()
        if is_map:
            entries = tuple(self._keyed(key, inner, path) for key, inner in composed.value)
        elif is_list:
            entries = tuple(self._item(inner, (*path, index)) for index, inner in enumerate(composed.value))
        else:
            self._scalar(composed)
        node = Node(
            path=path,
            value=value,
            source=self.text[start:end],
            style="" if is_map or is_list else _style(composed),
            entries=entries,
            is_list=is_list,
            is_flow=bool(getattr(composed, "flow_style", False)),
            start=start,
            end=end,
            column=composed.start_mark.column,
        )
        self.nodes[path] = node
        return node

    def _keyed(self, key: YamlNode, inner: YamlNode, path: Key) -> Entry:
        self._scalar(key)
        name = str(key.value)
        at = len(self.entries)
        self.entries.append(None)  # type: ignore[arg-type] # its place: before the entries inside it
        value = self.node(inner, (*path, name))
        entry = Entry((*path, name), name, _style(key), value, key.start_mark.index, key.start_mark.line)
        self.entries[at] = entry
        return entry

    def _item(self, inner: YamlNode, path: Key) -> Entry:
        at = len(self.entries)
        self.entries.append(None)  # type: ignore[arg-type] # its place: before the entries inside it
        value = self.node(inner, path)
        entry = Entry(path, "", "", value, inner.start_mark.index, inner.start_mark.line)
        self.entries[at] = entry
        return entry

    def _scalar(self, composed: YamlNode) -> None:
        self.scalars.append((composed.start_mark.index, composed.end_mark.index, _style(composed) in BLOCK_STYLES))


def _style(composed: YamlNode) -> str:
    return getattr(composed, "style", None) or ""
