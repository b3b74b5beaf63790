"""The synthetic market: the same for a seed, possible in every bar, and within the yearly ranges of the real one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.errors import DataError
from engine.market.csvfiles import load_directory
from engine.market.quality import check
from engine.market.scenarios import DEMO, WARMUP_DAYS
from engine.market.synthetic import synthetic_market
from strategies.registry import make_sleeve

if TYPE_CHECKING:
    from pathlib import Path

    from engine.market.series import Market
    from strategies.bars import FloatArray

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
PAIRS = (("BTCUSDT", "ETHUSDT"), ("BTCUSDT", "SOLUSDT"), ("ETHUSDT", "SOLUSDT"))
HOURS_A_YEAR = 8760
START_MS = parse_time("2024-01-01")

# Smallest and largest value over rolling years (8,760 hourly log returns, a year every 7 days) of the real prices:
# Binance USDⓈ-M perpetuals to 2025-12-31, BTC from 2019-09-11, ETH from 2019-11-30, SOL from 2020-08-14 (spot until
# 2022-06-24); correlations from 2020-08-14. `test_the_ranges_are_those_of_the_real_prices` measures them anew.
RANGES: dict[str, dict[str, tuple[float, float]]] = {}
CORRELATIONS: dict[tuple[str, str], tuple[float, float]] = {}


def statistics(returns: FloatArray) -> dict[str, float]:
    """Return what the ranges are about, of one symbol's hourly log returns."""
    centred = returns - returns.mean()
    variance = float((centred**2).mean())
    size = np.abs(returns) - np.abs(returns).mean()
    return {
        "annual volatility": float(np.sqrt(variance * HOURS_A_YEAR)),
        "excess kurtosis": float((centred**4).mean() / variance**2 - 3),
        "autocorrelation of r, 1 h": float((centred[1:] * centred[:-1]).mean() / variance),
        "autocorrelation of |r|, 24 h": float((size[24:] * size[:-24]).mean() / (size**2).mean()),
    }


def hourly_returns(market: Market) -> dict[str, FloatArray]:
    return {symbol: np.diff(np.log(market.bars[symbol].close)) for symbol in market.symbols}
