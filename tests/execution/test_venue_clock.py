"""The venue's time, once measured, is nobody's to set: a bar is not closed because our machine says so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from engine.execution.binance.client import Addresses, Keys
from engine.execution.binance.connection import connected
from engine.simulator.server import SimulatorServer
from engine.timeline import run_virtual
from tests.execution.simulated import SYMBOLS
from tests.simulator.serving import KEY, SECRET, START_MS, new_exchange

if TYPE_CHECKING:
    from engine.clock import Clock


@dataclass
class SetClock:
    """A machine's clock that somebody sets."""

    true: Clock
    ahead_ms: int = 0

    def now_ms(self) -> int:
        return self.true.now_ms() + self.ahead_ms


@pytest.mark.parametrize("set_by_ms", [36 * SECOND_MS, -HOUR_MS, 3 * HOUR_MS])
def test_a_machine_whose_clock_is_set_neither_ends_a_bar_early_nor_late(set_by_ms: int) -> None:
    async def main(clock: Clock) -> tuple[int, int, int]:
        exchange, machine = new_exchange(), SetClock(clock)
        async with SimulatorServer(exchange, clock, repeat_s=None) as server:
            addresses = Addresses(server.rest_url, server.stream_url)
            keys = Keys(KEY, SECRET)
            async with connected(keys, SYMBOLS, machine, lambda: True, addresses=addresses) as venue:
                await asyncio.sleep((HOUR_MS - MINUTE_MS // 2) / SECOND_MS)
                machine.ahead_ms = set_by_ms
                early = await venue.closed_bars(SYMBOLS[0], START_MS)
                off_ms = venue.asker.clock.now_ms() - clock.now_ms()
                await asyncio.sleep(MINUTE_MS / SECOND_MS)
                return len(early), off_ms, len(await venue.closed_bars(SYMBOLS[0], START_MS))

    assert START_MS % HOUR_MS == 0
    assert run_virtual(main, START_MS) == (0, 0, 1)
