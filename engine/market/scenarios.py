"""The scripts of the synthetic market: what happens on which day, as tables to be read and changed.

Days count from the start of the simulated period; negative ones are the history before it. Triples are for BTCUSDT,
ETHUSDT, SOLUSDT in that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Triple = tuple[float, float, float]

WARMUP_DAYS = 100


@dataclass(frozen=True)
class Episode:
    """A stretch of one kind of market.

    Attributes:
        day: its first day.
        move_percent: what the prices do from its first to its last hour, before chance is added.
        volatility_percent: annualised, of hourly returns.
        steadiness: 0 = a random walk around the move; 1 = the walk is brought back to the move every two days.
        funding_bps: mean funding per eight hours.
        about: why it is there.
    """

    day: float
    move_percent: Triple
    volatility_percent: Triple
    steadiness: float
    funding_bps: float
    about: str


@dataclass(frozen=True)
class Shock:
    """One extreme bar: it opens `gap_percent` away from the close before it, and closes `body_percent` from there."""

    day: int
    hour: int
    gap_percent: Triple
    body_percent: Triple
    about: str


@dataclass(frozen=True)
class Scenario:
    """Episodes, oldest first, each lasting until the next begins, and shocks."""

    days: int
    episodes: tuple[Episode, ...]
    shocks: tuple[Shock, ...]


CALM = (24.0, 27.0, 47.0)
BRISK = (72.0, 92.0, 130.0)
WILD = (90.0, 116.0, 168.0)

DEMO = Scenario(
    days=365,
    episodes=(
        Episode(-100, (-4, -6, -10), BRISK, 0.0, 0.6, "an ordinary market before the story begins"),
        Episode(-40, (22, 32, 60), CALM, 0.6, 0.1, "a calm rise begins, so that every look-back points up on day 0"),
        Episode(0, (30, 52, 110), CALM, 0.6, 0.0, "SCALE_UP: the rise goes on, spot-led (nobody pays for leverage)"),
        Episode(52, (-3, -4, -6), WILD, 0.5, 0.8, "the top: volatility returns"),
        Episode(60, (-9, -11, -15), BRISK, 0.4, 0.6, "REDUCE: up and down in legs too short for a weekly look-back"),
        Episode(66, (9, 11, 16), BRISK, 0.4, 0.6, "…"),
        Episode(72, (-9, -11, -15), BRISK, 0.4, 0.6, "…"),
        Episode(78, (8, 10, 15), BRISK, 0.4, 0.6, "…"),
        Episode(84, (-25, -34, -50), WILD, 0.3, -0.2, "a bear leg on high volatility"),
        Episode(114, (0, 0, 0), BRISK, 0.5, 0.0, "it finds a floor"),
        Episode(140, (36, 62, 120), CALM, 0.6, 0.0, "recovery: the exposure comes back with an approval"),
        Episode(204, (-1.2, 9, 16), (20.0, 27.0, 47.0), 0.8, 0.0, "BTC rests, so that its channel is fresh"),
        Episode(213, (8, 4, 7), (40.0, 27.0, 47.0), 0.8, 0.0, "BTC breaks out the day before"),
        Episode(215, (0, 0, 0), WILD, 0.3, -0.5, "PAUSE: the crash and its aftershocks"),
        Episode(230, (4, 5, 8), BRISK, 0.5, 0.0, "the dust settles"),
        Episode(250, (30, 52, 105), CALM, 0.6, 0.0, "KEEP: an orderly rise"),
        Episode(310, (-23, -36, -50), CALM, 0.6, 0.0, "KEEP: an orderly decline, to the end"),
    ),
    shocks=(
        Shock(214, 20, (-15, -15, -20), (-1, -1, -1), "a gap far beyond any stop"),
        Shock(214, 21, (-5, -11, -14), (-3, -2, -2), "a second one before anyone could sell"),
        Shock(214, 22, (0, 0, 0), (8, 11, 13), "a rebound"),
    ),
)


def plain_scenario(rng: np.random.Generator, days: int) -> Scenario:
    """Return regimes drawn at random."""
    raise NotImplementedError
