"""When to believe the venue that an order does not exist: it may deny one for seconds while it is live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import MINUTE_MS, SECOND_MS
from engine.execution.binance.client import RECV_WINDOW_MS

if TYPE_CHECKING:
    from engine.clock import Clock

VISIBLE_AFTER_MS = 30 * SECOND_MS
PROOF_MS = RECV_WINDOW_MS + VISIBLE_AFTER_MS
"""After this long a denial is proof: the venue takes no request older than the first part, and shows what it has
within the second (seconds were seen; an order sent twice costs more than a late one)."""

_FORGET_MS = 10 * MINUTE_MS


class Denials:
    """Remembers since when each client id may exist.

    Args:
        clock: of the venue.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_ms: dict[str, int] = {}

    def sent(self, client_id: str) -> None:
        """Note that a request under this id leaves now."""
        now_ms = self._clock.now_ms()
        self._since_ms = {known: at_ms for known, at_ms in self._since_ms.items() if now_ms - at_ms < _FORGET_MS}
        self._since_ms[client_id] = now_ms

    def proven(self, client_id: str) -> bool:
        """Return whether the venue's denial proves that nothing exists under this id.

        An id that this process did not send counts from its first denial: another one may have sent it just before.
        """
        now_ms = self._clock.now_ms()
        return now_ms - self._since_ms.setdefault(client_id, now_ms) >= PROOF_MS

    def seen(self, client_id: str) -> None:
        """Note that the venue knows this id."""
        self._since_ms.pop(client_id, None)
