"""The review of a change: the page by its golden file, what it needs, and what the loop did."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from engine.clock import DAY_MS
from engine.errors import PolicyError, UsageError
from engine.ledger import Ledger
from engine.policy.difference.compare import difference
from engine.policy_review.diff import diff_report
from engine.policy_review.needs import needs, requirements
from engine.policy_review.page import md, page_text
from engine.policy_review.plot import plot_svg
from engine.policy_review.rehearsals import Course, period_of, recorded_under
from engine.policy_review.replay import replay_report
from engine.policy_review.review import InLoop, review_page
from engine.policy_review.text import review_text
from engine.rehearsal.run import RehearsalRequest, rehearse
from engine.reports.plain import plain
from engine.revisions import revisions
from tests.policy_review.conftest import ACTION, RULES, START_MS, make_repository, write_history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.policy_review.review import Review
    from tests.policy_review.conftest import Repository

GOLDEN = Path(__file__).parent / "golden"
DRAWDOWNS = [1.0, 9.5, 11.0, 11.5, 12.5, 11.2, 9.0, None, 9.5, 10.0]


class Here:
    """Work in a folder for as long as the block lasts."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._before = folder, Path.cwd()

    def __enter__(self) -> None:
        os.chdir(self._folder)

    def __exit__(self, *_: object) -> None:
        os.chdir(self._before)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """The stop at 11 % instead of 12 %, with its test; a paper history beside it."""
    repository = make_repository(tmp_path_factory.mktemp("review") / "repository")
    write_history(repository.folder / "paper.db", list(DRAWDOWNS))
    repository.edit("facts.yaml", '"12%"', '"11%"')
    repository.edit("tests/action.yaml", "the hard stop, above 12 %", "the hard stop, above 11 %")
    repository.edit("tests/action.yaml", '"12% 12.0001%"', '"11% 11.0001%"')
    repository.git("add", "rules")
    repository.git("commit", "--quiet", "--message", "Stop earlier")
    with Here(repository.folder):
        yield repository


@pytest.fixture(scope="module")
def review(changed: Repository) -> Review:
    del changed
    return review_page("main..change", Path("paper.db"), Path("out/review.md"), rules=RULES)


def course(title: str, *nav: float, **outcomes: int) -> Course:
    """A course made by hand, so that the page does not hang on the market's numbers."""
    day_ms = START_MS + np.arange(len(nav), dtype=np.int64) * DAY_MS
    values = np.array(nav)
    deepest = float(np.max(1 - values / np.maximum.accumulate(values))) * 100
    return Course(title, day_ms, values, 1000 * nav[-1], deepest, outcomes, "0" * 64, recorded=False)


def made_up(review: Review) -> InLoop:
    assert review.in_loop is not None
    old = course("old", 1.0, 1.02, 0.97, 0.9, 0.95, KEEP=3, REDUCE=1)
    new = course("new", 1.0, 1.02, 0.97, 0.96, 0.97, PAUSE=1, KEEP=2, REDUCE=1)
    return InLoop(review.in_loop.period, old, new)


def settled(page: str) -> str:
    """The page without what changes for reasons that are not its own: ids, hashes, the count of mutants."""
    page = re.sub(r"\b[0-9a-f]{64}\b", "<sha256>", page)
    page = re.sub(r"\(([0-9a-f]{12})\)", "(<commit>)", page)
    page = re.sub(r"\b[0-9a-f]{4}…", "<hash>", page)
    page = re.sub(r"(?m)^- Mutation score .*\n(?:  - survived: .*\n)*", "- Mutation score <…>\n", page)
    return re.sub(r"stagegate \d+\.\d+\.\d+", "stagegate <version>", page)


def test_the_page(review: Review) -> None:
    page = settled(page_text(replace(review, in_loop=made_up(review))))
    golden = GOLDEN / "review.md"
    if os.environ.get("STAGEGATE_GOLDEN"):
        golden.write_text(page)
    assert page == golden.read_text()


def test_the_picture(review: Review) -> None:
    loop = made_up(review)
    picture = plot_svg(loop.old, loop.new)
    golden = GOLDEN / "review.svg"
    if os.environ.get("STAGEGATE_GOLDEN"):
        golden.write_text(picture)
    assert picture == golden.read_text()
    root = ET.fromstring(picture)  # noqa: S314 - our own picture
    lines = [one.get("points", "").split() for one in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(line) for line in lines] == [5, 5]
    assert lines[0][:3] == lines[1][:3] != lines[0][3:5]  # the same until the stop, then apart
    assert float(lines[0][3].split(",")[1]) > float(lines[1][3].split(",")[1])  # the old one lies lower


