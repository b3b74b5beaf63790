"""Hours of orders under faults drawn by a seed: afterwards the ledger is the simulator's books, to the digit."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.clock import HOUR_MS, MINUTE_MS
from engine.errors import VenueError
from engine.execution.course import ParentStatus
from engine.simulator.faults import KINDS, FaultPlan
from tests.execution.dealing import BTC, Dealing, at_hours, check_books, closing, dealing, nothing_stands, parent
from tests.execution.simulated import SYMBOLS
from tests.simulator.serving import PRICES, START_MS

if TYPE_CHECKING:
    from pathlib import Path

    from engine.execution.journal import ParentOrder

HOURS = 3
BY_REST = tuple(name for name in KINDS if name not in {"listen_key_expiry", "half_open_socket"})


def wishes(rng: np.random.Generator, deal: Dealing, bar_ms: int) -> list[ParentOrder]:
    """Draw what to do with each symbol from where it stands: nothing, more, less, close, turn."""
    orders = []
    for symbol in SYMBOLS:
        step = deal.filters[symbol].step_size
        held = deal.journal.held().get(symbol, Decimal(0))
        size = Decimal(int(rng.integers(10, 60))) * 20 / Decimal(PRICES[symbol]) // step * step
        patient = bool(rng.random() < 0.5)
        side = 1 if held > 0 else -1 if held < 0 else int(rng.choice([-1, 1]))
        match int(rng.integers(0, 5)):
            case 0:
                continue
            case 1 | 2:
                orders.append(parent(symbol, side, str(size), bar_ms=bar_ms, patient=patient))
            case 3 if held:
                orders.append(closing(symbol, -side, str(abs(held)), bar_ms=bar_ms, patient=patient))
            case 4 if held:
                qty = str(abs(held) + size)
                orders.append(parent(symbol, -side, qty, closing_qty=abs(held), bar_ms=bar_ms, patient=patient))
            case _:
                continue
    return orders


def storm(folder: Path, seed: int, faults: int = 2, hours: int = HOURS) -> FaultPlan:
    """Trade by the hour under drawn faults, then wait until they are over, and hold the books together."""
    rng = np.random.default_rng(seed)
    end_ms = START_MS + hours * HOUR_MS
    plan = FaultPlan.drawn(rng.choice(BY_REST, faults, replace=False).tolist(), seed, START_MS + MINUTE_MS, end_ms)

    async def act(deal: Dealing) -> None:
        for hour in range(1, hours + 1):
            await at_hours(deal, hour)
            bar_ms = START_MS + hour * HOUR_MS
            try:
                await deal.executor.recover(SYMBOLS)
                orders = wishes(rng, deal, bar_ms)
                results = await deal.execute(*orders)
                for order, result in zip(orders, results, strict=True):
                    assert result.filled_qty <= order.qty
                    assert (result.filled_qty == order.qty) == (result.status is ParentStatus.FILLED)
                await deal.keeper.keep(BTC, 15_000.0, deal.filters[BTC].tick_size)
            except VenueError:
                continue
        await at_hours(deal, hours + 1)
        await asyncio.sleep(120)
        recovery = await deal.executor.recover(SYMBOLS)
        assert not recovery.in_doubt
        check_books(deal)
        assert not deal.scene.book.open_orders()
        report = await deal.flatten()
        assert report.flat
        assert nothing_stands(deal)
        await deal.fills.take(SYMBOLS)
        check_books(deal)
        assert all(event.kind != "difference" for event in deal.ledger.events())

    dealing(folder, act, plan)
    return plan


@pytest.mark.parametrize("seed", range(2))
def test_each_order_once_and_each_fill_once_whatever_the_venue_does(seed: int, tmp_path: Path) -> None:
    storm(tmp_path, seed)
