"""docs/operator-manual.md, run: every command block in order, at a simulated venue, offline."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.pages.page import ROOT, Shell, copy_of_project, environment, opened, unmarked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = ROOT / "docs/operator-manual.md"
UNTRACKED = "/reports/\n/state/\n/keys/\n/config/allowed_signers\n/*.txt\n/*.pid\n"

SYNCHRONISED = """#!/bin/sh
echo NTPSynchronized=yes
"""
"""What `timedatectl` says on a server; a container, in which tests run, has no clock of its own to keep."""

whole = pytest.mark.skipif(os.environ.get("STAGEGATE_MANUAL") != "whole", reason="`make manual` runs the whole manual")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "timedatectl").write_text(SYNCHRONISED)
    (programs / "timedatectl").chmod(0o755)
    copy = copy_of_project(tmp_path / "practice", untracked=UNTRACKED)
    yield from opened(copy, environment(copy, programs))


def test_R239_no_command_of_the_manual_is_left_out() -> None:
    assert unmarked(PAGE) == 0


@whole
def test_R234_every_command_of_the_manual_runs_as_printed(shell: Shell) -> None:
    shell.follow(PAGE)
