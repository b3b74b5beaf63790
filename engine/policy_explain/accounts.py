"""What a policy makes of a recorded verdict, of facts in a file, or of the last facts in a ledger; fully explained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import iso
from engine.errors import LedgerError, Problem
from engine.ledger import Ledger
from engine.policy.account import Account, account
from engine.policy.derive import Day, History, day_effect
from engine.policy.facts import OK, validated_all
from engine.policy.interpreter import truth
from engine.policy.testing.cases import posted_facts
from engine.posted import facts_from
from engine.reports.policy_view import policy_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.ledger.rows import FactsSnapshot
    from engine.policy.facts import Facts
    from engine.policy.model import Policy, Snapshot
    from engine.policy.testing.given import Given

RISK = "risk"


@dataclass(frozen=True)
class Explanation:
    """An account, and what it is of.

    Attributes:
        account: of the decision.
        title: what it is about: a verdict's id, a file, a ledger.
        at_ms: the moment; None for facts in a file.
        equity_usd: by which points are told in money; None where it is not known.
        recorded: what the ledger says was decided; empty where nothing was.
    """

    account: Account
    title: str
    at_ms: int | None = None
    equity_usd: float | None = None
    recorded: str = ""

    @property
    def differs(self) -> bool:
        """Whether the ledger says otherwise."""
        return bool(self.recorded) and self.recorded != self.account.outcome

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        at = None if self.at_ms is None else iso(self.at_ms)
        return {"of": self.title, "at": at, "recorded_outcome": self.recorded or None, **self.account.to_json()}


def of_verdict(path: Path, verdict_id: str) -> Explanation:
    """Return the account of a recorded verdict, by the texts and facts that its ledger holds.

    Raises:
        LedgerError: no such verdict, or what it was decided on is not in the ledger.
        PolicyError: the recorded policy is of another version's language.
    """
    from engine.inquiry import verdict_record  # noqa: PLC0415 - keeps facts in a file free of ledger and engines

    record = verdict_record(path, verdict_id)
    recorded = json.loads(record.document)
    with Ledger.open(path, read_only=True) as ledger:
        policy = policy_of(ledger, recorded["hashes"])
        facts = ledger.facts_at(record.at_ms)
        days = ledger.day_closes(-1, record.at_ms - 1)
    if policy is None or facts is None or facts.at_ms != record.at_ms:
        missing = "policy" if policy is None else "facts"
        problem = f"the {missing} of `{verdict_id}` are not in the ledger"
        raise LedgerError(Problem(f"no-{missing}", str(path), problem, "restore the ledger from a backup"))
    told = _account(policy, days, facts, recorded["streaks_since_ms"])
    return Explanation(told, verdict_id, record.at_ms, recorded["equity_usd"], record.outcome)


def of_ledger(policy: Policy, path: Path) -> Explanation:
    """Return the account of the last facts that a ledger holds, whatever was decided on them.

    Raises:
        LedgerError: the ledger cannot be read, or holds no facts.
    """
    with Ledger.open(path, read_only=True) as ledger:
        facts = ledger.facts_at()
        if facts is None:
            problem = "no facts were recorded yet"
            raise LedgerError(Problem("nothing-yet", str(path), problem, "run `stagegate verdict` first"))
        days = ledger.day_closes(-1, facts.at_ms - 1)
        record = ledger.latest_verdict(facts.at_ms, policy=policy.name)
        mark = ledger.last_mark(RISK, facts.at_ms)
    since_ms = None if record is None else json.loads(record.document)["streaks_since_ms"]
    told = _account(policy, days, facts, since_ms)
    return Explanation(told, str(path), facts.at_ms, None if mark is None else mark.equity_usd)


def of_given(policy: Policy, given: Given) -> Explanation:
    """Return the account of facts in a file. Of a moment alone, days are known only where the moment ends them."""
    history = History(policy)
    *before, (at_ms, now) = [(at_ms, _validated(policy, posted, at_ms)) for at_ms, posted in given.moments]
    for day_ms, facts in before:
        history.add(Day(day_ms, facts))
    snapshot = history.at(now, at_ms)
    if not given.has_days:
        _forget_days(policy, snapshot, now)
    return Explanation(account(policy, snapshot, _unknown(policy, now)), given.source)


def _account(policy: Policy, days: Iterable[FactsSnapshot], facts: FactsSnapshot, since_ms: int | None) -> Account:
    history = History(policy)
    for day in days:
        history.add(Day(day.at_ms, _validated(policy, facts_from(day.document), day.at_ms)))
    now = _validated(policy, facts_from(facts.document), facts.at_ms)
    return account(policy, history.at(now, facts.at_ms, since_ms=since_ms), _unknown(policy, now))


def _validated(policy: Policy, posted: Facts, at_ms: int) -> Facts:
    return validated_all(posted.values(), policy.vocabulary, at_ms, only=policy.facts)


def _unknown(policy: Policy, facts: Facts) -> list[tuple[str, str]]:
    return [(name, facts[name].status) for name in posted_facts(policy) if facts[name].status != OK]


def _forget_days(policy: Policy, snapshot: Snapshot, facts: Facts) -> None:
    """Take back the days of rules whose streak the present does not end: nothing is known of the days before."""
    for instance in policy.timed:
        now = truth(instance.when, snapshot.values, policy.bands)
        breaks = day_effect(instance, now, facts, policy.vocabulary.facts) < 0
        span = instance.span
        if not breaks or (span is not None and span.of is not None and instance.outcome not in policy.promotes):
            snapshot.values[instance.days_key] = None
