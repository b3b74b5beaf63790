"""The hourly simulation: one account, bar by bar, with or without the policy in the loop.

Within the bar that opens at t, in this order:

1. Funding of the instant t, on the position held before any order.
2. Orders, decided at the close of the bar before and sized with the equity and the close of then, fill at t's open.
3. A stop that the bar reaches fills inside it.
4. The position is marked at the close.

The bounds of a stretch hold for the decisions that fill in it, so a policy that looks at the marks up to a close bounds
the very next open. The account starts flat: a position that a sleeve with memory holds already is a missed entry.
Nothing is closed at the end; what is open then is marked.
"""

from __future__ import annotations

import math
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backtest.account import WRITTEN_OUT, Account
from engine.backtest.grid import hourly_grid
from engine.backtest.journal import REASON_CODES, STOPPED
from engine.backtest.lanes import make_lane
from engine.backtest.records import Restart, Skip
from engine.portfolio import (
    Bounds,
    Held,
    Terms,
    Wish,
    decide_trade,
    fill_price,
    needs_rebalance,
    quiet_range,
    reachable,
    stop_fill_reference,
    trade_reason,
)
from strategies.sleeve import Ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.market.series import Market
    from engine.portfolio import Costs, SymbolFilters
    from strategies.sleeve import Sleeve

WARMUP_BARS = 2160
"""domain.md: what EMA₃₃₆ remembers of its start after as many bars is less than 3e-6."""

UNBOUND = Bounds()

_FUNDING_DUE = 1
_STOP_REACHED = 2


