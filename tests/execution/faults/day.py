"""The invariants of a day of trading: money, drawdown, sizes, reductions, stops, counted again from the venue's books.

Prices are those of the market that was played.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from tests.execution.faults.evidence import BAR, CANARY, FOR_EVER_MS, OURS, ZERO, Evidence, Violation, decimal
from tests.execution.faults.hot import BTC, START_MS, SYMBOLS
from tests.execution.faults.invariants import ALWAYS, AT_REST, funding_once, halts_end_flat, no_bar_twice
from tests.execution.faults.worth import by_tick, equity_usd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.simulator.orders import AlgoOrder

CENT = Decimal("0.01")
MAX_DRAWDOWN = Decimal("0.12")  # the SOP's hard stop
ACT_MS = 5 * SECOND_MS
FLAT_MS = 5 * MINUTE_MS
REDUCING = ("exit", "time_stop", "reduce", "flatten")
QUIET_MS = 10 * MINUTE_MS
SIZE_TOLERANCE = Decimal("1.02")  # the open moves away from the close that an order was sized with


def violations(evidence: Evidence) -> list[Violation]:
    """Everything that must never be and was found in a run."""
    checks = (*ALWAYS, *AT_REST, no_bar_twice, funding_once, halts_end_flat, *OF_A_DAY)
    return [found for check in checks for found in check(evidence)]


def reductions_done(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 5: what was to be reduced in calm was reduced; nothing that reduces was held back by our limits."""
    limited = any(rule.fault.name == "rate_limited" for rule in evidence.ended.plan.rules)
    for parent in evidence.parents.values():
        at_ms = parent["at_ms"]
        if parent["reason"] not in REDUCING or not evidence.calm(at_ms - QUIET_MS, at_ms + QUIET_MS):
            continue
        before = evidence.held(parent["symbol"], at_ms - 1)
        steps = [held for moved_ms, held in evidence.moves(parent["symbol"]) if at_ms <= moved_ms <= at_ms + QUIET_MS]
        least = min((max(held if before > 0 else -held, ZERO) for held in steps), default=abs(before))
        if before * parent["side"] < 0 and least > abs(before) - decimal(parent["qty"]):
            yield Violation(5, f"{parent['parent_id']} was to reduce {before} by {parent['qty']}: {least} was left")
    for name, updates in evidence.updates.items():
        unsent = [update for update in updates if update["status"] == "NOT_SENT"]
        if unsent and evidence.intents[name]["reduce_only"] and not limited:
            yield Violation(5, f"{name} reduces and was not sent: {unsent[0]['detail']}")


def money_counted(evidence: Evidence) -> Iterator[Violation]:
    """Invariants 6 and 7: every mark is the venue's own figure to the cent, and no close that was heard lacks one."""
    marks = {row["at_ms"]: row for row in evidence.tables["marks"] if row["account"] == "risk"}
    for at_ms, row in marks.items():
        expected = equity_usd(evidence, at_ms)
        if at_ms > START_MS and not row["estimated_marks"] and abs(decimal(row["equity_usd"]) - expected) > CENT:
            yield Violation(
                6, f"the equity of {at_ms} is {row['equity_usd']:.4f}, the venue's books say {expected:.4f}"
            )
    for close_ms in range(START_MS + HOUR_MS, evidence.ended.play.end_ms + 1, HOUR_MS):
        if close_ms not in marks and evidence.calm(close_ms - MINUTE_MS, close_ms + MINUTE_MS):
            yield Violation(7, f"no mark at {close_ms}, though nothing was wrong")


