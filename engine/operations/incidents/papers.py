"""What an incident leaves on disk, as this room needs it: the writing itself is done where reports are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from engine.ledger import Ledger, VerdictRecord


class Papers(Protocol):
    """Reports and exports. Whatever cannot be written raises a StagegateError."""

    @property
    def folder(self) -> Path:
        """Where everything of the incidents lies."""
        ...

    def why(self, record: VerdictRecord) -> str:
        """Return the reason of a verdict in one sentence: rule, value, threshold."""
        ...

    def save(self, name: str, text: str) -> Path:
        """Write a new file into the folder, whole or not at all; never over another one."""
        ...

    def daily(self, ledger: Path, at_ms: int) -> tuple[Path, ...]:
        """Write the daily report as of `at_ms`, and return its files; called in a thread of its own."""
        ...

    def log(self, ledger: Ledger) -> Path:
        """Write the log of all incidents anew."""
        ...

    def post_mortem(self, ledger: Ledger, incident_id: str, now_ms: int) -> Path:
        """Write the post-mortem of an incident anew; what people wrote at its head stays as it is."""
        ...
