"""docs/policy-change.md, run: every command block in order, in a copy of the repository, offline."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.pages.page import ROOT, Shell, blocks, copy_of_project, environment, unmarked

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs/policy-change.md"
RUN = 11


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    copy = copy_of_project(tmp_path / "copy", untracked="/reports/\n/review.*\n")
    shell = Shell(copy, environment(copy))
    assert shell.follow(PAGE) == RUN
    assert (copy / "review.svg").is_file()


def test_no_command_of_the_page_is_left_out() -> None:
    assert unmarked(PAGE) == 0
    assert [block.kind for block in blocks(PAGE)].count("run") == RUN


def test_the_files_that_the_page_names_are_there() -> None:
    for name in re.findall(r"\]\(\.\./([^)]+)\)", PAGE.read_text()):
        assert (ROOT / name).exists(), name
    named = re.findall(r"`((?:policies|config)/[\w./]+)`", PAGE.read_text())
    assert all((ROOT / name).exists() for name in named)
