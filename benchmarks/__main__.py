"""``python -m benchmarks [NAMES…] [--quick] [--long] [--write-docs]``: every suite, one table."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.inputs import REAL_DATA, ROOT, SCALES, Inputs
from benchmarks.machine import cores, machine
from benchmarks.suites import LONG, PEERS, SUITES, Measured
from benchmarks.tables import Report, markdown, text
from engine.clock import SystemClock, iso

DOCS = ROOT / "docs" / "benchmarks.md"
REPORTS = ROOT / "reports" / "benchmarks"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and leave a JSON file."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.names if name not in SUITES]
    if unknown:
        parser.error(f"there is no suite `{unknown[0]}`; known: {', '.join(SUITES)}")
    if asked.write_docs and asked.names:
        parser.error("the page holds every suite: write it without naming some")
    scale = "tiny" if asked.tiny else "quick" if asked.quick else "full"
    data = asked.data if (asked.data / "klines").is_dir() else None
    if data is None:
        print(f"no recorded prices in {asked.data}: a synthetic market stands in", file=sys.stderr)
    names = asked.names or [name for name in SUITES if asked.long or name not in LONG]
    measured = {}
    for name in sorted(names, key=lambda name: name in PEERS):  # ours first, while the machine is in one mood
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        measured[name] = _in_a_process(name, scale, data)
    made_at = iso(SystemClock().now_ms() // 1000 * 1000)
    market = Inputs(SCALES[scale], Path(), data).market_name
    report = Report(made_at, scale, market, machine(), tuple(measured[name] for name in names))
    print(text(report))
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / f"{made_at.replace(':', '').replace('-', '')}-{scale}.json"
    path.write_text(json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")
    if asked.write_docs:
        DOCS.parent.mkdir(exist_ok=True)
        DOCS.write_text(markdown(report), encoding="utf-8")
        print(f"written: {DOCS.relative_to(ROOT)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "benchmarks", description="Speed and memory, beside what a user would pick instead"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SUITES))
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--tiny", action="store_true", help="hardly any: to see that everything runs")
    parser.add_argument("--long", action="store_true", help="with the suites that take minutes: " + ", ".join(LONG))
    parser.add_argument("--data", type=Path, default=REAL_DATA, help="recorded prices; without them a synthetic market")
    parser.add_argument("--out", type=Path, default=REPORTS, help="the folder of the JSON file")
    parser.add_argument("--write-docs", action="store_true", help="write docs/benchmarks.md from this run")
    return parser


def _in_a_process(name: str, scale: str, data: Path | None) -> Measured:
    """Run a suite by itself; whatever becomes of it, the others go on."""
    command = [sys.executable, "-m", "benchmarks.suites", name, scale, str(cores()), *([str(data)] if data else [])]
    # bytecode is kept as for a user, where the environment forbids it too: a cold process is not one that compiles
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    try:
        return Measured.from_json(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return Measured(name, (), f"it ended with exit code {done.returncode}: {last}", 0.0, None, None, (0.0, 0.0))


if __name__ == "__main__":
    main()
