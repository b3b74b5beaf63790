"""What is missing or overdue is told once a day, by the review policy's own numbers (R105, R106, R204)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.alerts.alert import QUEUED, Alert
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, iso, parse_time
from engine.errors import UsageError
from engine.ledger import Event, Ledger
from engine.operations.reviews.book import Written, state_of
from engine.operations.reviews.due import overdue_rule, remind
from engine.operations.reviews.periods import period_at
from engine.policy.load import parse_policy
from tests.comparison.kit import bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = parse_time("2024-03-04")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", create=True) as opened:
        opened.set_meta(kind="paper", from_ms=START)
        yield opened


def reported(kind: str, end_ms: int, at_ms: int) -> Event:
    return Written(kind, iso(end_ms - DAY_MS)[:10], end_ms - DAY_MS, end_ms, "f" * 64, "p.html", at_ms).row()


def told(ledger: Ledger, now_ms: int) -> list[str]:
    return [alert.subject for alert in remind(ledger, bundle().policies["review"], now_ms)]


def test_R105_a_missing_daily_report_alerts_once_a_day(ledger: Ledger) -> None:
    first_end = START + DAY_MS
    assert told(ledger, first_end + 59 * MINUTE_MS) == []
    assert told(ledger, first_end + HOUR_MS) == ["daily report 2024-03-04"]
    assert told(ledger, first_end + 5 * HOUR_MS) == []
    ledger.append(reported("daily", START + 2 * DAY_MS, START + 2 * DAY_MS + MINUTE_MS))
    assert told(ledger, START + 2 * DAY_MS + 3 * HOUR_MS) == []
    assert told(ledger, START + 3 * DAY_MS + 3 * HOUR_MS) == ["daily report 2024-03-06"]
    (row, *_) = ledger.events(QUEUED)
    assert "`stagegate report --daily`" in Alert.from_row(row).text("[R1]")


def test_R106_R204_a_review_is_overdue_when_the_policy_says_so(ledger: Ledger) -> None:
    end = START + 7 * DAY_MS
    for day in range(1, 12):
        ledger.append(reported("daily", START + day * DAY_MS, START + day * DAY_MS))
    ledger.append(reported("weekly", end, end))
    assert told(ledger, end) == []
    assert told(ledger, end + 15 * MINUTE_MS) == ["weekly review overdue"]  # 7.01 days
    assert told(ledger, end + 6 * HOUR_MS) == []
    assert told(ledger, end + DAY_MS) == ["weekly review overdue"]
    text = Alert.from_row(ledger.events(QUEUED)[-1]).text("")
    assert "the weekly review is overdue: 8.0 days" in text
    assert "R106 R204" in text


def test_R106_a_missing_weekly_report_alerts(ledger: Ledger) -> None:
    for day in range(1, 9):
        ledger.append(reported("daily", START + day * DAY_MS, START + day * DAY_MS))
    assert set(told(ledger, START + 8 * DAY_MS)) == {"weekly report missing", "weekly review overdue"}


def test_another_number_in_the_policy_is_another_day() -> None:
    policy = bundle().policies["review"]
    assert overdue_rule(policy, "weekly", 7.0, START) is None
    rule = overdue_rule(policy, "weekly", 7.01, START)
    assert rule is not None
    assert rule.id == "weekly_overdue"
    assert overdue_rule(policy, "weekly", None, START) is not None
    stricter = policy.text.replace('weekly_review_age: "<= 7 days"', 'weekly_review_age: "<= 3 days"')
    changed = parse_policy(stricter.encode(), "review.yaml", policy.vocabulary)
    assert overdue_rule(changed, "weekly", 3.5, START) is not None
    assert overdue_rule(changed, "monthly", 30.0, START) is None


def test_nobody_is_reminded_of_a_rehearsal(ledger: Ledger) -> None:
    ledger.set_meta(kind="rehearsal")
    assert told(ledger, START + 90 * DAY_MS) == []


def test_a_report_is_due_held_overdue_or_passed() -> None:
    def report(day: int) -> Written:
        return Written("weekly", f"2024-03-{day}", 0, 0, "", "", day)

    assert state_of(report(10), (), report(10), overdue=False) == "due"
    assert state_of(report(10), (), report(10), overdue=True) == "overdue"
    assert state_of(report(10), (), report(17), overdue=True) == "passed"


def test_A105_a_month_has_28_live_days_and_a_week_what_there_is() -> None:
    week = period_at("weekly", START + 3 * DAY_MS + HOUR_MS, START)
    assert (week.name, week.days, week.from_ms) == ("2024-03-06", 3, START)
    week = period_at("weekly", START + 30 * DAY_MS, START)
    assert (week.name, week.days) == ("2024-04-02", 7)
    with pytest.raises(UsageError, match="at least 28 live days, there are 27"):
        period_at("monthly", START + 28 * DAY_MS - 1, START)
    month = period_at("monthly", START + 28 * DAY_MS, START)
    assert (month.days, month.from_ms) == (28, START)
    month = period_at("monthly", parse_time("2024-06-30"), START)
    assert (iso(month.from_ms)[:10], month.name, month.days) == ("2024-05-30", "2024-06-29", 31)
    with pytest.raises(UsageError, match="no UTC day is complete"):
        period_at("weekly", START + DAY_MS - 1, START)
    late = period_at("weekly", START + 2 * DAY_MS, START + HOUR_MS)  # launched within a day, which is not complete
    assert late.days == 1
