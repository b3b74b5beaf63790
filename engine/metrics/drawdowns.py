"""Drawdown of NAV per unit from its running peak (A04, A05)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.metrics.values import MISSING, YOUNG, Metric, known, require_finite, require_series

if TYPE_CHECKING:
    from strategies.bars import FloatArray, IntArray


def drawdown_series(nav: FloatArray, *, start: float) -> FloatArray:
    """Return 1 - NAV / running peak at each mark.

    Args:
        nav: float64 (n,), per unit, since the epoch.
        start: NAV at the epoch, the first peak: 1.0 at launch; after a signed restart (A05, A68) the NAV it began with.

    Returns:
        float64 (n,), ratios >= 0 (0.12 = 12 % below the peak).

    Raises:
        ValueError: NaN, infinity, not one-dimensional, or a start that is not positive.

    >>> drawdown_series(np.array([0.9, 1.2, 1.08]), start=1.0).round(6).tolist()
    [0.1, 0.0, 0.1]
    """
    require_finite(nav)
    if not start > 0:
        raise ValueError(f"the NAV at the epoch must be positive, not {start}")
    with np.errstate(all="ignore"):
        return 1.0 - nav / np.maximum.accumulate(np.maximum(nav, start))


def drawdown(mark_ms: IntArray, nav: FloatArray, at_ms: int, *, start: float) -> Metric:
    """Return the current drawdown: what bands and de-risking rules read (A04). Young without a mark.

    Args:
        mark_ms: int64 (n,), increasing, since the epoch.
        nav: float64 (n,), per unit.
        at_ms: now; later marks are not read.
        start: as in `drawdown_series`.

    Raises:
        ValueError: as `drawdown_series`, or not a series.
    """
    seen = _seen(mark_ms, nav, at_ms)
    return known(float(drawdown_series(nav[:seen], start=start)[-1])) if seen else YOUNG


def max_drawdown(
    mark_ms: IntArray, nav: FloatArray, at_ms: int, *, start: float, since_ms: int | None = None
) -> Metric:
    """Return the largest drawdown at the marks of ``[since_ms, at_ms]``; its peak runs since the epoch all the same.

    Args:
        mark_ms: int64 (n,), increasing, since the epoch.
        nav: float64 (n,), per unit.
        at_ms: now; later marks are not read.
        start: as in `drawdown_series`.
        since_ms: None for the epoch (max_drawdown), the stage's entry (max_drawdown_stage), 30 days ago
            (max_drawdown_30d).

    Returns:
        young without any mark, missing without one since `since_ms`.

    Raises:
        ValueError: as `drawdown_series`, or not a series.
    """
    seen = _seen(mark_ms, nav, at_ms)
    if seen == 0:
        return YOUNG
    first = 0 if since_ms is None else int(np.searchsorted(mark_ms, since_ms, side="left"))
    if first >= seen:
        return MISSING
    return known(float(np.max(drawdown_series(nav[:seen], start=start)[first:])))


def _seen(mark_ms: IntArray, nav: FloatArray, at_ms: int) -> int:
    require_series(mark_ms, nav)
    return int(np.searchsorted(mark_ms, at_ms, side="right"))
