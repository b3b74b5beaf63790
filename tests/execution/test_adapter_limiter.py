"""The venue's allowance: counted as the venue counts it, a reserve kept for reducing, silence when it wants silence."""

from __future__ import annotations

import pytest

from engine.clock import MINUTE_MS, SimulatedClock
from engine.execution.binance.limiter import AllowanceError, Limiter
from engine.execution.binance.weights import weight
from engine.timeline import run_virtual

START_MS = 1_700_000_000_000 - 1_700_000_000_000 % MINUTE_MS


def used(count: int) -> dict[str, str]:
    return {"X-MBX-USED-WEIGHT-1M": str(count)}


def test_the_reserve_is_for_urgent_requests_only() -> None:
    limiter = Limiter(SimulatedClock(START_MS + 15_000), limit=100, reserve=30)
    limiter.note(200, used(69))
    assert limiter.pause_s(1, urgent=False) == 0.0
    assert limiter.pause_s(2, urgent=False) == 45.0  # until the minute turns
    assert limiter.pause_s(31, urgent=True) == 0.0
    assert limiter.pause_s(32, urgent=True) == 45.0


def test_the_venues_count_holds_other_processes_included() -> None:
    clock = SimulatedClock(START_MS)
    limiter = Limiter(clock, limit=100, reserve=0)
    with limiter.counted(60):
        assert limiter.pause_s(41, urgent=False) > 0.0  # on its way counts
        limiter.note(200, used(95))  # the guard, in its own process, used 35
    assert limiter.pause_s(6, urgent=False) > 0.0
    assert limiter.pause_s(5, urgent=False) == 0.0
    clock.advance_to(START_MS + MINUTE_MS)
    assert limiter.pause_s(100, urgent=False) == 0.0


def test_a_request_without_an_answer_counts_as_used() -> None:
    limiter = Limiter(SimulatedClock(START_MS), limit=100, reserve=0)
    with pytest.raises(TimeoutError), limiter.counted(60):
        raise TimeoutError
    assert limiter.pause_s(41, urgent=False) > 0.0


@pytest.mark.parametrize(
    ("status", "headers", "silence_s"),
    [(429, {"Retry-After": "7"}, 7.0), (418, {"Retry-After": "300"}, 300.0), (429, {}, 40.0), (418, {}, 120.0)],
)
def test_after_a_429_or_418_nobody_sends_urgent_or_not(status: int, headers: dict[str, str], silence_s: float) -> None:
    clock = SimulatedClock(START_MS + 20_000)
    limiter = Limiter(clock)
    limiter.note(status, headers)
    for urgent in (False, True):
        assert limiter.pause_s(0, urgent=urgent) == silence_s
    clock.advance_to(clock.at_ms + int(silence_s * 1_000))
    assert limiter.pause_s(0, urgent=True) == 0.0


def test_admission_waits_as_long_as_it_is_worth_and_no_longer() -> None:
    waits: list[float] = []

    async def wait_twice(clock: object) -> None:
        limiter = Limiter(clock, limit=100, reserve=0)  # type: ignore[arg-type]
        limiter.note(429, {"Retry-After": "50"})
        with pytest.raises(AllowanceError) as refused:
            await limiter.admit(1, urgent=True, patience_s=10.0)
        waits.append(refused.value.wait_s)
        waits.append(clock.now_ms())  # type: ignore[attr-defined]
        await limiter.admit(1, urgent=True, patience_s=50.0)
        waits.append(clock.now_ms())  # type: ignore[attr-defined]

    run_virtual(wait_twice, START_MS)
    assert waits == [50.0, START_MS, START_MS + 50_000]


def test_what_requests_cost() -> None:
    assert weight("GET", "openOrders", {}) == 40
    assert weight("GET", "openOrders", {"symbol": "BTCUSDT"}) == 1
    assert weight("POST", "order", {"symbol": "BTCUSDT"}) == 0
    assert [weight("GET", "klines", {"limit": limit}) for limit in (99, 100, 500, 1000, 1001)] == [1, 2, 5, 5, 10]
    assert weight("GET", "account/apiRestrictions", {}) == 1
