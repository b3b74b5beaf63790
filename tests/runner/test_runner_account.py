"""What a runner refuses to start on: each with its cure, nothing sent, nothing launched."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.alerts.alert import QUEUED, Alert
from engine.clock import HOUR_MS, MINUTE_MS
from engine.errors import StagegateError, UsageError
from engine.execution.binance.client import Keys
from engine.execution.flatten import flatten
from engine.execution.flattened import Terms
from engine.execution.permit import Permit
from engine.execution.siderecord import SideRecord
from engine.launch_word import GUARD_RAN, acknowledge
from engine.ledger import Event, Ledger, VerdictRecord
from engine.live.connection import Mode
from engine.live.decision_file import DecisionFiles, GuardDecision, named
from engine.live.lock import InstanceLock, holder
from engine.live.opening import launched_ms
from engine.risk_guard.aftermath import note_aftermath
from engine.runner.launch import check_real
from engine.runner.runner import Cadence
from engine.simulator.accounts import Permissions
from engine.verdict import canonical
from tests.operations.stages.opened import open_stage_1
from tests.runner.running import ACCOUNT, KEY, SECRET, START_MS, Scene, at_venue, hours, new_exchange, release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.runner.open import Post
    from engine.simulator.exchange import Exchange


def refused(
    folder: Path, exchange: Exchange | None = None, mode: Mode = Mode.PAPER, keys: Keys | None = None
) -> StagegateError:
    async def act(scene: Scene) -> StagegateError:
        with pytest.raises(StagegateError) as caught:
            async with scene.post():
                pass
        assert not scene.book.orders
        return caught.value

    error = at_venue(folder, act, exchange=exchange, mode=mode, keys=keys)
    assert not Permit.beside(folder / "trading.db").present()
    with Ledger.open(folder / "trading.db", read_only=True) as ledger:
        assert launched_ms(ledger) is None
    assert KEY not in str(error)
    assert SECRET not in str(error)
    return error


def meddled(change: Callable[[Exchange], object]) -> Exchange:
    exchange = new_exchange()
    change(exchange)
    return exchange


def delisted(exchange: Exchange) -> None:
    symbol = exchange.spec.symbol("SOLUSDT")
    assert symbol is not None
    exchange.change_symbol(replace(symbol, status="SETTLING"))


@pytest.mark.parametrize(
    ("exchange", "said"),
    [
        pytest.param(
            lambda: new_exchange(permissions=Permissions(withdrawals=True)), "turn withdrawals off", id="R026"
        ),
        pytest.param(lambda: new_exchange(permissions=Permissions(futures=False)), "enable futures", id="R025"),
        pytest.param(lambda: new_exchange(hedge_mode=True), "one-way mode", id="A63-hedge"),
        pytest.param(lambda: new_exchange(balance_usd=0.0), "transfer the missing amount", id="no-balance"),
        pytest.param(lambda: new_exchange(balance_usd=9_700.0), "the balance does not cover", id="A53-too-little"),
        pytest.param(lambda: meddled(delisted), "SOLUSDT: error[not-traded]: the venue says `SETTLING`", id="delisted"),
        pytest.param(
            lambda: meddled(lambda one: one.place_as_other(ACCOUNT, "BTCUSDT", 1, "0.010")),
            "error[unknown-position]",
            id="A64-position",
        ),
        pytest.param(
            lambda: meddled(lambda one: one.place_as_other(ACCOUNT, "ETHUSDT", 1, "0.500", price="1400.00")),
            "is a second bot running?",
            id="A64-order",
        ),
    ],
)
def test_an_account_that_is_not_as_it_must_be_is_refused_with_the_cure(
    tmp_path: Path, exchange: Callable[[], Exchange], said: str
) -> None:
    async def act(scene: Scene) -> str:
        before = dict(scene.book.orders)
        with pytest.raises(StagegateError) as caught:
            async with scene.post():
                pass
        assert dict(scene.book.orders) == before
        return str(caught.value)

    error = at_venue(tmp_path, act, exchange=exchange(), start_ms=START_MS + MINUTE_MS)
    assert said in error
    assert "help:" in error
    with Ledger.open(tmp_path / "trading.db", read_only=True) as ledger:
        assert launched_ms(ledger) is None
        assert not ledger.fills("risk")
    assert not Permit.beside(tmp_path / "trading.db").present()


@pytest.mark.parametrize(
    "keys", [pytest.param(Keys("X" * 64, SECRET), id="key"), pytest.param(Keys(KEY, "X" * 64), id="secret")]
)
def test_R029_wrong_keys_are_refused_and_not_shown(tmp_path: Path, keys: Keys) -> None:
    error = refused(tmp_path, keys=keys)
    assert "the venue refuses the key" in str(error)
    assert error.exit_code == 1
    assert keys.api_key not in str(error)
    assert keys.api_secret not in str(error)


def allowed(
    ledger: Ledger, at_ms: int, outcome: str = "ALLOW_LAUNCH", digest: str | None = None, **warnings: object
) -> None:
    """Record a launch verdict, as the launch guard does."""
    bundle = release().bundle
    hashes = {"bundle": bundle.sha256, "config": bundle.config_sha256, "digest": digest or bundle.digest, "facts": "0"}
    document = canonical({"verdict_id": f"V-{at_ms}", "hashes": hashes, "outcome": outcome})
    sha256 = bundle.policies["launch"].sha256
    ledger.append(VerdictRecord(f"V-{at_ms}", at_ms, "launch", outcome, sha256, bundle.config_sha256, "0", document))
    word = {"mode": "real", "stage": 1, "capital_usd": 5_000.0, "outcome": outcome, "warnings": warnings}
    said = canonical({"verdict_id": f"V-{at_ms}", **word})
    ledger.append(Event(f"{GUARD_RAN}-{at_ms}", at_ms, GUARD_RAN, outcome, said))
    open_stage_1(ledger, bundle, at_ms)


@pytest.mark.parametrize(
    ("launch", "said"),
    [
        pytest.param(lambda _: None, "no launch is on record", id="none"),
        pytest.param(lambda one: allowed(one, START_MS - MINUTE_MS, "BLOCK_LAUNCH"), "is BLOCK_LAUNCH", id="blocked"),
        pytest.param(lambda one: allowed(one, START_MS - 6 * MINUTE_MS), "too long ago", id="stale"),
        pytest.param(lambda one: allowed(one, START_MS, digest="0" * 64), "another release", id="A90-other"),
    ],
)
def test_R067_real_money_needs_a_fresh_launch_of_this_release(
    tmp_path: Path, launch: Callable[[Ledger], None], said: str
) -> None:
    with Ledger.open(tmp_path / "trading.db", create=True) as ledger:
        launch(ledger)
    error = refused(tmp_path, mode=Mode.REAL)
    assert said in str(error)
    assert "launch-guard" in str(error)
    assert isinstance(error, UsageError)


@pytest.mark.requirement("R045")
def test_R045_A91_warnings_are_acknowledged_by_name_before_real_money_starts(tmp_path: Path) -> None:
    facts = {"largest_gap_30d": 120.0}
    with Ledger.open(tmp_path / "trading.db", create=True) as ledger:
        allowed(ledger, START_MS, data_gap_small=facts, chrony_absent={})
    error = str(refused(tmp_path, new_exchange(balance_usd=5_000), Mode.REAL))
    assert "data_gap_small: error[unacknowledged]" in error
    assert "chrony_absent: error[unacknowledged]" in error
    with Ledger.open(tmp_path / "trading.db") as ledger:
        acknowledge(ledger, "chrony_absent", "alice", "this image has none", START_MS)
        acknowledge(ledger, "data_gap_small", "alice", "maintenance", START_MS)
    with Ledger.open(tmp_path / "trading.db", read_only=True) as ledger:
        check_real(ledger, release().bundle, START_MS)
    with Ledger.open(tmp_path / "trading.db") as ledger:  # another gap is another warning
        allowed(ledger, START_MS + 1, data_gap_small={"largest_gap_30d": 180.0})
        with pytest.raises(UsageError, match="stagegate ack data_gap_small"):
            check_real(ledger, release().bundle, START_MS + 1)


def test_A72_real_money_that_nobody_guards_is_told_once_and_that_it_is_guarded_again(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "trading.db", create=True) as ledger:
        allowed(ledger, START_MS)

    async def act(scene: Scene) -> list[tuple[str, str]]:
        set_up(scene)
        async with scene.post() as post:
            runner = scene.runner(post, Cadence(rounds_s=60.0))
            working = asyncio.ensure_future(scene.running(runner, START_MS + 9 * MINUTE_MS))
            await asyncio.sleep(4 * 60)
            at_ms = scene.clock.now_ms()
            files = DecisionFiles.under(scene.place.report_dir)
            word = GuardDecision(
                decision_id="RG-1",
                ledger=named(scene.path),
                outcome="CLEAR",
                since_ms=at_ms,
                at_ms=at_ms,
                valid_until_ms=at_ms + 2 * MINUTE_MS,
                epoch_ms=START_MS,
                entries_blocked=False,
                closes=False,
            )
            assert files.write(word) == ""
            await working
            told = map(Alert.from_row, post.ledger.events(QUEUED))
            return [(alert.severity, alert.what.split(":")[0]) for alert in told if alert.subject == "risk guard"]

    silent = ("CRITICAL", "the risk guard says nothing")
    exchange = new_exchange(balance_usd=5_000)
    said = at_venue(tmp_path, act, exchange=exchange, mode=Mode.REAL)
    assert said == [silent, ("INFO", "the risk guard watches again"), silent]


def set_up(scene: Scene) -> None:
    """Set the account up as a person does before real money."""
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        for path, change in (("marginType", {"marginType": "ISOLATED"}), ("leverage", {"leverage": "3"})):
            scene.exchange.call("POST", f"/fapi/v1/{path}", {"symbol": symbol, **change}, ACCOUNT)


def test_R013_R064_real_money_begins_at_stage_1_on_an_account_that_a_person_has_set_up(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "trading.db", create=True) as ledger:
        allowed(ledger, START_MS)
    error = refused(tmp_path, new_exchange(balance_usd=5_000), Mode.REAL)
    assert "set every symbol to isolated margin" in str(error)
    assert "set every symbol to 3x" in str(error)

    async def act(scene: Scene) -> tuple[int, float, bool]:
        set_up(scene)
        async with scene.post() as post:
            return *_standing(post), post.permit.granted

    exchange = new_exchange(balance_usd=5_000)
    assert at_venue(tmp_path, act, exchange=exchange, mode=Mode.REAL) == (1, 5_000.0, True)
    with Ledger.open(tmp_path / "trading.db", read_only=True) as ledger:
        assert ledger.meta()["kind"] == "live"

    async def again(scene: Scene) -> tuple[int, float]:
        async with scene.post() as post:
            return _standing(post)

    # under way it goes on after a crash without another launch, blocked promotion or not; as paper it is not to be had
    with Ledger.open(tmp_path / "trading.db") as ledger:
        allowed(ledger, hours(4), "BLOCK_LAUNCH")
    exchange.advance(hours(5))
    assert at_venue(tmp_path, again, exchange=exchange, mode=Mode.REAL, start_ms=hours(5)) == (1, 5_000.0)
    with pytest.raises(UsageError, match="it is the ledger of a live rollout"):
        at_venue(tmp_path, again, exchange=exchange, start_ms=hours(5))


def _standing(post: Post) -> tuple[int, float]:
    posture = post.desk.governor.posture
    return posture.stage, posture.cap_usd


def test_A64_a_second_runner_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    ledger = tmp_path / "trading.db"
    with InstanceLock(ledger, "run --real", START_MS):
        found = holder(ledger)
        assert found is not None
        assert (found.what, found.since_ms) == ("run --real", START_MS)
        with pytest.raises(UsageError, match=f"`run --real`, process {found.pid}, since 2024-01-02") as caught:
            InstanceLock(ledger, "run --paper", START_MS + HOUR_MS).__enter__()
        assert caught.value.exit_code == 2
    assert holder(ledger) is None
    assert json.loads((tmp_path / "trading.db.lock").read_text())["what"] == "run --real"
    with InstanceLock(ledger, "run --paper", START_MS):
        assert str(holder(ledger)).startswith("`run --paper`")


@pytest.mark.requirement("R147")
def test_A61_a_flatten_while_nothing_ran_is_counted_once_and_pauses_the_next_run(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            await scene.runner(post).once()
            assert scene.held
            permit = Permit.beside(scene.path)
            terms = Terms(symbols=tuple(scene.held), reason="by hand")
            report = await flatten(post.venue, permit, scene.clock, SideRecord(scene.path), terms)
            assert (await note_aftermath(report, scene.path, post.venue, scene.clock, ())).unrecorded == ""
        with Ledger.open(scene.path, read_only=True) as ledger:
            assert [event.subject for event in ledger.events("flatten")] == ["by a person"]
            assert not any(ledger.held("risk").values())
        async with scene.post() as post:
            await scene.runner(post).once()
            assert post.desk.governor.posture.paused_since_ms is not None
            assert len(post.ledger.events("flatten")) == 1
            assert post.desk.governor._standing().flattened_ms == (report.started_ms,)
            assert (await note_aftermath(report, scene.path, post.venue, scene.clock, ())).unrecorded == ""
            assert len(post.ledger.events("flatten")) == 1, "a paused desk is flat already"

    at_venue(tmp_path, act)
