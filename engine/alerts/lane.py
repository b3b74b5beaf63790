"""What waits for one route: in the order of queueing, repeats counted, at the route's own pace. No effects here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.alerts.alert import FAILING, SENT, Alert
from engine.clock import MINUTE_MS, SECOND_MS
from engine.ledger.rows import Event

if TYPE_CHECKING:
    from engine.alerts.routes import Route

FIRST_PAUSE_MS = 2 * SECOND_MS
LONGEST_PAUSE_MS = 5 * MINUTE_MS


@dataclass(frozen=True)
class Letter:
    """One message, and the alerts that it stands for, oldest first; the newest is the one that is told."""

    alerts: tuple[Alert, ...]

    def text(self, prefix: str) -> str:
        """Return what is sent."""
        return self.alerts[-1].repeated(len(self.alerts), self.alerts[0].at_ms).text(prefix)


@dataclass
class Lane:
    """One route's waiting line.

    Attributes:
        route: where it goes.
        repeats_ms: the same alert again within so long of a message is held back and counted.
        begins_after: the place in the ledger up to which alerts are not for this route: it was not there yet.
    """

    route: Route
    repeats_ms: int
    begins_after: int = 0
    _waiting: dict[str, Alert] = field(default_factory=dict)
    _told_ms: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _next_ms: int = 0
    _failures: int = 0

    @property
    def waiting(self) -> tuple[Alert, ...]:
        """What has not been delivered, as it was queued."""
        return tuple(self._waiting.values())

    def queue(self, alert: Alert, place: int) -> None:
        """Take an alert that was queued at a place in the ledger, where it goes here."""
        if place > self.begins_after and self.route.takes(alert):
            self._waiting.setdefault(alert.alert_id, alert)

    def sent(self, alert_id: str, at_ms: int) -> None:
        """Take note of a delivery that the ledger knows of."""
        alert = self._waiting.pop(alert_id, None)
        if alert is not None:
            self._told_ms[alert.sameness] = at_ms

    def next_letter(self, now_ms: int) -> Letter | None:
        """Return what is to be sent now; None: nothing, or not yet."""
        if 0 < self._next_ms - now_ms <= LONGEST_PAUSE_MS:  # more than that: the clock went back
            return None
        for alert in self._waiting.values():
            told_ms = self._told_ms.get(alert.sameness)
            if told_ms is None or not 0 <= now_ms - told_ms < self.repeats_ms:
                same = [one for one in self._waiting.values() if one.sameness == alert.sameness]
                return Letter(tuple(same))
        return None

    def delivered(self, letter: Letter, now_ms: int) -> list[Event]:
        """Take note that a letter was taken; return one row for each alert that it stood for."""
        self._failures, self._next_ms = 0, now_ms + self.route.every_ms
        self._told_ms = {same: at_ms for same, at_ms in self._told_ms.items() if now_ms - at_ms < self.repeats_ms}
        rows = []
        for alert in letter.alerts:
            self.sent(alert.alert_id, now_ms)
            document = {"alert_id": alert.alert_id, "late_ms": now_ms - alert.at_ms}
            if alert is not letter.alerts[-1]:
                document["with"] = letter.alerts[-1].alert_id
            rows.append(self._row(f"{alert.alert_id}-{self.route.name}", now_ms, SENT, document))
        return rows

    def refused(self, letter: Letter, now_ms: int) -> list[Event]:
        """Take note that a letter was not taken; return a row at the 1st, 2nd, 4th, 8th … time in a row."""
        self._failures += 1
        self._next_ms = now_ms + min(FIRST_PAUSE_MS * 2 ** (self._failures - 1), LONGEST_PAUSE_MS)
        if self._failures & (self._failures - 1):
            return []
        document = {"alert_id": letter.alerts[-1].alert_id, "failures": self._failures, "next_ms": self._next_ms}
        return [self._row(f"{FAILING}-{self.route.name}-{now_ms}", now_ms, FAILING, document)]

    def _row(self, name: str, now_ms: int, kind: str, document: dict[str, object]) -> Event:
        return Event(name, now_ms, kind, self.route.name, json.dumps(document, sort_keys=True))
