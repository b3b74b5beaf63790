"""Whatever order things happen in, the invariants hold: a short form; `make campaign` runs the long one."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.execution.faults.machine import TradingMachine

TestTrading = TradingMachine.TestCase
TestTrading.settings = settings(
    max_examples=8, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
