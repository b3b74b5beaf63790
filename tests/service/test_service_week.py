"""Short form of `benchmarks.campaign --kinds service`: a day of a service whose children die at any write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.clock import HOUR_MS, MINUTE_MS
from engine.ledger import Ledger
from engine.operations.reviews.book import DAILY, written
from tests.execution.faults.hot import START_MS
from tests.execution.faults.world import Play
from tests.service.service_world import Served, found_wrong, served

if TYPE_CHECKING:
    from pathlib import Path

PLAY = Play(5, hours=21, kill_at=frozenset({60, 300, 500}))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return served(PLAY, tmp_path_factory.mktemp("service"))


def test_no_report_is_missed_no_order_doubled_no_alert_lost_whoever_is_killed(run: Served) -> None:
    assert not found_wrong(run)
    assert len(run.played.fate.deaths) == 3
    assert len(run.kills) >= 3
    assert len(run.played.account.fills) > 12


def test_an_incident_of_the_day_went_through_its_steps_in_time(run: Served) -> None:
    with Ledger.open(run.played.ledger, read_only=True) as ledger:
        (opened,) = ledger.events("incident_opened")
        steps = {json.loads(event.document)["step"]: event.at_ms for event in ledger.events("incident_step")}
    assert len(steps) == 4
    assert max(steps.values()) - opened.at_ms <= 35 * MINUTE_MS


def test_the_checks_see_what_they_are_there_to_see(run: Served, tmp_path: Path) -> None:
    del tmp_path
    lost = dict(run.delivered)
    run.delivered.pop(next(iter(lost)))
    assert any("never reached anybody" in one for one in found_wrong(run))
    run.delivered.update(lost)
    with Ledger.open(run.played.ledger) as ledger:
        report = written(ledger, DAILY)[0]
        ledger.append(type(report)(**{**vars(report), "sha256": "0" * 64, "at_ms": START_MS + 22 * HOUR_MS}).row())
    wrong = found_wrong(run)
    assert any("daily reports to" in one for one in wrong)
