"""The machine that the figures are of, and what else it did meanwhile."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.harness import NotMeasured, timed

PACKAGES = ("numpy", "pandas", "durable-rules", "sqlite-utils", "vectorbt", "numba", "backtesting", "zen-engine")

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_IDLE_COLUMNS = (3, 4)  # of /proc/stat's first line: idle, waiting for a disk


def machine() -> dict[str, str]:
    """Return the machine and the versions in words, in the order to print them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _installed(name)))
    return {
        "processor": _processor(),
        "cores": str(cores()),
        "memory": f"{memory:.0f} GiB",
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "packages": packages,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def need(name: str) -> None:
    """See to it that a package is there.

    Raises:
        NotMeasured: it is not installed.
    """
    if _installed(name) is None:
        raise NotMeasured(f"{name} is not installed; `make bench` installs it")


def busy_s() -> float | None:
    """Return the seconds that all processors together have worked since the machine started; None: nobody says."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0]
    except OSError:
        return None
    ticks = [int(word) for word in first.split()[1:9]]
    return (sum(ticks) - sum(ticks[column] for column in _IDLE_COLUMNS)) * _TICK_S


def process_cpu_s(pid: int) -> float:
    """Return the processor seconds of a living process, 0 where nobody says."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) * _TICK_S


def resident_mb(pid: int) -> float:
    """Return the resident memory of a living process in MB (10^6 bytes).

    Raises:
        NotMeasured: this system does not say.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        raise NotMeasured("resident memory is read from /proc, which this system lacks") from None
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float | None:
    """Return the mean number of runnable processes over the last minute; None: nobody says."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def yardstick_s() -> float:
    """Return the time of a loop that is the same everywhere: on a shared machine it says how fast it is just now."""

    def loop() -> int:
        total = 0
        for number in range(500_000):
            total += number
        return total

    return min(timed(loop, repeats=3, warm_up=0).wall_s)
