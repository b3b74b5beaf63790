"""A runner under hostile conditions: it adds no risk, says what happened, recovers, and its books are the venue's."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from engine.alerts.alert import QUEUED, Alert
from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from engine.errors import LedgerError, UsageError
from engine.execution.binance.client import Keys
from engine.execution.flatten import flatten
from engine.execution.flattened import Terms
from engine.execution.journal import exact
from engine.execution.permit import Permit
from engine.execution.siderecord import SideRecord
from engine.ledger import Ledger
from engine.ledger.rows import VerdictRecord
from engine.live.decision_file import DecisionFiles, GuardDecision, named
from engine.live.outages import outages_of
from engine.live.time_check import check_time
from engine.operations.approvals import SignedApprovals, tallies
from engine.runner.runner import Cadence
from engine.simulator.faults import FaultPlan
from engine.simulator.faults.conditions import ClockSkew, Outage, PartialFills
from engine.timeline import sleep_until
from tests.runner.running import ACCOUNT, KEY, SECRET, SYMBOLS, Scene, at_venue, hours, release

if TYPE_CHECKING:
    from pathlib import Path

    from engine.runner.open import Post

BTC, ETH, SOL = SYMBOLS
EVERY_FEW = Cadence(look_s=60.0, rounds_s=600.0)
NEVER = Cadence(look_s=1e6, rounds_s=1e6)


def check_books(scene: Scene, ledger: Ledger) -> None:
    """Hold the ledger against the venue's own books: each fill once, to the last digit; what is held; no id twice."""
    there = {f"{fill.symbol}-{fill.trade_id}": fill for fill in scene.book.fills}
    here = {fill.fill_id: fill for fill in ledger.fills("risk")}
    assert here.keys() == there.keys()
    assert all(exact(fill.qty) == there[name].qty for name, fill in here.items())
    held = {symbol: exact(round(qty, 9)) for symbol, qty in ledger.held("risk").items() if round(qty, 9)}
    assert held == scene.held
    names = [order.client_id for order in scene.book.orders.values()]
    assert len(names) == len(set(names))


def alerts(ledger: Ledger) -> list[Alert]:
    return [Alert.from_row(event) for event in ledger.events(QUEUED)]


def test_a_network_that_is_gone_for_an_hour_adds_no_risk_and_leaves_no_gap(tmp_path: Path) -> None:
    began_ms, ended_ms = hours(0.9), hours(1.9)
    gone = FaultPlan.of(Outage("silent"), from_ms=began_ms, until_ms=ended_ms)

    async def act(scene: Scene) -> list[str]:
        await scene.run_until(hours(3.2), EVERY_FEW)
        with Ledger.open(scene.path, read_only=True) as ledger:
            check_books(scene, ledger)
        return scene.said

    said = at_venue(tmp_path, act, gone)
    with Ledger.open(tmp_path / "trading.db", read_only=True) as ledger:
        assert not [fill for fill in ledger.fills("risk") if began_ms <= fill.at_ms < ended_ms]
        assert ledger.marks("risk").at_ms.tolist() == [hours(hour) for hour in range(4)]
        (outage,) = outages_of([*ledger.events("outage"), *ledger.events("outage_ended")])
        assert began_ms < outage.began_ms < began_ms + 11 * MINUTE_MS
        assert outage.ended_ms is not None
        assert ended_ms <= outage.ended_ms < ended_ms + 12 * MINUTE_MS
        told = [alert.what for alert in alerts(ledger)]
        assert told.count("the venue does not answer") == 1
        assert told.count("the venue answers again: everything was read and booked") == 1
        ledger.verify()
    assert any("the venue did not answer" in line for line in said)


