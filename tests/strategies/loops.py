"""The strategies once more, bar by bar in plain Python, written from domain.md alone: the oracle of the tests."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from strategies.bars import Bars


@dataclass
class Looped:
    """What the loop found for each bar; None where a value does not exist."""

    position: list[float]
    stop: list[float | None]
    raw: list[int]
    atr: list[float | None]
    mid: list[float]
    expanding: list[bool]


def loop_breakout(  # noqa: C901, PLR0912, PLR0915 - the whole strategy in one reading
    bars: Bars, p: dict[str, Any], slippage: float, restarts: Collection[int] = ()
) -> Looped:
    found = Looped([], [], [], [], [], [])
    rows = list(zip(bars.open.tolist(), bars.high.tolist(), bars.low.tolist(), bars.close.tolist(), strict=True))
    wilder = ema = 0.0
    atrs: list[float | None] = []
    bands: list[tuple[float, float] | None] = []
    raw, raw_held = 0, 0
    position, held, entry_signal_atr, stop, wait = 0, 0, 0.0, None, 0
    for t, (open_, high, low, close) in enumerate(rows):
        if t == 0:
            true_range = high - low
            wilder, ema = true_range, close
        else:
            before = rows[t - 1][3]
            true_range = max(high - low, abs(high - before), abs(low - before))
            wilder = wilder * (1 - 1 / p["atr_period"]) + true_range / p["atr_period"]
            ema = ema + 2 / (p["channel_period"] + 1) * (close - ema)
        atr = wilder if t + 1 >= p["atr_period"] else None
        atrs.append(atr)
        reach = None if atr is None else p["channel_multiplier"] * atr
        bands.append(None if reach is None else (ema - reach, ema + reach))
        fast, slow = (_mean_of_last(atrs, p[name]) for name in ("vol_fast_period", "vol_slow_period"))
        expanding = fast is not None and slow is not None and fast > p["expansion_ratio"] * slow

        # Inside the bar: the position was opened at this bar's open, or before.
        stopped = False
        if position:
            held += 1
            if held == 1:
                fill = open_ * (1 + position * slippage)
                stop = fill - position * p["stop_loss_atr"] * entry_signal_atr
            assert stop is not None
            stopped = low <= stop if position > 0 else high >= stop
        found.stop.append(stop if position else None)

        # At the close, the raw state.
        band = bands[t - 1] if t else None
        fresh = 0
        was = raw
        if raw:
            raw_held += 1
            assert band is not None
            back = close < band[1] if raw > 0 else close > band[0]
            beyond_mid = close < ema if raw > 0 else close > ema
            if (raw_held <= p["fake_breakout_bars"] and back) or (
                p["trail_exit_mid"] and raw_held >= p["min_hold_bars"] and beyond_mid
            ):
                raw = 0
        elif band is not None and expanding:
            fresh = 1 if close > band[1] else -1 if close < band[0] else 0
            raw, raw_held = fresh, 0

        # At the close, what is really held.
        wait = max(0, wait - 1)
        if t in restarts:
            position, wait = 0, p["cooldown_bars"] + 1
        elif position:
            if stopped:
                position, wait = 0, p["cooldown_bars"] + 1
            elif was and not raw:
                position = 0
            elif held == p["max_holding_bars"]:
                position, wait = 0, p["cooldown_bars"] + 1
        elif fresh and wait == 0:
            position, held, entry_signal_atr, stop = fresh, 0, atr or 0.0, None
        found.position.append(position * p["vol_scale_cap"])
        found.raw.append(raw)
        found.atr.append(atr)
        found.mid.append(ema)
        found.expanding.append(expanding)
    return found


def _mean_of_last(values: list[float | None], count: int) -> float | None:
    window = values[-count:]
    known = [value for value in window if value is not None]
    return sum(known) / count if len(known) == count == len(window) else None


def loop_tsmom(
    close: list[float], lookbacks: list[int], p: dict[str, Any], at: Collection[int]
) -> dict[int, float | None]:
    """Return the position at the bars `at`; None where a window is not full."""
    fast, slow = close[0], close[0]
    trends = []
    for price in close:
        fast += 2 / (p["ema_fast"] + 1) * (price - fast)
        slow += 2 / (p["ema_slow"] + 1) * (price - slow)
        trends.append(_sign(fast - slow))
    found: dict[int, float | None] = {}
    for t in at:
        parts = []
        for lookback in lookbacks:
            window = close[max(0, t - lookback) : t + 1]
            if len(window) < lookback + 1:
                break
            returns = [after / before - 1 for before, after in itertools.pairwise(window)]
            deviation = statistics.stdev(returns) * math.sqrt(8760)
            scale = 2.0 if deviation == 0 else min(max(p["vol_target"] / deviation, 0.1), 2.0)
            parts.append(min(max(_sign(math.fsum(returns)) * scale, -1.0), 1.0))
        if len(parts) < len(lookbacks):
            found[t] = None
            continue
        mean = sum(parts) / len(parts)
        weight = p["agree_weight"] if _sign(mean) == trends[t] else p["disagree_weight"]
        found[t] = min(max(mean * weight, -1.0), 1.0)
    return found


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
