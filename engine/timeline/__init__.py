"""Time for coroutines: a loop whose time is virtual, a loop whose time runs faster, and the clock that follows a loop.

All asynchronous code sleeps with `asyncio.sleep` and asks a `Clock`; so the same code runs on the system's loop, on a
loop paced at so many simulated seconds a second, and on one that jumps from timer to timer.
"""

from __future__ import annotations

from engine.timeline.clocks import LoopClock, sleep_until
from engine.timeline.loops import PacedLoop, StalledError, VirtualTimeLoop, run_paced, run_virtual

__all__ = ["LoopClock", "PacedLoop", "StalledError", "VirtualTimeLoop", "run_paced", "run_virtual", "sleep_until"]
