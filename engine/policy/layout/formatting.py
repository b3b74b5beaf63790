"""`policy fmt`: policies, vocabularies, bundles and policy tests in one layout. No comment is lost, no meaning changes.

- Two spaces a level; what was written in lines stays in lines, what in braces stays there while it fits on its line.
- The keys of a rule, a fact, a band and a parameter stand in one order; the rules themselves stay where they are.
- Quotes where YAML needs them, and always in comparisons, factors, signed quantities and parameters.
- Bands and effects are aligned; comments that stood in one column still do. At most one empty line in a row.

Nothing here writes a file: the caller does, or (``--check``) says that it would.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.documents import parse_document, read_document
from engine.errors import PolicyError, Problem
from engine.policy.layout.tree import parse_tree
from engine.policy.layout.writer import OTHERS, laid_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from engine.documents import Document, Key
    from engine.policy.layout.writer import Quotes

ANY = "*"

# Breaks a line for one reader of YAML and not for another.
_ODD_BREAK = re.compile("[\x85\u2028\u2029]")
_NEWLINE = re.compile("\r\n?")
_ALWAYS_QUOTED = re.compile(r"[<>=!≥≤≠]|x\d|[-+]\d")
_RULE_DEPTH = 2  # rules and stages are named two keys deep
_WAYS = {"promote": "all", "abort": "any"}  # out of a stage, and what joins their conditions
_LABELLED = ("min_days", "to", "flatten", *_WAYS)
_ID = re.compile(r"\b[RA][0-9]{2,3}\b")


@dataclass(frozen=True)
class Habits:
    """How one kind of file is laid out; `ANY` in a path stands for any one key or index.

    Attributes:
        kind: what the file is, in words.
        marks: the top-level keys that tell the kind; one is enough, and the first kind that has one.
        orders: path of mappings -> their keys in order.
        alignment: paths of mappings whose values stand in one column.
        quoted: paths below which every text is in quotes.
        spelled: paths below which a text keeps its quotes, or goes on without.
    """

    kind: str
    marks: tuple[str, ...]
    orders: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    alignment: tuple[Key, ...] = ()
    quoted: tuple[Key, ...] = ()
    spelled: tuple[Key, ...] = ()

    def order(self, path: Key) -> tuple[str, ...]:
        """Return the keys of the mapping at `path` in order; empty where they stay as they are."""
        return next((order for pattern, order in self.orders.items() if _matches(path, pattern)), ())

    def quotes(self, path: Key, text: str) -> Quotes:
        """Return when the text at `path` is put into quotes."""
        if any(_matches(path[: len(pattern)], pattern) for pattern in self.spelled):
            return "kept"
        below = any(_matches(path[: len(pattern)], pattern) for pattern in self.quoted)
        return "always" if below or _ALWAYS_QUOTED.match(text) else "needed"

    def aligned(self, path: Key) -> bool:
        """Return whether the values of the mapping at `path` stand in one column."""
        return path in self.alignment


RULE = (
    "enabled",
    "severity",
    "outcome",
    "each",
    "when",
    "unless",
    "for",
    "gap",
    "episode",
    "effects",
    OTHERS,
    "because",
    "cure",
)
PARAMETER = ("value", "range", "about")
KINDS = (
    Habits("bundle", ("bundle",)),
    Habits(
        "policy test",
        ("tests", "defaults"),
        spelled=(("defaults",), ("tests", ANY, "facts"), ("tests", ANY, "expect")),
    ),
    Habits(
        "policy",
        ("policy",),
        orders={
            ("rules", ANY): RULE,
            ("bands", ANY): ("green", "red"),
            ("parameters", ANY): PARAMETER,
        },
        alignment=(("bands",), ("effects",), ("episodes",)),
        quoted=(("parameters",),),
    ),
    Habits(
        "vocabulary",
        ("vocabulary", "facts"),
        orders={
            ("facts", ANY): ("title", "unit", "worse", "range", "resolution", "max_age", "from"),
            ("parameters", ANY): PARAMETER,
        },
        quoted=(("parameters",),),
    ),
)


@dataclass(frozen=True)
class Formatted:
    """A file and its layout.

    Attributes:
        name: the file, as the user named it.
        kind: ``policy``, ``vocabulary``, ``bundle`` or ``policy test``.
        before: its text.
        after: the text it should have; UTF-8, lines ended by a line feed.
        is_changed: whether the bytes of the file differ from it.
    """

    name: str
    kind: str
    before: str = field(repr=False)
    after: str = field(repr=False)
    is_changed: bool

    @property
    def diff(self) -> str:
        """What would change, as a unified diff; empty where nothing does (or line ends and byte order mark alone)."""
        before, after = self.before.splitlines(keepends=True), self.after.splitlines(keepends=True)
        lines = difflib.unified_diff(before, after, self.name, f"{self.name} (formatted)")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ no newline at the end\n" for line in lines)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"file": self.name, "kind": self.kind, "changed": self.is_changed, "diff": self.diff}


class _Ids:
    """The entries on whose lines the loader reads ids: rules, and the ways out of a stage with their conditions."""

    def is_labelled(self, path: Key) -> bool:
        """Return whether ids are read on the line of the entry at `path`."""
        depth = len(path)
        if path[0] == "rules":
            return depth == _RULE_DEPTH
        return path[0] == "stages" and depth > _RULE_DEPTH and (path[-1] in _LABELLED or path[-2] in _WAYS.values())

    def spoken_for(self, path: Key) -> Key | None:
        """Return the way out that a condition belongs to: its ids are those of all its conditions."""
        is_inside = path[0] == "stages" and len(path) > _RULE_DEPTH + 1 and path[_RULE_DEPTH] in _WAYS
        return path[: _RULE_DEPTH + 1] if is_inside else None


def format_files(paths: Iterable[Path]) -> list[Formatted]:
    """Return the layout of files, and of all ``*.yaml`` below folders; the files are left alone.

    Raises:
        PolicyError: as `format_file`, with every mistake of every file.
    """
    found: list[Formatted] = []
    problems: list[Problem] = []
    for path in paths:
        files = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        if not files:
            problems.append(
                Problem("no-file", str(path), "there is no YAML file here", "name files that end in `.yaml`")
            )
        for file in files:
            try:
                found.append(format_file(file))
            except PolicyError as error:
                problems += error.problems
    if problems:
        raise PolicyError(problems)
    return found


def format_file(path: Path) -> Formatted:
    """Return the layout of a file; the file is left alone.

    Raises:
        PolicyError: no YAML of this language, none of the four kinds of file, or text that cannot be laid out safely.
    """
    return formatted(read_document(path, error=PolicyError))


def format_text(raw: bytes, name: str) -> Formatted:
    """Return the layout of a file held in memory; errors as `format_file`."""
    return formatted(parse_document(raw, name, error=PolicyError))


def formatted(document: Document) -> Formatted:
    """Return the layout of a document; errors as `format_file`."""
    habits = _habits(document)
    odd = _ODD_BREAK.search(document.text)
    if odd:
        where = f"{document.name}:{document.text.count(chr(10), 0, odd.start()) + 1}"
        problem = f"the character U+{ord(odd[0]):04X} breaks a line for some programs and not for others"
        raise PolicyError(Problem("line-break", where, problem, "take it out"))
    text = _NEWLINE.sub("\n", document.text)
    source = parse_document(text.encode(), document.name, error=PolicyError)
    after = laid_out(parse_tree(source, _Ids()), habits)
    _check_meaning(source, after, habits)
    is_changed = hashlib.sha256(after.encode()).hexdigest() != document.sha256
    return Formatted(document.name, habits.kind, document.text, after, is_changed)


def _habits(document: Document) -> Habits:
    keys = document.data if isinstance(document.data, dict) else {}
    found = next((habits for habits in KINDS if any(mark in keys for mark in habits.marks)), None)
    if found is None:
        problem = "this is no policy, vocabulary, bundle or policy test"
        raise PolicyError(Problem("kind", document.where(), problem, "only these four are formatted"))
    return found


def _check_meaning(before: Document, after: str, habits: Habits) -> None:
    """Refuse a layout that does not say the same; that would be this module's mistake, and must not reach a file."""
    try:
        document = parse_document(after.encode(), before.name, error=PolicyError)
    except PolicyError as error:
        reason = error.problems[0].problem
    else:
        if _meaning(document, habits) == _meaning(before, habits):
            return
        reason = "it would say something else"
    problem = f"cannot be laid out safely: {reason}"
    raise PolicyError(Problem("layout", before.name, problem, "the file is left as it is; write it in a simpler way"))


