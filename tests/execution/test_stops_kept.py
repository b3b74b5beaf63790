"""Protective stops: exactly the wanted one stands, never none while it is replaced, never two closings."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from engine.execution.course import ParentStatus
from engine.execution.ids import is_ours
from engine.execution.stops import StopStatus
from engine.simulator.faults import FaultPlan, Match
from engine.simulator.faults.requests import (
    AcceptThen503,
    AcceptThenTimeout,
    AcceptThenUnknown,
    DelayedVisibility,
    LostRequest,
    RejectNTimes,
    Slow,
)
from tests.execution.dealing import (
    BTC,
    ETH,
    Dealing,
    at_hours,
    check_books,
    closing,
    dealing,
    nothing_stands,
    parent,
    stop_by_hand,
)
from tests.execution.simulated import SYMBOLS

if TYPE_CHECKING:
    from pathlib import Path

    from engine.execution.stops import StopReport

STOPS = Match(method="POST", path="/fapi/v1/algoOrder")
A_MOMENT = FaultPlan.of(Slow(0.005, 0.005, spread_ratio=0.9), match=Match(path="/fapi/*"))


def standing(deal: Dealing, symbol: str = BTC) -> list[tuple[Decimal, Decimal]]:
    """Quantity and trigger of the stops in the simulator's books."""
    return [(algo.qty, algo.trigger_price) for algo in deal.scene.book.open_algos(symbol)]


async def keep(deal: Dealing, trigger: float | None, symbol: str = BTC) -> StopReport:
    return await deal.keeper.keep(symbol, trigger, deal.filters[symbol].tick_size)


async def guard(deal: Dealing, gaps: list[float]) -> None:
    """Note every instant at which a position stands without a stop, once the first stop stood."""
    stood = False
    while True:
        algos = deal.scene.book.open_algos(BTC)
        stood = stood or bool(algos)
        if stood and deal.held.get(BTC) and not algos:
            gaps.append(deal.scene.clock.now_ms())
        await asyncio.sleep(0.001)


