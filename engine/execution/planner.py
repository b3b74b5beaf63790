"""From a bar's decisions to the orders that follow: what to send, why, and why the rest is not sent.

Pure: it asks no venue, no ledger and no clock. Each symbol is decided by `engine.portfolio.decide_trade`, the rule of
backtest and rehearsal, so what was rehearsed is what is ordered. What only the real path knows is added here: a halt, a
decision that came too late (A74), an equity or a price that is unknown, quantities that are no whole number of steps.

A flip is one planned order of two legs (`closing_qty`, then the rest). Sent as one order through zero it could not be
reduce-only, so a missing permit or margin for the new side would keep the old one open; as two, closing is as free as
any other reduction (execution.md, invariant 5), and at one price both legs cost what the single fill of the simulation
costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.clock import MINUTE_MS
from engine.execution.planned import STEP, Decided, NotSent, Plan, PlannedOrder, SleeveRestart, SleeveState
from engine.portfolio import BY_POLICY, Held, Terms, Why, Wish, decide_trade, sized_on
from strategies.sleeve import Ending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.portfolio import Bounds, Decision, SymbolFilters

__all__ = ["STEP", "Decided", "NotSent", "Plan", "PlannedOrder", "SleeveRestart", "SleeveState", "plan"]

_A_REST = 1e-6  # of a step: less is the rounding of floats


def plan(
    sleeves: Sequence[SleeveState], *, bounds: Bounds, equity_usd: float | None, dead_band: float, decided: Decided
) -> Plan:
    """Return what to send.

    Args:
        sleeves: one a symbol.
        bounds: of the verdict in force. `trim` where this verdict cut exposure or cap: open positions above their
            target go at once, past the dead-band (A31); asking again after the fills changes nothing.
        equity_usd: the risk equity that targets are sized on (A52); None: unknown, so nothing is sized and only what is
            to be closed altogether is closed.
        dead_band: the bundle's `rebalance_dead_band`, a ratio.
        decided: age of the decision, and the halt.
    """
    allowed = bounds.entries_allowed and not decided.late and not decided.halted
    desk = _Desk(replace(bounds, entries_allowed=allowed), equity_usd, dead_band, decided)
    orders: list[PlannedOrder] = []
    not_sent: list[NotSent] = []
    restarts: list[SleeveRestart] = []
    untrimmed: list[str] = []
    for sleeve in sleeves:
        decision = desk.decision(sleeve)
        order = _order(sleeve, decision)
        orders += [order] if order else []
        not_sent += desk.left_undone(sleeve, decision, order)
        restarts += [SleeveRestart(sleeve.symbol, str(decision.restart))] if decision.restart else []
        trim = bounds.trim or sleeve.trim
        untrimmed += [sleeve.symbol] if trim and sleeve.held_qty and decision.reason == Why.NO_SIGNAL else []
    orders.sort(key=_urgency)
    return Plan(tuple(orders), tuple(not_sent), tuple(restarts), tuple(untrimmed))


@dataclass(frozen=True)
class _Desk:
    """What holds for all symbols of a plan; `bounds` with entries blocked by a halt or a late decision too."""

    bounds: Bounds
    equity_usd: float | None
    dead_band: float
    decided: Decided

    def decision(self, sleeve: SleeveState) -> Decision:
        weighted = self._weighted(sleeve)
        stood = sleeve.previous_position is None or sleeve.previous_position != 0.0
        wish = Wish(weighted, sleeve.remembers, stood, sleeve.ending == Ending.TIME_STOP)
        held = Held(sleeve.held_qty, sleeve.last_target_usd, sleeve.close_price or math.nan)
        target_usd = weighted * sized_on(self.equity_usd or 0.0, self.bounds)
        terms = Terms(self.dead_band, sleeve.filters)
        return decide_trade(wish, held, target_usd, terms, self.bounds, trim=self.bounds.trim or sleeve.trim)

    def _weighted(self, sleeve: SleeveState) -> float:
        """Return weight × position; NaN where nothing can be sized. A position of 0 needs no size."""
        if sleeve.position == 0.0:
            return 0.0
        if sleeve.position is None or not sleeve.close_price or self.equity_usd is None:
            return math.nan
        return sleeve.weight * sleeve.position

    def left_undone(self, sleeve: SleeveState, decision: Decision, order: PlannedOrder | None) -> list[NotSent]:
        """Return what is not sent: all of it, or what an order leaves."""
        wanted_usd = self._wanted_usd(sleeve)
        rest = _rest_of_a_step(sleeve, decision)
        if decision.qty_after == sleeve.held_qty:
            usd = decision.refused_usd or wanted_usd
            return [NotSent(sleeve.symbol, str(decision.reason), self._words(sleeve, decision), usd)]
        if order is None or rest:
            return [rest] if rest else []
        turned = sleeve.held_qty != 0.0 and decision.qty_after == 0.0 and self._turns(sleeve)
        if turned and not self.bounds.closed:
            why = Why.MINIMUM if decision.refused_usd else Why.BLOCKED
            half = decision._replace(reason=why)
            return [NotSent(sleeve.symbol, str(why), self._words(sleeve, half), wanted_usd)]
        return []

    def _turns(self, sleeve: SleeveState) -> bool:
        return (sleeve.position or 0.0) * sleeve.held_qty < 0.0

    def _wanted_usd(self, sleeve: SleeveState) -> float | None:
        """Return how far the target is from what is held, in USDT; for a flip, how much is to be opened."""
        weighted = self._weighted(sleeve)
        if math.isnan(weighted):
            return None
        target_usd = weighted * sized_on(self.equity_usd or 0.0, self.bounds)
        held_usd = sleeve.held_qty * (sleeve.close_price or 0.0)
        return abs(target_usd if self._turns(sleeve) else target_usd - held_usd)

    def _words(self, sleeve: SleeveState, decision: Decision) -> str:
        if decision.reason == Why.MINIMUM:
            return _minimum(sleeve.filters, decision.refused_usd)
        words = {
            Why.NO_SIGNAL: f"{self._unknown(sleeve)}: what is held stays",
            Why.FLAT: "nothing is wanted and nothing is held",
            Why.CLOSED: f"{self._closed()}: nothing may be held",
            Why.BLOCKED: f"{self._blocked()}: positions may only shrink",
            Why.STANDING: "the entry of this signal was missed: waiting for a fresh one",
            Why.DEAD_BAND: f"the target moved less than {100 * self.dead_band:g}% of itself since the last order",
        }
        return words[Why(decision.reason)]

    def _unknown(self, sleeve: SleeveState) -> str:
        if sleeve.position is None:
            return "no signal"
        return "the equity is unknown" if self.equity_usd is None else "the price is unknown"

    def _closed(self) -> str:
        if self.bounds.exposure == 0.0:
            return "the exposure is 0"
        return "the cap is 0 USD" if self.bounds.cap_usd == 0.0 else "there is no equity"

    def _blocked(self) -> str:
        if self.decided.halted:
            return "trading is halted"
        if self.decided.late:
            age, limit = (ms / MINUTE_MS for ms in (self.decided.age_ms, self.decided.valid_for_ms))
            return f"the decision is {age:.1f} minutes old, {limit:g} are allowed"
        return "the policy blocks entries"


def _urgency(order: PlannedOrder) -> int:
    if order.reduce_only:
        return 0
    return 1 if order.closing_qty else 2


def _order(sleeve: SleeveState, decision: Decision) -> PlannedOrder | None:
    """Return the order that a decision leads to; None without one, or where it is less than a step."""
    held, after = sleeve.held_qty, decision.qty_after
    closed = abs(held) if held * after <= 0.0 else max(0.0, abs(held) - abs(after))
    opened = abs(after) if held * after <= 0.0 else max(0.0, abs(after) - abs(held))
    closing_qty, opening_qty = _in_steps(closed, sleeve.filters), _in_steps(opened, sleeve.filters)
    qty = _in_steps(closing_qty + opening_qty, sleeve.filters)
    if after == held or qty == 0.0:
        return None
    by_policy = decision.reason in BY_POLICY
    return PlannedOrder(
        symbol=sleeve.symbol,
        side=1 if after > held else -1,
        qty=qty,
        closing_qty=closing_qty,
        opening_qty=opening_qty,
        qty_after=after,
        target_usd=decision.target_usd,
        reason=decision.reason,
        ref_kind="mark" if by_policy else "bar_open",
        ref_price=sleeve.mark_price if by_policy else sleeve.open_price,
    )


def _in_steps(qty: float, filters: SymbolFilters | None) -> float:
    return abs(qty) if filters is None else filters.quantity(filters.whole_steps(qty))


def _rest_of_a_step(sleeve: SleeveState, decision: Decision) -> NotSent | None:
    """Return what closing leaves over because it is no whole step; None where nothing is left."""
    filters = sleeve.filters
    if filters is None or decision.qty_after != 0.0:
        return None
    rest = abs(sleeve.held_qty) - _in_steps(sleeve.held_qty, filters)
    if rest * filters.steps_per_unit < _A_REST:
        return None
    words = f"{rest:.12g} is less than a step of {filters.step_size:.12g}, it cannot be closed"
    return NotSent(sleeve.symbol, STEP, words, rest * sleeve.close_price if sleeve.close_price else None)


def _minimum(filters: SymbolFilters | None, refused_usd: float) -> str:
    assert filters is not None, "without limits nothing is refused"
    return (
        f"an order of {refused_usd:,.2f} USD is below the venue's minimum of {filters.min_notional_usd:,.10g} USD, "
        f"or less than a step of {filters.step_size:.12g}: skipped, never rounded up (A56)"
    )
