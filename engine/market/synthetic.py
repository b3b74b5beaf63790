"""A seeded synthetic market: regimes, volatility clustering, fat tails, jumps, correlated symbols, funding.

One common factor moves the three symbols. Volatility is a slow and a fast wave on top of the regime's level and the
hour of the day; shocks are Student-t. Highs and lows are drawn as the extremes of a Brownian bridge between open and
close. Every figure that matters lies within the yearly ranges of the real market (tests/market says which).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS, HOUR_MS
from engine.errors import DataError, Problem
from engine.market.scenarios import DEMO, WARMUP_DAYS, plain_scenario
from engine.market.series import FundingRates, Market
from strategies.bars import Bars

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.market.scenarios import Scenario, Triple
    from strategies.bars import FloatArray, IntArray

HOURS_A_DAY = 24
HOURS_A_YEAR = 8760
FUNDING_HOURS = 8
ANCHOR_HOURS = 12

# volatility: logarithmic swings (standard deviations) and their memories
SLOW_HOURS = 96.0
FAST_SWING, FAST_HOURS = 0.25, 5.0
OWN_SHARE = 0.8  # of the common slow swing
DAY_SWING, BUSY_HOUR = 0.14, 15
TAIL_DEGREES, TAIL_LIMIT = 4.5, 8.0

MARK_BPS, MARK_DECIMALS = 0.7, 4
FUNDING_SLOPE, FUNDING_TREND_HOURS, TREND_LIMIT = 0.4, 168, 0.5
FUNDING_NOISE_BPS, FUNDING_MEMORY, FUNDING_LIMIT = 0.25, 6.0, 75.0


@dataclass(frozen=True)
class _Symbol:
    """What tells one symbol from another.

    Attributes:
        first_price: USDT.
        tick: decimals of a price.
        beta: share of the common factor in its returns, as a correlation.
        volume: base asset in an ordinary hour.
    """

    name: str
    first_price: float
    tick: int
    beta: float
    volume: float


SYMBOLS = (
    _Symbol("BTCUSDT", 30_000.0, 1, 0.93, 9_000.0),
    _Symbol("ETHUSDT", 2_000.0, 2, 0.90, 90_000.0),
    _Symbol("SOLUSDT", 160.0, 2, 0.75, 1_500_000.0),
)


@dataclass(frozen=True)
class _Script:
    """The scenario hour by hour, arrays (n, 3) in the order of `SYMBOLS`.

    Attributes:
        drift: of the log price, an hour.
        volatility: ratio, of an hour's return.
        steadiness: (n,), see `Episode`.
        funding_bps: (n,).
        block: (n,), number of the stretch within which the walk is brought back.
        gap: ratio, of the open against the close before.
        body: ratio, of the close against the open, in the bars of `shocked`.
        shocked: bool (n,).
    """

    drift: FloatArray
    volatility: FloatArray
    steadiness: FloatArray
    funding_bps: FloatArray
    block: IntArray
    gap: FloatArray
    body: FloatArray
    shocked: npt.NDArray[np.bool_]


def synthetic_market(seed: int, *, start_ms: int, days: int, scenario: str = "demo") -> Market:
    """Return a market that no one has traded, the same for the same arguments.

    Args:
        seed: 0 or more.
        start_ms: the first instant of the simulated period, at a UTC midnight; `WARMUP_DAYS` of bars come before it.
        days: length of the simulated period; the demo's script is written for 365 and goes on evenly after them.
        scenario: `demo` (the script of engine/market/scenarios.py) or `plain` (regimes drawn from the seed).

    Returns:
        Hourly bars, mark prices and 8-hour funding of BTCUSDT, ETHUSDT and SOLUSDT; prices in whole ticks.

    Raises:
        DataError: unknown scenario, no day, a negative seed, or a start that is no midnight.
    """
    if seed < 0 or days < 1 or start_ms % DAY_MS:
        where = f"seed {seed}, {days} days"
        raise DataError(Problem("synthetic", where, "a seed of 0 or more, 1 day or more, and a midnight were expected"))
    streams = [np.random.Generator(np.random.PCG64(child)) for child in np.random.SeedSequence(seed).spawn(6)]
    hours = (WARMUP_DAYS + days) * HOURS_A_DAY
    chosen = _scenario(scenario, streams[0], days)
    script = _script(chosen, hours)
    level = script.volatility * _waves(streams[1], hours, chosen.swing)
    returns = _returns(streams[2], script, level)
    open_, high, low, close = _candles(streams[3], script, level, returns)
    volume = _volumes(streams[4], high, low, script.volatility)
    time_ms = start_ms + (np.arange(hours, dtype=np.int64) - WARMUP_DAYS * HOURS_A_DAY) * HOUR_MS
    bars = {
        symbol.name: Bars(
            symbol.name, time_ms, *(np.ascontiguousarray(table[:, k]) for table in (open_, high, low, close, volume))
        )
        for k, symbol in enumerate(SYMBOLS)
    }
    mark = {symbol: _mark(streams[5], last) for symbol, last in bars.items()}
    funding = {symbol: _funding(streams[5], last, script.funding_bps) for symbol, last in bars.items()}
    return Market(bars, mark, funding)


def _scenario(name: str, rng: np.random.Generator, days: int) -> Scenario:
    if name == "demo":
        return DEMO
    if name == "plain":
        return plain_scenario(rng, days)
    raise DataError(Problem("unknown-scenario", name, f"there is no scenario `{name}`", "`demo` or `plain`"))


def _script(scenario: Scenario, hours: int) -> _Script:
    """Spread the episodes over the hours."""
    warmup = WARMUP_DAYS * HOURS_A_DAY
    starts = [round(episode.day * HOURS_A_DAY) + warmup for episode in scenario.episodes]
    ends = [*starts[1:], max(hours, starts[-1] + 1, warmup + scenario.days * HOURS_A_DAY)]
    lengths = [end - start for start, end in zip(starts, ends, strict=True)]

    def spread(rows: list[Triple]) -> FloatArray:
        return np.repeat(np.array(rows, dtype=np.float64), lengths, axis=0)[:hours]

    drift = spread(
        [_hourly(episode.move_percent, length) for episode, length in zip(scenario.episodes, lengths, strict=True)]
    )
    volatility = spread([episode.volatility_percent for episode in scenario.episodes]) / 100 / np.sqrt(HOURS_A_YEAR)
    block = np.concatenate(
        [start + np.arange(length) // ANCHOR_HOURS for start, length in zip(starts, lengths, strict=True)]
    )
    gap, body = np.zeros((hours, len(SYMBOLS))), np.zeros((hours, len(SYMBOLS)))
    shocked = np.zeros(hours, dtype=np.bool_)
    for shock in scenario.shocks:
        hour = shock.day * HOURS_A_DAY + shock.hour + warmup
        if 0 < hour < hours:
            gap[hour], body[hour], shocked[hour] = shock.gap_percent, shock.body_percent, True
    return _Script(
        drift,
        volatility,
        spread([(episode.steadiness,) * 3 for episode in scenario.episodes])[:, 0],
        spread([(episode.funding_bps,) * 3 for episode in scenario.episodes])[:, 0],
        block[:hours],
        gap / 100,
        body / 100,
        shocked,
    )


def _hourly(move_percent: Triple, hours: int) -> Triple:
    first, second, third = (math.log1p(move / 100) / hours for move in move_percent)
    return first, second, third


def _wave(rng: np.random.Generator, hours: int, memory_hours: float) -> FloatArray:
    """Return a stationary wave of variance 1, float64 (hours,): an autoregression that forgets in `memory_hours`."""
    keep = math.exp(-1 / memory_hours)
    push = math.sqrt(1 - keep * keep)
    noise = rng.standard_normal(hours)
    noise[1:] *= push
    return np.array(list(accumulate(noise.tolist(), lambda before, new: keep * before + new)))


def _waves(rng: np.random.Generator, hours: int, swing: float) -> FloatArray:
    """Return what multiplies the regime's volatility, float64 (hours, 3), mean square about 1."""
    common = swing * _wave(rng, hours, SLOW_HOURS) + FAST_SWING * _wave(rng, hours, FAST_HOURS)
    own = np.column_stack([OWN_SHARE * swing * _wave(rng, hours, SLOW_HOURS) for _ in SYMBOLS])
    variance = swing**2 * (1 + OWN_SHARE**2) + FAST_SWING**2
    clock = 1 + DAY_SWING * np.cos(2 * np.pi * (np.arange(hours) % HOURS_A_DAY - BUSY_HOUR) / HOURS_A_DAY)
    season = clock / math.sqrt(1 + DAY_SWING**2 / 2)
    level: FloatArray = np.exp(common[:, None] + own - variance) * season[:, None]
    return level


