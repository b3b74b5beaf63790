"""The guard's files, outages, cash and times: what is written stays whole, what is told is told once."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, SimulatedClock
from engine.errors import PolicyError, UsageError
from engine.execution.venue import Balance, Income, Position
from engine.live.connection import (
    KEY,
    SECRET,
    Announcement,
    Mode,
    announce,
    announced_beside,
    connection,
    read_announcement,
)
from engine.live.decision_file import DecisionFiles, GuardDecision, GuardWatch, named
from engine.live.outages import Outages, outages_of
from engine.policy.bundle import load_bundle
from engine.risk_guard.equity import UNEXPLAINED_MS, Cash, Reading
from engine.risk_guard.start import bundle_of
from tests.risk_guard.guarding import RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.execution.venue import Venue
    from engine.policy.bundle import Bundle

LEDGER = Path("ledger.db")
CALM = GuardDecision("V1", named(LEDGER), "CLEAR", 0, 1_000_000, 1_060_000, 0, entries_blocked=False, closes=False)


# --- the decision's file


def test_R163_what_is_written_is_read_again_and_holds_for_its_time_only(tmp_path: Path) -> None:
    files, clock = DecisionFiles.under(tmp_path), SimulatedClock(CALM.at_ms)
    watch = GuardWatch(files, LEDGER, clock)
    assert watch.word() is None
    said = dataclasses.replace(CALM, because=("a", "b"), fired=("x",), facts={"drawdown": 1.5}, doing="watching")
    assert files.write(said) == ""
    assert files.decision == tmp_path / "risk_guard" / "latest_decision.json"
    assert files.read() == said
    word = watch.word()
    assert word is not None
    assert (word.outcome, word.decision_id, word.entries_blocked, word.closes) == ("CLEAR", "V1", False, False)
    clock.advance_to(CALM.valid_until_ms)
    assert watch.decision() == said
    clock.advance_to(CALM.valid_until_ms + 1)
    assert watch.decision() is None
    early = GuardWatch(files, LEDGER, SimulatedClock(CALM.at_ms - 61_000))
    assert early.decision() is None, "a clock was set: nobody knows when this was said"
    assert GuardWatch(files, Path("other.db"), SimulatedClock(CALM.at_ms)).decision() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"decision_id": "V1"}', "\xff"])
def test_what_cannot_be_understood_says_nothing(tmp_path: Path, text: str) -> None:
    files = DecisionFiles(tmp_path)
    files.decision.write_text(text, encoding="latin-1")
    files.acknowledgement.write_text(text, encoding="latin-1")
    assert files.read() is None
    assert files.acknowledged() is None


def test_what_is_not_plainly_mild_blocks_entries(tmp_path: Path) -> None:
    files = DecisionFiles(tmp_path)
    files.write(CALM)
    values = json.loads(files.decision.read_text())
    files.decision.write_text(json.dumps({**values, "entries_blocked": "no"}))
    found = files.read()
    assert found is not None
    assert found.entries_blocked


def test_a_full_disk_leaves_the_decision_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = DecisionFiles(tmp_path)
    files.write(CALM)

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "No space left" in files.write(dataclasses.replace(CALM, outcome="FLATTEN_ALL"))
    assert files.read() == CALM
    assert [file.name for file in tmp_path.iterdir()] == ["latest_decision.json"]


WRITER = """
import dataclasses, sys
from pathlib import Path
from engine.live.decision_file import DecisionFiles, GuardDecision
files = DecisionFiles(Path(sys.argv[1]))
first = GuardDecision("V", "l", "CLEAR", 0, 0, 0, 0, False, False, because=("x" * 20_000,))
for number in range(10**9):
    assert files.write(dataclasses.replace(first, at_ms=number)) == ""
    if number == 0:
        print("begun", flush=True)