def test_R015_the_stop_follows_position_and_price_and_is_never_missing_meanwhile(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        gaps: list[float] = []
        guarding = asyncio.ensure_future(guard(deal, gaps))
        assert (await keep(deal, 19_000.0)).status is StopStatus.NONE
        await deal.execute(parent(qty="0.1"))
        assert (await keep(deal, 19_000.04)).status is StopStatus.PLACED
        assert standing(deal) == [(Decimal("0.1"), Decimal("19000.1"))]
        assert (await keep(deal, 19_000.04)).status is StopStatus.KEPT
        await deal.execute(parent(qty="0.1", bar_ms=1))
        assert (await keep(deal, 19_000.04)).status is StopStatus.PLACED
        assert standing(deal) == [(Decimal("0.2"), Decimal("19000.1"))]
        await keep(deal, 19_200.0)
        await deal.execute(closing(qty="0.15"))
        await keep(deal, 19_200.0)
        assert standing(deal) == [(Decimal("0.05"), Decimal("19200.0"))]
        guarding.cancel()
        assert gaps == []
        await deal.execute(closing(qty="0.05", bar_ms=1))
        assert (await keep(deal, 19_200.0)).status is StopStatus.NONE
        assert nothing_stands(deal)
        assert not deal.ledger.open_intents("risk")
        assert len(deal.scene.book.algo_orders) == 4
        check_books(deal)

    dealing(tmp_path, act, A_MOMENT)


def test_a_short_is_protected_from_above(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await deal.execute(parent(ETH, -1, "2"))
        await keep(deal, 1_600.004, ETH)
        assert standing(deal, ETH) == [(Decimal(2), Decimal("1600.00"))]
        assert deal.scene.book.open_algos(ETH)[0].side == 1
        await deal.execute(closing(ETH, 1, "2"))
        assert (await keep(deal, None, ETH)).status is StopStatus.NONE
        assert standing(deal, ETH) == []

    dealing(tmp_path, act)


def test_R015_a_position_that_its_strategy_has_left_keeps_its_stop_in_step_until_it_is_gone(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        await keep(deal, 19_000.0)
        assert (await keep(deal, None)).status is StopStatus.KEPT
        await deal.execute(closing(qty="0.04"))
        assert (await keep(deal, None)).status is StopStatus.PLACED
        assert standing(deal) == [(Decimal("0.06"), Decimal("19000.0"))]
        await deal.execute(closing(qty="0.06", bar_ms=1))
        assert (await keep(deal, None)).status is StopStatus.NONE
        assert nothing_stands(deal)
        check_books(deal)

    dealing(tmp_path, act)


def test_A37_a_stop_that_is_hit_is_booked_against_its_trigger_though_no_stream_told(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        report = await keep(deal, 19_850.0)
        await at_hours(deal, 1.0)
        assert nothing_stands(deal)
        await deal.fills.take(SYMBOLS)
        fill = deal.ledger.fills("risk")[-1]
        assert (fill.reason, fill.ref_kind, fill.ref_price, fill.side) == ("stop", "stop", 19_850.0, -1)
        assert report.client_id.startswith(fill.parent_id)
        recovery = await deal.executor.recover(SYMBOLS)
        assert recovery.resolved in {(report.client_id,), ()}
        assert deal.ledger.last_targets("risk") == {BTC: 0.0}
        assert not deal.ledger.open_intents("risk")
        check_books(deal)

    dealing(tmp_path, act)


def test_two_stops_at_once_close_once(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        await keep(deal, 19_850.0)
        stop_by_hand(deal.scene.exchange, BTC, "SELL", "0.1", "19850.0")
        await at_hours(deal, 1.0)
        assert deal.held == {}
        assert [fill.side for fill in deal.scene.book.fills] == [1, -1]

    dealing(tmp_path, act)


def test_a_trigger_that_the_price_has_passed_closes_at_once(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        assert (await keep(deal, 20_300.0)).status is StopStatus.CLOSED
        assert nothing_stands(deal)
        await deal.fills.take(SYMBOLS)
        fill = deal.ledger.fills("risk")[-1]
        assert (fill.reason, fill.ref_kind, fill.ref_price) == ("stop", "stop", 20_300.0)
        check_books(deal)

    dealing(tmp_path, act)


SILENCES = [
    (AcceptThenTimeout(), 4.0),
    (AcceptThen503(), 0.0),
    (AcceptThenUnknown(-1007), 4.0),
    (LostRequest(), 0.0),
]


@pytest.mark.parametrize(("fault", "hidden_s"), SILENCES)
def test_a_stop_in_doubt_is_asked_about_and_stands_once(fault: Any, hidden_s: float, tmp_path: Path) -> None:
    hidden = FaultPlan.of(DelayedVisibility(hidden_s)).rules if hidden_s else ()

    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        assert (await keep(deal, 19_000.0)).status is StopStatus.PLACED
        await asyncio.sleep(10)
        assert standing(deal) == [(Decimal("0.1"), Decimal("19000.0"))]
        assert (await keep(deal, 19_000.0)).status is StopStatus.KEPT
        assert len(deal.scene.book.algo_orders) == 1

    dealing(tmp_path, act, FaultPlan((*hidden, *FaultPlan.of(fault, match=STOPS).rules)))


def test_what_the_venue_does_not_take_leaves_the_old_stop_standing(tmp_path: Path) -> None:
    full = FaultPlan.of(RejectNTimes(-4045, "Reach max stop order limit."), match=STOPS, skip=1, times=1)

    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        await keep(deal, 19_000.0)
        report = await keep(deal, 19_100.0)
        assert report.status is StopStatus.UNPROTECTED
        assert "max stop order" in report.detail
        assert standing(deal) == [(Decimal("0.1"), Decimal("19000.0"))]
        assert (await keep(deal, 19_100.0)).status is StopStatus.PLACED
        assert standing(deal) == [(Decimal("0.1"), Decimal("19100.0"))]

    dealing(tmp_path, act, full)


def test_a_stop_of_a_position_that_was_closed_while_it_was_placed_is_taken_away(tmp_path: Path) -> None:
    slow = FaultPlan.of(Slow(3.0, 0.0), match=STOPS)

    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        keeping = asyncio.ensure_future(keep(deal, 19_000.0))
        await asyncio.sleep(1.0)
        await deal.execute(closing(qty="0.1"))  # as a flatten does, which looks for stops before this one stands
        assert nothing_stands(deal)
        assert (await keeping).status is StopStatus.NONE
        assert len(deal.scene.book.algo_orders) == 1
        assert nothing_stands(deal)
        assert not deal.ledger.open_intents("risk")

    dealing(tmp_path, act, slow)


def test_a_stop_stays_where_the_second_look_at_its_position_is_not_answered(tmp_path: Path) -> None:
    late = FaultPlan.of(LostRequest(), match=Match(path="/fapi/v3/positionRisk"), skip=1)

    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        assert (await keep(deal, 19_000.0)).status is StopStatus.PLACED
        assert standing(deal) == [(Decimal("0.1"), Decimal("19000.0"))]

    dealing(tmp_path, act, late)


def test_a_strangers_stop_is_not_touched(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        stop_by_hand(deal.scene.exchange, BTC, "SELL", "0.1", "18000.0")
        await keep(deal, 19_000.0)
        (result,) = await deal.execute(closing(qty="0.1"))
        assert result.status is ParentStatus.FILLED
        await keep(deal, 19_000.0)
        (left,) = deal.scene.book.open_algos()
        assert not is_ours(left.client_id)

    dealing(tmp_path, act)


def test_many_at_once_place_one(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        reports = await asyncio.gather(*(keep(deal, 19_000.0) for _ in range(4)))
        assert sorted(report.status for report in reports) == ["kept", "kept", "kept", "placed"]
        assert len(deal.scene.book.algo_orders) == 1

    dealing(tmp_path, act, A_MOMENT)
