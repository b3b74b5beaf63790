"""The suites by name; each runs in a process of its own, so that none inherits another's memory and imports."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import (
    alerts,
    backtests,
    bundles,
    commands,
    executions,
    fuzz,
    memory,
    peer_backtests,
    realpath,
    reports,
    rules_side,
    verdicts,
)
from benchmarks.harness import Figure, NotMeasured, Target, processor_s
from benchmarks.inputs import ROOT, SCALES, Inputs
from benchmarks.machine import busy_s, load, yardstick_s
from engine.clock import elapsed_s

SUITES = {
    "backtest": backtests.figures,
    "vectorbt": peer_backtests.vectorbt_figures,
    "backtesting.py": peer_backtests.backtesting_figures,
    "verdict": verdicts.figures,
    "zen-engine": rules_side.zen_figures,
    "python": rules_side.python_figures,
    "commands": commands.figures,
    "reports": reports.figures,
    "alerts": alerts.figures,
    "bundle": bundles.figures,
    "mutate": bundles.mutation_figures,
    "execution": executions.figures,
    "realpath": realpath.figures,
    "memory": memory.figures,
    "fuzz": fuzz.figures,
}
LONG = ("mutate", "memory", "fuzz", "realpath")
PEERS = ("vectorbt", "backtesting.py", "zen-engine", "python")


@dataclass(frozen=True)
class Measured:
    """What one suite found.

    Attributes:
        suite: its name.
        figures: the lines of the table; empty where it could not be measured.
        missing: why it could not be measured; empty where it was.
        took_s: wall time of the suite.
        others_ratio: share of all processors that other programs used meanwhile; None: nobody says.
        load: the mean number of runnable processes over the last minute, at the end; None: nobody says.
        yardstick_s: of a loop that is the same everywhere, before and after: how fast the machine was just then.
    """

    suite: str
    figures: tuple[Figure, ...]
    missing: str
    took_s: float
    others_ratio: float | None
    load: float | None
    yardstick_s: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Measured:
        """Return what `to_json` wrote."""
        figures = tuple(
            Figure(**{**figure, "targets": tuple(Target(**target) for target in figure["targets"])})
            for figure in document["figures"]
        )
        return cls(**{**document, "figures": figures, "yardstick_s": tuple(document["yardstick_s"])})


def measured(suite: str, scale: str, data: Path | None, cores: int) -> Measured:
    """Run one suite in this process."""
    yardstick = yardstick_s()
    start, busy, own = elapsed_s(), busy_s(), processor_s()
    figures: tuple[Figure, ...] = ()
    missing = ""
    with tempfile.TemporaryDirectory(prefix="stagegate-bench-") as folder:
        try:
            figures = tuple(SUITES[suite](Inputs(SCALES[scale], Path(folder), data)))
        except NotMeasured as reason:
            missing = str(reason).replace(str(ROOT), ".").replace(folder, "…")
    took_s = elapsed_s() - start
    after = busy_s()
    others = None
    if busy is not None and after is not None:
        others = max(0.0, after - busy - (processor_s() - own)) / (took_s * cores)
    return Measured(suite, figures, missing, took_s, others, load(), (yardstick, yardstick_s()))


def main() -> None:
    """Run the suite that the command line names and print what it found as one line of JSON, the last of the output."""
    suite, scale, cores, *data = sys.argv[1:]
    found = measured(suite, scale, Path(data[0]) if data else None, int(cores))
    print(json.dumps(found.to_json()))


if __name__ == "__main__":
    main()
