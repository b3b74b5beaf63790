"""How large a position is, and when a new target is traded."""

from __future__ import annotations

import math
from dataclasses import dataclass

_ROUNDING = 1e-12
_LEAST = math.ulp(0.0)


@dataclass(frozen=True)
class Bounds:
    """What the policy allows, constant for a stretch of bars.

    Attributes:
        exposure: multiplier of every target, 0 to 1; 0 closes everything at the next open.
        cap_usd: the most that positions are sized on; None: the risk equity alone.
        entries_allowed: False: positions may only shrink.
        trim: True: positions above their target are cut at the next open, whatever the dead-band (A31). A stretch whose
            exposure or cap is below that of the one before trims by itself.
    """

    exposure: float = 1.0
    cap_usd: float | None = None
    entries_allowed: bool = True
    trim: bool = False

    @property
    def closed(self) -> bool:
        """Whether they leave nothing to hold."""
        return self.exposure == 0.0 or self.cap_usd == 0.0

    def cuts(self, before: Bounds) -> bool:
        """Return whether they allow less than the bounds before them."""
        if self.exposure < before.exposure:
            return True
        return self.cap_usd is not None and (before.cap_usd is None or self.cap_usd < before.cap_usd)


def sizing_base(equity_usd: float, cap_usd: float | None) -> float:
    """Return what positions are sized on: min(risk equity, stage cap), never below 0 (A52)."""
    base = equity_usd if cap_usd is None else min(equity_usd, cap_usd)
    return max(base, 0.0)


def sized_on(equity_usd: float, bounds: Bounds) -> float:
    """Return what a position of weight 1 at full signal is worth: the sizing base times the exposure multiplier."""
    return sizing_base(equity_usd, bounds.cap_usd) * bounds.exposure


def target_notional(weight: float, position: float, exposure: float, base_usd: float) -> float:
    """Return the signed target in USDT. Leverage is no part of it: it is margin only (R014).

    In the order of the simulation's products, so that it comes out equal to the last bit.
    """
    return weight * position * (base_usd * exposure)


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
