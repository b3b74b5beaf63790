"""Verdicts by both engines, the engines alone, and replays."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING

from benchmarks.harness import Target, Times, processor_s, timed
from benchmarks.inputs import moments
from benchmarks.machine import process_cpu_s
from engine.clock import elapsed_s
from engine.history import RecordedDay, replay_policy, replayed
from engine.ledger import FactsSnapshot, Ledger
from engine.policy.derive import History
from engine.policy.durable import DurableEngine
from engine.policy.interpreter import evaluate, outcome_of
from engine.policy.worker import Worker
from engine.posted import facts_document
from engine.verdict import Judge, Situation, bundle_documents, bundle_hashes
from engine.version import version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.harness import Figure
    from benchmarks.inputs import Inputs
    from engine.policy.decide import Production
    from engine.policy.model import Policy, Snapshot

SITUATION = Situation(stage=3, exposure=1.0, cap_usd=15_000.0, equity_usd=15_000.0)
WARM_UP = 20

RECORDED = (
    Target("p50", 0.002, "#2"),
    Target("p99", 0.005, "#2"),
    Target("p50", 0.0015, "#3"),
    Target("p99", 0.004, "#3"),
)
REPLAY = (Target("p50", 0.2, "#2"),)
REPLAY_DURABLE = (Target("p50", 4.0, "#2"),)
REPLAY_LONG = (Target("p50", 0.15, "#3"),)
SHORT_REPLAY = 2000


def figures(inputs: Inputs) -> list[Figure]:
    """Measure verdicts, the engines alone, and replays."""
    return [*_recorded(inputs), *_engines(inputs), *_replays(inputs)]


def _recorded(inputs: Inputs) -> list[Figure]:
    return [
        _verdicts(inputs, "live").figure(
            "verdict by both engines, recorded (live ledger)",
            *RECORDED,
            note="facts validated, streaks, both engines, explained, hashed; each commit waits for the disk",
        ),
        _verdicts(inputs, "rehearsal").figure(
            "verdict by both engines, recorded (rehearsal ledger)",
            *RECORDED,
            note="the same; commits do not wait for the disk",
        ),
        _verdicts(inputs, None).figure(
            "verdict by both engines, not recorded", note="facts validated, streaks, both engines"
        ),
    ]


def _verdicts(inputs: Inputs, kind: str | None) -> Times:
    """Return the times of one verdict after another, each of another hour; days enter the history at midnight."""
    with Worker(inputs.action) as worker:
        judge = Judge(inputs.action, worker, bundle_hashes(inputs.bundle), version())
        ledger = None if kind is None else open_ledger(inputs, inputs.folder / f"{kind}.db", kind)
        wall_s: list[float] = []
        before = 0.0
        for number, (at_ms, facts, day_ends) in enumerate(moments(inputs, WARM_UP + inputs.scale.verdicts)):
            if number == WARM_UP:
                before = processor_s() + process_cpu_s(worker.pid or 0)
            start = elapsed_s()
            verdict = judge.verdict(facts, at_ms, SITUATION)
            if ledger:
                ledger.append(verdict.rows())
            wall_s.append(elapsed_s() - start)
            if day_ends:
                judge.add_day(at_ms, verdict.posted)
        spent = processor_s() + process_cpu_s(worker.pid or 0) - before
        if ledger:
            ledger.close()
    return Times(tuple(wall_s[WARM_UP:]), spent)


def open_ledger(inputs: Inputs, path: Path, kind: str) -> Ledger:
    """Return a new ledger with the bundle's texts; a rehearsal's commits do not wait for the disk."""
    with Ledger.open(path, create=True) as ledger:
        ledger.set_meta(kind=kind)
        ledger.append(bundle_documents(inputs.bundle))
    return Ledger.open(path)


def snapshots(inputs: Inputs) -> list[Snapshot]:
    """Return what both engines read on each of the days."""
    history, found = History(inputs.action), []
    for at_ms, facts in inputs.days:
        reading = history.read(facts, at_ms)
        history.end_day(reading)
        found.append(history.snapshot(reading))
    return found


def interpreted(policy: Policy, snapshot: Snapshot) -> tuple[str, tuple[str, ...]]:
    """Return the interpreter's outcome and fired rules."""
    fired = evaluate(policy, snapshot)
    return outcome_of(policy, fired), fired


