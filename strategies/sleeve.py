"""What a strategy gives: for one symbol, a position at each bar's close, and the stop that is live during each bar."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from strategies.bars import Bars, FloatArray, IntArray


class Ending(IntEnum):
    """Why a sleeve's position ended at a bar."""

    NONE = 0
    RULE = 1  # the strategy's own exit: fake breakout, middle of the channel
    STOP = 2  # hit inside the bar
    TIME_STOP = 3
    RESTART = 4  # forced flat or missed entry, told from outside


@dataclass(frozen=True)
class Signals:
    """One symbol's decisions, aligned with its bars; element t depends on bars up to t alone.

    Attributes:
        position: float64 (n,), in [-1, 1], decided at the close of bar t and filled at the open of the symbol's next
            bar; NaN = no signal.
        stop_price: float64 (n,), USDT: the trigger that is live during bar t, from the bar of the entry fill on; NaN
            where there is none.
        ending: int64 (n,), `Ending` of a position that stood at the close before.
    """

    position: FloatArray
    stop_price: FloatArray
    ending: IntArray


class Sleeve(Protocol):
    """A strategy on one symbol's bars."""

    @property
    def bars(self) -> Bars:
        """The bars the signals are aligned with."""
        ...

    @property
    def signals(self) -> Signals:
        """The decisions."""
        ...

    @property
    def remembers(self) -> bool:
        """Whether a missed entry changes what the strategy may do next; if not, `restart` returns the sleeve itself."""
        ...

    def restart(self, t: int) -> Sleeve:
        """Return the sleeve after a forced flat or a missed entry at bar t.

        Everything before bar t is as it was; a strategy without memory returns itself.
        """
        ...

    def indicators(self) -> dict[str, FloatArray]:
        """Return the named columns behind the decision, each float64 (n,); empty where a strategy shows none."""
        ...


@dataclass(frozen=True)
class MemorylessSleeve:
    """A strategy whose position follows from the prices alone: no stop, nothing to restart."""

    bars: Bars
    signals: Signals
    remembers: bool = False

    @classmethod
    def of(cls, bars: Bars, position: FloatArray) -> MemorylessSleeve:
        """Return the sleeve that holds `position`, float64 (n,), NaN where there is no signal."""
        count = len(bars)
        return cls(bars, Signals(position, np.full(count, np.nan), np.zeros(count, dtype=np.int64)))

    def restart(self, t: int) -> MemorylessSleeve:  # noqa: ARG002 - part of the protocol; there is no state to restart
        """Return the sleeve itself."""
        return self

    def indicators(self) -> dict[str, FloatArray]:
        """Return nothing: its indicators are not shown."""
        return {}
