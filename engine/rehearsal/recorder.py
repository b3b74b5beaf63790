"""Writes a rehearsed day to the ledger: marks, sleeves, fills, funding and flows of one account."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from engine.clock import iso
from engine.ledger.rows import CashFlow, Fill, FundingPayment, Mark, SleeveMark
from engine.portfolio import BY_POLICY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.backtest.records import Fill as SimulatedFill
    from engine.backtest.records import FundingPayment as SimulatedPayment
    from engine.backtest.records import History
    from engine.backtest.simulation import Simulation
    from engine.book import AccountBook
    from engine.ledger import Ledger
    from engine.ledger.rows import Row

RowT = TypeVar("RowT", "Fill", "FundingPayment")


class AccountRecorder:
    """Follows one simulated account: its book after every hour, its ledger rows after every day.

    Args:
        account: ``risk`` or ``shadow``.
        simulation: what is followed.
        book: grows hour by hour.
        start_ms: when the account was opened.
    """

    def __init__(self, account: str, simulation: Simulation, book: AccountBook, start_ms: int) -> None:
        self.account = account
        self._simulation = simulation
        self._book = book
        self._hours_written = 0
        self._fills_taken = 0
        self._payments_taken = 0
        self._unwritten: list[Row] = []
        self._marks_before: dict[str, float] = {}
        book.mark(start_ms, simulation.equity_usd, simulation.nav, simulation.pnl_usd)
        equity, units = simulation.equity_usd, simulation.units
        self._unwritten.append(Mark(account, start_ms, equity, simulation.nav, units, 1.0, equity, 0.0))

    @property
    def equity_usd(self) -> float:
        """The account's equity at the last close, flows since then included."""
        return self._simulation.equity_usd

    def hour(self, close_ms: int) -> None:
        """Take up what happened until the close of the last simulated hour."""
        simulation = self._simulation
        self._take(self._fill_rows(simulation.fills[self._fills_taken :]), self._book.fills)
        self._fills_taken = len(simulation.fills)
        self._take(self._payment_rows(simulation.funding[self._payments_taken :]), self._book.funding)
        self._payments_taken = len(simulation.funding)
        self._book.mark(close_ms, simulation.equity_usd, simulation.nav, simulation.pnl_usd)
        self._marks_before = simulation.marks

    def follow(self, simulation: Simulation) -> None:
        """Go on with a simulation that has the same past and knows more of the future; it stands where this one did."""
        self._simulation = simulation

    def forget(self) -> None:
        """Take what was taken up so far as written: the ledger has it from an earlier run."""
        self._unwritten.clear()
        self._hours_written = self._simulation.at

    def flow(self, at_ms: int, amount_usd: float, reason: str) -> None:
        """Move virtual cash in or out of the risk equity (A53)."""
        self._simulation.add_flow(amount_usd)
        flow = CashFlow(f"{self.account}-{iso(at_ms)}-{reason}", self.account, at_ms, amount_usd, "virtual", reason)
        self._book.flows.append(flow)
        self._unwritten.append(flow)

    def write(self, ledger: Ledger) -> None:
        """Append all that is not yet in the ledger."""
        history = self._simulation.history(self._hours_written)
        ledger.append(self._unwritten)
        self._unwritten.clear()
        ledger.append(self._marks(history))
        ledger.append(self._sleeve_marks(history))
        self._hours_written += len(history.at_ms)

    def _take(self, rows: Iterable[RowT], kept: list[RowT]) -> None:
        for row in rows:
            kept.append(row)
            self._unwritten.append(row)

    def _fill_rows(self, fills: Iterable[SimulatedFill]) -> Iterable[Fill]:
        for number, fill in enumerate(fills, self._fills_taken):
            ref_kind, ref_price = fill.ref_kind, fill.ref_price
            if fill.reason in BY_POLICY:
                ref_kind, ref_price = "mark", self._marks_before.get(fill.symbol, fill.ref_price)  # A37
            yield Fill(
                f"{self.account}-{number:06d}", self.account, fill.at_ms, fill.symbol, fill.side, fill.qty, fill.price,
                ref_price, ref_kind, fill.fee_usd, f"{fill.symbol}-{iso(fill.at_ms)}-{fill.reason}", fill.reason,
            )  # fmt: skip

    def _payment_rows(self, payments: Iterable[SimulatedPayment]) -> Iterable[FundingPayment]:
        for payment in payments:
            yield FundingPayment(
                f"{self.account}-{payment.symbol}-{iso(payment.at_ms)}", self.account, payment.at_ms, payment.symbol,
                payment.qty, payment.mark_price, payment.rate, payment.hours, payment.amount_usd, payment.assumed,
            )  # fmt: skip

    def _marks(self, history: History) -> Iterable[Row]:
        caps = np.where(np.isnan(history.cap_usd), history.equity_usd, history.cap_usd)
        columns = (
            history.at_ms, history.equity_usd, history.nav, history.units, history.exposure, caps, history.gross_usd,
            history.estimated,
        )  # fmt: skip
        return (Mark(self.account, *row) for row in zip(*(column.tolist() for column in columns), strict=True))

    def _sleeve_marks(self, history: History) -> Iterable[Row]:
        for column, symbol in enumerate(history.symbols):
            series = (history.qty, history.mark, history.pnl_usd, history.position)
            rows = zip(history.at_ms.tolist(), *(values[:, column].tolist() for values in series), strict=True)
            for at_ms, qty, price, pnl_usd, position in rows:
                if price > 0:
                    yield SleeveMark(self.account, at_ms, symbol, qty, price, pnl_usd, position)
