"""A market and a configuration with which a day is full of work: entries, flips, stops, exits on every symbol."""

from __future__ import annotations

import dataclasses
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backtest import WARMUP_BARS
from engine.clock import HOUR_MS, parse_time
from engine.config import load_config
from engine.live.opening import Release
from engine.market.series import FundingRates, Market
from engine.policy.bundle import load_bundle
from engine.policy.decide import Decision, decide
from engine.policy.interpreter import evaluate
from strategies.bars import Bars

if TYPE_CHECKING:
    from engine.config import FrozenConfig
    from engine.policy.model import Policy, Snapshot

ROOT = Path(__file__).parents[3]
START_MS = parse_time("2024-02-27T04:00:00Z")
PRICES = {"BTCUSDT": (30_000.0, 1), "ETHUSDT": (2_000.0, 2), "SOLUSDT": (80.0, 2)}
BTC, ETH, SOL = SYMBOLS = tuple(PRICES)

HOURLY = 0.006  # of a return, about 56 % a year
PULL = 0.97  # a price that comes back crosses its own averages all day long
CRASH = 0.22

_BTC: dict[str, Any] = {
    "channel_period": 12, "channel_multiplier": 0.4, "expansion_ratio": 0.5, "stop_loss_atr": 0.8, "cooldown_bars": 1,
    "min_hold_bars": 2, "max_holding_bars": 8, "fake_breakout_bars": 1,
}  # fmt: skip
_TREND: dict[str, Any] = {"vol_target": 2.0, "ema_fast": 2, "ema_slow": 5}


@dataclasses.dataclass(frozen=True)
class Interpreted:
    """Both engines are the interpreter: the policy's own engines are tested elsewhere, and cost a process each."""

    policy: Policy

    def fired(self, snapshot: Snapshot) -> tuple[str, ...]:
        return evaluate(self.policy, snapshot)

    def decide(self, snapshot: Snapshot) -> Decision:
        return decide(self.policy, snapshot, self)


@cache
def hot_release() -> Release:
    """The bundle of R1 with strategies that change their minds within hours."""
    bundle = load_bundle(ROOT / "config/prod_scale_rules_R1.yaml")
    config = _with(load_config(bundle.config_path), BTC, **_BTC)
    config = _with(config, ETH, lookbacks=(3, 6), **_TREND)
    config = _with(config, SOL, lookback=5, **_TREND)
    return Release(config, bundle, "campaign")


def _with(config: FrozenConfig, symbol: str, **params: Any) -> FrozenConfig:
    choices = dict(config.ensemble.strategies)
    choices[symbol] = dataclasses.replace(choices[symbol], params={**choices[symbol].params, **params})
    return dataclasses.replace(config, ensemble=dataclasses.replace(config.ensemble, strategies=choices))


def engine() -> Interpreted:
    return Interpreted(hot_release().bundle.policies["action"])


@lru_cache(maxsize=4)
def hot_market(seed: int, days: int, crash_hour: int | None = None) -> Market:
    """Draw a market around `START_MS`; with a crash (or a leap) of all three in one hour where one is asked for."""
    rng = np.random.default_rng([seed, 0xF1])
    count = WARMUP_BARS + 24 * days + 30
    times = START_MS + (np.arange(count, dtype=np.int64) - WARMUP_BARS - 4) * HOUR_MS
    common = rng.standard_t(5, count)
    blow = np.zeros(count)
    if crash_hour is not None:
        blow[WARMUP_BARS + 4 + crash_hour] = CRASH * rng.choice([-1, 1])
    market = Market({}, {}, {})
    for symbol, (price, decimals) in PRICES.items():
        shocks = HOURLY * (0.6 * common + 0.8 * rng.standard_t(5, count)) / 1.3 + blow
        walk = np.zeros(count)
        for at in range(1, count):
            walk[at] = PULL * walk[at - 1] + shocks[at]
        bars = _bars(symbol, price * np.exp(walk), decimals, times, rng)
        market.bars[symbol] = bars
        near = 1 + 1e-4 * rng.standard_normal(count)
        opens, highs, lows, closes = (np.round(each * near, 4) for each in (bars.open, bars.high, bars.low, bars.close))
        market.mark[symbol] = Bars(symbol, times, opens, highs, lows, closes, np.zeros(count))
        settled = times[times % (8 * HOUR_MS) == 0]
        market.funding[symbol] = FundingRates(symbol, settled, np.round(5e-4 * rng.standard_normal(len(settled)), 8))
    return market


def _bars(symbol: str, path: Any, decimals: int, times: Any, rng: np.random.Generator) -> Bars:
    count = len(times)
    close = np.round(path, decimals)
    open_ = np.concatenate([close[:1], close[:-1]])
    gaps = rng.random(count) < 0.1
    open_ = np.where(gaps, np.round(open_ * (1 + HOURLY * rng.standard_normal(count)), decimals), open_)
    reach_up, reach_down = (np.abs(rng.standard_normal(count)) * HOURLY / 2 for _ in range(2))
    top, bottom = np.maximum(open_, close), np.minimum(open_, close)
    high = np.maximum(np.round(top * (1 + reach_up), decimals), top)
    low = np.minimum(np.round(bottom * (1 - reach_down), decimals), bottom)
    return Bars(symbol, times, open_, high, low, close, np.full(count, 100.0))
