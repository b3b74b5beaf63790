"""R1's signals as a user of pandas writes them; the state machine is a plain loop that Numba can compile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

FloatArray = npt.NDArray[np.float64]

HOURS_A_YEAR = 24 * 365


def channel(frame: pd.DataFrame, params: dict[str, Any]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return upper band, lower band, middle, and 1.0 where volatility expands."""
    before = frame["close"].shift(1)
    spans = [frame["high"] - frame["low"], (frame["high"] - before).abs(), (frame["low"] - before).abs()]
    true_range = spans[0].combine(spans[1], np.fmax).combine(spans[2], np.fmax)
    atr = true_range.ewm(alpha=1 / params["atr_period"], adjust=False, min_periods=params["atr_period"]).mean()
    mid = frame["close"].ewm(span=params["channel_period"], adjust=False).mean()
    reach = params["channel_multiplier"] * atr
    fast, slow = (atr.rolling(params[f"vol_{speed}_period"]).mean() for speed in ("fast", "slow"))
    expanding = (fast > params["expansion_ratio"] * slow).astype(np.float64)
    return (mid + reach).to_numpy(), (mid - reach).to_numpy(), mid.to_numpy(), expanding.to_numpy()


def breakout_states(
    close: FloatArray,
    upper: FloatArray,
    lower: FloatArray,
    mid: FloatArray,
    expanding: FloatArray,
    fake_bars: int,
    min_hold: int,
) -> FloatArray:
    """Return −1, 0 or 1 at each close."""
    states = np.zeros(len(close))
    state, held = 0.0, 0
    for bar in range(1, len(close)):
        if state == 0.0:
            if expanding[bar] == 1.0 and close[bar] > upper[bar - 1]:
                state, held = 1.0, 0
            elif expanding[bar] == 1.0 and close[bar] < lower[bar - 1]:
                state, held = -1.0, 0
        else:
            held += 1
            edge = upper[bar - 1] if state > 0.0 else lower[bar - 1]
            fake = held <= fake_bars and state * (close[bar] - edge) < 0.0
            beyond = held >= min_hold and state * (close[bar] - mid[bar]) < 0.0
            if fake or beyond:
                state = 0.0
        states[bar] = state
    return states


def rebalanced(sizes: FloatArray, dead_band: float) -> FloatArray:
    """Return weighted positions (n, symbols) with NaN where nothing is traded: changes inside the dead-band."""
    traded = np.full(sizes.shape, np.nan)
    for column in range(sizes.shape[1]):
        last = 0.0
        for row in range(sizes.shape[0]):
            size = sizes[row, column]
            if np.isnan(size) or size == last:
                continue
            if size == 0.0 or last == 0.0 or size * last < 0.0 or abs(size - last) >= dead_band * abs(last):
                traded[row, column] = size
                last = size
    return traded


def momentum(frame: pd.DataFrame, params: dict[str, Any]) -> FloatArray:
    """Return the position of `tsmom_ema` or `tsmom_multi_ema` at each close, NaN without a signal."""
    close = frame["close"]
    returns = close.pct_change()
    parts = []
    for lookback in params.get("lookbacks") or [params["lookback"]]:
        window = returns.rolling(lookback)
        scale = (params["vol_target"] / (window.std() * HOURS_A_YEAR**0.5)).clip(0.1, 2.0)
        parts.append((np.sign(window.sum()) * scale).clip(-1.0, 1.0))
    position = sum(parts[1:], parts[0]) / len(parts)
    fast, slow = (close.ewm(span=params[f"ema_{speed}"], adjust=False).mean() for speed in ("fast", "slow"))
    agrees = np.sign(position) == np.sign(fast - slow)
    weight = np.where(agrees, params["agree_weight"], params["disagree_weight"])
    return np.asarray((position * weight).clip(-1.0, 1.0), dtype=np.float64)


def position_of(
    name: str, params: dict[str, Any], frame: pd.DataFrame, states: Callable[..., FloatArray] = breakout_states
) -> FloatArray:
    """Return the position at each close; `states` may be the compiled state machine."""
    if name != "breakout_vol_atr":
        return momentum(frame, params)
    raw = states(
        frame["close"].to_numpy(),
        *channel(frame, params),
        params["fake_breakout_bars"],
        max(1, params["min_hold_bars"]),
    )
    return float(params["vol_scale_cap"]) * raw  # the floor equals the cap
