"""How soon a runner looks at the account again when what it heard calls for it time after time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.clock import SECOND_MS

if TYPE_CHECKING:
    from engine.clock import Clock

FIRST_S, LONGEST_S = 0.5, 10.0
"""The second look comes so long after the first; each pause is twice the last, up to the longest."""

QUIET_S = 30.0
"""After so long without one, a look is the first again."""


class Pace:
    """Lets the first look through at once, and those that follow on its heels ever more slowly.

    A closing order that a dry book expires is heard of at once, calls for a look and is sent again: without a pause a
    second of that uses up the venue's allowance of the minute.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ms: int | None = None
        self._pause_s = 0.0

    async def wait(self) -> None:
        """Return when the next look may be."""
        since_s = QUIET_S if self._last_ms is None else (self._clock.now_ms() - self._last_ms) / SECOND_MS
        self._pause_s = 0.0 if since_s >= QUIET_S else min(max(2 * self._pause_s, FIRST_S), LONGEST_S)
        await asyncio.sleep(max(0.0, self._pause_s - since_s))
        self._last_ms = self._clock.now_ms()
