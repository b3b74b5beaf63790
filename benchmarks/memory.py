"""Whether memory stays flat: over days on the real path, and over very many verdicts."""

from __future__ import annotations

import gc
import os
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.harness import Figure, Target
from benchmarks.inputs import CONFIG, RULES, SEED, moments
from benchmarks.machine import resident_mb
from benchmarks.verdicts import SITUATION, open_ledger
from engine.policy.worker import Worker
from engine.real_path.loop import on_real_path
from engine.rehearsal.run import RehearsalRequest, rehearse
from engine.verdict import Judge, bundle_hashes
from engine.version import version

if TYPE_CHECKING:
    from benchmarks.inputs import Inputs
    from engine.rehearsal.loop import Progress

DAYS = (1, 10, 20, 30)
DAY_BARS = 24

# Of the real path: what grows there is the books of the simulated venue, which remembers every order and payment.
BOOKS_MB = 4.0

# A day's truths are kept for ever (that is what a streak counts): some 4,000 days of them are less than this.
FLAT_MB = 4.0


def figures(inputs: Inputs) -> list[Figure]:
    """Read the resident memory of the real path first: what verdicts leave free would hide what it takes."""
    return [_real_path(inputs), *_verdicts(inputs)]


def _real_path(inputs: Inputs) -> Figure:
    """Rehearse through client and simulated venue, in one process, and read its memory after days."""
    last = min(DAYS[-1], inputs.scale.rehearsed_days)
    days = [*(day for day in DAYS if day < last), last]
    read: dict[int, float] = {}

    def look(progress: Progress) -> None:
        day, hour = divmod(progress.bars, DAY_BARS)
        if not hour and day in days:
            gc.collect()
            read[day] = resident_mb(os.getpid())

    folder = inputs.folder / "real_path"
    request = RehearsalRequest(CONFIG, RULES, folder, SEED, last, None, "klines", None, None, 3, "all", "benchmark")
    rehearse(request, look, carry_out=partial(on_real_path, seed=SEED))
    told = ", ".join(f"{mb:.1f} MB after day {day}" for day, mb in sorted(read.items()))
    growth = read[last] - read[days[0]]
    what = f"growth over {last} simulated days on the real path"
    return Figure(what, ours=True, p50=growth, unit="MB", targets=(Target("p50", BOOKS_MB, "#4"),), note=told)


def _verdicts(inputs: Inputs) -> list[Figure]:
    """Read the resident memory of parent and worker after the first and the last of the scale's two counts."""
    first, last = inputs.scale.memory
    read: dict[int, tuple[float, float]] = {}
    path = inputs.folder / "memory.db"
    with Worker(inputs.action) as worker, open_ledger(inputs, path, "rehearsal") as ledger:
        judge = Judge(inputs.action, worker, bundle_hashes(inputs.bundle), version())
        for number, (at_ms, facts, day_ends) in enumerate(moments(inputs, last), start=1):
            verdict = judge.verdict(facts, at_ms, SITUATION)
            ledger.append(verdict.rows())
            if day_ends:
                judge.add_day(at_ms, verdict.posted)
            if number in (first, last):
                gc.collect()
                read[number] = (resident_mb(os.getpid()), resident_mb(worker.pid or 0))
        restarts = worker.restarts
    (parent, child), (parent_last, child_last) = read[first], read[last]
    size = path.stat().st_size / 1e6
    note = f"{parent:.1f} → {parent_last:.1f} MB in the parent (ledger {size:,.0f} MB on disk)"
    beside = f"{child:.1f} → {child_last:.1f} MB in the worker, {restarts} restarts"
    span = f"{first:,} to {last:,} verdicts"
    flat = Target("p50", FLAT_MB, "#2")
    return [
        Figure(f"parent's growth, {span}", True, parent_last - parent, unit="MB", targets=(flat,), note=note),  # noqa: FBT003
        Figure(f"worker's growth, {span}", True, child_last - child, unit="MB", targets=(flat,), note=beside),  # noqa: FBT003
    ]
