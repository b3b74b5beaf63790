"""The risk guard enforces: breach, halt, the runner's part, its own part, and what may go wrong meanwhile."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.alerts.alert import QUEUED, Alert
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from engine.execution.binance.streams import Patience
from engine.execution.flattened import VERIFIED
from engine.ledger import Event, Ledger
from engine.live.connection import Announcement, Mode, announce, announced_beside
from engine.live.decision_file import GuardWatch
from engine.live.heartbeat import RUNNING, Heartbeat, heartbeat_beside, write_beat
from engine.live.lock import InstanceLock
from engine.operations.incidents.demands import RESUME
from engine.policy.worker import Worker
from engine.risk_guard.books import CANARY
from engine.risk_guard.halt import hold
from engine.risk_guard.start import GuardRequest, _Start
from engine.simulator.faults import FaultPlan, Match
from engine.simulator.faults.conditions import HalfOpenSocket, Outage, PartialFills
from engine.simulator.faults.requests import AcceptThenTimeout, RateLimited, RejectNTimes
from tests.execution.dealing import trade
from tests.risk_guard.guarding import ACCOUNT, BTC, CRASH_MS, ETH, KEY, RULES, SECRET, START_MS, Post, bundle, guarded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.execution.venue import StopState, Venue
    from engine.policy.decide import Engine

FALL = 0.125  # of the capital at risk 12.6 %, of the fat wallet 6.3 %


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Worker(bundle().policies["risk_guard"]) as worker:
        yield worker


def verified_s(post: Post) -> float:
    """How long after the crash the venue had confirmed that nothing stands."""
    with post.read() as ledger:
        ended = ledger.events("flatten_ended")
    at_ms: int = json.loads(ended[-1].document)["steps"][VERIFIED]
    return (at_ms - CRASH_MS) / SECOND_MS


def test_A53_R160_a_breach_of_the_capital_at_risk_is_flat_within_a_second_by_the_runner(
    tmp_path: Path, engine: Engine
) -> None:
    async def act(post: Post) -> None:
        await post.watching()
        await post.runner()
        await post.until(CRASH_MS - 1)
        await post.until(CRASH_MS + 300)
        assert post.nothing_stands
        assert post.outcomes == ["CLEAR", "FLATTEN_ALL"]
        await post.until(CRASH_MS + 8 * SECOND_MS)
        (report,) = post.reports
        decision = post.files.read()
        acknowledged = post.files.acknowledged()
        assert decision is not None
        assert acknowledged is not None
        assert (acknowledged.decision_id, acknowledged.by) == (decision.decision_id, "runner")
        assert report.reason == f"FLATTEN_ALL {decision.decision_id}"
        assert report.steps[VERIFIED] - CRASH_MS <= SECOND_MS
        assert decision.doing.startswith("flat, verified 2022-11-09T14:00:0")
        assert decision.since_ms == CRASH_MS
        assert decision.equity["equity_usd"] < 8_800  # the idle 10,000 are no part of it
        assert not post.permit.present()
        with post.read() as ledger:
            told = [Alert.from_row(event).what for event in ledger.events(QUEUED)]
        assert told == ["FLATTEN_ALL: everything is being closed", "FLATTEN_ALL: the runner is flat"]

    guarded(tmp_path, engine, act, fall=FALL)


@pytest.mark.requirement("R229")
def test_R164_R159_without_a_runner_the_guard_closes_at_once_and_everything_is_recorded(
    tmp_path: Path, engine: Engine
) -> None:
    async def act(post: Post) -> None:
        task = await post.watching()
        await post.until(CRASH_MS + 10 * SECOND_MS)
        assert post.nothing_stands
        assert verified_s(post) <= 1
        post.permit.grant(by="somebody", reason="against the decision", at_ms=post.clock.now_ms())
        await post.wait(10)
        assert not post.permit.present()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    guarded(tmp_path, engine, act, fall=FALL)
    from engine.ledger import Ledger  # noqa: PLC0415 - only here

    with Ledger.open(tmp_path / "ledger.db", read_only=True) as ledger:
        ledger.verify()
        assert [record.outcome for record in ledger.verdicts(policy="risk_guard")][-1] == "FLATTEN_ALL"
        (incident,) = ledger.events("incident")
        assert (incident.subject, json.loads(incident.document)["severity"]) == ("FLATTEN_ALL", "CRITICAL")
        alerts = [Alert.from_row(event) for event in ledger.events(QUEUED)]
        assert [alert.what for alert in alerts] == [
            "FLATTEN_ALL: everything is being closed",
            "FLATTEN_ALL: flattened in 0.1 s",
            "FLATTEN_ALL: closed again",
        ]
        assert "the drawdown is beyond the hard stop" in alerts[0].text("[R1]")
        assert len(ledger.marks("guard")) >= 2


def test_A73_a_runner_that_does_not_acknowledge_in_ten_seconds_is_not_waited_for(
    tmp_path: Path, engine: Engine
) -> None:
    async def act(post: Post) -> None:
        post.stack.enter_context(InstanceLock(post.path, "run --paper", START_MS))  # it runs, and is deaf
        await post.watching()
        await post.until(CRASH_MS + 9_900)
        assert not post.permit.present(), "halted at once all the same"
        assert len(post.book.held()) == 3
        await post.until(CRASH_MS + 18 * SECOND_MS)
        assert post.nothing_stands
        assert 10 <= verified_s(post) <= 10.5

    guarded(tmp_path, engine, act, fall=FALL)


def test_a_runner_that_acknowledges_and_is_not_flat_within_a_minute_is_not_waited_for_either(
    tmp_path: Path, engine: Engine
) -> None:
    async def act(post: Post) -> None:
        post.look_every_s = 5.0
        post.stack.enter_context(InstanceLock(post.path, "run --paper", START_MS))
        await post.watching()
        await post.until(CRASH_MS + 200)
        decision = post.files.read()
        assert decision is not None
        assert post.files.acknowledge(decision.decision_id, by="runner", at_ms=post.clock.now_ms()) == ""
        await post.until(CRASH_MS + 59 * SECOND_MS)
        assert len(post.book.held()) == 3
        await post.until(CRASH_MS + 70 * SECOND_MS)
        assert post.nothing_stands
        assert 60 <= verified_s(post) <= 62

    guarded(tmp_path, engine, act, fall=FALL)


class Stumbling:
    """A venue that fails in a way nobody foresaw when it is asked for the stops, so many times."""

    def __init__(self, venue: Venue, times: int) -> None:
        self._venue, self._left = venue, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    async def open_stops(self) -> Sequence[StopState]:
        if self._left:
            self._left -= 1
            raise RuntimeError("a fault of ours")
        return await self._venue.open_stops()


@pytest.mark.parametrize("times", [1, 3])
def test_a_fault_that_nobody_foresaw_while_the_runner_closes_does_not_end_the_enforcing(
    times: int, tmp_path: Path, engine: Engine
) -> None:
    async def act(post: Post) -> None:
        post.stack.enter_context(InstanceLock(post.path, "run --paper", START_MS))
        guard = await post.guard()
        guard.enforcer._venue = cast("Venue", Stumbling(guard.enforcer._venue, times))
        post.beside(asyncio.ensure_future(guard.run()))
        await post.until(CRASH_MS + 200)
        decision = post.files.read()
        assert decision is not None
        assert post.files.acknowledge(decision.decision_id, by="runner", at_ms=post.clock.now_ms()) == ""
        # the runner closes the positions, and dies before it cancels
        for position in post.book.held():
            trade(post.exchange, position.symbol, -1, f"{position.qty:f}")
        await post.until(CRASH_MS + 20 * SECOND_MS)
        assert post.nothing_stands
        assert "NOT FLAT: unexpected: RuntimeError" in [Alert.from_row(row).what for row in post.read().events(QUEUED)]
        found = post.files.read()
        assert found is not None
        assert found.doing.startswith("flat, verified")

    guarded(tmp_path, engine, act, fall=FALL)


SINGLE: dict[str, FaultPlan] = {
    "taken, then silence": FaultPlan.of(AcceptThenTimeout(), times=3),
    "limited": FaultPlan.of(RateLimited(429, 10), from_ms=CRASH_MS, until_ms=CRASH_MS + 10 * SECOND_MS),
    "filled in parts": FaultPlan.of(
        PartialFills(5, 0.3, market_ratio=0.6), from_ms=CRASH_MS - SECOND_MS, until_ms=CRASH_MS + 3 * SECOND_MS
    ),
    "away for 15 s": FaultPlan.of(Outage("reset"), from_ms=CRASH_MS + 20, until_ms=CRASH_MS + 15 * SECOND_MS),
}


@pytest.mark.parametrize("name", SINGLE)
def test_R168_R169_flat_within_half_a_minute_under(name: str, tmp_path: Path, engine: Engine) -> None:
    async def act(post: Post) -> None:
        post.look_every_s = 5.0
        await post.watching()
        await post.until(CRASH_MS + 45 * SECOND_MS)
        assert post.nothing_stands
        assert verified_s(post) <= 30

    guarded(tmp_path, engine, act, SINGLE[name], fall=FALL)


def test_a_key_that_the_venue_refuses_for_a_while_is_no_end_of_the_closing(tmp_path: Path, engine: Engine) -> None:
    refused = RejectNTimes(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    signed = Match(path="/fapi/v[23]/*")
    away = FaultPlan.of(refused, match=signed, from_ms=CRASH_MS, until_ms=CRASH_MS + MINUTE_MS, times=None)

    async def act(post: Post) -> None:
        await post.watching()
        await post.until(CRASH_MS + MINUTE_MS)
        assert post.book.held()
        await post.until(CRASH_MS + 2 * MINUTE_MS)
        assert post.nothing_stands
        with post.read() as ledger:
            told = [Alert.from_row(event).what for event in ledger.events(QUEUED)]
        assert "NOT FLAT: " in told[1]
        assert "flattened in" in told[-1]

    guarded(tmp_path, engine, act, away, fall=FALL)


def test_A08_a_stream_of_mark_prices_that_tells_nothing_any_more_hides_no_breach(
    tmp_path: Path, engine: Engine
) -> None:
    silent = FaultPlan.of(HalfOpenSocket("market"), from_ms=CRASH_MS - SECOND_MS)

    async def act(post: Post) -> None:
        await post.watching(patience=Patience(ping_every_s=None, market_silence_s=None))
        await post.until(CRASH_MS + 30 * SECOND_MS)
        assert post.outcomes == ["CLEAR", "FLATTEN_ALL"]
        assert post.nothing_stands
        assert verified_s(post) <= 20  # the account is read anew each quarter of a minute

    guarded(tmp_path, engine, act, silent, fall=FALL, repeat_s=1.0)


def test_A76_who_takes_the_permit_away_has_pulled_the_kill_switch(tmp_path: Path, engine: Engine) -> None:
    async def act(post: Post) -> None:
        await post.watching()
        await post.wait(2)
        post.permit.revoke()
        await post.wait(9)
        assert post.nothing_stands
        assert [decision.fired for decision in post.decisions] == [(), ("kill_switch",)]

    guarded(tmp_path, engine, act)


def test_A82_a_halt_by_chat_leaves_what_stands_and_a_flatten_that_died_after_it_is_gone_on_with(
    tmp_path: Path, engine: Engine
) -> None:
    async def act(post: Post) -> None:
        await post.watching()
        await post.wait(2)
        ledger = post.permit.path.with_name(post.permit.path.name.removesuffix(".permit"))
        assert hold(ledger, "Ann (7)", post.clock.now_ms()) == ""
        await post.wait(9)
        assert not post.permit.present()
        assert not post.nothing_stands
        assert [decision.outcome for decision in post.decisions] == ["CLEAR"]
        begun_ms = post.clock.now_ms()
        with Ledger.open(ledger) as opened:
            opened.append(Event(f"flatten-begun-{begun_ms}", begun_ms, "flatten_begun", "by hand", "{}"))
        await post.wait(75)
        assert post.nothing_stands

    guarded(tmp_path, engine, act)


def test_R169_what_stands_again_after_the_halt_is_closed_again(tmp_path: Path, engine: Engine) -> None:
    async def act(post: Post) -> None:
        post.look_every_s = 5.0
        await post.watching()
        post.permit.revoke()
        await post.wait(10)
        assert post.nothing_stands
        post.exchange.place_as_other(ACCOUNT, BTC, 1, "0.010")
        post.exchange.place_as_other(ACCOUNT, ETH, 1, "0.100", price="1200.00")
        await post.wait(70)
        assert post.nothing_stands

    guarded(tmp_path, engine, act)


def test_R159_a_deleveraging_closes_everything(tmp_path: Path, engine: Engine) -> None:
    async def act(post: Post) -> None:
        await post.watching()
        await post.wait(3)
        post.exchange.deleverage(ACCOUNT, BTC, "0.100")
        post.server.step()
        await post.wait(2)
        assert post.decisions[-1].fired[0] == "liquidation"
        assert post.nothing_stands

    guarded(tmp_path, engine, act)


def test_a_guard_killed_between_decision_and_flatten_carries_it_out_when_it_starts_again(
    tmp_path: Path, engine: Engine
) -> None:
    async def act(post: Post) -> None:
        guard = await post.guard()
        await guard._see()  # as far as the decision, and not a step further: the rest died with it
        await post.until(CRASH_MS + 1)
        await guard._see()
        decision = await guard.look()
        await guard.enforcer.stop()
        await guard._publisher.finish()
        assert decision.closes
        assert not post.permit.present()
        assert len(post.book.held()) == 3
        await post.until(CRASH_MS + 5 * SECOND_MS)
        await post.watching()
        await post.wait(9)
        assert post.nothing_stands
        again = post.files.read()
        assert again is not None
        assert (again.decision_id, again.since_ms) == (decision.decision_id, decision.since_ms)

    guarded(tmp_path, engine, act, fall=FALL)


class Jumping:
    """A machine's clock that somebody sets."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self.off_ms = 0

    def now_ms(self) -> int:
        return self._post.clock.now_ms() + self.off_ms


