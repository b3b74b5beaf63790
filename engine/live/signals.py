"""What the strategies say at the close of a bar, from the bars that a running desk keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.backtest.simulation import WARMUP_BARS
from engine.clock import HOUR_MS
from strategies.bars import Bars
from strategies.ensemble import make_sleeves
from strategies.sleeve import Ending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.config import FrozenConfig
    from strategies.bars import FloatArray
    from strategies.sleeve import Sleeve


@dataclass(frozen=True)
class Reading:
    """One sleeve at the close of its last bar.

    Attributes:
        symbol: the venue's name.
        bar_ms: the open of that bar.
        close: its close, USDT: what a decision is sized with.
        position: what the strategy decides, in [-1, 1]; None: no signal, or still warming up.
        position_before: what it decided a bar earlier.
        ending: why a position that stood at the close before ended at this one.
        stop_price: the trigger that is live during the next bar, USDT; None where there is none.
        remembers: whether a missed entry must be told to the strategy.
    """

    symbol: str
    bar_ms: int
    close: float
    position: float | None
    position_before: float | None
    ending: Ending
    stop_price: float | None
    remembers: bool


class Tape:
    """The closed bars of some symbols, as many as the strategies need, and mark prices at their closes.

    Args:
        symbols: in the order of the configuration.
        keep: bars of each symbol that are kept.
    """

    def __init__(self, symbols: tuple[str, ...], keep: int = WARMUP_BARS + 1) -> None:
        self.symbols = symbols
        self._keep = keep
        self._bars: dict[str, Bars] = {}
        self._marks: dict[str, Bars] = {}
        self._running: dict[str, tuple[int, float]] = {}

    def add(self, bars: Bars, *, mark: bool = False) -> int:
        """Append closed bars; those known already are passed over. Return how many were new."""
        kept = self._marks if mark else self._bars
        before = kept.get(bars.symbol)
        fresh = bars
        if before is not None and len(before):
            fresh = bars.part(int(np.searchsorted(bars.open_time_ms, before.open_time_ms[-1], side="right")), len(bars))
        if len(fresh) or before is None:
            joined = fresh if before is None else before.joined(fresh)
            kept[bars.symbol] = joined.part(max(0, len(joined) - self._keep), len(joined))
        return len(fresh)

    def note_open(self, symbol: str, open_ms: int, price: float) -> None:
        """Note the open of the bar that runs now."""
        self._running[symbol] = open_ms, price

    def running_open(self, symbol: str) -> float | None:
        """Return the open of the bar that follows the last closed one; None: it is not known yet."""
        open_ms, price = self._running.get(symbol, (None, None))
        return price if open_ms is not None and open_ms == self.next_ms(symbol) else None

    def bars(self, symbol: str) -> Bars | None:
        """Return what is kept of a symbol."""
        return self._bars.get(symbol)

    def next_ms(self, symbol: str, *, mark: bool = False) -> int | None:
        """Return the open of the first bar that is missing; None where there is none at all yet."""
        bars = (self._marks if mark else self._bars).get(symbol)
        return int(bars.open_time_ms[-1]) + HOUR_MS if bars is not None and len(bars) else None

    def complete(self, close_ms: int) -> tuple[str, ...]:
        """Return the symbols whose bar that closes at `close_ms` is there."""
        return tuple(name for name in self.symbols if self.next_ms(name) == close_ms)

    def marks(self, symbol: str) -> Bars | None:
        """Return what is kept of a symbol's mark prices."""
        return self._marks.get(symbol)

    def mark_at(self, symbol: str, close_ms: int) -> tuple[float, bool] | None:
        """Return the price that a position is valued at when the hour ends, and whether the last price stands in."""
        marks, bars = self._marks.get(symbol), self._bars.get(symbol)
        at = -1 if marks is None else _at_or_before(marks, close_ms - HOUR_MS)
        if marks is not None and at >= 0 and int(marks.open_time_ms[at]) + HOUR_MS == close_ms:
            return float(marks.close[at]), False
        if bars is None or not len(bars):
            return None
        return float(bars.close[max(_at_or_before(bars, close_ms - HOUR_MS), 0)]), True


