"""Recorded signals against those of a replay of the same bars, every sleeve at every bar (R061, R062, R233)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import HOUR_MS, iso
from engine.comparison.measures import PERCENT
from engine.errors import PolicyError, Problem
from engine.ledger.rows import Event, sha256_of
from engine.metrics.sleeves import CONSISTENCY_BARS, POSITION_TOLERANCE
from engine.policy.facts import OK, Fact, in_steps
from engine.policy.interpreter import compare
from engine.policy.model import All, AnyOf, Compare, Not

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.backtest.grid import BoolArray
    from engine.comparison.recorded import Recorded
    from engine.comparison.replay import Replay
    from engine.ledger import SleeveMarks
    from engine.policy.model import Condition, Policy
    from strategies.bars import FloatArray, IntArray

KIND, SUBJECT = "consistency", "signals"
FACT = "signal_consistency"


@dataclass(frozen=True)
class Mismatch:
    """One bar at which a sleeve did not say what the replay says; None: no signal, or none on record."""

    bar_ms: int
    symbol: str
    live: float | None
    replay: float | None


@dataclass(frozen=True)
class SleeveShare:
    """One sleeve: bars compared, and how many of them were equal."""

    compared: int
    matched: int


@dataclass(frozen=True)
class Consistency:
    """How equal the signals are.

    Attributes:
        from_ms: the first bar's open.
        to_ms: the last bar's close.
        sleeves: symbol -> its share.
        first: the first mismatch, by bar and then symbol; None: there is none.
        hashes: of bundle and configuration.
    """

    from_ms: int
    to_ms: int
    sleeves: Mapping[str, SleeveShare]
    first: Mismatch | None
    hashes: Mapping[str, str]

    @property
    def compared(self) -> int:
        """Bars times sleeves."""
        return sum(each.compared for each in self.sleeves.values())

    @property
    def matched(self) -> int:
        """How many of them were equal."""
        return sum(each.matched for each in self.sleeves.values())

    @property
    def percent(self) -> float | None:
        """The share of equal signals; None where there was nothing to compare."""
        return self.matched / self.compared * PERCENT if self.compared else None

    @property
    def enough(self) -> bool:
        """Whether each sleeve has as many bars as the fact `signal_consistency` needs."""
        return bool(self.sleeves) and all(each.compared >= CONSISTENCY_BARS for each in self.sleeves.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain values: the document of the ledger's event."""
        first = self.first
        return {
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
            "compared": self.compared,
            "matched": self.matched,
            "percent": self.percent,
            "enough": self.enough,
            "sleeves": {
                symbol: {"compared": each.compared, "matched": each.matched} for symbol, each in self.sleeves.items()
            },
            "first_mismatch": None
            if first is None
            else {
                "bar": iso(first.bar_ms),
                "bar_ms": first.bar_ms,
                "symbol": first.symbol,
                "live": first.live,
                "replay": first.replay,
            },
            **{f"{kind}_sha256": sha256 for kind, sha256 in self.hashes.items()},
        }

    def row(self, now_ms: int) -> Event:
        """Return the ledger's row; the same finding at the same time is the same row."""
        document = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return Event(f"consistency-{iso(now_ms)}-{sha256_of(document)[:6]}", now_ms, KIND, SUBJECT, document)


@dataclass(frozen=True)
class Signal:
    """What one sleeve says in a replay.

    Attributes:
        close_ms: int64 (n,), the closes of its bars.
        position: float64 (n,), what it says at each; NaN: no signal.
        told: float64 (n,), the same once it has been told of a missed entry or a forced exit at that very bar.
    """

    close_ms: IntArray
    position: FloatArray
    told: FloatArray


def replay_signals(replay: Replay) -> dict[str, Signal]:
    """Return what each sleeve of a replay said at the close of every bar, from the first there is.

    A sleeve that is told at a bar to wait for a fresh signal says something else from then on; at the bar itself what
    it said before and what it says afterwards are both right.
    """
    found = {}
    for symbol, first in replay.first.items():
        sleeve, times = first, first.bars.open_time_ms
        position, told = first.signals.position.copy(), first.signals.position.copy()
        for restart in replay.restarts:
            if restart.symbol == symbol:
                bar = int(np.searchsorted(times, restart.at_ms)) - 1
                sleeve = sleeve.restart(bar)
                position[bar + 1 :] = told[bar + 1 :] = sleeve.signals.position[bar + 1 :]
                told[bar] = sleeve.signals.position[bar]
        found[symbol] = Signal(times + HOUR_MS, position, told)
    return found


