"""`policy doc`: the reference in the repository is current, says every decision, and hostile text does no harm."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from engine.policy.bundle import Bundle, load_bundle
from engine.policy.load import parse_policy
from engine.policy.mutation.mutants import mutants
from engine.reports.policy_reference import (
    Reference,
    policy_chapter,
    policy_reference,
    reference_html,
    reference_markdown,
)

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = """</td></tr><script>alert('1')</script> | [a](javascript:alert(1)) `code` "quoted" & more"""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(ROOT / "config" / "prod_scale_rules_R1.yaml")


@pytest.fixture(scope="module")
def reference(bundle: Bundle) -> Reference:
    return policy_reference(bundle)


@pytest.fixture(scope="module")
def page(reference: Reference) -> str:
    return reference_markdown(reference)


def test_the_reference_in_the_repository_is_current(page: str) -> None:
    stored = (ROOT / "docs" / "policy-reference.md").read_text(encoding="utf-8")
    assert stored == page, "run `stagegate policy doc`"


def test_the_same_bundle_gives_the_same_text_from_any_folder(
    bundle: Bundle, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    again = load_bundle(Path("config") / bundle.path.name)
    assert reference_markdown(policy_reference(again)) == page
    assert str(ROOT) not in page


def test_everything_a_committee_signs_is_in_it(bundle: Bundle, page: str) -> None:
    for policy in bundle.policies.values():
        assert f"## {policy.title}" in page
        assert policy.sha256 in page
        for rule in policy.rules.values():
            assert f"| {rule.name} |".replace("[", "\\[").replace("]", "\\]") in page
            assert rule.because in page
        for name in policy.facts:
            assert f"| {name} | {policy.vocabulary.facts[name].title} |" in page
    for sha256 in (bundle.sha256, bundle.vocabulary.sha256, bundle.config_sha256):
        assert sha256 in page
    assert "## Signatures" in page


def test_every_requirement_that_a_policy_names_is_in_it(bundle: Bundle, page: str) -> None:
    for policy in bundle.policies.values():
        for rule in policy.rules.values():
            assert " ".join(rule.refs) in page
    bands = re.findall(r"^  (\w+): +\{green:.*# (.*)$", bundle.policies["action"].text, re.MULTILINE)
    assert bands
    for name, refs in bands:
        assert re.search(rf"^\| {name} \|.*\| {refs} \|$", page, re.MULTILINE)


def test_every_single_change_of_a_decision_changes_the_reference(bundle: Bundle) -> None:
    for policy in bundle.policies.values():
        chapter = policy_chapter(policy)
        seen = 0
        for mutant in mutants(policy):
            if replace(mutant.policy, instances=policy.instances) == policy:
                continue  # a rule without one of its bands: no file can say that
            assert policy_chapter(mutant.policy) != chapter, str(mutant)
            seen += 1
        assert seen > 0


def test_a_policy_of_stages_alone_has_no_empty_tables(bundle: Bundle) -> None:
    text = "policy: stages\ntitle: Two stages\nstages:\n  0: {cap: 0 usd, min_days: 1}\n"
    policy = parse_policy(text.encode(), "policies/stages.yaml", bundle.vocabulary)
    chapter = policy_chapter(policy)
    assert [part.title for part in chapter.parts] == ["Stages"]
    assert chapter.parts[0].table.rows == (("0", "", "$0", "1 day", "none", "none", "to 0"),)
    assert chapter.texts == ()
    assert policy_chapter(
        parse_policy(f"# What for.\n#\n# And why.\n\n# no\n{text}".encode(), "a.yaml", bundle.vocabulary)
    ).texts == (
        "What for.",
        "And why.",
    )


# ── HTML ──


class Page(HTMLParser):
    """Collects tags, attributes and texts, and holds every end tag against its start."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_is_one_file_that_fetches_nothing_and_prints(reference: Reference) -> None:
    html = reference_html(reference)
    page = Page(html)
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert not {"src", "action"} & set(page.attributes)
    assert all(link.startswith("#") for link in page.attributes["href"])
    assert {link[1:] for link in page.attributes["href"]} <= set(page.attributes["id"])
    assert len(page.attributes["id"]) == len(set(page.attributes["id"]))
    assert "default-src 'none'" in html
    assert "@media print" in html
    assert html.count("<table") == html.count("<thead")


