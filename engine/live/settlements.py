"""Funding settlements into the ledger: each exactly once, from the venue's own history of cash movements.

The venue tells what was paid; what was held, and at which mark and rate, is told from the books and the tape, because a
report wants to know (domain.md, "Live books the venue's settlements").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import DAY_MS, HOUR_MS, hour_start
from engine.ledger.rows import FundingPayment
from engine.live.account import RISK

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.execution.venue import Income, Venue
    from engine.ledger import Ledger
    from engine.live.account import RiskAccount
    from engine.live.signals import Tape

FUNDING = "FUNDING_FEE"
USUAL_HOURS = 8.0
OVERLAP_MS = DAY_MS
"""A movement of cash may become visible after a later one."""


class SettlementBook:
    """Books the settlements of one account.

    Args:
        venue: whose history is read.
        ledger: where they are booked.
        account: which position was held.
        tape: what it was worth.
        clock: the time.
        since_ms: when the account began to trade.
    """

    def __init__(
        self, venue: Venue, ledger: Ledger, account: RiskAccount, tape: Tape, clock: Clock, *, since_ms: int
    ) -> None:
        self._venue = venue
        self._ledger = ledger
        self._account = account
        self._tape = tape
        self._clock = clock
        self._read_ms = 0
        self._since_ms = since_ms
        booked = ledger.funding(RISK)
        self._known = {payment.payment_id for payment in booked}
        self._last_ms = {payment.symbol: payment.at_ms for payment in booked}

    async def take(self) -> tuple[FundingPayment, ...]:
        """Book what the ledger does not know yet; return it, oldest first.

        Raises:
            VenueError: the history cannot be read; the next call reads it again.
            LedgerError: it cannot be written.
        """
        latest_ms = max(self._since_ms, self._read_ms, *self._last_ms.values())
        began_ms = self._clock.now_ms()
        movements = await self._venue.income(max(self._since_ms, latest_ms - OVERLAP_MS))
        ours = (each for each in movements if each.kind == FUNDING and each.symbol in self._account.symbols)
        fresh = [each for each in ours if _id(each) not in self._known]
        new = [payment for each in fresh if (payment := self._payment(each, each.symbol or "")) is not None]
        self._ledger.append(new)
        if len(new) == len(fresh):  # else one waits for its price
            self._read_ms = began_ms
        for payment in new:
            self._known.add(payment.payment_id)
            self._last_ms[payment.symbol] = max(payment.at_ms, self._last_ms.get(payment.symbol, 0))
        return tuple(new)

    def _payment(self, movement: Income, symbol: str) -> FundingPayment | None:
        """Return a settlement; None where its symbol has no price yet."""
        at_ms = hour_start(movement.at_ms)
        amount_usd = float(movement.amount)
        qty = self._account.qty_before(symbol, at_ms)
        found = self._tape.mark_at(symbol, at_ms)
        if found is None:
            return None
        price = found[0]
        paid_on = qty * price
        since_last = (at_ms - self._last_ms.get(symbol, 0)) / HOUR_MS
        hours = since_last if since_last > 0 else USUAL_HOURS  # a row that became visible after a later one
        return FundingPayment(
            payment_id=_id(movement),
            account=RISK,
            at_ms=at_ms,
            symbol=symbol,
            qty=qty,
            mark_price=price,
            rate=-amount_usd / paid_on if paid_on else 0.0,
            hours=min(hours, USUAL_HOURS),
            amount_usd=amount_usd,
        )


def _id(movement: Income) -> str:
    return f"{movement.symbol}-{movement.income_id}"
