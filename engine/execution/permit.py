"""The permit to add risk: one small file beside the ledger. No file, no order that adds risk; deleting it is the halt.

It is a file and no row of the ledger because deleting a file works with a full disk and a corrupt ledger, is seen by
every process at once, and survives restarts. Whatever cannot be read is no permit. Only a person's `resume` grants.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import iso
from engine.errors import Problem, StagegateError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

_KEY = "permit"
_MEANING = "orders that add risk may be sent"


class PermitError(StagegateError):
    """The permit could not be granted or not be taken away."""


@dataclass(frozen=True)
class Permit:
    """The permit of one ledger; `path` is the file."""

    path: Path

    @classmethod
    def beside(cls, ledger: Path) -> Permit:
        """Return the permit of the ledger at `ledger`."""
        return cls(ledger.with_name(f"{ledger.name}.permit"))

    def present(self) -> bool:
        """Return whether risk may be added now; asked just before each order that adds some. Never raises."""
        return bool(self.terms())

    def terms(self) -> dict[str, str]:
        """Return who granted it, when and why; empty where there is no permit or none that can be read."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        valid = isinstance(found, dict) and found.get(_KEY) == _MEANING
        return {str(key): str(value) for key, value in found.items()} if valid else {}

    def grant(self, *, by: str, reason: str, at_ms: int) -> None:
        """Allow risk to be added; whole or not at all, whenever the machine stops.

        Raises:
            PermitError: it cannot be written; there is then no new permit.
        """
        text = json.dumps({_KEY: _MEANING, "by": by, "reason": reason, "at": iso(at_ms)}, sort_keys=True)
        partial = self.path.with_name(f"{self.path.name}.partial")
        try:
            with partial.open("w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise PermitError(_problem(self.path, "written", error, "nothing may add risk until it is")) from error

    def revoke(self) -> None:
        """Latch the halt: from here on nothing may add risk, also after a restart. Again: nothing happens.

        Raises:
            PermitError: the file can neither be deleted nor emptied; whoever holds the permit still has it.
        """
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            # the folder may be closed to us and the file still open: an empty file is no permit
            try:
                os.truncate(self.path, 0)
            except OSError:
                help_ = "delete it by hand, now; stop the runner if you cannot"
                raise PermitError(_problem(self.path, "deleted", error, help_)) from error
        _sync_folder(self.path.parent)

    def demand(self) -> None:
        """Refuse to go on without a permit.

        Raises:
            UsageError: halted.
        """
        if not self.present():
            problem = "halted: there is no permit, so nothing that adds risk may run"
            help_ = "find out why in the events of the ledger; `stagegate resume` grants a new one"
            raise UsageError(Problem("halted", str(self.path), problem, help_))


def _sync_folder(folder: Path) -> None:
    """Make a name's coming or going survive a loss of power, where the file system can; the halt never waits for it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)


def _problem(path: Path, what: str, error: OSError, help_: str) -> Problem:
    return Problem("permit", str(path), f"the permit cannot be {what}: {error.strerror or error}", help_)
