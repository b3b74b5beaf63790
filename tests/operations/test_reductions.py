"""A reduction that lasts is paged as often as the policy says, at its own hour, and once for each turn (A29)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from engine.alerts.alert import QUEUED, Alert, Severity
from engine.bounds import Episode, after_verdict, effects_of, initial_posture
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SimulatedClock
from engine.ledger import Event, Ledger
from engine.operations.reductions import lasting_pages
from engine.service.cadences import page_for_reductions
from tests.operations.incident_kit import RULES, T0_MS, bundle

if TYPE_CHECKING:
    from pathlib import Path

    from engine.policy.model import Policy

ACTION = bundle().policies["action"]
REDUCED = after_verdict(initial_posture(3, 15_000.0, T0_MS), ACTION, "REDUCE", ("drawdown_red",), T0_MS).posture


def paging(every_ms: int | None) -> Policy:
    reduce = dataclasses.replace(ACTION.effects["REDUCE"], page_every_ms=every_ms)
    return dataclasses.replace(ACTION, effects={**ACTION.effects, "REDUCE": reduce})


@pytest.mark.parametrize(("after_ms", "days"), [(DAY_MS - 1, None), (DAY_MS, 1), (2 * DAY_MS - 1, 1), (2 * DAY_MS, 2)])
def test_A29_a_reduction_is_paged_for_each_whole_day_that_it_lasts(after_ms: int, days: int | None) -> None:
    pages = lasting_pages(REDUCED, ACTION, T0_MS + after_ms)
    assert [(page.severity, page.at_ms) for page in pages] == (
        [] if days is None else [(Severity.CRITICAL, T0_MS + days * DAY_MS)]
    )
    assert all(page.what == f"REDUCE: exposure ×0.5 for {days} day{'s' * (days != 1)}" for page in pages)


def test_A29_how_often_is_the_policys_to_say() -> None:
    (page,) = lasting_pages(REDUCED, paging(8 * HOUR_MS), T0_MS + DAY_MS - 1)
    assert page.what == "REDUCE: exposure ×0.5 for 16 hours"
    assert lasting_pages(REDUCED, paging(None), T0_MS + 30 * DAY_MS) == ()


def test_A29_each_reduction_is_told_by_itself() -> None:
    two = dataclasses.replace(REDUCED, episodes=(*REDUCED.episodes, Episode("data", T0_MS, T0_MS, 0.5)))
    assert [page.subject.split()[1] for page in lasting_pages(two, ACTION, T0_MS + DAY_MS)] == ["REDUCE", "data"]


def test_A29_ten_days_looked_at_each_hour_are_ten_pages(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        ledger.set_meta(kind="paper", from_ms=T0_MS)
        document = json.dumps(REDUCED.to_json())
        ledger.append(Event("posture-1", T0_MS, "posture", "", document))
        for hour in range(10 * 24 + 1):
            duty: Any = SimpleNamespace(ledger=ledger, clock=SimulatedClock(T0_MS + hour * HOUR_MS), rules=RULES)
            asyncio.run(page_for_reductions(duty))
        pages = [Alert.from_row(event) for event in ledger.events(QUEUED)]
    assert [page.at_ms for page in pages] == [T0_MS + day * DAY_MS for day in range(1, 11)]


def test_A28_an_episode_that_a_new_bundle_no_longer_knows_can_still_end() -> None:
    """A turnover of the bundle, while it runs, takes the kind away."""
    started = after_verdict(initial_posture(3, 15_000.0, T0_MS), ACTION, "REDUCE", ("equity_stale",), T0_MS).posture
    assert [episode.kind for episode in started.episodes] == ["data"]
    without = dataclasses.replace(ACTION, episodes={})
    assert effects_of(without, "data") == ACTION.effects["REDUCE"]
    later = after_verdict(started, without, "KEEP", (), T0_MS + 5 * DAY_MS)
    assert [request.subject for request in later.posture.requests] == ["data"]
    assert later.posture.exposure == 0.5
    assert effects_of(without, "data").recovery_ms != 15 * MINUTE_MS