"""


def test_R164_the_file_is_whole_at_every_instant_also_under_kill_9(tmp_path: Path) -> None:
    files = DecisionFiles(tmp_path)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, cwd=RULES.parents[1]
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"begun\n"
    seen = set()
    deadline_s = time.perf_counter() + 0.25
    while time.perf_counter() < deadline_s:
        seen.add(json.loads(files.decision.read_text())["at_ms"])
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert len(seen) > 5
    last = files.read()
    assert last is not None
    assert len(last.because[0]) == 20_000


# --- outages


def test_A78_an_outage_lasts_until_five_minutes_of_success() -> None:
    outages = Outages("guard", 5 * MINUTE_MS)
    begun = outages.failed(0, "no answer")
    assert begun is not None
    assert outages.failed(MINUTE_MS, "no answer") is None, "the same one"
    assert outages.succeeded(2 * MINUTE_MS) is None
    assert outages.failed(6 * MINUTE_MS, "no answer") is None, "four minutes of success ended nothing"
    assert outages.succeeded(7 * MINUTE_MS) is None
    ended = outages.succeeded(12 * MINUTE_MS)
    assert ended is not None
    (known,) = outages_of([begun, ended])
    assert (known.began_ms, known.ended_ms) == (0, 7 * MINUTE_MS)
    assert outages.failed(13 * MINUTE_MS, "no answer") is not None, "the next one"
    # 7 + 5 minutes of success reach until 12:00, the next began at 13:00
    assert outages.count(14 * MINUTE_MS) == 2
    assert outages.count(7 * MINUTE_MS + DAY_MS - 1) == 2
    outages.succeeded(14 * MINUTE_MS)
    outages.succeeded(20 * MINUTE_MS)
    assert [outages.count(minute * MINUTE_MS + DAY_MS) for minute in (6, 7, 13, 14)] == [2, 1, 1, 0]


def test_what_runner_and_guard_both_saw_is_one_outage_and_an_open_one_goes_on_after_a_restart() -> None:
    runner, guard = Outages("runner", 5 * MINUTE_MS), Outages("guard", 5 * MINUTE_MS)
    events = [runner.failed(SECOND_MS, "x"), guard.failed(0, "x")]
    noted = outages_of([event for event in events if event is not None])
    guard.learn(noted)
    assert guard.count(MINUTE_MS) == 1
    anew = Outages("guard", 5 * MINUTE_MS)
    anew.learn(noted)
    assert anew.running
    assert anew.failed(HOUR_MS, "x") is None
    assert anew.count(HOUR_MS) == 1
    stranger = Outages("other", 5 * MINUTE_MS)
    stranger.learn(noted)
    assert not stranger.running


@settings(max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20 * MINUTE_MS)), max_size=30))
def test_outages_never_overlap_and_are_told_as_they_were(steps: list[tuple[bool, int]]) -> None:
    outages, events, now_ms = Outages("guard", 5 * MINUTE_MS), [], 0
    for works, after_ms in steps:
        now_ms += after_ms
        event = outages.succeeded(now_ms) if works else outages.failed(now_ms, "x")
        events += [event] if event else []
    known = outages_of(events)
    ends = [each.ended_ms for each in known]
    assert all(end is not None for end in ends[:-1])
    assert all(later.began_ms - (end or 0) >= 5 * MINUTE_MS for end, later in zip(ends, known[1:], strict=False))
    assert outages.running == (bool(known) and known[-1].ended_ms is None)


# --- cash


class History:
    """A venue's history of cash, told later than it happens."""

    def __init__(self) -> None:
        self.rows: list[Income] = []
        self.asked = 0
        self.moving: Decimal | None = None
        self.now: Reading | None = None

    async def balance(self) -> Balance:
        assert self.now is not None
        money = self.now.balance
        return money if self.moving is None else dataclasses.replace(money, wallet_usd=self.moving)

    async def income(self, from_ms: int) -> tuple[Income, ...]:
        self.asked += 1
        return tuple(row for row in self.rows if row.at_ms >= from_ms)


def reading(at_ms: int, wallet: float, qty: str = "1") -> Reading:
    price = Decimal(100)
    position = Position("BTCUSDT", Decimal(qty), price, price, Decimal(0), None)
    money = Decimal(str(wallet))
    return Reading(at_ms, Balance(money, money, money), {"BTCUSDT": position})


