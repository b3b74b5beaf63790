"""How the book was closed, as the flatten itself recorded it: T+0 of an incident that demands it (R160)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.execution.flattened import FLAT, SENT, VERIFIED
from engine.operations.incidents.book import CONFIRM
from engine.operations.incidents.demands import BEGUN, ENDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.ledger import Ledger
    from engine.operations.incidents.book import Incident


@dataclass(frozen=True)
class Flattening:
    """The first flatten of an incident that ended flat.

    Attributes:
        begun_ms: when it began; None: the ledger does not know.
        steps: step -> when it was reached.
        verified_ms: when the venue confirmed that nothing stands.
        by: why it was run, as it says; empty: it was found flat.
    """

    begun_ms: int | None
    steps: Mapping[str, int]
    verified_ms: int
    by: str

    def to_json(self, opened_ms: int, limit_ms: int) -> dict[str, Any]:
        """Return plain values for a record; times also as seconds after the breach."""
        after = {
            f"{step}_after_s": (self.steps[step] - opened_ms) / 1000
            for step in (SENT, FLAT, VERIFIED)
            if step in self.steps
        }
        return {
            "begun_ms": self.begun_ms,
            "verified_ms": self.verified_ms,
            "steps": dict(self.steps),
            "by": self.by,
            "in_time": self.verified_ms <= limit_ms,
            **after,
        }


def flattening(ledger: Ledger, incident: Incident) -> Flattening | None:
    """Return how the book was closed after the breach; None: nothing shows yet that it is.

    Where no flatten is recorded (a full disk, a hand at the venue), T+5 shows it by the venue's own word.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    for event in ledger.events(ENDED, from_ms=incident.opened_ms):
        said = json.loads(event.document)
        if not said["flat"]:
            continue
        begun = [each.at_ms for each in ledger.events(BEGUN, to_ms=event.at_ms) if each.subject == event.subject]
        steps = {step: int(at_ms) for step, at_ms in said["steps"].items()}
        # a book that was flat when the breach was seen was so from then on
        verified_ms = max(steps.get(VERIFIED, event.at_ms), incident.opened_ms)
        return Flattening(begun[-1] if begun else None, steps, verified_ms, event.subject)
    confirmed = incident.done(CONFIRM)
    if confirmed is None:
        return None
    return Flattening(None, {}, int(confirmed.found["account"]["at_ms"]), "")
