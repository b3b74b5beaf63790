"""What is read of the machine: its interpreter, its packages, and what a few programs say. Tests give recorded ones."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

PACKAGE = "stagegate"
LOCK = Path(__file__).resolve().parents[2] / "locks" / "runtime.lock"
"""What a release was tested with."""

NOT_INSTALLED, NO_ANSWER = 127, 124
"""The exit codes that a shell and `timeout` give for such a program."""

_PATIENCE_S = 3.0


@dataclass(frozen=True)
class Said:
    """What a program said: its exit code, and both of its outputs."""

    code: int
    out: str
    err: str = ""

    @property
    def why(self) -> str:
        """Why it failed, in one line."""
        lines = (self.err or self.out).strip().splitlines()
        return lines[0].strip() if lines else f"exit code {self.code}"


async def run_program(command: Sequence[str]) -> Said:
    """Return what a program says; one that is not there or does not come back is an exit code like any other."""
    return await asyncio.to_thread(_run, command)


def _run(command: Sequence[str]) -> Said:
    environment = {**os.environ, "LC_ALL": "C"}  # its words are read
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, no shell
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return Said(NO_ANSWER, "", f"no answer within {_PATIENCE_S:g} s")
    except FileNotFoundError:
        return Said(NOT_INSTALLED, "", "not installed")
    except OSError as error:
        return Said(NOT_INSTALLED, "", (error.strerror or str(error)).lower())
    return Said(done.returncode, done.stdout, done.stderr)


def installed_packages() -> dict[str, str]:
    """Return name -> version of what this interpreter can import, names as packages wrote them."""
    return {found.name: found.version for found in importlib.metadata.distributions() if found.name}


def declared_python() -> str:
    """Return which interpreters this package declares to support, such as ``>=3.11,<3.13``; empty where unknown."""
    try:
        return str(importlib.metadata.metadata(PACKAGE).json.get("requires_python", ""))
    except importlib.metadata.PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class Machine:
    """The machine as it is read.

    Attributes:
        version: of the interpreter, such as ``3.11.7``.
        prefix: where this environment's packages lie.
        base_prefix: where the interpreter's own lie; the same where no virtual environment is active.
        declared: which interpreters are supported; None: reads this package's metadata.
        packages: name -> version; None: reads what is installed.
        lock: of the packages.
        run: says what a program says.
    """

    version: str = ".".join(map(str, sys.version_info[:3]))
    prefix: str = sys.prefix
    base_prefix: str = sys.base_prefix
    declared: str | None = None
    packages: Mapping[str, str] | None = None
    lock: Path = LOCK
    run: Callable[[Sequence[str]], Awaitable[Said]] = field(default=run_program)
