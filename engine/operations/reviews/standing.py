"""How a desk stands to its reviews: a breach freezes promotions until a person has signed a decision on it (A99)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.operations.reviews.book import PAUSE_DESK, REVIEW, held

if TYPE_CHECKING:
    from engine.ledger.queries import LedgerReader

APPROVED = "approval_given"


def undecided_breach(reader: LedgerReader, breach: str, at_ms: int) -> bool | None:
    """Return whether a breach stands that no person has decided on.

    A signed review that says `continue` or `adjust` decides on every breach before it, and so does an approval of the
    subject `review`. One that says `pause` decides on nothing: while it is the last word, promotions stay frozen.

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
    decided = [event.at_ms for event in reader.events(APPROVED, to_ms=at_ms) if event.subject == REVIEW]
    decided += [review.at_ms for review in reviews if review.decision != PAUSE_DESK]
    since_ms = max(decided, default=0)
    if any(verdict.outcome == breach and verdict.at_ms >= since_ms for verdict in verdicts):
        return True
    return False if verdicts or reviews else None
