"""What the ledger is told of orders, and what it answers: before anything leaves, once, and from any state."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS
from engine.errors import VenueError
from engine.execution.executor import Executor
from engine.execution.fills import FillBook
from engine.execution.ids import Purpose
from engine.execution.journal import ABSENT, UNKNOWN, UNSENT, Journal, exact, update_row
from engine.execution.venue import (
    NOT_SENT,
    Accepted,
    OrderKind,
    OrderRequest,
    OrderState,
    OrderStatus,
    Rejected,
    StopRequest,
    StopState,
    StopStatus,
    Unknown,
)
from engine.ledger import Fill, Ledger
from tests.execution.dealing import BTC, ETH, Dealing, at_hours, check_books, dealing, parent, trade
from tests.simulator.serving import START_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.execution.venue import Trade


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        ledger.set_meta(kind="rehearsal")
        yield Journal(ledger)


def sent(journal: Journal, *, algo: bool = False, at_ms: int = START_MS) -> str:
    """Record a parent and its first order; return the order's name."""
    row = journal.begin(Purpose.STOP if algo else Purpose.BAR, parent(), at_ms)
    name = journal.next_client_id(row)
    request: Any = OrderRequest(name, BTC, 1, Decimal("0.1"), OrderKind.MARKET)
    journal.intend(row, StopRequest(name, BTC, -1, Decimal(19_000), Decimal("0.1")) if algo else request, at_ms)
    return name


def state(status: OrderStatus, filled: str = "0", name: str = "x") -> OrderState:
    return OrderState(
        client_id=name,
        venue_id="77",
        symbol=BTC,
        side=1,
        status=status,
        qty=Decimal("0.1"),
        filled_qty=Decimal(filled),
        avg_price=None,
        reduce_only=False,
        updated_ms=START_MS,
        kind="MARKET",
    )


def stop(status: StopStatus, order_id: str | None = None) -> StopState:
    return StopState(
        client_id="x",
        venue_id="5",
        symbol=BTC,
        side=-1,
        status=status,
        trigger_price=Decimal(19_000),
        qty=Decimal("0.1"),
        close_position=False,
        order_id=order_id,
        updated_ms=START_MS,
    )


@given(st.lists(st.decimals("0.001", "99999.999", places=3), min_size=1, max_size=30))
@settings(max_examples=60)
def test_a_sum_of_stored_quantities_is_exact(quantities: list[Decimal]) -> None:
    assert exact(sum(float(qty) for qty in quantities)) == sum(quantities)


def test_parents_of_one_bar_are_numbered_and_their_orders_too(journal: Journal) -> None:
    assert [sent(journal), sent(journal)] == ["sgb-BTCUSDT-la9nf340-0-0", "sgb-BTCUSDT-la9nf340-1-0"]
    row = journal.ledger.parent("sgb-BTCUSDT-la9nf340-1")
    assert row is not None
    assert journal.next_client_id(row) == "sgb-BTCUSDT-la9nf340-1-1"


END = [
    (state(OrderStatus.FILLED, "0.1"), "FILLED"),
    (state(OrderStatus.CANCELED, "0.04"), "CANCELED"),
    (state(OrderStatus.EXPIRED), "EXPIRED"),
    (Rejected(-2019, "Margin is insufficient."), "REJECTED"),
    (Rejected(NOT_SENT, "halted"), UNSENT),
    (stop(StopStatus.CANCELED), "CANCELED"),
    (stop(StopStatus.FINISHED, "88"), "FINISHED"),
]
NO_END = [
    (state(OrderStatus.NEW), "NEW"),
    (Accepted(state(OrderStatus.PARTIALLY_FILLED, "0.04")), "PARTIALLY_FILLED"),
    (Unknown("no answer in time"), UNKNOWN),
    (stop(StopStatus.NEW), "NEW"),
    (stop(StopStatus.TRIGGERED, "88"), "TRIGGERED"),
]


