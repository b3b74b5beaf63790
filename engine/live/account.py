"""The risk account of a running desk, computed from what the venue reported and the ledger remembers (A53).

Cash of the wallet is no part of it: it begins with the stage's capital, and only fills, fees, funding and approved
flows move it. What happens at an instant comes after the mark of that instant (domain.md, NAV_d).
"""

from __future__ import annotations

import json
from bisect import insort
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.book import AccountBook
from engine.clock import iso
from engine.ledger.rows import CashFlow, Fill, FundingPayment, Mark, SleeveMark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.ledger import Ledger
    from engine.ledger.rows import Row

RISK = "risk"
VIRTUAL = "virtual"
ADOPTED = "adopted"
"""The kind of the event of a running account that was taken over: what it had made since its first mark."""


@dataclass(frozen=True)
class MarkPrice:
    """What a position is valued at; `estimated` where the last price stands in for the mark price."""

    price: float
    estimated: bool = False


class RiskAccount:
    """Money, units and positions.

    Args:
        symbols: in the order of the configuration.

    Attributes:
        book: its history as columns, for the facts.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        self.book = AccountBook(symbols)
        self._capital = 0.0
        self._units = 0.0
        self._equity = 0.0
        self._marked = (0.0, 0.0)
        self._flows: list[CashFlow] = []
        self._cash = dict.fromkeys(symbols, 0.0)
        self._qty = dict.fromkeys(symbols, 0.0)
        self._waiting: list[tuple[int, int, Fill | FundingPayment]] = []
        self._known: set[str] = set()
        self._unwritten: list[Row] = []

    @classmethod
    def opened(cls, symbols: Sequence[str], at_ms: int, capital_usd: float) -> RiskAccount:
        """Return a new account that is flat; a unit is worth 1."""
        account = cls(symbols)
        account._capital = account._units = account._equity = capital_usd
        account._marked = (capital_usd, capital_usd)
        account.book.mark(at_ms, capital_usd, 1.0, dict.fromkeys(symbols, 0.0))
        account._unwritten.append(Mark(RISK, at_ms, capital_usd, 1.0, capital_usd, 1.0, capital_usd, 0.0))
        return account

    @classmethod
    def read(cls, ledger: Ledger, symbols: Sequence[str]) -> RiskAccount:
        """Return the account as the ledger has it.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        account = cls(symbols)
        marks = ledger.marks(RISK)
        account.book = AccountBook.read(ledger, RISK, symbols, int(marks.at_ms[-1]))
        book = account.book
        account._units, account._equity = account._marked = marks.units.item(-1), marks.equity_usd.item(-1)
        account._capital = marks.equity_usd.item(0) + sum(flow.amount_usd for flow in ledger.cash_flows(RISK))
        account._capital += sum(json.loads(event.document)["profit_usd"] for event in ledger.events(ADOPTED))
        account.take(ledger.fills(RISK))
        account.take(ledger.funding(RISK))
        flows = ledger.cash_flows(RISK)[len(book.flows) :]
        book.fills, book.funding = [], []
        account._settle(int(marks.at_ms[-1]))
        for flow in flows:
            account._move(flow)
            book.flows.append(flow)
        return account

    @property
    def equity_usd(self) -> float:
        """The risk equity at the last mark, flows since then included."""
        return self._equity

    @property
    def nav(self) -> float:
        """The value of one unit; flows never move it."""
        return self._equity / self._units

    @property
    def qty(self) -> dict[str, float]:
        """Each symbol's signed quantity now, whatever of it came after the last mark."""
        held = dict(self._qty)
        for _, _, event in self._waiting:
            if isinstance(event, Fill):
                held[event.symbol] += event.side * event.qty
        return {symbol: _clean(qty) for symbol, qty in held.items()}

    @property
    def latest_ms(self) -> int:
        """The instant of the last mark."""
        return int(self.book.at_ms[-1])

    def qty_before(self, symbol: str, at_ms: int) -> float:
        """Return the signed quantity that was held when `at_ms` began."""
        later = (event for at, _, event in self._waiting if at < at_ms)
        moved = sum(event.side * event.qty for event in later if isinstance(event, Fill) and event.symbol == symbol)
        return _clean(self._qty[symbol] + moved)

    def take(self, events: Iterable[Fill | FundingPayment]) -> None:
        """Take up what happened, each event once however often it is reported; it counts from the next mark on."""
        for event in events:
            identity = _identity(event)
            if identity in self._known:
                continue
            self._known.add(identity)
            insort(self._waiting, (event.at_ms, len(self._known), event))

    def flow(self, at_ms: int, amount_usd: float, reason: str) -> None:
        """Move virtual cash in or out: it changes the units, never the value of one (A53)."""
        flow = CashFlow(f"{RISK}-{iso(at_ms)}-{reason}", RISK, at_ms, amount_usd, VIRTUAL, reason)
        self._capital += amount_usd
        self._move(flow)
        self.book.flows.append(flow)
        self._unwritten.append(flow)

    def equity_at(self, prices: Mapping[str, float]) -> float:
        """Return the risk equity at these prices, with everything taken up so far."""
        cash = self._capital + sum(self._cash.values()) + sum(_cash(event) for _, _, event in self._waiting)
        return cash + sum(qty * prices[symbol] for symbol, qty in self.qty.items() if qty)

    def mark(
        self,
        at_ms: int,
        prices: Mapping[str, MarkPrice],
        positions: Mapping[str, float | None],
        *,
        exposure: float,
        cap_usd: float,
    ) -> None:
        """Value the account at `at_ms`, before anything that happens at that instant.

        A mark may be late: flows from `at_ms` on that were booked before it was made are no part of it, and they are
        priced anew, at its value of a unit.

        Args:
            at_ms: later than the last mark.
            prices: of every symbol that is or was held.
            positions: the strategies', for the record.
            exposure: in force until now.
            cap_usd: in force until now.
        """
        self._settle(at_ms)
        later = self._take_back(at_ms)
        held = {symbol: qty for symbol, qty in self._qty.items() if qty}
        pnl = {
            symbol: cash + held[symbol] * prices[symbol].price if symbol in held else cash
            for symbol, cash in self._cash.items()
        }
        self._equity = self._capital - sum(flow.amount_usd for flow in later) + sum(pnl.values())
        gross = sum(abs(qty) * prices[symbol].price for symbol, qty in held.items())
        estimated = sum(prices[symbol].estimated for symbol in held)
        self.book.mark(at_ms, self._equity, self.nav, pnl)
        self._unwritten.append(
            Mark(RISK, at_ms, self._equity, self.nav, self._units, exposure, cap_usd, gross, estimated)
        )
        self._unwritten += [
            SleeveMark(RISK, at_ms, name, self._qty[name], prices[name].price, pnl[name], positions.get(name))
            for name in self.symbols
            if name in prices
        ]
        self._marked, self._flows = (self._units, self._equity), []
        for flow in later:
            self._move(flow)

    def unwritten(self) -> list[Row]:
        """Return the marks and flows that the ledger lacks, and forget them; events are written where they come in."""
        rows, self._unwritten = self._unwritten, []
        return rows

    def _move(self, flow: CashFlow) -> None:
        self._units += flow.amount_usd / self.nav
        self._equity += flow.amount_usd
        self._flows.append(flow)

    def _take_back(self, from_ms: int) -> list[CashFlow]:
        """Return the flows since the last mark that come after one of `from_ms`, with the units as before them."""
        later = [flow for flow in self._flows if flow.at_ms >= from_ms]
        if later:
            earlier = [flow for flow in self._flows if flow.at_ms < from_ms]
            (self._units, self._equity), self._flows = self._marked, []
            for flow in earlier:
                self._move(flow)
        return later

    def _settle(self, before_ms: int) -> None:
        while self._waiting and self._waiting[0][0] < before_ms:
            _, _, event = self._waiting.pop(0)
            self._cash[event.symbol] += _cash(event)
            if isinstance(event, Fill):
                self._qty[event.symbol] = _clean(self._qty[event.symbol] + event.side * event.qty)
                insort(self.book.fills, event, key=_instant)
            else:
                insort(self.book.funding, event, key=_instant)


def _instant(event: Fill | FundingPayment) -> int:
    return event.at_ms


def _identity(event: Fill | FundingPayment) -> str:
    return f"fill {event.fill_id}" if isinstance(event, Fill) else f"funding {event.payment_id}"


def _cash(event: Fill | FundingPayment) -> float:
    if isinstance(event, Fill):
        return -event.side * event.qty * event.price - event.fee_usd
    return event.amount_usd


def _clean(qty: float) -> float:
    """Return the quantity without what binary fractions add: venues count in steps of no less than 1e-8."""
    return round(qty, 9) + 0.0
