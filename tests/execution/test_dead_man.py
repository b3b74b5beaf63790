"""The dead-man timer is armed only where a canary lived, and takes away what nobody renews."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from engine.clock import SECOND_MS
from engine.execution.deadman import Canary, DeadMan, send_canary
from engine.simulator.faults import FaultPlan, Match
from engine.simulator.faults.conditions import Outage
from engine.simulator.faults.requests import RejectNTimes
from tests.execution.dealing import BTC, ETH, Dealing, dealing, nothing_stands, trade
from tests.simulator.serving import START_MS

if TYPE_CHECKING:
    from pathlib import Path

    from engine.simulator.exchange import Exchange

STOPS = Match(method="POST", path="/fapi/v1/algoOrder")
COUNTDOWN = Match(path="/fapi/v1/countdownCancelAll")


def takes_stops(exchange: Exchange) -> None:
    exchange._house.spec = replace(exchange.spec, countdown_spares_algo=False)


async def canary(deal: Dealing) -> Canary:
    found = await send_canary(deal.sender, BTC, Decimal(20_000), deal.filters[BTC])
    assert nothing_stands(deal)
    assert not deal.ledger.open_intents("risk")
    assert [event.subject for event in deal.ledger.events("canary")] == [found]
    return found


def test_a_venue_that_spares_stops_is_told_from_one_that_takes_them(tmp_path: Path) -> None:
    assert dealing(tmp_path / "a", canary) is Canary.SPARED
    assert dealing(tmp_path / "b", canary, prepare=takes_stops) is Canary.TAKEN


@pytest.mark.parametrize(
    "faults",
    [
        FaultPlan.of(RejectNTimes(-2022, "ReduceOnly Order is rejected."), match=STOPS),
        FaultPlan.of(RejectNTimes(-1000, "no"), match=COUNTDOWN),
    ],
    ids=["no stop", "no countdown"],
)
def test_what_is_not_clear_does_not_arm(faults: FaultPlan, tmp_path: Path) -> None:
    assert dealing(tmp_path, canary, faults) is Canary.UNCLEAR


def test_orders_of_a_bot_that_died_are_gone_after_the_countdown_and_not_while_it_lives(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        trade(deal.scene.exchange, BTC, 1, "0.1", "15000.0")
        timer = DeadMan(deal.scene.venue, (BTC, ETH), 120 * SECOND_MS, 30 * SECOND_MS)
        living = asyncio.ensure_future(timer.run())
        await asyncio.sleep(400)
        assert not nothing_stands(deal)
        timer.venue = Dead()  # type: ignore[assignment]
        living.cancel()
        await asyncio.wait([living])
        await asyncio.sleep(119)
        assert nothing_stands(deal)

    dealing(tmp_path, act)


def test_one_that_ends_in_order_disarms(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        trade(deal.scene.exchange, BTC, 1, "0.1", "15000.0")
        timer = DeadMan(deal.scene.venue, (BTC,), 120 * SECOND_MS, 30 * SECOND_MS)
        living = asyncio.ensure_future(timer.run())
        await asyncio.sleep(40)
        living.cancel()
        await asyncio.wait([living])
        await asyncio.sleep(300)
        assert not nothing_stands(deal)

    dealing(tmp_path, act)


def test_renewals_that_fail_are_counted_and_go_on(tmp_path: Path) -> None:
    away = FaultPlan.of(Outage("503"), from_ms=START_MS + 20 * SECOND_MS, until_ms=START_MS + 80 * SECOND_MS)

    async def act(deal: Dealing) -> None:
        timer = DeadMan(deal.scene.venue, (BTC,), 120 * SECOND_MS, 30 * SECOND_MS)
        living = asyncio.ensure_future(timer.run())
        await asyncio.sleep(75)
        assert timer.failures == {BTC: 2}
        await asyncio.sleep(60)
        assert timer.failures == {BTC: 0}
        living.cancel()
        await asyncio.wait([living])

    dealing(tmp_path, act, away)


class Dead:
    """A venue nobody can call any more."""

    async def countdown(self, symbol: str, after_ms: int) -> None:
        raise asyncio.CancelledError(symbol, after_ms)