def _returns(rng: np.random.Generator, script: _Script, level: FloatArray) -> FloatArray:
    """Return log returns from close to close, float64 (n, 3); shocked bars are left to their script."""
    hours = len(level)
    shocks = rng.standard_t(TAIL_DEGREES, size=(hours, 1 + len(SYMBOLS))) / math.sqrt(TAIL_DEGREES / (TAIL_DEGREES - 2))
    shocks = np.clip(shocks, -TAIL_LIMIT, TAIL_LIMIT)
    beta = np.array([symbol.beta for symbol in SYMBOLS])
    noise = level * (beta * shocks[:, :1] + np.sqrt(1 - beta**2) * shocks[:, 1:])
    noise[script.shocked] = 0.0
    _, block, size = np.unique(script.block, return_inverse=True, return_counts=True)
    for k in range(len(SYMBOLS)):
        mean = np.bincount(block, weights=noise[:, k]) / size
        noise[:, k] -= np.where(script.shocked, 0.0, script.steadiness * mean[block])
    returns: FloatArray = script.drift + noise
    returns[script.shocked] = np.log1p(script.gap[script.shocked]) + np.log1p(script.body[script.shocked])
    return returns


def _candles(
    rng: np.random.Generator, script: _Script, level: FloatArray, returns: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    first = np.array([symbol.first_price for symbol in SYMBOLS])
    close = _ticks(first * np.exp(np.cumsum(returns, axis=0)))
    open_ = np.vstack([first, close[:-1]])
    open_[script.shocked] = _ticks(open_[script.shocked] * (1 + script.gap[script.shocked]))
    step = np.log(close / open_)
    # extremes of a Brownian bridge: (d ± sqrt(d² − 2σ² ln U)) / 2
    luck = -2 * level**2 * np.log(1 - rng.random((2, *level.shape)))
    up, down = (step + np.sqrt(step**2 + luck[0])) / 2, (step - np.sqrt(step**2 + luck[1])) / 2
    high = np.maximum(_ticks(open_ * np.exp(up)), np.maximum(open_, close))
    low = np.minimum(_ticks(open_ * np.exp(down)), np.minimum(open_, close))
    return open_, high, low, close


def _ticks(prices: FloatArray) -> FloatArray:
    return np.column_stack([np.round(prices[:, k], symbol.tick) for k, symbol in enumerate(SYMBOLS)])


def _volumes(rng: np.random.Generator, high: FloatArray, low: FloatArray, usual: FloatArray) -> FloatArray:
    """Return volumes in base asset, more in hours of a wide range."""
    base = np.array([symbol.volume for symbol in SYMBOLS])
    activity = np.log(high / low) / usual
    return np.round(base * (0.2 + 0.5 * activity) * np.exp(0.3 * rng.standard_normal(high.shape)), 3)


def _mark(rng: np.random.Generator, last: Bars) -> Bars:
    """Return mark prices: the last price within a basis point or so."""
    table = np.column_stack([last.open, last.high, last.low, last.close])
    table = np.round(table * np.exp(MARK_BPS * 1e-4 * rng.standard_normal(table.shape)), MARK_DECIMALS)
    open_, high, low, close = (np.ascontiguousarray(column) for column in table.T)
    high, low = np.maximum(high, np.maximum(open_, close)), np.minimum(low, np.minimum(open_, close))
    return Bars(last.symbol, last.open_time_ms, open_, high, low, close, np.zeros(len(last)))


def _funding(rng: np.random.Generator, last: Bars, mean_bps: FloatArray) -> FundingRates:
    """Return settlements at 00, 08 and 16 UTC: the script's mean, dearer for longs after a rise."""
    hours = np.flatnonzero((last.open_time_ms // HOUR_MS) % FUNDING_HOURS == 0)
    past = np.maximum(hours - FUNDING_TREND_HOURS, 0)
    trend = np.log(last.open[hours] / last.open[past])
    wave = _wave(rng, len(hours), FUNDING_MEMORY)
    bps = mean_bps[hours] + FUNDING_SLOPE * np.clip(trend, -TREND_LIMIT, TREND_LIMIT) + FUNDING_NOISE_BPS * wave
    return FundingRates(
        last.symbol, last.open_time_ms[hours], np.round(np.clip(bps, -FUNDING_LIMIT, FUNDING_LIMIT) * 1e-4, 8)
    )
