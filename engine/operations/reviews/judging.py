"""The review policy's verdict on a period (what the replay showed, how long ago a person looked), and who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alerts.alert import OF_EFFECT, Alert
from engine.clock import MINUTE_MS
from engine.operations.reviews.book import REVIEWED, held, review_age_days, written
from engine.policy.facts import MISSING, OK, Fact
from engine.posted import facts_from
from engine.verdict import Judge, Situation, bundle_documents, bundle_hashes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.ledger import Ledger
    from engine.ledger.queries import LedgerReader
    from engine.operations.reviews.book import Written
    from engine.policy.bundle import Bundle
    from engine.policy.decide import Engine
    from engine.policy.model import Policy
    from engine.verdict import Verdict

POLICY = "review"
REHEARSAL = "rehearsal"


def age_facts(reader: LedgerReader, now_ms: int) -> dict[str, Fact]:
    """Return how long ago each kind of review was held; in a rehearsal there is nobody to hold one, so none is late.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    found = {}
    if reader.meta().get("kind") == REHEARSAL and not held(reader):
        return {f"{kind}_review_age": Fact(f"{kind}_review_age", 0.0, OK, now_ms) for kind in REVIEWED}
    for kind in REVIEWED:
        name, days = f"{kind}_review_age", review_age_days(reader, kind, now_ms)
        found[name] = Fact(name, None, MISSING, now_ms) if days is None else Fact(name, days, OK, now_ms)
    return found


def judge_review(
    ledger: Ledger,
    bundle: Bundle,
    engine: Engine,
    findings: Mapping[str, Fact],
    situation: Situation,
    now_ms: int,
    engine_version: str,
) -> Verdict:
    """Return what the review policy says of a comparison; the verdict is recorded, whatever it is.

    Args:
        ledger: open for writing.
        bundle: with the policy `review`.
        engine: the production engine with that policy.
        findings: the facts of the comparison.
        situation: of the desk.
        now_ms: the time.
        engine_version: of this program.

    Raises:
        LedgerError: the ledger cannot be read or written.
    """
    judge = Judge(bundle.policies[POLICY], engine, bundle_hashes(bundle), engine_version)
    at_ms = _instant(ledger, now_ms)
    for day in ledger.day_closes(-1, at_ms - 1):  # as a replay will
        judge.add_day(day.at_ms, facts_from(day.document))
    posted = ledger.facts_at(now_ms)
    before = {} if posted is None else facts_from(posted.document)
    verdict = judge.verdict({**before, **findings, **age_facts(ledger, now_ms)}, at_ms, situation)
    ledger.append([*bundle_documents(bundle), *verdict.rows()])
    return verdict


def news_of(ledger: LedgerReader, policy: Policy, report: Written, because: str) -> tuple[Alert, ...]:
    """Return what people are told of a report, as its outcome's `alert` wants it: once for each outcome of a period.

    Args:
        ledger: as it was before the report.
        policy: `review`.
        report: with the outcome.
        because: the reason of its verdict.

    Returns:
        Nothing where the policy wants nobody told, nor in a rehearsal, where there is nobody to tell.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    effects = policy.effects[report.outcome]
    told = {(one.period, one.outcome) for one in written(ledger, report.kind)}
    if effects.alert is None or (report.period, report.outcome) in told or ledger.meta().get("kind") == REHEARSAL:
        return ()
    done = [("done", effects.flag)] if effects.flag else []
    do = f"read {report.path}, then `stagegate review sign {report.kind} --decision … --key …`"
    what = f"{report.kind} report {report.period}: {report.outcome}"
    lines = (("why", because), *done, ("do", do))
    return (Alert(report.at_ms, OF_EFFECT[effects.alert], f"{report.kind} report {report.period}", what, lines),)


def _instant(ledger: LedgerReader, now_ms: int) -> int:
    """Return a moment that holds no facts yet: those of a bar's close are the desk's to post."""
    at_ms = now_ms if now_ms % MINUTE_MS else now_ms + 1
    while (snapshot := ledger.facts_at(at_ms)) is not None and snapshot.at_ms == at_ms:
        at_ms += 1
    return at_ms
