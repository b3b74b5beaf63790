"""The one rule by which a target becomes a trade, or does not: the same in backtest, rehearsal, paper and live.

Pure: what the sleeve wants, what is held, what the policy and the venue allow; in comes a bar's decision, out comes the
change of quantity with its reason, or the reason why there is none, and what a sleeve with memory must be told.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from engine.portfolio.limits import reachable
from engine.portfolio.sizing import needs_rebalance, within_bounds

if TYPE_CHECKING:
    from engine.portfolio.limits import SymbolFilters
    from engine.portfolio.sizing import Bounds

BY_POLICY = ("reduce", "flatten")
"""Reasons of trades that the policy orders, not a strategy; measured against the mark at the decision (A37)."""


class Why(StrEnum):
    """Why nothing is traded."""

    NO_SIGNAL = "no_signal"  # the strategy knows no position, so what is held stays
    FLAT = "flat"  # nothing is wanted and nothing is held
    CLOSED = "closed"  # the bounds, or an account without equity, leave nothing to open with
    BLOCKED = "blocked"  # entries are not allowed
    STANDING = "standing"  # the entry was missed; a sleeve with memory waits for a fresh signal
    DEAD_BAND = "dead_band"  # the target has not moved enough
    MINIMUM = "minimum"  # below the venue's minimum or less than a step (A56)


class Wish(NamedTuple):
    """What a sleeve decided at the close of a bar.

    Attributes:
        weighted: weight × position; NaN without a signal.
        remembers: whether a missed entry changes what the strategy may do next.
        stood: whether its position stood at the close before already; True also where that is not known.
        timed_out: whether a position ended at this bar by its time stop.
    """

    weighted: float
    remembers: bool = False
    stood: bool = False
    timed_out: bool = False


class Held(NamedTuple):
    """What is held: signed base asset, the target of the last order filled (USDT, 0 when flat), the bar's close."""

    qty: float
    last_target_usd: float
    price: float


class Terms(NamedTuple):
    """By which rules a symbol is traded: the dead-band, a ratio, and the venue's limits; None: there are none."""

    dead_band: float
    filters: SymbolFilters | None


class Decision(NamedTuple):
    """What becomes of a wish.

    Attributes:
        qty_after: signed, base asset; what is held where nothing is traded.
        reason: of the trade: entry, flip, rebalance, reduce, exit, time_stop or flatten; else a `Why`.
        target_usd: what is remembered as the last target once the trade is filled; 0 where it closes.
        restart: why a sleeve with memory must wait for a fresh signal: blocked, standing, minimum or flatten; empty
            where it need not.
        refused_usd: the notional that the venue's minimum left undone, 0 where it left nothing.
    """

    qty_after: float
    reason: str
    target_usd: float = 0.0
    restart: str = ""
    refused_usd: float = 0.0


def decide_trade(wish: Wish, held: Held, target_usd: float, terms: Terms, bounds: Bounds, *, trim: bool) -> Decision:
    """Return the trade that a bar's decision leads to.

    Args:
        wish: what the sleeve decided.
        held: what there is.
        target_usd: signed, ``wish.weighted * sized_on(equity, bounds)``; whatever it is without a signal.
        terms: dead-band and limits.
        bounds: what the policy allows.
        trim: the policy has cut the bounds since this position was last looked at: what exceeds its target goes at
            once, past the dead-band (A31).

    What the bounds close is closed even without a signal and without a price: reducing is always possible.
    """
    unknown = wish.weighted != wish.weighted  # NaN
    if unknown and (held.qty == 0.0 or not bounds.closed):
        return Decision(held.qty, Why.NO_SIGNAL)
    if held.qty == 0.0:
        why, restart = _obstacle(wish, target_usd, bounds)
        if why:
            return Decision(0.0, why, restart=restart)
    target_usd = 0.0 if unknown else target_usd
    sized = 0.0 if target_usd == 0.0 else target_usd / held.price
    wanted = within_bounds(sized, held.qty, entries_allowed=bounds.entries_allowed)
    cuts = trim and abs(wanted) < abs(held.qty)
    moved = target_usd == 0.0 or needs_rebalance(target_usd, held.last_target_usd, terms.dead_band)
    if wanted == held.qty or not (cuts or moved):
        return Decision(held.qty, Why.BLOCKED if moved and sized != wanted else Why.DEAD_BAND)
    after, refused_usd = reachable(wanted, held.qty, held.price, terms.filters)
    if after == held.qty:
        missed = wish.remembers and held.qty == 0.0
        return Decision(after, Why.MINIMUM, restart=Why.MINIMUM if missed else "", refused_usd=refused_usd)
    if after == 0.0:
        return _closing(wish, bounds, refused_usd, cuts=cuts, too_small=wanted * held.qty > 0.0)
    reason = "reduce" if cuts and held.qty * after > 0.0 else trade_reason(held.qty, after)
    return Decision(after, reason, target_usd, "", refused_usd)


def trade_reason(held_qty: float, after_qty: float) -> str:
    """Return what a trade of the strategy's own is called: entry, exit, flip or rebalance."""
    if held_qty == 0.0:
        return "entry"
    if after_qty == 0.0:
        return "exit"
    return "flip" if held_qty * after_qty < 0.0 else "rebalance"


def _obstacle(wish: Wish, target_usd: float, bounds: Bounds) -> tuple[str, str]:
    """Return why a flat sleeve opens nothing, and what it must be told: an entry not made is missed."""
    if wish.weighted == 0.0:
        return Why.FLAT, ""
    if wish.remembers and wish.stood:
        return Why.STANDING, Why.STANDING
    told = Why.BLOCKED if wish.remembers else ""
    if not bounds.entries_allowed:
        return Why.BLOCKED, told
    return (Why.CLOSED, told) if target_usd == 0.0 else ("", "")


def _closing(wish: Wish, bounds: Bounds, refused_usd: float, *, cuts: bool, too_small: bool) -> Decision:
    """Return the decision that closes a position; `too_small`: less than a step of it is still wanted."""
    told, reason = "", "time_stop" if wish.timed_out else "exit"
    if too_small:
        told, reason = str(Why.MINIMUM), "reduce" if cuts else "exit"
    elif bounds.closed and wish.weighted != 0.0:
        told = reason = "flatten"
    return Decision(0.0, reason, restart=told if wish.remembers else "", refused_usd=refused_usd)
