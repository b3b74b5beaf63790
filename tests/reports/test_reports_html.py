from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from engine.ledger import Event, Ledger, Mark
from engine.reports.daily import daily_documents
from engine.reports.page import render
from engine.reports.rehearsal_report import rehearsal_html, write_rehearsal_report
from engine.reports.view import read_view

if TYPE_CHECKING:
    from pathlib import Path

    from engine.reports.content import Report
    from engine.reports.view import LedgerView

HOSTILE = "</pre></title><script>alert('x')</script><img src=http://evil.example/x onerror=1>"
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Strict(HTMLParser):
    """Counts what a browser would have to guess: unclosed or crossed elements, ids given twice, addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "href", "action", "data", "srcset", "poster", "xlink:href"}:
                self.addresses.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-3:]}")
        else:
            self.open.pop()


def parsed(page: str) -> Strict:
    parser = Strict()
    parser.feed(page)
    parser.close()
    return parser


def check(page: str) -> Strict:
    found = parsed(page)
    assert found.faults == []
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert all(address.startswith("#") for address in found.addresses)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(found.tags)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    return found


def test_the_page_is_well_formed_and_needs_nothing_from_outside(page: str) -> None:
    found = check(page)
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in page, "the page itself forbids loading anything"
    assert found.tags.count("svg") > 10


def test_the_top_gives_verdict_reason_and_numbers(page: str, view: LedgerView) -> None:
    head = page[: page.index("<section")]
    assert view.verdict is not None
    assert view.verdict.outcome in head
    for label in ("Equity", "Drawdown", "30-day return", "20-day Sharpe", "Cap", "Exposure"):
        assert label in head


@pytest.mark.parametrize("name", ["equity", "drawdown", "sharpe", "bounds", "ribbon", "sleeves", "funding"])
def test_a_table_stands_behind_each_picture(page: str, name: str) -> None:
    start = page.index(f'id="{name}-figure"')
    figure = page[start : page.index("</figure>", start)]
    assert "<svg" in figure
    assert "<details>" in figure
    assert figure.count("<tr>") > 2


def test_the_foot_reproduces_the_report(page: str, view: LedgerView) -> None:
    foot = page[page.index("<footer>") :]
    assert view.verdict is not None
    for text in (view.meta["command"], view.meta["seed"], view.path.name, *view.verdict.hashes.values()):
        assert text in foot
    assert str(view.path.parent) not in page, "the report says nothing of the machine it was written on"


def test_the_same_ledger_gives_the_same_bytes(page: str, view: LedgerView) -> None:
    assert rehearsal_html(view) == page


def test_the_drawn_thresholds_are_the_policy_s(page: str) -> None:
    start = page.index('id="drawdown-figure"')
    picture = page[start : page.index("</svg>", start)]
    for edge in ("green &lt; 8 %", "red &gt; 10 %", "hard stop &gt; 12 %"):
        assert edge in picture


def test_hostile_texts_stay_texts(walk_copy: Path) -> None:
    with Ledger.open(walk_copy) as ledger:
        last = ledger.last_mark("risk")
        assert last is not None
        ledger.append(Event("Z1", last.at_ms, "incident", HOSTILE, '{"severity": "<script>1</script>"}'))
        ledger.set_meta(command=HOSTILE, source=HOSTILE)
        view = read_view(ledger)
    daily = daily_documents(view)
    check(daily[".html"])
    assert "&lt;script&gt;alert" in daily[".html"]
    markdown = daily[".md"]
    assert "<script" not in markdown
    assert "<img" not in markdown


def test_hostile_verdict_texts_stay_texts(content: Report) -> None:
    hostile = replace(content, sentence=HOSTILE, why=HOSTILE, outcome="<b>", title=HOSTILE)
    check(render("report.html.j2", report=hostile))


def test_a_ledger_with_one_mark_makes_a_report(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    with Ledger.open(path, create=True) as ledger:
        ledger.append(Mark("risk", 1_667_952_000_000, 15_000.0, 1.0, 15_000.0, 1.0, 15_000.0, 0.0))
    target = tmp_path / "out" / "rehearsal.html"
    target.parent.mkdir()
    target.write_text("an older report")
    assert write_rehearsal_report(path, tmp_path / "out") == target
    assert [each.name for each in target.parent.iterdir()] == ["rehearsal.html"]
    page = target.read_text(encoding="utf-8")
    check(page)
    assert "No verdict has been recorded." in page
    assert "$15,000" in page


def test_an_empty_ledger_makes_a_report(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    Ledger.open(path, create=True).close()
    page = write_rehearsal_report(path, tmp_path / "out").read_text(encoding="utf-8")
    check(page)
    assert "No verdict has been recorded." in page
    assert "nan" not in page.lower().replace("finance", "")


def test_a_ledger_of_unknown_facts_makes_a_report(unknown_ledger: Path, tmp_path: Path) -> None:
    page = write_rehearsal_report(unknown_ledger, tmp_path).read_text(encoding="utf-8")
    check(page)
    assert page.count("unknown") > 3
