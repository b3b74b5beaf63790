"""The venue against the ledger: nothing differs after honest work, and whatever differs is told, twice seen."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import SECOND_MS
from engine.errors import UsageError
from engine.execution.ids import Purpose
from engine.execution.reconcile import Kind, check_start, reconcile
from engine.execution.venue import OrderKind, OrderRequest, VenueUnavailable
from engine.ledger import CashFlow, Event, FundingPayment
from engine.simulator.faults import FaultPlan
from engine.simulator.faults.conditions import Outage
from tests.execution.dealing import (
    BTC,
    ETH,
    SOL,
    Dealing,
    at_hours,
    closing,
    dealing,
    everything_stands,
    parent,
    stop_by_hand,
    trade,
)
from tests.execution.simulated import SYMBOLS
from tests.simulator.serving import ACCOUNT, START_MS

if TYPE_CHECKING:
    from pathlib import Path

    from engine.execution.reconcile import Difference
    from engine.simulator.exchange import Exchange


async def look(deal: Dealing, *, start: bool = False) -> list[tuple[str, str]]:
    """Compare the two sides; return what differs and where."""

    async def catch_up() -> None:
        await deal.executor.recover(SYMBOLS)

    act = check_start if start else reconcile
    found: tuple[Difference, ...] = await act(
        deal.scene.venue, deal.journal, deal.scene.clock, catch_up, tolerance_usd=0.5
    )
    return [(one.kind, one.subject) for one in found]


def test_after_honest_work_nothing_differs_to_the_cent(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        assert await look(deal, start=True) == []
        await deal.execute(parent(qty="0.3"), parent(ETH, -1, "4"), parent(SOL, qty="33"))
        await deal.keeper.keep(BTC, 15_000.0, deal.filters[BTC].tick_size)
        await at_hours(deal, 3.4)
        await deal.execute(closing(qty="0.1"), parent(ETH, -1, "1", bar_ms=1))
        assert await look(deal) == []
        assert deal.ledger.events("difference") == ()

    dealing(tmp_path, act)


def test_cash_that_moved_is_told_until_the_ledger_knows_why(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await look(deal, start=True)
        await deal.execute(parent(qty="0.3"))
        deal.scene.exchange.deposit(ACCOUNT, "250.00")
        assert await look(deal) == [(Kind.BALANCE, "USDT")]
        (event,) = deal.ledger.events("difference")
        wallet = deal.scene.book.wallet
        assert json.loads(event.document) == [
            {"kind": "balance", "ledger": f"{wallet - 250:.2f} USD", "venue": f"{wallet:.2f} USD"}
        ]
        await deal.execute(parent(qty="0.1", bar_ms=1))  # both sides move, the difference is the same one
        for _minute in range(2):
            await asyncio.sleep(60)
            assert await look(deal) == [(Kind.BALANCE, "USDT")]
        assert len(deal.ledger.events("difference")) == 1
        assert not deal.ledger.events("difference_gone")
        deal.ledger.append(CashFlow("c1", "risk", deal.scene.clock.now_ms(), 250.0, "deposit"))
        for _minute in range(2):
            await asyncio.sleep(60)
            assert await look(deal) == []
        (gone,) = deal.ledger.events("difference_gone")
        assert (gone.subject, gone.document) == ("USDT", '["balance"]')
        deal.scene.exchange.deposit(ACCOUNT, "3.00")
        assert await look(deal) == [(Kind.BALANCE, "USDT")]
        assert len(deal.ledger.events("difference")) == 2

    dealing(tmp_path, act)


def test_cash_that_the_risk_guard_saw_moving_is_no_difference(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        def noted(name: str, at_ms: int, amount_usd: float) -> Event:
            document = json.dumps({"amount_usd": amount_usd, "kind": "TRANSFER"})
            return Event(f"transfer-{name}", at_ms, "transfer", name, document)

        began_ms = deal.scene.clock.now_ms()
        await asyncio.sleep(1)
        await look(deal, start=True)
        deal.ledger.append(noted("before", began_ms, 7_000.0))  # the opening balance has it already
        assert await look(deal) == []
        for amount in ("1000.00", "-300.00"):
            deal.scene.exchange.deposit(ACCOUNT, amount)
            assert await look(deal) == [(Kind.BALANCE, "USDT")]
            row = (await deal.scene.venue.income(began_ms))[-1]
            assert (row.kind, row.asset, row.amount) == ("TRANSFER", "USDT", Decimal(amount))
            deal.ledger.append(noted(row.income_id, row.at_ms, float(row.amount)))
            assert await look(deal) == []

    dealing(tmp_path, act)


def test_funding_is_cash_like_any_other(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await look(deal, start=True)
        await deal.execute(parent(qty="0.3"))
        await at_hours(deal, 9.0)
        assert await look(deal) == [(Kind.BALANCE, "USDT")]
        for number, income in enumerate(await deal.scene.venue.income(START_MS)):
            if income.kind == "FUNDING_FEE":
                amount = float(income.amount)
                row = FundingPayment(f"n{number}", "risk", income.at_ms, BTC, 0.3, 2e4, 1e-4, 8.0, amount)
                deal.ledger.append(row)
        assert await look(deal) == []

    dealing(tmp_path, act)


def stop_on_a_position(exchange: Exchange) -> None:
    trade(exchange, BTC, 1, "0.1")
    stop_by_hand(exchange, BTC, "SELL", "0.1", "19000.0")


STRANGERS: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "a position": (lambda exchange: trade(exchange, ETH, 1, "1"), [(Kind.POSITION, ETH)]),
    "an order": (lambda exchange: trade(exchange, ETH, 1, "1", "1450.00"), [(Kind.ORDER, ETH)]),
    "a stop": (stop_on_a_position, [(Kind.POSITION, BTC), (Kind.STOP, BTC)]),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_A64_what_the_ledger_does_not_know_refuses_the_start(name: str, tmp_path: Path) -> None:
    prepare, expected = STRANGERS[name]

    async def act(deal: Dealing) -> None:
        with pytest.raises(UsageError) as caught:
            await look(deal, start=True)
        assert [(problem.code, problem.where) for problem in caught.value.problems] == [
            (f"unknown-{kind}", subject) for kind, subject in expected
        ]
        assert all("stagegate flatten" in problem.help for problem in caught.value.problems)
        assert deal.ledger.events("difference")
        assert deal.ledger.events("venue_opening") == ()

    dealing(tmp_path, act, prepare=prepare)


def test_a_second_start_finds_the_account_as_it_was_left(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await look(deal, start=True)
        await deal.execute(parent(qty="0.1"))
        await deal.keeper.keep(BTC, 19_000.0, deal.filters[BTC].tick_size)
        again = Dealing(deal.scene, deal.ledger, deal.permit, deal.filters)
        assert await look(again, start=True) == []
        assert len(deal.ledger.events("venue_opening")) == 1

    dealing(tmp_path, act)


def test_A64_a_trade_by_hand_is_told_until_the_position_is_closed(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await look(deal, start=True)
        await deal.execute(parent(qty="0.1"))
        trade(deal.scene.exchange, BTC, -1, "0.04")
        assert await look(deal) == [(Kind.POSITION, BTC)]
        assert deal.journal.held() == {BTC: Decimal("0.06")}  # booked all the same: it moved the cash
        assert deal.ledger.fills("risk")[-1].reason == "foreign"
        told = [json.loads(event.document) for event in deal.ledger.events("difference")]
        assert told[0]["what"] == "an order of no ledger"
        assert told[1] == [{"kind": "position", "ledger": "0.06, in part traded by somebody else", "venue": "0.060"}]
        with pytest.raises(UsageError):
            await look(deal, start=True)
        await deal.execute(closing(qty="0.06"))
        assert await look(deal, start=True) == []

    dealing(tmp_path, act)


def test_a_stop_that_somebody_cancelled_is_no_stop_any_more(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await look(deal, start=True)
        await deal.execute(parent(qty="0.1"))
        await deal.keeper.keep(BTC, 19_000.0, deal.filters[BTC].tick_size)
        (algo,) = deal.scene.book.open_algos()
        deal.scene.exchange.call("DELETE", "/fapi/v1/algoOrder", {"clientAlgoId": algo.client_id}, ACCOUNT)
        assert await look(deal) == []
        assert not deal.ledger.open_intents("risk")
        await deal.keeper.keep(BTC, 19_000.0, deal.filters[BTC].tick_size)
        assert len(deal.scene.book.open_algos()) == 1

    dealing(tmp_path, act)


def test_the_venues_silence_is_never_read_as_flat(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await asyncio.sleep(2)
        with pytest.raises(VenueUnavailable):
            await look(deal, start=True)
        assert deal.ledger.events("venue_opening") == ()

    away = FaultPlan.of(Outage("503"), from_ms=START_MS + SECOND_MS)
    dealing(tmp_path, act, away, prepare=everything_stands)


def test_what_only_seemed_to_differ_is_not_told(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await look(deal, start=True)
        looks: list[int] = []

        async def catch_up() -> None:
            await deal.executor.recover(SYMBOLS)
            if not looks:  # filled after the ledger was brought up to date, and before the venue is asked
                row = deal.journal.begin(Purpose.BAR, parent(), START_MS)
                request = OrderRequest(deal.journal.next_client_id(row), BTC, 1, Decimal("0.1"), OrderKind.MARKET)
                deal.journal.intend(row, request, START_MS)
                await deal.sender.send(request)
            looks.append(deal.scene.clock.now_ms())

        assert await reconcile(deal.scene.venue, deal.journal, deal.scene.clock, catch_up) == ()
        assert len(looks) == 2
        assert deal.ledger.events("difference") == ()

    dealing(tmp_path, act)


def test_a_forced_close_is_told_as_one(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await look(deal, start=True)
        await deal.execute(parent(qty="0.1"))

        async def listen() -> None:
            async for event in deal.scene.venue.events():
                deal.executor.hear(event)

        listening = asyncio.ensure_future(listen())
        await asyncio.sleep(2)
        deal.scene.exchange.deleverage(ACCOUNT, BTC, "0.1")
        deal.scene.server.step()
        await asyncio.sleep(1)
        assert await look(deal) == []
        listening.cancel()
        fill = deal.ledger.fills("risk")[-1]
        assert (fill.reason, fill.ref_kind) == ("forced", "mark")
        (event,) = deal.ledger.events("difference")
        assert json.loads(event.document)["what"] == "the venue closed by force"

    dealing(tmp_path, act)
