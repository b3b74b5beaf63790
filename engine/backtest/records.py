"""What happens in a simulation, event by event, and what stands at each bar's close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from strategies.bars import FloatArray, IntArray


class Fill(NamedTuple):
    """One execution.

    Attributes:
        bar: index in the grid of the bar it happened in.
        at_ms: the bar's open; of a stop the bar's last millisecond, for only its close shows that it was hit.
        symbol: the venue's name.
        side: +1 or −1.
        qty: base asset, above 0.
        price: USDT, slippage included.
        ref_price: what it is compared with: the bar's open, or the stop's trigger.
        ref_kind: ``bar_open`` or ``stop``.
        fee_usd: paid.
        slippage_usd: what 3 bps (or whatever is configured) cost; a gap beyond a stop is price, not slippage.
        reason: entry, flip, rebalance, reduce, exit, time_stop, stop or flatten.
        qty_after: signed position afterwards.
    """

    bar: int
    at_ms: int
    symbol: str
    side: int
    qty: float
    price: float
    ref_price: float
    ref_kind: str
    fee_usd: float
    slippage_usd: float
    reason: str
    qty_after: float


class FundingPayment(NamedTuple):
    """One funding settlement of a position.

    Attributes:
        bar: index in the grid of the bar at whose open it was booked.
        at_ms: the settlement's instant.
        symbol: the venue's name.
        qty: signed, held before any order of that instant.
        mark_price: USDT.
        rate: ratio; of a missing settlement the assumed one for its hours, as a cost.
        hours: the interval settled.
        amount_usd: received (+) or paid (−).
        assumed: the record lacks this settlement.
        estimated: no mark price was known; the last price stood in.
    """

    bar: int
    at_ms: int
    symbol: str
    qty: float
    mark_price: float
    rate: float
    hours: float
    amount_usd: float
    assumed: bool
    estimated: bool


class Skip(NamedTuple):
    """An order that the venue's minimum refused; one that stands bar after bar is told once (A56)."""

    bar: int
    at_ms: int
    symbol: str
    notional_usd: float
    reason: str


class Restart(NamedTuple):
    """A sleeve that must wait for a fresh signal: `reason` is flatten, blocked, standing or minimum."""

    bar: int
    at_ms: int
    symbol: str
    reason: str


@dataclass(frozen=True)
class History:
    """What stood at the close of each bar of a stretch; n bars, S symbols.

    Attributes:
        symbols: the order of the columns.
        at_ms: int64 (n,), the bars' close instants.
        equity_usd: float64 (n,), the risk equity.
        nav: float64 (n,), the value of one unit, 1.0 at the start; flows never move it.
        units: float64 (n,).
        exposure: float64 (n,), as bound during the bar.
        cap_usd: float64 (n,), NaN where there was none.
        gross_usd: float64 (n,), Σ |qty|·mark.
        qty: float64 (n, S), signed, base asset.
        mark: float64 (n, S), USDT: the price each position is valued at; 0 before a symbol's first bar.
        pnl_usd: float64 (n, S), cumulative since the start: price, fees, slippage and funding. Their sum and the flows
            explain the equity.
        position: float64 (n, S), what each strategy decided at this close, NaN without a signal or bar.
        estimated: int64 (n,), how many open positions were valued at a last price for want of a mark price.
    """

    symbols: tuple[str, ...]
    at_ms: IntArray
    equity_usd: FloatArray
    nav: FloatArray
    units: FloatArray
    exposure: FloatArray
    cap_usd: FloatArray
    gross_usd: FloatArray
    qty: FloatArray
    mark: FloatArray
    pnl_usd: FloatArray
    position: FloatArray
    estimated: IntArray