def row(name: str, kind: str, amount: float, at_ms: int) -> Income:
    return Income(name, kind, None, Decimal(str(amount)), "USDT", at_ms)


def settled(cash: Cash, history: Any, *readings: Reading) -> list[Decimal]:
    """Return what is held apart after each reading."""

    async def act() -> list[Decimal]:
        found = []
        venue: Venue = history
        for each in readings:
            history.now = each
            await cash.settle(venue, each)
            found.append(cash.apart_usd)
        return found

    return asyncio.run(act())


def test_A53_a_deposit_is_held_apart_until_the_history_tells_of_it() -> None:
    cash, history = Cash(0, {}, None), History()
    assert settled(cash, history, reading(1_000, 500), reading(2_000, 5_500)) == [0, 5_000]
    assert settled(cash, history, reading(10 * UNEXPLAINED_MS, 5_500)) == [5_000], "a gain never counts unexplained"
    history.rows.append(row("t1", "TRANSFER", 5_000, 2_000))
    assert settled(cash, history, reading(11 * UNEXPLAINED_MS, 5_500)) == [0]
    assert cash.transfers_usd == 5_000


def test_a_loss_that_nothing_explains_in_time_is_one() -> None:
    cash, history = Cash(0, {}, None), History()
    assert settled(cash, history, reading(1_000, 500), reading(2_000, 200)) == [0, -300]
    assert settled(cash, history, reading(2_001 + UNEXPLAINED_MS, 200)) == [0]
    assert cash.transfers_usd == 0


def test_funding_and_trades_are_no_transfers_and_fills_in_a_row_are_one_question() -> None:
    cash, history = Cash(0, {}, None), History()
    assert settled(cash, history, reading(1_000, 500)) == [0]
    history.rows.append(row("f", "FUNDING_FEE", -1, 2_000))
    assert settled(cash, history, reading(2_000, 499)) == [0]
    asked = history.asked
    fills = [reading(3_000 + number, 499 - number, f"1.{number}") for number in range(1, 5)]
    assert settled(cash, history, *fills) == [0] * 4
    assert cash.owed
    assert history.asked == asked
    assert settled(cash, history, reading(20_000, 495, "1.4")) == [0]
    assert not cash.owed
    assert cash.transfers_usd == 0


def test_what_the_history_told_is_remembered_as_long_as_it_can_tell_it_again() -> None:
    cash, history = Cash(0, {}, None), History()
    settled(cash, history, reading(1_000, 500))
    days = range(1, 40)
    for number in days:
        at_ms = number * DAY_MS
        history.rows.append(row(f"f{number}", "FUNDING_FEE", -1, at_ms))
        assert settled(cash, history, reading(at_ms, 500 - number), reading(at_ms + 1, 500 - number)) == [0, 0]
    assert len(cash._heard) <= 2


def test_money_that_moves_while_the_history_is_asked_is_counted_again() -> None:
    cash, history = Cash(0, {}, None), History()
    settled(cash, history, reading(1_000, 500))
    history.moving = Decimal(5_499)  # a deposit between the reading and the question
    history.rows = [row("f", "FUNDING_FEE", -1, 2_000), row("t1", "TRANSFER", 5_000, 2_001)]
    assert settled(cash, history, reading(2_000, 499)) == [0]
    assert cash.transfers_usd == 0, "the reading does not know of it"
    history.moving = None
    assert settled(cash, history, reading(3_000, 5_499)) == [0]
    assert cash.transfers_usd == 5_000


def test_the_margin_follows_the_mark_prices() -> None:
    one = reading(0, 1_000, "-2")
    assert one.margin_usd({}) == 1_000
    assert one.margin_usd({"BTCUSDT": Decimal(110)}) == 980
    assert one.gross_usd({"BTCUSDT": Decimal(110)}) == 220


