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
        steadiness: 0 = a random walk around the move; 1 = the walk is brought back to the move twice a day.
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
    """Episodes, oldest first, each lasting until the next begins, and shocks.

    Attributes:
        days: length of the simulated period the script is written for.
        swing: standard deviation of the slow wave of (logarithmic) volatility on top of an episode's level.
    """

    days: int
    swing: float
    episodes: tuple[Episode, ...]
    shocks: tuple[Shock, ...]


# Volatility levels. CALM is about the calmest week in twenty of the real prices: only then are positions large enough
# for a crash to cost 12 %. BRISK and WILD keep the whole year's volatility within that of real years.
CALM = (24.0, 27.0, 47.0)
MILD = (32.0, 38.0, 64.0)
BRISK = (78.0, 102.0, 148.0)
WILD = (90.0, 118.0, 174.0)

DEMO = Scenario(
    days=365,
    swing=0.12,  # small, so that every seed meets the episodes in much the same state
    episodes=(
        Episode(-100, (-4, -6, -10), BRISK, 0.0, 0.6, "an ordinary market before the story begins"),
        Episode(-40, (22, 32, 60), CALM, 0.45, 0.1, "a calm rise begins, so that every look-back points up on day 0"),
        Episode(0, (30, 52, 110), CALM, 0.45, 0.0, "SCALE_UP: the rise goes on, spot-led (nobody pays for leverage)"),
        Episode(52, (-3, -4, -6), WILD, 0.5, 0.8, "the top: volatility returns"),
        Episode(60, (-9, -11, -15), BRISK, 0.3, 0.6, "REDUCE: up and down in legs too short for a weekly look-back"),
        Episode(66, (9, 11, 16), BRISK, 0.3, 0.6, "up again"),
        Episode(72, (-9, -11, -15), BRISK, 0.3, 0.6, "down again"),
        Episode(78, (8, 10, 15), BRISK, 0.3, 0.6, "up again"),
        Episode(84, (-25, -34, -50), WILD, 0.3, -0.2, "a bear leg on high volatility"),
        Episode(114, (0, 0, 0), BRISK, 0.3, 0.0, "it finds a floor"),
        Episode(140, (37, 66, 128), CALM, 0.45, 0.0, "recovery: the exposure comes back with an approval"),
        Episode(207, (-3.3, 6, 11), (20.0, 25.0, 44.0), 0.8, 0.0, "BTC rests, so that its channel is fresh"),
        Episode(213, (8, 4, 7), (40.0, 25.0, 44.0), 0.8, 0.0, "BTC breaks out the day before"),
        Episode(215, (0, 0, 0), WILD, 0.3, -0.5, "PAUSE: the crash and its aftershocks"),
        Episode(230, (4, 5, 8), BRISK, 0.3, 0.0, "the dust settles"),
        Episode(250, (34, 58, 115), MILD, 0.45, 0.0, "KEEP: an orderly rise"),
        Episode(310, (-25, -40, -54), MILD, 0.45, 0.0, "KEEP: an orderly decline, to the end"),
    ),
    # Together about 2020-03-12, the worst hours of the real prices; deeper would leave the range of yearly kurtosis.
    shocks=(
        Shock(214, 20, (-15.5, -14.5, -21), (-1, -1, -1), "a gap far beyond any stop"),
        Shock(214, 21, (-5, -14, -19), (-3, -2, -2), "a second one before anyone could sell"),
        Shock(214, 22, (0, 0, 0), (8, 12, 15), "a rebound"),
    ),
)


def plain_scenario(rng: np.random.Generator, days: int) -> Scenario:
    """Return regimes, their lengths and rare jumps drawn at random; a year of it looks like a real one.

    Args:
        rng: the source of chance.
        days: length of the simulated period.
    """
    episodes: list[Episode] = []
    day = -float(WARMUP_DAYS)
    while day < days:
        kind = _REGIMES[int(rng.choice(len(_REGIMES), p=[regime.share for regime in _REGIMES]))]
        length = float(rng.integers(*kind.days))
        daily = kind.daily_percent * rng.uniform(0.3, 1.7)
        strengths = rng.uniform(0.8, 1.6, size=2)
        move = tuple(((1 + daily * factor / 100) ** length - 1) * 100 for factor in (1.0, *strengths.tolist()))
        scale = rng.uniform(0.85, 1.15)
        volatility = tuple(level * scale for level in kind.volatility_percent)
        episodes.append(Episode(day, _triple(move), _triple(volatility), 0.0, kind.funding_bps, kind.about))
        day += length
    shocks = [_jump(rng, int(at)) for at in rng.integers(0, days, size=int(rng.poisson(_JUMPS_A_YEAR * days / 365)))]
    return Scenario(days, _SWING, tuple(episodes), tuple(shocks))


@dataclass(frozen=True)
class _Regime:
    share: float
    days: tuple[int, int]
    daily_percent: float
    volatility_percent: Triple
    funding_bps: float
    about: str


_REGIMES = (
    _Regime(0.28, (10, 45), 0.5, (49.0, 62.0, 102.0), 0.9, "bull"),
    _Regime(0.17, (8, 30), -0.6, (76.0, 97.0, 148.0), 0.2, "bear"),
    _Regime(0.28, (8, 35), 0.0, (49.0, 64.0, 105.0), 0.6, "chop"),
    _Regime(0.20, (10, 40), 0.1, (33.0, 42.0, 70.0), 0.6, "calm"),
    _Regime(0.07, (4, 12), -0.5, (125.0, 155.0, 225.0), -0.5, "panic"),
)
_SWING = 0.32
_JUMPS_A_YEAR = 6.0
_JUMP_PERCENT = (2.5, 6.0)


def _jump(rng: np.random.Generator, day: int) -> Shock:
    size = rng.uniform(*_JUMP_PERCENT) * rng.choice([-1.0, 1.0], p=[0.6, 0.4])
    body = _triple((size, size * rng.uniform(1.0, 1.4), size * rng.uniform(1.2, 2.2)))
    return Shock(day, int(rng.integers(24)), (0.0, 0.0, 0.0), body, "a jump")


def _triple(numbers: tuple[float, ...]) -> Triple:
    first, second, third = numbers
    return first, second, third
