"""The venue's answers about prices → columns; the same checks whether they are downloaded or traded on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import HOUR_MS
from engine.market.series import FundingRates, impossible_rows, why_impossible
from strategies.bars import Bars

if TYPE_CHECKING:
    from engine.market.series import Kind

_KLINE_COLUMNS = (1, 2, 3, 4, 5)


class NonsenseError(ValueError):
    """An answer is not what was asked for.

    Attributes:
        expected: what it is not, such as ``the bars of `BTCUSDT` ``.
        why: in words, None where it cannot be read at all.
    """

    def __init__(self, expected: str, why: str | None = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.why = why


def bars_of(kind: Kind, symbol: str, rows: Any, start_ms: int, end_ms: int) -> Bars:
    """Return the hourly bars of a klines answer.

    Args:
        kind: `last` or `mark`; mark prices have no volume.
        symbol: the venue's name.
        rows: the answer, decoded JSON of any shape.
        start_ms: no bar may open before it.
        end_ms: no bar may open at or after it.

    Raises:
        NonsenseError: it cannot be read, lies outside, is out of order, off the hour, or holds an impossible bar.
    """
    try:
        times = np.array([int(row[0]) for row in rows], dtype=np.int64)
        table = [np.array([float(row[place]) for row in rows], dtype=np.float64) for place in _KLINE_COLUMNS]
    except (TypeError, IndexError, KeyError, ValueError):
        raise NonsenseError(f"the bars of `{symbol}`") from None
    if kind == "mark":
        table[-1] = np.zeros(len(times))
    inside = not len(times) or (int(times[0]) >= start_ms and int(times[-1]) < end_ms)
    if not (inside and bool((np.diff(times) > 0).all()) and bool((times % HOUR_MS == 0).all())):
        raise NonsenseError(f"the bars of `{symbol}`")
    bad = impossible_rows(*table)
    if len(bad):
        why = why_impossible(*(float(column[bad[0]]) for column in table))
        raise NonsenseError(f"a bar of `{symbol}`", why)
    return Bars(symbol, times, *table)


def rates_of(symbol: str, rows: Any, start_ms: int, end_ms: int) -> FundingRates:
    """Return the settlements of a fundingRate answer, their times floored to the hour.

    Args:
        symbol: the venue's name.
        rows: the answer, decoded JSON of any shape.
        start_ms: none may be stamped before it.
        end_ms: none may be stamped at or after it.

    Raises:
        NonsenseError: it cannot be read, lies outside, is out of order, or holds an impossible rate.
    """
    try:
        stamps = np.array([int(row["fundingTime"]) for row in rows], dtype=np.int64)
        rate = np.array([float(row["fundingRate"]) for row in rows], dtype=np.float64)
    except (TypeError, IndexError, KeyError, ValueError):
        raise NonsenseError(f"the funding of `{symbol}`") from None
    hours = stamps - stamps % HOUR_MS
    inside = not len(stamps) or (int(stamps[0]) >= start_ms and int(stamps[-1]) < end_ms)
    if not (inside and bool((np.diff(hours) > 0).all()) and bool((np.abs(rate) < 1).all())):
        raise NonsenseError(f"the funding of `{symbol}`")
    return FundingRates(symbol, hours, rate)
