"""T+0, T+5, T+15 and T+30 with the real adapter at the simulator, in virtual time."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.alerts.alert import QUEUED, Alert
from engine.clock import MINUTE_MS, SECOND_MS, SimulatedClock
from engine.errors import UsageError
from engine.execution.binance.client import Keys
from engine.execution.binance.connection import open_venue
from engine.ledger import Event, Ledger
from engine.operations.incidents.book import STEP, STEPS, TICKED, Incident, incidents
from engine.operations.incidents.caretaker import Caretaker, tick
from engine.operations.incidents.evidence import copy_ledger
from engine.operations.incidents.steps import Means
from engine.policy.worker import Worker
from engine.reports.incident_papers import IncidentPapers
from engine.simulator.faults import FaultPlan
from engine.simulator.faults.conditions import Outage
from tests.execution.dealing import BTC, ETH, SOL, Dealing, dealing, stop_by_hand, trade
from tests.operations.incident_kit import T0_MS, paused_desk
from tests.risk_guard.guarding import CRASH_MS, KEY, SECRET, SYMBOLS, bundle, guarded
from tests.simulator.serving import START_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.simulator.exchange import Exchange
    from tests.risk_guard.guarding import Post

HALT = "INC-20221109-01"


def halted(ledger: Ledger, at_ms: int = START_MS) -> None:
    """Let a policy demand that everything is closed."""
    detail = json.dumps({"severity": "CRITICAL", "verdict_id": ""})
    ledger.append(Event("test-halt", at_ms, "incident", "PAUSE", detail))


def means_of(on: Dealing, folder: Path) -> Means:
    return Means(on.ledger, on.scene.clock, IncidentPapers(folder / "reports"), on.scene.venue)


def alerts(ledger: Ledger) -> list[Alert]:
    return [Alert.from_row(row) for row in ledger.events(QUEUED)]


def texts(*paths: str | Path) -> list[str]:
    return [Path(path).read_text(encoding="utf-8") for path in paths]


def only(ledger: Ledger) -> Incident:
    (incident,) = incidents(ledger)
    return incident


def test_R160_R168_R169_R170_R176_a_hard_stop_goes_through_every_step_with_its_time(tmp_path: Path) -> None:
    """The guard's own hard stop in a crash: a full book, orders and stops; then thirty minutes of the SOP."""

    async def act(post: Post) -> None:
        guard = await post.watching()
        await post.until(CRASH_MS + 8 * SECOND_MS)
        guard.cancel()
        await asyncio.gather(guard, return_exceptions=True)
        venue = open_venue(Keys(KEY, SECRET), SYMBOLS, post.clock, lambda: False, addresses=post.addresses())
        with Ledger.open(post.path) as ledger:
            keeper = Caretaker(Means(ledger, post.clock, IncidentPapers(tmp_path / "reports"), venue))
            for minutes in (0, 5, 15, 30):
                await post.until(CRASH_MS + minutes * MINUTE_MS)
                await keeper.carry_out_due(post.clock.now_ms())
        await venue.close()

    with Worker(bundle().policies["risk_guard"]) as engine:
        guarded(tmp_path, engine, act, fall=0.125)
    with Ledger.open(tmp_path / "ledger.db", read_only=True) as ledger:
        incident = only(ledger)
        assert (incident.incident_id, incident.trigger, incident.opened_ms) == (HALT, "FLATTEN_ALL", CRASH_MS)
        assert incident.why.startswith("the drawdown is beyond the hard stop: 12.6 % > 12 %")
        assert incident.left == ()
        times = [incident.steps[step].at_ms for step in STEPS]
        for step, at_ms in zip(STEPS, times, strict=True):
            assert 0 <= at_ms - incident.due_ms(step) <= 31 * SECOND_MS
        closed = incident.steps["T+0"].found["flat"]
        assert closed["in_time"]
        assert closed["verified_after_s"] <= 1  # of the five minutes that the SOP gives, after the breach's mark
        account = incident.steps["T+5"].found["account"]
        assert (account["positions"], account["orders"], account["stops"]) == ([], [], [])
        assert float(account["wallet_usd"]) == pytest.approx(18_740, abs=20)
        said = alerts(ledger)
        assert {alert.subject for alert in said} >= {HALT, f"{HALT} summary"}
        assert not [alert for alert in said if "overdue" in alert.subject and "screenshot" not in alert.subject]
        ledger.verify()


def position(exchange: Exchange) -> None:
    trade(exchange, BTC, 1, "0.300")


def order(exchange: Exchange) -> None:
    trade(exchange, ETH, -1, "0.500", "1550.00")


def conditional(exchange: Exchange) -> None:
    trade(exchange, SOL, 1, "40")
    stop_by_hand(exchange, SOL, "SELL", "40", "47.000")


