"""Whose money the guard is asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import Problem, UsageError
from engine.ledger import Ledger
from engine.live.connection import Mode

if TYPE_CHECKING:
    from pathlib import Path

_PAPER = "paper"


def mode_of(ledger: Path, *, paper: bool, real: bool) -> Mode:
    """Return whose money is meant; where neither is said, what the ledger is of, and on a new one real money.

    Raises:
        UsageError: mode: both are said.
        LedgerError: there is something at `ledger` that is none.
    """
    if paper and real:
        raise UsageError(Problem("mode", "--paper --real", "both are named", "name one"))
    if paper or real or not ledger.exists():
        return Mode.PAPER if paper else Mode.REAL
    with Ledger.open(ledger, read_only=True) as opened:
        return Mode.PAPER if opened.meta().get("kind") == _PAPER else Mode.REAL
