"""Reports from the ledger of a desk that ran for long: what the person at the morning check waits for."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING

from benchmarks.commands import rehearsed_ledger
from benchmarks.harness import Target, run, timed
from benchmarks.inputs import CONFIG, RULES
from engine.clock import HOUR_MS
from engine.ledger import Event, Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness import Figure
    from benchmarks.inputs import Inputs

YEAR_DAYS = 366


def figures(inputs: Inputs) -> list[Figure]:
    """Measure the daily report and the weekly one, each written anew by a cold process."""
    year = YEAR_DAYS if inputs.scale.full_length else inputs.scale.rehearsed_days
    scaled = dataclasses.replace(inputs, scale=dataclasses.replace(inputs.scale, rehearsed_days=year))
    ledger = rehearsed_ledger(scaled)
    _as_a_desk_writes(ledger)
    program = [f"{sys.prefix}/bin/stagegate", "report"]
    where = ["--ledger", str(ledger), "-c", str(CONFIG), "--rules", str(RULES)]
    note = f"cold process, ledger of {year} days with a verdict an hour, {ledger.stat().st_size / 1e6:.0f} MB"

    def report(kind: str) -> Figure:
        def write() -> None:
            for path in sorted(inputs.folder.glob(f"reports/prod_reports/{kind}/*")):
                path.unlink()  # what is there already would not be written again
            run([*program, f"--{kind}", *where], inputs.folder, (0, 20))

        targets = (Target("p50", 3.0, "#5"),) if kind == "daily" else ()
        return timed(write, repeats=inputs.scale.commands).figure(f"`stagegate report --{kind}`", *targets, note=note)

    return [report("daily"), report("weekly")]


def _as_a_desk_writes(path: Path) -> None:
    """Add what a rehearsal leaves out and a running desk records: a verdict and a bar every hour."""
    with Ledger.open(path) as ledger:
        days = ledger.verdicts(policy="action")
        known = {record.at_ms for record in days}
        rows: list[Event] = []
        for record in days:
            document = json.loads(record.document)
            for hour in range(24):
                at_ms = record.at_ms - hour * HOUR_MS
                if at_ms not in known:
                    known.add(at_ms)
                    told = {**document, "at_ms": at_ms, "verdict_id": f"V{at_ms}-action"}
                    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                    ledger.append(
                        dataclasses.replace(record, verdict_id=told["verdict_id"], at_ms=at_ms, document=text)
                    )
                rows.append(Event(f"bar-{at_ms}", at_ms, "bar", "0", '{"bounds":[1.0,15000.0,true],"orders":[]}'))
        ledger.append({row.event_id: row for row in rows}.values())
