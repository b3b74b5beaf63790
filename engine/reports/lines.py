"""What a picture shows: curves, thresholds, and the stretch of time with its verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS
from engine.reports import palette

if TYPE_CHECKING:
    from strategies.bars import FloatArray, IntArray

_WHOLE_DAYS = 60  # below it every mark is drawn


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: what stands at its end.
        at_ms: int64 (n,), increasing.
        values: float64 (n,), in the axis' unit; NaN leaves a gap.
        color: a colour of the palette.
        dashes: Matplotlib's dash pattern; empty is a full line.
    """

    name: str
    at_ms: IntArray
    values: FloatArray
    color: str = palette.WITH_POLICY
    dashes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Edge:
    """A threshold of the policy, in the axis' unit; `kind` is green, red or stop."""

    name: str
    value: float
    kind: str


@dataclass(frozen=True)
class Span:
    """Days in a row with the same outcome."""

    outcome: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True)
class Frame:
    """What all pictures of one report share: the stretch of time, and the verdicts drawn as a strip below it."""

    from_ms: int
    to_ms: int
    spans: tuple[Span, ...] = ()


def thinned(at_ms: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return each day's first, lowest, highest and last mark where there are more than `_WHOLE_DAYS` days.

    Args:
        at_ms: int64 (n,), increasing.
        values: float64 (n,); NaN only in series of one value a day, which are never thinned.

    Returns:
        The kept rows in time order; a curve drawn from them has the same extremes as the whole one.
    """
    if len(at_ms) == 0 or at_ms[-1] - at_ms[0] <= _WHOLE_DAYS * DAY_MS or np.isnan(values).any():
        return at_ms, values
    starts = np.flatnonzero(np.diff(at_ms // DAY_MS, prepend=-1))
    keep = {0, len(at_ms) - 1}
    for start, stop in zip(starts, [*starts[1:], len(at_ms)], strict=True):
        day = values[start:stop]
        keep |= {int(start), int(start + day.argmin()), int(start + day.argmax()), int(stop - 1)}
    rows = np.array(sorted(keep))
    return at_ms[rows], values[rows]
