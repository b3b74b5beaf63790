"""What the service leaves in the ledger: an event for each thing it does, and alerts.

A ledger that fails stops nothing: rows that cannot be written wait, and are tried again at each look.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol

from engine.alerts.alert import Alert
from engine.ledger.rows import Event
from engine.verdict import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.alerts.alert import Severity
    from engine.clock import Clock
    from engine.ledger.rows import Row

SERVICE = "service"
"""The kind of its events; the subject is what happened."""

STARTED, STOPPED = "started", "stopped"
CHILD_STARTED, CHILD_DIED, CHILD_HUNG, CHILD_STOPPED = "child_started", "child_died", "child_hung", "child_stopped"
RELEASE = "release"


class Desk(Protocol):
    """Takes rows; see `engine.risk_guard.record.LedgerDesk`."""

    def write(self, rows: Sequence[Row]) -> None:
        """Hand rows over, to be written together; never waits and never fails."""
        ...


class ServiceBook:
    """Records what the service does.

    Args:
        desk: writes beside it.
        clock: the account's time.
        show: a line for the terminal.
    """

    def __init__(self, desk: Desk, clock: Clock, show: Callable[[str], None]) -> None:
        self._desk = desk
        self._clock = clock
        self._show = show
        self._count = 0

    def note(self, subject: str, **detail: Any) -> None:
        """Record that something happened."""
        now_ms = self._clock.now_ms()
        self._count += 1
        name = f"service-{now_ms}-{os.getpid()}-{self._count}"
        self._desk.write([Event(name, now_ms, SERVICE, subject, canonical({"pid": os.getpid(), **detail}))])

    def alert(self, severity: Severity, subject: str, what: str, **lines: str) -> None:
        """Tell people, and the terminal.

        Args:
            severity: how bad.
            subject: what it is about.
            what: one line.
            lines: ``why``, ``done``, ``do``; those that are empty are left out.
        """
        told = tuple((label, text) for label, text in lines.items() if text)
        self._show(f"{severity}  {what}" + "".join(f"; {label}: {text}" for label, text in told))
        self._desk.write([Alert(self._clock.now_ms(), severity, subject, what, told).row()])

    def show(self, text: str) -> None:
        """Print a line."""
        self._show(text)

    def press(self) -> None:
        """Try again what could not be written."""
        self._desk.write(())
