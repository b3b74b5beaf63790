"""Policies as they are in a file, a bundle or a git revision: ``PATH``, ``REV`` or ``REV:PATH``.

A revision's YAML files are written, byte for byte as git holds them, to a folder of their own that lives as long as
the block that opened it; messages name the revision, not that folder.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine.documents import MAX_BYTES, read_document
from engine.errors import PolicyError, Problem, UsageError
from engine.policy.bundle import Bundle, load_bundle
from engine.policy.load import load_policy, load_vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.policy.difference.compare import Model

WORKING_TREE = "working tree"
TESTS = "tests"  # beside the vocabulary
VOCABULARY = "facts.yaml"  # beside a policy that no bundle names

_YAML = (".yaml", ".yml")
_REGULAR = ("100644", "100755")
_COMMIT_LENGTH = 12


@dataclass(frozen=True)
class Tree:
    """A tree of files.

    Attributes:
        label: a revision as people wrote it, ``working tree``, or empty for files that were named.
        commit: the revision's whole id; empty for files on disk.
        folder: where the files lie.
    """

    label: str
    commit: str
    folder: Path

    @property
    def title(self) -> str:
        """What it is, for a heading: ``main (1a2b3c4d5e6f)``."""
        short = self.commit[:_COMMIT_LENGTH]
        return short if self.commit.startswith(self.label) else f"{self.label} ({short})" if self.commit else self.label


@dataclass(frozen=True)
class Loaded:
    """A model and where it comes from.

    Attributes:
        title: of its source, for a heading.
        model: a bundle, a policy or a vocabulary.
        tree: to which its files belong.
        path: of its file.
    """

    title: str
    model: Model = field(repr=False)
    tree: Tree
    path: Path

    @property
    def bundle(self) -> Bundle:
        """The model as a bundle.

        Raises:
            UsageError: it is none.
        """
        if not isinstance(self.model, Bundle):
            kind = type(self.model).__name__.lower()
            raise UsageError(Problem("bundle", self.title, f"this is a {kind}, not a bundle", "name a bundle"))
        return self.model

    @property
    def tests(self) -> Path:
        """The folder of the bundle's policy tests; it may not exist."""
        return Path(self.bundle.vocabulary.source).parent / TESTS

    @property
    def manifest_folder(self) -> str:
        """The folder in which ``sha256sum --check`` reads the bundle's manifest, from the top of the tree."""
        return Path(os.path.relpath(self.bundle.folder, Path.cwd() / self.tree.folder)).as_posix()


class Revisions:
    """Loads models for as long as its block is open; see `revisions`."""

    def __init__(self, rules: Path, scratch: Path) -> None:
        self._rules = rules
        self._scratch = scratch
        self._trees: dict[str, Tree] = {}

    def load(self, spec: str) -> Loaded:
        """Return what ``PATH``, ``REV`` or ``REV:PATH`` names; ``REV`` alone is the bundle at that revision.

        Raises:
            UsageError: it names neither a file nor a revision, or git cannot say.
            PolicyError: what is there is wrong, with every mistake.
        """
        if Path(spec).is_file():
            return self._loaded(spec, Tree("", "", Path()), Path(spec))
        if Path(spec).is_dir():
            raise UsageError(Problem("revision", spec, "this is a folder", "name a file in it, or a git revision"))
        revision, colon, path = spec.partition(":")
        tree = self._tree(revision)
        name = path if colon else in_repository(self._rules)
        return self._loaded(f"{tree.title}:{name}" if colon else tree.title, tree, tree.folder / name)

    def working_tree(self) -> Loaded:
        """Return the bundle as it lies on disk; errors as `load`."""
        tree = Tree(WORKING_TREE, "", Path(_git("rev-parse", "--show-toplevel").decode().strip()))
        return self._loaded(WORKING_TREE, tree, self._rules)

    def pair(self, text: str) -> tuple[Loaded, Loaded]:
        """Return the two ends of ``BASE..HEAD``, ``BASE...HEAD`` (from their merge base) or ``BASE`` (working tree).

        Raises:
            UsageError, PolicyError: as `load`.
        """
        base, dots, head = text.partition("...") if "..." in text else text.partition("..")
        if not base or (dots and not head):
            raise UsageError(Problem("range", text, "this is no range of revisions", "write `main..HEAD`"))
        new = self.load(head) if dots else self.working_tree()
        if dots == "...":
            base = self._merge_base(base, head)
        return self.load(base), new

    def _merge_base(self, base: str, head: str) -> str:
        commits = [self._tree(revision).commit for revision in (base, head)]
        found = _run("merge-base", *commits)
        if found.returncode:
            raise UsageError(Problem("range", f"{base}...{head}", "the two have no commit in common", "write `..`"))
        return found.stdout.decode().strip()[:_COMMIT_LENGTH]

    def _tree(self, revision: str) -> Tree:
        if revision not in self._trees:
            commit = commit_of(revision)
            folder = self._scratch / str(len(self._trees))
            _extract(commit, folder)
            self._trees[revision] = Tree(revision, commit, folder)
        return self._trees[revision]

    def _loaded(self, title: str, tree: Tree, path: Path) -> Loaded:
        rules = tree.folder / in_repository(self._rules) if tree.commit else self._rules
        with named(tree):
            return Loaded(title, self._model(path, rules, past=bool(tree.commit)), tree, path)

    @staticmethod
    def _model(path: Path, rules: Path, *, past: bool) -> Model:
        data = read_document(path, error=PolicyError).data
        keys = data if isinstance(data, dict) else {}
        if "bundle" in keys:
            return load_bundle(path, past=past)
        if "policy" not in keys:
            return load_vocabulary(path)
        beside = path.parent / VOCABULARY
        return load_policy(
            path, load_vocabulary(beside) if beside.is_file() else load_bundle(rules, past=past).vocabulary
        )


