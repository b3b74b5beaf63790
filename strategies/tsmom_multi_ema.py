"""tsmom_multi_ema: the mean of several momentum positions, each with its own σ, then one trend filter (R007, R008).

A lookback whose window is not full makes the mean undefined, never a silent 0 in it: no signal until the longest one
has its L + 1 closes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from strategies.indicators import Returns
from strategies.sleeve import MemorylessSleeve
from strategies.tsmom_ema import TrendFilter, momentum_position, with_trend

if TYPE_CHECKING:
    from strategies.bars import Bars


@dataclass(frozen=True)
class TsmomMultiParams(TrendFilter):
    """The parameters of `tsmom_multi_ema`; `lookbacks` in returns."""

    lookbacks: tuple[int, ...]


def tsmom_multi_ema(bars: Bars, params: TsmomMultiParams) -> MemorylessSleeve:
    """Return the sleeve of several lookbacks; no signal (NaN) until there are max(lookbacks) + 1 closes."""
    hourly = Returns(bars.close)
    parts = (momentum_position(hourly, lookback, params.vol_target) for lookback in params.lookbacks)
    position = sum(parts, np.zeros(len(bars))) / len(params.lookbacks)
    return MemorylessSleeve.of(bars, with_trend(position, bars.close, params))
