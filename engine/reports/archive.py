"""Reports on disk: written whole or not at all, kept under their day's name, never overwritten."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Problem, StagegateError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROD = Path("prod_reports")
DAILY = PROD / "daily"
_FIRST = 1
_NUMBER = re.compile(r"\.(\d+)")


class ReportError(StagegateError):
    """A report cannot be written."""


@dataclass(frozen=True)
class Archived:
    """Where a report lies.

    Attributes:
        paths: one for each suffix, in the order given.
        is_new: False where the same report was there already and nothing was written.
    """

    paths: tuple[Path, ...]
    is_new: bool


def archive(folder: Path, stem: str, contents: Mapping[str, str]) -> Archived:
    """Write one report in several formats under a name that is still free.

    Args:
        folder: made where it is missing.
        stem: such as ``2022-11-09``; the second report of that name becomes ``2022-11-09.2``.
        contents: suffix (``.md``) -> text. Where the newest report of this name has the same texts, it stands.

    Raises:
        ReportError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        filed = None
        while filed is None:  # another process takes names as well; whoever writes the first format has one
            filed = _filed(folder, stem, contents)
    except OSError as failure:
        raise ReportError(_problem(folder, failure)) from None
    return filed


def _filed(folder: Path, stem: str, contents: Mapping[str, str]) -> Archived | None:
    """Write under the next free name; None: it was taken meanwhile."""
    number = _newest(folder, stem)
    if number is not None:
        paths = _paths(folder, stem, number, contents)
        if all(_text(path) == text for path, text in zip(paths, contents.values(), strict=True)):
            return Archived(paths, is_new=False)
    paths = _paths(folder, stem, _FIRST if number is None else number + 1, contents)
    for path, text in zip(paths, contents.values(), strict=True):
        try:
            write_whole(path, text, replace=False)
        except FileExistsError:
            return None
    return Archived(paths, is_new=True)


def write_whole(path: Path, text: str, *, replace: bool) -> None:
    """Write `path` so that nobody ever sees half of it.

    Args:
        path: its folder exists.
        text: written as UTF-8, newlines as they are.
        replace: False refuses a file that is there.

    Raises:
        OSError: the folder is full or not writable; with `replace` False also FileExistsError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            _put_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _put_new(temporary: Path, path: Path) -> None:
    """Give a whole file its name, unless the name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: the name is looked at first, and taken in a second step
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.replace(path)


def write_report(path: Path, text: str) -> Path:
    """Write a report to a path that belongs to it alone, replacing what an earlier run left there.

    Raises:
        ReportError: the folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text, replace=True)
    except OSError as failure:
        raise ReportError(_problem(path, failure)) from None
    return path


def _newest(folder: Path, stem: str) -> int | None:
    """Return the highest number a report of this name has in any format; None where there is none."""
    numbers = []
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        rest = path.stem.removeprefix(stem)
        if rest == path.stem:
            continue
        match = _NUMBER.fullmatch(rest)
        if not rest or match:
            numbers.append(int(match[1]) if match else _FIRST)
    return max(numbers, default=None)


def _paths(folder: Path, stem: str, number: int, contents: Mapping[str, str]) -> tuple[Path, ...]:
    name = stem if number == _FIRST else f"{stem}.{number}"
    return tuple(folder / f"{name}{suffix}" for suffix in contents)


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _problem(path: Path, failure: OSError) -> Problem:
    return Problem(
        "report-not-written",
        str(failure.filename or path),
        f"the report cannot be written: {failure.strerror}",
        "free the disk, or choose another folder: `--out` where the command has it, else `output.report_dir`",
    )
