"""Every fact of the vocabulary as it is now: its value, how old it is, where it comes from, and which policies read it.

What the action policy and the stage policy read is computed from the books; the other facts are those that were last
posted, by the risk guard or by a verdict of the policy that reads them, each as old as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.book import AccountBook
from engine.clock import SimulatedClock
from engine.config import load_config
from engine.errors import UsageError
from engine.inquiry import ACTION, RISK, SHADOW, facts_at, now_of, posture_at
from engine.ledger import Ledger
from engine.live.decision_file import DecisionFiles, GuardWatch, named
from engine.live.stages import Books, stage_facts_of
from engine.operations.stages.facts import Moment
from engine.operations.stages.tenure import Tenure
from engine.policy.bundle import load_bundle
from engine.policy.facts import OK, Fact, validated_all
from engine.posted import facts_from

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.bounds import Posture
    from engine.clock import Clock
    from engine.policy.bundle import Bundle


@dataclass(frozen=True)
class FactLine:
    """One fact.

    Attributes:
        name: of the vocabulary.
        title: what people read.
        value: in `unit`; None unless `status` is ok.
        unit: of the vocabulary.
        status: ok, young, stale, missing or invalid.
        as_of_ms: the moment it describes; None where it was never posted.
        age_ms: of it; None the same.
        source: where it comes from, in words.
        read_by: the policies that read it.
    """

    name: str
    title: str
    value: float | str | bool | None
    unit: str
    status: str
    as_of_ms: int | None
    age_ms: int | None
    source: str
    read_by: tuple[str, ...]


@dataclass(frozen=True)
class FactSheet:
    """Every fact at one moment, in the order of the vocabulary; `problems` say what could not be worked out."""

    at_ms: int
    facts: tuple[FactLine, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sources:
    """Where facts come from, beside the ledger.

    Attributes:
        rules: the bundle.
        signers: the allowed-signers file, for what people signed.
        report_dir: where the risk guard publishes; it is not asked for a time of the past.
    """

    rules: Path
    signers: Path
    report_dir: Path


def fact_sheet(path: Path, sources: Sources, clock: Clock, at_ms: int | None = None) -> FactSheet:
    """Return every fact at a time.

    Args:
        path: the ledger.
        sources: bundle, signers and the risk guard.
        clock: tells the present of a live ledger.
        at_ms: the time; None for now.

    Raises:
        LedgerError: the ledger cannot be read, or holds nothing at that time.
        PolicyError: the bundle is wrong.
    """
    bundle = load_bundle(sources.rules)
    problems: tuple[str, ...] = ()
    with Ledger.open(path, read_only=True) as ledger:
        now_ms = now_of(ledger, clock) if at_ms is None else at_ms
        posture = posture_at(ledger, now_ms)
        posted = _posted(ledger, bundle, now_ms)
        if at_ms is None:
            posted = _newer(posted, _of_guard(sources.report_dir, path, now_ms))
        try:
            posted |= _of_stage(ledger, bundle, sources.signers, posture, now_ms)
        except UsageError as error:
            problem = error.problems[0]
            problems = (f"what the stage policy reads is not known: {problem.where}: {problem.problem}",)
        guard = GuardWatch(DecisionFiles.under(sources.report_dir), path, SimulatedClock(now_ms))
        posted |= facts_at(ledger, bundle, posture, now_ms, guard.word() if at_ms is None else None)
    return FactSheet(now_ms, tuple(_lines(bundle, posted, now_ms)), problems)


def _of_stage(ledger: Ledger, bundle: Bundle, signers: Path, posture: Posture, now_ms: int) -> dict[str, Fact]:
    config = load_config(bundle.config_path)
    symbols, outcomes = config.market.symbols, bundle.policies[ACTION].outcomes
    books = Books(*(AccountBook.read(ledger, account, symbols, now_ms) for account in (RISK, SHADOW)))
    flattened = tuple(event.at_ms for event in ledger.events("flatten", to_ms=now_ms))
    begun = tuple(event.at_ms for event in ledger.events("episode_start", to_ms=now_ms) if event.subject in outcomes)
    moment = Moment(now_ms, posture, Tenure.read(ledger, now_ms), flattened, begun)
    return stage_facts_of(ledger, bundle, config, signers, books).at(moment)


def _posted(ledger: Ledger, bundle: Bundle, now_ms: int) -> dict[str, Fact]:
    """Return the facts as they were posted last: with the last facts of all, and with each policy's last verdict."""
    moments = {record.at_ms for name in bundle.policies if (record := ledger.latest_verdict(now_ms, policy=name))}
    latest = ledger.facts_at(now_ms)
    moments |= {latest.at_ms} if latest else set()
    posted: dict[str, Fact] = {}
    for moment in sorted(moments):
        snapshot = ledger.facts_at(moment)
        if snapshot is not None and snapshot.at_ms == moment:
            posted |= facts_from(snapshot.document)
    return posted


def _of_guard(report_dir: Path, path: Path, now_ms: int) -> dict[str, Fact]:
    decision = DecisionFiles.under(report_dir).read()
    if decision is None or decision.ledger != named(path) or decision.at_ms > now_ms:
        return {}
    return {name: Fact(name, value, OK, decision.at_ms) for name, value in decision.facts.items() if value is not None}


def _newer(posted: Mapping[str, Fact], published: Mapping[str, Fact]) -> dict[str, Fact]:
    """Return every fact of both, the newer one where both have it."""
    newer = {
        name: fact for name, fact in published.items() if name not in posted or posted[name].as_of_ms <= fact.as_of_ms
    }
    return {**posted, **newer}


def _lines(bundle: Bundle, posted: Mapping[str, Fact], now_ms: int) -> list[FactLine]:
    found = validated_all(posted.values(), bundle.vocabulary, now_ms)
    readers: dict[str, list[str]] = {}
    for name, policy in bundle.policies.items():
        for read in policy.facts:
            readers.setdefault(read, []).append(name)
    lines = []
    for name, fact in found.items():
        spec = bundle.vocabulary.facts[name]
        as_of_ms = fact.as_of_ms if name in posted else None
        age_ms = None if as_of_ms is None else now_ms - as_of_ms
        unit, by = spec.unit, tuple(readers.get(name, ()))
        lines.append(FactLine(name, spec.title, fact.value, unit, fact.status, as_of_ms, age_ms, spec.source, by))
    return lines