def test_a_machine_whose_time_jumps_makes_no_equity_old(tmp_path: Path, engine: Engine) -> None:
    async def act(post: Post) -> None:
        clock = Jumping(post)
        await post.watching(clock=clock)
        await post.wait(2)
        for off_ms in (26 * HOUR_MS, -30 * MINUTE_MS, 0):
            clock.off_ms = off_ms
            await post.wait(3)
            decision = post.files.read()
            assert decision is not None
            assert decision.holds_at(post.clock.now_ms())
        assert post.outcomes == ["CLEAR"]
        assert len(post.book.held()) == 3
        post.permit.revoke()
        clock.off_ms = -3 * DAY_MS
        await post.wait(9)
        assert post.nothing_stands, "no wait is measured by a clock that can be set"

    guarded(tmp_path, engine, act, at_ms=CRASH_MS - 60 * SECOND_MS)


def test_A28_A78_a_venue_that_is_away_blocks_entries_after_five_minutes_and_is_one_outage(
    tmp_path: Path, engine: Engine
) -> None:
    away = FaultPlan.of(Outage("reset"), from_ms=CRASH_MS, until_ms=CRASH_MS + 7 * MINUTE_MS)

    async def act(post: Post) -> None:
        post.look_every_s = 20.0
        await post.watching(patience=Patience(first_pause_s=60.0, longest_pause_s=60.0))
        await post.until(CRASH_MS + 5 * MINUTE_MS - 15 * SECOND_MS)
        assert post.outcomes == ["CLEAR"]
        await post.until(CRASH_MS + 5 * MINUTE_MS + 30 * SECOND_MS)
        assert post.outcomes == ["CLEAR", "REDUCE_ONLY"]
        late = post.files.read()
        assert late is not None
        assert late.entries_blocked
        assert late.problems == ("the venue does not tell: the connection broke",)
        await post.until(CRASH_MS + 13 * MINUTE_MS)
        assert post.outcomes == ["CLEAR", "REDUCE_ONLY", "CLEAR"]
        assert post.permit.present()
        decision = post.files.read()
        assert decision is not None
        assert decision.facts["api_issues_24h"] == 1
        with post.read() as ledger:
            (begun,), (ended,) = ledger.events("outage"), ledger.events("outage_ended")
            told = [Alert.from_row(event).what for event in ledger.events(QUEUED)]
        assert CRASH_MS <= begun.at_ms <= CRASH_MS + 20 * SECOND_MS
        assert json.loads(ended.document)["began_ms"] == begun.at_ms
        assert told == ["REDUCE_ONLY: entries are blocked", "CLEAR: entries are allowed"]

    guarded(tmp_path, engine, act, away)


