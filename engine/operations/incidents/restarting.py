"""The restart after an incident (SOP §5.2), decided by the restart policy with both engines: ALL of it must hold.

The stage policy says where it leads: one stage down (R182, A66, A67). What lets the desk restart is `granting`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.bounds import RESTART, Posture, restart_cap_usd
from engine.clock import MINUTE_MS, iso
from engine.errors import Problem, UsageError
from engine.operations.incidents.book import incidents
from engine.operations.incidents.demands import HALT, RISK
from engine.operations.incidents.restart_facts import Question, restart_facts, signed
from engine.policy.model import facts_of
from engine.posted import facts_from
from engine.verdict import Judge, Situation, bundle_documents, bundle_hashes

if TYPE_CHECKING:
    from pathlib import Path

    from engine.bounds import Request
    from engine.ledger import Ledger
    from engine.operations.incidents.book import Incident
    from engine.policy.bundle import Bundle
    from engine.policy.decide import Engine
    from engine.policy.facts import Value
    from engine.verdict import Verdict

POLICY = "restart"


@dataclass(frozen=True)
class Reading:
    """A fact as a condition read it; where it has no value, the status says why."""

    name: str
    value: Value
    status: str
    unit: str


@dataclass(frozen=True)
class Condition:
    """One condition of a restart: whether it holds, the facts that it reads, and what to do where it does not."""

    rule: str
    holds: bool
    facts: tuple[Reading, ...]
    because: str
    cure: str


@dataclass(frozen=True)
class Restart:
    """Where a restart stands.

    Attributes:
        incident_id: whose.
        outcome: of the restart policy.
        exit_code: that the policy declares for it.
        verdict_id: of the verdict, as recorded.
        trusted: whether both engines agree.
        allowed: whether everything holds, for both engines.
        conditions: one a rule.
        from_stage: of the rollout.
        stage: to restart at.
        cap_usd: its capital.
        request_id: of the request that people sign; empty: nobody has been asked.
        signers: who signed it.
        granted: whether the desk will restart at its next decision.
    """

    incident_id: str
    outcome: str
    exit_code: int
    verdict_id: str
    trusted: bool
    allowed: bool
    conditions: tuple[Condition, ...]
    from_stage: int
    stage: int
    cap_usd: float
    request_id: str
    signers: tuple[str, ...]
    granted: bool = False


@dataclass(frozen=True)
class Waiting:
    """A desk that is paused: its bounds, and the request that its pause made."""

    posture: Posture
    request: Request


def waiting(ledger: Ledger, incident: Incident) -> Waiting:
    """Return what the desk waits for after an incident.

    Raises:
        UsageError: the incident closed nothing, is over, or the desk is not paused.
        LedgerError: the ledger cannot be read.
    """
    where = incident.incident_id
    if incident.key != HALT:
        problem = "it did not close the book, so there is nothing to restart"
        raise UsageError(Problem("no-restart", where, problem, "a REDUCE ends by `stagegate approve` of its recovery"))
    if incident.restarted_ms is not None:
        raise UsageError(Problem("restarted", where, f"the desk was restarted at {iso(incident.restarted_ms)}"))
    postures = ledger.events("posture")
    posture = Posture.from_json(json.loads(postures[-1].document)) if postures else None
    request = next((each for each in posture.requests if each.kind == RESTART), None) if posture else None
    if posture is None or request is None:
        problem = "the desk is not paused: it has not taken note of the halt, or nothing was launched here"
        help_ = "let the runner work one bar; where only the permit is missing, `stagegate resume`"
        raise UsageError(Problem("not-paused", str(ledger.path), problem, help_))
    later = [each for each in incidents(ledger) if each.key == HALT and each.opened_ms > incident.opened_ms]
    if later:
        problem = f"the book was closed again since: {later[-1].incident_id}"
        raise UsageError(Problem("other-incident", where, problem, f"`stagegate restart {later[-1].incident_id}`"))
    return Waiting(posture, request)


def decide(
    ledger: Ledger, bundle: Bundle, engine: Engine, incident: Incident, signers: Path, now_ms: int, engine_version: str
) -> Restart:
    """Return where the restart of an incident stands; the verdict is recorded, whatever it is.

    Args:
        ledger: open for writing.
        bundle: with the policies restart and stages.
        engine: the production engine, with the restart policy.
        incident: whose restart is asked for.
        signers: the allowed-signers file.
        now_ms: the time.
        engine_version: of this program.

    Raises:
        UsageError: there is nothing to restart.
        LedgerError: the ledger cannot be read or written.
    """
    wait = waiting(ledger, incident)
    posture = wait.posture
    stages = bundle.policies["stages"].stages
    stage = stages[posture.stage].restart_at
    question = Question(incident, wait.request, frozenset({posture.stage, stage}), bundle.digest, signers, now_ms)
    judge = Judge(bundle.policies[POLICY], engine, bundle_hashes(bundle), engine_version)
    verdict = _recorded(ledger, bundle, judge, question, posture)
    tally = signed(ledger, question)
    blocked = verdict.policy.effects[verdict.outcome].entries_blocked
    return Restart(
        incident_id=incident.incident_id,
        outcome=verdict.outcome,
        exit_code=verdict.policy.exit_codes[verdict.outcome],
        verdict_id=verdict.verdict_id,
        trusted=verdict.decision.trusted,
        allowed=verdict.decision.trusted and not blocked,
        conditions=_conditions(verdict),
        from_stage=posture.stage,
        stage=stage,
        cap_usd=restart_cap_usd(bundle.policies["stages"], posture),
        request_id="" if tally is None else tally.request.request_id,
        signers=() if tally is None else tuple(signer.name for signer in tally.signers),
    )


def _conditions(verdict: Verdict) -> tuple[Condition, ...]:
    specs, fired = verdict.policy.vocabulary.facts, set(verdict.decision.fired)
    found = []
    for instance in verdict.policy.instances:
        facts = [verdict.facts[name] for name in facts_of(instance.when) if name in verdict.facts]
        readings = tuple(Reading(fact.name, fact.value, fact.status, specs[fact.name].unit) for fact in facts)
        rule = instance.rule
        found.append(Condition(instance.id, instance.id not in fired, readings, rule.because, rule.cure))
    return tuple(found)


def _recorded(ledger: Ledger, bundle: Bundle, judge: Judge, question: Question, posture: Posture) -> Verdict:
    """Return the verdict, recorded at an instant of its own: the facts of a bar's close are the desk's to post."""
    now_ms = question.now_ms
    mark = ledger.last_mark(RISK, now_ms)
    situation = Situation(posture.stage, posture.exposure, posture.cap_usd, None if mark is None else mark.equity_usd)
    at_ms = now_ms if now_ms % MINUTE_MS else now_ms + 1
    while (snapshot := ledger.facts_at(at_ms)) is not None and snapshot.at_ms == at_ms:
        at_ms += 1
    for day in ledger.day_closes(-1, at_ms - 1):  # as a replay will
        judge.add_day(day.at_ms, facts_from(day.document))
    verdict = judge.verdict(restart_facts(ledger, question), at_ms, situation)
    ledger.append([*bundle_documents(bundle), *verdict.rows()])
    return verdict