@pytest.mark.parametrize(
    ("found", "status"), [*END, *NO_END], ids=[f"{number}-{name}" for number, (_, name) in enumerate((*END, *NO_END))]
)
def test_what_ends_an_order_closes_its_intent_and_nothing_else_does(journal: Journal, found: Any, status: str) -> None:
    name = sent(journal, algo=isinstance(found, StopState))
    assert [intent.client_id for intent in journal.ledger.open_intents("risk")] == [name]
    journal.note(name, found, START_MS)
    assert journal.ledger.updates_of(name)[-1].status == status
    ended = (found, status) in END
    assert journal.ended(name) is ended
    assert bool(journal.ledger.open_intents("risk")) is not ended


def test_the_order_of_the_news_does_not_matter(journal: Journal) -> None:
    name = sent(journal)
    late: list[Any] = [state(OrderStatus.FILLED, "0.1"), Unknown("?"), state(OrderStatus.NEW), state(OrderStatus.NEW)]
    for found in late:
        journal.note(name, found, START_MS)
    assert journal.filled(name) == Decimal("0.1")
    assert journal.ended(name)
    assert len(journal.ledger.updates_of(name)) == 3
    intent = journal.ledger.intent_of_order(BTC, "77")
    assert intent is not None
    assert intent.client_id == name
    assert journal.ledger.intent_of_order(ETH, "77") is None


def test_an_absent_order_is_closed_and_a_triggered_stop_is_found_by_the_order_it_became(journal: Journal) -> None:
    name, guard = sent(journal), sent(journal, algo=True)
    journal.note_absent(name, START_MS)
    assert journal.ledger.updates_of(name)[-1].status == ABSENT
    journal.note(guard, stop(StopStatus.TRIGGERED, "99"), START_MS)
    found = journal.ledger.intent_of_order(BTC, "99")
    assert found is not None
    assert found.client_id == guard
    assert [each.client_id for each in journal.ledger.unnumbered_intents("risk", BTC)] == []


def test_a_stop_that_expired_is_not_asked_for_its_number(journal: Journal) -> None:
    name = sent(journal, algo=True)
    assert [each.client_id for each in journal.ledger.unnumbered_intents("risk", BTC)] == [name]
    journal.note(name, replace(stop(StopStatus.EXPIRED), venue_id=""), START_MS)
    assert journal.ledger.unnumbered_intents("risk", BTC) == ()


def test_one_accounts_orders_are_not_anothers(journal: Journal) -> None:
    sent(journal)
    assert Journal(journal.ledger, "shadow").ledger.open_intents("shadow") == ()


def fill(number: int, symbol: str, side: int, qty: str, parent_id: str, reason: str = "entry") -> Fill:
    at_ms = START_MS + number
    return Fill(f"{symbol}-{number}", "risk", at_ms, symbol, side, float(qty), 1.0, 1.0, "mark", 0.0, parent_id, reason)


def test_the_last_target_is_that_of_the_last_parent_that_was_filled_at_all(journal: Journal) -> None:
    first = journal.begin(Purpose.BAR, parent(target_usd=2000.0), START_MS)
    journal.begin(Purpose.BAR, parent(target_usd=3000.0), START_MS + HOUR_MS)
    other = journal.begin(Purpose.BAR, parent(ETH, target_usd=-500.0), START_MS)
    assert journal.ledger.last_targets("risk") == {}
    journal.ledger.append([fill(1, BTC, 1, "0.01", first.parent_id), fill(2, ETH, -1, "0.3", other.parent_id)])
    assert journal.ledger.last_targets("risk") == {BTC: 2000.0, ETH: -500.0}


