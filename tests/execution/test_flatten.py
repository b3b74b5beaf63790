"""Flatten always ends flat: the latch first, both kinds of orders, every position, whatever fails on the way."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import nullcontext, suppress
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from engine.errors import LedgerError, Problem
from engine.execution import closing as closing_orders
from engine.execution import siderecord
from engine.execution.closing import QUICK_TRIES, SLOW_MS
from engine.execution.course import ParentStatus
from engine.execution.flatten import flatten
from engine.execution.flattened import ARRIVAL_MS, CANCELLED, FLAT, LATCHED, SEALED, STEPS, VERIFIED, Terms
from engine.execution.ids import Purpose, purpose_of
from engine.execution.permit import Permit
from engine.execution.siderecord import NoRecord, SideRecord
from engine.execution.venue import VenueUnavailable
from engine.ledger import Event, Ledger, Parent
from engine.simulator.faults import FaultPlan, Match
from engine.simulator.faults.conditions import ClockSkew, Outage, PartialFills
from engine.simulator.faults.requests import (
    AcceptThen503,
    AcceptThenTimeout,
    AcceptThenUnknown,
    DelayedVisibility,
    LostRequest,
    RateLimited,
    RejectNTimes,
    Slow,
)
from tests.execution.dealing import (
    BTC,
    ETH,
    SOL,
    Dealing,
    check_books,
    dealing,
    everything_stands,
    nothing_stands,
    parent,
    stop_by_hand,
    trade,
)
from tests.execution.simulated import SYMBOLS
from tests.simulator.serving import START_MS

if TYPE_CHECKING:
    from pathlib import Path

    from engine.clock import Clock
    from engine.execution.flattened import FlattenReport
    from engine.simulator.exchange import Exchange


BREACH_MS = START_MS + MINUTE_MS


def flattened(folder: Path, faults: FaultPlan | None = None, **options: Any) -> FlattenReport:
    """Flatten a full book under faults; check that nothing stands, and that nothing was closed twice."""

    async def act(deal: Dealing) -> FlattenReport:
        await asyncio.sleep((BREACH_MS - deal.scene.clock.now_ms()) / SECOND_MS)
        report = await deal.flatten()
        assert report.started_ms == BREACH_MS
        assert nothing_stands(deal)
        check_closed_once(deal)
        return report

    return dealing(folder, act, faults or FaultPlan(), **{"prepare": everything_stands, **options})


def check_closed_once(deal: Dealing) -> None:
    """Each position was closed by exactly what there was, under names that never came twice."""
    book = deal.scene.book
    ours = [order for order in book.orders.values() if purpose_of(order.client_id) is Purpose.FLATTEN]
    filled: Counter[str] = Counter()
    for order in ours:
        assert order.reduce_only
        filled[order.symbol] += order.side * order.filled
    assert dict(filled) == {BTC: Decimal("-0.300"), ETH: Decimal(2), SOL: Decimal(-40)}
    assert len({order.client_id for order in ours}) == len(ours)


def test_R075_everything_is_gone_within_a_second_and_stays_gone(tmp_path: Path) -> None:
    report = flattened(tmp_path)
    assert report.flat
    assert not report.problems
    assert not report.unrecorded
    assert list(report.steps) == list(STEPS)
    assert sorted(report.steps.values()) == list(report.steps.values())
    assert report.steps[VERIFIED] - report.started_ms <= SECOND_MS
    assert not Permit.beside(tmp_path / "ledger.db").present()


CANCELS = Match(method="DELETE")
POSITIONS = Match(method="GET", path="/fapi/v*/positionRisk")
LISTS = Match(method="GET", path="/fapi/v1/open*rders")


def lasting(fault: Any, seconds: float, from_ms: int = BREACH_MS) -> FaultPlan:
    return FaultPlan.of(fault, from_ms=from_ms, until_ms=from_ms + round(seconds * SECOND_MS))


# name -> the fault, and how many seconds verified flat may take from the start
FAULTS: dict[str, tuple[FaultPlan, float]] = {
    "taken, then silence": (FaultPlan.of(AcceptThenTimeout(), times=3), 8),
    "taken, then 503": (FaultPlan.of(AcceptThen503(), times=3), 2),
    "taken, then unknown": (FaultPlan.of(AcceptThenUnknown(-1007), times=3), 2),
    "taken, in silence, hidden": (
        FaultPlan((*FaultPlan.of(DelayedVisibility(8.0)).rules, *FaultPlan.of(AcceptThenTimeout(), times=3).rules)),
        20,
    ),
    "never arrived": (FaultPlan.of(LostRequest(), times=3), 20),
    "book too thin": (FaultPlan.of(RejectNTimes(), times=6), 8),
    "reduce-only refused": (FaultPlan.of(RejectNTimes(-2022, "ReduceOnly Order is rejected."), times=6), 8),
    "quantity refused": (FaultPlan.of(RejectNTimes(-4005, "Quantity greater than max quantity."), times=3), 5),
    "limited": (lasting(RateLimited(429, 10), 10), 25),
    "banned": (lasting(RateLimited(418, 20), 20), 30),
    "filled in parts": (FaultPlan.of(PartialFills(5, 0.3)), 5),
    "book runs dry": (lasting(PartialFills(3, 0.2, market_ratio=0.4), 6), 12),
    "connections reset": (lasting(Outage("reset"), 15), 30),
    "no answer": (lasting(Outage("silent"), 15), 30),
    "a proxy's 503": (lasting(Outage("503"), 15), 30),
    "clock ahead": (lasting(ClockSkew(7.0), 60), 5),
    "slow": (FaultPlan.of(Slow(1.0, 1.0)), 30),
    "cancels in silence": (FaultPlan.of(AcceptThenTimeout(), match=CANCELS, times=4), 30),
    "cancels lost": (FaultPlan.of(LostRequest(), match=CANCELS, times=12), 30),
    "cancels refused": (FaultPlan.of(RejectNTimes(-1000, "An unknown error occurred."), match=CANCELS, times=12), 10),
    "positions not told": (FaultPlan.of(AcceptThen503(), match=POSITIONS, times=5), 10),
    "positions in silence": (FaultPlan.of(AcceptThenTimeout(), match=POSITIONS, times=2), 15),
    "lists not told": (FaultPlan.of(AcceptThen503(), match=LISTS, times=5), 10),
}


@pytest.mark.parametrize("name", FAULTS)
def test_it_ends_flat_under(name: str, tmp_path: Path) -> None:
    faults, seconds = FAULTS[name]
    report = flattened(tmp_path, faults)
    assert report.flat
    assert SEALED in report.steps
    assert not report.left
    assert report.steps[LATCHED] == report.started_ms
    assert report.steps[VERIFIED] - report.started_ms <= seconds * SECOND_MS


def test_a_book_that_fills_nothing_is_asked_as_long_as_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, seconds = 8, 30  # an order a second: more than there are names of one instant (36² of them)
    monkeypatch.setattr(closing_orders, "MOST", names)
    report = flattened(tmp_path, lasting(PartialFills(market_ratio=0.0), seconds))
    assert report.flat
    assert not report.problems
    assert len([close for close in report.closes if close.symbol == BTC]) > 3 * names
    assert report.steps[VERIFIED] - report.started_ms <= (seconds + 5) * SECOND_MS


def test_a_book_that_fills_nothing_for_long_is_asked_more_slowly(tmp_path: Path) -> None:
    seconds = 600
    report = flattened(tmp_path, lasting(PartialFills(market_ratio=0.0), seconds))
    assert report.flat
    tries = [close.at_ms for close in report.closes if close.symbol == BTC]
    assert QUICK_TRIES + seconds // 15 < len(tries) < QUICK_TRIES + seconds // 9
    assert report.steps[VERIFIED] - report.started_ms <= seconds * SECOND_MS + 2 * SLOW_MS


def test_a_clock_that_goes_back_by_hours_does_not_keep_it_from_looking(tmp_path: Path) -> None:
    class SetBack:
        """A machine's clock that somebody sets back by two hours."""

        def __init__(self, clock: Clock) -> None:
            self.clock, self.began_ms = clock, clock.now_ms()

        def now_ms(self) -> int:
            now_ms = self.clock.now_ms()
            return now_ms if now_ms < self.began_ms + SECOND_MS else now_ms - 2 * HOUR_MS

    async def act(deal: Dealing) -> None:
        terms = Terms(symbols=SYMBOLS, reason="test")
        record = SideRecord(deal.ledger.path)
        flattening = flatten(deal.scene.venue, deal.permit, SetBack(deal.scene.clock), record, terms)
        closing_all = asyncio.ensure_future(flattening)
        await asyncio.sleep(60)
        assert nothing_stands(deal)
        trade(deal.scene.exchange, BTC, 1, "0.100")  # an order that arrived late: two hours would be too long to see it
        await asyncio.sleep(30)
        assert nothing_stands(deal)
        closing_all.cancel()

    dealing(tmp_path, act, prepare=everything_stands)


