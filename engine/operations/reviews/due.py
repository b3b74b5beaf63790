"""What is due: reports that were not written and reviews that nobody held, told once a day (R105, R106, R204).

Called by whoever watches the time: `remind` looks, queues what has to be said, and says it once a UTC day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alerts.alert import QUEUED, Alert, Severity
from engine.clock import DAY_MS, HOUR_MS, day_start, iso
from engine.operations.reviews.book import DAILY, REVIEWED, launched_ms, review_age_days, written
from engine.policy.facts import MISSING, OK, Fact, checked
from engine.policy.interpreter import fires
from engine.policy.model import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.ledger import Ledger
    from engine.ledger.queries import LedgerReader
    from engine.policy.model import Instance, Policy

REHEARSAL = "rehearsal"
DAILY_BY_MS = HOUR_MS
"""So long after midnight the report of the day before is written at the latest."""


def remind(ledger: Ledger, policy: Policy, now_ms: int, *, daily_by_ms: int = DAILY_BY_MS) -> tuple[Alert, ...]:
    """Queue an alert for each report that is missing and each review that is overdue; each once a UTC day.

    Args:
        ledger: open for writing.
        policy: `review`, whose rules say when a review is overdue.
        now_ms: the time.
        daily_by_ms: how long after midnight the daily report may be missing.

    Returns:
        What was queued now; nothing on a rehearsal's ledger, where there is nobody to remind.

    Raises:
        LedgerError: the ledger cannot be read or written.
    """
    if ledger.meta().get("kind") == REHEARSAL:
        return ()
    today_ms = day_start(now_ms)
    said = {Alert.from_row(row).subject for row in ledger.events(QUEUED, from_ms=today_ms)}
    found = [*_missing_daily(ledger, now_ms, daily_by_ms), *_periodic(ledger, policy, now_ms)]
    fresh = tuple(alert for alert in found if alert.subject not in said)
    ledger.append([alert.row() for alert in fresh])
    return fresh


def overdue_rule(policy: Policy, kind: str, days: float | None, now_ms: int) -> Instance | None:
    """Return the rule that calls a review overdue which is so many days old (None: unknown); None: none does."""
    name = f"{kind}_review_age"
    fact = Fact(name, days, OK, now_ms) if days is not None else Fact(name, None, MISSING, now_ms)
    steps = checked(fact, policy.vocabulary.facts[name], now_ms)[1]
    for instance in policy.instances:
        about_age = set(facts_of(instance.when)) == {name}
        if about_age and instance.rule.enabled and fires(instance, {name: steps}, {}):
            return instance
    return None


def _periodic(reader: LedgerReader, policy: Policy, now_ms: int) -> Iterator[Alert]:
    begun_ms = launched_ms(reader)
    if begun_ms is None:
        return
    for kind in REVIEWED:
        age = review_age_days(reader, kind, now_ms)
        rule = overdue_rule(policy, kind, age, now_ms)
        reports = written(reader, kind, now_ms)
        since_ms = reports[-1].at_ms if reports else begun_ms
        unwritten = overdue_rule(policy, kind, max(0, now_ms - since_ms) / DAY_MS, now_ms)
        if unwritten is not None:
            yield _report_missing(kind, since_ms, now_ms, first=not reports)
        if rule is not None and age is not None:
            yield _review_overdue(kind, age, rule, now_ms)


def _missing_daily(reader: LedgerReader, now_ms: int, daily_by_ms: int) -> Iterator[Alert]:
    begun_ms = launched_ms(reader)
    due_ms = day_start(now_ms - daily_by_ms)  # the midnight whose day must have its report by now
    if begun_ms is None or due_ms <= begun_ms:
        return
    day = iso(due_ms - DAY_MS)[:10]
    if all(report.period != day or report.to_ms < due_ms for report in written(reader, DAILY, now_ms)):
        yield Alert(
            now_ms,
            Severity.WARN,
            f"daily report {day}",
            f"the daily report of {day} was not written",
            (
                ("why", f"nothing is on record {(now_ms - due_ms) // HOUR_MS} hours after the day's end (R105)"),
                ("do", "`stagegate report --daily` writes it; `stagegate status` says what runs"),
            ),
        )


def _report_missing(kind: str, since_ms: int, now_ms: int, *, first: bool) -> Alert:
    since = "since the launch" if first else "since the last one"
    return Alert(
        now_ms,
        Severity.WARN,
        f"{kind} report missing",
        f"no {kind} report was written {since}",
        (("why", f"{since}: {iso(since_ms)[:10]} (R106)"), ("do", f"`stagegate report --{kind}`")),
    )


def _review_overdue(kind: str, age_days: float, rule: Instance, now_ms: int) -> Alert:
    return Alert(
        now_ms,
        Severity.WARN,
        f"{kind} review overdue",
        f"{rule.rule.because}: {age_days:.1f} days",
        (
            ("why", f"rule {rule.id} of the review policy ({' '.join(rule.rule.refs)})"),
            ("do", f"`stagegate report --{kind}`, read it, then `stagegate review sign {kind} --decision … --key …`"),
        ),
    )