def test_markdown_and_html_say_the_same(reference: Reference, page: str) -> None:
    texts = " ".join(" ".join(Page(reference_html(reference)).texts).split())
    cells = {
        cell for chapter in reference.chapters for part in chapter.parts for row in part.table.rows for cell in row
    }
    for cell in cells:
        assert " ".join(cell.split()) in texts
    assert page.count("\n### ") == sum(len(chapter.parts) for chapter in reference.chapters)


@pytest.fixture
def hostile(tmp_path: Path) -> Bundle:
    """A bundle whose every free text is an attack on the page or the table."""
    text = json.dumps(HOSTILE)
    (tmp_path / "config.yaml").write_text("any: thing\n", encoding="utf-8")
    (tmp_path / "facts.yaml").write_text(
        f"""# {HOSTILE}
vocabulary: {text}
parameters:
  p: {{value: "5", range: ["1", "9"], about: {text}}}
facts:
  x:
    {{title: {text}, unit: ratio, worse: higher, range: [0, 9], resolution: 1, max_age: 1 hour, from: {text}}}
  y: {{title: {text}, unit: flag, worse: neither, max_age: 1 hour, from: {text}}}
""",
        encoding="utf-8",
    )
    (tmp_path / "policy.yaml").write_text(
        f"""# {HOSTILE}
policy: hostile
title: {text}
outcomes: [STOP, KEEP]
otherwise: KEEP
rules:
  r:
    severity: HARD
    outcome: STOP
    when: {{any: [{{x: "> $p"}}, {{y: "= yes"}}]}}
    because: {text}
    cure: {text}
effects: {{STOP: {{flag: REVIEW}}, KEEP: {{}}}}
exit: {{STOP: 30, KEEP: 0}}
""",
        encoding="utf-8",
    )
    sha256 = hashlib.sha256((tmp_path / "config.yaml").read_bytes()).hexdigest()
    path = tmp_path / "bundle.yaml"
    path.write_text(
        f"bundle: {text}\nconfig: {{path: config.yaml, sha256: {sha256}}}\nvocabulary: facts.yaml\n"
        "policies: {hostile: policy.yaml}\nexecution: {rebalance_dead_band: 5%}\n"
        "reporting: {periods_per_year: 365, risk_free_rate: 0.025}\n",
        encoding="utf-8",
    )
    return load_bundle(path)


def test_hostile_text_is_shown_in_the_page_and_does_nothing(hostile: Bundle) -> None:
    page = Page(reference_html(policy_reference(hostile)))
    assert "script" not in page.tags
    assert all(link.startswith("#") for link in page.attributes["href"])
    assert not [name for name in page.attributes if name.startswith("on")]
    assert sum(HOSTILE in text for text in page.texts) >= 8  # titles, comment, about, because, cure, source


def test_hostile_text_breaks_no_table_and_makes_no_link_in_markdown(hostile: Bundle) -> None:
    text = reference_markdown(policy_reference(hostile))
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    heads = 0
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
        assert len(widths) <= 1, block
        heads += bool(rows)
    assert heads >= 7


def test_the_assumptions_of_the_bundle_are_in_it(hostile: Bundle) -> None:
    text = reference_markdown(policy_reference(hostile))
    assert "| dead band of a rebalance | 5 % |" in text
    assert "| periods of a year | 365 |" in text
    assert "| risk-free rate | 2.50 % |" in text
    assert "### Parameters that several policies read" in text
    assert "| hostile: r |" in text
