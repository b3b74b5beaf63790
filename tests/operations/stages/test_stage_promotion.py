"""`stage promote` on ledgers of real money: asked for, signed by somebody else, carried out once, or left alone."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SystemClock
from engine.errors import UsageError
from engine.inquiry import posture_at, replay
from engine.ledger import Event, Ledger
from engine.live.lock import InstanceLock
from engine.live.opening import FOR_EVER_MS, launched_ms
from engine.live.stage_desk import ASKED, CARRIED_OUT, NOT_YET, WITH_RUNNER, StageDesk
from engine.live.stage_history import history_of
from engine.operations.approvals import approve, find
from engine.operations.signatures import SignatureError
from engine.runner.launch import check_real
from engine.verdict import canonical
from tests.operations.stages.staging import (
    RULES,
    Keys,
    allowed,
    bundle,
    launched,
    release,
    reviewed,
    start_ms,
    traded,
)

if TYPE_CHECKING:
    from pathlib import Path

DAYS = 16


def ready(folder: Path, keys: Keys) -> StageDesk:
    """A ledger at Stage 1 for which nothing is missing."""
    path, from_ms, now_ms = folder / "ledger.db", start_ms(DAYS), SystemClock().now_ms()
    with launched(path, kind="live", stage=1, capital_usd=5_000.0, at_ms=from_ms) as ledger:
        traded(ledger, 5_000.0, from_ms, (now_ms - from_ms) // HOUR_MS)
        allowed(ledger, now_ms - 10 * MINUTE_MS, 2)
        reviewed(ledger, keys, "weekly", now_ms - DAY_MS)
    return StageDesk(path, RULES, keys.signers)


@pytest.mark.requirement("R090")
def test_R079_R087_A69_a_promotion_is_asked_for_signed_by_another_and_carried_out_once(
    tmp_path: Path, keys: Keys
) -> None:
    desk = ready(tmp_path, keys)
    standing = desk.standing()
    assert (standing.outcome, standing.exit_code, standing.missing) == ("PROMOTE", 10, ())
    asked = desk.promote(keys.of("alice"))
    assert asked.state == ASKED
    assert asked.request is not None
    name = asked.request.request.request_id
    assert (asked.request.request.asked_by, asked.request.request.amount_usd) == ("alice", 10_000.0)
    assert desk.promote(keys.of("carol")).request == asked.request  # one that waits is not asked for twice
    with Ledger.open(desk.ledger) as ledger:
        with pytest.raises(UsageError, match="alice asked for it"):
            approve(ledger, name, keys.of("alice"), keys.signers, SystemClock().now_ms())
        approve(ledger, name, keys.of("bob"), keys.signers, SystemClock().now_ms())
        before = ledger.last_mark("risk")
    assert before is not None
    done = desk.promote(keys.of("alice"))
    assert done.state == CARRIED_OUT
    with Ledger.open(desk.ledger) as ledger:
        posture = posture_at(ledger, FOR_EVER_MS)
        assert (posture.stage, posture.cap_usd, posture.epoch_ms) == (
            2,
            10_000.0,
            start_ms(DAYS),
        )  # A05: the epoch stays
        (flow,) = ledger.cash_flows("risk")
        assert before.equity_usd + flow.amount_usd == pytest.approx(10_000.0)  # R090, A53
        (event,) = ledger.events("stage")
        said = json.loads(event.document)
        assert (event.subject, said["cap_usd"], said["approvals"]) == ("1->2", 10_000.0, ["bob"])
        assert find(ledger, name, keys.signers, SystemClock().now_ms()).state == "used"
        ledger.verify()
    assert replay(desk.ledger, said["verdict_id"]).identical
    (moved,) = history_of(desk.ledger)
    assert (moved.start, moved.to, moved.verdict_id) == (1, 2, done.verdict_id)
    after = desk.promote(keys.of("alice"))  # no stage is skipped: the next one begins its own days
    assert after.state == NOT_YET
    assert {"days_in_stage", "sharpe_14d", "monthly_review"} <= {each.fact for each in after.standing.missing}


def test_A90_stages_of_a_bundle_that_is_not_in_force_ask_nobody_and_record_nothing(tmp_path: Path, keys: Keys) -> None:
    desk = ready(tmp_path, keys)
    for folder in ("config", "policies"):
        shutil.copytree(RULES.parents[1] / folder, tmp_path / "edited" / folder)
    stages = tmp_path / "edited/policies/stages.yaml"
    stages.write_text(f"{stages.read_text()}# nobody signed this\n")
    edited = StageDesk(desk.ledger, tmp_path / "edited/config" / RULES.name, keys.signers)
    with pytest.raises(UsageError, match="is not in force on this ledger of real money"):
        edited.promote(keys.of("alice"))
    with Ledger.open(desk.ledger) as ledger:
        assert ledger.events("approval_request") == ()
        assert ledger.latest_verdict(policy="stages") is None


def test_a_runner_carries_it_out_where_one_runs(tmp_path: Path, keys: Keys) -> None:
    desk = ready(tmp_path, keys)
    with InstanceLock(desk.ledger, "run --real", SystemClock().now_ms()):
        request = desk.promote(keys.of("alice")).request
        assert request is not None
        with Ledger.open(desk.ledger) as ledger:
            approve(ledger, request.request.request_id, keys.of("bob"), keys.signers, SystemClock().now_ms())
        done = desk.promote(keys.of("alice"))
        assert (done.state, done.standing.runner[:12]) == (WITH_RUNNER, "`run --real`")
    with Ledger.open(desk.ledger) as ledger:
        assert posture_at(ledger, FOR_EVER_MS).stage == 1
        assert ledger.events("stage") == ()


@pytest.mark.requirement("R088")
def test_R065_R089_A58_each_thing_that_is_missing_is_named_with_its_cure_and_nobody_is_asked(
    tmp_path: Path, keys: Keys
) -> None:
    path, from_ms, now_ms = tmp_path / "ledger.db", start_ms(13), SystemClock().now_ms()
    with launched(path, kind="live", stage=1, capital_usd=5_000.0, at_ms=from_ms) as ledger:
        traded(ledger, 5_000.0, from_ms, (now_ms - from_ms) // HOUR_MS)
        allowed(ledger, now_ms - 62 * MINUTE_MS, 2)  # stale
    desk = StageDesk(path, RULES, keys.signers)
    done = desk.promote(keys.of("alice"))
    assert (done.state, done.request) == (NOT_YET, None)
    missing = {each.fact: each for each in done.standing.missing}
    assert set(missing) == {"days_in_stage", "sharpe_14d", "launch", "weekly_review"}
    assert (missing["days_in_stage"].value, missing["days_in_stage"].margin) == ("13", "1")
    assert (missing["launch"].status, missing["sharpe_14d"].status) == ("stale", "young")
    assert "launch-guard --stage 2" in missing["launch"].cure
    assert "review sign weekly" in missing["weekly_review"].cure
    with Ledger.open(path) as ledger:
        assert ledger.events("approval_request") == ()
        assert ledger.latest_verdict(policy="stages") is not None  # decided, and recorded


def test_whose_key_nobody_knows_cannot_ask_and_a_paper_ledger_is_not_promoted(tmp_path: Path, keys: Keys) -> None:
    desk = ready(tmp_path, keys)
    with pytest.raises(SignatureError, match="nobody listed"):
        desk.promote(keys.of("mallory"))
    path, from_ms = tmp_path / "paper.db", start_ms(2)
    with launched(path, kind="paper", stage=0, capital_usd=10_000.0, at_ms=from_ms):
        pass
    with pytest.raises(UsageError, match="the ledger of a paper account") as caught:
        StageDesk(path, RULES, keys.signers).promote(keys.of("alice"))
    assert "evidence write" in str(caught.value)
    with launched(tmp_path / "last.db", kind="live", stage=3, capital_usd=15_000.0, at_ms=from_ms):
        pass
    with pytest.raises(UsageError, match="stage 3 is the last one"):
        StageDesk(tmp_path / "last.db", RULES, keys.signers).promote(keys.of("alice"))


@pytest.mark.requirement("R068")
def test_R055_R066_R068_stage_1_needs_evidence_a_watcher_and_a_signature_before_anything_is_launched(
    tmp_path: Path, keys: Keys
) -> None:
    path, now_ms = tmp_path / "live.db", SystemClock().now_ms()
    desk = StageDesk(path, RULES, keys.signers)
    with Ledger.open(path, create=True) as ledger:
        ledger.set_meta(kind="live")
        allowed(ledger, now_ms - MINUTE_MS, 1)
    standing = desk.standing()
    missing = {each.fact for each in standing.missing}
    assert missing == {
        "days_in_stage", "sharpe_30d", "max_drawdown_30d", "signal_consistency", "paper_evidence", "watcher_named"
    }  # fmt: skip
    evidence = {
        "from_ms": now_ms - 31 * DAY_MS, "to_ms": now_ms - HOUR_MS, "days": 30,
        "facts": {"sharpe_30d": 0.4, "max_drawdown_30d": 3.0, "signal_consistency": 99.9},
    }  # fmt: skip
    with Ledger.open(path) as ledger:
        ledger.append(Event("e", now_ms, "paper_evidence", release().config.sha256, canonical(evidence)))
    assert {each.fact for each in desk.standing().missing} == {"watcher_named"}
    with pytest.raises(UsageError, match="the key of bob"):
        desk.watch("carol", keys.of("bob"), 48)
    desk.watch("carol", keys.of("carol"), 24)  # a moment later no whole day of it is left
    assert {each.fact for each in desk.standing().missing} == {"watcher_named"}
    desk.watch("carol", keys.of("carol"), 25)
    request = desk.promote(keys.of("alice")).request
    assert request is not None
    with Ledger.open(path) as ledger:
        approve(ledger, request.request.request_id, keys.of("bob"), keys.signers, SystemClock().now_ms())
    assert desk.promote(keys.of("alice")).state == CARRIED_OUT
    with Ledger.open(path) as ledger:
        (event,) = ledger.events("stage")
        assert (event.subject, launched_ms(ledger)) == ("0->1", None)
        check_real(ledger, bundle(), SystemClock().now_ms())
        allowed(ledger, event.at_ms + 27 * HOUR_MS, 1)
        with pytest.raises(UsageError, match="too long ago"):
            check_real(ledger, bundle(), event.at_ms + 27 * HOUR_MS + MINUTE_MS)
