"""Releases as people work on them: the suite on what is deployed, and the way back to a whole tag."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.clock import SystemClock
from engine.errors import LedgerError
from engine.ledger import Ledger
from engine.live.time_check import present_of
from engine.operations.incidents.releases import Release, SuiteRun, record_tested, release_of, run_suite
from engine.operations.incidents.rollback import RolledBack, Tag, restore_config, roll_back, tags

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class ReleaseDesk:
    """Where releases are worked on.

    Attributes:
        ledger: where it is recorded.
        rules: the bundle, which pins the frozen configuration.
        tree: the checkout that is deployed.
    """

    ledger: Path
    rules: Path
    tree: Path

    def test_fix(self, by: str) -> tuple[Release, SuiteRun]:
        """Run the whole suite on what is deployed, and record what it said (R178, A104).

        Raises:
            UsageError: no git checkout, the configuration cannot be read, or the clock has gone back.
            LedgerError: the ledger cannot be written.
        """
        with Ledger.open(self.ledger) as ledger:  # first: nobody waits for a suite that cannot be recorded
            present_of(ledger)
            release = release_of(self.tree, self.rules)
            run = run_suite(self.tree)
            record_tested(ledger, release, run, by, present_of(ledger))
        return release, run

    def tags(self) -> tuple[Tag, ...]:
        """Return the releases that one can go back to.

        Raises:
            UsageError: no git checkout.
            LedgerError: the ledger cannot be read.
        """
        if not self.ledger.exists():
            return tags(self.tree, None)
        with Ledger.open(self.ledger, read_only=True) as ledger:
            return tags(self.tree, ledger)

    def roll_back(self, tag: str, by: str, *, suite: bool) -> RolledBack:
        """Check a whole tag out, and record it with its tests; a checkout without a ledger goes back unrecorded.

        Raises:
            UsageError: the tree is not clean, there is no such tag, or the clock has gone back; nothing was changed.
            LedgerError: the ledger cannot be written.
        """
        if not self.ledger.exists():
            return roll_back(self.tree, self.rules, tag, None, by, SystemClock().now_ms(), suite=suite)
        with self._opened(tag) as ledger:
            now_ms = present_of(ledger)
            return roll_back(self.tree, self.rules, tag, ledger, by, now_ms, suite=suite)

    def _opened(self, tag: str) -> Ledger:
        """Open the ledger; of one that this version does not work with yet, say how to go back without a record."""
        try:
            return Ledger.open(self.ledger)
        except LedgerError as error:
            if error.problems[0].code != "schema-older":
                raise
            help_ = f"do not migrate it: the older version reads it as it is; `git checkout --detach {tag}` goes back"
            raise LedgerError(replace(error.problems[0], help=f"{help_}, unrecorded; nothing was changed")) from None

    def restore_config(self) -> tuple[Path, Path | None]:
        """Put the frozen configuration back as committed; return it, and where an altered one was kept.

        Raises:
            UsageError: it cannot be restored.
        """
        return restore_config(self.tree, self.rules, self.ledger.parent, SystemClock().now_ms())
