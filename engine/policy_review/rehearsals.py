"""Policies in the loop: the same period rehearsed with each, and what each did to equity, drawdown and verdicts."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import DAY_MS, iso
from engine.errors import LedgerError, Problem, UsageError
from engine.ledger import Ledger
from engine.ledger.rows import sha256_of
from engine.rehearsal.run import RehearsalRequest, rehearse
from engine.verdict import bundle_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.policy.bundle import Bundle
    from engine.rehearsal.loop import Progress
    from strategies.bars import FloatArray, IntArray

RISK, ACTION = "risk", "action"
REFERENCE = "reference rehearsal"
REHEARSAL, SYNTHETIC = "rehearsal", "synthetic"
PERCENT = 100.0


@dataclass(frozen=True)
class Period:
    """What is rehearsed, without the policies.

    Attributes:
        seed: of the synthetic market; None with recorded prices.
        days: of the synthetic market.
        data: recorded prices: a folder or a store; None for the synthetic market.
        klines: the folder of `data` that holds the prices.
        from_ms: the first day of recorded prices.
        to_ms: their end, excluded.
        stage: to begin at.
        approve: ``all``, ``none`` or a script.
    """

    seed: int | None
    days: int
    data: str | None
    klines: str
    from_ms: int | None
    to_ms: int | None
    stage: int
    approve: str

    @property
    def title(self) -> str:
        """What it is in words."""
        if self.data is None:
            market = f"synthetic market, seed {self.seed}, {self.days} days"
        else:
            market = f"recorded prices of {Path(self.data).name}, {_day(self.from_ms)} to {_day(self.to_ms)}"
        return f"{market}, from stage {self.stage}, approvals: {Path(self.approve).name}"


@dataclass(frozen=True)
class Course:
    """How a rehearsal went under one bundle.

    Attributes:
        title: whose policies: ``main (1a2b…)``.
        day_ms: int64 (n,), the ends of complete days.
        nav: float64 (n,), value of one unit at these; cash moved in or out is left aside.
        equity_usd: at the end.
        drawdown_percent: the largest, over all marks.
        outcomes: days by outcome, most severe first.
        sha256: of all recorded facts.
        recorded: taken from the ledger at hand instead of rehearsed again.
    """

    title: str
    day_ms: IntArray = field(repr=False)
    nav: FloatArray = field(repr=False)
    equity_usd: float
    drawdown_percent: float
    outcomes: Mapping[str, int]
    sha256: str
    recorded: bool

    @property
    def return_percent(self) -> float:
        """What became of a unit, less what it was."""
        return float(self.nav[-1] / self.nav[0] - 1) * PERCENT

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "title": self.title,
            "days": len(self.day_ms) - 1,
            "return_percent": round(self.return_percent, 6),
            "equity_usd": round(self.equity_usd, 2),
            "drawdown_percent": round(self.drawdown_percent, 6),
            "outcomes": dict(self.outcomes),
            "sha256": self.sha256,
            "recorded": self.recorded,
        }


def period_of(path: Path) -> Period:
    """Return the period that a ledger rehearsed.

    Raises:
        LedgerError: the ledger cannot be read.
        UsageError: it is no rehearsal, so there is no market to go through again.
    """
    with Ledger.open(path, read_only=True) as ledger:
        meta = ledger.meta()
    if meta.get("kind") != REHEARSAL:
        problem = f"a {meta.get('kind', 'live')} ledger cannot be rehearsed again"
        raise UsageError(
            Problem("in-loop", str(path), problem, "give the ledger of a rehearsal, or leave out --in-loop")
        )
    from_ms, to_ms = int(meta["from_ms"]), int(meta["to_ms"])
    synthetic = meta["source"] == SYNTHETIC
    typed = shlex.split(meta.get("command", ""))
    return Period(
        seed=int(meta["seed"]) if synthetic else None,
        days=(to_ms - from_ms) // DAY_MS,
        data=None if synthetic else meta["source"],
        klines=meta.get("klines") or _option(typed, "--klines") or "klines",
        from_ms=None if synthetic else from_ms,
        to_ms=None if synthetic else to_ms,
        stage=int(meta["stage"]),
        approve=meta.get("approve") or _option(typed, "--approve") or "all",
    )


def rehearsed(
    period: Period,
    bundle: Bundle,
    title: str,
    progress: Callable[[Progress], None],
    look: Callable[[Path], None] = lambda _: None,
) -> Course:
    """Rehearse a period with a bundle's policies and configuration; nothing is left behind.

    Args:
        period: what is rehearsed.
        bundle: policies and configuration.
        title: whose they are.
        progress: called with every hour.
        look: called with the ledger while it is there.

    Raises:
        StagegateError: as `engine.rehearsal.run.rehearse`.
    """
    with TemporaryDirectory(prefix="stagegate-") as folder:
        request = RehearsalRequest(
            config=bundle.config_path,
            rules=bundle.path,
            out=Path(folder),
            seed=period.seed or 0,
            days=period.days,
            data=None if period.data is None else Path(period.data),
            klines=period.klines,
            from_ms=period.from_ms,
            to_ms=period.to_ms,
            stage=period.stage,
            approve=period.approve,
            command=f"stagegate policy replay --in-loop --rules {bundle.path.name}",
        )
        ledger = rehearse(request, progress, report=False).ledger
        look(ledger)
        return course_of(ledger, title, bundle.policies[ACTION].outcomes, recorded=False)


def course_of(path: Path, title: str, outcomes: tuple[str, ...], *, recorded: bool) -> Course:
    """Return how a rehearsal went, from its ledger.

    Raises:
        LedgerError: it cannot be read, or ran for less than a day.
    """
    with Ledger.open(path, read_only=True) as ledger:
        marks = ledger.marks(RISK)
        verdicts = ledger.verdicts(policy=ACTION)
        snapshots = ledger.day_closes(-1)
    midnight = marks.at_ms % DAY_MS == 0
    if midnight.sum() <= 1:
        problem = "the ledger holds no complete day"
        raise LedgerError(Problem("empty-ledger", str(path), problem, "rehearse a day or more"))
    peak = np.maximum.accumulate(marks.nav)
    days = Counter(record.outcome for record in verdicts if record.at_ms % DAY_MS == 0)
    known = [*outcomes, *(outcome for outcome in sorted(days) if outcome not in outcomes)]
    return Course(
        title=title,
        day_ms=marks.at_ms[midnight],
        nav=marks.nav[midnight],
        equity_usd=float(marks.equity_usd[-1]),
        drawdown_percent=float(np.max(1 - marks.nav / peak)) * PERCENT,
        outcomes={outcome: days[outcome] for outcome in known},
        sha256=sha256_of("".join(f"{one.at_ms} {one.sha256}\n" for one in snapshots)),
        recorded=recorded,
    )


def recorded_under(path: Path, bundle: Bundle) -> bool:
    """Return whether the last verdict of a ledger was given under exactly this bundle's policies.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with Ledger.open(path, read_only=True) as ledger:
        record = ledger.latest_verdict(policy=ACTION)
    if record is None or ACTION not in bundle.policies:
        return False
    policy = bundle.policies[ACTION]
    expected = {**bundle_hashes(bundle), "policy": policy.sha256, "vocabulary": policy.vocabulary.sha256}
    hashes = json.loads(record.document)["hashes"]
    return all(hashes.get(kind) == sha256 for kind, sha256 in expected.items())


def _option(typed: list[str], name: str) -> str:
    """Return the value that an option was given on a command line; empty where it was not."""
    for place, word in enumerate(typed):
        if word == name and place + 1 < len(typed):
            return typed[place + 1]
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return ""


def _day(at_ms: int | None) -> str:
    return "unknown" if at_ms is None else iso(at_ms)[:10]