def test_a_closing_order_that_is_filling_is_waited_for(tmp_path: Path) -> None:
    report = flattened(tmp_path, FaultPlan.of(PartialFills(5, 0.3)))
    assert len(report.closes) == 3


def test_a_closing_order_that_fills_too_slowly_is_cancelled_and_the_rest_closed_by_another(tmp_path: Path) -> None:
    slow_s = 60.0
    report = flattened(tmp_path, lasting(PartialFills(5, slow_s), 600))
    assert report.flat
    assert report.steps[VERIFIED] - report.started_ms < 4 * slow_s * SECOND_MS
    assert len(report.closes) > 3


@pytest.mark.parametrize("late", ["position", "order", "stop"])
def test_verified_is_never_said_while_anything_stands(late: str, tmp_path: Path) -> None:
    async def act(deal: Dealing) -> list[bool]:
        came, gone_when_said = asyncio.Event(), []

        def step(name: str, _at_ms: int) -> None:
            if name == FLAT and not came.is_set():  # it was on its way while everything was cancelled and closed
                came.set()
                exchange = deal.scene.exchange
                if late == "stop":
                    stop_by_hand(exchange, BTC, "SELL", "0.300", "19000.0")
                else:
                    trade(exchange, BTC, 1, "0.050", "19500.0" if late == "order" else None)
            if name == VERIFIED:
                gone_when_said.append(nothing_stands(deal))

        report = await deal.flatten(on_step=step)
        assert report.flat
        assert came.is_set()
        return gone_when_said

    prepare = partial(trade, symbol=BTC, side=1, qty="0.300")
    assert dealing(tmp_path, act, prepare=prepare) == [True]


