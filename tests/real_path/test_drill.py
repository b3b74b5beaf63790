"""The drill that the demo ends with: a kill switch pulled on the real path, timed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from engine.clock import parse_time
from engine.ledger import Ledger
from engine.real_path.drill import Drill, drill_text, kill_switch_drill
from engine.real_path.loop import Course, Scene, on_real_path
from engine.rehearsal.run import RehearsalRequest, rehearse

ROOT = Path(__file__).parents[2]


def test_R158_R159_R165_the_kill_switch_ends_flat_verified_and_latched(tmp_path: Path) -> None:
    drills: list[Drill] = []

    async def pull(scene: Scene, course: Course, ledger: Path) -> None:
        drills.append(await kill_switch_drill(scene, course, ledger))
        book = scene.exchange.accounts["desk"]
        assert (book.held(), book.open_orders(), book.open_algos()) == ([], [], [])
        assert not scene.permit.present()

    request = RehearsalRequest(
        config=ROOT / "config/prod_candidate_R1.yaml", rules=ROOT / "config/prod_scale_rules_R1.yaml", out=tmp_path,
        seed=7, days=366, data=None, klines="klines", from_ms=parse_time("2024-12-31"), to_ms=parse_time("2025-01-01"),
        stage=3, approve="all", command="test",
    )  # fmt: skip
    done = rehearse(request, lambda _: None, report=False, carry_out=partial(on_real_path, seed=7, at_end=pull))
    (drill,) = drills
    assert drill.flat
    assert not drill.left_ordering
    text = drill_text(drill)
    assert "held" in drill.stood
    for word in ("pulled", "FLATTEN_ALL", "alert queued", "acknowledges", "latched", "cancelled", "closed", "verified"):
        assert word in text
    assert text.endswith("FLAT, verified; the halt stays")
    verified = next(moment for moment in drill.timeline if moment.what.startswith("verified"))
    assert verified.after_ms <= 1_000
    with Ledger.open(done.ledger, read_only=True) as ledger:
        assert ledger.events("flatten_ended")
        ledger.verify()