def drawdown_acted_on(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 7: a mark beyond the hard stop latches the halt within seconds; a restart's flow begins a new peak."""
    marks = sorted(row["at_ms"] for row in evidence.tables["marks"] if row["account"] == "risk")
    flows = {row["at_ms"] for row in evidence.tables["cash_flows"] if row["account"] == "risk"}
    peak = ZERO
    for before_ms, at_ms in pairwise([0, *marks]):
        equity = equity_usd(evidence, at_ms)
        peak = equity if before_ms in flows else max(peak, equity)
        deep = equity < peak * (1 - MAX_DRAWDOWN)
        acted_ms = at_ms + ACT_MS
        if deep and evidence.calm(at_ms - MINUTE_MS, at_ms + MINUTE_MS) and evidence.permitted(acted_ms, acted_ms):
            yield Violation(7, f"the drawdown of {1 - equity / peak:.1%} at {at_ms} was not acted on in time")


def flat_after_a_breach(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 7 under a risk guard: from the tick that breaches to all flat in time (R160, A86), faults left out."""
    if not evidence.ended.play.guarded:
        return
    breach_ms = _first_breach_ms(evidence)
    if breach_ms is None:
        return
    edges = sorted({breach_ms, *(at for symbol in SYMBOLS for at, _ in evidence.moves(symbol) if at > breach_ms)})
    flat_ms = next((at for at in edges if not any(evidence.held(symbol, at) for symbol in SYMBOLS)), FOR_EVER_MS)
    if evidence.well_for_ms(breach_ms, min(flat_ms, evidence.ended.play.end_ms)) > FLAT_MS:
        yield Violation(7, f"the drawdown was beyond the hard stop at {breach_ms}, all was flat at {flat_ms}")


def _first_breach_ms(evidence: Evidence) -> int | None:
    """The first tick beyond the hard stop that could be heard, against the highest that could; before any restart."""
    flows = [row["at_ms"] for row in evidence.tables["cash_flows"] if row["account"] == "risk"]
    peak = evidence.ended.capital_usd
    for at_ms, equity in by_tick(evidence, min([evidence.ended.play.end_ms, *flows])):
        if evidence.calm(at_ms - MINUTE_MS, at_ms + MINUTE_MS):
            peak = max(peak, equity)
            if equity < peak * (1 - MAX_DRAWDOWN):
                return at_ms
    return None


def sizes_bounded(evidence: Evidence) -> Iterator[Violation]:
    """The verdict bounds what is held: no sleeve opens more than its share of min(equity, cap) × exposure."""
    weights = evidence.ended.weights
    for fill in evidence.account.fills:
        found = OURS.fullmatch(fill.client_id)
        parent = evidence.parents.get(fill.client_id.rpartition("-")[0])
        if not (found and found[1] == BAR and parent):
            continue
        held = evidence.held(fill.symbol, fill.at_ms)
        if abs(held) <= abs(held - fill.side * fill.qty):
            continue
        bounds = evidence.bounds_at(parent["at_ms"])
        equity = equity_usd(evidence, parent["bar_ms"])
        base = min(equity, Decimal(str(bounds["cap_usd"]))) * Decimal(str(bounds["exposure"]))
        most = base * Decimal(str(weights[fill.symbol])) * SIZE_TOLERANCE
        close = Decimal(repr(evidence.ended.close_of(fill.symbol, parent["bar_ms"], mark=False)))
        if abs(held) * close > most:
            yield Violation(
                4, f"{fill.symbol}: {abs(held) * close:.2f} USD held at {fill.at_ms}, {most:.2f} are allowed"
            )


def stops_in_step(evidence: Evidence) -> Iterator[Violation]:
    """The protective stop follows the position: in calm BTC is never long without one, nor a stop long without BTC."""
    spans = [
        (algo.created_ms, FOR_EVER_MS if algo.status == "NEW" else algo.triggered_ms or algo.updated_ms, algo)
        for algo in evidence.algos
        if not _is_canary(algo)
    ]
    for _, _, algo in spans:
        if algo.symbol != BTC or not algo.reduce_only:
            yield Violation(8, f"a stop that nobody asked for: {algo}")
    moves = evidence.moves(BTC)
    edges = sorted({START_MS, *(at for at, _ in moves), *(at for span in spans for at in span[:2] if at < FOR_EVER_MS)})
    bad_since_ms, wrong = 0, ""
    for edge, following in zip(edges, [*edges[1:], edges[-1]], strict=True):
        held = evidence.held(BTC, edge)
        standing = [algo for begun, ended, algo in spans if begun <= edge < ended]
        right = [algo for algo in standing if algo.side * held < 0 and algo.qty == abs(held)]
        state = "" if (len(standing) == len(right) == 1 if held else not standing) else f"{held} held, {standing}"
        if state and not wrong:
            bad_since_ms = edge
        wrong = state
        if wrong and evidence.well_for_ms(bad_since_ms, following) > evidence.patience_ms(bad_since_ms, following):
            yield Violation(8, f"for {(following - bad_since_ms) / 1000:.0f} s from {bad_since_ms} on: {state}")
            wrong = ""


def canaries_go(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 8: a canary can only reduce, is never hit, and is gone with the next bar that finds nothing wrong."""
    for algo in evidence.algos:
        if not _is_canary(algo):
            continue
        gone_ms = evidence.ended.play.end_ms if algo.status == "NEW" else algo.updated_ms
        if not algo.reduce_only or algo.triggered_ms:
            yield Violation(8, f"a canary that trades: {algo}")
        if evidence.well_for_ms(algo.created_ms, gone_ms) > HOUR_MS + MINUTE_MS:
            yield Violation(8, f"a canary that stays: {algo}")


def _is_canary(algo: AlgoOrder) -> bool:
    found = OURS.fullmatch(algo.client_id)
    return found is not None and found[1] == CANARY


OF_A_DAY = (
    reductions_done,
    money_counted,
    drawdown_acted_on,
    flat_after_a_breach,
    sizes_bounded,
    stops_in_step,
    canaries_go,
)
