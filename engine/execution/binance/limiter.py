"""The venue's allowance of request weight per minute: counted as the venue counts it, with a part kept for reducing.

Planning on our own count alone would be wrong: other processes share the address. Every answer carries the venue's
count, so the guard and the runner see each other's requests.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.clock import MINUTE_MS, SECOND_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.clock import Clock

WEIGHT_A_MINUTE = 2_400  # until exchangeInfo says otherwise
RESERVE = 600  # a flatten of three symbols costs about 40, then 5 for each look at the positions

BANNED, TOO_MANY = 418, 429
BAN_S = 120  # the shortest ban; only where the venue did not say how long

USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"
RETRY_AFTER = "Retry-After"


class AllowanceError(Exception):
    """The allowance is used up for longer than the caller is willing to wait; nothing was sent.

    Attributes:
        wait_s: how long until it would be available.
    """

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"no allowance for {wait_s:.0f} s")
        self.wait_s = wait_s


class Limiter:
    """Admits requests while there is allowance.

    Args:
        clock: the venue's time; its minutes are the ones that count.
        limit: weight per minute.
        reserve: the part of it that only urgent requests may use.
    """

    def __init__(self, clock: Clock, *, limit: int = WEIGHT_A_MINUTE, reserve: int = RESERVE) -> None:
        self.limit = limit
        self.reserve = reserve
        self._clock = clock
        self._minute = clock.now_ms() // MINUTE_MS
        self._used = 0
        self._in_flight = 0
        self._silent_until_ms = 0

    def pause_s(self, weight: int, *, urgent: bool) -> float:
        """Return how long a request of this weight has to wait now; 0: not at all.

        After a 429 or 418 nobody may send, urgent or not: every further request prolongs the ban.
        """
        now_ms = self._clock.now_ms()
        self._turn_minute(now_ms)
        if now_ms < self._silent_until_ms:
            return (self._silent_until_ms - now_ms) / SECOND_MS
        allowed = self.limit if urgent else self.limit - self.reserve
        if self._used + self._in_flight + weight <= allowed:
            return 0.0
        return (MINUTE_MS - now_ms % MINUTE_MS) / SECOND_MS

    async def admit(self, weight: int, *, urgent: bool, patience_s: float) -> None:
        """Wait until a request of this weight may be sent; call `counted` around sending it at once.

        Raises:
            AllowanceError: it would take longer than `patience_s`.
        """
        left_s = patience_s
        while (pause_s := self.pause_s(weight, urgent=urgent)) > 0.0:
            if pause_s > left_s:
                raise AllowanceError(pause_s)
            left_s -= pause_s
            await asyncio.sleep(pause_s)

    @contextmanager
    def counted(self, weight: int) -> Iterator[None]:
        """Count a request while it is on its way; afterwards the venue's own count holds."""
        self._in_flight += weight
        try:
            yield
        except BaseException:  # also a cancel, and raised again
            self._turn_minute(self._clock.now_ms())
            self._used += weight  # the venue may have counted what we got no answer to
            raise
        finally:
            self._in_flight -= weight

    def note(self, status: int, headers: Mapping[str, str]) -> None:
        """Take from an answer what the venue counted, and how long it wants silence."""
        now_ms = self._clock.now_ms()
        self._turn_minute(now_ms)
        used = headers.get(USED_WEIGHT, "")
        if used.isdigit():
            self._used = int(used)
        if status in {BANNED, TOO_MANY}:
            self._silent_until_ms = max(self._silent_until_ms, now_ms + self._silence_ms(status, headers, now_ms))

    def _turn_minute(self, now_ms: int) -> None:
        if now_ms // MINUTE_MS != self._minute:
            self._minute = now_ms // MINUTE_MS
            self._used = 0

    @staticmethod
    def _silence_ms(status: int, headers: Mapping[str, str], now_ms: int) -> int:
        asked = headers.get(RETRY_AFTER, "")
        if asked.isdigit():
            return int(asked) * SECOND_MS
        return BAN_S * SECOND_MS if status == BANNED else MINUTE_MS - now_ms % MINUTE_MS
