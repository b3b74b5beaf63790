"""Events of one process, with ids that no other process makes, waiting to be written together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import iso
from engine.ledger.rows import Event
from engine.verdict import canonical

if TYPE_CHECKING:
    from engine.bounds import Change
    from engine.ledger import Ledger


class EventLog:
    """Collects what happened.

    Args:
        source: the process: ``runner``, ``guard`` …; two processes never share a name.
        ledger: which events of its last run it holds already.
    """

    def __init__(self, source: str, ledger: Ledger) -> None:
        self._source = source
        self._ledger = ledger
        self._waiting: list[Event] = []
        self._next: tuple[int, int] = (-1, 0)

    def record(self, at_ms: int, change: Change) -> Event:
        """Take an event; it is numbered within its millisecond, after those of a run that was cut short there."""
        beginning = f"{self._source}-{iso(at_ms)}-"
        if self._next[0] != at_ms:
            there = self._ledger.events(from_ms=at_ms, to_ms=at_ms)
            self._next = (at_ms, sum(event.event_id.startswith(beginning) for event in there))
        number = self._next[1]
        self._next = (at_ms, number + 1)
        identity = f"{beginning}{number}"
        event = Event(identity, at_ms, change.kind, change.subject, canonical(dict(change.detail)))
        self._waiting.append(event)
        return event

    def take(self) -> list[Event]:
        """Return what waits, and forget it."""
        waiting, self._waiting = self._waiting, []
        return waiting