def test_a_stream_that_was_gone_ten_minutes_is_made_up_for_within_five_seconds(tmp_path: Path) -> None:
    began_ms, ended_ms = hours(0.1), hours(0.1) + 10 * MINUTE_MS
    gone = FaultPlan.of(Outage("reset"), from_ms=began_ms, until_ms=ended_ms)

    async def act(scene: Scene) -> int:
        async with scene.post() as post:
            running = asyncio.create_task(scene.running(scene.runner(post, NEVER, streaming=True), hours(0.3)))
            await sleep_until(scene.clock, began_ms + 5 * MINUTE_MS)
            held = scene.held[ETH]
            scene.exchange.place_as_other(ACCOUNT, ETH, -1, str(held))  # as a stop would: nobody is told
            await sleep_until(scene.clock, ended_ms)
            while len(post.ledger.fills("risk")) < len(scene.book.fills) and scene.clock.now_ms() < hours(0.29):  # noqa: ASYNC110 - nobody could set an event
                await asyncio.sleep(0.05)
            caught_up_ms = scene.clock.now_ms() - ended_ms
            await running
            check_books(scene, post.ledger)
        return caught_up_ms

    assert at_venue(tmp_path, act, gone, repeat_s=5.0) <= 5 * SECOND_MS


def test_R240_what_somebody_else_closes_is_not_opened_again(tmp_path: Path) -> None:
    async def act(scene: Scene) -> dict[str, Decimal]:
        async with scene.post() as post:
            running = asyncio.create_task(scene.running(scene.runner(post, EVERY_FEW), hours(2.2)))
            await sleep_until(scene.clock, hours(0.4))
            for symbol, qty in scene.held.items():
                scene.exchange.place_as_other(ACCOUNT, symbol, -1 if qty > 0 else 1, str(abs(qty)))
            await sleep_until(scene.clock, hours(0.4) + 11 * MINUTE_MS)
            assert not post.permit.granted
            await running
            check_books(scene, post.ledger)
            assert any("somebody else traded" in alert.what for alert in alerts(post.ledger))
        return scene.held

    assert at_venue(tmp_path, act) == {}


def test_invariant_8_an_exit_that_nobody_takes_leaves_the_stop_where_it_was(tmp_path: Path) -> None:
    """BTCUSDT is left at +4 h; the venue fills nothing for half an hour, and meanwhile its stop goes, too."""
    dry = FaultPlan.of(PartialFills(market_ratio=0.0, touch_ratio=0.0), from_ms=hours(3.9), until_ms=hours(4.5))

    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            running = asyncio.create_task(scene.runner(post, Cadence(look_s=600.0, rounds_s=600.0)).run())
            await sleep_until(scene.clock, hours(3.8))
            (before,) = scene.book.open_algos(BTC)
            await sleep_until(scene.clock, hours(4.2))
            (after,) = scene.book.open_algos(BTC)
            assert (after.qty, after.trigger_price) == (abs(scene.held[BTC]), before.trigger_price)
            scene.exchange.call("DELETE", "/fapi/v1/algoOrder", {"clientAlgoId": after.client_id}, ACCOUNT)
            await sleep_until(scene.clock, hours(4.4))
            (again,) = scene.book.open_algos(BTC)
            assert (again.qty, again.trigger_price) == (after.qty, after.trigger_price)
            await sleep_until(scene.clock, hours(5.1))
            assert BTC not in scene.held
            assert not scene.book.open_algos(BTC)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    at_venue(tmp_path, act, dry)


