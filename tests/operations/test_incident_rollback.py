"""Going back to a whole tag, and the suite on what is deployed: real git checkouts with a suite of one test."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from engine.clock import DAY_MS, SystemClock
from engine.errors import LedgerError, UsageError
from engine.ledger import Ledger, Mark
from engine.ledger.schema import shipped_migrations
from engine.live.release_desk import ReleaseDesk
from engine.operations.incidents.releases import (
    ROLLED_BACK,
    TESTED,
    Release,
    record_tested,
    release_of,
    run_suite,
)
from engine.operations.incidents.rollback import restore_config, roll_back, tags
from engine.reports.terminal_incidents import restored_text, rollback_text
from tests.operations.incident_kit import T0_MS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GREEN, RED = "def test_it() -> None:\n    assert True\n", "def test_it() -> None:\n    assert False\n"
CONFIG = "leverage: 3\n"
GIT = shutil.which("git") or ""


def git(tree: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false")
    command = [GIT, *identity, "-C", str(tree), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(tree: Path, tag: str, *, suite: str = GREEN, config: str = CONFIG, pinned: str | None = None) -> str:
    """Commit a release with its bundle, its frozen configuration and its suite."""
    (tree / "config").mkdir(exist_ok=True)
    (tree / "config/frozen.yaml").write_text(config)
    sha256 = hashlib.sha256(config.encode()).hexdigest() if pinned is None else pinned
    (tree / "config/rules.yaml").write_text(f"bundle: R1\nconfig: {{path: frozen.yaml, sha256: {sha256}}}\n")
    (tree / "test_suite.py").write_text(suite)
    (tree / "engine.py").write_text(f"VERSION = '{tag}'\n")
    (tree / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--allow-empty", "-m", tag)
    git(tree, "tag", "-a", tag, "-m", tag)
    return git(tree, "rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a good release, v1, and the bad one that is deployed, v2."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # its suite needs none, and begins sooner
    folder = tmp_path / "deployed"
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit(folder, "v1")
    commit(folder, "v2", suite=RED)
    return folder


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", create=True) as opened:
        yield opened


def test_R187_R188_R189_A102_the_whole_tag_comes_back_its_config_is_hashed_and_its_suite_is_green(
    tree: Path, ledger: Ledger
) -> None:
    rules, was = tree / "config/rules.yaml", git(tree, "rev-parse", "HEAD")
    assert not run_suite(tree).green
    done = roll_back(tree / "config", rules, "v1", ledger, "alice", T0_MS, suite=True)
    assert (done.before, done.release.commit) == (was, git(tree, "rev-parse", "v1^{commit}"))
    assert (tree / "engine.py").read_text() == "VERSION = 'v1'\n"
    assert done.release.tags == ("v1",)
    assert done.release.config_holds
    assert done.run is not None
    assert (done.run.green, done.run.said.split(" in ")[0]) == (True, "1 passed")
    (event,) = ledger.events(ROLLED_BACK)
    assert json.loads(event.document)["from"] == was
    assert json.loads(ledger.events(TESTED)[0].document)["green"]
    assert [(tag.name, tag.green) for tag in tags(tree, ledger)] in (
        [("v2", None), ("v1", True)],
        [("v1", True), ("v2", None)],  # of one second
    )


def test_R187_who_goes_back_before_the_ledger_was_migrated_is_not_told_to_migrate_it(
    tree: Path, tmp_path: Path
) -> None:
    old, was = tmp_path / "old.db", git(tree, "rev-parse", "HEAD")
    with Ledger.open(old, create=True, migrations=shipped_migrations()[:1]):
        pass
    with pytest.raises(LedgerError, match=r"do not migrate it: .* `git checkout --detach v1` goes back"):
        ReleaseDesk(old, tree / "config/rules.yaml", tree).roll_back("v1", "alice", suite=False)
    assert git(tree, "rev-parse", "HEAD") == was


@pytest.mark.parametrize("name", ["engine.py", "stray.py"])
def test_R188_A103_a_tree_that_is_not_clean_is_refused_and_left_as_it_is(tree: Path, ledger: Ledger, name: str) -> None:
    (tree / name).write_text("VERSION = 'by hand'\n")
    with pytest.raises(UsageError, match=f"the tree is not clean: {name}"):
        roll_back(tree, tree / "config/rules.yaml", "v1", ledger, "alice", T0_MS, suite=True)
    assert (tree / name).read_text() == "VERSION = 'by hand'\n"
    assert git(tree, "describe", "--tags") == "v2"
    assert ledger.events() == ()


@pytest.mark.parametrize("tag", ["v9", "HEAD~1", "master", "--force"])
def test_A103_only_a_tag_is_gone_back_to(tree: Path, ledger: Ledger, tag: str) -> None:
    with pytest.raises(UsageError, match="there is no tag"):
        roll_back(tree, tree / "config/rules.yaml", tag, ledger, "alice", T0_MS, suite=False)
    assert ledger.events() == ()


def test_R185_A102_a_release_whose_config_is_not_the_pinned_one_is_not_tested(tree: Path, ledger: Ledger) -> None:
    commit(tree, "v3", config="leverage: 9\n", pinned="f" * 64)
    commit(tree, "v4")
    done = roll_back(tree, tree / "config/rules.yaml", "v3", ledger, "alice", T0_MS, suite=True)
    assert not done.release.config_holds
    assert done.run is None
    assert ledger.events(TESTED) == ()


def test_R186_A102_an_altered_config_is_restored_hashed_again_and_kept_as_evidence(tree: Path, tmp_path: Path) -> None:
    rules, config, kept_in = tree / "config/rules.yaml", tree / "config/frozen.yaml", tmp_path / "kept"
    assert restore_config(tree, rules, kept_in, T0_MS) == (config, None)
    config.write_text("leverage: 20\n")
    assert not release_of(tree, rules).config_holds
    restored, kept = restore_config(tree, rules, kept_in, T0_MS)
    assert restored.read_text() == CONFIG
    assert kept == kept_in / "20240510_1400_frozen.yaml"
    assert kept.read_text() == "leverage: 20\n"
    assert release_of(tree, rules).config_holds
    config.unlink()
    with pytest.raises(UsageError, match="the frozen configuration cannot be read"):
        release_of(tree, rules)
    assert restore_config(tree, rules, kept_in, T0_MS) == (config, None)
    commit(tree, "v5", config="leverage: 9\n", pinned="f" * 64)
    with pytest.raises(UsageError, match="the bundle pins ffffffff"):
        restore_config(tree, rules, kept_in, T0_MS)


@pytest.mark.parametrize("ignored", [True, False])
def test_what_is_kept_of_an_altered_config_makes_no_tree_dirty_that_is_to_be_rolled_back(
    tree: Path, *, ignored: bool
) -> None:
    if ignored:
        (tree / ".gitignore").write_text("/reports/\n")
        git(tree, "commit", "--quiet", "-am", "ignore reports")
        git(tree, "tag", "v3")
    config = tree / "config/frozen.yaml"
    config.write_text("leverage: 20\n")
    desk = ReleaseDesk(tree / "trading.db", tree / "config/rules.yaml", tree)
    _, kept = desk.restore_config()
    assert kept is not None
    assert kept.read_text() == "leverage: 20\n"
    assert kept.parent == (tree / "reports" if ignored else tree / ".git/kept")
    assert str(kept) in restored_text((config, kept))
    done = desk.roll_back("v1", "alice", suite=False)
    assert done.release.tags == ("v1",)


def test_a_checkout_without_a_ledger_goes_back_unrecorded_and_says_so(tree: Path, tmp_path: Path) -> None:
    desk = ReleaseDesk(tmp_path / "none.db", tree / "config/rules.yaml", tree)
    done = desk.roll_back("v1", "alice", suite=True)
    assert (done.release.tags, done.recorded) == (("v1",), False)
    assert done.run is not None
    assert "there is no ledger here" in rollback_text(done)
    assert not (tmp_path / "none.db").exists()
    with Ledger.open(tmp_path / "none.db", create=True):
        pass
    assert "no ledger" not in rollback_text(desk.roll_back("v2", "alice", suite=False))


def test_a_ledger_from_the_future_stops_a_rollback_and_a_run_of_the_suite_before_they_begin(
    tree: Path, ledger: Ledger
) -> None:
    was = git(tree, "rev-parse", "HEAD")
    ledger.append(Mark("risk", SystemClock().now_ms() + DAY_MS, 100.0, 1.0, 100.0, 1.0, 100.0, 0.0))
    desk = ReleaseDesk(ledger.path, tree / "config/rules.yaml", tree)
    (tree / "test_suite.py").write_text("raise SystemExit('it was run')")
    for call in (lambda: desk.test_fix("alice"), lambda: desk.roll_back("v1", "alice", suite=True)):
        with pytest.raises(UsageError, match="the clock here says"):
            call()
    assert git(tree, "rev-parse", "HEAD") == was
    assert not ledger.events()


def test_R189_a_red_run_is_recorded_as_red_and_a_changed_file_is_told(tree: Path, ledger: Ledger) -> None:
    release = release_of(tree, tree / "config/rules.yaml")
    run = run_suite(tree)
    record_tested(ledger, release, run, "alice", T0_MS)
    said = json.loads(ledger.events(TESTED)[0].document)
    assert (said["green"], said["changed"], said["by"]) == (False, [], "alice")
    (tree / "engine.py").write_text("VERSION = 'by hand'\n")
    assert release_of(tree, tree / "config/rules.yaml").changed == ("engine.py",)


def test_a_release_is_named_by_its_tag_or_by_enough_of_its_commit() -> None:
    release = Release("abcdef0123", ("v1",), (), "a", "a")
    assert [name for name in ("v1", "abcdef0", "abcdef", "", "v") if release.is_named(name)] == ["v1", "abcdef0"]


def test_without_a_checkout_or_a_bundle_it_says_what_to_name(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(UsageError, match="not a git repository"):
        tags(tmp_path, None)
    with pytest.raises(UsageError, match="there is no such file"):
        release_of(tree, tree / "none.yaml")
    (tree / "config/rules.yaml").write_text("bundle: R1\n")
    with pytest.raises(UsageError, match="does not name the frozen configuration"):
        release_of(tree, tree / "config/rules.yaml")
