"""A hard stop in the demo's year, on the real path: every step of the incident, with the times that the ledger holds.

The year of `make demo` (seed 7) is traded through the client at the simulated venue up to its crash. The desk closes
the book, the caretaker of `serve` carries out the steps of SOP §5.1 beside it, people approve the restart a day later.
Run: ``python -m benchmarks.hard_stop``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.clock import SECOND_MS, elapsed_s, iso, parse_time
from engine.ledger import Ledger
from engine.live.opening import Release
from engine.operations.incidents.book import ACT, STEPS, incidents
from engine.real_path.loop import Course, run_bars, staged
from engine.rehearsal.run import RehearsalRequest, rehearse
from engine.service.cadences import look_after_incidents
from engine.service.caretaker import Keeping, Work
from engine.service.duty import Duty, Round
from engine.service.settings import load_settings
from engine.timeline import run_virtual
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.clock import Clock
    from engine.live.desk_parts import BarReport
    from engine.policy.decide import Engine
    from engine.rehearsal.loop import Plan, Progress

ROOT = Path(__file__).parents[1]
SEED, DAYS, STAGE = 7, 366, 3
AFTER_THE_RESTART = "2024-08-04"
LOOK_S = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Rehearse, and print the timings; return 1 where a step is missing or late."""
    parser = argparse.ArgumentParser("benchmarks.hard_stop", description="The incident of the demo's year")
    parser.add_argument("--out", type=Path, default=ROOT / "reports/hard_stop", help="ledger and papers")
    parser.add_argument("--to", default=AFTER_THE_RESTART, help="end of the rehearsal, a UTC date")
    asked = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    began_s = elapsed_s()
    config, rules = ROOT / "config/prod_candidate_R1.yaml", ROOT / "config/prod_scale_rules_R1.yaml"
    request = RehearsalRequest(
        config, rules, asked.out, SEED, DAYS, None, "klines", None, parse_time(asked.to), STAGE, "all", "hard_stop"
    )
    carry_out = partial(with_caretaker, rules=rules, folder=asked.out)
    done = rehearse(request, lambda _: None, report=False, carry_out=carry_out)
    with Ledger.open(done.ledger, read_only=True) as ledger:
        found = [timings(one) for one in incidents(ledger) if one.demands_flat]
    for one in found:
        _print(one)
    (asked.out / "timings.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    print(f"{elapsed_s() - began_s:.0f} s of the machine's time")
    return 0 if found and not any(one["missing"] or one["late"] for one in found) else 1


def with_caretaker(
    plan: Plan, ledger: Ledger, engine: Engine, progress: Callable[[Progress], None], *, rules: Path, folder: Path
) -> None:
    """Go through a plan on the real path; from the first closing on, the caretaker works beside the desk."""
    del progress
    course = Course(
        plan.market, Release(plan.config, plan.bundle, version()), plan.start_ms, plan.end_ms, plan.stage, SEED
    )
    times = load_settings(ROOT / "config/service.yaml").caretaker

    async def run(clock: Clock) -> None:
        async with staged(course, ledger, engine, plan.approvals, clock) as scene:
            duty = Duty(ledger, clock, plan.config.path, rules, folder, lambda _: plan.market, scene.venue)
            work = Work([Round("incidents", LOOK_S, look_after_incidents)], [], times)
            keeping = Keeping(duty, work, lambda text: print(text, file=sys.stderr))
            caring: list[asyncio.Task[None]] = []

            def tell(report: BarReport) -> None:
                if report.flattened is not None and not caring:
                    caring.append(asyncio.ensure_future(keeping.run(folder / "caretaker.json")))
                elif caring and not any(one.left for one in incidents(ledger) if one.demands_flat):
                    keeping.stop()  # every step is done; it would look each five seconds for nothing

            await run_bars(scene, plan.start_ms, plan.end_ms, tell)
            keeping.stop()
            await asyncio.gather(*caring)

    run_virtual(run, plan.start_ms)


def timings(incident: Any) -> dict[str, Any]:
    """Return what the ledger says of one incident: seconds after it was opened by its cause."""
    steps = {step: incident.steps[step] for step in STEPS if step in incident.steps}
    late = [step for step, record in steps.items() if record.at_ms > incident.limit_ms(step)]
    flat = steps[ACT].found.get("flat", {}) if ACT in steps else {}
    return {
        "incident": incident.incident_id,
        "opened": iso(incident.opened_ms),
        "why": incident.why,
        "flat": flat,
        "after_s": {step: (record.at_ms - incident.opened_ms) / SECOND_MS for step, record in steps.items()},
        "found": {step: sorted(record.found) for step, record in steps.items()},
        "missing": [step for step in STEPS if step not in steps or not steps[step].done],
        "late": late,
        "restarted_after_s": None
        if incident.restarted_ms is None
        else (incident.restarted_ms - incident.opened_ms) / SECOND_MS,
    }


def _print(found: dict[str, Any]) -> None:
    print(f"{found['incident']}  opened {found['opened']}: {found['why']}")
    for step, after_s in found["after_s"].items():
        word = "LATE" if step in found["late"] else "ok"
        print(f"  {step:<10} {after_s:8.1f} s  {word:<5} {', '.join(found['found'][step])}")
    print(f"  restart    {found['restarted_after_s'] or float('nan'):8.0f} s; flat: {found['flat']}")


if __name__ == "__main__":
    sys.exit(main())
