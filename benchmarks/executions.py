"""Execution: a bar's close to its orders, a month on the real path, streams after an outage, a breach to a flat book.

Desk, adapter and simulated venue share one process and a virtual clock: what is waited for counts as it would by a real
one, and what is computed is timed beside it, the venue's own work included. So every figure is one or the sum of both.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Figure, Target, percentile, processor_s
from benchmarks.inputs import CONFIG, KLINES, RULES, SEED
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, elapsed_s, parse_time
from engine.execution.flattened import CANCELLED, VERIFIED
from engine.ledger import Ledger
from engine.live.bar_reader import WARMUP_MS
from engine.live.opening import Release
from engine.policy.worker import Worker
from engine.real_path.loop import AFTER_CLOSE_MS, Course, on_real_path, staged
from engine.rehearsal.approvals import ApproveAll
from engine.rehearsal.run import RehearsalRequest, rehearse
from engine.simulator.faults import FaultPlan
from engine.simulator.faults.conditions import Outage
from engine.timeline import run_virtual, sleep_until

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.inputs import Inputs
    from engine.clock import Clock
    from engine.real_path.loop import Scene

START = "2024-02-01"
MONTH_DAYS, ORDER_DAYS = 30, 10
STAGE = 3
OUTAGE_MS = 10 * MINUTE_MS
FALL = 0.125
ORDERS = ("/fapi/v1/order", "/fapi/v1/batchOrders")


def figures(inputs: Inputs) -> list[Figure]:
    """Measure all of it."""
    logging.disable(logging.CRITICAL)  # the client's own words about every connection that ends
    whole = inputs.scale.full_length
    return [
        first_order(inputs, ORDER_DAYS if whole else 2),
        month(inputs, MONTH_DAYS if whole else 1, repeats=3 if whole else 1),
        streams_back(inputs.folder / "streams", repeats=3 if whole else 1),
        *flat_after_a_breach(inputs.folder / "flat", repeats=5 if whole else 1),
    ]


def first_order(inputs: Inputs, days: int) -> Figure:
    """Time each bar that sends orders, from its close to the first of them at the venue."""
    start_ms = parse_time(START) if inputs.data else int(inputs.market.bars["BTCUSDT"].open_time_ms[-1]) - days * DAY_MS
    start_ms -= start_ms % DAY_MS
    release = Release(inputs.config, inputs.bundle, "benchmark")
    course = Course(inputs.market, release, start_ms, start_ms + days * DAY_MS, STAGE, SEED)
    taken: list[float] = []
    computed: list[float] = []

    def watch(scene: Scene) -> list[float]:
        """Have the venue's door note when an order comes in."""
        arrivals: list[float] = []
        call = scene.exchange.call

        def noted(method: str, path: str, params: Any, account: str | None) -> Any:
            if method == "POST" and path in ORDERS:
                arrivals.append(elapsed_s())
            return call(method, path, params, account)

        scene.exchange.call = noted  # type: ignore[method-assign]  # the venue is not changed, only listened to
        return arrivals

    async def main(clock: Clock) -> None:
        async with staged(course, ledger, engine, ApproveAll(), clock) as scene:
            arrivals = watch(scene)
            await _read_past(scene, start_ms)
            for close_ms in range(course.start_ms, course.end_ms, HOUR_MS):
                await sleep_until(clock, close_ms + AFTER_CLOSE_MS)
                arrivals.clear()
                began_s, before_s = elapsed_s(), processor_s()
                await scene.desk.bar(close_ms)
                computed.append(processor_s() - before_s)
                if arrivals:
                    taken.append(AFTER_CLOSE_MS / SECOND_MS + arrivals[0] - began_s)

    with (
        Ledger.open(inputs.folder / "first.db", create=True) as ledger,
        Worker(inputs.bundle.policies["action"]) as engine,
    ):
        run_virtual(main, start_ms)
    note = f"{AFTER_CLOSE_MS} ms after the close it begins: bars, books, engines, ledger, order; CPU: of a whole bar"
    found = _figure("bar's close → its first order at the venue", taken, Target("p99", 0.250, "#4"), note=note)
    return replace(found, cpu_s=sum(computed) / len(computed))


async def _read_past(scene: Scene, until_ms: int) -> None:
    """Read the warm-up but for the bar that closes now, as a runner does before its first bar."""
    tape = scene.desk.tape
    for symbol in tape.symbols:
        for mark in (False, True):
            bars = await scene.venue.closed_bars(symbol, until_ms - WARMUP_MS, mark=mark)
            tape.add(bars.part(0, len(bars) - 1), mark=mark)


