"""breakout_vol_atr: breakouts of a Keltner-type channel while volatility expands, with stop, time stop and cool-down.

Two machines, one above the other. The **raw** one knows closes and bands only (entry, fake breakout, middle of the
channel) and runs on whatever becomes of its trades. The **final** one follows each raw entry and adds what domain.md
demands of a position that is really held: the stop, the time stop, the cool-down, and the fresh breakout after them.

Decided here, where domain.md leaves room (bar e is the signal bar, held 0; bar e + 1 is the entry bar, held 1):

- The bands exist from the bar on that shows the first ATR; the expansion is False until both averages are full.
- A fresh breakout is a bar at which the raw state changes from flat to ±1.
- A stop is hit when the low is at or below it (a short's: the high at or above); exactly at the price counts.
- The time stop decides at the close of bar e + 72 (held 72), so it fills exactly 72 bars after the entry's open (R005).
- The exit bar b is the first bar whose position is 0 because of a stop, a time stop or a restart. Bars b + 1 … b + 24
  are the cool-down, a fresh breakout counts from bar b + 25 on.
- A raw exit at the bar of the time stop is an ordinary exit, without cool-down; a stop hit inside the bar came first
  and is always a stop.
- σ undefined (fewer than vol_scale_lookback returns) gives no signal, unless floor = cap: then the size is known.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from strategies.indicators import Returns, ema, moving_mean, wilder_atr
from strategies.sleeve import Ending, Signals

if TYPE_CHECKING:
    from strategies.bars import Bars, FloatArray

_LONG_AGO = -(10**9)


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
    goes_long = above.tolist()
    returned = {
        1: _against(close, channel.upper, greater=False).tolist(),
        -1: _against(close, channel.lower, greater=True).tolist(),
    }
    beyond_mid = {
        1: np.flatnonzero(close < channel.mid).tolist() if params.trail_exit_mid else [],
        -1: np.flatnonzero(close > channel.mid).tolist() if params.trail_exit_mid else [],
    }
    found: list[Breakout] = []
    at = 0
    while at < len(entries):
        start = entries[at]
        direction = 1 if goes_long[start] else -1
        crossed = beyond_mid[direction]
        place = bisect_left(crossed, start + max(1, params.min_hold_bars))
        end = crossed[place] if place < len(crossed) else count
        for t in range(start + 1, min(start + params.fake_breakout_bars + 1, end)):
            if returned[direction][t]:
                end = t
                break
        found.append(Breakout(start, end, direction))
        at = bisect_left(entries, end + 1)
    return tuple(found)


def _against(close: FloatArray, band: FloatArray, *, greater: bool) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return where the close lies above (or below) the band of the bar before; False where there is none."""
    result = np.zeros(len(close), dtype=np.bool_)
    result[1:] = close[1:] > band[:-1] if greater else close[1:] < band[:-1]
    return result


