"""Repeat a task, keep every time, and say what a typical and a bad one was."""

from __future__ import annotations

import math
import resource
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from engine.clock import elapsed_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

Statistic = Literal["p50", "p99"]
Unit = Literal["s", "MB"]


class NotMeasured(Exception):  # noqa: N818 - not an error: a line of the table says why a figure is absent
    """A benchmark that cannot run here; the text says why and what to do about it."""


@dataclass(frozen=True)
class Target:
    """A figure to reach; `limit` in the figure's unit, `source` the issue that asks for it."""

    statistic: Statistic
    limit: float
    source: str


@dataclass(frozen=True)
class Figure:
    """One measured line of the table.

    Attributes:
        what: was done.
        ours: False: what a user would pick instead.
        p50: the median time in seconds, or the one value in MB.
        p99: nearest rank; below 100 repeats the slowest.
        best: the fastest.
        repeats: how many times were kept.
        cpu_s: mean processor time of one repeat, all processes of ours; None where it was not measured.
        unit: of `p50`, `p99`, `best` and the targets.
        targets: figures to reach.
        note: what was and was not done.
    """

    what: str
    ours: bool
    p50: float
    p99: float | None = None
    best: float | None = None
    repeats: int = 1
    cpu_s: float | None = None
    unit: Unit = "s"
    targets: tuple[Target, ...] = ()
    note: str = ""

    def met(self, target: Target) -> bool:
        """Whether the figure reaches a target."""
        found = self.p50 if target.statistic == "p50" or self.p99 is None else self.p99
        return found <= target.limit


@dataclass(frozen=True)
class Times:
    """The wall times of all repeats, in seconds, and the processor time of all of them together."""

    wall_s: tuple[float, ...]
    cpu_s: float
    extra: Mapping[str, float] = field(default_factory=dict)

    def figure(self, what: str, *targets: Target, ours: bool = True, note: str = "", part: int = 1) -> Figure:
        """Return the line of the table; `part` divides every time: of so many things done in one repeat."""
        ordered = sorted(wall / part for wall in self.wall_s)
        return Figure(
            what=what,
            ours=ours,
            p50=percentile(ordered, 50),
            p99=percentile(ordered, 99),
            best=ordered[0],
            repeats=len(ordered),
            cpu_s=self.cpu_s / len(ordered) / part,
            targets=targets,
            note=note,
        )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of values in rising order.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 50), percentile([1.0, 2.0, 3.0, 4.0], 99)
    (2.0, 4.0)
    """
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def timed(
    task: Callable[[], object], *, repeats: int, warm_up: int = 1, other_cpu_s: Callable[[], float] | None = None
) -> Times:
    """Run `task` and keep the wall time of each repeat.

    Args:
        task: what is measured. Its result is dropped outside the measured time.
        repeats: how many times are kept.
        warm_up: how many come before and are not kept.
        other_cpu_s: the processor time of a process that works for the task and goes on living.
    """
    for _ in range(warm_up):
        task()
    wall_s: list[float] = []
    before = processor_s() + (other_cpu_s() if other_cpu_s else 0.0)
    for _ in range(repeats):
        start = elapsed_s()
        kept = task()
        wall_s.append(elapsed_s() - start)
        del kept
    spent = processor_s() + (other_cpu_s() if other_cpu_s else 0.0) - before
    return Times(tuple(wall_s), spent)


def cold(command: Sequence[str], folder: Path, *, repeats: int, exit_codes: Sequence[int] = (0,)) -> Times:
    """Run a command as a new process each time; files are in the operating system's cache after the first, unkept run.

    Raises:
        NotMeasured: it ended with another exit code.
    """
    return timed(lambda: run(command, folder, exit_codes), repeats=repeats)


def run(command: Sequence[str], folder: Path, exit_codes: Sequence[int] = (0,)) -> str:
    """Return what a command prints.

    Raises:
        NotMeasured: it ended with another exit code.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode not in exit_codes:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        shown = " ".join(command[:4])
        raise NotMeasured(f"`{shown} …` ended with exit code {done.returncode}: {said}")
    return done.stdout


def processor_s() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)
