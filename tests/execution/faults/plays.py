"""What the campaign plays: every fault alone and in pairs, weeks, deaths at every write, crashes, time that passes."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations, islice
from typing import TYPE_CHECKING

import numpy as np

from engine.runner.runner import Cadence
from tests.execution.faults.world import FAULTS, Play

if TYPE_CHECKING:
    from collections.abc import Iterator

CRASH_EVERY = 4
POINTS_A_DAY = 1_000
MOST_POINTS = 560  # a few more than the short play has
DEATHS_A_DAY = 6

SHORT = Play(seed=4, hours=6)
"""Six hours with entries, flips, stops that come and go, a drill and a restart: each of its writes is died at."""

BY_THE_SECOND = Cadence(look_s=5.0, rounds_s=900.0)


def alone(rounds: int) -> Iterator[Play]:
    """Every fault alone, a day each; every fourth with a crash."""
    for turn in range(rounds):
        for number, name in enumerate(FAULTS):
            yield Play(1_000 * turn + number, (name,), crash=(turn + number) % CRASH_EVERY == 0)


def in_pairs(rounds: int) -> Iterator[Play]:
    """Every two faults together, a day each; every fourth with a crash."""
    for turn in range(rounds):
        for number, pair in enumerate(combinations(FAULTS, 2)):
            yield Play(100_000 + 1_000 * turn + number, pair, crash=(turn + number) % CRASH_EVERY == 0)


def weeks(count: int) -> Iterator[Play]:
    """Three faults drawn by the seed, for a week each."""
    for number in range(count):
        seed = 200_000 + number
        names = np.random.default_rng(seed).choice(FAULTS, 3, replace=False).tolist()
        yield Play(seed, tuple(names), hours=7 * 24)


def deaths(points: range) -> Iterator[Play]:
    """The short play, killed at one point each; those beyond its last one are lived through."""
    for point in points:
        yield replace(SHORT, kill_at=frozenset({point}))


def faulty_deaths(points: range) -> Iterator[Play]:
    """The same under two faults that the seed draws: who dies in the middle of one."""
    for point in points:
        seed = 350_000 + point
        names = np.random.default_rng(seed).choice(FAULTS, 2, replace=False).tolist()
        yield replace(SHORT, seed=seed, faults=tuple(names), kill_at=frozenset({point}))


def many_deaths(rounds: int) -> Iterator[Play]:
    """A day with a fault or two and several deaths, all drawn by the seed."""
    for number in range(rounds):
        seed = 300_000 + number
        rng = np.random.default_rng(seed)
        names = rng.choice(FAULTS, int(rng.integers(0, 3)), replace=False).tolist()
        points = rng.choice(POINTS_A_DAY, DEATHS_A_DAY, replace=False).tolist()
        yield Play(seed, tuple(names), kill_at=frozenset(points))


def guarded(rounds: int) -> Iterator[Play]:
    """A crash while a risk guard watches, under each fault."""
    for turn in range(rounds):
        for number, name in enumerate(FAULTS):
            yield Play(
                400_000 + 1_000 * turn + number, (name,), hours=7, crash=True, cadence=BY_THE_SECOND, guarded=True
            )


def creeping(rounds: int) -> Iterator[Play]:
    """Crashes under a guard and every second pair again, while time passes."""
    for play in chain(guarded(rounds), islice(in_pairs(rounds), 0, None, 2)):
        yield replace(play, seed=play.seed + 500_000, creeping=True)
