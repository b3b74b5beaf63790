"""Reviews and the consistency of signals in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import iso
from engine.reports.numbers import comparison, count, minute_text, number, percent
from engine.reports.tables import table
from engine.reports.terminal_tables import rich_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table as RichTable

    from engine.comparison.signals import Consistency
    from engine.operations.reviews.book import Held, Written
    from engine.reports.review_writing import ReviewWritten


def review_written_text(done: ReviewWritten) -> str:
    """Return what the review policy says, where the report is, and what to do with it."""
    kind, period = done.period.kind, done.period.name
    head = "written" if done.archived.is_new else "already there, nothing was written"
    lines = [f"{done.outcome}  {done.because}", f"  {done.verdict_id}"]
    if done.no_comparison:
        lines.append(f"  not compared: {done.no_comparison}")
    lines += [head, *(f"  {path}" for path in done.archived.paths)]
    return "\n".join(
        [*lines, f"next  read it, then `stagegate review sign {kind} --period {period} --decision … --key …`"]
    )


def reviews_table(rows: Sequence[tuple[Written, str, Held | None]]) -> RichTable:
    """Return reports with what became of their review, newest first."""
    cells = [
        (
            report.kind,
            report.period,
            report.outcome or "unknown",
            state,
            "" if review is None else f"{review.decision} by {review.by}",
            "" if review is None else minute_text(review.at_ms),
        )
        for report, state, review in rows
    ]
    return rich_table(table("kind | =period | !verdict | review | decision | =when", cells))


def review_text(report: Written, state: str, reviews: Sequence[Held]) -> str:
    """Return one report and the reviews of it."""
    lines = [
        f"{report.kind} {report.period}  {report.outcome or 'unknown'}  review {state}",
        f"  period   {iso(report.from_ms)} to {iso(report.to_ms)}",
        f"  report   {report.path}",
        f"  SHA-256  {report.sha256}",
        f"  verdict  {report.verdict_id}: `stagegate verdict show {report.verdict_id}`",
    ]
    for review in reviews:
        lines.append(f"  {review.decision} by {review.by}, {minute_text(review.at_ms)}, key {review.key_fingerprint}")
        lines += [f"    {line}" for line in review.notes.splitlines()]
    if not reviews:
        lines.append(f"next  `stagegate review sign {report.kind} --period {report.period} --decision … --key …`")
    return "\n".join(lines)


def signed_text(review: Held, to_do: str) -> str:
    """Return what was signed, and what it leaves to do."""
    head = f"{review.kind} review of {review.period}: {review.decision}, signed by {review.by}"
    return "\n".join([head, f"  key {review.key_fingerprint}", *([f"next  {to_do}"] if to_do else [])])


def consistency_text(found: Consistency, needed: str) -> str:
    """Return how many signals are equal, sleeve by sleeve, and the first that is not."""
    whole = "nothing to compare" if found.percent is None else f"{percent(found.percent, 2)} of signals equal"
    lines = [
        f"{whole}: {found.matched:,} of {found.compared:,}, {comparison(needed)} is needed",
        f"  {iso(found.from_ms)} to {iso(found.to_ms)}",
    ]
    lines += [
        f"  {symbol:<10} {each.matched:>7,} of {count(each.compared, 'bar')}" for symbol, each in found.sleeves.items()
    ]
    if found.first is not None:
        live, replay = (_position(value) for value in (found.first.live, found.first.replay))
        lines.append(f"  first mismatch: {found.first.symbol} at the bar of {minute_text(found.first.bar_ms)}")
        lines.append(f"    recorded {live}, replay {replay}")
    if not found.enough:
        lines.append("  too few bars yet for the fact `signal_consistency`, which a promotion reads")
    return "\n".join(lines)


def _position(value: float | None) -> str:
    return "no signal" if value is None else number(value, 6, signed=True)