@dataclass(frozen=True)
class _Asked:
    """What a reading depends on: the last closed bar, the restarts, and the open of the bar that runs now."""

    bar_ms: int
    restarts: tuple[int, ...]
    open: float | None

    def has_answer_of(self, before: _Asked, reading: Reading) -> bool:
        """Whether the answer is that of a question before: only the stop of an entry depends on the open."""
        return self == (replace(before, open=self.open) if not reading.remembers else before)


class Signals:
    """The strategies of the configuration on a tape.

    Args:
        config: which strategies.
        restarts: symbol -> bars (their open) at which a sleeve missed an entry or was closed by force, oldest first.
    """

    def __init__(self, config: FrozenConfig, restarts: Mapping[str, list[int]]) -> None:
        self._config = config
        self._restarts = {symbol: sorted(restarts.get(symbol, [])) for symbol in config.market.symbols}
        self._last: dict[str, tuple[_Asked, Reading]] = {}

    def restart(self, symbol: str, bar_ms: int) -> None:
        """Tell a sleeve that the entry decided at this bar was missed, or its position closed by force."""
        if bar_ms not in self._restarts[symbol]:
            self._restarts[symbol].append(bar_ms)

    def read(self, tape: Tape, opens: Mapping[str, float]) -> dict[str, Reading]:
        """Return what each sleeve says at the close of its last bar.

        Args:
            tape: the closed bars; a symbol without any is left out.
            opens: the open of the bar that runs now, where the tape does not hold it: a stop of an entry that fills
                there needs it.
        """
        bars = {symbol: kept for symbol in tape.symbols if (kept := tape.bars(symbol)) is not None and len(kept)}
        return {
            symbol: self._read_one(kept, opens.get(symbol, tape.running_open(symbol))) for symbol, kept in bars.items()
        }

    def _read_one(self, bars: Bars, open_: float | None) -> Reading:
        """Return what one sleeve says; the same question twice is computed once."""
        asked = _Asked(int(bars.open_time_ms[-1]), tuple(self._restarts[bars.symbol]), open_)
        known = self._last.get(bars.symbol)
        if known is not None and asked.has_answer_of(*known):
            return known[1]
        running = _with_running(bars, bars.close.item(-1) if open_ is None else open_)
        choices, slippage_bps = self._config.ensemble.strategies, self._config.backtest.slippage_bps
        reading = self._reading(make_sleeves(choices, {bars.symbol: running}, [bars.symbol], slippage_bps)[bars.symbol])
        self._last[bars.symbol] = (asked, reading)
        return reading

    def _reading(self, sleeve: Sleeve) -> Reading:
        times = sleeve.bars.open_time_ms
        for bar_ms in self._restarts[sleeve.bars.symbol]:
            at = int(np.searchsorted(times, bar_ms))
            if at < len(times) and times[at] == bar_ms:
                sleeve = sleeve.restart(at)
        signals, last = sleeve.signals, len(times) - 2
        warm = last + 1 >= WARMUP_BARS
        return Reading(
            symbol=sleeve.bars.symbol,
            bar_ms=int(times[last]),
            close=float(sleeve.bars.close[last]),
            position=_known(signals.position, last) if warm else None,
            position_before=_known(signals.position, last - 1) if last else None,
            ending=Ending(int(signals.ending[last])),
            stop_price=_known(signals.stop_price, last + 1),
            remembers=sleeve.remembers,
        )


def _known(values: FloatArray, at: int) -> float | None:
    value = float(values[at])
    return None if np.isnan(value) else value


def _at_or_before(bars: Bars, open_ms: int) -> int:
    """Return the place of the last bar that opens at or before `open_ms`; −1 where none does."""
    return int(np.searchsorted(bars.open_time_ms, open_ms, side="right")) - 1


def _with_running(bars: Bars, open_: float) -> Bars:
    """Return the bars and the one that runs now, of which only the open is known."""
    at_ms = bars.open_time_ms[-1:] + HOUR_MS
    price = np.array([open_])
    return bars.joined(Bars(bars.symbol, at_ms, price, price, price, price, np.zeros(1)))
