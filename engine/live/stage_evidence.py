"""The file of evidence between two ledgers: written of a paper account, verified for one of real money (R055)."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from engine.drill import drill_venue
from engine.errors import Problem, UsageError
from engine.ledger import Ledger
from engine.live.account_time import clock_of
from engine.live.drill import check as check_drill
from engine.live.drill import mark as mark_drill
from engine.live.paper import started_beside
from engine.live.time_check import present_of
from engine.live.whole_file import replace_json
from engine.operations.stages.evidence import Evidence, evidence_of, read_evidence, verify_evidence
from engine.policy.bundle import load_bundle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any


def write_evidence(paper: Path, path: Path) -> Evidence:
    """Write what a paper ledger proves.

    Args:
        paper: the paper account's ledger.
        path: of the file; what stood there is replaced.

    Raises:
        UsageError: the ledger is no paper account's, is too young, or the file cannot be written.
        LedgerError: the ledger cannot be read.
    """
    with Ledger.open(paper, read_only=True) as ledger:
        evidence = evidence_of(ledger, prices_of(paper), clock_of(ledger).now_ms(), drill=_is_drill())
    problem = replace_json(path, evidence.whole)
    if problem:
        raise UsageError(Problem("evidence", str(path), problem, "name a folder you may write to with `--file`"))
    return evidence


def verify_file(real: Path, rules: Path, path: Path, paper: Path) -> Evidence:
    """Verify a file against the paper ledger that it came from, and have a ledger know of it.

    Args:
        real: of real money.
        rules: the bundle.
        path: of the file.
        paper: the paper account's ledger.

    Raises:
        DataError: it was altered, is claimed, or of another configuration.
        UsageError: `paper` is no paper account's ledger, or the clock has gone back.
        LedgerError: a ledger cannot be read or written, or was altered.
    """
    Ledger.check_usable(real)
    bundle = load_bundle(rules)
    evidence = read_evidence(path)
    with Ledger.open(paper, read_only=True) as source:
        verify_evidence(evidence, path, source, bundle.config_sha256, prices_of(paper), drill=_is_drill())
    check_drill(real, drill=_is_drill())
    with Ledger.open(real, create=True) as ledger:
        now_ms = present_of(ledger)
        if _is_drill():
            mark_drill(ledger)  # what stood in for paper there never counts for real money
        ledger.append(evidence.row(now_ms))
    return evidence


def _is_drill() -> bool:
    return drill_venue(os.environ) is not None


def prices_of(paper: Path) -> Mapping[str, Any] | None:
    """Return what a paper account lives on, as noted beside its ledger; None: that is not known."""
    try:
        said = json.loads(started_beside(paper).read_text(encoding="utf-8"))["prices"]
        return {name: said[name] for name in ("data", "klines", "seed", "speed")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
