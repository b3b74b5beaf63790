"""A policy over recorded history: what it would have decided on each day, by the interpreter, and where two differ.

The facts are those of the ledger. A policy that had been in force would have changed some of them (exposure, stage,
equity); `stagegate policy replay --in-loop` rehearses instead.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from engine.clock import iso
from engine.ledger import Ledger
from engine.policy.derive import History
from engine.policy.interpreter import evaluate, outcome_of
from engine.posted import facts_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from engine.policy.facts import Facts
    from engine.policy.model import Policy


SHADOW_VERDICT = "shadow_verdict"
"""The kind of the events of a candidate that runs beside production; the subject is its bundle's digest."""


@dataclass(frozen=True)
class RecordedDay:
    """The end of one complete UTC day, as the ledger knows it.

    Attributes:
        at_ms: 00:00 of the next day.
        facts: as they were posted.
        streaks_since_ms: where streaks began, as the day's verdict recorded it.
        outcome: what was decided then; empty where no verdict was recorded.
    """

    at_ms: int
    facts: Facts
    streaks_since_ms: int | None
    outcome: str


@dataclass(frozen=True)
class DayOutcome:
    """What a policy decides at the end of one day."""

    at_ms: int
    outcome: str
    fired: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """A day on which two policies decide differently."""

    at_ms: int
    before: DayOutcome
    after: DayOutcome


@dataclass(frozen=True)
class Stretch:
    """Days in a row with one outcome, `end_ms` included."""

    outcome: str
    start_ms: int
    end_ms: int
    days: int


@dataclass(frozen=True)
class PolicyReplay:
    """A policy over a recorded history.

    Attributes:
        source: the ledger.
        days: one entry a recorded day, oldest first.
        severity: outcomes, most severe first.
    """

    source: str
    days: tuple[DayOutcome, ...]
    severity: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Days by outcome, most severe first."""
        found = Counter(day.outcome for day in self.days)
        return {outcome: found[outcome] for outcome in self.severity}

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """The days joined where the outcome stays the same."""
        result = []
        for outcome, group in groupby(self.days, key=lambda day: day.outcome):
            days = list(group)
            result.append(Stretch(outcome, days[0].at_ms, days[-1].at_ms, len(days)))
        return tuple(result)

    @property
    def transitions(self) -> dict[str, int]:
        """How often one outcome followed another, as ``KEEP → REDUCE``."""
        stretches = self.stretches
        pairs = pairwise(stretches)
        return dict(sorted(Counter(f"{one.outcome} → {two.outcome}" for one, two in pairs).items()))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "source": self.source,
            "counts": self.counts,
            "transitions": self.transitions,
            "stretches": [
                {"outcome": one.outcome, "from": iso(one.start_ms), "to": iso(one.end_ms), "days": one.days}
                for one in self.stretches
            ],
        }


def recorded_days(path: Path, policy: str = "action") -> tuple[RecordedDay, ...]:
    """Return every complete day of a ledger, oldest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with Ledger.open(path, read_only=True) as ledger:
        verdicts = {record.at_ms: record for record in ledger.verdicts(policy=policy)}
        snapshots = ledger.day_closes(-1)
    days = []
    for snapshot in snapshots:
        record = verdicts.get(snapshot.at_ms)
        since_ms = json.loads(record.document)["streaks_since_ms"] if record else None
        days.append(
            RecordedDay(snapshot.at_ms, facts_from(snapshot.document), since_ms, record.outcome if record else "")
        )
    return tuple(days)


def replayed(policy: Policy, days: Iterable[RecordedDay]) -> tuple[DayOutcome, ...]:
    """Return what the policy decides at the end of each day, by the interpreter.

    Args:
        policy: any policy over the ledger's vocabulary.
        days: oldest first.
    """
    history = History(policy)
    result = []
    for day in days:
        reading = history.read(day.facts, day.at_ms)
        history.end_day(reading)
        fired = evaluate(policy, history.snapshot(reading, since_ms=day.streaks_since_ms))
        result.append(DayOutcome(day.at_ms, outcome_of(policy, fired), fired))
    return tuple(result)


def replay_policy(policy: Policy, path: Path) -> PolicyReplay:
    """Return the policy over everything a ledger recorded.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return PolicyReplay(str(path), replayed(policy, recorded_days(path)), policy.outcomes)


@dataclass(frozen=True)
class ShadowVerdict:
    """What a candidate decided beside a verdict of production, on the same facts; it bound nothing.

    Attributes:
        at_ms: the moment.
        policy: the policy's name.
        policy_sha256: the candidate's.
        outcome: the candidate's.
        production: what was in force.
        fired: the candidate's rules.
    """

    at_ms: int
    policy: str
    policy_sha256: str
    outcome: str
    production: str
    fired: tuple[str, ...]


def shadow_verdicts(ledger: Ledger, policy_sha256: str) -> tuple[ShadowVerdict, ...]:
    """Return what one version of a policy decided beside production (`serve --shadow`), oldest first.

    They are events of a kind of their own, never verdicts: whoever reads what binds cannot find them.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    found = []
    for event in ledger.events(SHADOW_VERDICT):
        said = json.loads(event.document)
        if said["policy_sha256"] == policy_sha256:
            found.append(
                ShadowVerdict(
                    event.at_ms,
                    said["policy"],
                    policy_sha256,
                    said["outcome"],
                    said["production"],
                    tuple(said["fired"]),
                )
            )
    return tuple(found)


def differences(before: Sequence[DayOutcome], after: Sequence[DayOutcome]) -> tuple[Difference, ...]:
    """Return the days on which two replays of the same history differ in outcome."""
    pairs = zip(before, after, strict=True)
    return tuple(Difference(old.at_ms, old, new) for old, new in pairs if old.outcome != new.outcome)


def softer_days(found: Iterable[Difference], severity: Sequence[str]) -> tuple[Difference, ...]:
    """Return the differing days whose new outcome is less severe than the old one."""
    rank = {outcome: place for place, outcome in enumerate(severity)}
    lowest = len(rank)
    return tuple(day for day in found if rank.get(day.after.outcome, lowest) > rank.get(day.before.outcome, lowest))
