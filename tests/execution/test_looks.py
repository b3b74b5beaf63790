"""How often the venue is asked: as seldom as an answer that was given allows, and again where it proves nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import HOUR_MS, SECOND_MS
from engine.execution.ids import Purpose
from engine.execution.planned import Plan, PlannedOrder
from engine.execution.venue import Accepted, OrderKind, OrderRequest, OrderState, OrderStatus
from engine.live.bar_reader import WARMUP_MS, BarReader
from engine.live.signals import Tape
from engine.timeline.clocks import sleep_until
from tests.execution.dealing import BTC, Dealing, check_books, dealing, parent
from tests.simulator.serving import START_MS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.execution.venue import BarsUntilNow, Outcome


class Noted:
    """The deal's venue; notes when orders and opens are asked for, and may change what a cancel says."""

    def __init__(self, deal: Dealing, retell: Callable[[OrderState], OrderState] = lambda told: told) -> None:
        self._deal = deal
        self._retell = retell
        self._began_ms = deal.scene.clock.now_ms()
        self.orders_s: list[float] = []
        self.opens: list[str] = []
        self.bars_until_now = deal.scene.venue.bars_until_now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._deal.scene.venue, name)

    async def order(self, symbol: str, client_id: str) -> OrderState | None:
        self.orders_s.append(round((self._deal.scene.clock.now_ms() - self._began_ms) / SECOND_MS, 2))
        return await self._deal.scene.venue.order(symbol, client_id)

    async def cancel(self, symbol: str, client_id: str) -> Outcome:
        told = await self._deal.scene.venue.cancel(symbol, client_id)
        if isinstance(told, Accepted) and isinstance(told.state, OrderState):
            return Accepted(self._retell(told.state))
        return told

    async def running_open(self, symbol: str, open_ms: int) -> Decimal | None:
        self.opens.append(symbol)
        return await self._deal.scene.venue.running_open(symbol, open_ms)


def noted(deal: Dealing, retell: Callable[[OrderState], OrderState] = lambda told: told) -> Noted:
    venue = Noted(deal, retell)
    stand_in: Any = venue
    deal.sender.venue = stand_in
    return venue


async def resting(deal: Dealing) -> OrderState:
    """Leave an order with the venue that nothing will fill."""
    name = "sgb-BTCUSDT-la9nf340-0-0"
    request = OrderRequest(name, BTC, 1, Decimal("0.1"), OrderKind.LIMIT, price=Decimal(15_000))
    deal.journal.intend(deal.journal.begin(Purpose.BAR, parent(), START_MS), request, START_MS)
    state = await deal.sender.send(request)
    assert isinstance(state, OrderState)
    return state


@pytest.mark.parametrize(("rests", "looks_s"), [(True, [1, 3, 5, 7, 9]), (False, [0.05, 0.15, 0.35, 0.75, 1.55, 3.15])])
def test_an_order_that_rests_is_looked_at_seldom_and_one_that_is_being_filled_often(
    tmp_path: Path, *, rests: bool, looks_s: list[float]
) -> None:
    async def act(deal: Dealing) -> None:
        state, venue = await resting(deal), noted(deal)
        until_ms = deal.scene.clock.now_ms() + 10 * SECOND_MS
        await deal.sender.watch(state, until_ms, rests=rests)
        assert venue.orders_s[: len(looks_s)] == looks_s
        assert not rests or len(venue.orders_s) == len(looks_s)

    dealing(tmp_path, act)


def test_the_end_of_a_cancelled_order_is_what_its_cancel_says(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        venue = noted(deal)
        (result,) = await deal.execute(parent(qty="0.1", patient=True))
        assert result.filled_qty == Decimal("0.1")
        assert venue.orders_s == [1, 3, 5, 7, 9]
        limit, _market = deal.ledger.intents_of(result.parent_id)
        assert [update.status for update in deal.ledger.updates_of(limit.client_id)] == ["NEW", "CANCELED"]
        check_books(deal)

    dealing(tmp_path, act)


def short_of(told: OrderState) -> OrderState:
    return replace(told, filled_qty=Decimal(0))


def not_yet(told: OrderState) -> OrderState:
    return replace(told, status=OrderStatus.PARTIALLY_FILLED)


@pytest.mark.parametrize("retell", [short_of, not_yet])
def test_a_cancel_that_says_less_than_was_known_is_not_believed(
    tmp_path: Path, retell: Callable[[OrderState], OrderState]
) -> None:
    async def act(deal: Dealing) -> None:
        state, venue = await resting(deal), noted(deal, retell)
        ended = await deal.sender.withdraw(replace(state, filled_qty=Decimal("0.04")))
        assert len(venue.orders_s) == 1
        assert ended.status is OrderStatus.CANCELED

    dealing(tmp_path, act)


def test_the_open_of_the_running_bar_is_asked_for_only_where_the_bars_did_not_bring_it(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        venue = noted(deal)
        bars_until_now = deal.scene.venue.bars_until_now

        async def without(symbol: str, from_ms: int, *, mark: bool = False) -> BarsUntilNow:
            return replace(await bars_until_now(symbol, from_ms, mark=mark), running_open=None)

        order = PlannedOrder(BTC, 1, 0.1, 0.0, 0.1, 0.1, 2_000.0, "entry", "bar_open", None)
        made = Plan((order,), (), (), ())
        for told, asked in ((bars_until_now, []), (without, [BTC])):
            venue.bars_until_now = told
            tape, stand_in = Tape((BTC,)), deal.sender.venue
            reader = BarReader(stand_in, tape, deal.scene.clock, (BTC,))
            assert await reader.read(START_MS) == ()
            assert await reader.opens(made, {}, START_MS) == {BTC: 20_000.0}
            assert venue.opens == asked
        assert tape.running_open(BTC) is None
        tape.note_open(BTC, START_MS + HOUR_MS, 1.0)
        assert tape.running_open(BTC) is None  # another bar's

    dealing(tmp_path, act)


def test_mark_prices_that_the_venue_lacks_are_asked_for_twice_and_their_warm_up_once(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        venue = noted(deal)
        bars_until_now = deal.scene.venue.bars_until_now
        spans_hours: list[float] = []

        async def without_marks(symbol: str, from_ms: int, *, mark: bool = False) -> BarsUntilNow:
            told = await bars_until_now(symbol, from_ms, mark=mark)
            if mark:
                spans_hours.append((told.running_ms - from_ms) / HOUR_MS)
            return replace(told, closed=told.closed.part(0, 0)) if mark else told

        venue.bars_until_now = without_marks
        tape, stand_in = Tape((BTC,)), deal.sender.venue
        reader = BarReader(stand_in, tape, deal.scene.clock, (BTC,))
        for close_ms in (START_MS, START_MS + HOUR_MS, START_MS + 2 * HOUR_MS):
            await sleep_until(deal.scene.clock, close_ms)
            assert await reader.read(close_ms) == ()
        assert spans_hours == [WARMUP_MS / HOUR_MS, 2, 2]

        venue.bars_until_now = bars_until_now
        await sleep_until(deal.scene.clock, START_MS + 3 * HOUR_MS)
        await reader.read(START_MS + 3 * HOUR_MS)
        marks = tape.marks(BTC)
        assert marks is not None
        assert marks.open_time_ms.tolist() == [START_MS + HOUR_MS, START_MS + 2 * HOUR_MS]  # that of a late hour too

    dealing(tmp_path, act)
