"""The kill-switch drill: on the real path, with positions open and orders standing, somebody pulls the kill switch.

The risk guard watches by a connection of its own, the runner acknowledges and closes, the venue is asked until nothing
stands. What is shown is what was measured.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.alerts.alert import QUEUED, Alert
from engine.clock import SECOND_MS
from engine.errors import Problem, UsageError
from engine.execution.binance.client import Addresses
from engine.execution.binance.connection import connected
from engine.ledger import Ledger
from engine.live.decision_file import DecisionFiles, GuardWatch
from engine.policy.worker import Worker
from engine.real_path.loop import ACCOUNT, KEYS
from engine.risk_guard.follower import GuardFollower
from engine.risk_guard.guard import Guard, GuardParts
from engine.risk_guard.mind import Mind
from engine.risk_guard.record import LedgerDesk
from engine.verdict import bundle_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.execution.flattened import FlattenReport
    from engine.live.decision_file import Acknowledgement, GuardDecision
    from engine.real_path.loop import Course, Scene

POLICY = "risk_guard"
SETTLED_S = 3.0
PATIENCE_S = 120.0
_AWAY = {1: "0.9", -1: "1.1"}  # of the price: where a resting order does not fill


@dataclass(frozen=True)
class Moment:
    """One thing that happened, so long after the switch was pulled."""

    after_ms: int
    what: str


@dataclass(frozen=True)
class Drill:
    """What a drill showed.

    Attributes:
        pulled_ms: when the switch was pulled.
        stood: what was open then, in words.
        timeline: what happened, in order.
        flat: whether the venue confirmed that nothing stands.
        left_ordering: whether anything that adds risk may still leave: never, after a drill.
    """

    pulled_ms: int
    stood: str
    timeline: tuple[Moment, ...]
    flat: bool
    left_ordering: bool


async def kill_switch_drill(scene: Scene, course: Course, ledger_path: Path) -> Drill:
    """Pull the kill switch and watch.

    Args:
        scene: a desk with positions.
        course: its release.
        ledger_path: its ledger; decision and acknowledgement are written beside it.

    Raises:
        UsageError: the bundle does not say how long the risk guard waits.
    """
    bundle, clock = course.release.bundle, scene.clock
    times = bundle.guard_times
    if times is None:
        problem = "the bundle does not say how long the risk guard waits for whom"
        raise UsageError(Problem("no-times", str(bundle.path), problem, "add the block `execution: risk_guard:`"))
    symbols = course.release.config.market.symbols
    files = DecisionFiles.under(ledger_path.parent)
    for leftover in (files.decision, files.acknowledgement):  # of a rehearsal of the same hours
        leftover.unlink(missing_ok=True)
    decisions: list[GuardDecision] = []
    reports: list[FlattenReport] = []
    async with AsyncExitStack() as stack:
        engine = stack.enter_context(Worker(bundle.policies[POLICY]))
        desk = await stack.enter_async_context(LedgerDesk(ledger_path, clock))
        addresses = Addresses(scene.server.rest_url, scene.server.stream_url)
        venue = await stack.enter_async_context(
            connected(KEYS, symbols, clock, scene.permit.present, addresses=addresses)
        )
        mind = Mind(
            bundle.policies[POLICY],
            engine,
            bundle_hashes(bundle),
            course.release.engine_version,
            ledger=ledger_path,
            valid_ms=times.decision_valid_for_ms,
            before=None,
        )
        guard = Guard(
            GuardParts(
                venue, scene.permit, clock, desk, files, mind, times, ledger_path, symbols, told=decisions.append
            )
        )
        follower = GuardFollower(
            GuardWatch(files, ledger_path, clock),
            clock,
            "runner",
            scene.flatten,
            lambda _, report: reports.append(report),
        )
        stood = await _orders_beside(scene, symbols)
        tasks = [asyncio.ensure_future(guard.run()), asyncio.ensure_future(follower.run())]
        stack.push_async_callback(_end, tasks)
        await asyncio.sleep(SETTLED_S)
        pulled_ms = clock.now_ms()
        scene.permit.revoke()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not (reports and guard.enforcer.flat):  # noqa: ASYNC110 - two parties that tell nobody else
                    await asyncio.sleep(0.1)
        await desk.flush()
    flat = bool(reports) and reports[-1].flat and guard.enforcer.flat
    timeline = tuple(_timeline(pulled_ms, decisions, files.acknowledged(), reports, ledger_path))
    return Drill(pulled_ms, stood, timeline, flat, scene.permit.present())


async def _orders_beside(scene: Scene, symbols: tuple[str, ...]) -> str:
    """Leave an order and a stop of somebody else's on what is held; return what stands in words."""
    positions = await scene.venue.positions()
    filters = await scene.venue.filters()
    for symbol, position in positions.items():
        side = 1 if position.qty > 0 else -1
        tick = filters[symbol].tick_size
        away = (position.mark_price * type(tick)(_AWAY[side]) // tick) * tick
        scene.exchange.place_as_other(ACCOUNT, symbol, side, f"{abs(position.qty):f}", price=f"{away:f}")
    orders, stops = await scene.venue.open_orders(), await scene.venue.open_stops()
    held = ", ".join(f"{position.qty:f} {symbol}" for symbol, position in sorted(positions.items()))
    flat = len(symbols) - len(positions)
    return f"{held or 'nothing'} held, {flat} flat, {len(orders)} orders and {len(stops)} stops standing"


def _timeline(
    pulled_ms: int,
    decisions: list[GuardDecision],
    acknowledged: Acknowledgement | None,
    reports: list[FlattenReport],
    ledger_path: Path,
) -> Iterator[Moment]:
    moments = [(pulled_ms, "kill switch pulled: the permit to add risk is gone")]
    moments += [
        (decision.at_ms, f"risk guard decides {decision.outcome}: {'; '.join(decision.because)}")
        for decision in decisions
        if decision.closes
    ]
    with Ledger.open(ledger_path, read_only=True) as ledger:
        moments += [(row.at_ms, _alerted(Alert.from_row(row))) for row in ledger.events(QUEUED, from_ms=pulled_ms)]
    if acknowledged is not None:
        moments.append((acknowledged.at_ms, f"the {acknowledged.by} acknowledges {acknowledged.decision_id}"))
    for report in reports:
        moments += [(at_ms, _STEPS.get(step, step)) for step, at_ms in report.steps.items()]
    moments = [moment for moment in moments if moment[0] >= pulled_ms]
    for at_ms, what in sorted(moments, key=lambda moment: moment[0]):
        yield Moment(at_ms - pulled_ms, what)


def _alerted(alert: Alert) -> str:
    return f"alert queued: {alert.severity}  {alert.what}"


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_STEPS = {
    "latched": "halt latched: it survives restarts",
    "sent": "closing orders sent",
    "cancelled": "every order and every stop cancelled",
    "flat": "every position closed",
    "verified": "verified at the venue: no stop, no order, no position",
    "sealed": "sealed: no order sent before the halt can arrive any more",
}


def drill_text(drill: Drill) -> str:
    """Return a drill as people read it."""
    lines = [f"kill-switch drill  {drill.stood}"]
    lines += [f"  {moment.after_ms / SECOND_MS:7.2f} s  {moment.what}" for moment in drill.timeline]
    lines.append("FLAT, verified; the halt stays" if drill.flat and not drill.left_ordering else "NOT FLAT")
    return "\n".join(lines)