def test_it_is_written_with_its_picture_and_the_manifest_that_is_signed(review: Review) -> None:
    assert review.page.read_text() == page_text(review)
    assert f"]({review.plot.name})" in review.page.read_text()
    assert review.plot.read_text().startswith("<svg")
    checked = [line.split("  ") for line in review.manifest_path.read_text().splitlines()]
    assert len(checked) == 6
    folder = Path(review.manifest_folder)
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256 for sha256, name in checked)
    assert review.digest == hashlib.sha256(review.manifest_path.read_bytes()).hexdigest()
    assert review.digest in review.page.read_text()


def test_the_same_change_gives_the_same_bytes(review: Review, tmp_path: Path) -> None:
    again = review_page("main..change", Path("paper.db"), tmp_path / "review.md", rules=RULES)
    assert (tmp_path / "review.md").read_text() == review.page.read_text()
    assert again.plot.read_bytes() == review.plot.read_bytes()
    assert plain(again) == {**plain(review), "page": str(tmp_path / "review.md")}


def test_its_days_are_those_of_policy_diff(review: Review) -> None:
    report = diff_report("main", "change", Path("paper.db"), rules=RULES)
    assert review.diff.history == report.history
    assert review.diff.history is not None
    assert review.diff.history.counts == {"REDUCE → PAUSE": 2}  # 11.5 and 11.2 %; 11 % is not above


def test_exit_code_text_and_json(review: Review) -> None:
    assert (review.exit_code, review.needs.signatures) == (0, 2)  # harder; PAUSE itself asks for two
    text = review_text(review)
    assert "tests      17 tests, all passed" in text
    assert "2 signatures, because outcome PAUSE of action changes" in text
    document = json.loads(json.dumps(plain(review)))
    assert document["direction"] == "harder"
    assert document["needs"]["signatures"] == 2
    assert document["sha256"] == review.digest


def test_the_loop_is_a_rehearsal_under_each_bundle(review: Review, tmp_path: Path) -> None:
    """The new side, rehearsed here by hand and read with nothing but the ledger."""
    assert review.in_loop is not None
    assert review.in_loop.period.title == "synthetic market, seed 7, 3 days, from stage 1, approvals: all"
    with revisions(RULES) as source:
        bundle = source.load("change").bundle
        request = RehearsalRequest(
            bundle.config_path, bundle.path, tmp_path / "by_hand", 7, 3, None, "klines", None, None, 1, "all", "test"
        )  # fmt: skip
        path = rehearse(request, lambda _: None).ledger
    with Ledger.open(path, read_only=True) as ledger:
        marks = ledger.marks("risk")
    ends = [nav for at_ms, nav in zip(marks.at_ms.tolist(), marks.nav.tolist(), strict=True) if at_ms % DAY_MS == 0]
    assert review.in_loop.new.nav.tolist() == ends
    assert review.in_loop.new.equity_usd == marks.equity_usd[-1]
    assert sum(review.in_loop.new.outcomes.values()) == 3

    # the ledger of a rehearsal is gone through again, and what was recorded under the base is not rehearsed twice
    period = period_of(path)
    assert period == review.in_loop.period
    assert recorded_under(path, bundle)
    report = replay_report(path, "main", rules=RULES, in_loop=True)
    assert report.recorded is not None
    assert report.in_loop is not None
    assert report.recorded.nav.tolist() == ends
    np.testing.assert_array_equal(report.in_loop.nav, review.in_loop.old.nav)
    assert report.in_loop.sha256 == review.in_loop.old.sha256


def test_without_a_history_the_days_are_those_of_the_reference_rehearsal(repository: Repository) -> None:
    # KEEP with an unknown equity was REDUCE; now every day is: its age is known to be less than an hour
    change = ("action.yaml", '{any: [{equity_age: "> $patience"}, {equity_age: unknown}]}', '{equity_age: "< 1 hours"}')
    found = reviewed(repository, change, ("action.yaml", *UNUSED))
    history = found.diff.history
    assert found.in_loop is not None
    assert history is not None
    assert (history.source, history.kind, history.days) == ("reference rehearsal", "rehearsal", 3)
    assert history.counts == {"KEEP → REDUCE": 3}
    assert history.sha256 == found.in_loop.old.sha256
    page = found.page.read_text()
    assert "### On the reference rehearsal (rehearsal, 2024-01-01 to 2024-01-03, 3 days" in page
    assert "| 2024-01-01 to 2024-01-03 | 3 | action | KEEP → REDUCE | harder |" in page
    assert page.rstrip().endswith("`stagegate policy review main..change`")


# ── what a change needs: most are changes of the guard, which no rehearsal runs ──


def reviewed(repository: Repository, *edits: tuple[str, str, str]) -> Review:
    for name, old, new in edits:
        repository.edit(name, old, new)
    repository.commit("Change")
    return review_page("main..change", None, Path("review.md"), rules=RULES)


UNUSED = (ACTION[ACTION.index("parameters:") : ACTION.index("bands:")], "")  # the parameter, once nothing reads it
TEST = ("tests/guard.yaml", '"15% 15.0001%"')


