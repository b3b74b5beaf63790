"""The daily report for programs: one JSON document with plain values; unknown is null beside its status."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from engine.clock import iso
from engine.reports import breakdown
from engine.reports.conditions import sentence, sharpe_error
from engine.reports.days import day_of
from engine.reports.events import timeline
from engine.reports.liveness import liveness_json
from engine.reports.numbers import day_text
from engine.reports.performance import drawdown_percent, performance
from engine.reports.yesterday import changes_table, facts_before, verdict_before

if TYPE_CHECKING:
    from engine.reports.breakdown import Execution, Funding, UnknownFact
    from engine.reports.liveness import SignOfLife
    from engine.reports.verdicts import Verdict
    from engine.reports.view import LedgerView

FORMAT = 1


def daily_json(view: LedgerView, sign: SignOfLife | None = None) -> str:
    """Return the document: sorted keys, two spaces, a newline at the end; the same ledger gives the same bytes.

    Percentages are points (12 is 12 %), money is US dollars, instants are ISO 8601 UTC.
    """
    changed = changes_table(view)
    document = {
        "report": "daily",
        "format": FORMAT,
        "day": day_text(day_of(view.now_ms)),
        "as_of": iso(view.now_ms),
        "release": view.release or None,
        "ledger": dict(view.meta),
        "verdict": None if view.verdict is None else _verdict(view.verdict),
        "yesterday": None if (before := verdict_before(view)) is None else _verdict(before),
        "account": _account(view),
        "liveness": liveness_json(view, sign),
        "metrics": _metrics(view),
        "positions": _positions(view),
        "sleeves": [dataclasses.asdict(sleeve) for sleeve in breakdown.sleeves(view)],
        "execution": [
            {**dataclasses.asdict(each), "slippage_bps": each.slippage_bps} for each in breakdown.executions(view.fills)
        ],
        "orders_skipped": breakdown.skipped(view.events),
        "funding": [_plain(each, "net_usd") for each in breakdown.funding(view)],
        "unknown": [_unknown(each) for each in breakdown.unknown_facts(view.facts)],
        "changes": [{"what": what, "yesterday": was, "today": now} for what, was, now in changed.rows],
        "events": [{"at": at, "what": what, "details": text} for at, what, text in timeline(view.events)],
        "hashes": {} if view.verdict is None else dict(view.verdict.hashes),
        "engine_version": "" if view.verdict is None else view.verdict.engine_version,
    }
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Execution | Funding, derived: str) -> dict[str, Any]:
    return {**dataclasses.asdict(value), derived: getattr(value, derived)}


def _unknown(each: UnknownFact) -> dict[str, Any]:
    return {"fact": each.fact, "days": each.days, "last": iso(each.last_ms)}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict_id": verdict.verdict_id,
        "at": iso(verdict.at_ms),
        "outcome": verdict.outcome,
        "because": sentence(verdict),
        "fired": list(verdict.fired),
        "flags": list(verdict.flags),
        "engines_agree": verdict.agree,
        "fault": verdict.fault,
        "stage": verdict.stage,
        "unknown": {item.fact: item.status for item in verdict.unknown},
    }


def _account(view: LedgerView) -> dict[str, Any] | None:
    risk = view.risk
    if len(risk) == 0:
        return None
    epochs = [event.at_ms for event in view.of_kind("restart")]
    overall = performance(risk)
    return {
        "equity_usd": float(risk.equity_usd[-1]),
        "nav": float(risk.nav[-1]),
        "exposure": float(risk.exposure[-1]),
        "cap_usd": float(risk.cap_usd[-1]),
        "gross_usd": float(risk.gross_usd[-1]),
        "drawdown_percent": float(drawdown_percent(risk.at_ms, risk.nav, epochs)[-1]),
        "since_start": None if overall is None else dataclasses.asdict(overall),
    }


def _metrics(view: LedgerView) -> list[dict[str, Any]]:
    before, now = facts_before(view), view.latest_facts
    found = []
    for fact, limits in view.policy.limits.items():
        value = None if now is None else now.number(fact)
        snapshot = None if now is None else now.facts.get(fact)
        found.append(
            {
                "fact": fact,
                "title": view.policy.facts.get(fact, fact),
                "unit": view.policy.units.get(fact, ""),
                "value": value,
                "standard_error": None if value is None else sharpe_error(fact, value),
                "status": "missing" if snapshot is None else snapshot.status,
                "as_of": None if snapshot is None else iso(snapshot.as_of_ms),
                "band": None if view.verdict is None else view.verdict.bands.get(fact),
                "yesterday": None if before is None else before.number(fact),
                "thresholds": [
                    {"kind": limit.kind, "operator": limit.operator, "value": limit.value} for limit in limits
                ],
            }
        )
    return found


def _positions(view: LedgerView) -> list[dict[str, Any]]:
    return [
        {
            "symbol": sleeve.symbol,
            "qty": sleeve.qty,
            "notional_usd": sleeve.notional_usd,
            "signal": sleeve.position,
        }
        for sleeve in breakdown.sleeves(view)
    ]
