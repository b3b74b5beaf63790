"""The table of requirements: each row of the SOP, where it is implemented, which tests prove it, and how they ended."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
ROWS = Path(__file__).parent / "rows.yaml"
PAGE = ROOT / "docs" / "requirements.md"

_PLACES = ("engine", "strategies", "policies", "config", "docs", "deploy", "cli.py", "Makefile")
_MADE = {"requirements.md", "policy-reference.md"}
_KINDS = {".py", ".yaml", ".md", ".j2", ".service", ".sh", ""}
_ROW = re.compile(r"\bR(\d{3})(?:\s*[-–]\s*R(\d{3}))?\b")
_SHOWN = 3  # tests and places of one row; more are counted

HEAD = """# Requirements

Every requirement of the launch SOP: where it is implemented, which tests prove it, and how they ended when this page
was made. Made by `make requirements`, which runs the whole suite; the rows stand in `tests/requirements/rows.yaml`.
A test proves a row by its name (`test_R136_…`) or by its mark, a case of `policies/tests` by its name. *Record*: what a
person must put on record; what is tested is that the record is demanded, and that nothing goes on without it.
"""


@dataclass(frozen=True)
class Row:
    """One requirement."""

    row_id: str
    text: str
    section: str
    record: bool


@dataclass(frozen=True)
class Proof:
    """One test that names a row, and how it ended: passed, failed or skipped."""

    test: str
    outcome: str


def rows() -> tuple[Row, ...]:
    """Return all rows in their order."""
    table = yaml.safe_load(ROWS.read_text())
    return tuple(
        Row(row_id, text, section, row_id in table["record"])
        for section, texts in table["sections"].items()
        for row_id, text in texts.items()
    )


def named_in(text: str) -> Iterator[str]:
    """Yield the rows that a text names; ``R113-R118`` names six.

    >>> list(named_in("R001, R003-R005"))
    ['R001', 'R003', 'R004', 'R005']
    """
    for first, last in _ROW.findall(text):
        for number in range(int(first), int(last or first) + 1):
            yield f"R{number:03d}"


def places() -> dict[str, tuple[str, ...]]:
    """Return, by row, the files that say that they implement it: by its id, or in `rows.yaml` under ``where``."""
    found = defaultdict(set)
    for path in _files():
        for row_id in named_in(path.read_text()):
            found[row_id].add(str(path.relative_to(ROOT)))
    for row_id, where in yaml.safe_load(ROWS.read_text()).get("where", {}).items():
        found[row_id].update(where.split())
    return {row_id: tuple(sorted(paths, key=_weight)) for row_id, paths in found.items()}


def _files() -> Iterator[Path]:
    for name in _PLACES:
        place = ROOT / name
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.is_file() and path.suffix in _KINDS and path.name not in _MADE and path.parent.name != "tests":
                yield path


def _weight(path: str) -> tuple[int, str]:
    order = [path.startswith("policies"), path.startswith("engine"), path.startswith("strategies"), True]
    return order.index(True), path


def page(proofs: Mapping[str, Iterable[Proof]]) -> str:
    """Return the page as Markdown.

    Args:
        proofs: the tests of each row.
    """
    where = places()
    everything = rows()
    proven = sum(_passing(tuple(proofs.get(row.row_id, ()))) == "yes" for row in everything)
    lines = [HEAD, f"{proven} of {len(everything)} rows are implemented, tested, and pass.", ""]
    section = ""
    for row in everything:
        if row.section != section:
            section = row.section
            lines += [
                "",
                f"## {section}",
                "",
                "| row | requirement | implemented in | tests | passing |",
                "|-|-|-|-|-|",
            ]
        tests = tuple(proofs.get(row.row_id, ()))
        text = f"{row.text} *(record)*" if row.record else row.text
        found = where.get(row.row_id, ())
        cells = (row.row_id, text, _listed(found), _listed(sorted({one.test for one in tests})), _passing(tests))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:_SHOWN]) + more


def _passing(tests: tuple[Proof, ...]) -> str:
    outcomes = {one.outcome for one in tests}
    if "failed" in outcomes:
        return "no"
    return "yes" if "passed" in outcomes else "not run" if outcomes else "no test"
