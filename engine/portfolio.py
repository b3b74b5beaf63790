"""How large a position is, when it is changed, and what a change costs. Pure functions of plain numbers.

The same rules hold in backtest, rehearsal, paper and live (domain.md, "Sizing", "Costs").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BPS = 1e-4

_ROUNDING = 1e-12
_LEAST = math.ulp(0.0)


@dataclass(frozen=True)
class Costs:
    """What a fill costs; basis points of its notional, each side."""

    fee_bps: float
    slippage_bps: float

    @property
    def fee_ratio(self) -> float:
        """The fee as a ratio."""
        return self.fee_bps * BPS

    @property
    def slippage_ratio(self) -> float:
        """The slippage as a ratio."""
        return self.slippage_bps * BPS


@dataclass(frozen=True)
class SymbolFilters:
    """The venue's limits for one symbol.

    Attributes:
        step_size: base asset; quantities are whole multiples of it.
        min_qty: base asset, of one order.
        min_notional_usd: of one order.
    """

    step_size: float
    min_qty: float
    min_notional_usd: float


def fill_price(reference: float, side: int, slippage_ratio: float) -> float:
    """Return the price of a fill that is worse than `reference` by the slippage; `side` is +1 or −1.

    >>> fill_price(100.0, -1, 3e-4)
    99.97
    """
    return reference * (1.0 + side * slippage_ratio)


def stop_fill_reference(open_: float, stop: float, *, long: bool) -> float:
    """Return the price at which a stop that was hit fills before slippage: a gap beyond the stop fills at the open."""
    return min(open_, stop) if long else max(open_, stop)


def sizing_base(equity_usd: float, cap_usd: float | None) -> float:
    """Return what positions are sized on: min(risk equity, stage cap), never below 0 (A52)."""
    base = equity_usd if cap_usd is None else min(equity_usd, cap_usd)
    return max(base, 0.0)


def target_notional(weight: float, position: float, exposure: float, base_usd: float) -> float:
    """Return the signed target in USDT. Leverage is no part of it: it is margin only (R014)."""
    return weight * position * exposure * base_usd


def needs_rebalance(target: float, last_target: float, dead_band: float) -> bool:
    """Return whether a target has moved enough to be traded.

    Args:
        target: the target now, signed, in USDT.
        last_target: the target of the last order that was filled, 0 when flat; the same unit.
        dead_band: ratio of the target itself, 0.05 = 5 %; 0 trades every difference.

    "Rebalance when the target moved by ≥ 5 % of itself, changes sign or is zero" is read literally: target against
    target, in USDT. What the price alone does to the quantity held moves no target and is left to drift.

    >>> needs_rebalance(100.0, 95.0, 0.05), needs_rebalance(100.0, 96.0, 0.05), needs_rebalance(0.0, 1.0, 0.05)
    (True, False, True)
    """
    if target == last_target:
        return False
    if target == 0.0 or (target > 0.0) != (last_target > 0.0) or last_target == 0.0:
        return True
    return abs(target - last_target) >= dead_band * abs(target)


def quiet_range(last_target: float, dead_band: float) -> tuple[float, float]:
    """Return open bounds between which `needs_rebalance` is surely False; outside of them it must be asked.

    Args:
        last_target: as in `needs_rebalance`.
        dead_band: as in `needs_rebalance`, below 1.

    Cut a little narrower than the dead-band, so that rounding never hides a target exactly at its edge.
    """
    near = (1.0 + _ROUNDING) / (1.0 + dead_band)
    far = (1.0 - _ROUNDING) / (1.0 - dead_band)
    if last_target > 0.0:
        return last_target * near, last_target * far
    if last_target < 0.0:
        return last_target * far, last_target * near
    return -_LEAST, _LEAST


def within_bounds(wanted_qty: float, held_qty: float, *, entries_allowed: bool) -> float:
    """Return the quantity that may be held: with entries blocked a position only shrinks, and a flip only closes."""
    if entries_allowed:
        return wanted_qty
    if wanted_qty * held_qty <= 0.0:
        return 0.0
    return wanted_qty if abs(wanted_qty) < abs(held_qty) else held_qty


@dataclass(frozen=True)
class Order:
    """The change of quantity that the venue's limits leave of a wish; `refused_usd` is the notional left undone."""

    delta_qty: float
    refused_usd: float = 0.0


def order_within(
    wanted_qty: float, held_qty: float, price: float, filters: SymbolFilters | None, *, must_reduce: bool = False
) -> Order:
    """Return the order that leads from `held_qty` to `wanted_qty` under the venue's limits.

    Args:
        wanted_qty: signed, base asset.
        held_qty: signed, base asset.
        price: USDT, for the notional.
        filters: the limits; None: there are none.
        must_reduce: the policy cuts the position: no minimum stands in its way.

    Returns:
        The order. Closing to exactly 0 always passes; otherwise a quantity is cut to whole steps towards zero, and an
        order below a minimum is refused, never rounded up (A56). A refused flip still closes.
    """
    delta = wanted_qty - held_qty
    if filters is None or wanted_qty == 0.0:
        return Order(delta)
    steps = math.floor(abs(delta) / filters.step_size + 1e-9)
    cut = math.copysign(steps * filters.step_size, delta)
    too_small = steps == 0 or abs(cut) < filters.min_qty or abs(cut) * price < filters.min_notional_usd
    if not too_small or (must_reduce and steps > 0):
        return Order(cut)
    refused_usd = abs(delta) * price
    return Order(-held_qty, refused_usd) if wanted_qty * held_qty < 0.0 else Order(0.0, refused_usd)
