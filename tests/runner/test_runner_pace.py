"""Looks that events call for: the first at once, others in its wake more slowly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.runner.pace import LONGEST_S, QUIET_S, Pace
from engine.timeline import run_virtual

if TYPE_CHECKING:
    from engine.clock import Clock


def looks(called_s: list[float]) -> list[float]:
    """When each look is, whose call comes so long after the look before."""

    async def main(clock: Clock) -> list[float]:
        pace, found = Pace(clock), []
        for pause_s in called_s:
            await asyncio.sleep(pause_s)
            await pace.wait()
            found.append(clock.now_ms() / 1000)
        return found

    return run_virtual(main, 0)


def test_the_first_look_is_at_once_and_a_storm_of_calls_is_taken_ever_more_slowly() -> None:
    assert looks([0.1]) == [0.1]
    assert looks([0.0] * 9) == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 25.5, 35.5, 45.5]


def test_a_call_that_comes_late_enough_does_not_wait_and_a_quiet_time_forgets_the_storm() -> None:
    assert looks([0.0, 3.0, 0.25]) == [0.0, 3.0, 4.0]
    assert looks([*[0.0] * 8, LONGEST_S])[-1] == 45.5
    assert looks([*[0.0] * 8, QUIET_S, 0.0])[-2:] == [65.5, 66.0]