def consistency(record: Recorded, replay: Replay, from_ms: int, to_ms: int, hashes: Mapping[str, str]) -> Consistency:
    """Hold the recorded signals of ``(from_ms, to_ms]`` against the replay's.

    A match is a difference of at most 1e-6 with the same sign, or no signal on both sides. A bar that the ledger has
    nothing of is a mismatch, and so is a signal at an hour of which the replay has no bar.

    Args:
        record: what the ledger says.
        replay: of the same bars.
        from_ms: the launch or a later midnight; the signals of that very instant are left out.
        to_ms: a bar's close.
        hashes: of bundle and configuration, for the record.
    """
    sleeves: dict[str, SleeveShare] = {}
    firsts: list[Mismatch] = []
    signals = replay_signals(replay)
    for symbol in sorted(signals.keys() | record.sleeves.keys()):
        times, live, theirs, same = _held_against(record.sleeves.get(symbol), signals.get(symbol), from_ms, to_ms)
        sleeves[symbol] = SleeveShare(len(times), int(same.sum()))
        wrong = np.flatnonzero(~same)
        if len(wrong):
            at = int(wrong[0])
            firsts.append(Mismatch(int(times[at]) - HOUR_MS, symbol, _known(live[at]), _known(theirs[at])))
    first = min(firsts, key=lambda each: (each.bar_ms, each.symbol), default=None)
    return Consistency(from_ms, to_ms, sleeves, first, hashes)


def _held_against(
    marks: SleeveMarks | None, signal: Signal | None, from_ms: int, to_ms: int
) -> tuple[IntArray, FloatArray, FloatArray, BoolArray]:
    """Return the closes either side knows, what both say there, and whether it is the same."""
    nothing = np.empty(0, np.int64), np.empty(0)
    ours = nothing if marks is None else (marks.at_ms, marks.position)
    theirs = nothing if signal is None else (signal.close_ms, signal.position)
    times = np.union1d(ours[0], theirs[0])
    times = times[(times > from_ms) & (times <= to_ms)]
    here, there = np.isin(times, ours[0]), np.isin(times, theirs[0])
    live, other = _laid(*ours, times), _laid(*theirs, times)
    same = here & there & _alike(live, other)
    if signal is not None:
        same |= here & there & _alike(live, _laid(signal.close_ms, signal.told, times))
    return times, live, other, same


def _laid(at_ms: IntArray, values: FloatArray, times: IntArray) -> FloatArray:
    if len(at_ms) == 0:
        return np.full(len(times), np.nan)
    place = np.minimum(np.searchsorted(at_ms, times), len(at_ms) - 1)
    return np.where(at_ms[place] == times, values[place], np.nan)


def _alike(live: FloatArray, other: FloatArray) -> BoolArray:
    near = (np.abs(live - other) <= POSITION_TOLERANCE) & (np.sign(live) == np.sign(other))
    alike: BoolArray = near | (np.isnan(live) & np.isnan(other))
    return alike


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def needed(policy: Policy) -> Compare:
    """Return what a stage's policy needs of the share of equal signals (R061), as its file has it.

    Raises:
        PolicyError: no rule of it reads the fact.
    """
    found = [compare for instance in policy.instances for compare in _compares(instance.when) if compare.fact == FACT]
    if not found:
        problem = f"no rule of `{policy.name}` reads the fact `{FACT}`"
        raise PolicyError(Problem("no-threshold", policy.source, problem, f'add `- {{{FACT}: "> …%"}}` to a promotion'))
    return found[0]


def is_enough(found: Consistency, policy: Policy) -> bool:
    """Return whether the share of equal signals is what the policy needs; nothing compared never is."""
    condition = needed(policy)
    if found.percent is None:
        return False
    steps = in_steps(Fact(FACT, found.percent, OK, found.to_ms), policy.vocabulary.facts[FACT])
    return compare(steps, condition.operator, condition.steps) is True


def _compares(condition: Condition) -> Iterator[Compare]:
    if isinstance(condition, Compare):
        yield condition
    elif isinstance(condition, All | AnyOf):
        for part in condition.parts:
            yield from _compares(part)
    elif isinstance(condition, Not):
        yield from _compares(condition.part)