def one_after_another(
    task: Callable[[Snapshot], object], inputs: Inputs, days: Sequence[Snapshot], *, pid: int | None = None
) -> Times:
    """Return the times of `task` on one day after another, as often as verdicts are measured."""
    following = cycle(days)
    other = partial(process_cpu_s, pid) if pid else None
    return timed(lambda: task(next(following)), repeats=inputs.scale.verdicts, warm_up=WARM_UP, other_cpu_s=other)


def _engines(inputs: Inputs) -> list[Figure]:
    policy, days = inputs.action, snapshots(inputs)
    counts = Counter(interpreted(policy, day)[0] for day in days)
    mix = ", ".join(f"{outcome} {counts[outcome]}" for outcome in policy.outcomes)
    note = f"{len(policy.instances)} rules, {len(policy.inputs)} inputs; days by outcome: {mix}"
    alone = one_after_another(partial(interpreted, policy), inputs, days)
    inside = one_after_another(DurableEngine(policy).fired, inputs, days)
    with Worker(policy) as worker:
        behind = one_after_another(worker.fired, inputs, days, pid=worker.pid)
    return [
        alone.figure("interpreter alone, whole action policy", Target("p50", 50e-6, "#2, #3"), note=note),
        inside.figure("durable-rules alone, in this process", note="the same days, the same rules fired"),
        behind.figure("durable-rules alone, in its worker", note="one question and answer over the pipe"),
    ]


def recorded(inputs: Inputs) -> list[RecordedDay]:
    """Return the days as a replay takes them."""
    return [RecordedDay(at_ms, facts, None, "") for at_ms, facts in inputs.days]


def replayed_through(engine: Production, policy: Policy, days: Sequence[RecordedDay]) -> list[str]:
    """Decide recorded days again with another engine than the interpreter; return the outcomes."""
    history, outcomes = History(policy), []
    for day in days:
        reading = history.read(day.facts, day.at_ms)
        history.end_day(reading)
        outcomes.append(outcome_of(policy, engine.fired(history.snapshot(reading))))
    return outcomes


def _replays(inputs: Inputs) -> list[Figure]:
    policy, repeats, days = inputs.action, inputs.scale.replays, recorded(inputs)
    shorter = days[:SHORT_REPLAY]
    name = f"{len(shorter):,} days"
    within, through, longer = (REPLAY, REPLAY_DURABLE, REPLAY_LONG) if inputs.scale.full_length else ((), (), ())
    path = inputs.folder / "days.db"
    with open_ledger(inputs, path, "rehearsal") as ledger:
        ledger.append(FactsSnapshot.of(day.at_ms, facts_document(day.facts), day_close=True) for day in days)
    plain = timed(lambda: replayed(policy, shorter), repeats=repeats)
    whole = timed(lambda: replayed(policy, days), repeats=repeats)
    stored = timed(lambda: replay_policy(policy, path), repeats=repeats)
    with Worker(policy) as worker:
        behind = timed(
            lambda: replayed_through(worker, policy, shorter),
            repeats=max(1, repeats // 2),
            other_cpu_s=partial(process_cpu_s, worker.pid or 0),
        )
    note = "facts validated, streaks counted, decided"
    years = f"{len(days):,} days (6 years)"
    return [
        plain.figure(f"{name} replayed by the interpreter", *within, note=note),
        whole.figure(f"{years} replayed by the interpreter", *longer, note=note),
        stored.figure(f"{years} replayed from a ledger", note="the same, the facts read from SQLite and JSON first"),
        behind.figure(f"{name} replayed through durable-rules", *through, note="the same, decided in the worker"),
    ]