@contextmanager
def revisions(rules: Path) -> Iterator[Revisions]:
    """Open revisions of the repository around the current folder.

    Args:
        rules: the bundle that a revision alone stands for.
    """
    with TemporaryDirectory(prefix="stagegate-") as scratch:
        yield Revisions(rules, Path(scratch))


def in_repository(path: Path) -> str:
    """Return a path as git names it, from the top of the repository.

    Raises:
        UsageError: it lies outside, or here is no repository.
    """
    top = Path(_git("rev-parse", "--show-toplevel").decode().strip()).resolve()
    try:
        return path.resolve().relative_to(top).as_posix()
    except ValueError:
        problem = "this file lies outside the git repository"
        raise UsageError(Problem("revision", str(path), problem, "name a bundle inside it with --rules")) from None


def commit_of(revision: str) -> str:
    """Return the whole id of a revision's commit.

    Raises:
        UsageError: git knows no such revision.
    """
    found = (
        None
        if revision.startswith("-") or not revision
        else _run("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    )
    if found is not None and found.returncode == 0:
        return found.stdout.decode().strip()
    _git("rev-parse", "--git-dir")  # no repository at all is another mistake
    help_ = "fetch it first (in CI: check out with `fetch-depth: 0`), or name a file"
    raise UsageError(Problem("revision", revision, f"`{revision}` is neither a file nor a git revision", help_))


def _extract(commit: str, folder: Path) -> None:
    """Write the YAML files of a commit, byte for byte."""
    listing = _git("ls-tree", "-r", "-l", "-z", "--full-tree", commit).decode(errors="surrogateescape")
    wanted = []
    for line in filter(None, listing.split("\0")):
        about, name = line.split("\t", 1)
        mode, _, blob, length = about.split()
        if mode in _REGULAR and name.endswith(_YAML) and int(length) <= MAX_BYTES:
            wanted.append((blob, name))
    contents = _git("cat-file", "--batch", given="".join(f"{blob}\n" for blob, _ in wanted).encode())
    start = 0
    for _, name in wanted:
        end = contents.index(b"\n", start)
        size = int(contents[start:end].split()[-1])
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[end + 1 : end + 1 + size])
        start = end + 1 + size + 1


@contextmanager
def named(tree: Tree) -> Iterator[None]:
    """Name the revision, not the folder its files were written to, in mistakes that are found within the block."""
    try:
        yield
    except PolicyError as error:
        if not tree.commit:
            raise

        def said(text: str) -> str:
            return text.replace(f"{tree.folder}{os.sep}", f"{tree.label}:")

        raise PolicyError(
            [Problem(one.code, said(one.where), said(one.problem), said(one.help)) for one in error.problems]
        ) from None


def _git(*arguments: str, given: bytes = b"") -> bytes:
    done = _run(*arguments, given=given)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        text = said[-1].removeprefix("fatal: ") if said else f"`git {arguments[0]}` failed"
        raise UsageError(
            Problem("git", "git", text, "run it inside the repository, or name files instead of revisions")
        )
    return done.stdout


def _run(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], input=given, capture_output=True, check=False)  # noqa: S603, S607 - own arguments, the git of this machine
    except OSError as failure:
        problem = f"git cannot be run: {failure.strerror}"
        raise UsageError(Problem("git", "git", problem, "install git, or name files instead of revisions")) from None
