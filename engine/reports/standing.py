"""What stood around a verdict: bounds in force, running episodes, waiting approvals, how long each rule has fired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.reports.days import firing_since
from engine.reports.events import details
from engine.reports.policy_view import recorded_policy, recorded_release
from engine.reports.snapshots import fact_day
from engine.reports.verdicts import parse_verdict
from engine.reports.why import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.ledger import Event
    from engine.ledger.queries import LedgerReader
    from engine.reports.policy_view import PolicyView
    from engine.reports.snapshots import FactDay
    from engine.reports.verdicts import Verdict

BOUNDS = "bounds"
_TAIL = 60  # verdicts looked back on for "since when"; an episode of a daily policy is shorter
_ENDS = {"approval_given", "approval_withdrawn"}
_CLEARS = {"flatten", "restart"}
_ASKS = {"approval_requested", *_ENDS, *_CLEARS}


def read_standing(
    reader: LedgerReader, verdict: Verdict, policy: PolicyView | None = None, *, tail: int = _TAIL
) -> Standing:
    """Return what stood around a recorded verdict.

    Args:
        reader: the ledger that recorded it.
        verdict: any of its verdicts.
        policy: the verdict's policy where it is at hand; None reads it from the ledger.
        tail: how many verdicts to look back on for "since when".

    Raises:
        LedgerError: the ledger cannot be read.
    """
    records = reader.verdicts(to_ms=verdict.at_ms, policy=verdict.policy, last=tail)
    verdicts = [parse_verdict(record.document) for record in records]
    while verdicts and verdicts[-1].verdict_id != verdict.verdict_id:
        verdicts.pop()  # another verdict of the same instant came after it
    snapshot = reader.facts_at(verdict.at_ms)
    return standing_of(
        verdicts or [verdict],
        reader.events(to_ms=verdict.at_ms),
        recorded_policy(reader, verdict.hashes) if policy is None else policy,
        release=recorded_release(reader, verdict.hashes),
        facts=None if snapshot is None else fact_day(snapshot),
    )


def standing_of(
    verdicts: Sequence[Verdict], events: Sequence[Event], policy: PolicyView, *, release: str, facts: FactDay | None
) -> Standing:
    """Return what stood around the last of `verdicts`.

    Args:
        verdicts: of one policy, oldest first, at least one.
        events: up to that verdict, oldest first.
        policy: the verdict's.
        release: the bundle's name.
        facts: the snapshot it was given on; None leaves the ages out.
    """
    last = verdicts[-1]
    bounds = [event for event in events if event.kind == BOUNDS]
    exposure, since_ms = _exposure(bounds)
    entries = details(bounds[-1]).get("entries") if bounds else None
    return Standing(
        release=release,
        severity=policy.severity,
        promotes=policy.promotes,
        exposure=exposure,
        exposure_since_ms=since_ms,
        entries_allowed=None if entries is None else entries in {"allowed", True},
        firing_since_ms=firing_since(verdicts),
        oldest_fact=None if facts is None else _oldest(facts, last.at_ms),
        recovery_from_ms=_recovery(verdicts, events, policy),
        waiting=waiting_requests(events),
    )


def waiting_requests(events: Iterable[Event]) -> tuple[str, ...]:
    """Return the requests that nobody has answered yet, in words; a pause and a restart clear what waited before."""
    waiting: dict[tuple[str, str], str] = {}
    for event in events:
        if event.kind not in _ASKS:
            continue
        about = str(details(event).get("subject", ""))
        if event.kind == "approval_requested":
            needed = details(event).get("approvals")
            text = event.subject.replace("_", " ") + (f" of {about}" if about else "")
            waiting[event.subject, about] = f"{text} ({needed} needed)" if needed else text
        elif event.kind in _ENDS:
            answered = {(event.subject, about)} if about else {key for key in waiting if key[0] == event.subject}
            waiting = {key: text for key, text in waiting.items() if key not in answered}
        elif event.kind in _CLEARS:
            waiting = {}
    return tuple(waiting.values())


def _exposure(bounds: Sequence[Event]) -> tuple[float | None, int | None]:
    """Return the exposure in force and since when it has been the same."""
    exposure, since_ms = None, None
    for event in bounds:
        value = details(event).get("exposure")
        if isinstance(value, int | float) and value != exposure:
            exposure, since_ms = float(value), event.at_ms
    return exposure, since_ms


def _recovery(verdicts: Sequence[Verdict], events: Sequence[Event], policy: PolicyView) -> int | None:
    """Return the earliest end of the episodes that run: the last firing of a rule of theirs, plus their recovery."""
    running: dict[str, int] = {}
    for event in events:
        if event.kind == "episode_start":
            running[event.subject] = event.at_ms
        elif event.kind == "episode_end":
            running.pop(event.subject, None)
        elif event.kind in _CLEARS:
            running.clear()
    ends: list[int] = []
    for kind, started_ms in running.items():
        recovery_ms = policy.recovery_ms.get(kind)
        if recovery_ms is None:
            continue
        seen = (
            verdict.at_ms
            for verdict in reversed(verdicts)
            if any(policy.episode_of.get(rule) == kind for rule in verdict.fired)
        )
        ends.append(max(next(seen, started_ms), started_ms) + recovery_ms)
    return max(ends, default=None)


def _oldest(facts: FactDay, now_ms: int) -> tuple[str, int] | None:
    ages = {name: now_ms - fact.as_of_ms for name, fact in facts.facts.items() if fact.value is not None}
    return max(ages.items(), key=lambda item: item[1]) if ages else None
