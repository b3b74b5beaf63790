"""Settlements are booked once each, whenever the venue's history tells of them."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.clock import DAY_MS, HOUR_MS, SimulatedClock, parse_time
from engine.execution.venue import Income
from engine.ledger import Ledger
from engine.live.account import RiskAccount
from engine.live.settlements import FUNDING, SettlementBook
from engine.live.signals import Tape
from engine.market.series import FundingRates
from strategies.bars import Bars

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BTC = "BTCUSDT"
START_MS = parse_time("2024-03-01")


class Told:
    """The venue's history of cash and of its settlements: what it tells by now, and from when on it was asked."""

    def __init__(self, every_hours: int = 8) -> None:
        self.rows: list[Income] = []
        self.asked_ms: list[int] = []
        self.asked_rates = 0
        self.settled_ms = START_MS + HOUR_MS * every_hours * np.arange(0, 240)

    async def funding_rates(self, symbol: str, from_ms: int) -> FundingRates:
        self.asked_rates += 1
        settled_ms = self.settled_ms[self.settled_ms >= from_ms]
        return FundingRates(symbol, settled_ms, np.zeros(len(settled_ms)))

    async def income(self, from_ms: int) -> tuple[Income, ...]:
        self.asked_ms.append(from_ms)
        return tuple(row for row in self.rows if row.at_ms >= from_ms)


def paid(number: int, hour: float) -> Income:
    return Income(str(number), FUNDING, BTC, Decimal("-0.5"), "USDT", START_MS + round(hour * HOUR_MS))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", create=True) as opened:
        opened.set_meta(kind="rehearsal")
        yield opened


def books(ledger: Ledger, venue: Any, clock: SimulatedClock) -> SettlementBook:
    tape = Tape((BTC,))
    hours = START_MS + HOUR_MS * np.arange(-2, 24 * 60)
    price = np.full(len(hours), 20_000.0)
    tape.add(Bars(BTC, hours, price, price, price, price, price))
    account = RiskAccount.opened((BTC,), START_MS, 5_000.0)
    return SettlementBook(venue, ledger, account, tape, clock, since_ms=START_MS)


def test_a_settlement_that_is_told_late_or_twice_in_an_hour_is_booked_like_any_other(ledger: Ledger) -> None:
    venue, clock = Told(), SimulatedClock(START_MS + 17 * HOUR_MS)
    book = books(ledger, venue, clock)
    venue.rows = [paid(2, 16.001)]
    assert len(asyncio.run(book.take())) == 1
    venue.rows = [paid(1, 8.001), paid(2, 16.001), paid(3, 16.002)]
    assert len(asyncio.run(book.take())) == 2
    booked = ledger.funding("risk")
    assert [(payment.at_ms - START_MS) // HOUR_MS for payment in booked] == [8, 16, 16]
    assert all(payment.hours == 8.0 for payment in booked)
    venue.rows.append(paid(4, 20.001))
    assert [payment.hours for payment in asyncio.run(book.take())] == [4.0]  # since the latest, not the last told


def test_A48_a_settlement_is_for_the_time_since_the_venues_one_before_it(ledger: Ledger) -> None:
    """However many are read at once, and whether or not anything was held at the one before."""
    venue, clock = Told(every_hours=2), SimulatedClock(START_MS + 30 * HOUR_MS)
    book = books(ledger, venue, clock)
    venue.rows = [paid(1, 4.001), paid(2, 6.001), paid(3, 8.001)]
    assert [payment.hours for payment in asyncio.run(book.take())] == [2.0, 2.0, 2.0]
    venue.rows.append(paid(4, 14.001))  # flat at 10:00 and 12:00
    assert [payment.hours for payment in asyncio.run(book.take())] == [2.0]
    assert venue.asked_rates == 2
    again = books(ledger, venue, clock)
    venue.rows.append(paid(5, 16.001))
    assert [payment.hours for payment in asyncio.run(again.take())] == [2.0]
    assert venue.asked_rates == 2, "as long as the last one: the venue need not be asked"


def test_A48_a_venue_that_tells_of_no_settlement_before_is_taken_to_settle_as_usual(ledger: Ledger) -> None:
    venue, clock = Told(), SimulatedClock(START_MS + 30 * HOUR_MS)
    venue.settled_ms = np.empty(0, np.int64)
    venue.rows = [paid(1, 4.001)]
    assert [payment.hours for payment in asyncio.run(books(ledger, venue, clock).take())] == [8.0]


def test_idle_time_is_read_once_and_a_day_of_it_again(ledger: Ledger) -> None:
    venue, clock = Told(), SimulatedClock(START_MS + 40 * DAY_MS)
    book = books(ledger, venue, clock)
    for _ in range(2):
        assert asyncio.run(book.take()) == ()
    assert venue.asked_ms == [START_MS, clock.now_ms() - DAY_MS]


def test_a_settlement_that_has_no_price_yet_is_asked_for_again(ledger: Ledger) -> None:
    venue, clock = Told(), SimulatedClock(START_MS + 9 * HOUR_MS)
    account, tape = RiskAccount.opened((BTC,), START_MS, 5_000.0), Tape((BTC,))
    told: Any = venue
    book = SettlementBook(told, ledger, account, tape, clock, since_ms=START_MS)
    venue.rows = [paid(1, 8.001)]
    assert asyncio.run(book.take()) == ()
    clock.advance_to(START_MS + 3 * DAY_MS)
    price = np.full(10, 20_000.0)
    tape.add(Bars(BTC, START_MS + HOUR_MS * np.arange(10), price, price, price, price, price))
    assert len(asyncio.run(book.take())) == 1
