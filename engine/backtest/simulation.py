"""The hourly simulation: one account, bar by bar, with or without the policy in the loop.

Within the bar that opens at t, in this order:

1. Funding of the instant t, on the position held before any order.
2. Orders, decided at the close of the bar before and sized with the equity and the close of then, fill at the open of t.
3. A stop that the bar reaches fills inside it.
4. The position is marked at the close.

The bounds of a stretch hold for the decisions that fill in it, so a policy that looks at the marks up to a close bounds
the very next open. The account starts flat: a position that a sleeve with memory holds already is a missed entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.backtest.grid import due_settlements, hourly_grid, make_lane
from engine.backtest.records import Bounds, Fill, FundingPayment, History, Restart, Skip
from engine.clock import HOUR_MS
from engine.portfolio import (
    fill_price,
    needs_rebalance,
    order_within,
    quiet_range,
    sizing_base,
    stop_fill_reference,
    within_bounds,
)
from strategies.sleeve import Ending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backtest.grid import Lane
    from engine.market.series import Market
    from engine.portfolio import Costs, SymbolFilters
    from strategies.bars import IntArray
    from strategies.sleeve import Sleeve

WARMUP_BARS = 2160  # EMA₃₃₆ forgets its start to less than 3e-6 in as many bars

_FUNDING_DUE = 1
_STOP_LIVE = 2
_EXIT_REASONS = {Ending.TIME_STOP: "time_stop"}


class Simulation:
    """One account on one market.

    Args:
        market: bars, mark prices and settlements; bars before `start_ms` are the warm-up.
        sleeves: symbol -> strategy on that symbol's whole history; their order is the order of all columns.
        weights: symbol -> share of the equity.
        costs: fees and slippage.
        initial_equity_usd: at the start.
        start_ms: the first hour.
        end_ms: the end, excluded.
        dead_band: ratio by which a target must move to be traded.
        default_rate_8h: assumed where a settlement is missing; None: no funding at all.
        filters: symbol -> the venue's limits; absent: quantities are not rounded.
        warmup_bars: bars of a symbol that must have closed before its first decision.

    Attributes:
        grid_ms: int64 (n,), open times of the hours.
        fills: what was executed, oldest first.
        funding: what was paid and received, oldest first.
        skips: orders refused by the venue's minimum.
        restarts: sleeves that were told to wait for a fresh signal.

    Raises:
        DataError: no bars in the range, or bars off the hour.
    """

    def __init__(
        self,
        market: Market,
        sleeves: Mapping[str, Sleeve],
        *,
        weights: Mapping[str, float],
        costs: Costs,
        initial_equity_usd: float,
        start_ms: int,
        end_ms: int,
        dead_band: float,
        default_rate_8h: float | None,
        filters: Mapping[str, SymbolFilters] | None = None,
        warmup_bars: int = WARMUP_BARS,
    ) -> None:
        self.grid_ms: IntArray = hourly_grid((sleeve.bars for sleeve in sleeves.values()), start_ms, end_ms)
        self.fills: list[Fill] = []
        self.funding: list[FundingPayment] = []
        self.skips: list[Skip] = []
        self.restarts: list[Restart] = []
        self.symbols = tuple(sleeves)
        self._lanes: list[Lane] = [
            make_lane(self.grid_ms, market, sleeve, weights[symbol], warmup_bars) for symbol, sleeve in sleeves.items()
        ]
        self._filters = [(filters or {}).get(symbol) for symbol in self.symbols]
        self._dead_band = dead_band
        self._fee_ratio = costs.fee_ratio
        self._slippage_ratio = costs.slippage_ratio
        self._due = due_settlements(self.grid_ms, market, self._lanes, default_rate_8h)
        self._times: list[int] = self.grid_ms.tolist()
        self._targets = list(zip(*(lane.weighted.tolist() for lane in self._lanes), strict=True))
        self._marks = list(zip(*(lane.mark.tolist() for lane in self._lanes), strict=True))
        self._flags = bytearray(len(self._times))
        for hour in self._due:
            self._flags[hour] |= _FUNDING_DUE
        for lane in self._lanes:
            for hour in np.flatnonzero(~np.isnan(lane.stop)).tolist():
                self._flags[hour] |= _STOP_LIVE
        lanes = len(self._lanes)
        self._at = 0
        self._bounds = Bounds()
        self._capital = initial_equity_usd
        self._account = initial_equity_usd  # capital and every lane's cash
        self._equity = initial_equity_usd
        self._units = initial_equity_usd
        self._cash = [0.0] * lanes
        self._qty = [0.0] * lanes
        self._last_target = [0.0] * lanes
        self._near, self._far = ([bound] * lanes for bound in quiet_range(0.0, dead_band))
        self._trimming: set[int] = set()
        self._refused: set[int] = set()
        self._equities: list[float] = []
        self._changes: list[tuple[int, int, float, float]] = []  # hour, lane, quantity, cash afterwards
        self._stretches: list[tuple[int, Bounds]] = []
        self._unit_steps: list[tuple[int, float]] = [(0, self._units)]

    @property
    def at(self) -> int:
        """How many hours have been simulated: the index of the next one."""
        return self._at

    @property
    def equity_usd(self) -> float:
        """The risk equity at the last close, flows since then included."""
        return self._equity

    @property
    def nav(self) -> float:
        """The value of one unit; flows never move it."""
        return self._equity / self._units

    @property
    def units(self) -> float:
        """How many units there are."""
        return self._units

    @property
    def qty(self) -> dict[str, float]:
        """Each symbol's signed quantity, base asset."""
        return dict(zip(self.symbols, self._qty, strict=True))

    @property
    def pnl_usd(self) -> dict[str, float]:
        """Each symbol's cumulative profit at the last close, net of fees, slippage and funding."""
        marks = self._marks[max(0, self._at - 1)]
        rows = zip(self.symbols, self._cash, self._qty, marks, strict=True)
        return {symbol: cash + qty * mark for symbol, cash, qty, mark in rows}

    @property
    def sleeves(self) -> dict[str, Sleeve]:
        """Each symbol's strategy as it stands now, after restarts."""
        return {lane.symbol: lane.sleeve for lane in self._lanes}

    def closed_by(self, at_ms: int) -> int:
        """Return how many hours of the grid have closed by `at_ms`: what to `run` until."""
        return int(np.searchsorted(self.grid_ms, at_ms - HOUR_MS, side="right"))

    def add_flow(self, amount_usd: float) -> None:
        """Add money (or take it away) between two bars: it changes the units, never the value of one.

        Raises:
            ValueError: the account has no value left, so a unit has no price.
        """
        if self._equity <= 0.0:
            raise ValueError(f"an account of {self._equity:.2f} USD takes no flow")
        self._units += amount_usd / self.nav
        self._capital += amount_usd
        self._account += amount_usd
        self._equity += amount_usd
        self._unit_steps.append((self._at, self._units))

    def run(self, until: int, bounds: Bounds = Bounds()) -> None:  # noqa: B008 - a frozen value
        """Simulate the hours up to `until`, excluded.

        Args:
            until: index in the grid.
            bounds: what the policy allows meanwhile.
        """
        self._bind(bounds)
        cap_usd = bounds.cap_usd
        targets, marks, flags = self._targets, self._marks, self._flags
        near, far, qty = self._near, self._far, self._qty
        equity = self._equity
        record = self._equities.append
        for hour in range(self._at, until):
            flag = flags[hour]
            if flag & _FUNDING_DUE:
                self._settle(hour)
            base = sizing_base(equity, cap_usd) * bounds.exposure
            lane = 0
            for weighted in targets[hour]:
                target = weighted * base
                if not near[lane] < target < far[lane]:
                    self._decide(hour, lane, target)
                lane += 1  # noqa: SIM113 - enumerate costs a tuple an hour and symbol
            if flag & _STOP_LIVE:
                self._stop(hour)
            equity = self._account
            for held, mark in zip(qty, marks[hour], strict=True):
                equity += held * mark
            record(equity)
        self._equity = equity
        self._at = max(self._at, until)

    def _bind(self, bounds: Bounds) -> None:
        """Put the bounds of a stretch in force, and see to it that every lane which they concern is looked at."""
        before = self._bounds
        cut = bounds.exposure < before.exposure or _lower(bounds.cap_usd, before.cap_usd)
        self._bounds = bounds
        if bounds != before or not self._stretches:
            self._stretches.append((self._at, bounds))
        if bounds.trim or cut:
            self._trimming = {lane for lane, held in enumerate(self._qty) if held != 0.0}
        for index, lane in enumerate(self._lanes):
            watched = index in self._trimming or (lane.sleeve.remembers and _closed(bounds))
            self._hush(index, watched=watched)

    def _hush(self, lane: int, *, watched: bool = False) -> None:
        """Set the range of targets that need no look; an empty one has every hour looked at."""
        self._near[lane], self._far[lane] = (
            (np.inf, -np.inf) if watched else quiet_range(self._last_target[lane], self._dead_band)
        )

    def _settle(self, hour: int) -> None:
        for lane, at_ms, mark, rate, hours, assumed, estimated in self._due[hour]:
            held = self._qty[lane]
            if held == 0.0:
                continue
            amount = -abs(held) * mark * rate if assumed else -held * mark * rate
            self._book(hour, lane, held, amount)
            symbol = self.symbols[lane]
            self.funding.append(
                FundingPayment(hour, at_ms, symbol, held, mark, rate, hours, amount, assumed, estimated)
            )

    def _decide(self, hour: int, index: int, target: float) -> None:
        """Look at one lane whose target left its quiet range."""
        if target != target:  # noqa: PLR0124 - NaN: no signal, or no bar to trade in
            return
        lane = self._lanes[index]
        held = self._qty[index]
        forced = index in self._trimming
        if forced:
            self._trimming.discard(index)
            self._hush(index, watched=lane.sleeve.remembers and _closed(self._bounds))
        if held == 0.0 and not self._may_open(hour, lane, target):
            return
        close = lane.sized_at.item(hour)
        wanted = within_bounds(target / close, held, entries_allowed=self._bounds.entries_allowed)
        must_reduce = forced and abs(wanted) < abs(held)
        if wanted == held or not (must_reduce or needs_rebalance(target, self._last_target[index], self._dead_band)):
            return
        order = order_within(wanted, held, close, self._filters[index], must_reduce=must_reduce)
        if order.refused_usd:
            self._refuse(hour, lane, index, order.refused_usd)
        if order.delta_qty != 0.0:
            after = 0.0 if wanted == 0.0 or order.delta_qty == -held else held + order.delta_qty
            reason = self._reason(lane, hour, held, after, must_reduce=must_reduce)
            self._last_target[index] = target if after != 0.0 else 0.0
            self._fill(hour, index, order.delta_qty, after, lane.open.item(hour), reason)
            if reason == "flatten":
                self._restart(hour, lane, "flatten")

    def _may_open(self, hour: int, lane: Lane, target: float) -> bool:
        """Return whether a flat lane may open; an entry that is not made is missed, and a sleeve with memory told so."""
        if lane.weighted[hour] == 0.0:
            return False
        if lane.sleeve.remembers:
            decided = lane.decided.item(hour)
            standing = decided > 0 and lane.sleeve.signals.position[decided - 1] != 0.0
            if standing or target == 0.0 or not self._bounds.entries_allowed:
                self._restart(hour, lane, "standing" if standing else "blocked")
                return False
        return target != 0.0 and self._bounds.entries_allowed

    def _refuse(self, hour: int, lane: Lane, index: int, notional_usd: float) -> None:
        if index not in self._refused:
            self._refused.add(index)
            self.skips.append(Skip(hour, self._times[hour], lane.symbol, notional_usd, "minimum"))
        if self._qty[index] == 0.0:
            self._restart(hour, lane, "minimum")

    def _reason(self, lane: Lane, hour: int, held: float, after: float, *, must_reduce: bool) -> str:
        if held == 0.0:
            return "entry"
        if after == 0.0:
            if lane.weighted[hour] != 0.0 and _closed(self._bounds):
                return "flatten"
            ending = lane.sleeve.signals.ending.item(lane.decided.item(hour))
            return _EXIT_REASONS.get(Ending(ending), "exit")
        if held * after < 0.0:
            return "flip"
        return "reduce" if must_reduce else "rebalance"

    def _fill(self, hour: int, index: int, delta: float, after: float, open_: float, reason: str) -> None:
        """Execute an order at the open of an hour."""
        side = 1 if delta > 0.0 else -1
        size = abs(delta)
        price = fill_price(open_, side, self._slippage_ratio)
        fee = self._fee_ratio * size * price
        self._book(hour, index, after, -delta * price - fee)
        self._refused.discard(index)
        self._hush(index, watched=self._lanes[index].sleeve.remembers and _closed(self._bounds))
        slippage = size * open_ * self._slippage_ratio
        at_ms, symbol = self._times[hour], self.symbols[index]
        self.fills.append(Fill(hour, at_ms, symbol, side, size, price, open_, "bar_open", fee, slippage, reason, after))

    def _stop(self, hour: int) -> None:
        """Fill the stops that the hour's range reaches."""
        for index, lane in enumerate(self._lanes):
            held = self._qty[index]
            stop = lane.stop.item(hour)
            if held == 0.0 or stop != stop:  # noqa: PLR0124 - NaN: no stop
                continue
            bars, own = lane.sleeve.bars, lane.own.item(hour)
            if bars.low.item(own) > stop if held > 0.0 else bars.high.item(own) < stop:
                continue
            reference = stop_fill_reference(lane.open.item(hour), stop, long=held > 0.0)
            side = -1 if held > 0.0 else 1
            size = abs(held)
            price = fill_price(reference, side, self._slippage_ratio)
            fee = self._fee_ratio * size * price
            self._last_target[index] = 0.0
            self._book(hour, index, 0.0, held * price - fee)
            self._hush(index, watched=lane.sleeve.remembers and _closed(self._bounds))
            slippage = size * reference * self._slippage_ratio
            at_ms = self._times[hour] + HOUR_MS - 1
            self.fills.append(
                Fill(hour, at_ms, lane.symbol, side, size, price, stop, "stop", fee, slippage, "stop", 0.0)
            )

    def _book(self, hour: int, index: int, qty: float, amount_usd: float) -> None:
        self._qty[index] = qty
        self._cash[index] += amount_usd
        self._account = self._capital + sum(self._cash)
        self._changes.append((hour, index, qty, self._cash[index]))

    def _restart(self, hour: int, lane: Lane, reason: str) -> None:
        """Tell a sleeve at the bar it decided on that its entry was missed or its position closed by force."""
        sleeve = lane.sleeve.restart(lane.decided.item(hour))
        if sleeve is lane.sleeve:
            return
        old_targets, old_stops = lane.weighted, lane.stop
        lane.take(sleeve)
        index = self._lanes.index(lane)
        changed = ~((lane.weighted == old_targets) | (np.isnan(lane.weighted) & np.isnan(old_targets)))
        for at in np.flatnonzero(changed).tolist():
            row = self._targets[at]
            self._targets[at] = (*row[:index], lane.weighted.item(at), *row[index + 1 :])
        for at in np.flatnonzero(np.isnan(old_stops) & ~np.isnan(lane.stop)).tolist():
            self._flags[at] |= _STOP_LIVE
        self.restarts.append(Restart(hour, self._times[hour], lane.symbol, reason))

    def history(self, start: int = 0, stop: int | None = None) -> History:
        """Return what stood at the closes of the hours ``start:stop`` that have been simulated."""
        return _history(self, start, self._at if stop is None else min(stop, self._at))


def _lower(cap_usd: float | None, before_usd: float | None) -> bool:
    if cap_usd is None:
        return False
    return before_usd is None or cap_usd < before_usd


def _closed(bounds: Bounds) -> bool:
    """Return whether the bounds leave nothing to hold."""
    return bounds.exposure == 0.0 or bounds.cap_usd == 0.0
