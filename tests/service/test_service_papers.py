"""What the caretaker owes for days, weeks and months, and what it does when something goes wrong."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.alerts.alert import QUEUED, Alert, Severity
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SimulatedClock, parse_time
from engine.errors import ConfigError, DataError, Problem
from engine.ledger import Ledger
from engine.operations.reviews.book import DAILY, MONTHLY, WEEKLY, written
from engine.service.cadences import backups_beside, papers
from engine.service.caretaker import DATED, Keeping, Work
from engine.service.duty import Duty, Paper, Round
from engine.service.periods import Period, day_at, ended, month_at, week_at
from engine.service.settings import DEFAULT, load_settings
from tests.operations.incident_kit import LAUNCH_MS, RULES, T0_MS, bundle, new_desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.market.series import Market

TIMES = load_settings(RULES.with_name(DEFAULT.name)).caretaker
AT = {"day": day_at, "week": week_at, "month": month_at}


@given(at=st.sampled_from(list(AT.values())), at_ms=st.integers(0, parse_time("2100-01-01")), days=st.integers(0, 800))
@settings(max_examples=60)
def test_periods_follow_each_other_without_a_gap_and_none_is_due_before_it_is_over(
    at: Any, at_ms: int, days: int
) -> None:
    now_ms = at_ms + days * DAY_MS
    found = list(ended(at, at_ms, now_ms))
    first = at(at_ms)
    assert first.from_ms <= at_ms < first.to_ms
    assert [one.from_ms for one in found[1:]] == [one.to_ms for one in found[:-1]]
    assert all(one.from_ms % DAY_MS == 0 and at(one.to_ms - 1) == one for one in found)
    assert len({one.name for one in found}) == len(found)
    following = at(now_ms)
    assert following.to_ms > now_ms
    assert (found[-1].to_ms if found else first.from_ms) == following.from_ms


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    assert week_at(parse_time("2024-12-30")) == Period("2025-W01", parse_time("2024-12-30"), parse_time("2025-01-06"))
    assert month_at(parse_time("2024-02-29")).to_ms == parse_time("2024-03-01")


def no_prices(_: Any) -> Market:
    raise DataError(Problem("no-prices", "", "there are none"))


@pytest.fixture
def duty(tmp_path: Path) -> Iterator[Duty]:
    desk = new_desk(tmp_path)
    clock = SimulatedClock(T0_MS)
    with desk.ledger as ledger:
        yield Duty(ledger, clock, bundle().config_path, RULES, tmp_path / "reports", no_prices)


def once(duty: Duty, *rounds: Round, owed: list[Paper] | None = None) -> tuple[str, ...]:
    work = Work(rounds, papers(TIMES) if owed is None else owed, TIMES)
    return asyncio.run(Keeping(duty, work, lambda _: None).once())


def at(duty: Duty, at_ms: int) -> Duty:
    return replace(duty, clock=SimulatedClock(at_ms))


@pytest.mark.requirement("R105")
def test_R106_what_was_missed_while_nothing_ran_is_caught_up_exactly_once(duty: Duty) -> None:
    since_ms = T0_MS - 18 * DAY_MS

    def lately(paper: Paper) -> Paper:
        def possible(period: Period, begun_ms: int) -> bool:
            return period.to_ms > since_ms and paper.possible(period, begun_ms)

        return replace(paper, possible=possible)

    few = [lately(one) for one in papers(TIMES) if one.name != "daily report"]
    assert once(duty, owed=few) == ()
    weeks = [report.to_ms for report in written(duty.ledger, WEEKLY)]
    assert weeks == [one.to_ms for one in ended(week_at, since_ms, T0_MS)]
    assert [report.period for report in written(duty.ledger, MONTHLY)] == ["2024-04-30"]
    days = [one.name for one in ended(day_at, since_ms, T0_MS)]
    assert len(days) == 18
    made = sorted(path.name for path in backups_beside(duty.ledger.path).iterdir())
    assert made == [f"trading-{day}.db" for day in days[-TIMES.backups_kept :]]
    events = duty.ledger.counts()["events"]
    assert once(duty, owed=few) == ()
    assert duty.ledger.counts()["events"] == events


@pytest.mark.requirement("R106")
def test_a_period_that_cannot_be_written_is_told_and_holds_up_none_after_it(duty: Duty) -> None:
    backup = next(one for one in papers(TIMES) if one.name == "backup")
    broken = day_at(T0_MS - 3 * DAY_MS).name

    async def write(duty: Duty, period: Period) -> None:
        if period.name == broken:
            raise DataError(Problem("broken", period.name, "the marks of that day make no sense"))
        await backup.write(duty, period)

    wrong = once(duty, owed=[replace(backup, write=write)])
    assert wrong == ("backup: the marks of that day make no sense",)
    assert [one.name for one in backup.due(duty.ledger, T0_MS, 0)] == [broken]


def test_a_month_of_too_few_days_is_not_owed(duty: Duty) -> None:
    monthly = next(one for one in papers(TIMES) if one.name == "monthly report")
    assert [one.name for one in monthly.due(duty.ledger, T0_MS, 0)] == ["2024-04"]
    assert parse_time("2024-04-01") > LAUNCH_MS


def test_R105_a_daily_report_waits_for_the_bar_that_closes_its_day_but_not_for_ever(duty: Duty) -> None:
    daily = papers(TIMES)[0]
    midnight = T0_MS - T0_MS % DAY_MS
    soon, grace_ms = midnight + DAY_MS + MINUTE_MS, 10 * MINUTE_MS
    due = [one.name for one in daily.due(duty.ledger, soon, grace_ms)]
    assert day_at(midnight).name not in due
    assert day_at(midnight - DAY_MS).name in due
    assert day_at(midnight).name in [one.name for one in daily.due(duty.ledger, soon + grace_ms, grace_ms)]


def test_R105_two_days_reports_lie_in_the_archive_and_are_noted_with_their_hashes(duty: Duty) -> None:
    daily = papers(TIMES)[0]
    recent = replace(daily, possible=lambda period, _: period.to_ms > T0_MS - 2 * DAY_MS)
    assert once(duty, owed=[recent]) == ()
    reports = written(duty.ledger, DAILY)
    assert [report.period for report in reports] == ["2024-05-08", "2024-05-09"]
    for report in reports:
        document = json.loads((duty.report_dir / f"prod_reports/daily/{report.period}.json").read_text("utf-8"))
        assert document["day"] == report.period
    assert not list(recent.due(duty.ledger, T0_MS, 0))


def test_a_copy_left_by_a_crash_stands_and_is_noted_once(duty: Duty) -> None:
    backup = next(one for one in papers(TIMES) if one.name == "backup")
    period = day_at(T0_MS - DAY_MS)
    left = backups_beside(duty.ledger.path) / f"trading-{period.name}.db"
    left.parent.mkdir()
    duty.ledger.backup(left)
    before = left.read_bytes()
    only = replace(backup, possible=lambda one, _: one == period)
    assert once(duty, owed=[only]) == once(duty, owed=[only]) == ()
    assert left.read_bytes() == before
    assert len(duty.ledger.events("service")) == 1
    with Ledger.open(left, read_only=True) as copy:
        copy.verify()


def test_work_that_fails_is_told_once_holds_up_nothing_and_is_well_again(duty: Duty) -> None:
    wrong = {"on": True}

    async def sometimes(_: Duty) -> None:
        if wrong["on"]:
            raise ConfigError(Problem("x", "", "the disk is full"))

    async def broken(_: Duty) -> None:
        raise RuntimeError("a bug")

    turns = [Round("first", 1, sometimes), Round("second", 1, broken)]
    keeping = Keeping(duty, Work(turns, [], TIMES), lambda _: None)
    assert asyncio.run(keeping.once()) == ("first: the disk is full", "second: RuntimeError: a bug")
    asyncio.run(keeping.once())
    wrong["on"] = False
    keeping._duty = at(duty, T0_MS + HOUR_MS)
    assert asyncio.run(keeping.once()) == ("second: RuntimeError: a bug",)
    told = [Alert.from_row(event).what for event in duty.ledger.events(QUEUED)]
    assert told == [
        "the caretaker cannot do its work: first",
        "the caretaker cannot do its work: second",
        "the caretaker does its work again: first",
    ]


def test_while_the_ledger_is_from_the_future_what_carries_a_date_waits_and_that_is_told_once(duty: Duty) -> None:
    newest_ms = duty.ledger.newest_ms()
    assert newest_ms is not None
    done: list[str] = []

    async def dated(_: Duty) -> None:
        done.append("dated")

    async def undated(_: Duty) -> None:
        done.append("undated")

    written: list[str] = []

    async def write(_: Duty, period: Period) -> None:
        written.append(period.name)

    day = Paper("day", day_at, lambda _: (), write)
    turns = [Round("dated", 1, dated), Round("undated", 1, undated, dated=False)]
    keeping = Keeping(at(duty, newest_ms - MINUTE_MS - 1), Work(turns, [day], TIMES), lambda _: None)
    before = duty.ledger.counts()
    for back_ms in (MINUTE_MS + 1, HOUR_MS):
        keeping._duty = at(duty, newest_ms - back_ms)
        (wrong,) = asyncio.run(keeping.once())
        assert wrong.startswith(f"{DATED}: {duty.ledger.path}: its latest entry is of ")
    assert done == ["undated"] * 2
    assert not written
    (alert,) = [Alert.from_row(event) for event in duty.ledger.events(QUEUED)]
    assert alert.severity is Severity.HIGH
    assert dict(alert.lines)["do"].startswith("set the clock right")
    assert duty.ledger.counts() == before | {"events": before["events"] + 1}
    keeping._duty = at(duty, newest_ms - MINUTE_MS)  # the venue's time and the machine's may be so far apart
    assert asyncio.run(keeping.once()) == ()
    assert done == ["undated"] * 2 + ["dated", "undated"]
    assert written
    told = [Alert.from_row(event).what for event in duty.ledger.events(QUEUED)]
    assert told == [f"the caretaker cannot do its work: {DATED}", f"the caretaker does its work again: {DATED}"]


def test_every_mistake_of_the_services_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "service.yaml"
    text = RULES.with_name(DEFAULT.name).read_text(encoding="utf-8")
    text = text.replace("hung_after_seconds: 45", "hung_after_seconds: soon").replace("guard:", "guards:")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_settings(path)
    said = str(refused.value)
    assert f"{path}:7:" in said
    assert "a number from 0.01 to 86,400" in said
    assert "`children.guards` is not a key of this file" in said