def test_R161_a_ledger_that_is_held_by_another_process_delays_nothing(tmp_path: Path, engine: Engine) -> None:
    import sqlite3  # noqa: PLC0415 - only here

    async def act(post: Post) -> None:
        await post.watching()
        await post.until(CRASH_MS - 200)
        holder = sqlite3.connect(post.path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        await post.until(CRASH_MS + 300)
        assert post.nothing_stands
        decision = post.files.read()
        assert decision is not None
        assert decision.closes
        holder.execute("ROLLBACK")
        holder.close()
        await post.wait(10)
        with post.read() as ledger:
            assert [record.outcome for record in ledger.verdicts(policy="risk_guard")][-1] == "FLATTEN_ALL"
            assert len(ledger.events("incident")) == 1

    guarded(tmp_path, engine, act, fall=FALL)


@pytest.mark.parametrize("how", ["corrupt", "gone"])
def test_a_ledger_that_breaks_while_the_guard_watches_changes_nothing(how: str, tmp_path: Path, engine: Engine) -> None:
    async def act(post: Post) -> None:
        await post.watching()
        await post.wait(3)
        if how == "corrupt":
            post.path.write_bytes(b"\x00" * 4096)
        else:
            post.path.unlink()
        await post.until(CRASH_MS + 8 * SECOND_MS)
        assert post.outcomes == ["CLEAR", "FLATTEN_ALL"]
        assert post.nothing_stands

    guarded(tmp_path, engine, act, fall=FALL)


def test_a_ledger_that_was_never_readable_blocks_entries_and_still_obeys_a_halt(tmp_path: Path, engine: Engine) -> None:
    async def act(post: Post) -> None:
        post.path.write_bytes(b"this is no database" * 400)
        await post.watching()
        await post.wait(2)
        assert post.outcomes == ["REDUCE_ONLY"]
        assert post.decisions[0].problems[0].startswith("the ledger cannot be read: ")
        assert len(post.book.held()) == 3

    guarded(tmp_path, engine, act, launched=False)


def test_money_that_came_or_went_is_no_profit_and_no_loss(tmp_path: Path, engine: Engine) -> None:
    async def act(post: Post) -> None:
        await post.watching()
        await post.wait(2)
        for amount in (15_000, -18_000):
            post.exchange.deposit(ACCOUNT, amount)
            post.server.step()
            await post.wait(20)
        assert post.outcomes == ["CLEAR"]
        decision = post.files.read()
        assert decision is not None
        assert decision.facts["drawdown"] < 0.2
        with post.read() as ledger:
            assert [json.loads(event.document)["amount_usd"] for event in ledger.events("transfer")] == [
                15_000,
                -18_000,
            ]
            assert max(ledger.marks("guard").nav) < 1.001

    guarded(tmp_path, engine, act, at_ms=CRASH_MS - 60 * SECOND_MS)


def test_without_the_cash_that_the_account_began_with_no_equity_is_known(tmp_path: Path, engine: Engine) -> None:
    async def act(post: Post) -> None:
        await post.watching()
        await post.wait(2)
        assert post.outcomes == ["REDUCE_ONLY"]
        assert post.decisions[0].problems == (
            "the ledger does not say what cash the account began with: the equity is not known",
        )

    guarded(tmp_path, engine, act, wallet_usd=None)


def test_invariant_8_the_dead_man_is_renewed_while_a_runner_lives_and_the_canary_was_spared(
    tmp_path: Path, engine: Engine
) -> None:
    def beat(post: Post, age_ms: int) -> None:
        from engine.clock import SystemClock  # noqa: PLC0415 - a heartbeat is dated by the machine

        real_ms = SystemClock().now_ms() - age_ms
        now = Heartbeat(1, "paper", "run", RUNNING, post.clock.now_ms(), real_ms, None, None, "", 0.0, halted=False)
        assert write_beat(heartbeat_beside(post.path), now) == ""

    async def act(post: Post) -> None:
        post.look_every_s = 10.0
        task = await post.watching()
        await post.wait(40)
        assert not post.book.countdowns, "not armed: no canary was spared"
        task.cancel()
        with_canary(post)
        beat(post, 0)
        task = await post.watching()
        await post.wait(100)
        left = {symbol: at_ms - post.clock.now_ms() for symbol, at_ms in post.book.countdowns.items()}
        assert len(left) == 3
        assert all(85 * SECOND_MS <= left_ms <= 120 * SECOND_MS for left_ms in left.values())
        beat(post, 10 * MINUTE_MS)  # the runner is dead: what it left resting is cancelled by the venue
        await post.wait(150)
        assert not post.book.open_orders()
        assert len(post.book.open_algos()) == 2, "its stops stand"
        task.cancel()

    guarded(tmp_path, engine, act, at_ms=START_MS + MINUTE_MS)


def with_canary(post: Post) -> None:
    from engine.ledger import Event, Ledger  # noqa: PLC0415 - only here

    with Ledger.open(post.path) as ledger:
        ledger.append(Event("canary-1", post.clock.now_ms(), CANARY, "spared", "{}"))


def test_A68_after_a_signed_restart_the_old_drawdown_is_over_and_the_halt_answered(
    tmp_path: Path, engine: Engine
) -> None:
    from engine.bounds import initial_posture  # noqa: PLC0415 - only here
    from engine.ledger import CashFlow, Event, Ledger, Mark  # noqa: PLC0415 - the same

    async def act(post: Post) -> None:
        await post.watching()
        await post.until(CRASH_MS + 10 * SECOND_MS)
        assert post.outcomes[-1] == "FLATTEN_ALL"
        now_ms = post.clock.now_ms()
        equity_usd = post.decisions[-1].equity["equity_usd"]
        nav = equity_usd / 10_000
        posture = initial_posture(1, 5_000.0, now_ms)
        with Ledger.open(post.path) as ledger:
            ledger.append(Mark("risk", now_ms, equity_usd, nav, 10_000.0, 1.0, 10_000.0, 0.0))
            ledger.append(CashFlow("f", "risk", now_ms, 5_000.0 - equity_usd, "virtual", "restart"))
            ledger.append(Event("posture-2", now_ms, "posture", "1", json.dumps(posture.to_json())))
            ledger.append(Event("resume-1", now_ms + 1, RESUME, "ann", "{}"))
        post.permit.grant(by="ann", reason="resumed", at_ms=now_ms + 1)
        await post.wait(3)  # long before the guard would read the ledger by itself
        assert post.outcomes == ["CLEAR", "FLATTEN_ALL", "CLEAR"]
        assert post.permit.present()
        decision = post.files.read()
        assert decision is not None
        assert (decision.epoch_ms, decision.facts["kill_switch"]) == (now_ms, False)
        assert decision.equity["equity_usd"] == pytest.approx(5_000, rel=0.01)
        post.permit.revoke()
        await post.wait(3)
        assert post.outcomes[-1] == "FLATTEN_ALL"

    guarded(tmp_path, engine, act, fall=FALL)


def test_a_key_that_the_venue_refuses_is_said_plainly_and_never_shown(
    tmp_path: Path, engine: Engine, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def act(post: Post) -> None:
        await post.watching()
        await post.wait(4)
        post.permit.revoke()
        await post.wait(40)
        assert len(post.book.held()) == 3
        decision = post.files.read()
        assert decision is not None
        assert decision.doing.startswith("NOT FLAT: ")
        assert any("the venue refuses the key" in problem for problem in decision.problems)
        with post.read() as ledger:
            alerts = [Alert.from_row(event).text("") for event in ledger.events(QUEUED)]
        assert any(
            "close every position and cancel every order in the venue's web interface, now" in text for text in alerts
        )

    guarded(tmp_path, engine, act, keys=("another-key", "another-secret"))
    everything = capsys.readouterr().out + caplog.text
    for file in tmp_path.rglob("*"):
        if file.is_file():
            everything += file.read_bytes().decode(errors="replace")
    assert KEY not in everything
    assert SECRET not in everything


AGAIN_MS = CRASH_MS + 150 * SECOND_MS
FILLS_NOTHING: dict[str, FaultPlan] = {
    "refused": FaultPlan.of(RejectNTimes(), from_ms=CRASH_MS, until_ms=AGAIN_MS, times=None),
    "a book that is empty": FaultPlan.of(
        PartialFills(market_ratio=0.0), from_ms=CRASH_MS - SECOND_MS, until_ms=AGAIN_MS
    ),
}


@pytest.mark.parametrize("how", FILLS_NOTHING)
def test_R161_a_closing_that_does_not_end_is_told_again_and_again_until_it_is_flat(
    how: str, tmp_path: Path, engine: Engine
) -> None:
    async def act(post: Post) -> None:
        post.look_every_s = 5.0
        await post.watching()
        await post.until(CRASH_MS + 70 * SECOND_MS)
        decision = post.files.read()
        assert decision is not None
        assert decision.doing.startswith("NOT FLAT: ")
        await post.until(AGAIN_MS + 20 * SECOND_MS)
        assert post.nothing_stands

    guarded(tmp_path, engine, act, FILLS_NOTHING[how], fall=FALL)
    begun, *late, flat = told(tmp_path)
    assert begun.what == "FLATTEN_ALL: everything is being closed"
    assert [round((alert.at_ms - CRASH_MS) / SECOND_MS) for alert in late] == [60, 120]
    for alert in late:
        assert alert.severity == "CRITICAL"
        assert alert.what.startswith("NOT FLAT: ")
        assert "close every position and cancel every order" in alert.text("")
    if how == "refused":
        assert "PERCENT_PRICE filter limit" in late[0].what
    assert flat.what.startswith("FLATTEN_ALL: flattened in 15")


def test_a_guard_that_is_stopped_while_it_closes_closes_no_more(tmp_path: Path, engine: Engine) -> None:
    never = FaultPlan.of(RejectNTimes(), from_ms=CRASH_MS, times=None)

    async def act(post: Post) -> None:
        task = await post.watching()
        await post.until(CRASH_MS + 65 * SECOND_MS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        left = {one.get_name() for one in asyncio.all_tasks() if "flatten" in repr(one.get_coro())}
        assert not left
        assert len(post.book.held()) == 3

    guarded(tmp_path, engine, act, never, fall=FALL)
    assert [alert.what[:8] for alert in told(tmp_path)[1:]] == ["NOT FLAT"]


def told(folder: Path) -> list[Alert]:
    from engine.ledger import Ledger  # noqa: PLC0415 - only here

    with Ledger.open(folder / "ledger.db", read_only=True) as ledger:
        return [Alert.from_row(event) for event in ledger.events(QUEUED)]


@pytest.mark.parametrize("off_s", [90, -90])
def test_a_guard_whose_machine_is_90_s_off_speaks_in_the_venues_time(
    off_s: int, tmp_path: Path, engine: Engine
) -> None:
    async def act(post: Post) -> None:
        clock = Jumping(post)
        clock.off_ms = off_s * SECOND_MS
        now_ms = post.clock.now_ms()
        there = Announcement(post.server.rest_url, post.server.stream_url, KEY, SECRET, now_ms, now_ms)
        announce(announced_beside(post.path), there)
        async with _Start(GuardRequest(RULES, post.path, Mode.PAPER, tmp_path / "reports")).guard(clock) as guard:
            decision = await guard.once()
        assert decision.at_ms == pytest.approx(post.clock.now_ms(), abs=SECOND_MS)
        await post.watching(clock=clock)
        await post.wait(3)
        said = GuardWatch(post.files, post.path, post.clock).decision()
        assert said is not None, "the runner, which keeps the venue's time, hears it"
        clock.off_ms += HOUR_MS
        await post.until(CRASH_MS + 10 * SECOND_MS)
        assert post.nothing_stands
        closed = post.files.read()
        assert closed is not None
        assert closed.since_ms == CRASH_MS
        with post.read() as ledger:
            assert max(ledger.marks("guard").at_ms) <= post.clock.now_ms()
            assert ledger.verdicts(policy="risk_guard")[-1].at_ms == pytest.approx(CRASH_MS, abs=SECOND_MS)

    guarded(tmp_path, engine, act, fall=FALL)


def test_before_the_venue_was_ever_reached_the_machines_clock_must_do(tmp_path: Path, engine: Engine) -> None:
    away = FaultPlan.of(Outage("reset"), until_ms=CRASH_MS)

    async def act(post: Post) -> None:
        clock = Jumping(post)
        clock.off_ms = 90 * SECOND_MS
        await post.watching(clock=clock)
        await post.wait(5)
        first = post.files.read()
        assert first is not None
        assert first.entries_blocked
        assert first.holds_at(clock.now_ms())
        await post.until(CRASH_MS + 40 * SECOND_MS)
        later = post.files.read()
        assert later is not None
        assert (later.outcome, later.at_ms <= post.clock.now_ms()) == ("CLEAR", True)

    guarded(tmp_path, engine, act, away)
