"""A ledger as a report sees it: read once, up to one instant, and nothing after that instant exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import DAY_MS
from engine.drill import DRILL, OF_DRILL, VENUE
from engine.reports.days import DayVerdict, verdict_days
from engine.reports.policy_view import (
    ConfigView,
    PolicyView,
    recorded_config,
    recorded_policy,
    recorded_release,
)
from engine.reports.snapshots import fact_day
from engine.reports.verdicts import RecordedVerdicts, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.ledger import (
        CashFlow,
        Event,
        Fill,
        FundingPayment,
        Marks,
        SleeveMarks,
    )
    from engine.ledger.queries import LedgerReader
    from engine.reports.snapshots import FactDay

RISK = "risk"
SHADOW = "shadow"
ACTION = "action"
_ALL_DAYS = 1_000_000


@dataclass(frozen=True)
class LedgerView:
    """Everything a report needs of a ledger.

    Attributes:
        path: the ledger's file.
        meta: what is known of the ledger itself.
        now_ms: the last mark, or the instant that was asked for; 0 for a ledger without marks.
        risk: marks of the account with the policy in the loop.
        shadow: marks of the account at exposure 1 without a policy.
        sleeves: symbol -> sleeve marks of the risk account.
        fills: of the risk account, oldest first, as are `funding` and `flows`.
        facts: snapshots at the ends of complete UTC days, oldest first.
        latest_facts: the newest snapshot of all; None where there is none.
        verdicts: of the policy that the last verdict used, oldest first; as far back as was asked for.
        days: the most severe verdict of each day, oldest first.
        events: of every kind, oldest first.
        policy: the last verdict's policy.
        config: the last verdict's configuration.
        release: the bundle's name, empty where not known.
    """

    path: Path
    meta: Mapping[str, str]
    now_ms: int
    risk: Marks
    shadow: Marks
    sleeves: Mapping[str, SleeveMarks]
    fills: tuple[Fill, ...]
    funding: tuple[FundingPayment, ...]
    flows: tuple[CashFlow, ...]
    facts: tuple[FactDay, ...]
    latest_facts: FactDay | None
    verdicts: RecordedVerdicts
    days: tuple[DayVerdict, ...]
    events: tuple[Event, ...]
    policy: PolicyView
    config: ConfigView
    release: str

    @property
    def verdict(self) -> Verdict | None:
        """The last verdict."""
        return self.verdicts[-1] if self.verdicts else None

    @property
    def from_ms(self) -> int:
        """The first mark; 0 for a ledger without marks."""
        return int(self.risk.at_ms[0]) if len(self.risk) else 0

    @property
    def complete_days(self) -> int:
        """How many UTC days lie whole between the first mark and now."""
        return max(0, self.now_ms // DAY_MS - -(-self.from_ms // DAY_MS))

    @property
    def marking(self) -> str:
        """``DRILL`` where its money is a simulator's, else empty: the head of whatever is shown of it."""
        return DRILL if self.meta.get(VENUE) == OF_DRILL else ""

    def of_kind(self, kind: str) -> tuple[Event, ...]:
        """Return the events of one kind, oldest first."""
        return tuple(event for event in self.events if event.kind == kind)


def read_view(reader: LedgerReader, at_ms: int | None = None, *, days: int | None = None) -> LedgerView:
    """Return the ledger as it stood at `at_ms`.

    Args:
        reader: an open ledger.
        at_ms: UTC milliseconds; None is the last mark (on a rehearsal's ledger "now" is its last mark).
        days: how many days of verdicts a report needs; None: all.

    Raises:
        LedgerError: the ledger cannot be read, or a recorded document is not of its form.
    """
    last = reader.last_mark(RISK, at_ms)
    now_ms = at_ms if at_ms is not None else (last.at_ms if last else 0)
    # the desk's own; only a ledger without any is read by what the risk guard decided
    newest = reader.latest_verdict(now_ms, policy=ACTION) or reader.latest_verdict(now_ms)
    since_ms = None if days is None or newest is None else min(now_ms - days * DAY_MS, newest.at_ms)
    verdicts = RecordedVerdicts(reader.verdicts(since_ms, now_ms, policy=newest.policy) if newest else ())
    hashes = verdicts[-1].hashes if verdicts else {}
    policy = recorded_policy(reader, hashes)
    # the facts of the last verdict: others, of the risk guard or a review, are of another policy
    snapshot = reader.facts_at(verdicts[-1].at_ms if verdicts else now_ms)
    return LedgerView(
        path=reader.path,
        meta=reader.meta(),
        now_ms=now_ms,
        risk=reader.marks(RISK, to_ms=now_ms),
        shadow=reader.marks(SHADOW, to_ms=now_ms),
        sleeves=reader.sleeve_marks(RISK, to_ms=now_ms),
        fills=reader.fills(RISK, to_ms=now_ms),
        funding=reader.funding(RISK, to_ms=now_ms),
        flows=reader.cash_flows(RISK, to_ms=now_ms),
        facts=tuple(fact_day(each) for each in reader.day_closes(_ALL_DAYS, now_ms)),
        latest_facts=None if snapshot is None else fact_day(snapshot),
        verdicts=verdicts,
        days=verdict_days(verdicts, policy.severity),
        events=reader.events(to_ms=now_ms),
        policy=policy,
        config=recorded_config(reader, hashes),
        release=recorded_release(reader, hashes),
    )
