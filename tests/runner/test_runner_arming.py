"""A canary never stays: the venue may be away in the very moment in which it is to be cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.clock import MINUTE_MS
from engine.execution.ids import Purpose, purpose_of
from engine.runner.runner import Cadence
from engine.simulator.faults import FaultPlan, Match
from engine.simulator.faults.requests import LostRequest
from engine.timeline import sleep_until
from tests.runner.running import Scene, at_venue, hours, new_exchange

if TYPE_CHECKING:
    from pathlib import Path

BEGIN_MS = hours(1) - 2 * MINUTE_MS
BACK_MS = BEGIN_MS + MINUTE_MS


def canaries(scene: Scene) -> int:
    return sum(purpose_of(one.client_id) is Purpose.CANARY for one in scene.book.open_algos())


def test_a_spared_canary_that_could_not_be_cancelled_goes_with_the_next_bar(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            runner = scene.runner(post, Cadence(look_s=60.0, rounds_s=60.0))

            async def look_between() -> int:
                await sleep_until(scene.clock, BACK_MS)
                return canaries(scene)

            _, standing = await asyncio.gather(scene.running(runner, hours(1) + MINUTE_MS), look_between())
            assert [event.subject for event in post.ledger.events("canary")] == ["spared"]
            assert (standing, canaries(scene)) == (1, 0)

    cancels = Match(method="DELETE", path="/fapi/v1/algoOrder")
    lost = FaultPlan.of(LostRequest(), match=cancels, until_ms=BACK_MS)
    at_venue(tmp_path, act, lost, exchange=new_exchange(BEGIN_MS), start_ms=BEGIN_MS)