def test_books_that_were_whole_are_asked_only_of_the_orders_heard_of_since(journal: Journal) -> None:
    ledger, account = journal.ledger, journal.account
    first, second = sent(journal), sent(journal, at_ms=START_MS + HOUR_MS)
    journal.note(first, state(OrderStatus.FILLED, "0.1", first), START_MS)
    assert ledger.first_short_ms(account, BTC, 0) == START_MS
    heard_of = ledger.end_of_orders()[0]
    assert ledger.first_short_ms(account, BTC, 0, whole_to=heard_of) is None
    journal.note(second, state(OrderStatus.NEW, "0", second), START_MS + HOUR_MS)
    assert ledger.first_short_ms(account, BTC, 0, whole_to=heard_of) is None
    journal.note(second, state(OrderStatus.FILLED, "0.1", second), START_MS + HOUR_MS)
    assert ledger.first_short_ms(account, BTC, 0, whole_to=heard_of) == START_MS + HOUR_MS
    assert ledger.first_short_ms(account, ETH, 0) is None


@pytest.mark.parametrize(("places", "most"), [(2, 3_000), (3, 60), (8, 2), (0, 10_000_000)])
def test_what_was_closed_whole_is_no_position_however_many_fills_there_were(
    journal: Journal, places: int, most: int
) -> None:
    rng = np.random.default_rng(5)
    for turn in range(300):  # a sum of floats is off after 38 of the first kind
        parts = [Decimal(str(round(float(rng.uniform(most / 50, most)), places))) for _ in range(3)]
        opened = [fill(10 * turn + number, BTC, 1, str(qty), "p") for number, qty in enumerate(parts)]
        journal.ledger.append([*opened, fill(10 * turn + 9, BTC, -1, str(sum(parts)), "p")])
        assert journal.held() == {}
    journal.ledger.append(fill(5_000, BTC, -1, str(parts[0]), "p"))
    assert journal.held() == {BTC: -parts[0].normalize()}


def test_strangers_are_remembered_until_the_symbol_is_flat(journal: Journal) -> None:
    journal.ledger.append([fill(1, BTC, 1, "0.3", "p"), fill(2, BTC, -1, "0.1", "v", "foreign")])
    assert journal.strangers() == {BTC}
    assert journal.held() == {BTC: Decimal("0.2")}
    journal.ledger.append([fill(3, BTC, -1, "0.2", "p"), fill(4, BTC, 1, "0.1", "p")])
    assert journal.strangers() == frozenset()


def test_every_word_of_a_refusal_is_kept(journal: Journal) -> None:
    name = sent(journal)
    journal.note(name, Rejected(-2019, "Margin is insufficient."), START_MS)
    assert journal.ledger.updates_of(name)[0].detail == "-2019 Margin is insufficient."
    assert update_row(name, Unknown("no answer in time"), 0).detail == "no answer in time"


# fills, from the venue's history


