"""What a simulation writes down while it runs, as bare tuples, and the records and columns that come of it.

The loop runs over years of hours and tens of thousands of orders, so it writes the least that the rest follows from.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from engine.backtest.records import Fill, FundingPayment, History
from engine.clock import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.backtest.lanes import Lane
    from engine.backtest.records import Bounds
    from strategies.bars import FloatArray, IntArray

_BEFORE = -1

Trade = tuple[int, int, float, float, float, float, float, float, str]
"""Hour, lane, signed change, quantity after, price, price before slippage, reference price, fee, reason."""

Settled = tuple[int, int, int, float, float]
"""Hour, lane, index in the lane's settlements, quantity, amount."""


@dataclass
class Changes:
    """The hours at which one symbol's quantity or cash changed, and both afterwards; the first is before all hours."""

    hour: array[int] = field(default_factory=lambda: array("q", [_BEFORE]))
    qty: array[float] = field(default_factory=lambda: array("d", [0.0]))
    cash_usd: array[float] = field(default_factory=lambda: array("d", [0.0]))

    def at_closes(self, start: int, stop: int) -> tuple[FloatArray, FloatArray]:
        """Return quantity and cash at the closes of the hours ``start:stop``, float64 (n,) each."""
        part = slice(bisect_left(self.hour, start) - 1, bisect_left(self.hour, stop))
        spans = np.diff(np.maximum(np.array(self.hour[part]), start), append=stop)
        return np.repeat(np.array(self.qty[part]), spans), np.repeat(np.array(self.cash_usd[part]), spans)


@dataclass
class Journal:
    """One account's notes.

    Attributes:
        lanes: one a symbol.
        equities: the risk equity at each close so far, USDT.
        trades: executions, oldest first.
        settled: funding settlements of open positions, oldest first.
        stretches: the hour from which bounds were in force.
        unit_steps: the hour from whose close on there were so many units.
    """

    lanes: list[Changes]
    equities: array[float] = field(default_factory=lambda: array("d"))
    trades: list[Trade] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    stretches: list[tuple[int, Bounds]] = field(default_factory=list)
    unit_steps: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def opened(cls, lanes: int, units: float) -> Journal:
        """Return the notes of an account of so many symbols that is flat."""
        return cls([Changes() for _ in range(lanes)], unit_steps=[(0, units)])

    def fills(self, lanes: Sequence[Lane], time_ms: IntArray, start: int, slippage_ratio: float) -> list[Fill]:
        """Return the executions from number `start` on as records."""
        found = []
        for hour, index, delta, after, price, before_slippage, ref_price, fee, reason in self.trades[start:]:
            stopped = reason == "stop"
            opened_ms = int(time_ms[hour])
            found.append(
                Fill(
                    bar=hour,
                    at_ms=opened_ms + HOUR_MS - 1 if stopped else opened_ms,
                    symbol=lanes[index].symbol,
                    side=1 if delta > 0.0 else -1,
                    qty=abs(delta),
                    price=price,
                    ref_price=ref_price,
                    ref_kind="stop" if stopped else "bar_open",
                    fee_usd=fee,
                    slippage_usd=abs(delta) * before_slippage * slippage_ratio,
                    reason=reason,
                    qty_after=after,
                )
            )
        return found

    def funding(self, lanes: Sequence[Lane], start: int) -> list[FundingPayment]:
        """Return the settlements from number `start` on as records."""
        found = []
        for hour, index, number, qty, amount in self.settled[start:]:
            due = lanes[index].due
            found.append(
                FundingPayment(
                    bar=hour,
                    at_ms=due.at_ms.item(number),
                    symbol=lanes[index].symbol,
                    qty=qty,
                    mark_price=due.mark_price.item(number),
                    rate=due.rate.item(number),
                    hours=due.hours.item(number),
                    amount_usd=amount,
                    assumed=due.assumed[number],
                    estimated=due.estimated.item(number),
                )
            )
        return found

    def history(self, lanes: Sequence[Lane], time_ms: IntArray, start: int, stop: int) -> History:
        """Return what stood at the closes of the hours ``start:stop``, all of them simulated."""
        equity = np.array(self.equities[start:stop])
        kept = [changes.at_closes(start, stop) for changes in self.lanes]
        qty = np.column_stack([quantity for quantity, _ in kept])
        cash = np.column_stack([money for _, money in kept])
        mark = np.column_stack([lane.mark[start:stop] for lane in lanes])
        value = qty * mark
        units = _held(self.unit_steps, start, stop)
        cap_usd = [(hour, np.nan if bounds.cap_usd is None else bounds.cap_usd) for hour, bounds in self.stretches]
        estimated = np.column_stack([lane.estimated[start:stop] for lane in lanes])
        return History(
            symbols=tuple(lane.symbol for lane in lanes),
            at_ms=time_ms[start:stop] + HOUR_MS,
            equity_usd=equity,
            nav=equity / units,
            units=units,
            exposure=_held([(hour, bounds.exposure) for hour, bounds in self.stretches], start, stop),
            cap_usd=_held(cap_usd, start, stop),
            gross_usd=np.abs(value).sum(axis=1),
            qty=qty,
            mark=mark,
            pnl_usd=cash + value,
            position=np.column_stack([lane.position(start, stop) for lane in lanes]),
            estimated=(estimated & (qty != 0.0)).sum(axis=1),
        )


def _held(steps: Sequence[tuple[int, float]], start: int, stop: int) -> FloatArray:
    """Return at each hour the value of the last step at or before it."""
    hours = [hour for hour, _ in steps]
    places = np.searchsorted(hours, np.arange(start, stop), side="right") - 1
    return np.array([value for _, value in steps])[places]
