"""A ledger, a permit and an executor before the adapter at the simulator; and what its own books say afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from engine.clock import HOUR_MS, SECOND_MS
from engine.execution.executor import Executor
from engine.execution.fills import FillBook
from engine.execution.flatten import flatten
from engine.execution.flattened import Terms
from engine.execution.journal import Journal, ParentOrder, exact
from engine.execution.permit import Permit
from engine.execution.sending import Sender
from engine.execution.siderecord import SideRecord
from engine.execution.stops import StopKeeper
from engine.ledger import Ledger
from engine.simulator.faults import NONE
from tests.execution.simulated import SYMBOLS, Scene, at_simulator
from tests.simulator.serving import ACCOUNT, PRICES, START_MS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from engine.execution.flattened import FlattenReport
    from engine.execution.venue import VenueFilters
    from engine.simulator.exchange import Exchange
    from engine.simulator.faults import FaultPlan

T = TypeVar("T")

BTC, ETH, SOL = SYMBOLS


@dataclass
class Dealing:
    """What a test plays with."""

    scene: Scene
    ledger: Ledger
    permit: Permit
    filters: dict[str, VenueFilters]

    def __post_init__(self) -> None:
        clock, venue = self.scene.clock, self.scene.venue
        self.journal = Journal(self.ledger)
        self.sender = Sender(venue, self.journal, self.permit, clock)
        self.fills = FillBook(venue, self.journal, clock, since_ms=START_MS)
        self.filled: list[str] = []
        self.executor = Executor(self.sender, self.fills, limit_timeout_ms=10 * SECOND_MS, on_fill=self._heard)
        self.keeper = StopKeeper(self.sender)

    async def _heard(self, symbol: str) -> None:
        self.filled.append(symbol)

    async def execute(self, *orders: ParentOrder) -> list[Any]:
        return list(await self.executor.execute(orders, self.filters))

    async def flatten(self, **terms: Any) -> FlattenReport:
        given: dict[str, Any] = {"symbols": SYMBOLS, "reason": "test", **terms}
        record = SideRecord(self.ledger.path)
        return await flatten(self.scene.venue, self.permit, self.scene.clock, record, Terms(**given))

    @property
    def held(self) -> dict[str, Decimal]:
        """What the simulator's books hold."""
        return {one.symbol: one.qty for one in self.scene.book.held()}


def parent(symbol: str = BTC, side: int = 1, qty: str = "0.1", **more: Any) -> ParentOrder:
    given: dict[str, Any] = {
        "target_usd": side * float(qty) * PRICES[symbol],
        "ref_price": PRICES[symbol],
        "ref_kind": "bar_open",
        "reason": "entry",
        "bar_ms": START_MS,
        **more,
    }
    return ParentOrder(symbol=symbol, side=side, qty=Decimal(qty), **given)


def closing(symbol: str = BTC, side: int = -1, qty: str = "0.1", **more: Any) -> ParentOrder:
    return parent(symbol, side, qty, closing_qty=Decimal(qty), **{"reason": "exit", "target_usd": 0.0, **more})


def dealing(
    folder: Path,
    act: Callable[[Dealing], Awaitable[T]],
    faults: FaultPlan = NONE,
    *,
    may_add: bool = True,
    prepare: Callable[[Exchange], None] = lambda _exchange: None,
    **options: Any,
) -> T:
    """Run `act` with everything connected, on the virtual loop; the ledger in `folder` survives from run to run."""
    folder.mkdir(exist_ok=True)
    permit = Permit.beside(folder / "ledger.db")
    if may_add:
        permit.grant(by="test", reason="test", at_ms=START_MS)

    async def with_ledger(scene: Scene) -> T:
        with Ledger.open(folder / "ledger.db", create=True) as ledger:
            ledger.set_meta(kind="rehearsal")
            return await act(Dealing(scene, ledger, permit, await scene.venue.filters()))

    return at_simulator(with_ledger, faults, **{"permit": permit.present, "prepare": prepare, **options})


def trade(exchange: Exchange, symbol: str, side: int, qty: str, price: str | None = None) -> None:
    """Trade by hand, past the bot."""
    exchange.place_as_other(ACCOUNT, symbol, side, qty, price=price)


def stop_by_hand(exchange: Exchange, symbol: str, side: str, qty: str, trigger: str) -> None:
    params = {"algoType": "CONDITIONAL", "symbol": symbol, "side": side, "type": "STOP_MARKET", "quantity": qty}
    params |= {"triggerPrice": trigger, "workingType": "CONTRACT_PRICE", "reduceOnly": "true"}
    exchange.call("POST", "/fapi/v1/algoOrder", params, ACCOUNT)


def everything_stands(exchange: Exchange) -> None:
    """Three positions, an order on each symbol, and two stops."""
    trade(exchange, BTC, 1, "0.300")
    trade(exchange, ETH, -1, "2.000")
    trade(exchange, SOL, 1, "40")
    trade(exchange, BTC, 1, "0.050", "19500.0")
    trade(exchange, ETH, -1, "0.500", "1550.00")
    trade(exchange, SOL, -1, "10", "51.500")
    stop_by_hand(exchange, BTC, "SELL", "0.300", "19000.0")
    stop_by_hand(exchange, SOL, "SELL", "40", "47.000")


def nothing_stands(dealing: Dealing) -> bool:
    book = dealing.scene.book
    return not (book.held() or book.open_orders() or book.open_algos())


def check_books(dealing: Dealing) -> None:
    """Hold the ledger against the simulator's own books: each fill once, to the last digit, and each order once."""
    book, ledger = dealing.scene.book, dealing.ledger
    there = {f"{fill.symbol}-{fill.trade_id}": fill for fill in book.fills}
    here = {fill.fill_id: fill for fill in ledger.fills("risk")}
    assert here.keys() == there.keys()
    for name, fill in here.items():
        assert exact(fill.qty) == there[name].qty
        assert exact(fill.price) == there[name].price
        assert exact(fill.fee_usd) == there[name].fee_usd.normalize()
    assert max(Counter(order.client_id for order in book.orders.values()).values(), default=0) <= 1
    assert dealing.journal.held() == dealing.held


async def at_hours(dealing: Dealing, hours: float) -> None:
    """Wait until so many hours after the start."""
    await asyncio.sleep((START_MS + hours * HOUR_MS - dealing.scene.clock.now_ms()) / SECOND_MS)
