"""Going back to the last good release (SOP §5.3): the whole tag, never a folder; and the frozen configuration."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Problem, UsageError
from engine.ledger import Event
from engine.operations.incidents.evidence import stamp
from engine.operations.incidents.releases import (
    ROLLED_BACK,
    TESTED,
    SuiteRun,
    git,
    pinned_config,
    record_tested,
    release_of,
    run_suite,
)
from engine.verdict import canonical

if TYPE_CHECKING:
    from engine.ledger import Ledger
    from engine.operations.incidents.releases import Release


@dataclass(frozen=True)
class Tag:
    """A release that one can go back to; `green` tells of its last run of the suite, None: none is on record."""

    name: str
    commit: str
    green: bool | None


@dataclass(frozen=True)
class RolledBack:
    """What came of it.

    Attributes:
        before: the commit where it was.
        release: where it is.
        run: its tests; None where they were not run.
        recorded: whether it stands in a ledger.
    """

    before: str
    release: Release
    run: SuiteRun | None
    recorded: bool = True


def tags(tree: Path, ledger: Ledger | None) -> tuple[Tag, ...]:
    """Return the tags of a checkout, newest first, with what the ledger knows of their tests (R187).

    Raises:
        UsageError: no git checkout.
        LedgerError: the ledger cannot be read.
    """
    runs = {event.subject: json.loads(event.document) for event in (ledger.events(TESTED) if ledger else ())}
    listed = git(
        tree,
        "for-each-ref",
        "refs/tags",
        "--sort=-creatordate",
        "--format=%(refname:short) %(objectname) %(*objectname)",
    )
    found = []
    for line in listed.splitlines():
        name, *commits = line.split()
        run = runs.get(commits[-1])
        found.append(Tag(name, commits[-1], None if run is None else run["green"] and run["config_holds"]))
    return tuple(found)


def roll_back(
    tree: Path, rules: Path, tag: str, ledger: Ledger | None, by: str, now_ms: int, *, suite: bool
) -> RolledBack:
    """Check a whole tag out, hash the frozen configuration again, run the suite, and record all of it.

    Args:
        tree: the checkout that is deployed.
        rules: the bundle in it.
        tag: to go back to.
        ledger: open for writing; None: there is none, and nothing is recorded.
        by: who does it.
        now_ms: the time.
        suite: run the tests; without them no restart follows.

    Raises:
        UsageError: the tree is not clean, or there is no such tag: nothing was changed. Or the bundle or configuration
            of that release cannot be read.
        LedgerError: the ledger cannot be written.
    """
    root = _root(tree)
    before = git(root, "rev-parse", "HEAD").strip()
    _demand_clean(root)
    if tag not in {one.name for one in tags(root, None)}:
        raise UsageError(Problem("no-tag", str(root), f"there is no tag `{tag}`", "`stagegate rollback` lists them"))
    git(root, "checkout", "--quiet", "--detach", f"refs/tags/{tag}")
    commit = git(root, "rev-parse", "HEAD").strip()
    document = canonical({"from": before, "to": commit, "tag": tag, "by": by})
    if ledger is not None:
        ledger.append(Event(f"{ROLLED_BACK}-{now_ms}", now_ms, ROLLED_BACK, commit, document))
    release = release_of(root, rules)
    run = run_suite(root) if suite and release.config_holds else None
    if run is not None and ledger is not None:
        record_tested(ledger, release, run, by, now_ms)
    return RolledBack(before, release, run, ledger is not None)


def restore_config(tree: Path, rules: Path, keep_in: Path, now_ms: int) -> tuple[Path, Path | None]:
    """Put the frozen configuration back as committed, and hash it again (R186, A102); what stood there is kept.

    Args:
        tree: the checkout that is deployed.
        rules: the bundle in it.
        keep_in: where it is kept; where git would see it there, in the checkout's `reports`, or in git's own folder: a
            tree that it made dirty could not be rolled back.
        now_ms: the time.

    Returns:
        The configuration, and where the altered one was kept; None where it was as pinned.

    Raises:
        UsageError: it cannot be restored, or what is committed is not what is pinned either.
    """
    root = _root(tree)
    config, pinned = pinned_config(rules)
    if _sha256(config) == pinned:
        return config, None
    kept = None
    if config.exists():
        kept = _unseen(root, keep_in, f"{stamp(now_ms)}_{config.name}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(config.read_bytes())
    git(root, "checkout", "--quiet", "HEAD", "--", str(config.resolve()))
    if _sha256(config) != pinned:
        problem = f"what is committed has the SHA-256 {_sha256(config)[:8]}…, the bundle pins {pinned[:8]}…"
        raise UsageError(
            Problem("config-hash", str(config), problem, "`stagegate rollback --to TAG`: the whole release")
        )
    return config, kept


def _unseen(root: Path, folder: Path, name: str) -> Path:
    """Return where a file of this name makes no tree dirty, in a folder where that can be."""
    for path in (folder / name, root / "reports" / name):
        if not path.resolve().is_relative_to(root.resolve()) or _is_ignored(root, path.resolve()):
            return path
    return root / git(root, "rev-parse", "--git-path", "kept").strip() / name


def _is_ignored(root: Path, path: Path) -> bool:
    try:
        git(root, "check-ignore", "--quiet", str(path))
    except UsageError:
        return False
    return True


def _root(tree: Path) -> Path:
    return Path(git(tree, "rev-parse", "--show-toplevel").strip())


def _demand_clean(root: Path) -> None:
    changed = [line[3:] for line in git(root, "status", "--porcelain").splitlines()]
    if changed:
        problem = f"the tree is not clean: {', '.join(changed[:3])}{' …' if len(changed) > 3 else ''}"  # noqa: PLR2004 - so many are told
        help_ = "commit, or move away what is there; a rollback takes the whole tag or nothing"
        raise UsageError(Problem("dirty-tree", str(root), problem, help_))


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
