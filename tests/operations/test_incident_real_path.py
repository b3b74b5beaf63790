"""A kill switch on the real path, from the alert to the restart: desk, adapter, simulated venue, virtual time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.clock import HOUR_MS, MINUTE_MS
from engine.ledger import Ledger
from engine.operations.approvals import approve
from engine.operations.incidents.book import STEPS, incidents
from engine.operations.incidents.caretaker import Caretaker
from engine.operations.incidents.granting import SignedRestarts, ask_for_restart, grant
from engine.operations.incidents.post_mortem import HumanPart, record
from engine.operations.incidents.restarting import Restart, decide
from engine.operations.incidents.steps import Means
from engine.real_path.loop import Course, run_bars, staged
from engine.reports.incident_papers import IncidentPapers
from engine.timeline import run_virtual, sleep_until
from engine.verdict import bundle_hashes
from tests.operations.incident_kit import (
    VERSION,
    WRITTEN,
    Desk,
    launch_allowed,
    people,
    restart_engine,
    suite_ran,
)
from tests.runner.running import START_MS, market, release, worker

if TYPE_CHECKING:
    from pathlib import Path

    from engine.clock import Clock
    from engine.real_path.loop import Scene

PULLED_MS = START_MS + 2 * HOUR_MS + 20 * MINUTE_MS


def written_up(at_ms: int) -> HumanPart:
    return replace(WRITTEN, root_cause_identified_ms=at_ms, resolution_deployed_ms=at_ms)


def test_R165_R182_R184_from_the_kill_switch_through_the_steps_to_a_restart_one_stage_down(tmp_path: Path) -> None:
    bundle = release().bundle
    signers = people(tmp_path / "keys", "alice", "bob")
    course = Course(market(), release(), START_MS, START_MS + 12 * HOUR_MS, 3, 7)

    async def main(clock: Clock) -> None:
        with Ledger.open(tmp_path / "trading.db", create=True) as ledger:
            approvals = SignedRestarts(ledger, signers, bundle_hashes(bundle), 12 * HOUR_MS)
            async with staged(course, ledger, worker(), approvals, clock) as scene:
                await act(scene, Desk(ledger, IncidentPapers(tmp_path / "reports")), clock)

    def decided(desk: Desk, now_ms: int) -> Restart:
        (incident,) = incidents(desk.ledger)
        return decide(desk.ledger, bundle, restart_engine(), incident, signers, now_ms, VERSION)

    async def act(scene: Scene, desk: Desk, clock: Clock) -> None:
        ledger, governor = desk.ledger, scene.desk.governor
        await run_bars(scene, START_MS, START_MS + 2 * HOUR_MS)
        assert scene.exchange.accounts["desk"].held()
        await sleep_until(clock, PULLED_MS)
        await scene.flatten("by hand")
        effects = bundle.policies["risk_guard"].effects["FLATTEN_ALL"]
        scene.desk.govern(lambda held: held.flattened(PULLED_MS, "FLATTEN_ALL", effects, "by hand"))
        keeper = Caretaker(Means(ledger, clock, desk.papers, scene.venue))
        for minutes in (0, 5, 15, 30):
            await sleep_until(clock, PULLED_MS + minutes * MINUTE_MS)
            await keeper.carry_out_due(clock.now_ms())
        (incident,) = incidents(ledger)
        assert (incident.left, incident.why) == ((), "by hand")
        for step in STEPS:
            late_ms = incident.steps[step].at_ms - incident.due_ms(step)
            assert 0 <= late_ms <= MINUTE_MS

        await run_bars(scene, START_MS + 3 * HOUR_MS, START_MS + 3 * HOUR_MS)
        assert governor.posture.paused_since_ms == PULLED_MS
        assert not scene.permit.present()
        now_ms = clock.now_ms()
        asked = ask_for_restart(ledger, bundle, incident, "stagegate", now_ms)
        for name in ("alice", "bob"):
            approve(ledger, asked.request_id, tmp_path / "keys" / name, signers, now_ms)
        await run_bars(scene, START_MS + 4 * HOUR_MS, START_MS + 4 * HOUR_MS)
        assert governor.posture.paused_since_ms == PULLED_MS  # signed, and nothing else of §5.2 holds

        record(ledger, incident, written_up(incident.opened_ms), clock.now_ms())
        suite_ran(desk, clock.now_ms())
        assert not decided(desk, clock.now_ms()).allowed
        launch_allowed(desk, clock.now_ms())
        restart = decided(desk, clock.now_ms())
        assert restart.allowed, [each.rule for each in restart.conditions if not each.holds]
        grant(ledger, bundle, incident, restart, clock.now_ms())
        await run_bars(scene, START_MS + 5 * HOUR_MS, START_MS + 6 * HOUR_MS)
        posture = governor.posture
        assert (posture.stage, posture.cap_usd, posture.paused_since_ms) == (2, 10_000.0, None)
        assert posture.epoch_ms == START_MS + 5 * HOUR_MS
        (incident,) = incidents(ledger)
        assert (incident.restarted_ms, incident.state) == (START_MS + 5 * HOUR_MS, "restarted")
        assert scene.desk.account.equity_usd == pytest.approx(10_000.0, rel=0.02)
        assert await keeper.carry_out_due(clock.now_ms()) == ()
        ledger.verify()

    run_virtual(main, START_MS)
