"""The stage policy of a desk or of a question: what it decides with, from the ledger and the books."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.live.outages import BEGUN, ENDED, Outages, outages_of
from engine.operations.stages.facts import AssumedCosts, StageFacts
from engine.operations.stages.papers import LedgerPapers, RehearsedPapers, Release
from engine.operations.stages.rollout import STAGES, Before, Rollout
from engine.posted import facts_from
from engine.verdict import Judge, bundle_hashes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.book import AccountBook
    from engine.config import FrozenConfig
    from engine.ledger import Ledger
    from engine.operations.stages.facts import Papers
    from engine.policy.bundle import Bundle
    from engine.policy.decide import Engine

ACTION = "action"
PAPER, REHEARSAL = "paper", "rehearsal"
"""Kinds of ledgers."""

ASKING = "stages"


@dataclass(frozen=True)
class Staging:
    """What the stage policy is decided with: its production engine, and whose key is whose."""

    engine: Engine
    signers: Path


@dataclass(frozen=True)
class Books:
    """The accounts of a ledger."""

    risk: AccountBook
    shadow: AccountBook


def rollout_of(
    ledger: Ledger, bundle: Bundle, config: FrozenConfig, staging: Staging, books: Books, version: str
) -> Rollout:
    """Return what decides the stages of a ledger, going on where it stands.

    Args:
        ledger: with a rollout, or about to be: one that was not launched is at Stage 0.
        bundle: the policies.
        config: the frozen configuration.
        staging: what the policy is decided with.
        books: the accounts, to the moment or growing.
        version: of this program.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    judge = Judge(bundle.policies[STAGES], staging.engine, bundle_hashes(bundle), version)
    for snapshot in ledger.day_closes(-1):
        judge.add_day(snapshot.at_ms, facts_from(snapshot.document))
    kind = ledger.meta().get("kind")
    return Rollout(
        judge,
        stage_facts_of(ledger, bundle, config, staging.signers, books),
        Before.read(ledger, bundle.policies[ACTION].outcomes),
        paper=kind == PAPER,
        instant=free_instant(ledger),
    )


def stage_facts_of(ledger: Ledger, bundle: Bundle, config: FrozenConfig, signers: Path, books: Books) -> StageFacts:
    """Return what computes the stage policy's facts on a ledger.

    A paper account is judged by itself. A rehearsal that falls to Stage 0 is judged by its shadow. On a ledger of real
    money nothing of the account says anything of paper: the evidence does.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    kind = ledger.meta().get("kind")
    paper = {PAPER: books.risk, REHEARSAL: books.shadow}.get(kind or "")
    papers: Papers = RehearsedPapers()
    if kind != REHEARSAL:
        release = Release(bundle.digest, bundle.config_sha256)
        times = bundle.guard_times
        outages = outages_before(ledger, times.outage_ends_after_ms if times else 0)
        papers = LedgerPapers(ledger, release, signers, outages, paper=kind == PAPER)
    backtest = config.backtest
    costs = AssumedCosts(backtest.fee_bps, backtest.slippage_bps, backtest.funding_rate.default_rate_8h)
    return StageFacts(books.risk, paper, costs, papers)


def paper_capital_usd(ledger: Ledger, config: FrozenConfig) -> float:
    """Return the simulated capital that Stage 0 is sized on: the configuration's, of a paper account only (R058)."""
    return config.backtest.initial_cash_usd if ledger.meta().get("kind") == PAPER else 0.0


def outages_before(ledger: Ledger, ends_after_ms: int) -> Callable[[int], int]:
    """Return what counts the outages in the day before an instant, as all processes noted them (A78)."""

    def count(now_ms: int) -> int:
        seen = Outages(ASKING, ends_after_ms)
        seen.learn(outages_of([*ledger.events(BEGUN, to_ms=now_ms), *ledger.events(ENDED, to_ms=now_ms)]))
        return seen.count(now_ms)

    return count


def free_instant(ledger: Ledger) -> Callable[[int], int]:
    """Return what finds the first instant from one on at which the ledger holds no facts yet."""

    def free(at_ms: int) -> int:
        while (found := ledger.facts_at(at_ms)) is not None and found.at_ms == at_ms:
            at_ms += 1
        return at_ms

    return free
