"""Which funding settlements fall into a range, and which of them the record lacks.

The venue settles at 00, 08 and 16 UTC, and for some symbols and times every 4, 2 or 1 hours in between. So a settlement
is missing where

- a multiple of 8 hours has no record and lies in a hole of more than 8 hours, or
- the steps before and after a hole are both shorter than the hole: then their longer one is the prevailing interval,
  and its instants inside the hole are missing too. A lone longer step is the interval changing back, not a hole.

Before the first record and after the last only the multiples of 8 hours are expected. Nothing after a cut changes what
was expected before it, unless the record has holes of less than 8 hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import HOUR_MS

if TYPE_CHECKING:
    from engine.backtest.grid import BoolArray
    from engine.market.series import FundingRates
    from strategies.bars import FloatArray, IntArray

USUAL_HOURS = 8
_USUAL_MS = USUAL_HOURS * HOUR_MS
_FAR_MS = 1 << 60


@dataclass(frozen=True)
class Settlements:
    """Settlements of one symbol in a range, oldest first.

    Attributes:
        time_ms: int64 (n,), on the hour.
        rate: float64 (n,), ratio; NaN where the record lacks the settlement.
        hours: float64 (n,), the interval each one settles.
    """

    time_ms: IntArray
    rate: FloatArray
    hours: FloatArray


def settlements(recorded: FundingRates | None, start_ms: int, end_ms: int) -> Settlements:
    """Return the recorded and the missing settlements in [start, end).

    Args:
        recorded: the symbol's whole record; None: there is none, so every usual one is missing.
        start_ms: the first instant.
        end_ms: the end, excluded.
    """
    known = np.empty(0, dtype=np.int64) if recorded is None else recorded.time_ms
    first_usual = -(-start_ms // _USUAL_MS) * _USUAL_MS
    usual = np.arange(first_usual, max(first_usual, end_ms), _USUAL_MS, dtype=np.int64)
    missing = np.concatenate([usual[_in_long_hole(usual, known)], _short_holes(known)])
    missing = np.unique(missing[(missing >= start_ms) & (missing < end_ms)])
    times = np.concatenate([known, missing])
    rates = np.full(len(times), np.nan)
    if recorded is not None:
        rates[: len(known)] = recorded.rate
    order = np.argsort(times, kind="stable")
    times, rates = times[order], rates[order]
    hours = np.full(len(times), float(USUAL_HOURS))
    hours[1:] = np.minimum((times[1:] - times[:-1]) / HOUR_MS, USUAL_HOURS)
    inside = (times >= start_ms) & (times < end_ms)
    return Settlements(times[inside], rates[inside], hours[inside])


def _in_long_hole(instants: IntArray, known: IntArray) -> BoolArray:
    """Return which instants are unrecorded and lie between records more than 8 hours apart, or outside of them all."""
    after = np.searchsorted(known, instants)
    edges = np.concatenate([[-_FAR_MS], known, [_FAR_MS]])
    recorded = edges[after + 1] == instants
    missing: BoolArray = ~recorded & (edges[after + 1] - edges[after] > _USUAL_MS)
    return missing


def _short_holes(known: IntArray) -> IntArray:
    """Return the instants missing from stretches whose interval is shorter than the usual one."""
    steps = np.diff(known)
    around = np.full(len(steps), _USUAL_MS)
    if len(steps) > 2:  # noqa: PLR2004 - a step with a neighbour on both sides
        around[1:-1] = np.minimum(np.maximum(steps[:-2], steps[2:]), _USUAL_MS)
    holes = np.flatnonzero((around < _USUAL_MS) & (steps > around))
    found = [np.arange(known[hole] + around[hole], known[hole + 1], around[hole]) for hole in holes]
    return np.concatenate([np.empty(0, dtype=np.int64), *found])