class Simulation(Account):
    """One account on one market.

    Args:
        market: bars, mark prices and settlements; bars before `start_ms` are the warm-up.
        sleeves: symbol -> strategy on that symbol's whole history; their order is the order of all columns.
        weights: symbol -> share of the equity.
        costs: fees and slippage.
        initial_equity_usd: at the start.
        start_ms: the first hour.
        end_ms: the end, excluded.
        dead_band: ratio by which a target must move to be traded, below 1.
        default_rate_8h: assumed where a settlement is missing; None: no funding at all.
        filters: symbol -> the venue's limits; absent: quantities are not rounded.
        warmup_bars: bars of a symbol that must have closed before its first decision.

    Attributes:
        skips: orders refused by the venue's minimum.
        restarts: sleeves that were told to wait for a fresh signal.

    Raises:
        DataError: no bars in the range, or bars off the hour.
        ValueError: a dead-band that is none.
    """

    def __init__(  # noqa: PLR0913 - everything that an account depends on, all by keyword
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
        if not 0.0 <= dead_band < 1.0:
            raise ValueError(f"a dead-band is a ratio from 0 to below 1, not {dead_band:g}")
        grid = hourly_grid((sleeve.bars for sleeve in sleeves.values()), start_ms, end_ms)
        lanes = [
            make_lane(grid, market, sleeve, weights[symbol], warmup_bars=warmup_bars, default_rate_8h=default_rate_8h)
            for symbol, sleeve in sleeves.items()
        ]
        super().__init__(grid, lanes, costs, initial_equity_usd)
        self.skips: list[Skip] = []
        self.restarts: list[Restart] = []
        self._dead_band = dead_band
        self._quiet = quiet_range(1.0, dead_band)
        self._buying, self._selling = (fill_price(1.0, side, costs.slippage_ratio) for side in (1, -1))
        self._fee_ratio = costs.fee_ratio
        self._filters = [(filters or {}).get(symbol) for symbol in self.symbols]
        self._flags = bytearray(len(grid))
        for lane in lanes:
            self._flag(lane.due.hour[:-1], _FUNDING_DUE)
            self._flag(lane.stops_reached().tolist(), _STOP_REACHED)
        count = len(self._qty)
        idle = [[0.0] * len(grid)] * (count - len(lanes))
        self._targets: list[list[float]] = [lane.weighted.tolist() for lane in lanes] + idle
        self._next_due = [0] * count
        self._bounds = UNBOUND
        self._last_target = [0.0] * count
        self._near, self._far = ([bound] * count for bound in quiet_range(0.0, dead_band))
        self._plain = [False] * count
        self._trimming: set[int] = set()
        self._refused: set[int] = set()
        self._relaid = False

    @property
    def sleeves(self) -> dict[str, Sleeve]:
        """Each symbol's strategy as it stands now, after restarts."""
        return {lane.symbol: lane.sleeve for lane in self._lanes}

    def first_decisions_ms(self) -> dict[str, int | None]:
        """Return the first open at which each symbol could trade, after its warm-up; None: not within the grid."""
        found: dict[str, int | None] = {}
        for lane in self._lanes:
            hours = np.flatnonzero(~np.isnan(lane.weighted))
            found[lane.symbol] = int(self.grid_ms[hours[0]]) if len(hours) else None
        return found

    def run(self, until: int, bounds: Bounds = UNBOUND) -> None:
        """Simulate the hours up to `until`, excluded.

        Args:
            until: index in the grid; beyond its end: to the end.
            bounds: what the policy allows meanwhile.
        """
        self._bind(bounds)
        end = min(until, len(self.grid_ms))
        while self._at < end:
            self._advance(end)

    def _advance(self, until: int) -> None:
        """Simulate until a sleeve restarts, which changes the targets to come, or to the end."""
        hour = self._at - 1
        cap = math.inf if self._bounds.cap_usd is None else self._bounds.cap_usd
        exposure = self._bounds.exposure
        near, far, qty = self._near, self._far, self._qty
        record = self._journal.equities.append
        equity = self._equity
        self._relaid = False
        # Three lanes are written out: an inner loop over them doubles the time of a run.
        for hour, flag, weighted_0, weighted_1, weighted_2, mark_0, mark_1, mark_2, more in self._hours(until):
            if flag:
                self._settle(hour)
            base = equity if equity < cap else cap  # noqa: FURB136 - engine.portfolio.sized_on without the calls
            base = base * exposure if base > 0.0 else 0.0
            if not near[0] < weighted_0 * base < far[0]:
                self._decide(hour, 0, weighted_0 * base)
            if not near[1] < weighted_1 * base < far[1]:
                self._decide(hour, 1, weighted_1 * base)
            if not near[2] < weighted_2 * base < far[2]:
                self._decide(hour, 2, weighted_2 * base)
            if more:
                self._decide_others(hour, base, more)
            if flag >= _STOP_REACHED:
                self._stop(hour)
            equity = self._account + qty[0] * mark_0 + qty[1] * mark_1 + qty[2] * mark_2
            if more:
                equity += sum(qty[lane] * mark for lane, _, mark in more)
            record(equity)
            if self._relaid:
                break
        self._equity = equity
        self._at = hour + 1

    def _hours(self, until: int) -> Iterable[tuple[Any, ...]]:
        """Return of each hour: number, flag, three lanes' weighted positions and marks, and (lane, both) of more."""
        start = self._at
        targets, marks = ([column[start:until] for column in columns] for columns in (self._targets, self._marks))
        more: Iterable[Sequence[tuple[int, float, float]]] = repeat(())
        if len(targets) > WRITTEN_OUT:
            lanes = range(WRITTEN_OUT, len(targets))
            more = zip(*(zip(repeat(lane), targets[lane], marks[lane], strict=False) for lane in lanes), strict=True)
        hours, flags = range(start, until), self._flags[start:until]
        return zip(hours, flags, *targets[:WRITTEN_OUT], *marks[:WRITTEN_OUT], more, strict=False)

    def _decide_others(self, hour: int, base: float, more: Iterable[tuple[int, float, float]]) -> None:
        """Look at the lanes beyond those that the loop writes out."""
        for lane, weighted, _ in more:
            if not self._near[lane] < weighted * base < self._far[lane]:
                self._decide(hour, lane, weighted * base)

    def _bind(self, bounds: Bounds) -> None:
        """Put the bounds of a stretch in force, and see to it that every lane which they concern is looked at."""
        before = self._bounds
        if bounds != before or not self._journal.stretches:
            self._journal.stretches.append((self._at, bounds))
        self._bounds = bounds
        if bounds.trim or bounds.cuts(before):
            self._trimming = {index for index, held in enumerate(self._qty) if held != 0.0}
        for index in range(len(self._lanes)):
            self._watch(index)

    def _watch(self, index: int) -> None:
        """Set the range of targets of a lane that need no look; none of them where something waits to be done.

        That is a position to be trimmed, or a sleeve that must be told of the entries it misses.
        """
        remembers = self._lanes[index].sleeve.remembers
        bounds = self._bounds
        if index in self._trimming or (remembers and bounds.closed):
            self._near[index], self._far[index] = math.inf, -math.inf
        else:
            self._near[index], self._far[index] = quiet_range(self._last_target[index], self._dead_band)
        bound = bounds.closed or not bounds.entries_allowed
        self._plain[index] = not (remembers or index in self._trimming or bound)

    def _settle(self, hour: int) -> None:
        """Book the funding that is due at the open of an hour, on what is held before any order."""
        cash, settled = self._cash, self._journal.settled
        for index, lane in enumerate(self._lanes):
            due, number = lane.due, self._next_due[index]
            while due.hour[number] == hour:
                held = self._qty[index]
                if held != 0.0:
                    amount = -(abs(held) if due.assumed[number] else held) * due.cost_usd[number]
                    cash[index] += amount
                    self._journal.lanes[index].write(hour, held, cash[index])
                    settled.extend((hour, index, number, held, amount))
                number += 1
            self._next_due[index] = number
        self._account = self._capital + sum(cash)

    def _decide(self, hour: int, index: int, target: float) -> None:
        """Look at a lane whose target left its quiet range."""
        if target != target:  # noqa: PLR0124 - NaN: no signal, or no bar to trade in
            if self._bounds.closed and self._qty[index] != 0.0 and not math.isnan(self._lanes[index].open.item(hour)):
                self._decide_with_care(hour, index, target)
        elif not self._plain[index]:
            self._decide_with_care(hour, index, target)
        elif needs_rebalance(target, self._last_target[index], self._dead_band):
            # `engine.portfolio.decide_trade` where nothing but the target has a say, written out: most orders are so.
            lane, held, filters = self._lanes[index], self._qty[index], self._filters[index]
            close = lane.sized_at.item(hour)
            after = target / close
            if filters is not None:
                after, refused_usd = reachable(after, held, close, filters)
                if refused_usd != 0.0:
                    self._refuse(hour, index, refused_usd)
            if after != held:
                before_slippage, left = lane.open.item(hour), target if after != 0.0 else 0.0
                self._execute(hour, index, after, before_slippage, left, trade_reason(held, after))

    def _decide_with_care(self, hour: int, index: int, target: float) -> None:
        """Decide where bounds, the venue's limits or a sleeve's memory have a say."""
        lane = self._lanes[index]
        trim = index in self._trimming
        if trim:
            self._trimming.discard(index)
            self._watch(index)
        decided, signals = lane.decided.item(hour), lane.sleeve.signals
        stood = decided > 0 and signals.position.item(decided - 1) != 0.0
        timed_out = signals.ending.item(decided) == Ending.TIME_STOP
        wish = Wish(lane.weighted.item(hour), lane.sleeve.remembers, stood, timed_out)
        held = Held(self._qty[index], self._last_target[index], lane.sized_at.item(hour))
        terms = Terms(self._dead_band, self._filters[index])
        decision = decide_trade(wish, held, target, terms, self._bounds, trim=trim)
        if decision.refused_usd != 0.0:
            self._refuse(hour, index, decision.refused_usd)
        if decision.qty_after != held.qty:
            before_slippage = lane.open.item(hour)
            self._execute(hour, index, decision.qty_after, before_slippage, decision.target_usd, decision.reason)
        if decision.restart:
            self._restart(hour, index, decision.restart)

    def _refuse(self, hour: int, index: int, notional_usd: float) -> None:
        """Tell of an order below the venue's minimum, once for as long as it stands."""
        if index not in self._refused:
            self._refused.add(index)
            self.skips.append(Skip(hour, self.grid_ms.item(hour), self.symbols[index], notional_usd, "minimum"))

    def _stop(self, hour: int) -> None:
        """Fill the stops that the hour's range reaches."""
        for index, lane in enumerate(self._lanes):
            held, trigger = self._qty[index], lane.stop.item(hour)
            if held == 0.0 or trigger != trigger:  # noqa: PLR0124 - NaN: no stop
                continue
            bars, own = lane.sleeve.bars, lane.own.item(hour)
            if bars.low.item(own) <= trigger if held > 0.0 else bars.high.item(own) >= trigger:
                before_slippage = stop_fill_reference(lane.open.item(hour), trigger, long=held > 0.0)
                self._execute(hour, index, 0.0, before_slippage, 0.0, STOPPED)

    def _execute(self, hour: int, index: int, after: float, before_slippage: float, target: float, reason: str) -> None:
        """Bring a lane's quantity to `after` at a price before slippage."""
        delta = after - self._qty[index]
        price = before_slippage * (self._buying if delta > 0.0 else self._selling)
        fee = self._fee_ratio * abs(delta) * price
        self._cash[index] += -delta * price - fee
        self._qty[index] = after
        self._account = self._capital + sum(self._cash)
        self._journal.lanes[index].write(hour, after, self._cash[index])
        self._journal.trades.extend((hour, index, delta, after, price, fee, REASON_CODES[reason]))
        self._last_target[index] = target
        if self._refused:
            self._refused.discard(index)
        if not self._plain[index]:
            self._watch(index)
        elif target > 0.0:
            self._near[index], self._far[index] = target * self._quiet[0], target * self._quiet[1]
        elif target < 0.0:
            self._near[index], self._far[index] = target * self._quiet[1], target * self._quiet[0]
        else:
            self._watch(index)

    def _restart(self, hour: int, index: int, reason: str) -> None:
        """Tell a sleeve at the bar it decided on that its entry was missed or its position closed by force."""
        lane = self._lanes[index]
        lane.take(lane.sleeve.restart(lane.decided.item(hour)))
        self._targets[index][hour:] = lane.weighted[hour:].tolist()
        self._flag(lane.stops_reached().tolist(), _STOP_REACHED)
        self._relaid = True
        self.restarts.append(Restart(hour, self.grid_ms.item(hour), lane.symbol, reason))

    def _flag(self, hours: list[int], event: int) -> None:
        """Mark hours at which something is due; a reached stop outranks funding, which is looked for at every mark."""
        for hour in hours:
            self._flags[hour] = max(event, self._flags[hour])
