"""A person holds a review: reads the report, decides, and signs report and decision with a key (R089, R104, R224)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import Problem, UsageError
from engine.ledger.rows import sha256_of
from engine.operations.reviews.book import ADJUST, DECISIONS, PAUSE_DESK, Held, Written, held, written
from engine.operations.signatures import SignatureError, sign, verified

if TYPE_CHECKING:
    from engine.ledger import Ledger
    from engine.ledger.queries import LedgerReader
    from engine.operations.signatures import Signer

_TO_DO = {
    PAUSE_DESK: (
        "promotions stay frozen until a later review says otherwise; nothing was closed by this signature: "
        "`stagegate flatten` closes the book and halts the desk"
    ),
    ADJUST: (
        "nothing was moved by this signature: capital goes up by SCALE_UP alone (A100), down by an abort or a restart"
    ),
}


def report_to_review(reader: LedgerReader, kind: str, period: str | None) -> Written:
    """Return the report that is to be reviewed: of a period, or the newest of its kind.

    Raises:
        UsageError: none was written.
        LedgerError: the ledger cannot be read.
    """
    reports = [report for report in written(reader, kind) if period in {None, report.period}]
    if not reports:
        about = f"a {kind} report" if period is None else f"a {kind} report of {period}"
        problem = f"{about} was never written, so there is nothing to review"
        raise UsageError(Problem("no-report", str(reader.path), problem, f"`stagegate report --{kind}` writes one"))
    return reports[-1]


def sign_review(
    ledger: Ledger,
    kind: str,
    decision: str,
    notes: str,
    *,
    key: Path,
    signers: Path,
    now_ms: int,
    period: str | None = None,
) -> Held:
    """Record that a person reviewed a report and decided.

    Args:
        ledger: open for writing.
        kind: weekly or monthly.
        decision: continue, adjust or pause.
        notes: in the person's words; for the record.
        key: the person's private key.
        signers: the allowed-signers file.
        now_ms: the time.
        period: of the report; None: the newest.

    Raises:
        UsageError: there is no such report, it was changed since it was written, or it was reviewed by this person.
        SignatureError: the key is not one of the allowed signers'.
        LedgerError: the ledger cannot be written.
    """
    if decision not in DECISIONS:
        help_ = f"one of {', '.join(DECISIONS)}"
        raise UsageError(Problem("decision", "--decision", f"`{decision}` is no decision on a review", help_))
    report = report_to_review(ledger, kind, period)
    _require_as_written(report)
    review = Held(
        kind, report.period, report.from_ms, report.to_ms, report.sha256, report.path, decision, notes.strip(), now_ms
    )
    signature = sign(review.document.encode(), key)
    signer = verified(review.document.encode(), signature, signers, now_ms)
    before = [one for one in held(ledger, kind) if one.period == report.period and one.by == signer.name]
    if any(one.decision == decision for one in before):
        problem = f"{signer.name} has signed `{decision}` on this report already"
        raise UsageError(Problem("held", f"{kind} {report.period}", problem, "`stagegate review list` shows it"))
    review = replace(review, by=signer.name, key_fingerprint=signer.fingerprint, signature=signature)
    ledger.append(review.row())
    return review


def signer_of(review: Held, signers: Path) -> Signer:
    """Return who signed a review that is on record.

    Raises:
        SignatureError: it was altered, or its key was not valid then, or it names somebody else.
        UsageError: there is no allowed-signers file.
    """
    signer = verified(review.document.encode(), review.signature, signers, review.at_ms)
    if (signer.name, signer.fingerprint) != (review.by, review.key_fingerprint):
        problem = f"it names {review.by}, and {signer.name} signed"
        raise SignatureError(Problem("other-signer", f"{review.kind} {review.period}", problem))
    return signer


def to_do(review: Held) -> str:
    """Return what a decision leaves to be done by hand; empty where nothing."""
    return _TO_DO.get(review.decision, "")


def _require_as_written(report: Written) -> None:
    """Refuse a report that is not on disk as it was written: nobody can have read it."""
    path = Path(report.path).with_suffix(".json")
    try:
        found = sha256_of(path.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        problem = f"the report cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UsageError(Problem("no-report", str(path), problem, f"`stagegate report --{report.kind}`")) from None
    if found != report.sha256:
        problem = f"its SHA-256 is {found[:8]}…, when it was written it was {report.sha256[:8]}…"
        help_ = f"`stagegate report --{report.kind}` writes a new one; keep the altered file for whoever asks"
        raise UsageError(Problem("report-altered", str(path), problem, help_))