# --- times of the bundle


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, str], Bundle]:
    """Return a function that loads the shipped bundle with its block of times replaced."""
    shipped = RULES.read_text().replace("../policies", str(RULES.parents[1] / "policies"))
    for name in ("prod_candidate_R1.yaml", "venue_filters.yaml"):
        shipped = shipped.replace(f"path: {name}", f"path: {RULES.parent / name}")

    def load(old: str, new: str) -> Bundle:
        assert old in shipped
        path = tmp_path / "bundle.yaml"
        path.write_text(shipped.replace(old, new))
        return load_bundle(path, only=("risk_guard",))

    return load


def test_the_shipped_times_are_those_of_the_sop() -> None:
    times = load_bundle(RULES, only=("risk_guard",)).guard_times
    assert times is not None
    assert times.mark_every_ms <= MINUTE_MS  # A08
    assert (times.acknowledged_within_ms, times.flat_within_ms) == (10 * SECOND_MS, MINUTE_MS)
    assert times.outage_ends_after_ms == 5 * MINUTE_MS
    assert (times.dead_man_ms, times.dead_man_renewed_every_ms) == (120 * SECOND_MS, 30 * SECOND_MS)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("mark_every: 15 seconds", "mark_every: soon", "duration"),
        ("mark_every: 15 seconds", "mark_every: 0 seconds", "duration"),
        ("mark_every: 15 seconds", "mark_every: 1 minute", "duration"),
        ("dead_man_renewed_every: 30 seconds", "dead_man_renewed_every: 2 minutes", "duration"),
        ("    flat_within: 1 minute ", "    # ", "missing"),
        ("flat_within:", "flat_after:", "unknown-key"),
    ],
)
def test_a_mistake_in_the_times_is_refused(
    written: Callable[[str, str], Bundle], old: str, new: str, code: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        written(old, new)
    assert code in {problem.code for problem in caught.value.problems}


def test_R001_R111_the_bundle_may_be_named_as_the_sop_does_or_by_its_own_configuration(tmp_path: Path) -> None:
    config = load_bundle(RULES, only=("risk_guard",)).config_path
    named_so = [bundle_of(None, None, RULES), bundle_of(RULES, None, LEDGER), bundle_of(config, None, RULES)]
    assert [*named_so, bundle_of(config, RULES, LEDGER)] == [RULES] * 4
    other = tmp_path / "other.yaml"
    other.write_text(config.read_text() + "# edited\n")
    with pytest.raises(UsageError, match="this is not the configuration that"):
        bundle_of(other, RULES, LEDGER)


# --- connections


def test_R021_R022_the_real_account_needs_both_keys_and_shows_neither() -> None:
    with pytest.raises(UsageError) as caught:
        connection(Mode.REAL, LEDGER, {KEY: " ", SECRET: ""})
    assert [problem.where for problem in caught.value.problems] == [KEY, SECRET]
    found = connection(Mode.REAL, LEDGER, {KEY: "sentinel-key", SECRET: "sentinel-secret"})
    assert (found.keys.api_key, found.announcement) == ("sentinel-key", None)
    assert "sentinel" not in repr(found) + str(found)


def test_the_paper_account_is_where_its_simulator_announced_it(tmp_path: Path) -> None:
    ledger = tmp_path / "paper.db"
    said = Announcement("http://127.0.0.1:1", "ws://127.0.0.1:1/", "sentinel-key", "sentinel-secret", 5_000, 1_000, 2.0)
    with pytest.raises(UsageError, match="no simulated exchange is announced"):
        connection(Mode.PAPER, ledger)
    announce(announced_beside(ledger), said)
    assert announced_beside(ledger).stat().st_mode & 0o077 == 0, "a key stands in it"
    found = connection(Mode.PAPER, ledger)
    assert found.announcement == said
    assert said.paced
    assert said.simulated_ms(3_000) == 9_000
    assert "sentinel" not in repr(found)
    announced_beside(ledger).write_text(json.dumps({**dataclasses.asdict(said), "speed": 0}))
    with pytest.raises(UsageError, match="cannot be understood") as caught:
        read_announcement(announced_beside(ledger))
    assert "sentinel" not in str(caught.value)
