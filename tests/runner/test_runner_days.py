"""A runner over days: it earns what the real path of a rehearsal earns, stopped and started whenever it pleases."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.clock import HOUR_MS, SECOND_MS
from engine.ledger import Ledger
from engine.ledger.rows import VerdictRecord
from engine.live.heartbeat import STOPPED, heartbeat_beside, read_beat
from engine.live.opening import last_bar_ms
from engine.real_path.loop import Course, run_bars, staged
from engine.rehearsal.approvals import ApproveNone
from engine.timeline import run_virtual, sleep_until
from tests.creeping import creeping
from tests.runner.running import SELDOM, START_MS, Scene, at_venue, hours, market, release, worker

if TYPE_CHECKING:
    from pathlib import Path

    from engine.clock import Clock

LAST = 5
STOPS = {1.3: 1, 4.0: 3, 4.0 + 22 / 3600: 4, LAST + 0.1: LAST}
"""Hours at which the runner is told to stop, and the last hour whose bar it has done by then."""


def traded(ledger: Ledger) -> dict[tuple[int, str], list[tuple[float, float]]]:
    found: dict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
    for fill in ledger.fills("risk"):
        found[fill.at_ms // HOUR_MS, fill.symbol].append((fill.side * fill.qty, fill.price))
    return dict(found)


def rehearsed(folder: Path) -> Ledger:
    """Let the desk of a rehearsal do the same bars: the same capital, market orders, the same venue."""
    this = release()
    live = replace(this.config.live, prefer_limit_order=False)
    course = Course(market(), replace(this, config=replace(this.config, live=live)), START_MS, hours(LAST), 2, 3)
    ledger = Ledger.open(folder / "rehearsal.db", create=True)
    ledger.set_meta(kind="rehearsal")

    async def main(clock: Clock) -> None:
        async with staged(course, ledger, worker(), ApproveNone(), clock) as scene:
            await run_bars(scene, START_MS, hours(LAST))

    run_virtual(main, START_MS)
    return ledger


def test_paper_stopped_and_started_at_any_time_is_the_real_path(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        for stop, last in STOPS.items():
            await scene.run_until(hours(stop), SELDOM)
            beat = read_beat(heartbeat_beside(scene.path))
            assert beat is not None
            assert (beat.state, beat.last_bar_ms) == (STOPPED, hours(last))
            await sleep_until(scene.clock, hours(stop) + 20_000)

    at_venue(tmp_path, act)
    with rehearsed(tmp_path) as path, Ledger.open(tmp_path / "trading.db", read_only=True) as paper:
        assert traded(paper) == traded(path)
        assert sum(map(len, traded(paper).values())) > 5
        ours, theirs = paper.marks("risk"), path.marks("risk")
        assert ours.at_ms.tolist() == theirs.at_ms.tolist()
        assert ours.equity_usd == pytest.approx(theirs.equity_usd, rel=1e-9)
        assert paper.marks("shadow").equity_usd == pytest.approx(path.marks("shadow").equity_usd, rel=1e-9)
        assert last_bar_ms(paper) == hours(LAST)
        kinds = [event.kind for event in paper.events() if event.kind.startswith("runner_")]
        assert kinds == ["runner_started", "runner_stopped"] * len(STOPS)
        assert not paper.events("difference")
        paper.verify()


def test_the_hours_of_a_runner_that_was_away_are_marked_when_it_is_back(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.run_until(hours(2.5))
        before = scene.held
        await sleep_until(scene.clock, hours(7.2))
        async with scene.post() as post:
            await scene.runner(post).once()
        # a decision twelve minutes old only reduces: BTCUSDT's signal has ended meanwhile (A74)
        assert before["BTCUSDT"]
        assert "BTCUSDT" not in scene.held
        assert all(abs(qty) <= abs(before[symbol]) for symbol, qty in scene.held.items())

    at_venue(tmp_path, act)
    with Ledger.open(tmp_path / "trading.db", read_only=True) as ledger:
        assert ledger.marks("risk").at_ms.tolist() == [hours(hour) for hour in range(8)]


def test_a_desk_begins_at_the_close_of_a_bar_though_time_passes_while_it_begins(tmp_path: Path) -> None:
    """A ledger that began a millisecond before a close would have no bar to go on with, for good."""

    async def act(scene: Scene) -> None:
        await sleep_until(scene.clock, hours(0.5))
        await scene.run_until(hours(1.2))

    with creeping(1 / SECOND_MS):
        at_venue(tmp_path, act)
    with Ledger.open(tmp_path / "trading.db", read_only=True) as ledger:
        assert ledger.meta()["from_ms"] == str(hours(0))
        assert ledger.marks("risk").at_ms.tolist() == [hours(0), hours(1)]


def test_A99_a_review_that_breaches_freezes_the_running_desk_from_its_next_bar_on(tmp_path: Path) -> None:
    sha256 = "0" * 64

    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            runner = scene.runner(post)
            await sleep_until(scene.clock, hours(1) + 1_000)
            await runner.once()
            breach = VerdictRecord("V1", hours(1) + 2_000, "review", "BREACH", sha256, sha256, sha256, "{}")
            with Ledger.open(scene.path) as ledger:
                ledger.append(breach)
            await sleep_until(scene.clock, hours(2) + 1_000)
            await runner.once()

    at_venue(tmp_path, act)
    with Ledger.open(tmp_path / "trading.db", read_only=True) as ledger:
        sheets = [ledger.facts_at(hours(hour)) for hour in (1, 2)]
        assert [json.loads(sheet.document)["review"][0] for sheet in sheets if sheet] == [None, "BREACH"]
