"""Time that passes while things are done: in virtual time nothing takes any, and a clock may be read twice unseen."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.timeline.loops import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK_S = 0.0003
"""Of a campaign: a request then takes some milliseconds, as on a loopback."""


@contextmanager
def creeping(look_s: float = LOOK_S) -> Iterator[None]:
    """Let each look at the time of a virtual loop take so long."""

    def passing(loop: VirtualTimeLoop) -> float:
        loop._jumping.now_s += look_s
        return loop._jumping.now_s

    before = VirtualTimeLoop.time
    setattr(VirtualTimeLoop, "time", passing)  # noqa: B010 - a method, put back below
    try:
        yield
    finally:
        setattr(VirtualTimeLoop, "time", before)  # noqa: B010 - as it was
