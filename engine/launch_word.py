"""What the launch guard last said, and its warnings that a person has acknowledged by name (R045, A91).

An acknowledgement is of a warning and what it is about: it holds as long as the warning says the same. With another gap
in the prices it is another warning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import Problem, UsageError
from engine.ledger.rows import Event
from engine.policy.facts import MISSING, OK, Fact
from engine.verdict import canonical

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.ledger import Ledger

LAUNCH = "launch"
"""The launch policy, and the fact that other policies read of it."""

GUARD_RAN, ACKNOWLEDGED = "launch_guard", "acknowledged"


@dataclass(frozen=True)
class Acknowledgement:
    """Who acknowledged a warning, when, and why."""

    name: str
    by: str
    at_ms: int
    reason: str


@dataclass(frozen=True)
class LaunchWord:
    """What the launch guard last said.

    Attributes:
        verdict_id: of its verdict.
        outcome: of the launch policy.
        at_ms: when.
        mode: whose money it was about: paper or real.
        stage: to be entered.
        capital_usd: to be at risk there.
        warnings: name -> the facts it was raised on.
        acknowledged: name -> who acknowledged it.
    """

    verdict_id: str
    outcome: str
    at_ms: int
    mode: str
    stage: int
    capital_usd: float
    warnings: Mapping[str, Mapping[str, Any]]
    acknowledged: Mapping[str, Acknowledgement]

    @property
    def unacknowledged(self) -> tuple[str, ...]:
        """The warnings that nobody has acknowledged."""
        return tuple(name for name in self.warnings if name not in self.acknowledged)


def last_word(ledger: Ledger) -> LaunchWord | None:
    """Return what the launch guard last said; None: it has not run on this ledger.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    ran = ledger.events(GUARD_RAN)
    if not ran:
        return None
    said = json.loads(ran[-1].document)
    warnings = said["warnings"]
    return LaunchWord(
        verdict_id=said["verdict_id"],
        outcome=said["outcome"],
        at_ms=ran[-1].at_ms,
        mode=said["mode"],
        stage=said["stage"],
        capital_usd=said["capital_usd"],
        warnings=warnings,
        acknowledged=acknowledged(ledger, warnings),
    )


def launch_fact(ledger: Ledger, stages: Collection[int], digest: str, now_ms: int) -> Fact:
    """Return the fact `launch`: what the guard said last when it looked at one of some stages; missing: nothing yet.

    Args:
        ledger: whose.
        stages: of which its word counts: one about a stage with less at risk says nothing of the balance.
        digest: of the bundle that is deployed: a word about another release does not count (A58).
        now_ms: the time.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    ran = [json.loads(event.document) for event in ledger.events(GUARD_RAN, to_ms=now_ms)]
    ids = [said["verdict_id"] for said in ran if said["stage"] in stages]
    record = ledger.verdict(ids[-1]) if ids else None
    if record is None or json.loads(record.document)["hashes"].get("digest") != digest:
        return Fact(LAUNCH, None, MISSING, now_ms)
    return Fact(LAUNCH, record.outcome, OK, record.at_ms)


def acknowledged(ledger: Ledger, warnings: Mapping[str, Mapping[str, Any]]) -> dict[str, Acknowledgement]:
    """Return which of some warnings were acknowledged as they are, each by whom last."""
    found = {}
    for event in ledger.events(ACKNOWLEDGED):
        said = json.loads(event.document)
        if event.subject in warnings and said["facts"] == warnings[event.subject]:
            found[event.subject] = Acknowledgement(event.subject, said["by"], event.at_ms, said["reason"])
    return found


def acknowledge(ledger: Ledger, name: str, by: str, reason: str, now_ms: int) -> Acknowledgement:
    """Record that a person has seen a warning of the launch guard's last run.

    Args:
        ledger: open for writing.
        name: of the warning.
        by: who.
        reason: why it may stand; may be empty.
        now_ms: when.

    Raises:
        UsageError: not-run: the guard has not run; no-warning: it raised none of this name.
        LedgerError: the ledger cannot be read or written.
    """
    word = last_word(ledger)
    where = str(ledger.path)
    if word is None:
        problem = "the launch guard has not run on this ledger, so there is nothing to acknowledge"
        raise UsageError(Problem("not-run", where, problem, "run `stagegate launch-guard` first"))
    if name not in word.warnings:
        names = ", ".join(f"`{one}`" for one in word.warnings) or "none"
        problem = f"{word.verdict_id} raised no warning `{name}`"
        raise UsageError(Problem("no-warning", where, problem, f"its warnings are: {names}; a failure is mended"))
    document = {"verdict_id": word.verdict_id, "by": by, "reason": reason, "facts": dict(word.warnings[name])}
    identity = f"{ACKNOWLEDGED}-{word.verdict_id}-{name}-{now_ms}"
    ledger.append(Event(identity, now_ms, ACKNOWLEDGED, name, canonical(document)))
    return Acknowledgement(name, by, now_ms, reason)
