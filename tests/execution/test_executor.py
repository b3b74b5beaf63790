"""Parent orders at the simulator: limit first, the market for the rest, each order once, each fill once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import SECOND_MS
from engine.errors import LedgerError, Problem
from engine.execution.course import REDUCING_PATIENCE_MS, ParentStatus
from engine.execution.executor import parent_order
from engine.execution.ids import Purpose
from engine.execution.journal import ABSENT, UNKNOWN
from engine.execution.planned import PlannedOrder
from engine.execution.venue import NOT_SENT, OrderKind, OrderRequest, Rejected
from engine.ledger import Ledger
from engine.simulator.faults import FaultPlan, Match
from engine.simulator.faults.conditions import OnlyReducing, Outage, Overloaded, PartialFills
from engine.simulator.faults.messages import DuplicateEvent, LateEvent, ReorderedEvents
from engine.simulator.faults.requests import (
    AcceptThen503,
    AcceptThenReset,
    AcceptThenTimeout,
    AcceptThenUnknown,
    DelayedVisibility,
    LostRequest,
    RejectNTimes,
    Slow,
)
from engine.simulator.specs import Liquidity
from tests.execution.dealing import BTC, ETH, SOL, Dealing, check_books, closing, dealing, nothing_stands, parent, trade
from tests.execution.simulated import SYMBOLS
from tests.simulator.serving import START_MS

if TYPE_CHECKING:
    from pathlib import Path

    from engine.simulator.exchange import Exchange

ORDERS = Match(method="POST", path="/fapi/v1/order")


def statuses(results: list[Any]) -> list[ParentStatus]:
    return [result.status for result in results]


def test_a_market_order_is_filled_booked_and_told(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        (result,) = await deal.execute(parent(qty="0.1"))
        assert result.status is ParentStatus.FILLED
        assert result.filled_qty == Decimal("0.1")
        assert result.avg_price == 20_006.0  # 3 bps above the bar's open
        assert result.parent_id == "sgb-BTCUSDT-la9nf340-0"
        (fill,) = deal.ledger.fills_of(result.parent_id)
        assert (fill.ref_price, fill.ref_kind, fill.reason) == (20_000.0, "bar_open", "entry")
        (intent,) = deal.ledger.intents_of(result.parent_id)
        assert (intent.client_id, intent.kind) == ("sgb-BTCUSDT-la9nf340-0-0", "MARKET")
        assert deal.ledger.last_targets("risk") == {BTC: 2000.0}
        assert deal.filled == [BTC]
        check_books(deal)

    dealing(tmp_path, act)


def test_all_symbols_go_at_once(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        results = await deal.execute(parent(BTC), parent(ETH, -1, "1.5"), parent(SOL, qty="30"))
        assert statuses(results) == [ParentStatus.FILLED] * 3
        sent = {intent.at_ms for name in results for intent in deal.ledger.intents_of(name.parent_id)}
        assert max(sent) - min(sent) <= 1
        check_books(deal)

    dealing(tmp_path, act)


def test_a_limit_order_that_does_not_fill_is_cancelled_and_the_market_takes_the_rest(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        (result,) = await deal.execute(parent(qty="0.1", patient=True))
        assert result.status is ParentStatus.FILLED
        limit, market = deal.ledger.intents_of(result.parent_id)
        assert (limit.kind, market.kind) == ("LIMIT", "MARKET")
        assert limit.price is not None
        assert limit.price <= 20_000.0
        assert market.at_ms - limit.at_ms == 10 * SECOND_MS
        assert [update.status for update in deal.ledger.updates_of(limit.client_id)] == ["NEW", "CANCELED"]
        check_books(deal)

    dealing(tmp_path, act)


def test_what_the_limit_order_filled_is_not_bought_again(tmp_path: Path) -> None:
    def prepare(exchange: Exchange) -> None:
        exchange.change_liquidity(Liquidity(parts=3, queue_s=4.0))

    async def act(deal: Dealing) -> None:
        results = await deal.execute(
            parent(qty="0.3", patient=True), parent(ETH, -1, "4", patient=True), parent(SOL, qty="60", patient=True)
        )
        assert statuses(results) == [ParentStatus.FILLED] * 3
        assert deal.held == {BTC: Decimal("0.3"), ETH: Decimal(-4), SOL: Decimal(60)}
        kinds = {fill.price == 20_006.0 for fill in deal.ledger.fills("risk") if fill.symbol == BTC}
        assert False in kinds  # some at the limit's own price
        check_books(deal)

    dealing(tmp_path, act, prepare=prepare)


CANCELS = Match(method="DELETE", path="/fapi/v1/order")


def test_a_limit_order_whose_cancel_is_refused_for_a_while_is_gone_before_the_market_takes_the_rest(
    tmp_path: Path,
) -> None:
    until_ms = START_MS + 15 * SECOND_MS
    refused = FaultPlan.of(
        RejectNTimes(-1000, "An unknown error occurred."), match=CANCELS, times=None, until_ms=until_ms
    )

    async def act(deal: Dealing) -> None:
        (result,) = await deal.execute(parent(qty="0.1", patient=True))
        assert result.status is ParentStatus.FILLED
        limit, market = deal.ledger.intents_of(result.parent_id)
        assert until_ms <= market.at_ms <= until_ms + 2 * SECOND_MS
        assert deal.ledger.updates_of(limit.client_id)[-1].status == "CANCELED"
        check_books(deal)

    dealing(tmp_path, act, refused)


def test_a_limit_order_whose_cancel_is_refused_for_good_is_in_doubt_and_nothing_follows_it(tmp_path: Path) -> None:
    refused = FaultPlan.of(RejectNTimes(-1000, "An unknown error occurred."), match=CANCELS, times=None)

    async def act(deal: Dealing) -> None:
        deal.sender._patience_ms = 20 * SECOND_MS
        (result,) = await deal.execute(parent(qty="0.1", patient=True))
        assert result.status is ParentStatus.IN_DOUBT
        assert "its cancel" in result.detail
        assert 30 * SECOND_MS <= deal.scene.clock.now_ms() - START_MS <= 33 * SECOND_MS
        assert len(deal.scene.book.orders) == 1

    dealing(tmp_path, act, refused)


def test_an_end_while_a_limit_order_rests_leaves_nothing_resting(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        buying = asyncio.ensure_future(deal.execute(parent(qty="0.1", patient=True)))
        await asyncio.sleep(3)
        assert deal.scene.book.open_orders()
        buying.cancel()
        await asyncio.wait([buying])
        assert not deal.scene.book.open_orders()

    dealing(tmp_path, act)


def test_two_parents_of_one_symbol_are_carried_out_one_after_the_other(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        both = await asyncio.gather(
            deal.execute(parent(qty="0.1", patient=True)), deal.execute(parent(qty="0.2", bar_ms=START_MS + 1))
        )
        (first,), (second,) = both
        ended_ms = max(fill.at_ms for fill in deal.ledger.fills_of(first.parent_id))
        (intent,) = deal.ledger.intents_of(second.parent_id)
        assert intent.at_ms >= ended_ms
        check_books(deal)

    dealing(tmp_path, act)


SILENCES = [
    (AcceptThenTimeout(), False),
    (AcceptThenTimeout(), True),
    (AcceptThen503(), True),
    (AcceptThenReset(), True),
    (AcceptThenUnknown(-1006), False),
    (AcceptThenUnknown(-1007), True),
]


@pytest.mark.parametrize(("fault", "patient"), SILENCES)
def test_an_order_in_doubt_is_asked_about_and_never_sent_again(fault: Any, patient: bool, tmp_path: Path) -> None:  # noqa: FBT001
    hidden = FaultPlan.of(DelayedVisibility(4.0)).rules
    faults = FaultPlan((*hidden, *FaultPlan.of(fault, match=ORDERS, times=2).rules))

    async def act(deal: Dealing) -> None:
        (result,) = await deal.execute(parent(qty="0.1", patient=patient))
        assert result.status is ParentStatus.FILLED
        assert deal.held == {BTC: Decimal("0.1")}
        first = deal.ledger.intents_of(result.parent_id)[0]
        assert UNKNOWN in {update.status for update in deal.ledger.updates_of(first.client_id)}
        assert len(deal.scene.book.orders) == (2 if patient else 1)
        check_books(deal)

    dealing(tmp_path, act, faults)


def test_an_order_that_never_arrived_is_proved_absent_before_another_follows(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        (result,) = await deal.execute(parent(qty="0.1"))
        assert result.status is ParentStatus.FILLED
        lost, sent = deal.ledger.intents_of(result.parent_id)
        assert [update.status for update in deal.ledger.updates_of(lost.client_id)] == [UNKNOWN, ABSENT]
        assert sent.at_ms - lost.at_ms >= 15 * SECOND_MS
        check_books(deal)

    dealing(tmp_path, act, FaultPlan.of(LostRequest(), match=ORDERS))


def test_a_flip_closes_first_and_opens_then(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        (result,) = await deal.execute(parent(BTC, -1, "0.25", closing_qty=Decimal("0.1"), reason="flip"))
        assert result.status is ParentStatus.FILLED
        legs = deal.ledger.intents_of(result.parent_id)
        assert [(leg.reduce_only, leg.qty) for leg in legs] == [(True, 0.1), (False, 0.15)]
        assert deal.held == {BTC: Decimal("-0.15")}
        check_books(deal)

    dealing(tmp_path, act)


def test_without_a_permit_a_flip_only_closes_and_a_reduction_passes(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"), parent(ETH, qty="2"))
        deal.permit.revoke()
        flip, reduction, entry = await deal.execute(
            parent(BTC, -1, "0.25", closing_qty=Decimal("0.1"), reason="flip"),
            closing(ETH, qty="1"),
            parent(SOL, qty="30"),
        )
        assert (flip.status, flip.filled_qty) == (ParentStatus.HALTED, Decimal("0.1"))
        assert reduction.status is ParentStatus.FILLED
        assert (entry.status, entry.parent_id) == (ParentStatus.HALTED, "")
        assert deal.held == {ETH: Decimal(1)}

    dealing(tmp_path, act)


def test_a_permit_that_goes_while_a_limit_order_rests_leaves_the_rest_undone(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        buying = asyncio.ensure_future(deal.execute(parent(qty="0.1", patient=True)))
        await asyncio.sleep(3)
        deal.permit.revoke()
        (result,) = await buying
        assert result.status is ParentStatus.HALTED
        assert nothing_stands(deal)
        check_books(deal)

    dealing(tmp_path, act)


def test_R074_a_decision_that_became_too_old_adds_nothing_and_still_reduces(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        trade(deal.scene.exchange, ETH, 1, "2")
        late = deal.scene.clock.now_ms() - 1
        entry, exit_ = await deal.execute(parent(add_until_ms=late), closing(ETH, qty="2", add_until_ms=late))
        assert (entry.status, exit_.status) == (ParentStatus.STALE, ParentStatus.FILLED)
        assert deal.held == {}

    dealing(tmp_path, act)


REFUSED = {
    "margin": (RejectNTimes(-2019, "Margin is insufficient."), ParentStatus.REFUSED, 1),
    "minimum": (RejectNTimes(-4164, "Order's notional must be no smaller than 100."), ParentStatus.REFUSED, 1),
    "quantitative rules": (OnlyReducing(), ParentStatus.REFUSED, 1),
    "overloaded for good": (Overloaded(), ParentStatus.REFUSED, 6),
    "overloaded for a moment": (RejectNTimes(-1008, "overloaded", 503), ParentStatus.FILLED, 4),
    "book too thin for a moment": (RejectNTimes(), ParentStatus.FILLED, 4),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_met_as_it_deserves(name: str, tmp_path: Path) -> None:
    fault, status, orders = REFUSED[name]
    plan = FaultPlan.of(fault, match=ORDERS, times=3) if isinstance(fault, RejectNTimes) else FaultPlan.of(fault)

    async def act(deal: Dealing) -> None:
        (result,) = await deal.execute(parent(qty="0.1"))
        assert result.status is status
        assert len(deal.ledger.intents_of(result.parent_id)) == orders
        assert bool(result.detail) == (status is not ParentStatus.FILLED)
        check_books(deal)

    dealing(tmp_path, act, plan)


def test_a_reduction_is_tried_longer_than_what_adds_risk(tmp_path: Path) -> None:
    thin = FaultPlan.of(RejectNTimes(), match=ORDERS, from_ms=START_MS, until_ms=START_MS + 60 * SECOND_MS, times=None)

    async def act(deal: Dealing) -> None:
        trade(deal.scene.exchange, ETH, 1, "2")
        adds, reduces = await deal.execute(parent(qty="0.1"), closing(ETH, qty="2"))
        assert (adds.status, reduces.status) == (ParentStatus.REFUSED, ParentStatus.FILLED)
        assert nothing_stands(deal)

    dealing(tmp_path, act, thin)


def test_limits_that_changed_are_read_again(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        symbol = deal.scene.exchange.spec.symbol(BTC)
        assert symbol is not None
        deal.scene.exchange.change_symbol(replace(symbol, step_size=Decimal("0.01"), qty_decimals=2))
        (result,) = await deal.execute(parent(qty="0.105"))
        assert deal.held == {BTC: Decimal("0.1")}
        assert result.filled_qty == Decimal("0.1")
        check_books(deal)

    dealing(tmp_path, act)


def test_a_symbol_that_is_not_traded_any_more_is_left_alone(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        symbol = deal.scene.exchange.spec.symbol(BTC)
        assert symbol is not None
        deal.scene.exchange.change_symbol(replace(symbol, status="SETTLING"))
        (result,) = await deal.execute(parent(qty="0.1"))
        assert result.status is ParentStatus.REFUSED
        assert nothing_stands(deal)

    dealing(tmp_path, act)


def test_a_reduction_of_more_than_there_is_reduces_what_there_is(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        trade(deal.scene.exchange, BTC, 1, "0.05")
        less, nothing = [
            (await deal.execute(closing(qty=qty, bar_ms=START_MS + number)))[0]
            for number, qty in enumerate(("0.1", "0.1"))
        ]
        assert less.filled_qty == Decimal("0.05")
        assert nothing.status is ParentStatus.NOTHING_LEFT
        assert nothing_stands(deal)

    dealing(tmp_path, act)


def test_a_refused_reduction_is_cut_to_what_there_is(tmp_path: Path) -> None:
    refused = FaultPlan.of(RejectNTimes(-2022, "ReduceOnly Order is rejected."), match=ORDERS, times=1)

    async def act(deal: Dealing) -> None:
        trade(deal.scene.exchange, BTC, 1, "0.05")
        (result,) = await deal.execute(closing(qty="0.1"))
        assert [intent.qty for intent in deal.ledger.intents_of(result.parent_id)] == [0.1, 0.05]
        assert nothing_stands(deal)

    dealing(tmp_path, act, refused)


def test_a_sender_without_a_permit_sends_nothing_whatever_stands_behind_it(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        row = deal.journal.begin(Purpose.BAR, parent(), START_MS)
        request = OrderRequest(deal.journal.next_client_id(row), BTC, 1, Decimal("0.1"), OrderKind.MARKET)
        with pytest.raises(ValueError, match="before the ledger knows"):
            await deal.sender.send(request)
        deal.journal.intend(row, request, START_MS)
        assert await deal.sender.send(request) == Rejected(NOT_SENT, "halted: the permit to add risk is gone")
        assert not deal.scene.book.orders

    dealing(tmp_path, act, may_add=False, permit=lambda: True)


def test_more_than_one_order_may_be_is_sent_in_parts_and_too_little_is_not_sent(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        deal.filters[BTC] = replace(deal.filters[BTC], market_max_qty=Decimal("0.04"))
        whole, little = (await deal.execute(parent(qty="0.1")))[0], (await deal.execute(parent(qty="0.001")))[0]
        assert whole.status is ParentStatus.FILLED
        assert [intent.qty for intent in deal.ledger.intents_of(whole.parent_id)] == [0.04, 0.04, 0.02]
        assert (little.status, little.parent_id) == (ParentStatus.REFUSED, "")
        check_books(deal)

    dealing(tmp_path, act)


@pytest.mark.parametrize(
    ("qty", "status", "filled", "stays"),
    [
        ("2", ParentStatus.FILLED, "2", ""),
        ("1.5", ParentStatus.PARTIAL, "1", "0.500 is less than the venue's step of 1, and stays"),
        ("0.5", ParentStatus.REFUSED, "0", "0.500 is less than the venue's step of 1, and stays"),
    ],
)
def test_what_the_venue_does_not_trade_any_more_is_told_and_never_called_filled(
    qty: str, status: ParentStatus, filled: str, stays: str, tmp_path: Path
) -> None:
    async def act(deal: Dealing) -> None:
        (entry,) = await deal.execute(parent(qty=f"{Decimal(qty):.3f}"))
        assert entry.status is ParentStatus.FILLED
        symbol = deal.scene.exchange.spec.symbol(BTC)
        assert symbol is not None
        deal.scene.exchange.change_symbol(replace(symbol, step_size=Decimal(1), min_qty=Decimal(1)))
        (result,) = await deal.execute(closing(qty=f"{Decimal(qty):.3f}"))
        assert (result.status, result.filled_qty, result.detail) == (status, Decimal(filled), stays)
        assert deal.held.get(BTC, Decimal(0)) == Decimal(qty) - Decimal(filled)
        check_books(deal)

    dealing(tmp_path, act)


def test_a_reduction_that_is_refused_again_and_again_under_the_same_limits_floods_nobody(tmp_path: Path) -> None:
    filters = RejectNTimes(-1013, "Filter failure: MARKET_LOT_SIZE")
    refusing = FaultPlan.of(filters, match=ORDERS, times=None, from_ms=START_MS + SECOND_MS)

    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        await asyncio.sleep(1)
        began_ms = deal.scene.clock.now_ms()
        (result,) = await deal.execute(closing(qty="0.1"))
        assert (result.status, result.filled_qty) == (ParentStatus.REFUSED, 0)
        assert deal.scene.clock.now_ms() - began_ms > REDUCING_PATIENCE_MS
        assert len(deal.ledger.intents_of(result.parent_id)) < 100
        assert deal.held[BTC] == Decimal("0.1")

    dealing(tmp_path, act, refusing)


def test_while_an_order_is_in_doubt_its_symbol_takes_no_new_risk(tmp_path: Path) -> None:
    away = FaultPlan.of(Outage("silent"), from_ms=START_MS + 2 * SECOND_MS, until_ms=START_MS + 120 * SECOND_MS)
    faults = FaultPlan((*away.rules, *FaultPlan.of(AcceptThenTimeout(), match=ORDERS).rules))

    async def act(deal: Dealing) -> None:
        deal.sender._patience_ms = 20 * SECOND_MS
        await asyncio.sleep(1)
        (doubtful,) = await deal.execute(parent(qty="0.1"))
        assert doubtful.status is ParentStatus.IN_DOUBT
        (blocked,) = await deal.execute(parent(qty="0.1", bar_ms=START_MS + 1))
        assert (blocked.status, blocked.parent_id) == (ParentStatus.IN_DOUBT, "")
        await asyncio.sleep(120)
        recovery = await deal.executor.recover(SYMBOLS)
        assert recovery.resolved == (f"{doubtful.parent_id}-0",)
        assert not recovery.in_doubt
        assert len(recovery.fills) == 1
        (later,) = await deal.execute(parent(qty="0.1", bar_ms=START_MS + 2))
        assert later.status is ParentStatus.FILLED
        assert deal.held == {BTC: Decimal("0.2")}
        check_books(deal)

    dealing(tmp_path, act, faults)


STOPPED_AFTER_MS = [
    (0, True),
    (4, False),
    (7, True),
    (18, True),
    (26, False),
    (40, True),
    (3_000, True),
    (3_000, False),
]
STOPPED_AFTER_MS += [(10_015, True), (10_025, False), (10_040, True)]


@pytest.mark.parametrize(("after_ms", "killed"), STOPPED_AFTER_MS)
def test_stopped_anywhere_a_new_run_finds_out_and_leaves_nothing_resting(
    after_ms: int,
    killed: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    async def act(deal: Dealing) -> None:
        buying = asyncio.ensure_future(deal.execute(parent(qty="0.3", patient=True)))
        await asyncio.sleep(after_ms / SECOND_MS)
        if killed:
            deal.sender.venue = Unplugged(deal.sender.venue)
        buying.cancel()
        await asyncio.wait([buying])
        again = Dealing(deal.scene, deal.ledger, deal.permit, deal.filters)
        recovery = await again.executor.recover(SYMBOLS)
        assert not recovery.in_doubt
        assert not deal.ledger.open_intents("risk")
        assert not deal.scene.book.open_orders()
        check_books(again)
        before = again.held.get(BTC, Decimal(0))
        (result,) = await again.execute(parent(qty="0.1"))
        assert result.status is ParentStatus.FILLED
        assert again.held == {BTC: before + Decimal("0.1")}
        check_books(again)

    dealing(tmp_path, act, FaultPlan.of(Slow(0.005, 0.005, spread_ratio=0.9), match=Match(path="/fapi/*")))


class Unplugged:
    """What a process that is gone can still send: nothing."""

    def __init__(self, venue: Any) -> None:
        self._venue = venue

    def __getattr__(self, name: str) -> Any:
        raise asyncio.CancelledError(name)


def test_a_ledger_that_takes_nothing_lets_nothing_leave_and_nothing_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_ledger: Ledger, _rows: object) -> int:
        raise LedgerError(Problem("disk-full", "ledger.db", "no space is left to write"))

    async def act(deal: Dealing) -> None:
        monkeypatch.setattr(Ledger, "append", full)
        with pytest.raises(LedgerError, match="no space"):
            await deal.execute(parent(qty="0.1"))
        assert not deal.scene.book.orders
        monkeypatch.undo()
        resting = asyncio.ensure_future(deal.execute(parent(qty="0.1", patient=True)))
        await asyncio.sleep(0.001)
        assert deal.scene.book.open_orders()
        monkeypatch.setattr(Ledger, "append", full)
        with pytest.raises(LedgerError, match="no space"):
            await resting
        assert nothing_stands(deal)

    dealing(tmp_path, act)


def test_what_is_heard_twice_late_or_in_another_order_is_booked_once(tmp_path: Path) -> None:
    noisy = FaultPlan.of(
        DuplicateEvent(), LateEvent(), ReorderedEvents(), PartialFills(4, 0.3, touch_ratio=0.5), seed=5
    )

    async def act(deal: Dealing) -> None:
        async def listen() -> None:
            async for event in deal.scene.venue.events():
                deal.executor.hear(event)

        listening = asyncio.ensure_future(listen())
        await asyncio.sleep(2)
        for number in range(3):
            await deal.execute(
                parent(qty="0.05", patient=True, bar_ms=START_MS + number),
                parent(ETH, -1, "0.7", bar_ms=START_MS + number),
            )
        await asyncio.sleep(20)
        listening.cancel()
        for name in {order.client_id for order in deal.scene.book.orders.values()}:
            assert deal.journal.ended(name)
        check_books(deal)

    dealing(tmp_path, act, noisy)


def test_a_planned_order_becomes_a_parent_as_it_was_planned() -> None:
    planned = PlannedOrder(
        symbol=ETH,
        side=-1,
        qty=3.003,
        closing_qty=1.001,
        opening_qty=2.002,
        qty_after=-2.002,
        target_usd=-3000.0,
        reason="flip",
        ref_kind="bar_open",
        ref_price=None,
    )
    order = parent_order(planned, bar_ms=START_MS, ref_price=1500.0, prefer_limit=True, verdict_id="v1")
    assert (order.qty, order.closing_qty) == (Decimal("3.003"), Decimal("1.001"))
    assert (order.ref_price, order.patient, order.verdict_id) == (1500.0, True, "v1")
    by_policy = replace(planned, reason="reduce", ref_kind="mark", ref_price=1490.0)
    order = parent_order(by_policy, bar_ms=START_MS, ref_price=1500.0, prefer_limit=True)
    assert (order.ref_price, order.ref_kind, order.patient) == (1490.0, "mark", False)
