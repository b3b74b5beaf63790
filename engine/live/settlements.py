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
        self._last = {payment.symbol: payment for payment in booked}

    async def take(self) -> tuple[FundingPayment, ...]:
        """Book what the ledger does not know yet; return it, oldest first.

        How long a settlement is for is the time since the venue's one before it, whether or not anything was held
        then: where that is not what it was last time, the venue is asked (A48).

        Raises:
            VenueError: the history cannot be read; the next call reads it again.
            LedgerError: it cannot be written.
        """
        latest_ms = max(self._since_ms, self._read_ms, *(payment.at_ms for payment in self._last.values()))
        began_ms = self._clock.now_ms()
        movements = await self._venue.income(max(self._since_ms, latest_ms - OVERLAP_MS))
        ours = (each for each in movements if each.kind == FUNDING and each.symbol in self._account.symbols)
        fresh = sorted((each for each in ours if _id(each) not in self._known), key=lambda each: hour_start(each.at_ms))
        last, new = dict(self._last), []
        for each in fresh:
            payment = await self._payment(each, each.symbol or "", last.get(each.symbol or ""))
            if payment is not None:
                new.append(payment)
                last[payment.symbol] = _later(last.get(payment.symbol), payment)
        self._ledger.append(new)
        if len(new) == len(fresh):  # else one waits for its price
            self._read_ms = began_ms
        self._known |= {payment.payment_id for payment in new}
        self._last = last
        return tuple(new)

    async def _payment(self, movement: Income, symbol: str, last: FundingPayment | None) -> FundingPayment | None:
        """Return a settlement; None where its symbol has no price yet."""
        at_ms = hour_start(movement.at_ms)
        amount_usd = float(movement.amount)
        qty = self._account.qty_before(symbol, at_ms)
        found = self._tape.mark_at(symbol, at_ms)
        if found is None:
            return None
        price = found[0]
        paid_on = qty * price
        usual = last is not None and at_ms - last.at_ms in (0, last.hours * HOUR_MS)
        return FundingPayment(
            payment_id=_id(movement),
            account=RISK,
            at_ms=at_ms,
            symbol=symbol,
            qty=qty,
            mark_price=price,
            rate=-amount_usd / paid_on if paid_on else 0.0,
            hours=last.hours if last is not None and usual else await self._hours(symbol, at_ms),
            amount_usd=amount_usd,
        )

    async def _hours(self, symbol: str, at_ms: int) -> float:
        """Return the time since the venue's settlement before this one; the usual one where it tells of none."""
        settled_ms = (await self._venue.funding_rates(symbol, at_ms - round(USUAL_HOURS * HOUR_MS))).time_ms
        before_ms = settled_ms[settled_ms < at_ms]
        return float(at_ms - before_ms[-1]) / HOUR_MS if len(before_ms) else USUAL_HOURS


def _later(one: FundingPayment | None, other: FundingPayment) -> FundingPayment:
    return other if one is None or other.at_ms >= one.at_ms else one


def _id(movement: Income) -> str:
    return f"{movement.symbol}-{movement.income_id}"