def test_verified_waits_for_the_lists_of_orders_and_stops(tmp_path: Path) -> None:
    seconds = 6
    for path in ("openOrders", "openAlgoOrders"):
        lists = FaultPlan.of(
            AcceptThen503(), match=Match(method="GET", path=f"/fapi/v1/{path}"),
            from_ms=BREACH_MS, until_ms=BREACH_MS + seconds * SECOND_MS, times=None,
        )  # fmt: skip
        report = flattened(tmp_path / path, lists)
        assert report.steps[FLAT] - report.started_ms <= 2 * SECOND_MS
        assert report.steps[VERIFIED] - report.started_ms >= seconds * SECOND_MS


def test_a_permit_that_cannot_be_deleted_at_first_is_latched_as_soon_as_it_can(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> FlattenReport:
        path = deal.permit.path
        path.unlink()
        path.mkdir()  # which nobody can delete as a file, root neither
        closing_all = asyncio.ensure_future(deal.flatten())
        await asyncio.sleep(0.3)
        path.rmdir()
        return await closing_all

    until_ms = START_MS + 2 * SECOND_MS  # so long it is busy
    silent = FaultPlan.of(AcceptThen503(), match=LISTS, from_ms=START_MS, until_ms=until_ms, times=None)
    report = dealing(tmp_path, act, silent, prepare=everything_stands)
    assert report.steps[LATCHED] > report.started_ms
    assert any("permit cannot be deleted" in problem for problem in report.problems)


def test_a_closing_order_that_never_arrived_is_followed_only_when_it_cannot_arrive_any_more(tmp_path: Path) -> None:
    report = flattened(tmp_path, FaultPlan.of(LostRequest(), times=3))
    for symbol in SYMBOLS:
        lost, sent = (close for close in report.closes if close.symbol == symbol)
        assert sent.at_ms - lost.at_ms > ARRIVAL_MS


def test_an_order_that_was_on_its_way_at_the_latch_is_closed_before_it_is_sealed(tmp_path: Path) -> None:
    late = FaultPlan.of(Slow(4.0, 0.0, spread_ratio=0.0), match=Match(method="POST", path="/fapi/v1/order"), times=1)

    async def act(deal: Dealing) -> FlattenReport:
        buying = asyncio.ensure_future(deal.execute(parent(qty="0.2")))
        await asyncio.sleep(0.1)
        report = await deal.flatten()
        assert nothing_stands(deal)
        (result,) = await buying
        assert result.status is ParentStatus.FILLED  # it came through, and was closed
        assert nothing_stands(deal)
        await deal.fills.take(SYMBOLS)
        check_books(deal)
        return report

    report = dealing(tmp_path, act, late)
    assert [close.qty for close in report.closes] == [Decimal("0.200")]
    assert report.steps[SEALED] - report.steps[LATCHED] >= ARRIVAL_MS


def test_a_stop_that_a_desk_placed_meanwhile_and_that_is_not_shown_yet_is_gone_when_it_is_sealed(
    tmp_path: Path,
) -> None:
    hidden = FaultPlan.of(DelayedVisibility(12.0))

    async def act(deal: Dealing) -> FlattenReport:
        def protect(step: str, _at_ms: int) -> None:
            if step == CANCELLED:  # by a desk that has read the position just before it is closed
                stop_by_hand(deal.scene.exchange, BTC, "SELL", "0.300", "19000.0")

        report = await deal.flatten(on_step=protect)
        assert nothing_stands(deal)
        return report

    report = dealing(tmp_path, act, hidden, prepare=lambda exchange: trade(exchange, BTC, 1, "0.300"))
    assert SEALED in report.steps
    assert report.steps[SEALED] - report.steps[FLAT] <= ARRIVAL_MS + 2 * SECOND_MS


def test_a_venue_that_refuses_to_cancel_for_good_does_not_keep_it_from_its_end(tmp_path: Path) -> None:
    never = FaultPlan.of(RejectNTimes(-1121, "Invalid symbol."), match=CANCELS, times=None)
    report = dealing(
        tmp_path, lambda deal: deal.flatten(), never, prepare=lambda exchange: trade(exchange, BTC, 1, "0.3")
    )
    assert SEALED in report.steps
    assert report.problems
    assert report.steps[SEALED] - report.steps[FLAT] <= 3 * ARRIVAL_MS


def test_nothing_that_adds_risk_is_sent_once_it_has_begun_and_a_restart_changes_nothing(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.1"))
        await deal.flatten()
        for _restart in range(2):
            again = Dealing(deal.scene, deal.ledger, Permit.beside(deal.ledger.path), deal.filters)
            (result,) = await again.execute(parent(ETH, qty="1"))
            assert result.status is ParentStatus.HALTED
        assert nothing_stands(deal)

    dealing(tmp_path, act)


def spoil(path: Path, how: str) -> None:
    if how == "corrupt":
        for part in (path, path.with_name(f"{path.name}-wal")):
            part.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    elif how == "gone":
        path.unlink()
        path.with_name(f"{path.name}-wal").unlink(missing_ok=True)


@pytest.mark.parametrize("how", ["corrupt", "gone", "locked", "full"])
def test_a_ledger_that_takes_nothing_neither_stops_nor_delays_it(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(deal: Dealing) -> FlattenReport:
        monkeypatch.setattr(siderecord, "BUSY_MS", 50)
        spoil(deal.ledger.path, how)
        if how == "full":
            monkeypatch.setattr(Ledger, "append", full_disk)
        locked = deal.ledger.transaction() if how == "locked" else nullcontext()
        with locked:
            begun = deal.scene.clock.now_ms()
            report = await deal.flatten()
            assert report.steps[VERIFIED] - begun <= SECOND_MS
        assert nothing_stands(deal)
        return report

    report = dealing(tmp_path, act, prepare=everything_stands)
    assert SEALED in report.steps
    assert "ledger" in report.unrecorded


def full_disk(ledger: Ledger, _rows: object) -> int:
    raise LedgerError(Problem("disk-full", str(ledger.path), "no space is left to write"))


def test_the_ledger_holds_what_it_did_and_the_fills_find_their_parents(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        report = await deal.flatten()
        assert report.unrecorded == ""
        await deal.fills.take(SYMBOLS)
        kinds = [event.kind for event in deal.ledger.events() if event.kind.startswith("flatten")]
        assert kinds == ["flatten_begun", "flatten_ended"]
        assert json.loads(deal.ledger.events("flatten_ended")[0].document)["flat"] is True
        for close in report.closes:
            intent = deal.ledger.intent(close.client_id)
            assert intent is not None
            assert [fill.reason for fill in deal.ledger.fills_of(intent.parent_id)] == ["flatten"]
            assert deal.journal.filled(close.client_id) == close.qty
        assert not deal.ledger.open_intents("risk")

    dealing(tmp_path, act, prepare=everything_stands)


@pytest.mark.parametrize("faults", [FaultPlan(), FaultPlan.of(DelayedVisibility(5.0))], ids=["told", "hidden at first"])
def test_what_it_closed_is_no_strangers_trade_though_nothing_of_it_was_recorded(
    faults: FaultPlan, tmp_path: Path
) -> None:
    async def act(deal: Dealing) -> None:
        await deal.execute(parent(qty="0.2"))
        await asyncio.sleep(10)
        terms = Terms(symbols=SYMBOLS, reason="killed before it could record anything")
        report = await flatten(deal.scene.venue, deal.permit, deal.scene.clock, NoRecord(), terms)
        assert report.flat
        while not (booked := [fill for fill in deal.ledger.fills("risk") if fill.reason == "flatten"]):
            with suppress(VenueUnavailable):  # hidden: better not booked yet than as a stranger's
                await deal.fills.take(SYMBOLS)
            await asyncio.sleep(1)
        assert [fill.parent_id for fill in booked] == [report.closes[0].client_id.rpartition("-")[0]]
        check_books(deal)
        assert not deal.ledger.events("difference")

    dealing(tmp_path, act, faults)


def test_positions_and_orders_that_the_configuration_does_not_name_go_as_well(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        assert (await deal.flatten(symbols=[BTC])).flat
        assert nothing_stands(deal)

    dealing(tmp_path, act, prepare=everything_stands)


def test_a_position_that_turns_while_it_is_closed_is_closed_from_the_other_side(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> FlattenReport:
        turns = iter(["0.900", "0.400"])

        def meddle(step: str, _at_ms: int) -> None:
            if step == FLAT and (qty := next(turns, None)):
                trade(deal.scene.exchange, BTC, -1, qty)

        report = await deal.flatten(on_step=meddle)
        assert nothing_stands(deal)
        return report

    report = dealing(tmp_path, act, prepare=everything_stands)
    assert [(close.side, close.qty) for close in report.closes if close.symbol == BTC] == [
        (-1, Decimal("0.300")),
        (1, Decimal("0.900")),
        (1, Decimal("0.400")),
    ]
    assert SEALED in report.steps


def test_what_is_more_than_one_order_may_be_is_closed_in_parts(tmp_path: Path) -> None:
    def prepare(exchange: Exchange) -> None:
        everything_stands(exchange)
        symbol = exchange.spec.symbol(BTC)
        assert symbol is not None
        exchange.change_symbol(replace(symbol, market_max_qty=Decimal("0.130")))

    report = flattened(tmp_path, prepare=prepare)
    sent = [close.qty for close in report.closes if close.symbol == BTC]
    assert sent == [Decimal(text) for text in ("0.300", "0.130", "0.130", "0.040")]
    assert report.steps[VERIFIED] - report.started_ms <= SECOND_MS


A_MOMENT = FaultPlan.of(Slow(0.005, 0.005, spread_ratio=0.9), match=Match(path="/fapi/*"))


@pytest.mark.parametrize("after_ms", [2, 15, 28, 95])
def test_killed_at_any_request_and_run_again_it_ends_flat_with_nothing_closed_twice(
    after_ms: int, tmp_path: Path
) -> None:
    async def act(deal: Dealing) -> None:
        first = asyncio.ensure_future(deal.flatten())
        await asyncio.sleep(after_ms / SECOND_MS)
        assert not first.done()
        first.cancel()
        await asyncio.wait([first])
        assert (await deal.flatten()).flat
        assert nothing_stands(deal)
        check_closed_once(deal)

    dealing(tmp_path, act, A_MOMENT, prepare=everything_stands)


def test_two_at_once_end_flat_and_close_nothing_twice(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        first = asyncio.ensure_future(deal.flatten())
        await asyncio.sleep(0.003)
        reports = await asyncio.gather(first, deal.flatten())
        assert all(report.flat for report in reports)
        assert nothing_stands(deal)
        check_closed_once(deal)

    dealing(tmp_path, act, A_MOMENT, prepare=everything_stands)


def test_a_key_that_does_not_serve_is_told_and_the_halt_stays_latched(tmp_path: Path) -> None:
    key_refused = RejectNTimes(-2015, "Invalid API-key, IP, or permissions.")
    refusing = FaultPlan.of(key_refused, match=Match(path="/fapi/*"), times=None, from_ms=START_MS + 1)

    async def act(deal: Dealing) -> FlattenReport:
        await asyncio.sleep(1)
        return await deal.flatten()

    report = dealing(tmp_path, act, refusing)
    assert not report.flat
    assert "nothing can be closed from here: close by hand at the venue, now" in report.problems
    assert not Permit.beside(tmp_path / "ledger.db").present()


def test_without_an_answer_it_gives_up_only_when_told_to_and_never_says_flat(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> FlattenReport:
        await asyncio.sleep(1)
        return await deal.flatten(patience_ms=15 * SECOND_MS)

    report = dealing(tmp_path, act, lasting(Outage("503"), 3600, from_ms=START_MS + 1), prepare=everything_stands)
    assert not report.flat
    assert FLAT not in report.steps
    assert LATCHED in report.steps


def test_an_alert_that_fails_stops_nothing(tmp_path: Path) -> None:
    def fails(step: str, _at_ms: int) -> None:
        raise RuntimeError(step)

    async def act(deal: Dealing) -> FlattenReport:
        return await deal.flatten(on_step=fails)

    report = dealing(tmp_path, act, prepare=everything_stands)
    assert SEALED in report.steps
    assert "the alert of `latched` failed: RuntimeError('latched')" in report.problems


def test_whoever_waits_is_told_each_problem_once_and_a_listener_that_fails_stops_nothing(tmp_path: Path) -> None:
    told: list[str] = []

    def listen(problem: str) -> None:
        told.append(problem)
        raise RuntimeError(problem)

    async def act(deal: Dealing) -> FlattenReport:
        return await deal.flatten(on_problem=listen)

    report = dealing(tmp_path, act, lasting(Outage("503"), 30, from_ms=START_MS + 1), prepare=everything_stands)
    assert SEALED in report.steps
    assert told == list(report.problems) != []


def test_a_row_that_the_ledger_refuses_is_told_and_keeps_nothing_else_from_being_recorded(tmp_path: Path) -> None:
    def event(name: str, document: str = "{}") -> Event:
        return Event(name, START_MS, name, "BTCUSDT", document)

    async def recorded(path: Path) -> str:
        record = SideRecord(path)
        begun = [
            Parent(f"p{price}", "risk", 0, 0, "BTCUSDT", 1, 0.1, 0.0, price, "mark", "flatten") for price in (0, 2)
        ]
        record.write([event("flatten_begun"), *begun])
        record.write([event("flatten_begun", '"otherwise"')])
        record.write([event("flatten_ended")])
        return await record.finish()

    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        unrecorded = asyncio.run(recorded(ledger.path))
        assert [one.kind for one in ledger.events()] == ["flatten_begun", "flatten_ended"]
        assert ledger.counts()["parents"] == 1
    assert "`parents` p0 is refused" in unrecorded
    assert "`events` flatten_begun is recorded already with another document" in unrecorded
    assert "flatten_ended" not in unrecorded


def test_of_many_rows_that_the_ledger_refuses_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    async def recorded(path: Path) -> str:
        record = SideRecord(path)
        record.write([Event("same", START_MS, "same", "BTCUSDT", str(number)) for number in range(6)])
        return await record.finish()

    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        unrecorded = asyncio.run(recorded(ledger.path))
        assert len(ledger.events("same")) == 1
    assert unrecorded.count("is recorded already") == siderecord.MOST_NAMED == 3
    assert unrecorded.endswith("; 2 more rows were refused")
