"""From facts to the guard's decision: the policy by both engines, what is recorded of it, and what is published."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import HOUR_MS, MINUTE_MS
from engine.errors import Problem, UsageError
from engine.ledger.rows import Event
from engine.live.decision_file import GuardDecision, named
from engine.policy.facts import OK
from engine.risk_guard.books import GUARD
from engine.verdict import Judge, Situation, canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine.ledger.rows import Row
    from engine.policy.decide import Engine
    from engine.policy.facts import Fact
    from engine.policy.model import Policy
    from engine.risk_guard.books import Books
    from engine.risk_guard.facts import Value
    from engine.verdict import Verdict

POLICY = "risk_guard"
_INSTANTS = 16  # more than one look can come to within a millisecond
INCIDENT = "incident"
DISTRUST = ("engines", "MEDIUM")
"""The incident of engines that differ (A85)."""


@dataclass(frozen=True)
class Judgement:
    """What the guard thinks at one moment.

    Attributes:
        verdict: of both engines.
        decision: to be published.
        before: the outcome until now; empty where there was none.
        changed: the outcome is another than before, or about another epoch.
    """

    verdict: Verdict
    decision: GuardDecision
    before: str
    changed: bool


class Mind:
    """Decides one moment after another.

    Args:
        policy: the risk guard's.
        engine: the production engine with it.
        hashes: of bundle and configuration.
        engine_version: of this program.
        ledger: which account it is about.
        valid_ms: how long a decision holds that is not renewed.
        before: what an earlier run decided last: an outcome that lasts keeps its id, and its acknowledgement counts.

    Raises:
        UsageError: timed-guard: a rule of the policy counts days, and the guard looks at the moment alone.
    """

    def __init__(
        self,
        policy: Policy,
        engine: Engine,
        hashes: Mapping[str, str],
        engine_version: str,
        *,
        ledger: Path,
        valid_ms: int,
        before: GuardDecision | None = None,
    ) -> None:
        require_timeless(policy)
        self._policy = policy
        self._judge = Judge(policy, engine, hashes, engine_version)
        self._ledger = named(ledger)
        self._valid_ms = valid_ms
        self._last = before if before is not None and before.ledger == self._ledger else None
        self._recorded: tuple[str, tuple[str, ...], bool, int] | None = None
        self._instants: deque[int] = deque(maxlen=_INSTANTS)

    def exit_code(self, outcome: str) -> int:
        """Return the command line's exit code for an outcome."""
        return self._policy.exit_codes[outcome]

    def alert_of(self, outcome: str) -> str | None:
        """Return which alert the policy wants where an outcome begins."""
        return self._policy.effects[outcome].alert

    def judge(
        self,
        facts: Mapping[str, Fact],
        books: Books | None,
        value: Value | None,
        now_ms: int,
        *,
        problems: Sequence[str] = (),
    ) -> Judgement:
        """Return what the policy makes of the facts of now; nothing of it counts before it is taken.

        Args:
            facts: by name, not validated.
            books: the ledger's.
            value: of a unit; None: unknown.
            now_ms: the moment.
            problems: what is not known or cannot be done, in words.
        """
        verdict = self._judge.verdict(facts, self._instant(now_ms), _situation(books, value))
        fired, trusted = verdict.decision.fired, verdict.decision.trusted
        effects = self._policy.effects[verdict.outcome]
        instances = [self._policy.by_id[name] for name in fired]
        epoch_ms = 0 if books is None else books.posture.epoch_ms
        last = self._last
        changed = last is None or (last.outcome, last.epoch_ms) != (verdict.outcome, epoch_ms)
        decision = GuardDecision(
            decision_id=verdict.verdict_id if last is None or changed else last.decision_id,
            ledger=self._ledger,
            outcome=verdict.outcome,
            since_ms=now_ms if last is None or changed else last.since_ms,
            at_ms=now_ms,
            valid_until_ms=now_ms + self._valid_ms,
            epoch_ms=epoch_ms,
            entries_blocked=effects.entries_blocked
            or not trusted
            or any(each.effects.entries_blocked for each in instances),
            closes=effects.exposure == 0,
            fired=fired,
            because=tuple(each.rule.because for each in instances),
            trusted=trusted,
            facts=_shown(verdict),
            equity=_equity(books, value),
            problems=tuple(problems),
        )
        return Judgement(verdict, decision, last.outcome if last else "", changed)

    def _instant(self, now_ms: int) -> int:
        """Return the moment of a verdict: the ledger holds the facts of a moment once, and a bar's are the runner's."""
        at_ms = now_ms if now_ms % MINUTE_MS else now_ms + 1
        while at_ms in self._instants:
            at_ms += 1
        return at_ms

    def take(self, judgement: Judgement) -> tuple[Row, ...]:
        """Let a judgement count; return what is recorded of it.

        That is the verdict on a change and once an hour, and an incident where one begins.
        """
        decision = self._last = judgement.decision
        state = (decision.outcome, decision.fired, decision.trusted, decision.at_ms // HOUR_MS)
        before, self._recorded = self._recorded, state
        if state == before:
            return ()
        self._instants.append(judgement.verdict.at_ms)
        rows: list[Row] = judgement.verdict.rows()
        incident = self._policy.effects[decision.outcome].incident
        if judgement.changed and incident:
            rows.append(_incident(decision, decision.outcome, incident))
        if not decision.trusted and (before is None or before[2]):
            rows.append(_incident(decision, *DISTRUST))
        return tuple(rows)


def _situation(books: Books | None, value: Value | None) -> Situation:
    if books is None:
        return Situation(0, 0.0, 0.0, None)
    posture = books.posture
    equity_usd = None if value is None else value.nav * books.units
    return Situation(posture.stage, posture.exposure, posture.cap_usd, equity_usd)


def _shown(verdict: Verdict) -> dict[str, object]:
    read = ((name, verdict.facts[name]) for name in verdict.policy.facts if name in verdict.facts)
    return {name: fact.value if fact.status == OK else fact.status for name, fact in read}


def _equity(books: Books | None, value: Value | None) -> dict[str, float]:
    if books is None or value is None:
        return {}
    return {
        "equity_usd": value.nav * books.units,
        "nav": value.nav,
        "peak_nav": value.peak,
        "units": books.units,
        "marked_at_ms": value.at_ms,
    }


def _incident(decision: GuardDecision, subject: str, severity: str) -> Event:
    document = canonical({"severity": severity, "by": GUARD, "decision_id": decision.decision_id})
    return Event(f"{GUARD}-{INCIDENT}-{subject}-{decision.at_ms}", decision.at_ms, INCIDENT, subject, document)


def require_timeless(policy: Policy) -> None:
    """Refuse a policy that counts days: the risk guard looks at the moment alone.

    Raises:
        UsageError: timed-guard.
    """
    if policy.timed:
        names = ", ".join(f"`{each.id}`" for each in policy.timed)
        problem = f"the risk guard looks at the moment alone, and {names} would count days"
        raise UsageError(Problem("timed-guard", policy.source, problem, "leave out `for`"))
