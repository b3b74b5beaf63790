"""Markets, sleeves and accounts made for a test."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backtest import Simulation
from engine.clock import HOUR_MS
from engine.market.series import FundingRates, Market
from engine.portfolio import Costs
from strategies.bars import Bars
from strategies.registry import make_sleeve
from strategies.sleeve import MemorylessSleeve
from tests.strategies.builders import R1, START_MS, bars_of, random_bars, real_bars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from strategies.sleeve import Sleeve

R1_WEIGHTS = {"BTCUSDT": 0.34, "ETHUSDT": 0.33, "SOLUSDT": 0.33}
R1_COSTS = Costs(fee_bps=5.0, slippage_bps=3.0)
FREE = Costs(fee_bps=0.0, slippage_bps=0.0)


def market_of(*bars: Bars, mark: Iterable[Bars] = (), funding: Iterable[FundingRates] = ()) -> Market:
    return Market(
        {each.symbol: each for each in bars},
        {each.symbol: each for each in mark},
        {each.symbol: each for each in funding},
    )


def rates_of(symbol: str, hours: Sequence[int], rates: Sequence[float], start_ms: int = START_MS) -> FundingRates:
    return FundingRates(symbol, start_ms + np.array(hours, dtype=np.int64) * HOUR_MS, np.array(rates, dtype=float))


def holding(bars: Bars, position: Sequence[float]) -> MemorylessSleeve:
    """Return a sleeve that decides `position` at each close."""
    return MemorylessSleeve.of(bars, np.array(position, dtype=float))


def account(market: Market, sleeves: Mapping[str, Sleeve], **changes: Any) -> Simulation:
    """Return an account of $10,000 over all hours of the market: no costs, no funding, no warm-up, no dead-band."""
    first = min(int(bars.open_time_ms[0]) for bars in market.bars.values())
    last = max(int(bars.open_time_ms[-1]) for bars in market.bars.values())
    settings: dict[str, Any] = {
        "weights": dict.fromkeys(sleeves, 1.0),
        "costs": FREE,
        "initial_equity_usd": 10_000.0,
        "start_ms": first,
        "end_ms": last + HOUR_MS,
        "dead_band": 0.0,
        "default_rate_8h": None,
        "warmup_bars": 0,
        **changes,
    }
    return Simulation(market, sleeves, **settings)


def held(close: Sequence[float], position: Sequence[float], **changes: Any) -> Simulation:
    """Return an account that trades one symbol, bars opening where the one before closed."""
    bars = bars_of(close)
    return account(market_of(bars), {bars.symbol: holding(bars, position)}, **changes)


def random_market(seed: int, hours: int, *, missing: float = 0.0) -> Market:
    """Return three symbols with gaps, mark prices with other gaps, and a record of funding with holes."""
    rng = np.random.default_rng(seed)
    bars, marks, funding = [], [], []
    for number, symbol in enumerate(R1):
        last = random_bars(seed + number, hours, symbol=symbol, missing=missing)
        bars.append(last)
        known = np.flatnonzero(rng.random(len(last)) > 0.2)
        shift = 1 + rng.normal(0, 0.001, len(last))
        open_, high, low, close = ((column * shift)[known] for column in (last.open, last.high, last.low, last.close))
        marks.append(Bars(symbol, last.open_time_ms[known], open_, high, low, close, np.zeros(len(known))))
        every = int(rng.choice([2, 4, 8]))
        at = np.arange(0, hours, every)
        at = at[rng.random(len(at)) > 0.15]
        funding.append(rates_of(symbol, at.tolist(), rng.normal(0, 0.0005, len(at)).tolist()))
    return market_of(*bars, mark=marks, funding=funding)


def random_positions(seed: int, bars: Bars) -> MemorylessSleeve:
    """Return positions that stay, drift, change sign, go to zero and vanish (no signal)."""
    rng = np.random.default_rng(seed)
    drift = np.cumsum(rng.normal(0, 0.1, len(bars)))
    position = np.clip(np.where(rng.random(len(bars)) < 0.7, np.round(drift, 1), drift), -1, 1)
    position[rng.random(len(bars)) < 0.05] = 0.0
    position[rng.random(len(bars)) < 0.03] = np.nan
    return holding(bars, position.tolist())


@cache
def real_market(folder: Path, *, sol: str = "klines_composite") -> Market:
    """Return the recorded market, read with pandas, apart from the project's own reader."""
    import pandas as pd  # noqa: PLC0415 - only tests on real data need it

    bars = [real_bars(folder, symbol, sol if symbol == "SOLUSDT" else "klines") for symbol in R1]
    marks = [real_bars(folder, symbol, "klines_mark") for symbol in R1]
    funding = []
    for symbol in R1:
        table = pd.read_csv(folder / "funding" / f"{symbol}.csv", parse_dates=["funding_time"])
        time_ms = table["funding_time"].dt.floor("h").dt.as_unit("ms").astype("int64").to_numpy()
        funding.append(FundingRates(symbol, time_ms, table["funding_rate"].to_numpy(dtype=float)))
    return market_of(*bars, mark=marks, funding=funding)


def r1_account(market: Market, start_ms: int, end_ms: int, **changes: Any) -> Simulation:
    """Return the R1 ensemble with its costs, funding and warm-up."""
    sleeves = {symbol: make_sleeve(name, params, market.bars[symbol], 3.0) for symbol, (name, params) in R1.items()}
    settings: dict[str, Any] = {
        "weights": R1_WEIGHTS,
        "costs": R1_COSTS,
        "initial_equity_usd": 10_000.0,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "dead_band": 0.05,
        "default_rate_8h": 1e-4,
        **changes,
    }
    return Simulation(market, sleeves, **settings)


def cut_market(market: Market, end_ms: int) -> Market:
    """Return what was known at `end_ms`: bars that had closed, settlements that had happened."""

    def closed(bars: Bars) -> Bars:
        return bars.part(0, int(np.searchsorted(bars.open_time_ms, end_ms - HOUR_MS, side="right")))

    funding = {}
    for symbol, rates in market.funding.items():
        count = int(np.searchsorted(rates.time_ms, end_ms))
        funding[symbol] = FundingRates(symbol, rates.time_ms[:count], rates.rate[:count])
    return Market(
        {symbol: closed(bars) for symbol, bars in market.bars.items()},
        {symbol: closed(bars) for symbol, bars in market.mark.items()},
        funding,
    )
