"""The channel of breakout_vol_atr and its raw state: entries, fake breakouts and the middle of the channel, no more.

The raw state knows closes and bands only and runs on whatever becomes of its trades; stop, time stop and cool-down are
the business of `strategies.breakout_vol_atr`. Bar e is the signal bar, held 0; bar e + 1 is the entry bar, held 1.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from strategies.indicators import ema, moving_mean, wilder_atr

if TYPE_CHECKING:
    from strategies.bars import Bars, FloatArray


@dataclass(frozen=True)
class BreakoutParams:
    """The parameters of `breakout_vol_atr`; names as in the frozen configuration, periods in bars."""

    channel_period: int
    channel_multiplier: float
    atr_period: int
    vol_fast_period: int
    vol_slow_period: int
    expansion_ratio: float
    fake_breakout_bars: int
    min_hold_bars: int
    trail_exit_mid: bool
    stop_loss_atr: float
    max_holding_bars: int
    cooldown_bars: int
    vol_scale_enabled: bool
    vol_scale_target: float
    vol_scale_lookback: int
    vol_scale_floor: float
    vol_scale_cap: float


@dataclass(frozen=True)
class Channel:
    """The columns the machines read; float64 (n,) in USDT, NaN before the first ATR; `expanding` bool (n,)."""

    atr: FloatArray
    mid: FloatArray
    upper: FloatArray
    lower: FloatArray
    expanding: np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True)
class Breakout:
    """A stretch of the raw state: `direction` from the close of bar `start` on, flat at the close of bar `end`.

    `end` is the number of bars while the stretch stands.
    """

    start: int
    end: int
    direction: int


def channel_of(bars: Bars, params: BreakoutParams) -> Channel:
    """Return the channel and the expansion of every bar."""
    atr = wilder_atr(bars, params.atr_period)
    mid = ema(bars.close, span=params.channel_period)
    reach = params.channel_multiplier * atr
    first = params.atr_period - 1
    fast = moving_mean(atr, params.vol_fast_period, first=first)
    slow = moving_mean(atr, params.vol_slow_period, first=first)
    return Channel(atr, mid, mid + reach, mid - reach, fast > params.expansion_ratio * slow)


def raw_breakouts(close: FloatArray, channel: Channel, params: BreakoutParams) -> tuple[Breakout, ...]:
    """Return the stretches of the raw state, oldest first.

    Comparisons with the bands use the band of the bar before, those with the middle this bar's. A bar that closes a
    position opens none.
    """
    count = len(close)
    above = _against(close, channel.upper, greater=True)
    below = _against(close, channel.lower, greater=False)
    entries = np.flatnonzero((above | below) & channel.expanding).tolist()
    returned = {1: _against(close, channel.upper, greater=False), -1: _against(close, channel.lower, greater=True)}
    beyond_mid = {1: np.flatnonzero(close < channel.mid).tolist(), -1: np.flatnonzero(close > channel.mid).tolist()}
    found: list[Breakout] = []
    at = 0
    while at < len(entries):
        start = entries[at]
        direction = 1 if above[start] else -1
        end = count
        if params.trail_exit_mid:
            crossed = beyond_mid[direction]
            place = bisect_left(crossed, start + max(1, params.min_hold_bars))
            end = crossed[place] if place < len(crossed) else count
        early = returned[direction][start + 1 : min(start + params.fake_breakout_bars + 1, end)]
        if early.any():
            end = start + 1 + int(early.argmax())
        found.append(Breakout(start, end, direction))
        at = bisect_left(entries, end + 1)
    return tuple(found)


def _against(close: FloatArray, band: FloatArray, *, greater: bool) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return where the close lies above (or below) the band of the bar before; False where there is none."""
    result = np.zeros(len(close), dtype=np.bool_)
    result[1:] = close[1:] > band[:-1] if greater else close[1:] < band[:-1]
    return result
