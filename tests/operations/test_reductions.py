"""A reduction that lasts is paged once a day, at its own hour, and never again for the same day (A29)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from engine.alerts.alert import QUEUED, Alert, Severity
from engine.bounds import Episode, after_verdict, initial_posture
from engine.clock import DAY_MS, HOUR_MS, SimulatedClock
from engine.ledger import Event, Ledger
from engine.operations.reductions import daily_pages
from engine.service.cadences import page_for_reductions
from tests.operations.incident_kit import T0_MS, bundle

if TYPE_CHECKING:
    from pathlib import Path

REDUCED = after_verdict(
    initial_posture(3, 15_000.0, T0_MS), bundle().policies["action"], "REDUCE", ("drawdown_red",), T0_MS
).posture


@pytest.mark.parametrize(("after_ms", "days"), [(DAY_MS - 1, None), (DAY_MS, 1), (2 * DAY_MS - 1, 1), (2 * DAY_MS, 2)])
def test_A29_a_reduction_is_paged_for_each_whole_day_that_it_lasts(after_ms: int, days: int | None) -> None:
    pages = daily_pages(REDUCED, T0_MS + after_ms)
    assert [(page.severity, page.at_ms) for page in pages] == (
        [] if days is None else [(Severity.CRITICAL, T0_MS + days * DAY_MS)]
    )
    assert all(page.what == f"REDUCE: exposure ×0.5 for {days} day{'s' * (days != 1)}" for page in pages)


def test_A29_each_reduction_is_told_by_itself() -> None:
    two = dataclasses.replace(REDUCED, episodes=(*REDUCED.episodes, Episode("data", T0_MS, T0_MS, 0.5)))
    assert [page.subject.split()[1] for page in daily_pages(two, T0_MS + DAY_MS)] == ["REDUCE", "data"]


def test_A29_ten_days_looked_at_each_hour_are_ten_pages(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        ledger.set_meta(kind="paper", from_ms=T0_MS)
        document = json.dumps(REDUCED.to_json())
        ledger.append(Event("posture-1", T0_MS, "posture", "", document))
        for hour in range(10 * 24 + 1):
            duty: Any = SimpleNamespace(ledger=ledger, clock=SimulatedClock(T0_MS + hour * HOUR_MS))
            asyncio.run(page_for_reductions(duty))
        pages = [Alert.from_row(event) for event in ledger.events(QUEUED)]
    assert [page.at_ms for page in pages] == [T0_MS + day * DAY_MS for day in range(1, 11)]
