"""What changed since yesterday: the last 24 hours of a ledger, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS
from engine.reports.conditions import sentence
from engine.reports.events import timeline
from engine.reports.numbers import minute_text, number, percent, usd, with_unit
from engine.reports.tables import Table, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.reports.snapshots import FactDay
    from engine.reports.verdicts import Verdict
    from engine.reports.view import LedgerView

_DUST = 1e-12  # a quantity below it is rounding


def facts_before(view: LedgerView) -> FactDay | None:
    """Return the newest day-close facts that are at least a day old; None where there are none."""
    return next((day for day in reversed(view.facts) if day.at_ms <= view.now_ms - DAY_MS), None)


def verdict_before(view: LedgerView) -> Verdict | None:
    """Return the newest verdict that is at least a day old; None where there is none."""
    older = len(view.verdicts) - len(view.verdicts.since(view.now_ms - DAY_MS))
    return view.verdicts[older - 1] if older else None


def changes_table(view: LedgerView) -> Table:
    """Return what is different from a day ago: verdict, bands, bounds, equity, positions, facts known and unknown."""
    rows = [*_verdict(view), *_bands(view), *_account(view), *_positions(view), *_knowledge(view)]
    return table("what | yesterday | today", rows)


def events_table(view: LedgerView) -> Table:
    """Return the events of the last 24 hours."""
    recent = [event for event in view.events if event.at_ms > view.now_ms - DAY_MS]
    return table("time | what | details", timeline(recent))


def _verdict(view: LedgerView) -> Iterator[tuple[str, str, str]]:
    before, now = verdict_before(view), view.verdict
    if now is None or (before is not None and before.outcome == now.outcome and before.fired == now.fired):
        return
    yield "verdict", "none" if before is None else _told(before), _told(now)


def _told(verdict: Verdict) -> str:
    return f"{verdict.outcome}: {sentence(verdict)}"


def _bands(view: LedgerView) -> Iterator[tuple[str, str, str]]:
    before, now = verdict_before(view), view.verdict
    if before is None or now is None:
        return
    facts_then = facts_before(view)
    for fact, band in now.bands.items():
        was = before.bands.get(fact, "unknown")
        if was != band:
            unit = view.policy.units.get(fact, "")
            values = [None if day is None else day.number(fact) for day in (facts_then, view.latest_facts)]
            texts = [f"{name}, {with_unit(value, unit)}" for name, value in zip((was, band), values, strict=True)]
            yield view.policy.facts.get(fact, fact), texts[0], texts[1]


def _account(view: LedgerView) -> Iterator[tuple[str, str, str]]:
    risk = view.risk
    row = int(np.searchsorted(risk.at_ms, view.now_ms - DAY_MS, side="right")) - 1
    if len(risk) == 0 or row < 0:
        return
    equity, before = float(risk.equity_usd[-1]), float(risk.equity_usd[row])
    moved = float(risk.nav[-1] / risk.nav[row] - 1) * 100 if risk.nav[row] > 0 else None
    yield "equity", usd(before), f"{usd(equity)} ({percent(moved, 2, signed=True)})"
    if risk.exposure[row] != risk.exposure[-1]:
        yield "exposure", f"{risk.exposure[row]:g}", f"{risk.exposure[-1]:g}"
    if risk.cap_usd[row] != risk.cap_usd[-1]:
        yield "cap", usd(float(risk.cap_usd[row]), 0), usd(float(risk.cap_usd[-1]), 0)


def _positions(view: LedgerView) -> Iterator[tuple[str, str, str]]:
    for symbol, marks in view.sleeves.items():
        row = int(np.searchsorted(marks.at_ms, view.now_ms - DAY_MS, side="right")) - 1
        before, now = float(marks.qty[row]) if row >= 0 else 0.0, float(marks.qty[-1])
        if abs(now - before) > _DUST:
            yield f"{symbol} position", _quantity(before), _quantity(now)


def _quantity(qty: float) -> str:
    return "flat" if abs(qty) <= _DUST else f"{'long' if qty > 0 else 'short'} {number(abs(qty), 4)}"


def _knowledge(view: LedgerView) -> Iterator[tuple[str, str, str]]:
    before, now = facts_before(view), view.latest_facts
    if before is None or now is None:
        return
    for fact in sorted(before.unknown.keys() | now.unknown.keys()):
        was, is_now = before.unknown.get(fact, "known"), now.unknown.get(fact, "known")
        if was != is_now and fact in now.facts:
            yield f"{view.policy.facts.get(fact, fact)}, known", was, is_now


def as_of_text(view: LedgerView) -> str:
    """Return when the numbers are from, and what the last 24 hours did to the equity."""
    if not view.now_ms:
        return "Nothing has been marked."
    equity = next((now for what, _, now in _account(view) if what == "equity"), "")
    moved = f": equity {equity.removesuffix(')')} since yesterday)" if equity else ""
    return f"As of {minute_text(view.now_ms)}{moved}."
