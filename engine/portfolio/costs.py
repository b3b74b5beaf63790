"""What a change of a position costs."""

from __future__ import annotations

from dataclasses import dataclass

BPS = 1e-4


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


def fill_price(reference: float, side: int, slippage_ratio: float) -> float:
    """Return the price of a fill that is worse than `reference` by the slippage; `side` is +1 or −1.

    >>> fill_price(100.0, -1, 3e-4)
    99.97
    """
    return reference * (1.0 + side * slippage_ratio)


def stop_fill_reference(open_: float, stop: float, *, long: bool) -> float:
    """Return the price at which a stop that was hit fills before slippage: a gap beyond the stop fills at the open."""
    return min(open_, stop) if long else max(open_, stop)
