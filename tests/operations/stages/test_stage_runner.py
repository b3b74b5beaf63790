"""A runner of real money at its simulated venue: Stage 1 ends within a bar, and Stage 0 sends nothing that adds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.clock import HOUR_MS, MINUTE_MS
from engine.errors import UsageError
from engine.inquiry import posture_at, replay
from engine.ledger import Event, Ledger
from engine.live.connection import Mode
from engine.live.opening import FOR_EVER_MS
from engine.live.outages import BEGUN, ENDED
from engine.live.stages import Staging
from engine.policy.worker import Worker
from engine.rehearsal.approvals import ApproveNone
from engine.runner.launch import check_real
from engine.runner.open import opened
from tests.operations.stages.opened import open_stage_1
from tests.operations.stages.staging import allowed
from tests.runner.running import ACCOUNT, SELDOM, START_MS, Scene, at_venue, hours, new_exchange, release, worker

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.requirement("R084")
def test_R082_R084_a_desk_of_real_money_that_falls_to_stage_0_is_flat_halted_and_does_not_start_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trading.db"
    with Ledger.open(path, create=True) as ledger:
        allowed(ledger, START_MS, 1)
        open_stage_1(ledger, release().bundle, START_MS)

    async def act(scene: Scene) -> tuple[dict[str, object], dict[str, object], bool]:
        for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
            for name, change in (("marginType", {"marginType": "ISOLATED"}), ("leverage", {"leverage": "3"})):
                scene.exchange.call("POST", f"/fapi/v1/{name}", {"symbol": symbol, **change}, ACCOUNT)
        with Ledger.open(path, create=True) as ledger, Worker(release().bundle.policies["stages"]) as engine:
            place = replace(scene.place, staging=Staging(engine, tmp_path / "allowed_signers"))
            async with opened(place, ledger, worker(), ApproveNone(), scene.clock) as post:
                await scene.running(scene.runner(post, SELDOM), hours(1.5))
                held = scene.held
                for number in range(4):  # noted by the guard, four in a few hours
                    began_ms = START_MS + number * 15 * MINUTE_MS
                    ended = json.dumps({"began_ms": began_ms, "ended_ms": began_ms + MINUTE_MS})
                    ledger.append(Event(f"b{number}", began_ms, BEGUN, "guard", "{}"))
                    ledger.append(Event(f"e{number}", began_ms + 6 * MINUTE_MS, ENDED, "guard", ended))
                await scene.running(scene.runner(post, SELDOM), hours(4.5))
                return held, scene.held, post.permit.granted

    exchange = new_exchange(balance_usd=5_000)
    held, after, granted = at_venue(tmp_path, act, exchange=exchange, mode=Mode.REAL)
    assert held
    assert not any(after.values())
    assert not granted
    with Ledger.open(path) as ledger:
        (event,) = ledger.events("stage", from_ms=START_MS + 1)
        said = json.loads(event.document)
        assert (event.subject, event.at_ms, said["because"]) == ("1->0", hours(2), ["abort_1[api_issues_24h]"])
        assert [one.subject for one in ledger.events("flatten_begun")] == ["ABORT"]
        posture = posture_at(ledger, FOR_EVER_MS)
        assert (posture.stage, posture.cap_usd, posture.entries_allowed) == (0, 0.0, False)
        assert max(fill.at_ms for fill in ledger.fills("risk")) < hours(2) + HOUR_MS
        alerts = [json.loads(one.document) for one in ledger.events("alert")]
        assert any("stage 1 ended, back to stage 0" in json.dumps(one) for one in alerts)
        with pytest.raises(UsageError, match="back at stage 0, which is paper only"):
            check_real(ledger, release().bundle, hours(5))
        ledger.verify()
    assert replay(path, said["verdict_id"]).identical
