"""The launch guard at the simulated venue: a launch that is allowed, and what it says where one cannot be."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, parse_time
from engine.errors import UsageError
from engine.inquiry import replay
from engine.launch import dry_run
from engine.launch.account import Capital
from engine.launch.dry_run import DryRun
from engine.launch.guard import launch_guard
from engine.launch_word import last_word
from engine.ledger import Ledger
from engine.ledger.rows import FactsSnapshot, VerdictRecord
from engine.live.opening import Release, launch
from engine.market.series import Market
from engine.policy.bundle import load_bundle
from engine.policy.decide import decide as decided_by
from engine.policy.facts import Fact
from engine.policy.fault import EngineFault
from engine.posted import facts_document, facts_from
from engine.reports.terminal_launch import launch_text
from engine.runner.launch import check_real
from engine.simulator.accounts import Permissions
from engine.simulator.faults import FaultPlan
from engine.simulator.faults.conditions import Outage
from tests.launch.launching import (
    ACCOUNT,
    CHAT,
    KEY,
    NOW_MS,
    RULES,
    SECRET,
    SYMBOLS,
    TOKEN,
    Allowed,
    Stage,
    at_venue,
    exchange,
    frozen,
    market,
    real_dry_run,
    rules_of,
    verdict_on,
)
from tests.operations.stages.opened import open_stage_1

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.execution.binance.adapter import BinanceVenue
    from engine.launch.probe import Findings
    from engine.policy.decide import Decision
    from engine.policy.model import Snapshot
    from engine.simulator.exchange import Exchange


def test_R043_R044_everything_as_it_should_be_is_ALLOW_LAUNCH(allowed: Allowed) -> None:
    report = allowed.filed.report
    assert [(check.name, check.said) for check in report.failed] == []
    assert (report.outcome, report.exit_code, report.unacknowledged) == ("ALLOW_LAUNCH", 0, ())
    assert (report.stage, report.capital_usd, report.mode) == (1, 5_000.0, "real")
    assert {check.result for check in report.checks} == {"ok"}
    assert [check.severity for check in report.checks].count("HARD") == 34
    assert len(report.requests) == 0
    assert all(check.said for check in report.checks)


def test_R067_the_verdict_stands_in_the_ledger_replays_and_lets_real_money_start(allowed: Allowed) -> None:
    path, report = allowed.stage.ledger_path, allowed.filed.report
    with Ledger.open(path) as ledger:
        verdict = ledger.latest_verdict(policy="launch")
        assert verdict is not None
        assert (verdict.verdict_id, verdict.outcome) == (report.verdict_id, "ALLOW_LAUNCH")
        assert json.loads(verdict.document)["agree"] is True
        bundle = load_bundle(RULES)
        with pytest.raises(UsageError, match="stage 1 is not open"):  # R055: the guard alone opens nothing
            check_real(ledger, bundle, verdict.at_ms + 4 * MINUTE_MS)
        open_stage_1(ledger, bundle, verdict.at_ms + 1)
        check_real(ledger, bundle, verdict.at_ms + 4 * MINUTE_MS)
        with pytest.raises(UsageError, match="too long ago"):
            check_real(ledger, bundle, verdict.at_ms + 6 * MINUTE_MS)
        word = last_word(ledger)
        assert word is not None
        assert (word.verdict_id, word.mode, word.unacknowledged) == (report.verdict_id, "real", ())
        ledger.verify()
    assert replay(path, report.verdict_id).identical


def test_R048_R049_a_guard_reaches_the_venue_and_leaves_no_trace_there(allowed: Allowed) -> None:
    made = allowed.venue
    fresh = exchange()
    mine, untouched = made.accounts[ACCOUNT], fresh.accounts[ACCOUNT]
    assert (mine.orders, mine.algo_orders, mine.wallet) == (
        untouched.orders,
        untouched.algo_orders,
        untouched.wallet,
    )
    checks = {check.name: check for check in allowed.filed.report.checks}
    assert checks["venue_answers"].said == "the wallet holds $10,000.00"
    assert checks["balance"].facts == {"balance_cover": 200.0}


def test_R050_R053_the_dry_run_shows_targets_and_stops(allowed: Allowed) -> None:
    checks = {check.name: check for check in allowed.filed.report.checks}
    told = checks["dry_run_signals"].said.split("; ")
    assert [text.split()[0] for text in told] == list(SYMBOLS)
    assert checks["dry_run_signals"].facts == {"dry_run_targets": 3}
    stops = checks["stop_levels"].said
    assert stops.startswith("BTCUSDT: ")
    assert "3.5 ×" in stops
    assert stops.endswith("ETHUSDT, SOLUSDT: none by config")


def test_R054_one_message_is_sent_and_no_secret_is_anywhere(allowed: Allowed) -> None:
    ((_, text),) = allowed.stage.messenger.received
    assert text.startswith("[PROD-R1] INFO  test message of the launch guard")
    shown = json.dumps(allowed.filed.to_json()) + allowed.filed.path.read_text() + text
    shown += "".join(str(launch_text(allowed.filed.report.to_json(), "x").renderables))
    stored = b"".join(path.read_bytes() for path in allowed.stage.folder.glob("ledger.db*"))
    for secret in (KEY, SECRET, TOKEN, CHAT):
        assert secret not in shown
        assert secret.encode() not in stored


def test_the_report_is_archived_and_a_second_run_writes_another(stage: Stage, allowed: Allowed) -> None:
    folder = stage.folder / "reports" / "prod_guard"
    shutil.copytree(allowed.filed.path.parent, folder)
    (earlier,) = folder.iterdir()
    text = earlier.read_text()
    second = stage.run()
    assert sorted(folder.iterdir()) == sorted([earlier, second.path])
    assert earlier.read_text() == text
    assert json.loads(second.path.read_text()) == json.loads(json.dumps(second.report.to_json()))


@pytest.mark.parametrize("manner", ["silent", "refuse"])
def test_R029_R044_a_venue_that_is_away_fails_every_check_of_it_in_time(manner: str, stage: Stage) -> None:
    stage.faults = FaultPlan.of(Outage(manner), from_ms=NOW_MS)
    with Ledger.open(stage.ledger_path) as ledger:
        before = ledger.events()
    filed = stage.run()
    report = filed.report
    assert (report.outcome, report.exit_code) == ("BLOCK_LAUNCH", 30)
    assert (report.at_ms - NOW_MS) / SECOND_MS <= 11
    at_the_venue = {
        "venue_clock", "futures_permission", "withdrawal_permission", "ip_restriction", "venue_answers", "margin_type",
        "leverage", "position_mode", "foreign_positions", "balance", "dry_run_signals", "dry_run_zero", "stop_levels",
    }  # fmt: skip
    assert {check.name for check in report.failed} == at_the_venue
    for check in report.failed:
        assert check.because == "could not be checked"
        assert check.said
    with Ledger.open(stage.ledger_path) as ledger:
        assert len(ledger.events()) == len(before) + 1  # that it ran; nobody is asked to sign anything


def test_R029_a_key_that_the_venue_refuses_blocks_and_says_so(stage: Stage) -> None:
    made = exchange()
    made.accounts[ACCOUNT].api_key = "another"
    report = stage.run(made).report
    checks = {check.name: check for check in report.checks}
    assert report.outcome == "BLOCK_LAUNCH"
    assert "the venue refuses the key" in checks["venue_answers"].said
    assert checks["venue_answers"].facts == {"venue_answers": False}
    assert checks["venue_clock"].result == "ok"
    assert "the venue refuses the key" in checks["withdrawal_permission"].said
    assert checks["withdrawal_permission"].because == "could not be checked"
    text = json.dumps(report.to_json())
    assert KEY not in text
    assert SECRET not in text


def test_R021_R022_without_keys_nothing_is_asked_of_the_venue(stage: Stage) -> None:
    stage.environ = {**stage.environ, "BINANCE_API_SECRET": " "}
    report = stage.run().report
    failed = {check.name: check for check in report.failed}
    assert report.outcome == "BLOCK_LAUNCH"
    assert failed["api_secret"].said == "BINANCE_API_SECRET is not set, or empty"
    assert "api_key" not in failed
    assert "it is not set, or empty" in failed["withdrawal_permission"].said
    assert failed["ip_list_confirmed"].said == "no key is set, so there is no list to confirm"


def test_R044_a_configuration_that_cannot_be_read_blocks_and_the_account_is_looked_at_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stage.folder)
    stage.config = stage.folder / "broken.yaml"
    stage.config.write_text("market: [\n")
    report = stage.run(exchange(permissions=Permissions(withdrawals=True))).report
    checks = {check.name: check for check in report.checks}
    assert report.outcome == "BLOCK_LAUNCH"
    for name in ("trade_on", "ensemble_weights", "data_fresh", "leverage", "foreign_positions", "dry_run_signals"):
        assert (checks[name].because, checks[name].result) == ("could not be checked", "FAIL")
        assert checks[name].said.startswith(str(stage.config))
    assert checks["config_hash"].said.endswith("the bundle pins 4f4d…")
    assert checks["withdrawal_permission"].because == "the key may withdraw money"
    assert checks["venue_answers"].result == "ok"


def test_R050_bars_that_are_too_few_or_too_old_give_no_target(stage: Stage, good: Findings) -> None:
    whole = market()
    short = {name: bars.part(1_000, len(bars)) if name == "SOLUSDT" else bars for name, bars in whole.bars.items()}

    async def act(venue: BinanceVenue, clock: Clock, _exchange: Exchange) -> DryRun:
        return await dry_run.dry_run(venue, frozen(), {}, clock)

    found = dry_run.findings(at_venue(act, exchange(Market(short, whole.mark, whole.funding))), frozen(), 5_000.0)
    assert found["dry_run_targets"].value == 2
    assert "SOLUSDT: no signal, or still warming up" in found["dry_run_targets"].said
    assert verdict_on(stage, {**good, **found}).decision.fired == ("dry_run_signals",)
    late = dataclasses.replace(real_dry_run(), close_ms=NOW_MS - NOW_MS % HOUR_MS + HOUR_MS)
    assert dry_run.findings(late, frozen(), 5_000.0)["dry_run_targets"].value == 0
    empty = DryRun(NOW_MS, {}, {}, ())
    assert [one.value for one in dry_run.findings(empty, frozen(), 5_000.0).values()] == [0, 0, None]


def test_a_messenger_that_hangs_holds_nobody_up(stage: Stage) -> None:
    async def hang(address: str, text: str) -> bool:
        del address, text
        await asyncio.sleep(3_600)
        return True

    stage.messenger = hang  # type: ignore[assignment]
    report = stage.run().report
    assert [check.name for check in report.failed] == ["telegram"]
    assert report.failed[0].said.startswith("no answer within 10 s")
    assert (report.at_ms - NOW_MS) / SECOND_MS <= 11


class NoAnswer:
    """Both engines, of which the production one gives no answer."""

    def decide(self, snapshot: Snapshot) -> Decision:
        return decided_by(rules_of().policy, snapshot, self)

    def fired(self, snapshot: Snapshot) -> tuple[str, ...]:
        del snapshot
        raise EngineFault("the engine was killed by signal 9")


def test_R044_engines_that_cannot_be_trusted_allow_nothing(stage: Stage) -> None:
    report = stage.run(engine=NoAnswer()).report
    assert (report.outcome, report.exit_code) == ("BLOCK_LAUNCH", 30)
    (failed,) = report.failed
    assert (failed.name, failed.said) == ("engines", "the engine was killed by signal 9")
    with Ledger.open(stage.ledger_path) as ledger:
        verdict = ledger.latest_verdict(policy="launch")
        assert verdict is not None
        assert verdict.outcome == "BLOCK_LAUNCH"
        (incident,) = ledger.events("incident")
        assert (incident.subject, json.loads(incident.document)["decision_id"]) == ("engines", verdict.verdict_id)


def test_the_verdict_is_never_at_the_close_of_a_bar_and_keeps_what_was_known(stage: Stage) -> None:
    stage.now_ms = NOW_MS - NOW_MS % DAY_MS + DAY_MS  # midnight: a snapshot there would end the day
    with Ledger.open(stage.ledger_path) as ledger:
        config = frozen()
        bundle = load_bundle(RULES)
        launch(ledger, Release(config, bundle, "1"), kind="live", stage=1, capital_usd=5_000.0, at_ms=NOW_MS - DAY_MS)
        known = {"drawdown": Fact("drawdown", 3.0, "ok", NOW_MS)}
        ledger.append(FactsSnapshot.of(NOW_MS, facts_document(known), day_close=False))
        ledger.append(FactsSnapshot.of(NOW_MS - NOW_MS % DAY_MS, facts_document(known), day_close=True))
    report = stage.run().report
    assert report.at_ms % MINUTE_MS
    with Ledger.open(stage.ledger_path) as ledger:
        snapshot = ledger.facts_at()
        assert snapshot is not None
        assert (snapshot.at_ms, snapshot.day_close) == (report.at_ms, False)
        posted = facts_from(snapshot.document)
        assert (posted["drawdown"].value, posted["drawdown"].as_of_ms) == (3.0, NOW_MS)
        assert posted["trade_on"].value == "next_open"
    assert replay(stage.ledger_path, report.verdict_id).identical


def test_a_ledger_from_the_future_is_left_as_it_is(stage: Stage) -> None:
    with Ledger.open(stage.ledger_path, create=True) as ledger:
        ledger.append(VerdictRecord("V1", parse_time("2999-01-01"), "action", "KEEP", "a", "b", "c", "{}"))
        request = stage.case(ledger).request
    before = stage.ledger_path.read_bytes()
    with pytest.raises(UsageError, match="the clock here says"):
        launch_guard(request)
    assert stage.ledger_path.read_bytes() == before


def test_R090_of_a_running_rollout_its_equity_must_be_covered_and_of_the_next_stage_its_cap(stage: Stage) -> None:
    with Ledger.open(stage.ledger_path) as ledger:
        release = Release(frozen(), load_bundle(RULES), "1")
        launch(ledger, release, kind="live", stage=1, capital_usd=4_000.0, at_ms=NOW_MS - DAY_MS)
        assert stage.case(ledger).capital == Capital(1, 4_000.0, running=True)
        stage.stage = 2
        assert stage.case(ledger).capital == Capital(2, 10_000.0, running=True)
        stage.stage = 9
        with pytest.raises(UsageError, match="there is no stage 9"):
            stage.case(ledger)
