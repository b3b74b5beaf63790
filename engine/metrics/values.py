"""What a metric returns: a number, or why there is none. Never NaN, never infinity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from strategies.bars import FloatArray, IntArray

Status = Literal["ok", "young", "missing"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric at one instant.

    Attributes:
        value: finite; None unless `status` is ok.
        status: ok; young (not enough history yet, A16); missing (history is long enough, but a part of it is absent or
            the number does not exist, such as the Sharpe ratio of a flat series).
        standard_error: of `value`, in its unit, where one is known.
    """

    value: float | None
    status: Status
    standard_error: float | None = None


YOUNG = Metric(None, "young")
MISSING = Metric(None, "missing")


def known(value: float | None, standard_error: float | None = None) -> Metric:
    """Return `value` as a metric; None, NaN and infinity become `MISSING`.

    >>> known(float("inf"))
    Metric(value=None, status='missing', standard_error=None)
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return Metric(float(value), "ok", standard_error)


def floored(value: float) -> float:
    """Return `value`, or 0 where it is negative; NaN and infinity stay, so that they cannot pass for 0."""
    return 0.0 if -math.inf < value < 0 else value


def require_series(times_ms: IntArray, values: FloatArray) -> None:
    """Refuse what is not a series.

    Raises:
        ValueError: not one-dimensional, of two lengths, times that do not increase, NaN or infinity.
    """
    if times_ms.ndim != 1 or times_ms.shape != values.shape:
        raise ValueError(f"a series needs as many times as values: {times_ms.shape} and {values.shape}")
    if np.any(times_ms[1:] <= times_ms[:-1]):
        raise ValueError("the times of a series must increase")
    require_finite(values)


def require_finite(values: FloatArray) -> None:
    """Refuse NaN, infinity and more than one dimension.

    Raises:
        ValueError: any of them.
    """
    if values.ndim != 1:
        raise ValueError(f"one dimension expected, found {values.ndim}")
    if not np.all(np.isfinite(values)):
        raise ValueError("NaN or infinity in the values: what is unknown must be cut out or left absent")