@pytest.mark.parametrize(
    ("prepare", "left"), [(position, "position 0.300 BTCUSDT"), (order, "order "), (conditional, "stop ")]
)
def test_R168_R169_t5_is_not_done_while_anything_stands_and_done_once_it_is_gone(
    tmp_path: Path, prepare: Callable[[Exchange], None], left: str
) -> None:
    async def act(on: Dealing) -> None:
        halted(on.ledger)
        keeper = Caretaker(means_of(on, tmp_path))
        await asyncio.sleep(5 * 60 + 1)
        tried = {record.step: record for _, record in await keeper.carry_out_due(on.scene.clock.now_ms())}
        assert not tried["T+5"].done
        assert "NOT FLAT" in tried["T+5"].problems[0]
        assert left in tried["T+5"].problems[0]
        assert not tried["T+0"].done
        await keeper.carry_out_due(on.scene.clock.now_ms())
        assert len(on.ledger.events(STEP)) == 2  # the same failure again is one record
        report = await on.flatten()
        assert report.flat
        await keeper.carry_out_due(on.scene.clock.now_ms())
        incident = only(on.ledger)
        assert incident.left == ("T+15", "T+30")
        account = incident.steps["T+5"].found["account"]
        assert account["wallet_usd"] == f"{on.scene.book.wallet:f}"
        assert not incident.steps["T+0"].found["flat"]["in_time"]  # flat, but more than five minutes after the breach

    dealing(tmp_path / "desk", act, prepare=prepare)


def test_R168_a_venue_that_does_not_answer_is_never_flat_and_what_is_overdue_pages_once(tmp_path: Path) -> None:
    away = FaultPlan.of(Outage(), from_ms=START_MS + 4 * MINUTE_MS, until_ms=START_MS + 20 * MINUTE_MS)

    async def act(on: Dealing) -> None:
        halted(on.ledger)
        await on.flatten()
        keeper = Caretaker(means_of(on, tmp_path))
        for _ in range(9):
            await keeper.carry_out_due(on.scene.clock.now_ms())
            await asyncio.sleep(2 * 60)
        incident = only(on.ledger)
        assert incident.done("T+0")
        assert not incident.done("T+5")
        kept = incident.steps["T+15"]
        assert not kept.done
        assert kept.found.keys() == {"copy", "report", "post_mortem"}
        assert kept.problems[0].startswith("snapshot: ")
        await asyncio.sleep(5 * 60)
        await keeper.carry_out_due(on.scene.clock.now_ms())
        incident = only(on.ledger)
        assert incident.left == ("T+30",)
        assert incident.steps["T+15"].found["copy"] == kept.found["copy"]  # not copied again
        overdue = [alert for alert in alerts(on.ledger) if "overdue" in alert.subject]
        assert [alert.subject for alert in overdue] == [f"{HALT} T+5 overdue", f"{HALT} T+15 overdue"]
        assert overdue[0].severity == "CRITICAL"

    dealing(tmp_path / "desk", act, away)


def test_R171_R172_R173_R174_R175_the_evidence_is_whole_and_the_team_is_told(tmp_path: Path) -> None:
    async def act(on: Dealing) -> None:
        halted(on.ledger)
        await on.flatten()
        keeper = Caretaker(means_of(on, tmp_path))
        await asyncio.sleep(15 * 60)
        await keeper.carry_out_due(on.scene.clock.now_ms())
        head = on.ledger.audit_head()
        found = only(on.ledger).steps["T+15"].found
        copy, files = Path(found["copy"]["path"]), texts(found["snapshot"], *found["report"])
        assert copy.name == "20221109_1315_trading.db"
        with Ledger.open(copy, read_only=True) as kept:
            kept.verify()
            assert kept.events("flatten_ended") == on.ledger.events("flatten_ended")
            assert kept.audit_head().length == found["copy"]["audit_length"] <= head.length
        snapshot = json.loads(files[0])
        assert snapshot["wallet_usd"] == f"{on.scene.book.wallet:f}"
        assert snapshot["mark_prices"]["BTCUSDT"]
        assert files[1].startswith("# ")
        await asyncio.sleep(15 * 60)
        await keeper.carry_out_due(on.scene.clock.now_ms())
        summary = next(alert for alert in alerts(on.ledger) if alert.subject == f"{HALT} summary")
        text = summary.text("[R1]")
        for word in ("flat 0.0 s after", "balance 10,000", "screenshot, to be ticked", str(copy), "incident close"):
            assert word in text
        (log,) = texts(tmp_path / "reports/incidents/incident_log.md")
        row = f"| {HALT}.md | CRITICAL | PAUSE: test | 2022-11-09 13:00:00 UTC | 0.0 s | open |  | screenshot |"
        assert row in log

    dealing(tmp_path / "desk", act)


