"""The venue's limits of an order: whole steps, a least quantity, a least notional."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

_TOLERANCE = 1e-9  # of a step: what sums and quotients of floats are off by
_ALMOST = 1.0 - 1e-9  # of a minimum: a difference or product of floats may fall just short of it


@dataclass(frozen=True)
class SymbolFilters:
    """The venue's limits for one symbol.

    Attributes:
        step_size: base asset; quantities are whole multiples of it.
        min_qty: base asset, of one order.
        min_notional_usd: of one order that opens or adds; one that only reduces has no such minimum.
        tick_size: USDT; prices are whole multiples of it. None where no price is sent.
    """

    step_size: float
    min_qty: float
    min_notional_usd: float
    tick_size: float | None = None

    @cached_property
    def steps_per_unit(self) -> float:
        """How many steps make one unit of the base asset; a whole number wherever it is one, whatever floats make."""
        count = 1.0 / self.step_size
        return float(round(count)) if abs(count - round(count)) < _TOLERANCE * count else count

    def whole_steps(self, qty: float) -> int:
        """Return how many whole steps there are in a quantity, without its sign.

        >>> SymbolFilters(step_size=0.1, min_qty=0.1, min_notional_usd=5.0).whole_steps(-0.3)
        3
        """
        return int(abs(qty) * self.steps_per_unit + _TOLERANCE)

    def quantity(self, steps: int) -> float:
        """Return so many steps as a quantity: the float nearest to it, which prints as the venue writes it.

        >>> SymbolFilters(step_size=0.1, min_qty=0.1, min_notional_usd=5.0).quantity(3)
        0.3
        """
        return steps / self.steps_per_unit if self.steps_per_unit > 1.0 else steps * self.step_size


def reachable(wanted_qty: float, held_qty: float, price: float, filters: SymbolFilters | None) -> tuple[float, float]:
    """Return what one order may lead to under the venue's limits, and the notional left undone, USDT.

    Args:
        wanted_qty: signed, base asset.
        held_qty: signed, base asset.
        price: USDT, for the notional; unused where nothing is wanted.
        filters: the limits; None: there are none.

    The quantity is cut to whole steps towards zero, so never more is held than is wanted, and what is wanted below a
    step is closed. An order below a minimum is refused, never rounded up (A56). The least notional does not bind an
    order that only reduces: the venue asks it of others alone, and reducing is always possible (execution.md, invariant
    5). A flip is a close and an opening in one: the close passes, and the opening must meet the minimum by itself.
    """
    if filters is None or wanted_qty == 0.0:
        return wanted_qty, 0.0
    per_unit = filters.steps_per_unit
    steps = int(wanted_qty * per_unit + (_TOLERANCE if wanted_qty > 0.0 else -_TOLERANCE))
    after = steps / per_unit if per_unit > 1.0 else steps * filters.step_size
    if wanted_qty * held_qty < 0.0:
        opened, otherwise, undone = abs(after), 0.0, wanted_qty
    else:
        opened, otherwise, undone = abs(after) - abs(held_qty), held_qty, wanted_qty - held_qty
        if abs(wanted_qty) < abs(held_qty):
            if -opened >= filters.min_qty * _ALMOST:
                return after, 0.0 if steps else abs(wanted_qty) * price
            return held_qty, abs(undone) * price
    if steps and opened >= filters.min_qty * _ALMOST and opened * price >= filters.min_notional_usd * _ALMOST:
        return after, 0.0
    return otherwise, abs(undone) * price
