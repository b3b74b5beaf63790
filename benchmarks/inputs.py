"""What the benchmarks run on: the same every time, from files or from a printed seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.config import load_config
from engine.market.imports import open_market
from engine.market.synthetic import synthetic_market
from engine.policy.bundle import load_bundle
from engine.policy.facts import OK, STALE, YOUNG, Fact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.config import FrozenConfig
    from engine.market.series import Market
    from engine.policy.bundle import Bundle
    from engine.policy.facts import Facts, Status
    from engine.policy.model import FactSpec, Policy

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "config" / "prod_candidate_R1.yaml"
RULES = ROOT / "config" / "prod_scale_rules_R1.yaml"
REAL_DATA = ROOT.parent / "shared" / "data"
KLINES = "klines_composite"

SEED = 7
START, END = "2020-09-01", "2026-01-01"
FIRST_DAY_MS = parse_time("2020-01-01")


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        name: as on the command line.
        backtests: repeats of a whole backtest.
        peers: repeats of a whole backtest of somebody else's engine.
        commands: repeats of a cold process.
        loads: repeats of a load of the bundle.
        verdicts: decisions, one after another.
        days: length of a replay.
        replays: repeats of a replay.
        market_days: length of the synthetic market, where there are no recorded prices.
        rehearsed_days: length of the ledger that `verdict` is asked about.
        memory: verdicts after which memory is first and last read.
    """

    name: str
    backtests: int
    peers: int
    commands: int
    loads: int
    verdicts: int
    days: int
    replays: int
    market_days: int
    rehearsed_days: int
    memory: tuple[int, int]

    @property
    def full_length(self) -> bool:
        """Whether the lengths are those of the targets; repeats may be fewer."""
        return self.days == FULL.days and self.market_days == FULL.market_days


SIX_YEARS_DAYS = 6 * 365 + 2

FULL = Scale("full", 20, 3, 15, 40, 3000, SIX_YEARS_DAYS, 5, 1948, 40, (10_000, 100_000))
QUICK = replace(FULL, name="quick", backtests=5, peers=1, commands=4, loads=10, verdicts=500, replays=2)
TINY = Scale("tiny", 1, 1, 1, 1, 20, 30, 1, 40, 3, (20, 40))
SCALES = {scale.name: scale for scale in (FULL, QUICK, TINY)}


@dataclass(frozen=True)
class Inputs:
    """Everything a benchmark may ask for; made when it is first asked for.

    Attributes:
        scale: how much is measured.
        folder: an empty one, for files.
        data: recorded prices and funding in the form of `data import`; None: a synthetic market stands in.
    """

    scale: Scale
    folder: Path
    data: Path | None

    @cached_property
    def config(self) -> FrozenConfig:
        """The frozen configuration of R1."""
        return load_config(CONFIG)

    @cached_property
    def bundle(self) -> Bundle:
        """The policies of R1."""
        return load_bundle(RULES)

    @property
    def action(self) -> Policy:
        """The action policy."""
        return self.bundle.policies["action"]

    @cached_property
    def market(self) -> Market:
        """The three symbols, warm-up included."""
        if self.data is None:
            return synthetic_market(SEED, start_ms=parse_time(START), days=self.scale.market_days, scenario="plain")
        return open_market(self.data, self.config.market.symbols, klines=KLINES)

    @property
    def start_ms(self) -> int:
        """The first hour of a backtest."""
        return parse_time(START)

    @property
    def end_ms(self) -> int:
        """The end of a backtest, excluded."""
        return parse_time(END) if self.data else parse_time(START) + self.scale.market_days * DAY_MS

    @property
    def market_name(self) -> str:
        """The market in words, for the table's notes."""
        if self.data:
            return f"recorded prices {START} to {END} ({KLINES} for SOL)"
        return f"synthetic market, seed {SEED}, {self.scale.market_days} days"

    @cached_property
    def days(self) -> list[tuple[int, dict[str, Fact]]]:
        """What is posted at the end of each day, from the seed: (00:00 of the next day, facts)."""
        return list(facts_of_days(self.action, self.scale.days, SEED))


# What a quiet desk sees: mean, standard deviation. Values move slowly (a memory of three weeks), so that streaks
# form and every colour of every band occurs. A fact not named here rests at the low end of its range.
_QUIET = {
    "sharpe_20d": (1.1, 0.7),
    "drawdown": (4.5, 3.0),
    "max_drawdown_30d": (5.0, 2.5),
    "return_30d": (2.5, 3.0),
    "return_window": (2.5, 3.0),
    "negative_sleeves": (0.4, 0.7),
    "worst_sleeve_14d": (0.2, 1.2),
    "slippage_ratio": (0.9, 0.3),
    "parent_orders": (12.0, 5.0),
    "funding_drag": (0.6, 0.6),
    "funding_drift": (1.0, 0.3),
    "stage": (3.0, 0.0),
    "exposure": (1.0, 0.0),
    "flatten_events_30d": (0.1, 0.4),
    "equity_age": (0.5, 0.2),
}
_MEMORY_DAYS = 20
_UNKNOWN_SHARE = 0.01
_UNKNOWN: tuple[Status, ...] = (YOUNG, STALE)


def facts_of_days(policy: Policy, days: int, seed: int) -> Iterator[tuple[int, dict[str, Fact]]]:
    """Yield the facts at the end of each day.

    Args:
        policy: whose facts are posted, those that its rules read.
        days: how many.
        seed: 0 or more; the same gives the same facts.
    """
    rng = np.random.default_rng(seed)
    specs = [policy.vocabulary.facts[name] for name in policy.facts]
    keep = 1 - 1 / _MEMORY_DAYS
    push = (1 - keep**2) ** 0.5
    swing = rng.standard_normal(len(specs))
    for day in range(1, days + 1):
        at_ms = FIRST_DAY_MS + day * DAY_MS
        swing = keep * swing + push * rng.standard_normal(len(specs))
        unknown = rng.random(len(specs)) < _UNKNOWN_SHARE
        statuses = rng.integers(len(_UNKNOWN), size=len(specs))
        yield (
            at_ms,
            {
                spec.name: Fact(spec.name, None, _UNKNOWN[statuses[index]], at_ms)
                if unknown[index]
                else Fact(spec.name, _value(spec, float(swing[index])), OK, at_ms)
                for index, spec in enumerate(specs)
            },
        )


def _value(spec: FactSpec, swing: float) -> float | str:
    """Return a value on the fact's own grid of steps, inside its range."""
    if spec.choices:
        return spec.choices[0]
    mean, deviation = _QUIET.get(spec.name, (float(spec.low * spec.resolution), 0.0))
    steps = min(max(round((mean + deviation * swing) / float(spec.resolution)), spec.low), spec.high)
    value = float(steps * spec.resolution)
    return int(value) if spec.whole else value


def moments(inputs: Inputs, count: int) -> Iterator[tuple[int, dict[str, Fact], bool]]:
    """Yield hours of a desk: the instant, the facts then, and whether a day ends; days repeat when they run out."""
    days = inputs.days
    for hour in range(count):
        at_ms = FIRST_DAY_MS + (hour + 1) * HOUR_MS
        facts = days[(hour // 24) % len(days)][1]
        yield at_ms, restamped(facts, at_ms), at_ms % DAY_MS == 0


def restamped(facts: Facts, at_ms: int) -> dict[str, Fact]:
    """Return the same facts, as of another instant."""
    return {name: Fact(name, fact.value, fact.status, at_ms) for name, fact in facts.items()}
