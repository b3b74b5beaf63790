"""Policies out of git: byte for byte, and mistakes named by the revision they are in."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.errors import PolicyError, UsageError
from engine.policy.bundle import Bundle
from engine.policy.model import Policy, Vocabulary
from engine.revisions import Revisions, revisions
from tests.policy_review.conftest import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.policy_review.conftest import Repository


@pytest.fixture
def source(repository: Repository) -> Iterator[Revisions]:
    del repository
    with revisions(RULES) as opened:
        yield opened


def test_a_revision_is_the_bundle_as_git_holds_it(repository: Repository, source: Revisions) -> None:
    repository.edit("facts.yaml", '"12%"', '"9%"')
    loaded = source.load("main")
    assert loaded.title == f"main ({repository.git('rev-parse', 'main')[:12]})"
    assert loaded.bundle.vocabulary.parameters["stop"].value == "12%"
    assert source.load(str(RULES)).bundle.vocabulary.parameters["stop"].value == "9%"
    assert source.working_tree().title == "working tree"
    assert source.working_tree().bundle.vocabulary.parameters["stop"].value == "9%"


def test_line_endings_are_git_s_own_whatever_a_checkout_would_write(repository: Repository, source: Revisions) -> None:
    path = repository.folder / "rules/stages.yaml"
    raw = path.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(raw)
    repository.git("config", "core.autocrlf", "false")
    repository.commit("Windows")
    repository.git("config", "core.autocrlf", "true")
    assert source.load("HEAD").bundle.policies["stages"].sha256 == hashlib.sha256(raw).hexdigest()


def test_a_path_in_a_revision_is_what_that_file_is(source: Revisions) -> None:
    kinds = {
        name: type(source.load(f"main:rules/{name}").model) for name in ("bundle.yaml", "action.yaml", "facts.yaml")
    }
    assert list(kinds.values()) == [Bundle, Policy, Vocabulary]
    assert isinstance(source.load("rules/action.yaml").model, Policy)


def test_a_policy_alone_is_read_with_the_vocabulary_of_the_bundle(
    repository: Repository, source: Revisions, tmp_path: Path
) -> None:
    alone = tmp_path / "mine.yaml"
    alone.write_text((repository.folder / "rules/action.yaml").read_text())
    model = source.load(str(alone)).model
    assert isinstance(model, Policy)
    assert model.vocabulary.name == "small"


def test_ranges(repository: Repository, source: Revisions) -> None:
    start = repository.git("rev-parse", "main")
    repository.edit("action.yaml", "< 8%", "< 7%")
    repository.commit("Greener")
    repository.git("switch", "--quiet", "main")
    repository.edit("action.yaml", "title: A small policy", "title: Elsewhere")
    repository.commit("Main went on")
    two, three = source.pair("main..change"), source.pair("main...change")
    assert [one.bundle.policies["action"].title for one in two] == ["Elsewhere", "A small policy"]
    assert [one.bundle.policies["action"].title for one in three] == ["A small policy", "A small policy"]
    assert three[0].title == start[:12]
    base, now = source.pair("main")
    assert (base.title.partition(" ")[0], now.title) == ("main", "working tree")


@pytest.mark.parametrize("text", ["..HEAD", "main..", "...", ""])
def test_half_a_range_is_refused(source: Revisions, text: str) -> None:
    with pytest.raises(UsageError, match="this is no range of revisions"):
        source.pair(text)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("mian", "`mian` is neither a file nor a git revision"),
        ("--upload-pack=x", "`--upload-pack=x` is neither a file nor a git revision"),
        ("rules", "this is a folder"),
        ("main:rules/none.yaml", "there is no such file"),
    ],
)
def test_what_is_not_there_is_said(source: Revisions, spec: str, said: str) -> None:
    with pytest.raises((UsageError, PolicyError)) as caught:
        source.load(spec)
    assert said in str(caught.value)


def test_a_mistake_is_named_by_its_revision_not_by_a_folder(repository: Repository, source: Revisions) -> None:
    repository.edit("action.yaml", '{drawdown: "> $stop"}', '{draw: "> 12%"}')
    repository.commit("Wrong")
    with pytest.raises(PolicyError) as caught:
        source.load("HEAD")
    (problem,) = caught.value.problems
    assert problem.where.startswith("HEAD:rules/action.yaml:")
    assert "stagegate-" not in str(caught.value)


def test_outside_of_a_repository_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with revisions(RULES) as source, pytest.raises(UsageError) as caught:
        source.load("main")
    assert "not a git repository" in str(caught.value)


def test_without_git_files_still_work(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with revisions(RULES) as source:
        assert source.load("rules/bundle.yaml").bundle.name == "small"
        with pytest.raises(UsageError, match="git cannot be run"):
            source.load("main")
    del repository


def test_nothing_stays_behind(repository: Repository) -> None:
    with revisions(RULES) as source:
        folder = source.load("main").tree.folder
        assert (folder / "rules/action.yaml").is_file()
    assert not folder.exists()
    del repository


def test_a_link_in_a_revision_leads_nowhere(repository: Repository, source: Revisions) -> None:
    Path(repository.folder / "rules/stages.yaml").unlink()
    Path(repository.folder / "rules/stages.yaml").symlink_to("/etc/hostname")
    repository.commit("A link")
    with pytest.raises(PolicyError, match="there is no file"):
        source.load("HEAD")


def test_the_manifest_is_what_sha256sum_checks(repository: Repository, source: Revisions) -> None:
    loaded = source.load("main")
    lines = loaded.bundle.manifest.splitlines()
    assert [line.split("  ")[1] for line in lines] == [
        f"{name}.yaml" for name in ("action", "bundle", "config", "facts", "guard", "stages")
    ]
    assert loaded.manifest_folder == source.working_tree().manifest_folder == "rules"
    for line in lines:
        sha256, name = line.split("  ")
        assert hashlib.sha256((repository.folder / "rules" / name).read_bytes()).hexdigest() == sha256
    assert source.working_tree().bundle.digest == loaded.bundle.digest
