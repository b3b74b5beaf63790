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
    from engine.portfolio import Bounds
    from strategies.bars import FloatArray, IntArray

_BEFORE = -1

STOPPED = "stop"
"""The one reason whose execution is inside a bar, at its stop's trigger or beyond."""

REASONS = ("entry", "flip", "rebalance", "reduce", "exit", "time_stop", STOPPED, "flatten")
REASON_CODES = {reason: float(code) for code, reason in enumerate(REASONS)}

_TRADE_FIELDS = 7  # hour, lane, signed change, quantity after, price, fee, reason's code
_SETTLED_FIELDS = 5  # hour, lane, number in the lane's settlements, quantity, amount


@dataclass
class Changes:
    """The hours at which one symbol's quantity or cash changed, and both afterwards; the first is before all hours."""

    hour: array[int] = field(default_factory=lambda: array("q", [_BEFORE]))
    qty: array[float] = field(default_factory=lambda: array("d", [0.0]))
    cash_usd: array[float] = field(default_factory=lambda: array("d", [0.0]))

    def write(self, hour: int, qty: float, cash_usd: float) -> None:
        """Note a change; hours never decrease."""
        self.hour.append(hour)
        self.qty.append(qty)
        self.cash_usd.append(cash_usd)

    def at_closes(self, start: int, stop: int) -> tuple[FloatArray, FloatArray]:
        """Return quantity and cash at the closes of the hours ``start:stop``, float64 (n,) each."""
        part = slice(bisect_left(self.hour, start) - 1, bisect_left(self.hour, stop))
        spans = np.diff(np.maximum(np.array(self.hour[part]), start), append=stop)
        return np.repeat(np.array(self.qty[part]), spans), np.repeat(np.array(self.cash_usd[part]), spans)


@dataclass(frozen=True)
class Totals:
    """What one symbol's executions and settlements sum up to.

    Attributes:
        orders: reason -> executions.
        notional_usd: traded, at the prices of the fills.
        fees_usd: paid.
        slippage_usd: paid.
        funding_usd: paid (+) or received (−).
        assumed_settlements: charged at the default rate, because the record lacks them.
        estimated_settlements: at a last price, for want of a mark price.
    """

    orders: dict[str, int]
    notional_usd: float
    fees_usd: float
    slippage_usd: float
    funding_usd: float
    assumed_settlements: int
    estimated_settlements: int


