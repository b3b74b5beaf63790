"""What the policy asks people for becomes a request that they can sign, once each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.bounds import PROMOTION, RESTART, SCALE_UP, restart_cap_usd
from engine.operations.approvals import ASKED, ApprovalRequest, SignedApprovals

if TYPE_CHECKING:
    from engine.bounds import Posture, Request
    from engine.governor import Approvals, Governor
    from engine.ledger import Ledger
    from engine.policy.bundle import Bundle


def ask_people(
    ledger: Ledger, approvals: Approvals, governor: Governor, bundle: Bundle, decision_id: str, now_ms: int
) -> int:
    """Record what waits for approval and is not asked for; return how many requests that were.

    What nobody signed in time, or was asked for under another bundle, is asked for again.

    Raises:
        LedgerError: it cannot be recorded.
    """
    waiting = [request for request in governor.posture.requests if request.kind != PROMOTION]  # a person asks for it
    if not isinstance(approvals, SignedApprovals) or not waiting:
        return 0
    every = (ApprovalRequest.from_document(event.document) for event in ledger.events(ASKED))
    asked = {_identity(one) for one in every if approvals.counts(one) and now_ms < one.expires_ms}
    new = [request for request in waiting if (request.kind, request.subject, request.at_ms) not in asked]
    for request in new:
        amount_usd = _amount_usd(request, governor.posture, bundle)
        stage = governor.posture.stage
        approvals.ask(request, decision_id=decision_id, stage=stage, amount_usd=amount_usd, now_ms=now_ms)
    return len(new)


def _identity(request: ApprovalRequest) -> tuple[str, str, int]:
    return request.action, request.subject, request.asked_ms


def _amount_usd(request: Request, posture: Posture, bundle: Bundle) -> float | None:
    """Return the cap that a request leads to; None where it moves none."""
    if request.kind == SCALE_UP:
        factor = bundle.policies["action"].effects[request.subject].cap_factor
        return None if factor is None else posture.cap_usd * factor
    if request.kind == RESTART:
        return restart_cap_usd(bundle.policies["stages"], posture)
    return None
