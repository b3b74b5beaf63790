"""docs/operator-manual.md, run: every command block in order, at a simulated venue, offline."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.pages.page import ROOT, Shell, blocks, copy_of_project, environment, opened, unmarked

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


def test_no_command_of_the_manual_is_left_out() -> None:
    assert unmarked(PAGE) == 0


@pytest.mark.requirement("R238")
def test_R234_the_short_path_of_the_manual_practice_venue_checks_and_the_card(shell: Shell) -> None:
    """The whole takes a minute of CPU: `make manual`."""
    assert shell.follow(PAGE, quick=True) == len([block for block in blocks(PAGE) if block.is_quick])
    assert "FLAT, verified" in shell.said


@whole
@pytest.mark.requirement("R235")
@pytest.mark.requirement("R236")
@pytest.mark.requirement("R237")
@pytest.mark.requirement("R238")
@pytest.mark.requirement("R239")
def test_R234_every_command_of_the_manual_runs_as_printed(shell: Shell) -> None:
    shell.follow(PAGE)
