"""Writes a tree of `engine.policy.layout.tree` in one layout: quotes, order of keys, alignment, length of lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from engine.policy.layout.tree import BLANK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.documents import Key
    from engine.policy.layout.nodes import Entry, Node
    from engine.policy.layout.tree import Tree

WIDTH = 120
OTHERS = "*"

_STEP = 2
_GAP = 2  # between a line and its comment
_FLOW_MARKS = re.compile(r"[,\[\]{}:]")
_OTHERS_READ_AS_VALUES = re.compile(  # YAML 1.1, which other tools still read, takes more words for values than 1.2
    r"(?i:y|n|yes|no|on|off|true|false|null|[-+]?\.(?:inf|nan))"
    r"|[-+.0-9][-+.0-9_:a-fA-FxXoO]*(?:[tT ][0-9:.+-]*[zZ]?)?"
)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_SMALL = 0xFF

Quotes = Literal["always", "needed", "kept"]


class House(Protocol):
    """The habits of one kind of file."""

    def order(self, path: Key) -> tuple[str, ...]:
        """Return the keys of the mapping at `path` in their order, `OTHERS` in the place of all that it does not name.

        Empty: they stay where they are.
        """
        ...

    def quotes(self, path: Key, text: str) -> Quotes:
        """Return when the text at `path` is put into quotes."""
        ...

    def aligned(self, path: Key) -> bool:
        """Return whether the values of the mapping at `path` stand in one column."""
        ...


@dataclass(frozen=True)
class _Line:
    """A line to be written; the comments of one group that stood in one column go on doing so."""

    indent: int
    text: str
    comment: str = ""
    column: int = 0
    group: Key | None = None

    @property
    def length(self) -> int:
        return self.indent + len(self.text)

    @property
    def is_remark(self) -> bool:
        """Whether it holds no value: a comment alone, or nothing."""
        return self.text == BLANK or self.text.startswith("#")


def laid_out(tree: Tree, house: House) -> str:
    """Return the text of a file."""
    lines = _Writer(tree, house).collection(tree.root, 0)
    columns = _columns(lines)
    return "\n".join(_text(line, columns) for line in lines) + "\n"


def ordered(node: Node, house: House) -> tuple[Entry, ...]:
    """Return the entries of a collection in the order of the house."""
    wanted = () if node.is_list else house.order(node.path)
    others = [entry for entry in node.entries if entry.key not in wanted]
    if not wanted or OTHERS not in wanted:
        wanted = (*wanted, OTHERS)
    by_key = {entry.key: [entry] for entry in node.entries if entry.key in wanted}
    by_key[OTHERS] = others
    return tuple(entry for key in wanted for entry in by_key.get(key, ()))


def is_safe(text: str, *, in_flow: bool) -> bool:
    """Return whether a text means itself without quotes, to any reader of YAML; a few that do are refused.

    >>> is_safe("20-day return", in_flow=True), is_safe("a, b", in_flow=True), is_safe("5", in_flow=False)
    (True, False, False)
    """
    if not text or not (text[0].isalnum() or text[0] in "_./(") or _OTHERS_READ_AS_VALUES.fullmatch(text):
        return False
    if not text.isprintable() or text.endswith((" ", ":")) or ": " in text or " #" in text:
        return False
    return not (in_flow and _FLOW_MARKS.search(text))


def in_quotes(text: str) -> str:
    r"""Return a text in double quotes.

    >>> print(in_quotes('> "12"\n'))
    "> \"12\"\n"
    """
    return f'"{"".join(_escaped(letter) for letter in text)}"'


class _Writer:
    """Writes the lines of one tree."""

    def __init__(self, tree: Tree, house: House) -> None:
        self.tree = tree
        self.house = house

    def collection(self, node: Node, indent: int) -> list[_Line]:
        """Return a mapping or list with each entry on a line of its own."""
        entries = ordered(node, self.house)
        pad = self._pad(node, entries, indent)
        lines: list[_Line] = []
        for entry in entries:
            above = [_Line(indent, text) for text in self.tree.above.get(entry.path, ())]
            while above and not lines and above[0].text == BLANK:
                del above[0]
            lines += above
            lines += self._item(entry, indent) if node.is_list else self._keyed(entry, indent, pad)
        return [*lines, *(_Line(indent, text) for text in self.tree.below.get(node.path, ()))]

    def _keyed(self, entry: Entry, indent: int, pad: int) -> list[_Line]:
        head, value = f"{_key(entry)}: ", entry.value
        if value.is_scalar:
            return self._scalar(entry, indent, head)
        text = self._one_line(value, indent + len(head))
        if text is not None:
            return [self._first(entry, indent, head.ljust(pad) + text)]
        first = self._first(entry, indent, head.rstrip(), is_broken=value.is_flow)
        return [first, *self.collection(value, indent + _STEP)]

    def _item(self, entry: Entry, indent: int) -> list[_Line]:
        value = entry.value
        if value.is_scalar:
            return self._scalar(entry, indent, "- ")
        text = self._one_line(value, indent + _STEP)
        if text is not None:
            return [self._first(entry, indent, f"- {text}")]
        lines = self.collection(value, indent + _STEP)
        at = next(index for index, line in enumerate(lines) if not line.is_remark)
        above, first = [replace(line, indent=indent) for line in lines[:at]], lines[at]
        own = self._first(entry, indent, f"- {first.text}", is_broken=value.is_flow)
        if not own.comment:  # then its first entry may have one; no two entries have that of one line
            own = replace(first, indent=indent, text=own.text)
        return [*above, own, *lines[at + 1 :]]

    def _scalar(self, entry: Entry, indent: int, head: str) -> list[_Line]:
        first, *rest = self._spelled_out(entry.value, indent, len(head))
        is_broken = bool(rest) and "\n" not in entry.value.source
        line = self._first(entry, indent, f"{head}{first}".rstrip(), is_broken=is_broken)
        return [line, *(_Line(indent + _STEP, text) for text in rest)]

    def _first(self, entry: Entry, indent: int, text: str, *, is_broken: bool = False) -> _Line:
        """Return the line that an entry begins with, and its comment: where it was, or close to a broken line."""
        comment, column = self.tree.beside.get(entry.path, (self.tree.shared.get(entry.path, ""), 0))
        group = entry.path[:-1] if column and not is_broken else None
        return _Line(indent, text, comment, column, group)

    def _pad(self, node: Node, entries: Sequence[Entry], indent: int) -> int:
        """Return the width of the keys where the values stand in one column, else 0."""
        if node.is_list or not self.house.aligned(node.path):
            return 0
        heads = [(len(_key(entry)) + 2, entry.value) for entry in entries if not entry.value.is_scalar]
        fitting = [(size, text) for size, value in heads if (text := self._one_line(value, indent + size)) is not None]
        pad = max((size for size, _ in fitting), default=0)
        return pad if all(indent + pad + len(text) <= WIDTH for _, text in fitting) else 0

    def _one_line(self, node: Node, before: int) -> str | None:
        """Return a collection in braces or brackets; None where it was written in lines, or does not fit."""
        if not node.entries:
            return "[]" if node.is_list else "{}"
        if not node.is_flow or node.path in self.tree.in_lines:
            return None
        text = self._flow(node)
        return text if before + len(text) <= WIDTH else None

    def _flow(self, node: Node) -> str:
        if node.is_scalar:
            return self._spelled(node, in_flow=True) or "null"
        if node.is_list:
            return f"[{', '.join(self._flow(entry.value) for entry in node.entries)}]"
        inner = (f"{_key(entry)}: {self._flow(entry.value)}" for entry in ordered(node, self.house))
        return f"{{{', '.join(inner)}}}"

    def _spelled_out(self, node: Node, indent: int, before: int) -> list[str]:
        """Return a value as what follows its key, and the lines below of a long text or one of several lines."""
        text = self._spelled(node, in_flow=False)
        if not isinstance(node.value, str) or self.house.quotes(node.path, node.value) != "needed":
            return [text]
        lines = node.value.removesuffix("\n").split("\n")
        if "\n" in node.value and _may_stand_as_written(lines):
            return ["|" if node.value.endswith("\n") else "|-", *lines]
        if indent + before + len(text) > WIDTH and _may_be_folded(node.value):
            return [">-", *_folded(node.value, WIDTH - indent - _STEP)]
        return [text]

    def _spelled(self, node: Node, *, in_flow: bool) -> str:
        """Return a value on one line."""
        text = node.value
        if not isinstance(text, str):
            return node.source
        quotes = self.house.quotes(node.path, text)
        is_plain = not node.style and "\n" not in node.source
        if quotes == "always" or (quotes == "kept" and not is_plain):
            return in_quotes(text)
        return text if is_plain or is_safe(text, in_flow=in_flow) else in_quotes(text)


def _key(entry: Entry) -> str:
    is_plain = not entry.key_style and entry.key and "\n" not in entry.key
    return entry.key if is_plain or is_safe(entry.key, in_flow=True) else in_quotes(entry.key)


def _columns(lines: Iterable[_Line]) -> Mapping[tuple[Key | None, int], int]:
    """Return where each group of comments stands: in its column, or further right for the longest of its lines."""
    columns: dict[tuple[Key | None, int], int] = {}
    for line in lines:
        if line.comment:
            group = (line.group, line.column)
            columns[group] = max(columns.get(group, line.column), line.length + _GAP)
    return columns


def _text(line: _Line, columns: Mapping[tuple[Key | None, int], int]) -> str:
    text = " " * line.indent + line.text if line.text else ""
    if not line.comment:
        return text
    column = columns[line.group, line.column] if line.group is not None else line.length + _GAP
    return f"{text:<{column}}{line.comment}"


def _escaped(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code <= _SMALL else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - four digits


def _may_stand_as_written(lines: Sequence[str]) -> bool:
    """Return whether lines can be written below a ``|`` and mean themselves."""
    if not lines[0] or not lines[-1] or lines[0].startswith(" "):
        return False
    return all(line.isprintable() and not line.endswith(" ") for line in lines)


def _may_be_folded(text: str) -> bool:
    """Return whether a text on one line can be broken at its spaces below a ``>`` and mean itself."""
    return " " in text and text.isprintable() and " ".join(text.split()) == text


def _folded(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
