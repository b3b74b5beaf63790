"""The reviews of a ledger: which reports were written, and which of them a person has held, with what decision."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import DAY_MS, iso
from engine.ledger.rows import Event, sha256_of

if TYPE_CHECKING:
    from engine.ledger.queries import LedgerReader

DAILY, WEEKLY, MONTHLY = "daily", "weekly", "monthly"
REVIEWED = (WEEKLY, MONTHLY)
"""Reports that a person reviews."""

REPORT, REVIEW = "report", "review"
"""Kinds of events, and `REVIEW` also the name of the policy."""

CONTINUE, ADJUST, PAUSE_DESK = "continue", "adjust", "pause"
DECISIONS = (CONTINUE, ADJUST, PAUSE_DESK)

_SIGNED_BESIDE = ("by", "key_fingerprint", "signature")


@dataclass(frozen=True)
class Written:
    """A report that was written.

    Attributes:
        kind: daily, weekly or monthly.
        period: its name: the last day that it is about.
        from_ms: the start of what it is about.
        to_ms: the end.
        sha256: of its JSON file.
        path: of its page.
        at_ms: when it was written.
        outcome: of the review policy; empty for a daily one.
        verdict_id: of that verdict; empty for a daily one.
    """

    kind: str
    period: str
    from_ms: int
    to_ms: int
    sha256: str
    path: str
    at_ms: int
    outcome: str = ""
    verdict_id: str = ""

    def row(self) -> Event:
        """Return the ledger's row."""
        values = {name: value for name, value in asdict(self).items() if name != "at_ms"}
        return Event(
            f"report-{self.kind}-{self.period}-{self.sha256[:12]}", self.at_ms, REPORT, self.kind, _text(values)
        )

    @classmethod
    def from_row(cls, row: Event) -> Written:
        """Return what `row` wrote."""
        values = json.loads(row.document)
        return cls(
            **{**{name: values[name] for name in cls.__dataclass_fields__ if name in values}, "at_ms": row.at_ms}
        )


@dataclass(frozen=True)
class Held:
    """A review that a person held.

    Attributes:
        kind: weekly or monthly.
        period: of the report.
        from_ms: the start of the period.
        to_ms: its end.
        sha256: of the report that was signed.
        path: of its page.
        decision: continue, adjust or pause.
        notes: in the person's words.
        at_ms: when it was signed.
        by: whose key.
        key_fingerprint: of the key.
        signature: over `document`.
    """

    kind: str
    period: str
    from_ms: int
    to_ms: int
    sha256: str
    path: str
    decision: str
    notes: str
    at_ms: int
    by: str = ""
    key_fingerprint: str = ""
    signature: str = ""

    @property
    def document(self) -> str:
        """What the person signs: canonical JSON of everything but the signature itself."""
        return _text({name: value for name, value in asdict(self).items() if name not in _SIGNED_BESIDE})

    def row(self) -> Event:
        """Return the ledger's row."""
        name = f"review-{self.kind}-{self.period}-{sha256_of(self.signature)[:12]}"
        return Event(name, self.at_ms, REVIEW, self.kind, _text(asdict(self)))

    @classmethod
    def from_row(cls, row: Event) -> Held:
        """Return what `row` wrote."""
        values = json.loads(row.document)
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


def written(reader: LedgerReader, kind: str, to_ms: int | None = None) -> tuple[Written, ...]:
    """Return the reports of one kind, oldest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return tuple(Written.from_row(row) for row in reader.events(REPORT, to_ms=to_ms) if row.subject == kind)


def held(reader: LedgerReader, kind: str | None = None, to_ms: int | None = None) -> tuple[Held, ...]:
    """Return the reviews of one kind (None: of both), oldest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return tuple(Held.from_row(row) for row in reader.events(REVIEW, to_ms=to_ms) if kind in {None, row.subject})


def launched_ms(reader: LedgerReader) -> int | None:
    """Return when the rollout began; None: it has not."""
    found = reader.meta().get("from_ms")
    return None if found is None else int(found)


def review_age_days(reader: LedgerReader, kind: str, now_ms: int) -> float | None:
    """Return the days since the last review of a kind was held; since the launch before the first one.

    Returns:
        None: nothing was launched.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    reviews = held(reader, kind, now_ms)
    since_ms = reviews[-1].at_ms if reviews else launched_ms(reader)
    return None if since_ms is None else max(0, now_ms - since_ms) / DAY_MS


def state_of(report: Written, reviews: tuple[Held, ...], newest: Written, *, overdue: bool) -> str:
    """Say of a report in one word whether it was reviewed: held, due, overdue, or passed where a later one stands."""
    if any(review.period == report.period for review in reviews):
        return "held"
    if report.period != newest.period:
        return "passed"
    return "overdue" if overdue else "due"


def when(at_ms: int) -> str:
    """Return an instant to the minute, UTC."""
    return f"{iso(at_ms)[:16].replace('T', ' ')} UTC"


def _text(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
