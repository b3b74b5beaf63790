"""A day of a service with a crash in it, while its children die at any write: nothing missed, doubled or lost.

The long forms are `python -m benchmarks.campaign --kinds service` (weeks) and `python -m benchmarks.hard_stop` (the
crash of the demo's year).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.hard_stop import timings
from engine.clock import HOUR_MS
from engine.ledger import Ledger
from engine.operations.incidents.book import ACT, ASSESS, CONFIRM, STEPS, TELL, incidents
from engine.operations.reviews.book import DAILY, written
from tests.execution.faults.hot import START_MS
from tests.execution.faults.world import Play
from tests.service.service_world import found_wrong, served

if TYPE_CHECKING:
    from tests.service.service_world import Served

PLAY = Play(8, hours=21, crash=True, kill_at=frozenset({60, 300, 500}))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return served(PLAY, tmp_path_factory.mktemp("service"))


def test_no_report_is_missed_no_order_doubled_no_alert_lost_whoever_is_killed(run: Served) -> None:
    assert not found_wrong(run)
    assert len(run.played.fate.deaths) == 3
    assert len(run.kills) >= 3
    assert len(run.played.account.fills) >= 10


@pytest.mark.requirement("R171")
@pytest.mark.requirement("R174")
def test_a_hard_stop_goes_through_every_step_with_its_times_in_the_ledger(run: Served) -> None:
    with Ledger.open(run.played.ledger, read_only=True) as ledger:
        found = next(one for one in incidents(ledger) if one.trigger == "PAUSE")
        assert ledger.events("restart", from_ms=found.opened_ms)
    told = timings(found)
    assert (told["missing"], told["late"]) == ([], [])
    after_s = told["after_s"]
    assert 0 <= after_s[ACT] <= 300 <= after_s[CONFIRM] <= 900 <= after_s[ASSESS] <= 1_800 <= after_s[TELL] <= 2_400
    assert told["restarted_after_s"] > 0
    assert set(found.steps) == set(STEPS)
    kept = found.steps[ASSESS].found
    assert all(Path(path).is_file() for path in (kept["copy"]["path"], kept["snapshot"], kept["post_mortem"]))
    assert found.incident_id in Path(kept["post_mortem"]).read_text(encoding="utf-8")


def test_the_checks_see_what_they_are_there_to_see(run: Served, tmp_path: Path) -> None:
    """On a copy: the others look at the same run."""
    with Ledger.open(run.played.ledger, read_only=True) as ledger:
        copy = ledger.backup(tmp_path / "ledger.db")
    mine = replace(run, played=replace(run.played, ledger=copy), delivered=run.delivered.copy())
    mine.delivered.pop(next(iter(mine.delivered)))
    assert any("never reached anybody" in one for one in found_wrong(mine))
    with Ledger.open(copy) as ledger:
        report = written(ledger, DAILY)[0]
        ledger.append(type(report)(**{**vars(report), "sha256": "0" * 64, "at_ms": START_MS + 22 * HOUR_MS}).row())
    assert any("daily reports to" in one for one in found_wrong(mine))
