"""The dead-man timer from the canary on: armed by a running desk and its guard, and what it does once both are dead."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.alerts.alert import QUEUED, Alert
from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from engine.execution.ids import Purpose, purpose_of
from engine.execution.permit import Permit
from engine.live.decision_file import DecisionFiles
from engine.policy.worker import Worker
from engine.risk_guard.guard import Guard, GuardParts
from engine.risk_guard.mind import Mind
from engine.risk_guard.record import LedgerDesk
from engine.runner.runner import Cadence
from engine.simulator.faults import FaultPlan
from engine.simulator.faults.conditions import Outage
from engine.timeline import sleep_until
from tests.runner.running import ACCOUNT, SYMBOLS, Scene, at_venue, hours, new_exchange, release

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from engine.ledger import Ledger
    from engine.policy.decide import Engine
    from engine.simulator.exchange import Exchange

BTC, ETH, SOL = SYMBOLS
WATCHFUL = Cadence(look_s=60.0, rounds_s=60.0)
BEGIN_MS = hours(1) - 2 * MINUTE_MS
"""BTCUSDT, which has a stop, is entered at the hour."""
DEAD_MS = hours(1) + MINUTE_MS
NOBODY = FaultPlan.of(Outage("silent"), from_ms=DEAD_MS, until_ms=DEAD_MS + 3 * MINUTE_MS)
"""Nothing that runner or guard send arrives: to the venue, both are dead."""


CUT_MS, BACK_MS = BEGIN_MS + 4 * SECOND_MS, BEGIN_MS + 30 * SECOND_MS


def paid_in() -> Exchange:
    """Return a venue on whose account the money lies since an hour before the launch, as a venue's would."""
    exchange = new_exchange(BEGIN_MS - HOUR_MS)
    exchange.advance(BEGIN_MS)
    return exchange


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Worker(release().bundle.policies["risk_guard"]) as worker:
        yield worker


@asynccontextmanager
async def guarding(scene: Scene, engine: Engine) -> AsyncIterator[None]:
    """Run a risk guard beside the runner, on its ledger, by a connection of its own."""
    bundle, files, permit = release().bundle, DecisionFiles.under(scene.place.report_dir), Permit.beside(scene.path)
    assert bundle.guard_times is not None
    valid_ms = bundle.guard_times.decision_valid_for_ms
    mind = Mind(bundle.policies["risk_guard"], engine, {}, "test", ledger=scene.path, valid_ms=valid_ms)
    async with (
        LedgerDesk(scene.path, scene.clock) as desk,
        scene.place.connection.venue(SYMBOLS, scene.clock, permit.present) as venue,
    ):
        parts = (venue, permit, scene.clock, desk, files, mind, bundle.guard_times, scene.path, SYMBOLS)
        watching = asyncio.create_task(Guard(replace(GuardParts(*parts), look_every_s=30.0)).run())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def canaries(ledger: Ledger) -> list[str]:
    return [event.subject for event in ledger.events("canary")]


def test_invariant_8_with_runner_and_guard_dead_the_venue_cancels_what_rests_and_the_stop_stands(
    tmp_path: Path, engine: Engine
) -> None:
    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            running = asyncio.create_task(scene.runner(post, WATCHFUL).run())
            await sleep_until(scene.clock, BEGIN_MS + 20 * SECOND_MS)
            assert canaries(post.ledger) == ["spared"]
            assert not scene.book.open_algos(), "the canary is gone"
            async with guarding(scene, engine):
                await sleep_until(scene.clock, DEAD_MS - SECOND_MS)
                assert scene.book.countdowns.keys() == {*SYMBOLS}, "armed by the guard"
                assert {one.symbol for one in scene.book.open_algos()} == {BTC}
                scene.exchange.place_as_other(ACCOUNT, ETH, 1, "0.030", price="1000.00")
                await sleep_until(scene.clock, DEAD_MS + SECOND_MS)
                running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert scene.book.open_orders()
            await sleep_until(scene.clock, DEAD_MS + 121 * SECOND_MS)
            assert not scene.book.open_orders()
            assert {one.symbol for one in scene.book.open_algos()} == {BTC}, "its stop stands"

    at_venue(tmp_path, act, NOBODY, exchange=paid_in(), start_ms=BEGIN_MS)


def test_invariant_8_where_the_countdown_takes_stops_it_is_never_armed_and_people_are_told(
    tmp_path: Path, engine: Engine
) -> None:
    async def act(scene: Scene) -> None:
        scene.exchange._house.spec = replace(scene.exchange.spec, countdown_spares_algo=False)
        async with scene.post() as post:
            running = asyncio.create_task(scene.running(scene.runner(post, WATCHFUL), DEAD_MS))
            async with guarding(scene, engine):
                await running
                assert canaries(post.ledger) == ["taken"], "asked once a run, not at each bar"
                assert not scene.book.countdowns
                assert {one.symbol for one in scene.book.open_algos()} == {BTC}
            told = [Alert.from_row(event).what for event in post.ledger.events(QUEUED)]
            assert "the venue's countdown takes stops away, so the dead-man timer stays off" in told

    at_venue(tmp_path, act, exchange=paid_in(), start_ms=BEGIN_MS)


def test_a_canary_that_was_cut_short_is_cleared_away_and_another_sent(tmp_path: Path) -> None:
    """The network goes four seconds into the canary, and comes back with the next runner."""

    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            running = asyncio.create_task(scene.runner(post, WATCHFUL).run())
            await sleep_until(scene.clock, CUT_MS + SECOND_MS)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert canaries(post.ledger) == []
        (left,) = scene.book.open_algos()
        assert purpose_of(left.client_id) is Purpose.CANARY
        await sleep_until(scene.clock, BACK_MS + SECOND_MS)
        async with scene.post() as post:
            await scene.running(scene.runner(post, WATCHFUL), BACK_MS + 20 * SECOND_MS)
            assert canaries(post.ledger) == ["spared"]
        assert not scene.book.open_algos()

    away = FaultPlan.of(Outage("silent"), from_ms=CUT_MS, until_ms=BACK_MS)
    at_venue(tmp_path, act, away, exchange=paid_in(), start_ms=BEGIN_MS)


def test_a_halted_desk_sends_no_canary(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            Permit.beside(scene.path).revoke()
            await scene.running(scene.runner(post, WATCHFUL), BEGIN_MS + 30 * SECOND_MS)
            assert canaries(post.ledger) == []

    at_venue(tmp_path, act, exchange=paid_in(), start_ms=BEGIN_MS)