def test_what_becomes_softer_ends_with_10(repository: Repository) -> None:
    found = reviewed(repository, ("guard.yaml", '"> 15%"', '"> 16%"'), (*TEST, '"16% 16.0001%"'))
    page = found.page.read_text()
    assert found.exit_code == 10
    assert "**Something becomes softer.**" in page
    assert "Not rehearsed: nothing changes that a rehearsal would feel" in page
    assert found.in_loop is None
    assert not found.plot.exists()
    outcome = "outcome HALT of `guard` changes, which itself asks for 2"
    assert (found.needs.signatures, found.needs.reasons) == (2, (outcome, "something becomes softer"))


def test_an_outcome_needs_what_its_own_effects_ask_for_before_or_after(repository: Repository) -> None:
    # whoever lowers the approvals of PAUSE to none needs those that PAUSE asked for
    lowered = ("guard.yaml", "approvals: 2", "approvals: 0")
    found = reviewed(repository, lowered, ("tests/guard.yaml", "approvals: 2", "approvals: 0"))
    assert found.needs.signatures == 2
    assert found.needs.reasons[0] == "outcome HALT of `guard` changes, which itself asks for 2"


def test_stages_and_configuration_ask_for_their_own(repository: Repository) -> None:
    with revisions(RULES) as source:
        old = source.load("main")
        repository.edit("stages.yaml", "cap: 1000 usd", "cap: 900 usd")
        new = source.working_tree()
        asked = requirements(old, new)
        found = needs(old.bundle, new.bundle, difference(old.bundle, new.bundle), asked)
        assert (found.signatures, found.reasons) == (3, ("the stages change",))
        config = replace(new.bundle, policies=old.bundle.policies, config_sha256="1" * 64, config_text="a: 1")
        found = needs(old.bundle, config, difference(old.bundle, config), asked)
        assert found.signatures == 2
        assert "the configuration or the facts change, on which all policies rest" in found.reasons


def test_a_change_cannot_lower_its_own_bar(repository: Repository) -> None:
    repository.edit("policy_review.yaml", "softer: 2", "softer: 0")
    with revisions(RULES) as source:
        assert requirements(source.load("main"), source.working_tree()).signatures["softer"] == 2
        (repository.folder / "rules/policy_review.yaml").unlink()
        assert requirements(source.working_tree(), source.load("main")).signatures["softer"] == 2
        assert requirements(source.working_tree(), source.working_tree()).reference is None


def test_no_change_in_meaning_needs_nobody_and_rehearses_nothing(repository: Repository) -> None:
    found = reviewed(repository, ("action.yaml", "title: A small policy", "title: A small policy   # of ours"))
    page = found.page.read_text()
    assert (found.exit_code, found.needs.signatures, found.in_loop) == (0, 0, None)
    assert "**No change in meaning.**" in page
    assert "Nothing that is decided changes." in page
    assert not found.plot.exists()


def test_failing_tests_end_with_1_and_are_named(repository: Repository) -> None:
    found = reviewed(repository, ("guard.yaml", '"> 15%"', '"> 16%"'))
    page = found.page.read_text()
    assert found.exit_code == 1
    assert "**1 test fails** of 17." in page
    assert "it halts above 15 %: day 2: outcome: expected HALT, found CLEAR" in page
    assert "The mutation score is not measured" in page


def test_a_bundle_without_tests_proves_nothing(repository: Repository) -> None:
    for path in (repository.folder / "rules/tests").iterdir():
        path.unlink()
    found = reviewed(repository, ("guard.yaml", '"> 15%"', '"> 14%"'))
    assert found.exit_code == 1
    assert "**There are no policy tests.**" in found.page.read_text()


def test_a_wrong_requirement_is_one_clear_message(repository: Repository) -> None:
    repository.git("switch", "--quiet", "main")
    repository.edit("policy_review.yaml", "least: 1", "least: many")
    repository.commit("Wrong")
    with pytest.raises(PolicyError, match=r"main:rules/policy_review\.yaml:2:21: error\[type\]"):
        review_page("main..change", None, Path("review.md"), rules=RULES)


def test_the_page_is_markdown(repository: Repository) -> None:
    del repository
    with pytest.raises(UsageError, match=r"write `--out review\.md`"):
        review_page("main..change", None, Path("review.html"), rules=RULES)


def test_foreign_words_cannot_break_the_page(repository: Repository) -> None:
    hostile = 'name: "<img src=x> | [a](b) *c* `d"'
    found = reviewed(
        repository, ("guard.yaml", '"> 15%"', '"> 14%"'), ("tests/guard.yaml", "name: it halts above 15 %", hostile)
    )
    page = found.page.read_text()
    assert r"- &lt;img src=x> \| \[a\](b) \*c\* \`d: day 1: outcome: expected CLEAR, found HALT" in page
    assert "<img" not in page
    assert md("`code` <b> | x") == "`code` &lt;b> \\| x"
