"""The facts of the restart policy (SOP §5.2), from what the ledger holds; what is not known is posted as missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.bounds import RESTART
from engine.clock import DAY_MS, day_start
from engine.facts import SHARPE_DAYS
from engine.launch_word import launch_fact
from engine.metrics import daily_closes, rolling_sharpe
from engine.operations.approvals import tallies
from engine.operations.incidents.demands import RISK
from engine.operations.incidents.post_mortem import HumanPart, missing, untimely
from engine.operations.incidents.releases import fix_tested
from engine.policy.facts import MISSING, OK, YOUNG, Fact
from engine.posted import facts_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.bounds import Request
    from engine.ledger import Ledger
    from engine.operations.approvals import Tally
    from engine.operations.incidents.book import Incident

REOPEN = "reopen"
"""The action by which the committee reopens (A68)."""

SHADOW = "shadow"
YEAR_DAYS = 365
"""The definition of the fact restarts_12m."""

_PERCENT = 100.0


@dataclass(frozen=True)
class Question:
    """What a restart is asked of.

    Attributes:
        incident: whose restart it is.
        request: what the desk waits for.
        stages: that it stands at, and that it restarts at.
        digest: of the bundle that is deployed: only what was signed for it counts (A90).
        signers: the allowed-signers file.
        now_ms: the time.
    """

    incident: Incident
    request: Request
    stages: frozenset[int]
    digest: str
    signers: Path
    now_ms: int


def restart_facts(ledger: Ledger, question: Question) -> dict[str, Fact]:
    """Return every fact that the restart policy reads, beside those that were posted last.

    Raises:
        LedgerError: the ledger cannot be read.
        UsageError: there are signatures and no allowed-signers file.
    """
    posted = ledger.facts_at(question.now_ms)
    facts = [
        *_of_post_mortem(ledger, question),
        _positive_days(ledger, question),
        launch_fact(ledger, question.stages, question.digest, question.now_ms),
        *_of_people(ledger, question),
        _lifetime_loss(ledger, question.now_ms),
        _restarts(ledger, question.now_ms),
    ]
    return {**({} if posted is None else facts_from(posted.document)), **{fact.name: fact for fact in facts}}


def signed(ledger: Ledger, question: Question) -> Tally | None:
    """Return where the request of this restart stands, the one with most signatures; None: nobody was asked.

    Only requests of the bundle that is deployed count: people signed its hash.

    Raises:
        LedgerError: the ledger cannot be read.
        UsageError: there are signatures and no allowed-signers file.
    """
    wanted = question.request
    found = tallies(
        ledger,
        question.signers,
        question.now_ms,
        lambda asked: (
            (asked.action, asked.subject, asked.asked_ms) == (RESTART, wanted.subject, wanted.at_ms)
            and asked.hashes.get("digest") == question.digest
        ),
    )
    live = [tally for tally in found if not tally.expired]
    return max(live, key=lambda tally: len(tally.signers)) if live else None


def _of_post_mortem(ledger: Ledger, question: Question) -> Iterator[Fact]:
    now_ms, written = question.now_ms, question.incident.written
    human = HumanPart() if written is None else HumanPart.from_json(written)
    complete = not (missing(human) or untimely(human, question.incident, now_ms))
    yield Fact("post_mortem_complete", complete, OK, now_ms)
    yield Fact("cause", human.cause or None, OK if human.cause else MISSING, now_ms)
    yield Fact("fix_tested", fix_tested(ledger, question.incident, human.release), OK, now_ms)


def _positive_days(ledger: Ledger, question: Question) -> Fact:
    """Count the days in a row, after the incident, on which the shadow account's Sharpe ratio was positive (A65).

    The first that counts is the first whole UTC day after the breach: "wait for metrics to normalize" begins there.
    """
    name, day_ms = "sharpe_positive_days", day_start(question.now_ms)
    since_ms = question.incident.opened_ms
    marks = ledger.marks(SHADOW, to_ms=day_ms)
    if not len(marks):
        return Fact(name, None, MISSING, day_ms)
    closes = daily_closes(marks.at_ms, marks.nav, day_ms)
    count = 0
    for end in range(len(closes), 0, -1):
        if int(closes.end_ms[end - 1]) - DAY_MS < since_ms:
            break
        sharpe = rolling_sharpe(closes.until(end), SHARPE_DAYS)
        if sharpe.value is None and end == len(closes):
            return Fact(name, None, YOUNG if sharpe.status == YOUNG else MISSING, day_ms)
        if sharpe.value is None or not sharpe.value > 0:
            break
        count += 1
    return Fact(name, count, OK, day_ms)


def _of_people(ledger: Ledger, question: Question) -> Iterator[Fact]:
    tally = signed(ledger, question)
    yield Fact("restart_signers", 0 if tally is None else len(tally.signers), OK, question.now_ms)
    reopened = tallies(
        ledger,
        question.signers,
        question.now_ms,
        lambda asked: (asked.action, asked.subject) == (REOPEN, question.incident.incident_id),
    )
    yield Fact("committee_reopened", any(tally.granted for tally in reopened), OK, question.now_ms)


def _lifetime_loss(ledger: Ledger, now_ms: int) -> Fact:
    """Return what all epochs together lost of the most that was ever paid in, in percent; a gain is no loss (A68)."""
    marks = ledger.marks(RISK, to_ms=now_ms)
    if not len(marks):
        return Fact("lifetime_loss", None, MISSING, now_ms)
    capital_usd, last_ms = float(marks.equity_usd[0]), int(marks.at_ms[-1])
    flows = [flow.amount_usd for flow in ledger.cash_flows(RISK, to_ms=last_ms)]
    paid_in = capital_usd + np.cumsum([0.0, *flows])
    lost_usd = max(0.0, float(paid_in[-1]) - float(marks.equity_usd[-1]))
    peak_usd = float(np.max(paid_in))
    if not peak_usd > 0:
        return Fact("lifetime_loss", None, MISSING, last_ms)
    return Fact("lifetime_loss", min(_PERCENT, lost_usd / peak_usd * _PERCENT), OK, last_ms)


def _restarts(ledger: Ledger, now_ms: int) -> Fact:
    """Count the restarts of twelve months, this one included (A68)."""
    before = ledger.events(RESTART, from_ms=now_ms - YEAR_DAYS * DAY_MS)
    return Fact("restarts_12m", len(before) + 1, OK, now_ms)
