"""docs/policy-change.md, run: every command block in order, in a copy of the repository, offline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

import cli
from tests.policy_review.conftest import GIT, ROOT

PAGE = ROOT / "docs/policy-change.md"
BLOCK = re.compile(
    r"<!-- (run|shows|shows, with other numbers)(?:: ([^>]*?))? -->\n```(?:bash|text)\n(.*?)```", re.DOTALL
)
ANY_BLOCK = re.compile(r"^```bash$", re.MULTILINE)
LONGEST_S = 300


@dataclass(frozen=True)
class Block:
    kind: str
    about: str
    text: str


def blocks() -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(PAGE.read_text())]


def pattern(line: str, *, exact: bool) -> re.Pattern[str]:
    """A line of the page; unless it is exact, its numbers are those of one market among many."""
    escaped = re.escape(plain(line))
    return re.compile(escaped if exact else re.sub(r"(?:\d|,(?=\d))+", r"[\\d,]+", escaped))


def plain(text: str) -> str:
    """Words in one row: how a line was wrapped or indented is not what a page is about."""
    return " ".join(text.split())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The policies, the configuration and nothing else, committed on `main`; reports are not tracked."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("policies", "config"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".gitignore").write_text("/reports/\n/review.*\n")
    for words in (["init", "--quiet", "--initial-branch", "main"], ["add", "--all"], ["commit", "--quiet", "-m", "R1"]):
        subprocess.run([GIT, *words], cwd=folder, env=environment(folder), check=True)
    return folder


def environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder.parent),
        "LANG": "C.UTF-8",
        **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
           for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.com"))},
    }  # fmt: skip


def test_every_command_of_the_page_does_what_it_says(copy: Path) -> None:
    policy = typer.main.get_command(cli.app).commands["policy"]  # type: ignore[attr-defined]
    missing = {"check", "test", "mutate", "diff", "review"} - set(policy.commands)
    if missing:
        pytest.skip(f"`stagegate policy {' / '.join(sorted(missing))}` is not on the command line yet")
    said = ""
    for block in blocks():
        if block.kind != "run":
            shown = (copy / block.about).read_text() if block.about else said
            for line in block.text.strip().splitlines():
                assert pattern(line, exact=block.kind == "shows").search(plain(shown)), f"no `{line}` in:\n{shown}"
            continue
        if block.about == "ssh-keygen" and shutil.which("ssh-keygen") is None:
            pytest.skip("ssh-keygen is not here: the signatures of the page were not made")
        done = subprocess.run(
            ["/bin/bash", "-e", "-c", block.text],
            cwd=copy, env=environment(copy), capture_output=True, text=True, timeout=LONGEST_S, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert "Traceback" not in said
        expected = int(block.about.removeprefix("exit ")) if block.about.startswith("exit ") else 0
        assert done.returncode == expected, f"{block.text}\n{said}"
    assert (copy / "review.svg").is_file()


def test_no_command_of_the_page_is_left_out() -> None:
    text = PAGE.read_text()
    run = [block for block in blocks() if block.kind == "run"]
    assert len(run) == len(ANY_BLOCK.findall(text)) == 11


def test_the_files_that_the_page_names_are_there() -> None:
    for name in re.findall(r"\]\(\.\./([^)]+)\)", PAGE.read_text()):
        assert (ROOT / name).exists(), name
    named = re.findall(r"`((?:policies|config)/[\w./]+)`", PAGE.read_text())
    assert all((ROOT / name).exists() for name in named)
