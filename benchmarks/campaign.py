"""``make campaign``: the fault campaign in its long form, with the count, the seeds, and every violation printed.

Each run is a trading day (a week for a sample) of a whole desk before the simulated venue, in virtual time: every fault
alone and in pairs, deaths at every write, crashes under a risk guard, a clock that creeps on meanwhile. Afterwards the
invariants of execution are held against the venue's own books (tests/execution/faults). A run is made again alone by
its number: ``--only pairs:17``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import elapsed_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.execution.faults.world import Play

ROOT = Path(__file__).parents[1]
DEATHS = "deaths"
KINDS = ("alone", "pairs", "weeks", DEATHS, "faulty-deaths", "many-deaths", "guarded", "creeping")
SERVICE = "service"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in memory where there is one: a day writes thousands of files


@dataclass(frozen=True)
class Result:
    """One run: what was played, what happened in it, and what must never be."""

    kind: str
    number: int
    play: str
    counts: dict[str, int]
    violations: tuple[str, ...]
    processor_s: float


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; return 1 where an invariant was violated."""
    parser = argparse.ArgumentParser("benchmarks.campaign", description="The fault campaign, long form")
    parser.add_argument("--rounds", type=int, default=4, help="seeds of each fault and each pair")
    parser.add_argument("--weeks", type=int, default=5, help="runs of a week")
    parser.add_argument("--deaths", type=int, default=1, help="die at every so many-th write of the short play")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which kinds")
    parser.add_argument("--only", help="one run, such as pairs:17")
    parser.add_argument("--out", type=Path, default=ROOT / "reports/campaign.jsonl", help="a line a run, appended")
    parser.add_argument("--resume", action="store_true", help="leave out the runs that --out holds")
    asked = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    done = _done(asked.out) if asked.resume else {}
    results: list[Result] = []
    began_s = elapsed_s()
    lived_through = False  # beyond its last point the short play is no fault run
    for kind, number, play in _asked(asked):
        if kind == DEATHS and lived_through:
            continue
        result = done.get((kind, number)) or _run(kind, number, play)
        if (kind, number) not in done:
            _append(asked.out, result)
            _tell(result, len(results) + 1, began_s)
        if kind == DEATHS and not result.counts["deaths"] and not result.violations:
            print(f"the short play has {number * asked.deaths} points to die at, or a few less", flush=True)
            lived_through = True
        else:
            results.append(result)
    return _sum_up(results, elapsed_s() - began_s)


def _asked(asked: argparse.Namespace) -> Iterator[tuple[str, int, Play]]:
    from tests.execution.faults import plays
    from tests.service.service_world import weeks_of_service

    kinds: dict[str, Iterator[Play]] = {
        "alone": plays.alone(asked.rounds),
        "pairs": plays.in_pairs(asked.rounds),
        "weeks": plays.weeks(asked.weeks),
        DEATHS: plays.deaths(range(0, plays.MOST_POINTS, asked.deaths)),
        "faulty-deaths": plays.faulty_deaths(range(0, plays.MOST_POINTS, 2 * asked.deaths)),
        "many-deaths": plays.many_deaths(20 * asked.rounds),
        "guarded": plays.guarded(1),
        "creeping": plays.creeping(1),
        SERVICE: weeks_of_service(asked.weeks),
    }
    if asked.only:
        kind, _, number = asked.only.partition(":")
        yield kind, int(number), next(itertools.islice(kinds[kind], int(number), None))
        return
    for kind in asked.kinds.split(","):
        yield from ((kind, number, play) for number, play in enumerate(kinds[kind]))


def _run(kind: str, number: int, play: Play) -> Result:
    """Play, and check; whatever breaks is a violation."""
    from tests.execution.faults.day import violations
    from tests.execution.faults.evidence import Evidence
    from tests.execution.faults.world import played
    from tests.service.service_world import found_wrong, served

    began_s = sum(os.times()[:2])
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        try:
            if kind == SERVICE:
                run = served(play, Path(folder))
                ended, found = run.played, tuple(found_wrong(run))
            else:
                ended = played(play, Path(folder))
                found = tuple(str(one) for one in violations(Evidence(ended)))
            counts = {
                "fills": len(ended.account.fills),
                "orders": len(ended.account.orders),
                "stops hit": sum(bool(algo.order_id) for algo in ended.account.algo_orders.values()),
                "strikes": len(ended.strikes),
                "deaths": len(ended.fate.deaths),
                "flattens": len(ended.flattens),
            }
        except Exception as error:  # noqa: BLE001 - the campaign goes on
            found = ("broke: " + "".join(traceback.format_exception(error)[-3:]),)
    return Result(kind, number, str(play), counts or {"deaths": 0}, found, sum(os.times()[:2]) - began_s)


def _done(path: Path) -> dict[tuple[str, int], Result]:
    if not path.exists():
        return {}
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    results = [Result(**{**row, "violations": tuple(row["violations"])}) for row in rows]
    return {(result.kind, result.number): result for result in results if not result.violations}


def _append(path: Path, result: Result) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(vars(result)) + "\n")


def _tell(result: Result, count: int, began_s: float) -> None:
    if result.violations:
        print(f"VIOLATED  {result.kind}:{result.number}  {result.play}", flush=True)
        for one in result.violations[:5]:
            print(f"    {one}", flush=True)
    elif count % 10 == 0:
        minutes = (elapsed_s() - began_s) / 60
        print(f"{count} runs, {count / minutes:.1f} a minute; the last was {result.play}", file=sys.stderr, flush=True)


def _sum_up(results: list[Result], took_s: float) -> int:
    totals: Counter[str] = Counter()
    for result in results:
        totals.update(result.counts)
    bad = [result for result in results if result.violations]
    for kind, group in itertools.groupby(results, key=lambda result: result.kind):
        runs = list(group)
        seeds = [int(run.play.split("seed ")[1].split(",")[0]) for run in runs]
        print(f"{kind:<12} {len(runs):5} runs, seeds {min(seeds)} to {max(seeds)}")
    print(f"{'together':<12} {len(results):5} runs, {len(bad)} with a violation")
    print("             " + ", ".join(f"{count:,} {name}" for name, count in totals.items()))
    used_s = sum(result.processor_s for result in results)
    print(f"             {took_s / 60:.0f} minutes, {used_s / max(1, len(results)):.1f} s of the processor a run")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
