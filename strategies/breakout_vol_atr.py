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

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from strategies.breakout_raw import channel_of, raw_breakouts
from strategies.indicators import Returns
from strategies.sleeve import Ending, Signals

if TYPE_CHECKING:
    from strategies.bars import Bars, FloatArray
    from strategies.breakout_raw import Breakout, BreakoutParams, Channel

_LONG_AGO = -(10**9)


@dataclass(frozen=True, slots=True)
class Trade:
    """What becomes of a breakout that is followed.

    Attributes:
        start: the signal bar.
        end: the first bar whose position is 0 again; the number of bars while it stands.
        direction: +1 or −1.
        ending: why it ended; `NONE` while it stands.
        stop_price: USDT, live from bar start + 1 to bar `end`, both included; NaN while the entry has not filled.
    """

    start: int
    end: int
    direction: int
    ending: Ending
    stop_price: float


@dataclass(frozen=True)
class BreakoutSleeve:
    """The strategy on one symbol's bars; immutable, `restart` gives another.

    Attributes:
        bars: the bars.
        channel: the columns behind the decision.
        breakouts: the raw state's stretches.
        trades: one for each of `breakouts`: what becomes of it if it is followed.
        cooldown_bars: how long no breakout counts after a stop, a time stop or a restart.
        scale: float64 (n,), what a state of 1 is worth; NaN where it is unknown.
        signals: the decisions.
        remembers: a missed entry waits for a fresh breakout.
    """

    bars: Bars
    channel: Channel
    breakouts: tuple[Breakout, ...]
    trades: tuple[Trade, ...]
    cooldown_bars: int
    scale: FloatArray
    signals: Signals
    remembers: bool = True

    def restart(self, t: int) -> BreakoutSleeve:
        """Return the sleeve after a forced flat or a missed entry at bar t: flat from bar t on, cool-down from there.

        Everything before bar t is as it was, and so is the stop that was live during bar t.
        """
        signals = _flat(self.scale)
        signals.position[:t] = self.signals.position[:t]
        signals.stop_price[: t + 1] = self.signals.stop_price[: t + 1]
        signals.ending[: t + 1] = self.signals.ending[: t + 1]
        if self.signals.position[t] != 0.0:
            signals.ending[t] = Ending.RESTART
        _follow(signals, self.trades, self.scale, exit_bar=t, cooldown_bars=self.cooldown_bars)
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


def breakout_vol_atr(bars: Bars, params: BreakoutParams, slippage_bps: float) -> BreakoutSleeve:
    """Return the sleeve; flat (0.0) until a band and an expansion exist.

    Args:
        bars: the symbol's bars from the first there is; the recursions start there.
        params: the parameters.
        slippage_bps: of an entry fill; the stop is set from it.
    """
    channel = channel_of(bars, params)
    scale = _scale(bars.close, params)
    breakouts = raw_breakouts(bars.close, channel, params)
    trades = tuple(_trade(breakout, bars, channel, params, slippage_bps) for breakout in breakouts)
    signals = _flat(scale)
    _follow(signals, trades, scale, exit_bar=_LONG_AGO, cooldown_bars=params.cooldown_bars)
    return BreakoutSleeve(bars, channel, breakouts, trades, params.cooldown_bars, scale, signals)


def _trade(breakout: Breakout, bars: Bars, channel: Channel, params: BreakoutParams, slippage_bps: float) -> Trade:
    start, direction, count = breakout.start, breakout.direction, len(bars)
    entry_bar = start + 1
    if entry_bar >= count:
        return Trade(start, count, direction, Ending.NONE, np.nan)
    entry = bars.open.item(entry_bar) * (1.0 + direction * slippage_bps / 1e4)
    stop = entry - direction * params.stop_loss_atr * channel.atr.item(start)
    held_out = start + params.max_holding_bars
    end, ending = (breakout.end, Ending.RULE) if breakout.end <= held_out else (held_out, Ending.TIME_STOP)
    live = slice(entry_bar, end + 1)
    hit = bars.low[live] <= stop if direction > 0 else bars.high[live] >= stop
    first = int(hit.argmax())
    if hit[first]:
        return Trade(start, entry_bar + first, direction, Ending.STOP, stop)
    if end >= count:
        return Trade(start, count, direction, Ending.NONE, stop)
    return Trade(start, end, direction, ending, stop)


def _flat(scale: FloatArray) -> Signals:
    """Return the signals of a sleeve that never trades; NaN where not even the size of a flat position is known."""
    count = len(scale)
    return Signals(scale * 0.0, np.full(count, np.nan), np.zeros(count, dtype=np.int64))


def _follow(
    signals: Signals, trades: tuple[Trade, ...], scale: FloatArray, *, exit_bar: int, cooldown_bars: int
) -> None:
    """Write down the trades of the fresh breakouts after the cool-down that follows `exit_bar`."""
    for trade in trades:
        if trade.start <= exit_bar + cooldown_bars:
            continue
        held = slice(trade.start, trade.end)
        signals.position[held] = trade.direction * scale[held]
        signals.stop_price[trade.start + 1 : trade.end + 1] = trade.stop_price
        if trade.ending != Ending.NONE:
            signals.ending[trade.end] = trade.ending
            if trade.ending != Ending.RULE:
                exit_bar = trade.end


def _scale(close: FloatArray, params: BreakoutParams) -> FloatArray:
    if not params.vol_scale_enabled:
        return np.ones(len(close))
    if params.vol_scale_floor == params.vol_scale_cap:
        return np.full(len(close), params.vol_scale_cap)
    with np.errstate(divide="ignore"):
        wanted = params.vol_scale_target / Returns(close).annual_volatility(params.vol_scale_lookback)
    return np.clip(wanted, params.vol_scale_floor, params.vol_scale_cap)