def test_R171_a_second_copy_within_a_minute_has_a_name_of_its_own(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        halted(ledger)
        names = [Path(copy_ledger(ledger.path, tmp_path / "kept", START_MS)["path"]).name for _ in range(2)]
    assert names == ["20221109_1300_trading.db", "20221109_1300-2_trading.db"]


def test_R171_a_ledger_that_somebody_altered_is_copied_all_the_same_and_the_copy_says_so(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        halted(ledger)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as file:
        file.execute("DROP TRIGGER events_never_updated")
        file.execute("UPDATE events SET subject = 'KEEP'")
        file.commit()
    found = copy_ledger(tmp_path / "ledger.db", tmp_path / "kept", START_MS)
    assert found["audit"] == "the trigger `events_never_updated` is not as this version makes it"
    assert Path(found["path"]).exists()


def test_R172_only_a_named_person_ticks_the_screenshot_and_until_then_it_is_wanted(tmp_path: Path) -> None:
    desk = paused_desk(tmp_path)
    incident = desk.found()
    assert incident.unticked == ("screenshot",)
    with pytest.raises(UsageError, match="does not say who did it"):
        tick(desk.ledger, incident.incident_id, "screenshot", " ", T0_MS + 1)
    with pytest.raises(UsageError, match="`flat` is not a person's to tick"):
        tick(desk.ledger, incident.incident_id, "flat", "alice", T0_MS + 1)
    with pytest.raises(UsageError, match="cannot be read"):
        tick(desk.ledger, incident.incident_id, "screenshot", "alice", T0_MS + 1, tmp_path / "none.png")
    assert desk.ledger.events(TICKED) == ()
    picture = tmp_path / "positions.png"
    picture.write_bytes(b"flat")
    ticked = tick(desk.ledger, incident.incident_id, "screenshot", "alice", T0_MS + MINUTE_MS, picture)
    assert ticked.unticked == ()
    assert ticked.ticks["screenshot"].evidence["sha256"].startswith("5dc27af2")
    assert (
        tick(desk.ledger, incident.incident_id, "screenshot", "bob", T0_MS + MINUTE_MS).ticks["screenshot"].by
        == "alice"
    )
    desk.ledger.close()


def test_R176_without_a_venue_each_overdue_step_says_why_and_nothing_is_claimed(tmp_path: Path) -> None:
    desk = paused_desk(tmp_path)
    clock = SimulatedClock(T0_MS + 40 * MINUTE_MS)
    keeper = Caretaker(Means(desk.ledger, clock, desk.papers, None, "no keys"))
    asyncio.run(_twice(keeper, clock.now_ms()))
    incident = desk.found()
    assert incident.left == ("T+5", "T+15")
    assert incident.steps["T+5"].problems == ("account: no keys",)
    subjects = [alert.subject for alert in alerts(desk.ledger) if "overdue" in alert.subject]
    names = [subject.removeprefix("INC-20240510-01 ").removesuffix(" overdue") for subject in subjects]
    assert names == ["T+0", "T+5", "T+15", "T+30", "screenshot"]
    desk.ledger.close()


async def _twice(keeper: Caretaker, now_ms: int) -> None:
    await keeper.carry_out_due(now_ms)
    await keeper.carry_out_due(now_ms)


def test_R160_a_reduction_demands_no_flat_book_and_no_screenshot(tmp_path: Path) -> None:
    async def act(on: Dealing) -> None:
        on.ledger.append(Event("r", START_MS, "incident", "REDUCE", json.dumps({"severity": "HIGH"})))
        keeper = Caretaker(means_of(on, tmp_path))
        await asyncio.sleep(6 * 60)
        await keeper.carry_out_due(on.scene.clock.now_ms())
        incident = only(on.ledger)
        assert (incident.left, incident.unticked) == (("T+15", "T+30"), ())
        assert incident.steps["T+5"].found["account"]["positions"][0]["symbol"] == BTC

    dealing(tmp_path / "desk", act, prepare=position)


def test_a_second_caretaker_does_nothing_twice(tmp_path: Path) -> None:
    async def act(on: Dealing) -> None:
        halted(on.ledger)
        await on.flatten()
        await asyncio.sleep(31 * 60)
        with Ledger.open(on.ledger.path) as other:
            means = Means(other, on.scene.clock, IncidentPapers(tmp_path / "reports"), on.scene.venue)
            now_ms = on.scene.clock.now_ms()
            keepers = (Caretaker(means_of(on, tmp_path)), Caretaker(means))
            await asyncio.gather(*(keeper.carry_out_due(now_ms) for keeper in keepers))
        assert len(incidents(on.ledger)) == 1
        done = [row.event_id for row in on.ledger.events(STEP) if row.event_id.endswith("done")]
        assert sorted(done) == sorted(f"{HALT}-{step}-done" for step in STEPS)
        assert [alert.subject for alert in alerts(on.ledger)].count(f"{HALT} summary") == 1

    dealing(tmp_path / "desk", act)
