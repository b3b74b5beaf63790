"""The clock of an event loop, and waiting for an instant."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import MINUTE_MS, SECOND_MS

if TYPE_CHECKING:
    from engine.clock import Clock

# A machine's time may be set while a long wait is on: look again half way, at least this often, but for the last minute
LONGEST_NAP_MS = 10 * MINUTE_MS
LAST_NAP_MS = MINUTE_MS


@dataclass(frozen=True)
class LoopClock:
    """A clock that shows `start_ms` plus the loop's time; it moves as the loop's timers do."""

    loop: asyncio.AbstractEventLoop
    start_ms: int

    def now_ms(self) -> int:
        """Return the present as milliseconds since the epoch, UTC."""
        return self.start_ms + round(self.loop.time() * SECOND_MS)


async def sleep_until(clock: Clock, at_ms: int) -> None:
    """Return when `clock` shows `at_ms` or later; at once if it already does."""
    while (left_ms := at_ms - clock.now_ms()) > 0:
        nap_ms = left_ms if left_ms <= LAST_NAP_MS else min(left_ms // 2, LONGEST_NAP_MS)
        await asyncio.sleep(nap_ms / SECOND_MS)
