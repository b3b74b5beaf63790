"""One account's history as columns: marks, sleeves, fills, funding and cash flows.

The facts of a moment are computed from books alone, so a rehearsal that appends hour by hour and a query that reads
the ledger come to the same facts.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.ledger import Ledger
    from engine.ledger.rows import CashFlow, Fill, FundingPayment, Mark
    from strategies.bars import FloatArray, IntArray

AT_RISK = ("risk", "guard")
"""The account at risk, as the desk marks it when its bars close, and as the risk guard marks it each minute."""

_FIRST_CAPACITY = 1024


class AccountBook:
    """One account, oldest first.

    Attributes:
        symbols: in the order of the configuration.
        fills: executions, by time.
        funding: settlements, by time.
        flows: cash flows, by time.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        self.fills: list[Fill] = []
        self.funding: list[FundingPayment] = []
        self.flows: list[CashFlow] = []
        self._length = 0
        self._at_ms: IntArray = np.empty(_FIRST_CAPACITY, np.int64)
        self._values: FloatArray = np.empty((2 + len(self.symbols), _FIRST_CAPACITY))

    def __len__(self) -> int:
        return self._length

    def mark(self, at_ms: int, equity_usd: float, nav: float, pnl_usd: Mapping[str, float]) -> None:
        """Append a mark.

        Args:
            at_ms: the instant, a bar's close; later than the mark before.
            equity_usd: the risk equity.
            nav: NAV per unit.
            pnl_usd: cumulative net profit of each symbol.
        """
        if self._length == len(self._at_ms):
            self._at_ms = np.concatenate([self._at_ms, np.empty_like(self._at_ms)])
            self._values = np.concatenate([self._values, np.empty_like(self._values)], axis=1)
        self._at_ms[self._length] = at_ms
        self._values[:, self._length] = (equity_usd, nav, *(pnl_usd[symbol] for symbol in self.symbols))
        self._length += 1

    @property
    def at_ms(self) -> IntArray:
        """int64 (n,), the instants of the marks."""
        return self._at_ms[: self._length]

    @property
    def equity_usd(self) -> FloatArray:
        """float64 (n,), the risk equity at each mark."""
        return self._values[0, : self._length]

    @property
    def nav(self) -> FloatArray:
        """float64 (n,), NAV per unit at each mark."""
        return self._values[1, : self._length]

    def pnl_usd(self, symbol: str) -> FloatArray:
        """float64 (n,), the cumulative net profit of `symbol` at each mark."""
        return self._values[2 + self.symbols.index(symbol), : self._length]

    def fills_since(self, from_ms: int) -> list[Fill]:
        """Return the fills at or after `from_ms`."""
        return self.fills[bisect_left(self.fills, from_ms, key=lambda fill: fill.at_ms) :]

    def funding_since(self, from_ms: int) -> list[FundingPayment]:
        """Return the settlements at or after `from_ms`."""
        return self.funding[bisect_left(self.funding, from_ms, key=lambda payment: payment.at_ms) :]

    @classmethod
    def read(cls, ledger: Ledger, account: str, symbols: Sequence[str], at_ms: int) -> AccountBook:
        """Return the account as the ledger knows it at `at_ms`: marks up to it, what happened before it.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        book = cls(symbols)
        marks = ledger.marks(account, to_ms=at_ms)
        sleeves = ledger.sleeve_marks(account, to_ms=at_ms)
        if len(marks):
            book._length, book._at_ms = len(marks), marks.at_ms
            book._values = np.vstack([marks.equity_usd, marks.nav, *(np.zeros(len(marks)) for _ in symbols)])
        for symbol, sleeve in sleeves.items():
            if symbol in book.symbols and len(book):
                book.pnl_usd(symbol)[:] = _aligned(sleeve.at_ms, sleeve.pnl_usd, marks.at_ms)
        book.fills = list(ledger.fills(account, to_ms=at_ms))
        book.funding = list(ledger.funding(account, to_ms=at_ms))
        book.flows = list(ledger.cash_flows(account, to_ms=at_ms))
        return book


def newest_mark(ledger: Ledger, at_ms: int) -> Mark | None:
    """Return the newest mark of the account at risk by a time, whoever made it; None: there is none.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    marks = [mark for account in AT_RISK if (mark := ledger.last_mark(account, at_ms)) is not None]
    return max(marks, key=_marked, default=None)


def worth_usd(ledger: Ledger, at_ms: int) -> float | None:
    """Return what the account at risk is worth at a time, as far as it was marked; None: it never was.

    A mark of the desk stands before what flows at its instant: what has flowed since is added.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    newest, own = newest_mark(ledger, at_ms), ledger.last_mark(AT_RISK[0], at_ms)
    if newest is None:
        return None
    since_ms = newest.at_ms if own is not None and own.at_ms == newest.at_ms else newest.at_ms + 1
    return newest.equity_usd + sum(flow.amount_usd for flow in ledger.cash_flows(AT_RISK[0], since_ms, at_ms))


def next_mark(ledger: Ledger, from_ms: int) -> Mark | None:
    """Return the oldest mark of the account at risk at or after a time; None: there is none yet.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    marks = [mark for account in AT_RISK if (mark := ledger.first_mark(account, from_ms)) is not None]
    return min(marks, key=_marked, default=None)


def _marked(mark: Mark) -> int:
    return mark.at_ms


def _aligned(times_ms: IntArray, values: FloatArray, at_ms: IntArray) -> FloatArray:
    """Return the latest value at or before each instant, 0 before the first."""
    place = np.searchsorted(times_ms, at_ms, side="right") - 1
    return np.where(place >= 0, values[np.maximum(place, 0)], 0.0)
