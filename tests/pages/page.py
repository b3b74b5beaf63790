"""Pages of the documentation, run: their command blocks in order, in a copy of the project, and what they say shows.

A block of commands stands under a comment: ``<!-- run -->``, ``<!-- run: exit 10 -->`` for the exit code of its last
command, ``<!-- run: ssh-keygen -->`` where a program is needed that may be absent. What follows under
``<!-- shows -->`` must be in what was printed last, line by line; ``<!-- shows, with other numbers: FILE -->`` leaves
the numbers open, and what stands at ``…``, and looks into a file. ``<!-- not run: WHY -->`` is for what needs another
machine, and ``<!-- repeats -->`` for commands that are run elsewhere on the page.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
GIT = shutil.which("git") or "git"
LONGEST_S = 300

_KINDS = "run|not run|repeats|shows, with other numbers|shows"
_BLOCK = re.compile(rf"<!-- ({_KINDS})(?:: ([^>]*?))? -->\n```(?:bash|text)\n(.*?)```", re.DOTALL)
_ANY_BASH = re.compile(r"^```(?:bash|sh|console)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One block: ``run``, ``not run``, or what must show; `about` says under which conditions, or where."""

    kind: str
    about: tuple[str, ...]
    text: str

    @property
    def exit_code(self) -> int:
        """Of its last command."""
        return next((int(one.removeprefix("exit ")) for one in self.about if one.startswith("exit ")), 0)

    @property
    def program(self) -> str:
        """Which program it needs beside those of every machine; empty: none."""
        return next((one for one in self.about if not one.startswith("exit ") and one != QUICK), "")

    @property
    def is_quick(self) -> bool:
        """Whether it belongs to the short path."""
        return QUICK in self.about


QUICK = "quick"


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in their order."""
    found = _BLOCK.findall(page.read_text())
    return [Block(kind, tuple(one.strip() for one in about.split(",") if one.strip()), text)
            for kind, about, text in found]  # fmt: skip


def unmarked(page: Path) -> int:
    """Return how many command blocks of a page nobody runs, and nobody says why."""
    marked = [block for block in blocks(page) if block.kind in {"run", "not run", "repeats"}]
    return len(_ANY_BASH.findall(page.read_text())) - len(marked)


def pattern(line: str, *, exact: bool) -> re.Pattern[str]:
    """A line of the page; unless it is exact, its numbers are those of one market among many, and ``…`` is anything."""
    escaped = re.escape(plain(line))
    if exact:
        return re.compile(escaped)
    return re.compile(re.sub(r"(?:\d|,(?=\d))+", r"[\\d,]+", escaped).replace("…", ".*?"))


def plain(text: str) -> str:
    """Words in one row: how a line was wrapped or indented is not what a page is about."""
    return " ".join(text.split())


def environment(folder: Path, *more: Path) -> dict[str, str]:
    """What a command sees: this project's commands, and nothing of whoever runs the tests."""
    return {
        "PATH": os.pathsep.join(map(str, (*more, Path(sys.executable).parent, "/usr/local/bin", "/usr/bin", "/bin"))),
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder.parent),
        "LANG": "C.UTF-8",
        **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
           for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))},
    }  # fmt: skip


def copy_of_project(folder: Path, *, untracked: str) -> Path:
    """The policies, the configuration and nothing else, committed on `main`; `untracked` is its ``.gitignore``."""
    folder.mkdir()
    for name in ("policies", "config"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".gitignore").write_text(untracked)
    for words in (["init", "--quiet", "--initial-branch", "main"], ["add", "--all"], ["commit", "--quiet", "-m", "R1"]):
        subprocess.run([GIT, *words], cwd=folder, env=environment(folder), check=True)
    return folder


@dataclass
class Shell:
    """A reader's terminal: what one block exports, and the folder it changes to, the next one finds."""

    folder: Path
    environ: Mapping[str, str]
    said: str = ""
    _sessions: list[int] = field(default_factory=list)

    def run(self, block: Block) -> None:
        """Run a block; its last command must end as the page says, and nothing may end in a traceback."""
        kept = self.folder.parent / "exported.sh"
        text = f"set -e; [ ! -f {kept} ] || . {kept}; trap 'export -p > {kept}' EXIT\n{block.text}"
        process = subprocess.Popen(
            ["/bin/bash", "-c", text],
            cwd=self.folder, env=dict(self.environ), text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._sessions.append(process.pid)
        self.said, _ = process.communicate(timeout=LONGEST_S)
        assert "Traceback" not in self.said, f"{block.text}\n{self.said}"
        assert process.returncode == block.exit_code, f"{block.text}\n{self.said}\nexit {process.returncode}"

    def show(self, block: Block) -> None:
        """Look for what the page shows in what was said last, or in the file that it names."""
        shown = (self.folder / block.about[0]).read_text() if block.about else self.said
        for line in block.text.strip().splitlines():
            found = pattern(line, exact=block.kind == "shows").search(plain(shown))
            assert found, f"no `{line}` in:\n{shown}"

    def follow(self, page: Path, *, quick: bool = False) -> int:
        """Run a page from top to bottom, or its short path; return how many blocks were run."""
        count, ran = 0, True
        for block in blocks(page):
            if block.kind == "run":
                ran = block.is_quick or not quick
                if ran and block.program and shutil.which(block.program, path=self.environ["PATH"]) is None:
                    pytest.skip(f"{block.program} is not here: the page from {block.text[:30]!r} was not run")
                if ran:
                    self.run(block)
                    count += 1
            elif block.kind.startswith("shows") and ran:
                self.show(block)
        return count

    def close(self) -> None:
        """End what the blocks left running."""
        for session in self._sessions:
            with suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)


def opened(folder: Path, environ: Mapping[str, str]) -> Iterator[Shell]:
    """Yield a terminal in a folder, and end what it left running."""
    shell = Shell(folder, environ)
    try:
        yield shell
    finally:
        shell.close()