def month(inputs: Inputs, days: int, *, repeats: int) -> Figure:
    """Time a rehearsal on the real path, hour by hour."""
    from_ms = parse_time(START)
    request = RehearsalRequest(
        config=CONFIG, rules=RULES, out=inputs.folder, seed=SEED, days=days, data=inputs.data, klines=KLINES,
        from_ms=from_ms, to_ms=from_ms + days * DAY_MS, stage=STAGE, approve="all", command="benchmark",
    )  # fmt: skip
    taken: list[float] = []
    before_s = processor_s()
    for number in range(repeats):
        began_s = elapsed_s()
        own = replace(request, out=inputs.folder / f"month-{number}")
        rehearse(own, lambda _: None, report=False, carry_out=partial(on_real_path, seed=SEED))
        taken.append(elapsed_s() - began_s)
    targets = (Target("p50", 20.0, "#4"),) if days == MONTH_DAYS else ()
    note = "every order through client and venue, in virtual time; prices read, shadow account included"
    found = _figure(f"{days} days hourly on the real path", taken, *targets, note=note)
    return replace(found, cpu_s=(processor_s() - before_s) / repeats)


def streams_back(folder: Path, *, repeats: int) -> Figure:
    """Time from the end of a 10-minute outage until a fill that happened in it is in the ledger: the venue's clock."""
    from tests.runner.running import ACCOUNT, at_venue, hours
    from tests.runner.running import Scene as RunnerScene

    began_ms = hours(0.1)
    ended_ms = began_ms + OUTAGE_MS
    gone = FaultPlan.of(Outage("reset"), from_ms=began_ms, until_ms=ended_ms)
    never = _never()

    async def act(scene: RunnerScene) -> float:
        async with scene.post() as post:
            running = asyncio.create_task(scene.running(scene.runner(post, never, streaming=True), hours(0.3)))
            await sleep_until(scene.clock, began_ms + OUTAGE_MS // 2)
            held = scene.held["ETHUSDT"]
            scene.exchange.place_as_other(ACCOUNT, "ETHUSDT", -1, str(held))  # as a stop would: nobody is told
            await sleep_until(scene.clock, ended_ms)
            while len(post.ledger.fills("risk")) < len(scene.book.fills) and scene.clock.now_ms() < hours(0.29):  # noqa: ASYNC110 - nobody could set an event
                await asyncio.sleep(0.01)
            caught_up_ms = scene.clock.now_ms() - ended_ms
            await running
        return caught_up_ms / SECOND_MS

    taken = []
    for number in range(repeats):
        (folder / str(number)).mkdir(parents=True)
        taken.append(at_venue(folder / str(number), act, gone, repeat_s=5.0))
    note = "simulated seconds until the fill that happened meanwhile is in the ledger"
    return _figure("streams back after an outage of 10 minutes", taken, Target("p99", 5.0, "#4"), note=note)


def _never() -> Any:
    from engine.runner.runner import Cadence

    return Cadence(look_s=1e6, rounds_s=1e6)


def flat_after_a_breach(folder: Path, *, repeats: int) -> list[Figure]:
    """Time a crash under a risk guard: three positions, three orders, two stops; all gone, and the venue says so."""
    from tests.risk_guard.guarding import CRASH_MS, Post, bundle, guarded

    cancelled: list[float] = []
    verified: list[float] = []

    async def act(post: Post) -> None:
        await post.watching()
        await post.runner()
        await post.until(CRASH_MS - 1)
        assert len(post.book.held()) == 3
        assert len(post.book.open_orders()) == 3
        assert len(post.book.open_algos()) == 2
        began_s = elapsed_s()
        while not post.nothing_stands and post.clock.now_ms() < CRASH_MS + MINUTE_MS:  # noqa: ASYNC110 - the venue's own books
            await asyncio.sleep(0.005)
        computed_s = elapsed_s() - began_s
        await post.until(CRASH_MS + 8 * SECOND_MS)
        (report,) = post.reports
        cancelled.append((report.steps[CANCELLED] - CRASH_MS) / SECOND_MS + computed_s)
        verified.append((report.steps[VERIFIED] - CRASH_MS) / SECOND_MS + computed_s)

    with Worker(bundle().policies["risk_guard"]) as engine:
        for number in range(repeats):
            (folder / str(number)).mkdir(parents=True)
            guarded(folder / str(number), engine, act, fall=FALL)
    note = "waits by the venue's clock plus the time computed, guard, runner and venue in one process"
    what = "breach mark → both kinds of orders cancelled"
    return [
        _figure(what, cancelled, note=note),
        _figure("breach mark → three positions closed, verified flat", verified, Target("p99", 1.0, "#4"), note=note),
    ]


def _figure(what: str, taken_s: list[float], *targets: Target, note: str) -> Figure:
    ordered = sorted(taken_s) or [float("inf")]
    return Figure(
        what=what,
        ours=True,
        p50=percentile(ordered, 50),
        p99=percentile(ordered, 99),
        best=ordered[0],
        repeats=len(taken_s),
        targets=targets,
        note=note,
    )
