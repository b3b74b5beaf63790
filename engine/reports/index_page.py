"""The index: one page that leads to every report, review, incident and policy page, written whole each time."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.operations.incidents.book import incidents
from engine.operations.reviews.book import DAILY, MONTHLY, WEEKLY, held, written
from engine.reports.archive import PROD, write_report
from engine.reports.incident_papers import FOLDER, LOG
from engine.reports.numbers import minute_text
from engine.reports.page import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.ledger import Ledger

NAME = "index.html"
POLICY_PAGES = (Path("docs/policy-reference.md"), Path("docs/policy-change.md"), Path("docs/operator-manual.md"))
"""Where this checkout keeps the policy reference, how a policy is changed, and the operator manual."""

_NUMBERED = re.compile(r"(?P<name>.+?)(?:\.(?P<number>\d+))?\.html")
_TITLES = {DAILY: "Daily reports", WEEKLY: "Weekly reports", MONTHLY: "Monthly reports"}


@dataclass(frozen=True)
class Link:
    """A page: where it is from the index, and what is said of it beside its name."""

    title: str
    href: str
    note: str = ""
    outcome: str = ""
    others: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Group:
    """Links under one heading; `empty` is said where there are none."""

    title: str
    links: tuple[Link, ...]
    empty: str


def write_index(report_dir: Path, reader: Ledger | None = None, *, tree: Path = Path()) -> Path:
    """Write ``<report_dir>/prod_reports/index.html`` anew.

    Args:
        report_dir: `output.report_dir` of the configuration.
        reader: the ledger, for who reviewed what and which incidents there are; None: links alone.
        tree: the checkout, for the policy pages.

    Raises:
        LedgerError: the ledger cannot be read.
        ReportError: the page cannot be written.
    """
    folder = report_dir / PROD
    groups = (
        *(_reports(folder, kind, reader) for kind in (MONTHLY, WEEKLY, DAILY)),
        _incidents(folder, report_dir / FOLDER, reader),
        Group("Policies and manual", tuple(_policies(folder, tree)), "The policy pages are not in this checkout."),
    )
    return write_report(folder / NAME, render("index.html.j2", groups=groups))


def _reports(folder: Path, kind: str, reader: Ledger | None) -> Group:
    outcomes = {} if reader is None else {Path(one.path).name: one.outcome for one in written(reader, kind)}
    reviews = {} if reader is None else {one.period: one for one in held(reader, kind)}
    links = []
    for name, number, path in sorted(_pages(folder / kind), reverse=True):
        review = reviews.get(name)
        note = "" if kind == DAILY else "not reviewed"
        if review is not None:
            note = f"{review.decision}, signed by {review.by} on {minute_text(review.at_ms)}"
        title = name if number == 1 else f"{name}, number {number}"
        others = tuple(
            (suffix.lstrip("."), f"{kind}/{path.with_suffix(suffix).name}")
            for suffix in (".md", ".json")
            if path.with_suffix(suffix).is_file()
        )
        links.append(Link(title, f"{kind}/{path.name}", note, outcomes.get(path.name, ""), others))
    return Group(_TITLES[kind], tuple(links), f"None yet: `stagegate report --{kind}` writes one.")


def _pages(folder: Path) -> Iterator[tuple[str, int, Path]]:
    """Yield name, number and path of each page of a folder."""
    try:
        found = sorted(folder.glob("*.html")) if folder.is_dir() else []
    except OSError:
        found = []
    for path in found:
        match = _NUMBERED.fullmatch(path.name)
        if match and not path.name.startswith("."):
            yield match["name"], int(match["number"] or 1), path


def _incidents(folder: Path, papers: Path, reader: Ledger | None) -> Group:
    links = []
    if (papers / LOG).is_file():
        links.append(Link("Incident log", _href(papers / LOG, folder), "all incidents on one page"))
    known = {} if reader is None else {one.incident_id: one for one in incidents(reader)}
    names = {path.stem for path in papers.glob("INC-*.md")} if papers.is_dir() else set()
    for name in sorted({*known, *(name for name in names if name.count("-") > 1 and "." not in name)}, reverse=True):
        incident = known.get(name)
        note = "" if incident is None else f"{incident.severity}, {incident.state}: {incident.why}"
        path = papers / f"{name}.md"
        links.append(Link(name, _href(path, folder) if path.is_file() else "", note))
    return Group("Incidents", tuple(links), "None was opened.")


def _policies(folder: Path, tree: Path) -> Iterator[Link]:
    for path in POLICY_PAGES:
        if (tree / path).is_file():
            yield Link(path.stem.replace("-", " ").capitalize(), _href(tree / path, folder))


def _href(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.resolve().as_uri()
