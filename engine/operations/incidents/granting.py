"""Letting a desk restart: people are asked and sign, a grant is recorded, and the governor hears of it.

The desk itself restarts, at its next decision: it waits for the request that its pause made, and `SignedRestarts` lets
that pass only once it is signed and granted.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.bounds import RESTART, restart_cap_usd
from engine.launch_word import LAUNCH
from engine.ledger import Event
from engine.operations.approvals import ASKED, ApprovalRequest, SignedApprovals, ask
from engine.operations.incidents.book import GRANTED
from engine.operations.incidents.restart_facts import REOPEN
from engine.operations.incidents.restarting import waiting
from engine.verdict import bundle_hashes, canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bounds import Request
    from engine.ledger import Ledger
    from engine.operations.incidents.book import Incident
    from engine.operations.incidents.restarting import Restart
    from engine.policy.bundle import Bundle


def grant(ledger: Ledger, bundle: Bundle, incident: Incident, restart: Restart, now_ms: int) -> None:
    """Let the desk restart at its next decision; the grant lasts as long as the launch guard's word, then it is void.

    Raises:
        ValueError: the policy does not allow it.
        UsageError: there is nothing to restart.
        LedgerError: the ledger cannot be written.
    """
    if not restart.allowed:
        raise ValueError(f"{restart.verdict_id} does not allow a restart")
    request = waiting(ledger, incident).request
    spec = bundle.vocabulary.facts[LAUNCH]
    document = {
        "request": [request.kind, request.subject, request.at_ms],
        "verdict_id": restart.verdict_id,
        "valid_until_ms": now_ms + spec.max_age_ms,
        "stage": restart.stage,
        "cap_usd": restart.cap_usd,
        "signers": list(restart.signers),
    }
    name = f"{incident.incident_id}-{GRANTED}-{now_ms}"
    ledger.append(Event(name, now_ms, GRANTED, incident.incident_id, canonical(document)))


def ask_for_restart(ledger: Ledger, bundle: Bundle, incident: Incident, by: str, now_ms: int) -> ApprovalRequest:
    """Ask people to sign the restart; who asks does not sign (A69). Where a request for it still runs, it is that one.

    Raises:
        UsageError: there is nothing to restart.
        LedgerError: the ledger cannot be written.
    """
    wait = waiting(ledger, incident)
    hashes = bundle_hashes(bundle)
    if (running := _running(ledger, wait.request, hashes["digest"], now_ms)) is not None:
        return running
    request = ApprovalRequest(
        action=RESTART,
        subject=wait.request.subject,
        approvals=wait.request.approvals,
        asked_by=by,
        asked_ms=wait.request.at_ms,  # by it the desk knows its own request again
        expires_ms=now_ms + bundle.request_valid_ms,
        decision_id=incident.verdict_id,
        stage=wait.posture.stage,
        amount_usd=restart_cap_usd(bundle.policies["stages"], wait.posture),
        hashes=hashes,
    )
    ask(ledger, request)
    return request


def _running(ledger: Ledger, wanted: Request, digest: str, now_ms: int) -> ApprovalRequest | None:
    """Return the request for a restart under this release that people may still sign: two would split signatures."""
    every = (ApprovalRequest.from_document(event.document) for event in ledger.events(ASKED, from_ms=wanted.at_ms))
    same = [one for one in every if (one.action, one.subject, one.asked_ms) == (RESTART, wanted.subject, wanted.at_ms)]
    return _latest(same, digest, now_ms)


def _latest(every: Sequence[ApprovalRequest], digest: str, now_ms: int) -> ApprovalRequest | None:
    """Return the last of these requests that was made under this release and may still be signed."""
    live = [one for one in every if one.hashes.get("digest") == digest and now_ms < one.expires_ms]
    return live[-1] if live else None


def ask_committee(ledger: Ledger, bundle: Bundle, incident: Incident, by: str, now_ms: int) -> ApprovalRequest:
    """Ask the committee to reopen after a lifetime loss or a third restart (A68), once; who asks does not sign.

    Raises:
        UsageError: there is nothing to restart.
        LedgerError: the ledger cannot be written.
    """
    wait = waiting(ledger, incident)
    every = (ApprovalRequest.from_document(event.document) for event in ledger.events(ASKED))
    same = [one for one in every if (one.action, one.subject) == (REOPEN, incident.incident_id)]
    running = _latest(same, bundle.digest, now_ms)
    if running is not None:
        return running
    request = ApprovalRequest(
        action=REOPEN,
        subject=incident.incident_id,
        approvals=wait.request.approvals,
        asked_by=by,
        asked_ms=now_ms,
        expires_ms=now_ms + bundle.request_valid_ms,
        decision_id=incident.verdict_id,
        stage=wait.posture.stage,
        amount_usd=None,
        hashes=bundle_hashes(bundle),
    )
    ask(ledger, request)
    return request


class SignedRestarts(SignedApprovals):
    """Answers a governor as `SignedApprovals` does, but for a restart: that also needs its grant, and in time.

    So a desk never restarts on signatures alone, whatever else of §5.2 does not hold.
    """

    def given(self, requests: Sequence[Request], now_ms: int) -> tuple[Request, ...]:
        """Return the requests that enough people have signed by `now_ms`, restarts among them only where granted."""
        return tuple(
            request
            for request in super().given(requests, now_ms)
            if request.kind != RESTART or self._is_granted(request, now_ms)
        )

    def _is_granted(self, request: Request, now_ms: int) -> bool:
        wanted = (request.kind, request.subject, request.at_ms)
        for event in self._ledger.events(GRANTED, from_ms=request.at_ms, to_ms=now_ms):
            said = json.loads(event.document)
            if tuple(said["request"]) == wanted and now_ms < said["valid_until_ms"]:
                return True
        return False