class Retold:
    """The venue, but for its history, which `retell` changes."""

    def __init__(
        self, venue: Any, retell: Callable[[tuple[Trade, ...]], tuple[Trade, ...]], **instead: Callable[..., Any]
    ) -> None:
        self._venue = venue
        self._retell = retell
        vars(self).update(instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    async def trades(self, symbol: str, **span: int) -> tuple[Trade, ...]:
        return self._retell(await self._venue.trades(symbol, **span))


def retold(
    deal: Dealing, retell: Callable[[tuple[Trade, ...]], tuple[Trade, ...]], **instead: Callable[..., Any]
) -> None:
    venue: Any = Retold(deal.scene.venue, retell, **instead)
    deal.fills = FillBook(venue, deal.journal, deal.scene.clock, since_ms=START_MS)


def paying_in(deal: Dealing, asset: str, **instead: Any) -> None:
    """Take fees in an asset that the desk does not trade, as the venue does in BNB; the simulator takes USDT."""
    deal.scene.venue = replace(deal.scene.venue, symbols=(BTC,))
    retold(deal, lambda trades: tuple(replace(one, fee=Decimal("0.001"), fee_asset=asset) for one in trades), **instead)


@pytest.mark.parametrize("later_hours", [0, 0.5, 3])
def test_A39_a_fee_in_another_asset_is_booked_at_what_it_was_worth(tmp_path: Path, later_hours: float) -> None:
    async def act(deal: Dealing) -> None:
        paying_in(deal, "SOL")
        await at_hours(deal, 0.25)
        deal.scene.server.step()
        trade(deal.scene.exchange, BTC, 1, "0.1")
        await at_hours(deal, 0.25 + later_hours)
        (booked,) = await deal.fills.take([BTC])
        assert booked.fee_usd == pytest.approx(0.05)  # the hour opened at 50
        assert [event.subject for event in deal.ledger.events("fee_in_other_asset")] == [booked.fill_id]

    dealing(tmp_path, act)


def test_A39_where_the_hour_has_no_trade_yet_the_book_tells_what_a_fee_was_worth(tmp_path: Path) -> None:
    async def untraded(_symbol: str, _open_ms: int) -> None:
        return None

    async def act(deal: Dealing) -> None:
        paying_in(deal, "SOL", running_open=untraded)
        trade(deal.scene.exchange, BTC, 1, "0.1")
        (booked,) = await deal.fills.take([BTC])
        assert booked.fee_usd == pytest.approx(0.05, rel=0.001)

    dealing(tmp_path, act)


def test_A39_a_fee_that_nobody_can_price_leaves_its_fill_unbooked_and_says_so(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        paying_in(deal, "XYZ")
        trade(deal.scene.exchange, BTC, 1, "0.1")
        with pytest.raises(VenueError, match="XYZUSDT"):
            await deal.fills.take([BTC])
        assert not deal.ledger.fills("risk")

    dealing(tmp_path, act)


def test_a_history_that_comes_late_is_read_until_every_order_is_booked(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        honest = deal.fills
        assert await honest.take([BTC]) == ()  # the books are whole, so far
        retold(deal, lambda _trades: ())
        deal.executor = Executor(deal.sender, deal.fills, limit_timeout_ms=10_000)
        (result,) = await deal.execute(parent(qty="0.1"))
        assert (result.filled_qty, result.avg_price) == (Decimal("0.1"), None)
        await asyncio.sleep(600)
        deal.scene.server.step()
        trade(deal.scene.exchange, BTC, 1, "0.2")
        retold(deal, lambda trades: trades[1:])
        assert [one.reason for one in await deal.fills.take([BTC])] == ["foreign"]  # ten minutes after the missing one
        assert [one.parent_id for one in await honest.take([BTC])] == [result.parent_id]
        check_books(deal)

    dealing(tmp_path, act)


def test_a_flat_desk_reads_a_day_of_its_idle_time_again_and_not_all_of_it(tmp_path: Path) -> None:
    asked: list[int] = []

    class Noted(Retold):
        async def trades(self, symbol: str, **span: int) -> tuple[Trade, ...]:
            asked.append(span["from_ms"])
            return await super().trades(symbol, **span)

    async def act(deal: Dealing) -> None:
        venue: Any = Noted(deal.scene.venue, lambda trades: trades)
        launched_ms = START_MS - 60 * DAY_MS
        book = FillBook(venue, deal.journal, deal.scene.clock, since_ms=launched_ms)
        for _ in range(2):
            assert await book.take([BTC]) == ()
        assert asked[0] == launched_ms
        assert asked[1] >= START_MS - DAY_MS

    dealing(tmp_path, act)


def test_a_trade_that_becomes_visible_after_a_later_one_is_booked(tmp_path: Path) -> None:
    async def act(deal: Dealing) -> None:
        honest = deal.fills
        for number in range(2):
            await asyncio.sleep(30 * number)
            deal.scene.server.step()
            trade(deal.scene.exchange, BTC, 1, "0.1")
        retold(deal, lambda trades: trades[1:])
        assert len(await deal.fills.take([BTC])) == 1
        assert len(await honest.take([BTC])) == 1
        check_books(deal)

    dealing(tmp_path, act)
