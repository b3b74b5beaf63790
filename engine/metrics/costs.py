"""What trading cost against what the frozen configuration assumes (A35-A38).

Windows are half-open, ``[at_ms - days, at_ms)``: what happens at an instant comes after the mark of that instant, so a
verdict at `at_ms` has not seen it. Costs are positive, gains negative; for gates they are floored at 0 (A38, A45).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import DAY_MS
from engine.metrics.funding import assumed_funding
from engine.metrics.values import MISSING, YOUNG, Metric, floored, known

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.metrics.records import FillLike, PaymentLike

SLIPPAGE_DAYS = (7, 30)
"""domain.md, slippage_ratio: 7 days, else 30."""

IN_THE_RATIO = "bar_open"
"""A37: stops and marks are measured too, beside the ratio."""

_BPS = 1e4


@dataclass(frozen=True, slots=True)
class ParentOrder:
    """One intended change of one symbol at one bar, as it was executed.

    Attributes:
        notional_usd: quantity at the reference price.
        cost_usd: side * (price - reference) * quantity, summed; + is worse than the reference.
    """

    parent_id: str
    at_ms: int
    ref_kind: str
    notional_usd: float
    cost_usd: float

    @property
    def bps(self) -> float:
        """Return the cost in basis points of the notional."""
        return self.cost_usd / self.notional_usd * _BPS


@dataclass(frozen=True, slots=True)
class Slippage:
    """Execution against the reference prices of one window.

    Attributes:
        ratio: realised / assumed, bar decisions only, floored at 0: what bands and gates read.
        signed_ratio: the same before the floor, for reports; None where unknown.
        parent_orders: how many parent orders stand in the ratio (A26).
        window_days: 7, or 30 where 7 days hold none.
        bps_by_kind: realised basis points of every reference kind in the window, stops and marks too (A37).
        orders_by_kind: how many parent orders each kind has.
    """

    ratio: Metric
    signed_ratio: float | None
    parent_orders: int
    window_days: int
    bps_by_kind: Mapping[str, float]
    orders_by_kind: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Costs:
    """All costs of one window beside what was assumed.

    Attributes:
        ratio: realised / assumed, slippage and funding floored at 0 each: what gates read (A36, A38, A45).
        fees_usd: paid, as are `slippage_usd` (all reference kinds) and `funding_usd`; a gain is negative.
        assumed_usd: fees and slippage as configured on the actual turnover, funding at the configured default.
        window_days: as of `Slippage`.
    """

    ratio: Metric
    fees_usd: float
    slippage_usd: float
    funding_usd: float
    assumed_usd: float
    window_days: int


def parent_orders(fills: Iterable[FillLike]) -> tuple[ParentOrder, ...]:
    """Return the parent orders of these fills, oldest first; each is dated by its first fill.

    A parent that was filled against two kinds of reference counts once for each.
    """
    found: dict[tuple[str, str], ParentOrder] = {}
    for fill in sorted(fills, key=lambda fill: fill.at_ms):
        key = (fill.parent_id, fill.ref_kind)
        before = found.get(key, ParentOrder(fill.parent_id, fill.at_ms, fill.ref_kind, 0.0, 0.0))
        notional = before.notional_usd + fill.qty * fill.ref_price
        cost = before.cost_usd + fill.side * fill.qty * (fill.price - fill.ref_price)
        found[key] = ParentOrder(fill.parent_id, before.at_ms, fill.ref_kind, notional, cost)
    return tuple(found.values())


def slippage(fills: Iterable[FillLike], at_ms: int, *, assumed_bps: float) -> Slippage:
    """Return realised slippage over the assumed, weighted by notional, per parent order (A35, A37, A38).

    Args:
        fills: of one account, covering the 30 days before `at_ms`; others are cut off here.
        at_ms: now.
        assumed_bps: the configuration's `slippage_bps`.

    Returns:
        ratio = sum(side * qty * (price - ref)) / sum(qty * ref) * 1e4 / assumed_bps over bar decisions; young without
        a parent order in 30 days.

    Raises:
        ValueError: `assumed_bps` is not positive.
    """
    if not assumed_bps > 0:
        raise ValueError(f"the assumed slippage must be positive, not {assumed_bps} bps")
    orders, window_days = _in_slippage_window(parent_orders(_recent(fills, at_ms)), at_ms)
    kinds = sorted({order.ref_kind for order in orders})
    by_kind = {kind: [order for order in orders if order.ref_kind == kind] for kind in kinds}
    bps = {kind: value for kind in kinds if (value := _mean_bps(by_kind[kind])) is not None}
    counted = len(by_kind.get(IN_THE_RATIO, ()))
    signed = known(bps[IN_THE_RATIO] / assumed_bps).value if IN_THE_RATIO in bps else None
    ratio = YOUNG if counted == 0 else known(None if signed is None else floored(signed))
    orders_by_kind = {kind: len(by_kind[kind]) for kind in kinds}
    return Slippage(ratio, signed, counted, window_days, bps, orders_by_kind)


def total_costs(
    fills: Iterable[FillLike],
    payments: Iterable[PaymentLike],
    at_ms: int,
    *,
    fee_bps: float,
    slippage_bps: float,
    default_rate_8h: float,
) -> Costs:
    """Return everything that trading cost over what the configuration assumes for the same turnover (A36).

    A backtest's own fills, without funding, come out at exactly 1. Slippage counts stops and marks too: of two
    readings, the stricter for a promotion.

    Args:
        fills: of one account, covering the 30 days before `at_ms`; others are cut off here.
        payments: of the same account and time.
        at_ms: now.
        fee_bps: the configuration's.
        slippage_bps: the configuration's.
        default_rate_8h: the configuration's, a ratio per 8 hours.

    Returns:
        The window is that of `slippage`; young without a parent order in 30 days, missing where nothing is assumed.
    """
    seen = _recent(fills, at_ms)
    orders, window_days = _in_slippage_window(parent_orders(seen), at_ms)
    start_ms = at_ms - window_days * DAY_MS
    inside = [fill for fill in seen if fill.at_ms >= start_ms]
    paid = [payment for payment in payments if start_ms <= payment.at_ms < at_ms]
    fees = sum(fill.fee_usd for fill in inside)
    slipped = sum(fill.side * fill.qty * (fill.price - fill.ref_price) for fill in inside)
    funding = -sum(payment.amount_usd for payment in paid)
    assumed = sum(fill.qty * (fill.price * fee_bps + fill.ref_price * slippage_bps) / _BPS for fill in inside)
    assumed += sum(assumed_funding(payment, default_rate_8h) for payment in paid)
    if not any(order.ref_kind == IN_THE_RATIO for order in orders):
        ratio = YOUNG
    elif not 0 < assumed < math.inf:
        ratio = MISSING
    else:
        ratio = known(floored(fees + floored(slipped) + floored(funding)) / assumed)
    return Costs(ratio, fees, slipped, funding, assumed, window_days)


def _recent(fills: Iterable[FillLike], at_ms: int) -> list[FillLike]:
    start_ms = at_ms - SLIPPAGE_DAYS[-1] * DAY_MS
    return [fill for fill in fills if start_ms <= fill.at_ms < at_ms]


def _in_slippage_window(orders: Sequence[ParentOrder], at_ms: int) -> tuple[list[ParentOrder], int]:
    """Return the parent orders of 7 days, else of 30, and which it was."""
    inside: list[ParentOrder] = []
    days = SLIPPAGE_DAYS[-1]
    for days in SLIPPAGE_DAYS:
        inside = [order for order in orders if order.at_ms >= at_ms - days * DAY_MS]
        if any(order.ref_kind == IN_THE_RATIO for order in inside):
            break
    return inside, days


def _mean_bps(orders: Sequence[ParentOrder]) -> float | None:
    notional = sum(order.notional_usd for order in orders)
    return known(sum(order.cost_usd for order in orders) / notional * _BPS).value if 0 < notional < math.inf else None
