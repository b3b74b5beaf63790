"""What an incident cost and what was at risk, from the marks of desk and risk guard (R193, R200–R202)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.book import newest_mark, next_mark
from engine.bounds import Posture
from engine.execution.reconcile import OPENING
from engine.metrics import drawdown, max_drawdown
from engine.operations.incidents.book import ACT
from engine.operations.incidents.demands import RISK
from engine.policy.facts import OK
from engine.policy.load import parse_policy, parse_vocabulary
from engine.posted import facts_from

if TYPE_CHECKING:
    from engine.ledger import Ledger
    from engine.ledger.rows import Mark, VerdictRecord
    from engine.metrics import Metric
    from engine.operations.incidents.book import Incident

SHARPE = "sharpe_20d"


@dataclass(frozen=True)
class Numbers:
    """Where the account stood at a mark.

    Attributes:
        at_ms: of the mark.
        equity_usd: the risk equity.
        balance_usd: the risk equity and the idle cash beside it; None: nobody noted what the account began with.
        drawdown: from the peak since the epoch, a ratio; None: unknown.
        max_drawdown: the deepest since the epoch, a ratio; None: unknown.
        sharpe_20d: as the policy read it last; None: unknown.
    """

    at_ms: int
    equity_usd: float
    balance_usd: float | None
    drawdown: float | None
    max_drawdown: float | None
    sharpe_20d: float | None


@dataclass(frozen=True)
class Impact:
    """An incident in money.

    Attributes:
        anomaly_ms: the first anomaly: since when rules of the verdict's policy fired without a pause.
        before: at the last mark before the anomaly was seen; None: there is none.
        after: at the last mark by the time it was over, or by now.
        pnl_usd: from `before` to the first mark after `until`, without cash flows; None: nobody has marked since.
        until: flat, over or now, whichever is known.
        gross_usd: what was held at the mark before the breach; None: unknown.
        cap_usd: the capital that was at risk then; None: unknown.
    """

    anomaly_ms: int
    before: Numbers | None
    after: Numbers | None
    pnl_usd: float | None
    until: str
    gross_usd: float | None
    cap_usd: float | None


def impact(ledger: Ledger, incident: Incident, now_ms: int) -> Impact:
    """Return what an incident cost, as known at `now_ms`.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    anomaly_ms = first_anomaly_ms(ledger, incident)
    before = newest_mark(ledger, anomaly_ms - 1)
    held = newest_mark(ledger, incident.opened_ms - 1)
    ended_ms = now_ms if incident.ended_ms is None else incident.ended_ms
    flat_ms = _flat_ms(incident)
    until = "flat" if flat_ms is not None else "now" if incident.ended_ms is None else "over"
    last = (
        newest_mark(ledger, now_ms) if until == "now" else next_mark(ledger, ended_ms if flat_ms is None else flat_ms)
    )
    return Impact(
        anomaly_ms,
        None if before is None else numbers(ledger, before.at_ms),
        numbers(ledger, ended_ms),
        None if before is None or last is None else _pnl_usd(ledger, before, last),
        until,
        None if held is None else held.gross_usd,
        None if held is None else held.cap_usd,
    )


def first_anomaly_ms(ledger: Ledger, incident: Incident) -> int:
    """Return since when rules have fired without a pause up to the breach; without a verdict, the breach itself.

    A rule that asks for a promotion is no anomaly: the best days may end in a breach.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    since_ms = incident.opened_ms
    record = ledger.verdict(incident.verdict_id) if incident.verdict_id else None
    if record is None:
        return since_ms
    promotions = _promotions(ledger, record)
    for earlier in reversed(ledger.verdicts(to_ms=incident.opened_ms, policy=record.policy)):
        if promotions.issuperset(json.loads(earlier.document)["fired"]):
            break
        since_ms = min(since_ms, earlier.at_ms)
    return since_ms


def _promotions(ledger: Ledger, record: VerdictRecord) -> frozenset[str]:
    """Return the rules of a verdict's policy that ask for a promotion; none where its texts are not in the ledger."""
    hashes = json.loads(record.document)["hashes"]
    vocabulary, policy = (ledger.document(hashes.get(kind, "")) for kind in ("vocabulary", "policy"))
    if vocabulary is None or policy is None:
        return frozenset()
    facts = parse_vocabulary(vocabulary.text.encode(), vocabulary.name)
    decided = parse_policy(policy.text.encode(), policy.name, facts)
    return frozenset(one.id for one in decided.instances if one.outcome in decided.promotes)


def numbers(ledger: Ledger, at_ms: int) -> Numbers | None:
    """Return where the account stood at the last mark at or before `at_ms`; None: there is none.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    mark = newest_mark(ledger, at_ms)
    if mark is None:
        return None
    postures = ledger.events("posture", to_ms=mark.at_ms)
    epoch_ms = Posture.from_json(json.loads(postures[-1].document)).epoch_ms if postures else None
    marks = ledger.marks(RISK, epoch_ms, mark.at_ms)
    if not len(marks):  # a restart at this very mark: its own mark begins the new epoch
        marks = ledger.marks(mark.account, mark.at_ms, mark.at_ms)
    times_ms, nav = marks.at_ms, marks.nav
    if mark.at_ms > times_ms[-1]:
        times_ms, nav = np.append(times_ms, mark.at_ms), np.append(nav, mark.nav)
    start = float(nav[0])
    snapshot = ledger.facts_at(at_ms)
    sharpe = None if snapshot is None else facts_from(snapshot.document).get(SHARPE)
    return Numbers(
        mark.at_ms,
        mark.equity_usd,
        _balance_usd(ledger, mark.at_ms, mark.equity_usd),
        _value(drawdown(times_ms, nav, mark.at_ms, start=start)),
        _value(max_drawdown(times_ms, nav, mark.at_ms, start=start)),
        float(sharpe.value) if sharpe is not None and sharpe.status == OK and sharpe.value is not None else None,
    )


def _flat_ms(incident: Incident) -> int | None:
    record = incident.done(ACT)
    return record.found["flat"].get("verified_ms") if record else None


def _pnl_usd(ledger: Ledger, first: Mark, last: Mark) -> float:
    """Return what the account earned between two marks, without cash flows."""
    flows = ledger.cash_flows(RISK, first.at_ms, last.at_ms)
    return last.equity_usd - first.equity_usd - sum(flow.amount_usd for flow in flows)


def _balance_usd(ledger: Ledger, at_ms: int, equity_usd: float) -> float | None:
    """Return the risk equity and what lies idle beside it: the cash of the opening that was not put at risk (A53)."""
    opening, capital = ledger.events(OPENING), ledger.marks(RISK, to_ms=at_ms)
    if not opening:
        return None
    wallet_usd = float(json.loads(opening[0].document)["wallet_usd"])
    moved = sum(flow.amount_usd for flow in ledger.cash_flows(RISK, to_ms=at_ms))
    return equity_usd + wallet_usd - float(capital.equity_usd[0]) - moved


def _value(metric: Metric) -> float | None:
    return metric.value
