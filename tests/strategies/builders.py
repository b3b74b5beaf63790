"""Bars made for a test: random ones that trend, calm down and jump, and hand-written ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import HOUR_MS, parse_time
from strategies.bars import Bars

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from strategies.bars import FloatArray

START_MS = parse_time("2024-01-01")

TREND: dict[str, Any] = {
    "vol_target": 0.15,
    "ema_fast": 20,
    "ema_slow": 50,
    "agree_weight": 1.0,
    "disagree_weight": 0.3,
}

BREAKOUT: dict[str, Any] = {
    "channel_period": 336,
    "channel_multiplier": 2.5,
    "atr_period": 14,
    "vol_fast_period": 14,
    "vol_slow_period": 72,
    "expansion_ratio": 1.1,
    "fake_breakout_bars": 6,
    "min_hold_bars": 24,
    "trail_exit_mid": True,
    "stop_loss_atr": 3.5,
    "max_holding_bars": 72,
    "cooldown_bars": 24,
    "vol_scale_enabled": True,
    "vol_scale_target": 99.0,
    "vol_scale_lookback": 168,
    "vol_scale_floor": 0.7,
    "vol_scale_cap": 0.7,
}

R1: dict[str, tuple[str, dict[str, Any]]] = {
    "BTCUSDT": ("breakout_vol_atr", BREAKOUT),
    "ETHUSDT": ("tsmom_multi_ema", {**TREND, "lookbacks": (72, 168, 336, 720)}),
    "SOLUSDT": ("tsmom_ema", {**TREND, "lookback": 168}),
}

# Short periods: many entries, fake breakouts, stops and time stops within a few hundred bars.
LIVELY: dict[str, Any] = {
    **BREAKOUT,
    "channel_period": 24,
    "channel_multiplier": 1.0,
    "atr_period": 5,
    "vol_fast_period": 3,
    "vol_slow_period": 9,
    "expansion_ratio": 1.0,
    "fake_breakout_bars": 3,
    "min_hold_bars": 6,
    "stop_loss_atr": 2.0,
    "max_holding_bars": 15,
    "cooldown_bars": 5,
}


@dataclass
class Rows:
    """Bars as lists, to be changed at will before they become bars."""

    close: list[float]
    open: list[float]
    high: list[float]
    low: list[float]

    def bars(self) -> Bars:
        return bars_of(self.close, open_=self.open, high=self.high, low=self.low)


def bars_of(
    close: Sequence[float] | FloatArray,
    *,
    open_: Sequence[float] | FloatArray | None = None,
    high: Sequence[float] | FloatArray | None = None,
    low: Sequence[float] | FloatArray | None = None,
    symbol: str = "BTCUSDT",
    start_ms: int = START_MS,
    hours: Sequence[int] | None = None,
) -> Bars:
    """Return bars that open where the one before closed, with no more range than that, unless told otherwise."""
    closes = np.array(close, dtype=float)
    opens = np.concatenate([closes[:1], closes[:-1]]) if open_ is None else np.array(open_, dtype=float)
    highs = np.maximum(opens, closes) if high is None else np.array(high, dtype=float)
    lows = np.minimum(opens, closes) if low is None else np.array(low, dtype=float)
    at = np.arange(len(closes)) if hours is None else np.array(hours)
    return Bars(symbol, start_ms + at.astype(np.int64) * HOUR_MS, opens, highs, lows, closes, np.ones(len(closes)))


def random_bars(
    seed: int, count: int, *, symbol: str = "BTCUSDT", start_ms: int = START_MS, missing: float = 0.0
) -> Bars:
    """Return a random walk with bursts of volatility, wicks and gaps; `missing` is the share of absent bars."""
    rng = np.random.default_rng(seed)
    calm = np.exp(0.8 * np.cumsum(rng.normal(0, 0.25, count)) / np.sqrt(np.arange(1, count + 1)))
    steps = rng.standard_t(4, count) * 0.004 * np.clip(calm, 0.2, 6.0)
    closes = 100.0 * np.exp(np.cumsum(steps))
    opens = np.concatenate([[100.0], closes[:-1]]) * np.exp(rng.normal(0, 0.001, count))
    highs = np.maximum(opens, closes) * np.exp(np.abs(rng.normal(0, 0.003, count)))
    lows = np.minimum(opens, closes) * np.exp(-np.abs(rng.normal(0, 0.003, count)))
    there = np.flatnonzero((rng.random(count) >= missing) | (np.arange(count) == 0))
    return bars_of(
        closes[there],
        open_=opens[there],
        high=highs[there],
        low=lows[there],
        symbol=symbol,
        start_ms=start_ms,
        hours=there.tolist(),
    )


def real_bars(folder: Path, symbol: str, kind: str = "klines") -> Bars:
    """Return recorded bars, read with pandas, apart from the project's own reader."""
    import pandas as pd  # noqa: PLC0415 - only tests on real data need it

    table = pd.read_csv(folder / kind / f"{symbol}-1h.csv.gz", parse_dates=["open_time"])
    time_ms = table["open_time"].dt.as_unit("ms").astype("int64").to_numpy()
    prices = [table[name].to_numpy(dtype=float) for name in ("open", "high", "low", "close")]
    volume = table["volume"].to_numpy(dtype=float) if "volume" in table else np.zeros(len(table))
    return Bars(symbol, time_ms, prices[0], prices[1], prices[2], prices[3], volume)