@dataclass
class Journal:
    """One account's notes.

    Attributes:
        lanes: one a symbol.
        equities: the risk equity at each close so far, USDT.
        trades: executions, oldest first, `_TRADE_FIELDS` numbers each.
        settled: funding settlements of open positions, oldest first, `_SETTLED_FIELDS` numbers each.
        stretches: the hour from which bounds were in force.
        unit_steps: the hour from whose close on there were so many units.
    """

    lanes: list[Changes]
    equities: array[float] = field(default_factory=lambda: array("d"))
    trades: array[float] = field(default_factory=lambda: array("d"))
    settled: array[float] = field(default_factory=lambda: array("d"))
    stretches: list[tuple[int, Bounds]] = field(default_factory=list)
    unit_steps: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def opened(cls, lanes: int, units: float) -> Journal:
        """Return the notes of an account of so many symbols that is flat."""
        return cls([Changes() for _ in range(lanes)], unit_steps=[(0, units)])

    @property
    def executions(self) -> int:
        """How many executions there were."""
        return len(self.trades) // _TRADE_FIELDS

    @property
    def settlements(self) -> int:
        """How many settlements fell on an open position."""
        return len(self.settled) // _SETTLED_FIELDS

    def fills(self, lanes: Sequence[Lane], time_ms: IntArray, start: int, slippage_ratio: float) -> list[Fill]:
        """Return the executions from number `start` on as records."""
        rows = np.array(self.trades[start * _TRADE_FIELDS :]).reshape(-1, _TRADE_FIELDS)
        hour, number, delta, after, price, fee, code = rows.T
        hours, stopped = hour.astype(np.int64), code == REASON_CODES[STOPPED]
        ref_price = np.empty(len(rows))
        for index, lane in enumerate(lanes):
            own = number == index
            at = hours[own]
            ref_price[own] = np.where(stopped[own], lane.stop[at], lane.open[at])
        qty, side = np.abs(delta), np.where(delta > 0.0, 1, -1)
        columns = (
            hours.tolist(),
            (time_ms[hours] + np.where(stopped, HOUR_MS - 1, 0)).tolist(),
            [lanes[int(index)].symbol for index in number.tolist()],
            side.tolist(),
            qty.tolist(),
            price.tolist(),
            ref_price.tolist(),
            ["stop" if stop else "bar_open" for stop in stopped.tolist()],
            fee.tolist(),
            (qty * price * slippage_ratio / (1.0 + side * slippage_ratio)).tolist(),
            [REASONS[int(reason)] for reason in code.tolist()],
            after.tolist(),
        )
        return [Fill(*row) for row in zip(*columns, strict=True)]

    def funding(self, lanes: Sequence[Lane], start: int) -> list[FundingPayment]:
        """Return the settlements from number `start` on as records."""
        found = []
        rows = np.array(self.settled[start * _SETTLED_FIELDS :]).reshape(-1, _SETTLED_FIELDS)
        for hour, index, place, qty, amount in rows.tolist():
            lane, number = lanes[int(index)], int(place)
            found.append(
                FundingPayment(
                    bar=int(hour),
                    at_ms=lane.due.at_ms.item(number),
                    symbol=lane.symbol,
                    qty=qty,
                    mark_price=lane.due.mark_price.item(number),
                    rate=lane.due.rate.item(number),
                    hours=lane.due.hours.item(number),
                    amount_usd=amount,
                    assumed=lane.due.assumed[number],
                    estimated=lane.due.estimated.item(number),
                )
            )
        return found

    def totals(self, lanes: Sequence[Lane], slippage_ratio: float) -> dict[str, Totals]:
        """Return what each symbol's executions and settlements sum up to."""
        trades = np.array(self.trades).reshape(-1, _TRADE_FIELDS)
        settled = np.array(self.settled).reshape(-1, _SETTLED_FIELDS)
        found = {}
        for index, lane in enumerate(lanes):
            _, _, delta, _, price, fee, code = trades[trades[:, 1] == index].T
            _, _, place, _, amount = settled[settled[:, 1] == index].T
            notional = np.abs(delta) * price
            many = np.bincount(code.astype(np.int64), minlength=len(REASONS)).tolist()
            numbers = place.astype(np.int64)
            found[lane.symbol] = Totals(
                orders=dict(zip(REASONS, many, strict=True)),
                notional_usd=float(notional.sum()),
                fees_usd=float(fee.sum()),
                slippage_usd=float((notional * slippage_ratio / (1.0 + np.sign(delta) * slippage_ratio)).sum()),
                funding_usd=0.0 - float(amount.sum()),
                assumed_settlements=int(np.array(lane.due.assumed, dtype=np.bool_)[numbers].sum()),
                estimated_settlements=int(lane.due.estimated[numbers].sum()),
            )
        return found

    def history(self, lanes: Sequence[Lane], time_ms: IntArray, start: int, stop: int) -> History:
        """Return what stood at the closes of the hours ``start:stop``, all of them simulated."""
        equity = np.array(self.equities[start:stop])
        kept = [changes.at_closes(start, stop) for changes in self.lanes]
        marks = [lane.mark[start:stop] for lane in lanes]
        values = [qty * mark for (qty, _), mark in zip(kept, marks, strict=True)]
        gross, estimated = np.zeros(stop - start), np.zeros(stop - start, dtype=np.int64)
        for lane, (qty, _), value in zip(lanes, kept, values, strict=True):
            gross += np.abs(value)
            estimated += lane.estimated[start:stop] & (qty != 0.0)
        units = _held(self.unit_steps, start, stop)
        cap_usd = [(hour, np.nan if bounds.cap_usd is None else bounds.cap_usd) for hour, bounds in self.stretches]
        return History(
            symbols=tuple(lane.symbol for lane in lanes),
            at_ms=time_ms[start:stop] + HOUR_MS,
            equity_usd=equity,
            nav=equity / units,
            units=units,
            exposure=_held([(hour, bounds.exposure) for hour, bounds in self.stretches], start, stop),
            cap_usd=_held(cap_usd, start, stop),
            gross_usd=gross,
            qty=np.column_stack([qty for qty, _ in kept]),
            mark=np.column_stack(marks),
            pnl_usd=np.column_stack([cash + value for (_, cash), value in zip(kept, values, strict=True)]),
            position=np.column_stack([lane.position(start, stop) for lane in lanes]),
            estimated=estimated,
        )


def _held(steps: Sequence[tuple[int, float]], start: int, stop: int) -> FloatArray:
    """Return at each hour the value of the last step at or before it; the first step is at or before `start`."""
    hours = np.clip([hour for hour, _ in steps], start, stop)
    return np.repeat([value for _, value in steps], np.diff(hours, append=stop))
