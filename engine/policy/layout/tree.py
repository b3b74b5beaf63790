"""A YAML text as a tree that forgets nothing: structure, spelling, comments and blank lines. For the formatter alone.

ruamel.yaml's round-trip parser says where each value stands and how it is spelled; whatever lies between the values is
punctuation and comments. A comment belongs to

- the outermost entry that begins on its line (`Document.comment` reads the ids of a rule there, so it must stay), else
- the entry below it, where it stands on a line of its own, else
- the end of the collection whose entries begin in its column, or left of it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.documents import MAX_DEPTH
from engine.policy.layout.nodes import parse_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.documents import Document, Key
    from engine.policy.layout.nodes import Entry, Node, Nodes

BLANK = ""

_COMMENT = re.compile(r"#[^\n]*")
_CLOSE = re.compile(r"#(?=\w)")


@dataclass(frozen=True)
class Tree:
    """A file.

    Attributes:
        root: its value.
        above: entry -> comments and blank lines (`BLANK`) above it.
        beside: entry -> the comment that ends its first line, and the column it stands in.
        below: mapping or list -> comments and blank lines behind its last entry.
        shared: entry -> the comment of a line on which another entry begins, too: it speaks of both.
        in_lines: collections that cannot be written on one line: a comment inside would be lost, or speak of others.
    """

    root: Node
    above: Mapping[Key, tuple[str, ...]]
    beside: Mapping[Key, tuple[str, int]]
    below: Mapping[Key, tuple[str, ...]]
    shared: Mapping[Key, str]
    in_lines: frozenset[Key]


class Labels(Protocol):
    """Which comments mean something to the loader: it reads the ids of requirements there."""

    def is_labelled(self, path: Key) -> bool:
        """Return whether the comment on the line of the entry at `path` is read."""
        ...

    def spoken_for(self, path: Key) -> Key | None:
        """Return the entry around `path` whose comment is read for it as well, if there is one."""
        ...


@dataclass(frozen=True)
class _Comment:
    start: int
    line: int
    column: int
    text: str
    alone: bool


def parse_tree(document: Document, labels: Labels) -> Tree:
    """Return the tree of a document that the loader has accepted.

    Args:
        document: its lines end in a line feed, and in nothing else.
        labels: the comments that stay on the line of their entry, whatever becomes of it.

    Raises:
        PolicyError: ruamel.yaml does not read it as the loader does.
    """
    return _Attacher(document.text, parse_nodes(document), labels).tree()


class _Attacher:
    """Finds the comments and gives each its place in the tree."""

    def __init__(self, text: str, nodes: Nodes, labels: Labels) -> None:
        self.text = text
        self.root = nodes.root
        self.nodes = nodes.by_path
        self.entries = nodes.entries
        self.by_path = {entry.path: entry for entry in self.entries}
        self.starts = [entry.start for entry in self.entries]
        self.scalars = nodes.scalars
        self.labels = labels
        self.line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.lines = text.split("\n")
        self.on_line: dict[int, list[Entry]] = defaultdict(list)
        self.ends_on: dict[int, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            self.on_line[entry.line].append(entry)
            if not _is_block(entry.value) and entry.value.source:
                self.ends_on[self._line(max(entry.start, entry.value.end - 1))].append(entry)
        self.above: dict[Key, list[str]] = defaultdict(list)
        self.beside: dict[Key, tuple[str, int]] = {}
        self.below: dict[Key, list[str]] = defaultdict(list)
        self.shared: dict[Key, str] = {}
        self.strewn: list[Key] = []  # collections whose entries share a line, and its comment, with others
        self.remarked: set[int] = set()  # lines with a comment
        self.reach = (-1, 0)  # the entry that the comments at hand stand before, and the depth they have come up to

    def tree(self) -> Tree:
        for comment in self._comments():
            self.remarked.add(comment.line)
            if comment.alone or not self._beside(comment):
                self._own_line(comment)
        for line, entries in self.on_line.items():
            first = entries[0]
            if self._blank_before(line) and not self._in_flow(first.start):
                self.above[first.path].append(BLANK)
        return Tree(
            self.root,
            {path: tuple(lines) for path, lines in self.above.items()},
            self.beside,
            {path: tuple(lines) for path, lines in self.below.items()},
            self.shared,
            frozenset(self._in_lines()),
        )

    def _in_lines(self) -> Iterator[Key]:
        inside = [*(path[:-1] for path in (*self.above, *self.beside)), *self.below, *self.strewn]
        inside += [
            entry.path[:-1] for entry in self.entries if self.labels.is_labelled(entry.path) and self._is_spread(entry)
        ]
        for path in inside:
            yield from (path[:size] for size in range(len(path) + 1))

    def _is_spread(self, entry: Entry) -> bool:
        """Return whether an entry stands within braces that fill several lines, some of them with a comment."""
        around = self._containers(entry)[-len(entry.path) :]
        spans = [(self._key_line(node), self._line(node.end)) for node in around if node.is_flow]
        return any(first < last and any(first <= line <= last for line in self.remarked) for first, last in spans)

    def _comments(self) -> Iterator[_Comment]:
        """Yield every comment: what begins with ``#`` outside the scalars; and in the first line of a block scalar."""
        place = 0
        for start, end, block in [*sorted(self.scalars), (len(self.text), len(self.text), False)]:
            yield from self._comments_in(place, start)
            if block:
                stop = self.text.find("\n", start, end)
                yield from self._comments_in(start, end if stop < 0 else stop)
            place = end

    def _comments_in(self, start: int, end: int) -> Iterator[_Comment]:
        for match in _COMMENT.finditer(self.text, start, end):
            line = self._line(match.start())
            column = match.start() - self.line_starts[line]
            alone = not self.lines[line][:column].strip()
            text = _CLOSE.sub("# ", match[0].rstrip(), count=1) if _CLOSE.match(match[0]) else match[0].rstrip()
            yield _Comment(match.start(), line, column, text, alone)

    def _line(self, index: int) -> int:
        return bisect_right(self.line_starts, index) - 1

    def _key_line(self, node: Node) -> int:
        return self.by_path[node.path].line if node.path else self._line(node.start)

    def _blank_before(self, line: int) -> bool:
        return line > 0 and not self.lines[line - 1].strip()

    def _beside(self, comment: _Comment) -> bool:
        """Place a comment behind something; False where nothing on its line can carry it."""
        began = self.on_line.get(comment.line, [])
        if began:
            first = min(began, key=lambda entry: len(entry.path))
            if self._follows_a_dash(first) and self.by_path[first.path[:-1]].line < first.line:
                self.above[first.path].append(comment.text)
                return True
            self.beside[first.path] = (comment.text, comment.column)
            self._share(comment, first, began)
            return True
        ended = [entry for entry in self.ends_on.get(comment.line, []) if entry.value.end <= comment.start]
        flows = [entry for entry in ended if entry.value.is_flow]
        if flows:  # not beside its key: on that line the comment would become the key's
            self._at_end(min(flows, key=lambda entry: len(entry.path)), comment.text)
        elif ended and self._may_gain(ended[0]):
            self.beside[ended[0].path] = (comment.text, comment.column)
        else:
            return False
        return True

    def _follows_a_dash(self, entry: Entry) -> bool:
        """Return whether an entry will be written on the line of the item it begins."""
        item = self.by_path.get(entry.path[:-1])
        return item is not None and isinstance(item.path[-1], int) and item.value.entries[0] is entry

    def _may_gain(self, entry: Entry) -> bool:
        """Return whether a comment may come to stand on the line of an entry that did not stand there."""
        return not (entry.path in self.beside or self.labels.is_labelled(entry.path) or self._follows_a_dash(entry))

    def _share(self, comment: _Comment, first: Entry, began: list[Entry]) -> None:
        """Note the other entries of a line for which its comment is read."""
        carriers = [first.path]
        for entry in began:
            is_read = entry is not first and self.labels.is_labelled(entry.path)
            if is_read and self.labels.spoken_for(entry.path) not in carriers:
                carriers.append(entry.path)
                self.shared[entry.path] = comment.text
                if entry.path[: len(first.path)] != first.path:
                    self.strewn.append(entry.path[:-1])

    def _at_end(self, entry: Entry, text: str) -> None:
        where = self.below if entry.value.entries else self.above
        where[entry.path].append(text)

    def _own_line(self, comment: _Comment) -> None:
        at = bisect_left(self.starts, comment.start)
        before = self.entries[at - 1] if at else None
        after = self.entries[at] if at < len(self.entries) else None
        lines = self._place(comment, before, after, at)
        if self._blank_before(comment.line) and not self._in_flow(comment.start):
            lines.append(BLANK)
        lines.append(comment.text)

    def _place(self, comment: _Comment, before: Entry | None, after: Entry | None, at: int) -> list[str]:
        for entry in self._around(before):
            value = entry.value
            end = value.end if value.is_scalar else value.start
            if value.source and not _is_block(value) and entry.start < comment.start < end:
                return self.above[entry.path]  # between a key and its value
        flow = next((node for node in self._containers(before) if _encloses(node, comment.start)), None)
        if flow is not None:
            if after is not None and after.start < flow.end:
                return self.above[after.path]
            return self.below[flow.path] if flow.entries else self.above[flow.path]
        floor = -1 if after is None else self.nodes[after.path[:-1]].column
        fits = [
            node
            for node in self._containers(before)
            if not node.is_flow and floor < node.column <= comment.column and len(node.path) <= self._depth(at)
        ]
        if after is not None and not fits:
            self.reach = (at, -1)
            return self.above[after.path]
        # the deepest that fits; where a list stands under its key without an indent, the mapping of the key
        node = max(fits, key=lambda node: (node.column, -len(node.path)), default=self.root)
        self.reach = (at, len(node.path))
        return self.below[node.path]

    def _depth(self, at: int) -> int:
        """Return how deep the next comment before entry `at` may go: never deeper than the one above it."""
        return self.reach[1] if self.reach[0] == at else MAX_DEPTH

    def _around(self, entry: Entry | None) -> list[Entry]:
        """Return an entry and those it stands in, inmost first."""
        return [self.by_path[entry.path[:size]] for size in range(len(entry.path), 0, -1)] if entry else []

    def _containers(self, entry: Entry | None) -> list[Node]:
        """Return the collections that are open behind an entry, inmost first."""
        if entry is None:
            return [self.root]
        nodes = [self.nodes[entry.path[:size]] for size in range(len(entry.path), -1, -1)]
        return [node for node in nodes if not node.is_scalar]

    def _in_flow(self, index: int) -> bool:
        at = bisect_left(self.starts, index)
        return any(_encloses(node, index) for node in self._containers(self.entries[at - 1] if at else None))


def _is_block(node: Node) -> bool:
    return not node.is_scalar and not node.is_flow


def _encloses(node: Node, index: int) -> bool:
    """Return whether a place lies between the braces or brackets of a collection."""
    return node.is_flow and node.start < index < node.end
