"""A crash under the service: the hard stop, each step of its incident in its time, the post-mortem, the restart.

`python -m benchmarks.hard_stop` does the same with the crash of the demo's year.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.hard_stop import timings
from engine.ledger import Ledger
from engine.operations.incidents.book import ACT, ASSESS, CONFIRM, STEPS, TELL, incidents
from tests.execution.faults.world import Play
from tests.service.service_world import found_wrong, served

if TYPE_CHECKING:
    from engine.operations.incidents.book import Incident


@pytest.mark.requirement("R165")
@pytest.mark.requirement("R171")
@pytest.mark.requirement("R174")
def test_a_hard_stop_goes_through_every_step_with_its_times_in_the_ledger(tmp_path: Path) -> None:
    run = served(Play(3, hours=12, crash=True, kill_at=frozenset({40})), tmp_path)
    assert not found_wrong(run)
    with Ledger.open(run.played.ledger, read_only=True) as ledger:
        found = [one for one in incidents(ledger) if one.trigger == "PAUSE"]
        assert ledger.events("restart", from_ms=found[0].opened_ms)
    told = timings(found[0])
    assert (told["missing"], told["late"]) == ([], [])
    after_s = told["after_s"]
    assert 0 <= after_s[ACT] <= 300 < after_s[CONFIRM] <= 900 < after_s[ASSESS] <= 1_800 <= after_s[TELL] <= 2_400
    assert told["restarted_after_s"] > 0
    assert_papers(found[0])


def assert_papers(incident: Incident) -> None:
    kept = incident.steps[ASSESS].found
    assert all(Path(path).is_file() for path in (kept["copy"]["path"], kept["snapshot"], kept["post_mortem"]))
    page = Path(kept["post_mortem"]).read_text(encoding="utf-8")
    assert incident.incident_id in page
    assert set(incident.steps) == set(STEPS)
