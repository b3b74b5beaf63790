"""The rows of `signals`: what each strategy decided at each closed bar.

`time` is the bar's open, its key as in the data files; the decision is known at its close, one hour later, and fills at
the next open. The recursions start at the first bar there is: a period cuts what is printed, never what is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from strategies.ensemble import make_sleeves

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.config import FrozenConfig
    from engine.market.series import Market
    from strategies.bars import FloatArray, IntArray
    from strategies.sleeve import Sleeve

INDICATORS = ("atr", "mid", "upper", "lower", "expanding", "raw_state")

_SIGNIFICANT = "%.12g"


def signals_rows(
    config: FrozenConfig,
    market: Market,
    *,
    symbols: Sequence[str] | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    indicators: bool = False,
) -> list[str]:
    """Return the lines of the CSV, header first, without line ends.

    Args:
        config: strategies and slippage.
        market: bars of all `symbols` from the first there is.
        symbols: None: all of the configuration's.
        from_ms: open time of the first bar printed.
        to_ms: excluded.
        indicators: whether the breakout's columns are printed too; other strategies leave them empty.

    Returns:
        ``time,symbol,position``, by time, then in the order of `symbols`; numbers with 12 significant digits; an empty
        field where there is no signal (or no band yet).
    """
    chosen = config.market.symbols if symbols is None else tuple(symbols)
    sleeves = make_sleeves(config.ensemble.strategies, market.bars, chosen, config.backtest.slippage_bps)
    names = INDICATORS if indicators else ()
    blocks = [_block(sleeve, from_ms, to_ms, names) for sleeve in sleeves.values()]
    times = np.concatenate([block_times for block_times, _ in blocks])
    lines = [line for _, block_lines in blocks for line in block_lines]
    order = np.argsort(times, kind="stable")  # stable: at one time the symbols keep their order
    return [",".join(("time", "symbol", "position", *names)), *(lines[at] for at in order.tolist())]


def _block(sleeve: Sleeve, from_ms: int | None, to_ms: int | None, names: Sequence[str]) -> tuple[IntArray, list[str]]:
    """Return one symbol's open times and lines."""
    opened = sleeve.bars.open_time_ms
    start = 0 if from_ms is None else int(np.searchsorted(opened, from_ms))
    stop = len(opened) if to_ms is None else int(np.searchsorted(opened, to_ms))
    cut = slice(start, max(start, stop))
    times = opened[cut]
    shown = sleeve.indicators()
    columns: list[Iterable[str]] = [
        np.datetime_as_string(times.astype("datetime64[ms]").astype("datetime64[s]"), timezone="UTC").tolist(),
        [sleeve.bars.symbol] * len(times),
        _texts(sleeve.signals.position[cut]),
    ]
    columns += [_texts(shown[name][cut]) if name in shown else [""] * len(times) for name in names]
    return times, [",".join(fields) for fields in zip(*columns, strict=True)]


def _texts(values: FloatArray) -> list[str]:
    """Return the values as text; an empty one for NaN."""
    return ["" if value != value else _SIGNIFICANT % value for value in values.tolist()]  # noqa: PLR0124 - NaN