def _meaning(document: Document, habits: Habits) -> tuple[str, dict[str, set[str]]]:
    """Return the values in their order, and the ids that the comments give to rules and to the ways out of stages."""
    ids = {f"{path}": _ids(document, lines) for path, lines in _read_lines(document.data).items()}
    return json.dumps(_in_order(document.data, (), habits)), ids


def _ids(document: Document, lines: Iterable[Key]) -> set[str]:
    return {found for line in lines for found in _ID.findall(document.comment(line))}


def _read_lines(data: Any) -> dict[Key, list[Key]]:
    """Return what has ids, and the entries on whose lines they are read."""
    lines: dict[Key, list[Key]] = {("rules", name): [("rules", name)] for name in _mapping(data, "rules")}
    for number, stage in _mapping(data, "stages").items():
        path: Key = ("stages", number)
        for way, join in _WAYS.items():
            conditions = _mapping(stage, way).get(join)
            items = [
                (*path, way, join, index) for index in range(len(conditions) if isinstance(conditions, list) else 0)
            ]
            around = [(*path, "min_days"), (*path, way), (*path, way, "to"), (*path, way, "flatten")]
            lines |= {item: [item, *around] for item in [(*path, way), *items]}
    return lines


def _mapping(data: Any, key: str) -> dict[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _in_order(value: Any, path: Key, habits: Habits) -> Any:
    if isinstance(value, list):
        return [_in_order(item, (*path, index), habits) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    keys = sorted(value) if habits.order(path) else value
    return {key: _in_order(value[key], (*path, key), habits) for key in keys}


def _matches(path: Key, pattern: Key) -> bool:
    return len(path) == len(pattern) and all(want in (ANY, part) for part, want in zip(path, pattern, strict=True))
