"""The venue's time: our clock plus an offset that is measured, never assumed (a wrong one is refused with −1021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import SystemClock

if TYPE_CHECKING:
    from engine.clock import Clock


@dataclass
class VenueClock:
    """A `Clock` that tells the venue's time.

    Attributes:
        local: our own clock.
        offset_ms: what to add to it; 0 until measured.
    """

    local: Clock
    offset_ms: int = 0

    def now_ms(self) -> int:
        """Return the venue's time as far as we know it, milliseconds UTC."""
        return self.local.now_ms() + self.offset_ms

    def measure(self, sent_ms: int, server_ms: int, received_ms: int) -> None:
        """Take the offset from one exchange of messages: the venue answered halfway between.

        Args:
            sent_ms: our clock when the question left.
            server_ms: what the venue's clock said.
            received_ms: our clock when the answer came.
        """
        self.offset_ms = server_ms - (sent_ms + received_ms) // 2

    @property
    def machine_offset_ms(self) -> int:
        """What the client library has to add to the machine's clock, which is the only one it reads."""
        return self.now_ms() - SystemClock().now_ms()
