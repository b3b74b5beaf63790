"""What the planner is given and what it answers: values, no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from strategies.sleeve import Ending

if TYPE_CHECKING:
    from engine.portfolio import SymbolFilters

STEP = "step"
"""The code of what is not sent because it is less than one step of the venue's quantities."""


@dataclass(frozen=True)
class SleeveState:
    """One symbol at the close of a bar: what its strategy decided, and what is held.

    Attributes:
        symbol: the venue's name.
        weight: share of the equity.
        position: decided at the close, in [-1, 1]; None: no signal.
        close_price: of that bar, USDT; the target is sized with it. None: unknown.
        held_qty: signed, base asset, as the venue holds it.
        last_target_usd: of the last order that was filled, signed; 0 when flat.
        filters: the venue's limits now; None: quantities are not cut.
        remembers: whether a missed entry changes what the strategy may do next.
        previous_position: decided at the close before; None: unknown, or no signal.
        ending: why a position ended at this bar.
        mark_price: USDT, the reference of what the policy orders (A37); None: unknown.
        open_price: USDT, of the bar in which the order fills, the reference of a bar's decision; None: not known yet.
        trim: a cut of the bounds is still to be carried out for this symbol (`Plan.untrimmed` of an earlier plan).
    """

    symbol: str
    weight: float
    position: float | None
    close_price: float | None
    held_qty: float
    last_target_usd: float
    filters: SymbolFilters | None
    remembers: bool = False
    previous_position: float | None = None
    ending: Ending = Ending.NONE
    mark_price: float | None = None
    open_price: float | None = None
    trim: bool = False


@dataclass(frozen=True)
class Decided:
    """The moment of a plan: how old the decision is, how old it may be before it only reduces (A74), and the halt.

    Attributes:
        age_ms: since the close of the bar that was decided on.
        valid_for_ms: the bundle's ``execution.decision_valid_for``.
        halted: the halt is latched; closing what is open is the business of `flatten`, nothing here adds to it.
    """

    age_ms: int
    valid_for_ms: int
    halted: bool = False

    @property
    def late(self) -> bool:
        """Whether the decision may only reduce."""
        return self.age_ms > self.valid_for_ms


@dataclass(frozen=True)
class PlannedOrder:
    """One intended change of one symbol: a parent order.

    Attributes:
        symbol: the venue's name.
        side: +1 buys, −1 sells.
        qty: base asset, above 0, whole steps; ``Decimal(str(qty))`` is exact, of its two parts too.
        closing_qty: the part that only reduces what is held and is sent first, reduce-only; of a flip the old side.
        opening_qty: the part that adds risk; 0 where nothing does.
        qty_after: signed, what is held once all is filled.
        target_usd: what becomes the last target once all is filled; 0 where it closes.
        reason: entry, flip, rebalance, reduce, exit, time_stop or flatten.
        ref_kind: ``bar_open``, or ``mark`` where the policy ordered it (A37).
        ref_price: USDT, what the fills are compared with; None: the bar's open, not known yet.
    """

    symbol: str
    side: int
    qty: float
    closing_qty: float
    opening_qty: float
    qty_after: float
    target_usd: float
    reason: str
    ref_kind: str
    ref_price: float | None

    @property
    def reduce_only(self) -> bool:
        """Whether nothing of it adds risk."""
        return self.opening_qty == 0.0


@dataclass(frozen=True)
class NotSent:
    """An order that is not sent, and why.

    Attributes:
        symbol: the venue's name.
        code: a `Why`, or `STEP`.
        reason: in words.
        notional_usd: what is left undone, unsigned; None where it is unknown, 0 where there is nothing to do.
    """

    symbol: str
    code: str
    reason: str
    notional_usd: float | None = 0.0


@dataclass(frozen=True)
class SleeveRestart:
    """A sleeve that must wait for a fresh signal from this bar on: reason blocked, standing, minimum or flatten."""

    symbol: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a bar's decisions lead to.

    Attributes:
        orders: reductions first, then flips, then what adds; within each in the order of the sleeves.
        not_sent: at least one for each symbol without an order, and what an order leaves undone.
        restarts: for the ledger; the sleeves that remember are restored from them.
        untrimmed: symbols whose cut could not be judged for want of a signal, a price or an equity: ask again.
    """

    orders: tuple[PlannedOrder, ...]
    not_sent: tuple[NotSent, ...]
    restarts: tuple[SleeveRestart, ...]
    untrimmed: tuple[str, ...]
