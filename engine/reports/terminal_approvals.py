"""Approvals and the audit trail in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import iso
from engine.reports.numbers import minute_text, short_hash, usd
from engine.reports.tables import table
from engine.reports.terminal_tables import rich_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table as RichTable

    from engine.ledger.chain import Head
    from engine.operations.approvals import ApprovalRequest, Tally


def approvals_table(tallies: Sequence[Tally]) -> RichTable | str:
    """Return the requests with who signed them."""
    if not tallies:
        return "nothing waits for approval, and nothing ever did"
    rows = [
        (request.request_id, tally.state, _subject(request), _progress(tally), minute_text(request.expires_ms))
        for tally in tallies
        for request in (tally.request,)
    ]
    return rich_table(table("=request | state | of | signed | until", rows))


def approval_text(tally: Tally) -> str:
    """Return one request, after a signature: what is approved, by whom, and what is missing."""
    request = tally.request
    lines = [
        f"{request.request_id}  {tally.state}",
        f"  approves  {request.action} of {request.subject}"
        + (f", {usd(request.amount_usd)}" if request.amount_usd is not None else ""),
        f"  signed    {_progress(tally)}",
        f"  until     {iso(request.expires_ms)}",
    ]
    if request.decision_id:
        lines.append(f"  because   `stagegate verdict show {request.decision_id}`")
    lines += [f"  refused   {refused.who}: {refused.why}" for refused in tally.refused]
    return "\n".join(lines)


def audit_text(head: Head) -> str:
    """Return what stands at the end of the audit trail."""
    return f"the audit trail holds: {head.length:,} links, the last is {head.sha256}"


def _subject(request: ApprovalRequest) -> str:
    """Return of what; a hash as short as people compare it."""
    subject = request.subject
    return short_hash(subject) if subject in request.hashes.values() else subject


def _progress(tally: Tally) -> str:
    names = ", ".join(signer.name for signer in tally.signers)
    counted = f"{len(tally.signers)} of {tally.request.approvals}"
    return f"{counted}: {names}" if names else counted
