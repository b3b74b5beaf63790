"""One simulated account: money, units, positions, and what may be read of them while a simulation runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.backtest.journal import Journal
from engine.clock import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.backtest.grid import Grid
    from engine.backtest.journal import Totals
    from engine.backtest.lanes import Lane
    from engine.backtest.records import Fill, FundingPayment, History
    from engine.portfolio import Costs
    from strategies.bars import IntArray

WRITTEN_OUT = 3
"""Lanes that the simulation's loop writes out; what an account lacks of them idles at 0."""


class Account:
    """Money, units and positions on a grid of hours.

    Args:
        grid: the hours.
        lanes: one a symbol.
        costs: what a fill costs.
        initial_equity_usd: at the start, when a unit is worth 1.0.

    Attributes:
        grid_ms: int64 (n,), open times of the hours.
        symbols: the order of all columns.
    """

    def __init__(self, grid: Grid, lanes: Sequence[Lane], costs: Costs, initial_equity_usd: float) -> None:
        self.grid_ms: IntArray = grid.time_ms
        self.symbols = tuple(lane.symbol for lane in lanes)
        self._lanes = lanes
        self._costs = costs
        idle = [[0.0] * len(grid)] * max(0, WRITTEN_OUT - len(lanes))
        self._marks: list[list[float]] = [lane.mark.tolist() for lane in lanes] + idle
        self._at = 0
        self._capital = initial_equity_usd
        self._cash = [0.0] * len(self._marks)
        self._account = initial_equity_usd  # the capital and every lane's cash
        self._qty = [0.0] * len(self._marks)
        self._equity = initial_equity_usd
        self._units = initial_equity_usd
        self._journal = Journal.opened(len(lanes), self._units)
        self._fills: list[Fill] = []
        self._funding: list[FundingPayment] = []

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
        return dict(zip(self.symbols, self._qty, strict=False))

    @property
    def pnl_usd(self) -> dict[str, float]:
        """Each symbol's cumulative profit at the last close, net of fees, slippage and funding."""
        last = max(0, self._at - 1)
        rows = zip(self.symbols, self._cash, self._qty, self._marks, strict=False)
        return {symbol: cash + qty * marks[last] for symbol, cash, qty, marks in rows}

    @property
    def marks(self) -> dict[str, float]:
        """Each symbol's price at the last close, as its position is valued; 0 before its first bar."""
        last = max(0, self._at - 1)
        return {symbol: marks[last] for symbol, marks in zip(self.symbols, self._marks, strict=False)}

    @property
    def fills(self) -> list[Fill]:
        """What was executed so far, oldest first."""
        if len(self._fills) < self._journal.executions:
            self._fills += self._journal.fills(self._lanes, self.grid_ms, len(self._fills), self._costs.slippage_ratio)
        return self._fills

    @property
    def funding(self) -> list[FundingPayment]:
        """What was paid and received so far, oldest first."""
        if len(self._funding) < self._journal.settlements:
            self._funding += self._journal.funding(self._lanes, len(self._funding))
        return self._funding

    def totals(self) -> dict[str, Totals]:
        """Return what each symbol's executions and settlements sum up to so far."""
        return self._journal.totals(self._lanes, self._costs.slippage_ratio)

    def closed_by(self, at_ms: int) -> int:
        """Return how many hours of the grid have closed by `at_ms`: what to `run` until."""
        return int(np.searchsorted(self.grid_ms, at_ms - HOUR_MS, side="right"))

    def history(self, start: int = 0, stop: int | None = None) -> History:
        """Return what stood at the closes of the hours ``start:stop`` that have been simulated."""
        end = self._at if stop is None else min(stop, self._at)
        return self._journal.history(self._lanes, self.grid_ms, start, end)

    def add_flow(self, amount_usd: float) -> None:
        """Add money (or take it away) between two bars: it changes the units, never the value of one.

        Raises:
            ValueError: the account is worth nothing, so a unit has no price, or more is taken than there is.
        """
        if self._equity <= 0.0 or self._equity + amount_usd <= 0.0:
            raise ValueError(f"a flow of {amount_usd:.2f} USD does not fit an account of {self._equity:.2f} USD")
        self._units += amount_usd / self.nav
        self._capital += amount_usd
        self._account += amount_usd
        self._equity += amount_usd
        self._journal.unit_steps.append((self._at, self._units))