@dataclass(frozen=True)
class BreakoutSleeve:
    """The strategy on one symbol's bars; immutable, `restart` gives another.

    Attributes:
        bars: the bars.
        params: the parameters.
        slippage_ratio: of an entry fill, 0.0003 = 3 bps; the stop is set from it.
        channel: the columns behind the decision.
        breakouts: the raw state's stretches.
        scale: float64 (n,), what a state of 1 is worth; NaN where it is unknown.
        signals: the decisions.
    """

    bars: Bars
    params: BreakoutParams
    slippage_ratio: float
    channel: Channel
    breakouts: tuple[Breakout, ...]
    scale: FloatArray
    signals: Signals

    def restart(self, t: int) -> BreakoutSleeve:
        """Return the sleeve after a forced flat or a missed entry at bar t: flat from bar t on, cool-down from there.

        Everything before bar t is as it was, and so is the stop that was live during bar t.
        """
        old = self.signals
        position, stop_price, ending = old.position.copy(), old.stop_price.copy(), old.ending.copy()
        if position[t] != 0.0:
            ending[t] = Ending.RESTART
        position[t:] = self.scale[t:] * 0.0
        stop_price[t + 1 :] = np.nan
        ending[t + 1 :] = Ending.NONE
        signals = Signals(position, stop_price, ending)
        self._follow(signals, exit_bar=t)
        return replace(self, signals=signals)

    def indicators(self) -> dict[str, FloatArray]:
        """Return the channel as columns.

        `atr`, `mid`, `upper` and `lower` in USDT, `expanding` 0 or 1, `raw_state` −1, 0 or 1: the state before stop,
        time stop and cool-down.
        """
        raw_state = np.zeros(len(self.bars))
        for breakout in self.breakouts:
            raw_state[breakout.start : breakout.end] = breakout.direction
        return {
            "atr": self.channel.atr,
            "mid": self.channel.mid,
            "upper": self.channel.upper,
            "lower": self.channel.lower,
            "expanding": self.channel.expanding.astype(np.float64),
            "raw_state": raw_state,
        }

    def _follow(self, signals: Signals, exit_bar: int) -> None:
        """Fill in the trades of the fresh breakouts after the cool-down that follows `exit_bar`."""
        last_bar = len(self.bars) - 1
        for breakout in self.breakouts:
            start = breakout.start
            if start <= exit_bar + self.params.cooldown_bars:
                continue
            end, ending, stop = self._trade(breakout)
            signals.position[start:end] = breakout.direction * self.scale[start:end]
            signals.stop_price[start + 1 : end + 1] = stop
            if end <= last_bar:
                signals.ending[end] = ending
            if ending in {Ending.STOP, Ending.TIME_STOP}:
                exit_bar = end

    def _trade(self, breakout: Breakout) -> tuple[int, Ending, float]:
        """Return the first bar that is flat again (or the number of bars), why, and the stop's price."""
        start, direction = breakout.start, breakout.direction
        held_out = start + self.params.max_holding_bars
        end, ending = (breakout.end, Ending.RULE) if breakout.end <= held_out else (held_out, Ending.TIME_STOP)
        if start + 1 >= len(self.bars):
            return len(self.bars), Ending.NONE, np.nan
        entry = self.bars.open[start + 1] * (1.0 + direction * self.slippage_ratio)
        stop = float(entry - direction * self.params.stop_loss_atr * self.channel.atr[start])
        live = slice(start + 1, end + 1)
        hit = self.bars.low[live] <= stop if direction > 0 else self.bars.high[live] >= stop
        first = int(np.argmax(hit))
        if hit[first]:
            return start + 1 + first, Ending.STOP, stop
        if end >= len(self.bars):
            return len(self.bars), Ending.NONE, stop
        return end, ending, stop


def breakout_vol_atr(bars: Bars, params: BreakoutParams, slippage_bps: float) -> BreakoutSleeve:
    """Return the sleeve; flat (0.0) until a band and an expansion exist.

    Args:
        bars: the symbol's bars from the first there is; the recursions start there.
        params: the parameters.
        slippage_bps: of an entry fill; the stop is set from it.
    """
    count = len(bars)
    channel = channel_of(bars, params)
    scale = _scale(bars.close, params)
    signals = Signals(scale * 0.0, np.full(count, np.nan), np.zeros(count, dtype=np.int64))
    breakouts = raw_breakouts(bars.close, channel, params)
    sleeve = BreakoutSleeve(bars, params, slippage_bps / 1e4, channel, breakouts, scale, signals)
    sleeve._follow(signals, exit_bar=_LONG_AGO)  # noqa: SLF001 - completes the value before anyone sees it
    return sleeve


def _scale(close: FloatArray, params: BreakoutParams) -> FloatArray:
    if not params.vol_scale_enabled:
        return np.ones(len(close))
    if params.vol_scale_floor == params.vol_scale_cap:
        return np.full(len(close), params.vol_scale_cap)
    with np.errstate(divide="ignore"):
        wanted = params.vol_scale_target / Returns(close).annual_volatility(params.vol_scale_lookback)
    return np.clip(wanted, params.vol_scale_floor, params.vol_scale_cap)
