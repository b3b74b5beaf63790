"""Every transition between stages that a ledger holds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.bounds import STAGE
from engine.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any


@dataclass(frozen=True)
class Transitioned:
    """One transition, as recorded: when, from where to where, with what capital, on what grounds, by whom."""

    at_ms: int
    start: int
    to: int
    cap_usd: float
    flow_usd: float
    because: tuple[str, ...]
    approvals: tuple[str, ...]
    verdict_id: str


def history_of(path: Path) -> tuple[Transitioned, ...]:
    """Return every transition, oldest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with Ledger.open(path, read_only=True) as ledger:
        return tuple(_transitioned(event.at_ms, json.loads(event.document)) for event in ledger.events(STAGE))


def _transitioned(at_ms: int, said: Mapping[str, Any]) -> Transitioned:
    return Transitioned(
        at_ms,
        said["from"],
        said["to"],
        said["cap_usd"],
        said["flow_usd"],
        tuple(said["because"]),
        tuple(said.get("approvals", ())),
        said.get("verdict_id", ""),
    )
