"""What a runner says: to the terminal at once, and to people by alerts that are queued in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alerts.alert import Alert, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.ledger import Ledger


class Voice:
    """Says things once.

    Args:
        ledger: where alerts are queued.
        clock: the time.
        show: a line for the terminal.
    """

    def __init__(self, ledger: Ledger, clock: Clock, show: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._said: dict[str, str] = {}
        self.show = show

    def alert(self, severity: Severity, subject: str, what: str, **lines: str) -> None:
        """Tell people, and the terminal.

        Args:
            severity: how bad.
            subject: what it is about.
            what: one line.
            lines: ``why``, ``done``, ``do``; those that are empty are left out.

        Raises:
            LedgerError: it cannot be queued.
        """
        self.show(f"{severity}  {what}" + "".join(f"; {label}: {text}" for label, text in lines.items() if text))
        told = tuple((label, text) for label, text in lines.items() if text)
        self._ledger.append(Alert(self._clock.now_ms(), severity, subject, what, told).row())

    def alert_once(self, severity: Severity, subject: str, what: str, **lines: str) -> None:
        """Do the same unless this was the last thing said of the subject; `well` makes it new again.

        Raises:
            LedgerError: it cannot be queued.
        """
        if self._said.get(subject) != what:
            self._said[subject] = what
            self.alert(severity, subject, what, **lines)

    def well(self, subject: str) -> bool:
        """Take note that nothing is wrong with a subject; return whether something was."""
        return self._said.pop(subject, None) is not None
