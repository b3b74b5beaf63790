"""A ledger on which Stage 1 is open, as `stage promote` leaves it: what a launch with real money begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.bounds import STAGE
from engine.ledger import Event, VerdictRecord
from engine.verdict import canonical

if TYPE_CHECKING:
    from engine.ledger import Ledger
    from engine.policy.bundle import Bundle


def open_stage_1(ledger: Ledger, bundle: Bundle, at_ms: int) -> None:
    """Record the promotion out of Stage 0."""
    name, sha256 = f"V-stages-{at_ms}", bundle.policies["stages"].sha256
    document = canonical({"verdict_id": name, "hashes": {"digest": bundle.digest}, "outcome": "PROMOTE", "fired": []})
    said = {"from": 0, "to": 1, "cap_usd": 5_000.0, "flow_usd": 0.0, "because": ["promote_0"], "verdict_id": name}
    ledger.append(VerdictRecord(name, at_ms, "stages", "PROMOTE", sha256, bundle.config_sha256, "0", document))
    ledger.append(Event(f"stage-{at_ms}", at_ms, STAGE, "0->1", canonical({**said, "approvals": ["alice"]})))
