"""The release that is deployed: which commit, whether its tree is clean, its frozen configuration and its tests.

A fix, or a rollback, counts once the whole suite was green on a clean tree with the pinned configuration (A102–A104);
that run is an event of the ledger.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.documents import read_document
from engine.errors import Problem, UsageError
from engine.ledger import Event, sha256_of
from engine.verdict import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.ledger import Ledger
    from engine.operations.incidents.book import Incident

TESTED, ROLLED_BACK = "release_tested", "rolled_back"
"""The kinds of the events; their subject is the commit."""

SUITE = ("-m", "pytest", "-x", "-q", "--tb=short")
"""SOP §5.3, the whole suite."""

_ENOUGH = 7  # digits of a commit that name it


@dataclass(frozen=True)
class Release:
    """What lies in a tree.

    Attributes:
        commit: of HEAD.
        tags: that point at it.
        changed: files that are not as committed, untracked ones included.
        config_sha256: of the frozen configuration, as found.
        pinned_sha256: as the bundle pins it.
    """

    commit: str
    tags: tuple[str, ...]
    changed: tuple[str, ...]
    config_sha256: str
    pinned_sha256: str

    @property
    def config_holds(self) -> bool:
        """Whether the frozen configuration is the one that is pinned (R185)."""
        return bool(self.pinned_sha256) and self.config_sha256 == self.pinned_sha256

    def is_named(self, name: str) -> bool:
        """Return whether a tag, or a commit or its beginning, names it."""
        return name in self.tags or (len(name) >= _ENOUGH and self.commit.startswith(name))


@dataclass(frozen=True)
class SuiteRun:
    """One run of the whole suite: green or not, and its last words."""

    green: bool
    said: str


def git(tree: Path, *arguments: str) -> str:
    """Return what git says.

    Raises:
        UsageError: there is no git, the tree is none of it, or it refuses.
    """
    program = shutil.which("git")
    if program is None:
        raise UsageError(Problem("no-git", str(tree), "`git` is not installed", "install it"))
    command: Sequence[str] = (program, "-C", str(tree), *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed program, no shell
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "git failed").splitlines()[0]
        help_ = "run it in the checkout that is deployed, or name it with `--tree`"
        raise UsageError(Problem("git", str(tree), said, help_))
    return done.stdout


def release_of(tree: Path, rules: Path) -> Release:
    """Return what lies in a checkout.

    Args:
        tree: the checkout, or a folder in it.
        rules: the bundle, which pins the frozen configuration.

    Raises:
        UsageError: no git checkout, or the bundle or the configuration cannot be read.
    """
    commit = git(tree, "rev-parse", "HEAD").strip()
    tags = tuple(git(tree, "tag", "--points-at", "HEAD").split())
    changed = tuple(line[3:] for line in git(tree, "status", "--porcelain").splitlines())
    config, pinned = pinned_config(rules)
    try:
        found = hashlib.sha256(config.read_bytes()).hexdigest()
    except OSError as error:
        problem = f"the frozen configuration cannot be read: {error.strerror or error}"
        raise UsageError(Problem("no-config", str(config), problem, "`stagegate rollback --config`")) from None
    return Release(commit, tags, changed, found, pinned)


def pinned_config(rules: Path) -> tuple[Path, str]:
    """Return the frozen configuration that a bundle names, and the SHA-256 it pins; no more of the bundle is read.

    Raises:
        UsageError: the bundle cannot be read, or does not name one.
    """
    document = read_document(rules, error=UsageError)
    try:
        block = document.data["config"]
        return rules.parent / str(block["path"]), str(block["sha256"] or "")
    except (KeyError, TypeError):
        problem = "it does not name the frozen configuration"
        raise UsageError(Problem("no-config", str(rules), problem, "write `config: {path: …, sha256: …}`")) from None


def run_suite(tree: Path) -> SuiteRun:
    """Run the whole suite of a tree with this interpreter, and wait for its end."""
    command = (sys.executable, *SUITE)
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed program
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return SuiteRun(done.returncode == 0, said[-1].strip("= ") if said else f"exit code {done.returncode}")


def record_tested(ledger: Ledger, release: Release, run: SuiteRun, by: str, now_ms: int) -> None:
    """Record a run of the suite on a release, whatever it said.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    document = canonical({**asdict(release), "config_holds": release.config_holds, **asdict(run), "by": by})
    name = f"{TESTED}-{now_ms}-{sha256_of(document)[:6]}"
    ledger.append(Event(name, now_ms, TESTED, release.commit, document))


def fix_tested(ledger: Ledger, incident: Incident, release: str) -> bool:
    """Return whether the last run of the suite after an incident was green, whole and of this release (R178, A104).

    Args:
        ledger: where runs are recorded.
        incident: only what was run after it counts.
        release: the tag or commit that mends it.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    runs = ledger.events(TESTED, from_ms=incident.opened_ms)
    if not runs or not release:
        return False
    said: dict[str, Any] = json.loads(runs[-1].document)
    deployed = Release(
        said["commit"], tuple(said["tags"]), tuple(said["changed"]), said["config_sha256"], said["pinned_sha256"]
    )
    return bool(said["green"]) and deployed.config_holds and not deployed.changed and deployed.is_named(release)
