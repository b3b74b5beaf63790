"""The venue's time: measured, never assumed (a wrong one is refused with −1021), kept by a clock that nobody sets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.clock import SECOND_MS, SystemClock
from engine.timeline import LoopClock

if TYPE_CHECKING:
    from engine.clock import Clock


@dataclass
class VenueClock:
    """A `Clock` that tells the venue's time.

    Once measured it runs on with the event loop: a machine whose time is set neither ends an hour early for us, with a
    bar that is not closed yet, nor makes a decision look old.

    Attributes:
        local: our own clock, which counts until the venue's was measured.
        offset_ms: what to add to it; 0 until measured, then as it was at that time.
    """

    local: Clock
    offset_ms: int = 0
    _steady: LoopClock | None = field(default=None, init=False, repr=False)

    def now_ms(self) -> int:
        """Return the venue's time as far as we know it, milliseconds UTC."""
        return self.local.now_ms() + self.offset_ms if self._steady is None else self._steady.now_ms()

    def measure(self, sent_s: float, server_ms: int, received_s: float) -> None:
        """Take the time from one exchange of messages: the venue answered halfway between. Called within the loop.

        Args:
            sent_s: the loop's time when the question left.
            server_ms: what the venue's clock said.
            received_s: the loop's time when the answer came.
        """
        middle_ms = round((sent_s + received_s) / 2 * SECOND_MS)
        self._steady = LoopClock(asyncio.get_running_loop(), server_ms - middle_ms)
        self.offset_ms = self._steady.now_ms() - self.local.now_ms()

    @property
    def machine_offset_ms(self) -> int:
        """What the client library has to add to the machine's clock, which is the only one it reads."""
        return self.now_ms() - SystemClock().now_ms()