def test_a_closing_order_that_a_dry_book_expires_does_not_use_up_the_allowance(tmp_path: Path) -> None:
    """BTCUSDT is short from +1 h; its price is beyond the stop, and the book takes nothing for two minutes."""
    dry = FaultPlan.of(PartialFills(market_ratio=0.0), from_ms=hours(1.2), until_ms=hours(1.2) + 2 * MINUTE_MS)

    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            running = asyncio.create_task(scene.runner(post, Cadence(look_s=60.0, rounds_s=60.0), streaming=True).run())
            await sleep_until(scene.clock, hours(1.201))
            post.desk._triggers[BTC] = float(scene.book.open_algos(BTC)[0].trigger_price) * 0.9
            await sleep_until(scene.clock, hours(1.2) + 2 * MINUTE_MS)
            tries = [order for order in scene.book.orders.values() if order.client_id.startswith("sgt-")]
            assert BTC in scene.held
            assert 6 <= len(tries) <= 20, "each minute some, not all at once"
            assert max(Counter(order.created_ms // SECOND_MS for order in tries).values()) <= 2
            await sleep_until(scene.clock, hours(1.2) + 4 * MINUTE_MS)
            assert BTC not in scene.held
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    at_venue(tmp_path, act, dry, start_ms=hours(0.98))


def test_an_order_nobody_here_knows_stops_new_risk_until_it_is_gone(tmp_path: Path) -> None:
    """ETHUSDT and SOLUSDT would be entered at the start; the second bot's order is there before the first round."""

    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            runner = scene.runner(post)
            number = scene.exchange.place_as_other(ACCOUNT, BTC, 1, "0.010", price="26000.0")
            await runner._rounds.look()
            assert post.permit.doubts == {"order BTCUSDT"}
            assert post.permit.granted
            await runner.once()
            assert scene.held == {}
            scene.exchange.call("DELETE", "/fapi/v1/order", {"symbol": BTC, "orderId": str(number)}, ACCOUNT)
            await runner._rounds.look()
            assert not post.permit.doubts
            await runner.once()
            assert scene.held.keys() == {ETH, SOL}
            assert [alert.severity for alert in alerts(post.ledger)] == ["CRITICAL", "INFO"]

    at_venue(tmp_path, act)


@pytest.mark.parametrize("skew_s", [5.5, -5.5])
def test_a_clock_five_seconds_off_is_kept_to_the_venues(tmp_path: Path, skew_s: float) -> None:
    """Every signed request is refused until the clock is measured anew; nothing of the bar is lost by it."""
    skewed = FaultPlan.of(ClockSkew(skew_s), from_ms=hours(0.5))

    async def act(scene: Scene) -> None:
        await scene.run_until(hours(1.2), EVERY_FEW)
        with Ledger.open(scene.path, read_only=True) as ledger:
            check_books(scene, ledger)
            (sent,) = (
                intent
                for one in scene.book.orders.values()
                if (intent := ledger.intent(one.client_id)) and one.symbol == BTC
            )
            assert hours(1) <= sent.at_ms < hours(1) + 6 * SECOND_MS

    at_venue(tmp_path, act, skewed)


def test_limits_that_change_and_a_symbol_that_goes_while_running(tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        def change(symbol: str, **values: Any) -> None:
            found = scene.exchange.spec.symbol(symbol)
            assert found is not None
            scene.exchange.change_symbol(replace(found, **values))

        async with scene.post() as post:
            running = asyncio.create_task(scene.running(scene.runner(post, EVERY_FEW), hours(3.3)))
            await sleep_until(scene.clock, hours(0.5))
            change(ETH, step_size=Decimal("0.1"), min_qty=Decimal("0.1"))
            change(SOL, status="SETTLING")
            held = scene.held[SOL]
            await running
            check_books(scene, post.ledger)
            later = [order.qty for order in scene.book.orders.values() if order.symbol == ETH][1:]
            assert later
            assert all(qty % Decimal("0.1") == 0 for qty in later)
            assert scene.held[SOL] == held
            assert any(alert.what == "the venue takes no orders of SOLUSDT" for alert in alerts(post.ledger))

    at_venue(tmp_path, act)


def full_disk(ledger: Ledger) -> None:
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")


async def flattened(scene: Scene, post: Post) -> bool:
    terms = Terms(symbols=SYMBOLS, reason="test")
    permit = Permit.beside(scene.path)
    return (await flatten(post.venue, permit, scene.clock, SideRecord(scene.path), terms)).flat


def test_a_full_disk_stops_the_runner_plainly_and_a_flatten_still_works(tmp_path: Path) -> None:
    async def act(scene: Scene) -> str:
        async with scene.post() as post:
            await scene.runner(post).once()
            orders = len(scene.book.orders)
            full_disk(post.ledger)
            with pytest.raises(LedgerError) as caught:
                await scene.running(scene.runner(post, EVERY_FEW), hours(2.5))
            assert len(scene.book.orders) == orders  # an order that the ledger cannot hold is not sent
            assert "stops stay with the venue" in scene.said[-1]
            assert scene.held
            assert await flattened(scene, post)
            assert scene.held == {}
        return str(caught.value)

    error = at_venue(tmp_path, act)
    assert "no space is left to write" in error
    assert not Permit.beside(tmp_path / "trading.db").present()


def test_a_corrupt_ledger_refuses_the_start_plainly_and_a_flatten_still_works(tmp_path: Path) -> None:
    async def act(scene: Scene) -> str:
        async with scene.post() as post:
            await scene.runner(post).once()
        for name in ("trading.db-wal", "trading.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        scene.path.write_bytes(b"SQLite format 3\0" + b"rubbish" * 1_000)
        with pytest.raises(LedgerError) as caught:
            async with scene.post():
                pass
        assert scene.held
        async with scene.place.connection.venue(SYMBOLS, scene.clock, lambda: False) as venue:
            terms = Terms(symbols=SYMBOLS, reason="test")
            report = await flatten(venue, Permit.beside(scene.path), scene.clock, SideRecord(scene.path), terms)
        assert report.flat
        assert report.unrecorded
        return str(caught.value)

    error = at_venue(tmp_path, act)
    assert "trading.db: error[" in error
    assert "help:" in error


def test_R162_the_risk_guards_word_is_acknowledged_and_carried_out_within_seconds(tmp_path: Path) -> None:
    """And people are asked for the restart, once."""

    def signed(ledger: Ledger) -> SignedApprovals:
        return SignedApprovals(ledger, tmp_path / "allowed_signers", {}, release().bundle.request_valid_ms)

    async def act(scene: Scene) -> None:
        async with scene.post(signed) as post:
            running = asyncio.create_task(scene.running(scene.runner(post, Cadence(look_s=1.0)), hours(0.1)))
            await sleep_until(scene.clock, hours(0.05))
            assert scene.held
            now_ms = scene.clock.now_ms()
            files = DecisionFiles.under(scene.place.report_dir)
            decision = GuardDecision(
                "V-guard", named(scene.path), "FLATTEN_ALL", now_ms, now_ms, now_ms + 10 * HOUR_MS,
                post.desk.governor.posture.epoch_ms, entries_blocked=True, closes=True, because=("a test wants it",),
            )  # fmt: skip
            assert files.write(decision) == ""
            await sleep_until(scene.clock, now_ms + 3 * SECOND_MS)
            said = files.acknowledged()
            assert said is not None
            assert (said.decision_id, said.by) == ("V-guard", "runner")
            assert said.at_ms <= now_ms + 2 * SECOND_MS
            assert scene.held == {}
            await running
            posture = post.desk.governor.posture
            assert posture.paused_since_ms is not None
            assert [request.kind for request in posture.requests] == ["restart"]
            assert scene.held == {}
            check_books(scene, post.ledger)
            assert any("flattened by the runner" in alert.what for alert in alerts(post.ledger))
            assert not any("being closed" in alert.what for alert in alerts(post.ledger)), "the guard tells that"
            assert len(tallies(post.ledger, tmp_path / "allowed_signers", scene.clock.now_ms())) == 1, "asked at once"
            for _again in range(2):
                await scene.runner(post).once()
            (asked,) = tallies(post.ledger, tmp_path / "allowed_signers", scene.clock.now_ms())
            assert (asked.request.action, asked.request.approvals, asked.state) == ("restart", 2, "waiting")

    at_venue(tmp_path, act)


def test_R184_a_halt_survives_the_runner_and_its_bars_only_reduce(tmp_path: Path) -> None:
    async def act(scene: Scene) -> dict[str, Decimal]:
        async with scene.post() as post:
            Permit.beside(scene.path).revoke()
            await scene.runner(post).once()
        async with scene.post() as post:
            assert not post.permit.granted
            await scene.running(scene.runner(post, EVERY_FEW), hours(1.2))
        return scene.held

    assert at_venue(tmp_path, act) == {}
    with Ledger.open(tmp_path / "trading.db", read_only=True) as ledger:
        assert len(ledger.events("bar")) == 3


def test_R022_no_secret_is_in_any_file_line_or_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = FaultPlan.of(Outage("503"), from_ms=hours(0.05), until_ms=hours(0.1))

    async def act(scene: Scene) -> list[str]:
        async with scene.post() as post:
            await scene.running(scene.runner(post, EVERY_FEW, streaming=True), hours(0.15))
        scene.keys = Keys(KEY, "ANOTHER-SENTINEL")
        with pytest.raises(Exception, match="refuses the key") as caught:
            async with scene.post():
                pass
        chain = [str(scene.said), repr(scene.place)]
        error: BaseException | None = caught.value
        while error is not None:
            chain.append(repr(error) + str(error) + str(vars(error)))
            error = error.__cause__ or error.__context__
        return chain

    said = at_venue(tmp_path, act, gone, repeat_s=5.0)
    said += [caplog.text, *(path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file())]
    assert len(said) > 5
    for text in said:
        assert KEY not in text
        assert SECRET not in text
        assert "ANOTHER-SENTINEL" not in text


def test_a_clock_that_has_gone_back_is_said_plainly_and_changes_nothing(tmp_path: Path) -> None:
    async def launch(scene: Scene) -> None:
        await scene.run_until(hours(2.1), NEVER)

    at_venue(tmp_path, launch)
    with Ledger.open(tmp_path / "trading.db", read_only=True) as ledger:
        before = ledger.audit_head()
        check_time(ledger, hours(2) - 60_000, "trading.db")
        with pytest.raises(UsageError, match="its latest entry is of"):
            check_time(ledger, hours(2) - 60_001, "trading.db")

    async def earlier(scene: Scene) -> None:
        with pytest.raises(UsageError) as refused:
            await scene.run_until(hours(0.5), NEVER)
        assert [problem.code for problem in refused.value.problems] == ["clock-back"]

    at_venue(tmp_path, earlier)
    with Ledger.open(tmp_path / "trading.db", read_only=True) as ledger:
        assert ledger.audit_head() == before


@pytest.mark.parametrize("decided", [True, False])
def test_a_pause_whose_closing_does_not_end_is_told_while_it_runs(*, decided: bool, tmp_path: Path) -> None:
    ends_ms = hours(1) + 150 * SECOND_MS
    empty = FaultPlan.of(PartialFills(market_ratio=0.0), from_ms=hours(0.9), until_ms=ends_ms)

    async def act(scene: Scene) -> None:
        async with scene.post() as post:
            running = asyncio.create_task(scene.running(scene.runner(post, EVERY_FEW), hours(1.2)))
            await sleep_until(scene.clock, hours(0.5))
            assert scene.held
            policy = release().bundle.policies["action"]
            effects, rule = policy.effects["PAUSE"], policy.instances[0]
            now_ms = scene.clock.now_ms()
            post.desk.govern(lambda governor: governor.flattened(now_ms, "PAUSE", effects, "by hand"))
            if decided:  # and then killed, before anything was closed
                said = json.dumps({"fired": [rule.id]})
                post.ledger.append(VerdictRecord("V-pause", hours(1), "action", "PAUSE", "p", "c", "f", said))
            await sleep_until(scene.clock, ends_ms - SECOND_MS)
            assert scene.held
            await running
            assert scene.held == {}
            check_books(scene, post.ledger)
            told = [alert for alert in alerts(post.ledger) if alert.what.startswith("PAUSE: ")]
        assert [alert.what for alert in told[:3]] == ["PAUSE: everything is being closed", *["PAUSE: NOT FLAT"] * 2]
        assert [round((alert.at_ms - hours(1)) / SECOND_MS) for alert in told[:3]] == [0, 60, 120]
        assert {alert.severity for alert in told} == {"CRITICAL"}
        why = f"{rule.rule.because}; stagegate verdict show V-pause" if decided else "by hand"
        assert told[0].lines == (("why", why),)
        assert "close every position and cancel every order" in told[1].text("")
        assert told[3].what.startswith("PAUSE: flat after 15")
        assert len(told) == 4

    at_venue(tmp_path, act, empty)
