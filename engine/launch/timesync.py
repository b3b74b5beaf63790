"""SOP §1.1: is the machine's clock synchronised? ``timedatectl`` says whether, ``chronyc`` also by how much it is off.

Where chrony answers, its word counts: it keeps the clock. Else that of systemd (A94).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import SECOND_MS
from engine.launch.probe import Finding, Findings, Probe, unknown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from engine.launch.machine import Said

    Run = Callable[[Sequence[str]], Awaitable[Said]]

TIMEDATECTL = ("timedatectl", "show", "--property=NTPSynchronized")
CHRONYC = ("chronyc", "-n", "tracking")

_SYNCHRONISED = re.compile(r"^NTPSynchronized=(yes|no)$", re.MULTILINE)
_OFFSET = re.compile(r"^System time\s*:\s*([0-9.]+) seconds (?:slow|fast) of NTP time$", re.MULTILINE)
_LEAP = re.compile(r"^Leap status\s*:\s*(.+?)\s*$", re.MULTILINE)
_REFERENCE = re.compile(r"^Reference ID\s*:\s*(\S+)", re.MULTILINE)
_NOT_SYNCHRONISED = "Not synchronised"
_LOCAL = ("127.127.1.1", "7F7F0101")  # chrony's own clock: the `local` directive, no source at all


@dataclass(frozen=True)
class Tracking:
    """What chrony says: whether it follows a source, and how far the clock is off, ms without sign."""

    synchronised: bool
    offset_ms: float
    source: str


def probes(run: Run) -> tuple[Probe, ...]:
    """Return the probe of the machine's clock."""

    async def find() -> Findings:
        return clock_findings(*await asyncio.gather(run(TIMEDATECTL), run(CHRONYC)))

    return (Probe(("clock_synced", "clock_offset"), find),)


def clock_findings(timedatectl: Said, chronyc: Said) -> Findings:
    """Return what both programs say of the clock (R020)."""
    tracking = read_tracking(chronyc.out) if not chronyc.code else None
    systemd = _SYNCHRONISED.search(timedatectl.out) if not timedatectl.code else None
    if tracking is not None:
        said = f"chrony follows {tracking.source}" if tracking.synchronised else "chrony follows no source"
        return {
            "clock_synced": Finding(tracking.synchronised, said),
            "clock_offset": Finding(tracking.offset_ms, f"{tracking.offset_ms:.3f} ms, chrony"),
        }
    offset = unknown(f"chronyc: {_why(chronyc)}")
    if systemd is None:
        return {
            "clock_synced": unknown(f"timedatectl: {_why(timedatectl)}; chronyc: {_why(chronyc)}"),
            "clock_offset": offset,
        }
    synced = systemd[1] == "yes"
    return {
        "clock_synced": Finding(synced, f"timedatectl: {'synchronised' if synced else 'not synchronised'}"),
        "clock_offset": offset,
    }


def read_tracking(text: str) -> Tracking | None:
    """Return what ``chronyc tracking`` says; None where it is no such text."""
    offset, leap, reference = _OFFSET.search(text), _LEAP.search(text), _REFERENCE.search(text)
    if offset is None or leap is None or reference is None:
        return None
    follows = leap[1] != _NOT_SYNCHRONISED and reference[1] not in _LOCAL
    return Tracking(follows, float(offset[1]) * SECOND_MS, reference[1])


def _why(said: Said) -> str:
    return said.why if said.code else "its answer cannot be understood"
