"""A candidate bundle beside the one in force: it decides on the same facts, is recorded apart, and binds nothing.

What it decides stands in the ledger as events of a kind of their own, never as verdicts: no reader of what is in force
can find it there. `stagegate policy diff --history` shows both.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from engine.errors import Problem, UsageError
from engine.history import SHADOW_VERDICT
from engine.inquiry import ACTION, GUARD
from engine.ledger import Event, Ledger
from engine.policy.worker import Worker
from engine.posted import facts_from
from engine.service.book import SERVICE
from engine.verdict import Judge, Situation, bundle_documents, bundle_hashes, canonical
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.ledger.rows import VerdictRecord
    from engine.policy.bundle import Bundle
    from engine.policy.decide import Engine
    from engine.policy.model import Policy
    from engine.service.duty import Duty

DECIDED = (ACTION, GUARD)
"""The policies that decide on a running desk."""

BEGUN = "shadow"
MOST_AT_ONCE = 200
"""Verdicts that are decided in one turn: the caretaker has other work too."""


class Candidate:
    """Decides again what production decided, by another bundle; use it in a `with` block.

    Args:
        bundle: the candidate.
        engine_of: makes a production engine of a policy.
    """

    def __init__(self, bundle: Bundle, engine_of: Callable[[Policy], Engine] = Worker) -> None:
        self._bundle = bundle
        self._open = ExitStack()
        self._engine_of = engine_of
        self._judges: dict[str, Judge] = {}
        self._days_to_ms: dict[str, int] = {}
        self._from_ms: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    async def follow(self, duty: Duty) -> None:
        """Decide what production decided since the candidate runs beside it, and was not decided yet.

        Raises:
            LedgerError: the ledger cannot be read or written.
        """
        from_ms = self._begin(duty)
        ledger = duty.ledger
        done = {event.event_id for event in ledger.events(SHADOW_VERDICT, from_ms=from_ms)}
        records = [
            record
            for policy in DECIDED
            if policy in self._bundle.policies
            for record in ledger.verdicts(from_ms, policy=policy)
            if self._name_of(record) not in done
        ]
        for record in records[:MOST_AT_ONCE]:
            event = self._decided(ledger, record)
            if event is not None:
                ledger.append(event)
            await asyncio.sleep(0)

    def _begin(self, duty: Duty) -> int:
        """Return since when the candidate runs beside production; the first time, that is now."""
        if self._from_ms is not None:
            return self._from_ms
        ledger, bundle = duty.ledger, self._bundle
        name = f"shadow-{bundle.digest}"
        begun = [event for event in ledger.events(SERVICE) if event.event_id == name]
        if begun:
            self._from_ms = begun[0].at_ms
        else:
            now_ms = duty.clock.now_ms()
            said = canonical({"bundle": bundle.sha256, "digest": bundle.digest, "name": bundle.name})
            ledger.append([*bundle_documents(bundle), Event(name, now_ms, SERVICE, BEGUN, said)])
            self._from_ms = now_ms
        return self._from_ms

    def _decided(self, ledger: Ledger, record: VerdictRecord) -> Event | None:
        """Return what the candidate decides on the facts of a verdict; None where they were not kept."""
        facts = ledger.facts_at(record.at_ms)
        if facts is None or facts.at_ms != record.at_ms:
            return None
        recorded = json.loads(record.document)
        judge = self._judge(ledger, record)
        situation = Situation(*(recorded[name] for name in ("stage", "exposure", "cap_usd", "equity_usd")))
        posted, since_ms = facts_from(facts.document), recorded["streaks_since_ms"]
        verdict = judge.verdict(posted, record.at_ms, situation, streaks_since_ms=since_ms)
        document: dict[str, Any] = {
            "policy": record.policy,
            "policy_sha256": judge.policy.sha256,
            "outcome": verdict.outcome,
            "production": record.outcome,
            "production_id": record.verdict_id,
            "fired": list(verdict.decision.fired),
            "agree": verdict.decision.agree,
            "hashes": verdict.hashes,
        }
        return Event(self._name_of(record), record.at_ms, SHADOW_VERDICT, self._bundle.digest, canonical(document))

    def _judge(self, ledger: Ledger, record: VerdictRecord) -> Judge:
        """Return the judge of a policy, with every complete day before the record; the guard's looks at none."""
        policy = self._bundle.policies[record.policy]
        before = self._days_to_ms.get(policy.name)
        if before is None or before > record.at_ms - 1:
            engine = self._engines(policy)
            self._judges[policy.name] = Judge(policy, engine, bundle_hashes(self._bundle), version())
            before = -1
        judge = self._judges[policy.name]
        if policy.name != GUARD:
            for snapshot in ledger.day_closes(-1, record.at_ms - 1):
                if snapshot.at_ms > before:
                    judge.add_day(snapshot.at_ms, facts_from(snapshot.document))
        self._days_to_ms[policy.name] = record.at_ms - 1
        return judge

    def _engines(self, policy: Policy) -> Engine:
        engine = self._engine_of(policy)
        if isinstance(engine, Worker):
            self._open.enter_context(engine)
        return engine

    def _name_of(self, record: VerdictRecord) -> str:
        return f"shadow-{self._bundle.digest[:12]}-{record.verdict_id}"


def check_candidate(candidate: Bundle, in_force: Bundle) -> None:
    """Refuse a candidate that is what runs already, or reads another configuration's facts.

    Raises:
        UsageError: shadow.
    """
    where = str(candidate.path)
    if candidate.digest == in_force.digest:
        raise UsageError(Problem("shadow", where, "this bundle is the one in force", "name a candidate"))
    if candidate.config_sha256 != in_force.config_sha256:
        problem = "it pins another configuration: what is traded would be another strategy, and so would its facts"
        raise UsageError(Problem("shadow", where, problem, "rehearse it: `stagegate rehearse`"))
