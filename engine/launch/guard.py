"""The launch guard: look, decide, record, archive (SOP §1.5).

The probes find facts, both engines decide on them by the launch policy, the verdict stands in the ledger, where a start
with real money looks for it (R067), and the report in the archive.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import MINUTE_MS, SystemClock, elapsed_s
from engine.errors import ConfigError, UsageError
from engine.inquiry import ALLOW
from engine.launch.case import World, check_stage, open_case, situation
from engine.launch.look import look
from engine.launch.release import read_rules
from engine.launch.report import FAIL, Filed, LaunchReport, checks_of, warnings_of
from engine.launch.signed import ask_for, papers
from engine.launch_word import GUARD_RAN, acknowledged
from engine.ledger import Ledger
from engine.ledger.rows import Event
from engine.live.connection import Connection
from engine.live.time_check import present_of
from engine.policy.worker import Worker
from engine.posted import facts_from
from engine.reports.archive import archive
from engine.reports.plain import plain
from engine.runner.launch import KINDS, check_kind
from engine.verdict import Judge, canonical
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.clock import Clock
    from engine.launch.case import Case, LaunchRequest
    from engine.launch.probe import Findings
    from engine.launch.report import Check
    from engine.policy.decide import Engine
    from engine.verdict import Verdict

FOLDER = "prod_guard"
REPORTS = Path("reports")  # where the configuration does not say

INCIDENT, ENGINES, DISTRUST_SEVERITY = "incident", "engines", "MEDIUM"
"""The incident of engines that differ (A85)."""


def launch_guard(request: LaunchRequest, world: World | None = None) -> Filed:
    """Look at everything that a launch depends on, and decide.

    Args:
        request: what is to be launched, where.
        world: what is looked at beside venue and ledger; None: this machine.

    Raises:
        PolicyError: the bundle or a policy is wrong (a changed configuration is none of that: it blocks).
        UsageError: the ledger is of something else, or the stage is none.
        LedgerError: the ledger cannot be read or written; nothing is allowed then.
        ReportError: the report cannot be archived; the verdict stands.
    """
    rules = read_rules(request.rules, request.config)
    check_stage(rules, request.stage)
    with Worker(rules.policy) as engine, Ledger.open(request.ledger, create=True) as ledger:
        check_kind(ledger, request.mode)
        present_of(ledger)
        case = open_case(request, world or World(), rules, ledger)
        if isinstance(case.account, Connection):
            case.account.mark(ledger)
        return _in_time_of(case, lambda clock: guarded(case, engine, clock))


def _in_time_of(case: Case, main: Callable[[Clock], Awaitable[Filed]]) -> Filed:
    if isinstance(case.account, Connection):
        return case.account.run(main)

    async def in_machine_time() -> Filed:
        return await main(SystemClock())

    return asyncio.run(in_machine_time())


async def guarded(case: Case, engine: Engine, clock: Clock) -> Filed:
    """Return the report on a case, recorded and archived.

    Args:
        case: what is looked at.
        engine: the production engine with the launch policy.
        clock: the time.

    Raises:
        LedgerError: the verdict cannot be recorded.
        ReportError: the report cannot be archived.
    """
    began_s = elapsed_s()
    async with case.venue(clock) as venue:
        findings = await look(case, venue, clock)
    at_ms = _instant(case.ledger, clock.now_ms())
    verdict = decide(case, engine, findings, at_ms)
    warnings = warnings_of(verdict)
    seen = acknowledged(case.ledger, warnings)
    checks = checks_of(verdict, findings, seen)
    if verdict.outcome == ALLOW and "kind" not in case.ledger.meta():
        case.ledger.set_meta(kind=KINDS[case.request.mode])  # what paper allowed is never taken for real money's
    record(case, verdict)
    report = LaunchReport(
        verdict_id=verdict.verdict_id,
        outcome=verdict.outcome,
        exit_code=verdict.policy.exit_codes[verdict.outcome],
        at_ms=at_ms,
        mode=case.request.mode,
        where=case.where,
        stage=case.capital.stage,
        capital_usd=case.capital.usd,
        checks=checks,
        acknowledged=seen,
        requests=_requests(case, checks, at_ms),
        hashes=verdict.hashes,
        took_s=round(elapsed_s() - began_s, 3),
    )
    return Filed(report, _archived(case, report))


def decide(case: Case, engine: Engine, findings: Findings, at_ms: int) -> Verdict:
    """Return the verdict of the launch policy; engines that do not agree allow nothing.

    What stood in the last facts stays beside what was found now, each as old as it is: whoever reads the latest facts
    finds all of them.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    judge = Judge(case.rules.policy, engine, case.rules.hashes, version())
    for snapshot in case.ledger.day_closes(-1, at_ms - 1):
        judge.add_day(snapshot.at_ms, facts_from(snapshot.document))
    before = case.ledger.facts_at(at_ms)
    posted = {} if before is None else facts_from(before.document)
    posted |= {name: finding.fact(name, at_ms) for name, finding in findings.items()}
    verdict = judge.verdict(posted, at_ms, situation(case))
    if verdict.decision.trusted:
        return verdict
    return replace(verdict, decision=replace(verdict.decision, outcome=verdict.policy.outcomes[0]))


def record(case: Case, verdict: Verdict) -> None:
    """Write the verdict, what it was decided on and with, and that the guard ran.

    Raises:
        LedgerError: it cannot be written.
    """
    document = {
        "verdict_id": verdict.verdict_id,
        "outcome": verdict.outcome,
        "mode": case.request.mode,
        "stage": case.capital.stage,
        "capital_usd": case.capital.usd,
        "warnings": warnings_of(verdict),
    }
    events = [
        Event(f"{GUARD_RAN}-{verdict.verdict_id}", verdict.at_ms, GUARD_RAN, verdict.outcome, canonical(document))
    ]
    if not verdict.decision.trusted:
        said = canonical({"severity": DISTRUST_SEVERITY, "by": GUARD_RAN, "decision_id": verdict.verdict_id})
        events.append(Event(f"{GUARD_RAN}-{INCIDENT}-{verdict.at_ms}", verdict.at_ms, INCIDENT, ENGINES, said))
    case.ledger.append([*case.rules.documents, *verdict.rows(), *events])


def _requests(case: Case, checks: tuple[Check, ...], now_ms: int) -> dict[str, str]:
    """Ask for the signatures that failed checks are in want of; return check -> request."""
    asked: dict[str, str] = {}
    for check in checks:
        for paper in papers(case.rules, case.api_key):
            if check.result == FAIL and paper.fact in check.facts:
                try:
                    identity = ask_for(case.ledger, case.request.signers, paper, case.capital.stage, now_ms)
                except UsageError:
                    continue  # whose signatures these are cannot be told; the check says so
                asked[check.name] = identity
    return asked


def _archived(case: Case, report: LaunchReport) -> Path:
    folder = REPORTS if isinstance(case.config, ConfigError) else Path(case.config.output.report_dir)
    text = json.dumps(plain(report), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return archive(folder / FOLDER, report.verdict_id, {".json": f"{text}\n"}).paths[0]


def _instant(ledger: Ledger, now_ms: int) -> int:
    """Return the moment of the verdict: never one at which a bar closes, nor one that has facts already."""
    at_ms = now_ms if now_ms % MINUTE_MS else now_ms + 1
    while (found := ledger.facts_at(at_ms)) is not None and found.at_ms == at_ms:
        at_ms += 1
    return at_ms
