"""How a desk stands to its reviews: a breach freezes promotions until a person has signed a decision on it (A99)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.operations.reviews.book import PAUSE_DESK, REVIEW, REVIEWED, held, written

if TYPE_CHECKING:
    from engine.ledger.queries import LedgerReader
    from engine.ledger.rows import VerdictRecord
    from engine.operations.reviews.book import Held, Written

APPROVED = "approval_given"


def undecided_breach(reader: LedgerReader, breach: str, at_ms: int) -> bool | None:
    """Return whether a breach stands that no person has decided on.

    A signed review that says `continue` or `adjust` decides on the breach of the report that was signed and of every
    report before it: a breach that nobody has read stands, whenever an older report was signed. An approval of the
    subject `review` decides on every breach before it. A review that says `pause` decides on nothing: while it is the
    last word, promotions stay frozen.

    Args:
        reader: the ledger.
        breach: the outcome of the review policy that freezes.
        at_ms: the moment.

    Returns:
        None: no review was ever judged, and none was held.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    verdicts = reader.verdicts(to_ms=at_ms, policy=REVIEW)
    reviews = held(reader, to_ms=at_ms)
    if reviews and reviews[-1].decision == PAUSE_DESK:
        return True
    approved = (event.at_ms for event in reader.events(APPROVED, to_ms=at_ms) if event.subject == REVIEW)
    since_ms = max(approved, default=0)
    reports = {report.verdict_id: report for kind in REVIEWED for report in written(reader, kind, at_ms)}
    decisions = [review for review in reviews if review.decision != PAUSE_DESK]
    breaches = (verdict for verdict in verdicts if verdict.outcome == breach and verdict.at_ms >= since_ms)
    for verdict in breaches:
        report = reports.get(verdict.verdict_id)
        if not any(_decides(review, verdict, report) for review in decisions):
            return True
    return False if verdicts or reviews else None


def _decides(review: Held, verdict: VerdictRecord, report: Written | None) -> bool:
    """Return whether a review was held of the report that a verdict stands in, or of a later period."""
    if report is None:
        return review.at_ms > verdict.at_ms
    return review.sha256 == report.sha256 or review.to_ms > report.to_ms
