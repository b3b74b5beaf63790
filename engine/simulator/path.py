"""How the price moves within an hourly bar: open → one extreme → the other → close, all symbols at the same instants.

The open holds for a while (the executor trades at it), the extremes lie at 20 and 40 minutes, the close one second
before the hour ends. Between them the price walks straight, with a few ticks at seeded places.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

CORNERS_MS = (20 * MINUTE_MS, 40 * MINUTE_MS, HOUR_MS - SECOND_MS)
LEGS = len(CORNERS_MS)


@dataclass(frozen=True)
class PathSettings:
    """How finely a bar is walked.

    Attributes:
        open_hold_s: seconds for which nothing but the open is traded; at most 20 minutes.
        between: ticks between two corners, at seeded places; unused with `tick_s`.
        tick_s: a tick every so many seconds instead; None: only the corners and `between`.
        order: which extreme comes first: ``direction`` (a rising bar sees its low first) or ``seeded``.
    """

    open_hold_s: int = 60
    between: int = 1
    tick_s: int | None = None
    order: Literal["direction", "seeded"] = "direction"


@dataclass(frozen=True, slots=True)
class Step:
    """An instant of the path: `share` (0 to 1) of the way along `leg` (0, 1 or 2), `offset_ms` after the open."""

    offset_ms: int
    leg: int
    share: float


def steps(settings: PathSettings, draws: Sequence[float]) -> tuple[Step, ...]:
    """Return the instants of an hour, strictly increasing, the open first.

    Args:
        settings: how finely.
        draws: numbers in [0, 1), `between` for each leg.
    """
    start_ms = settings.open_hold_s * SECOND_MS
    found = {0: Step(0, 0, 0.0)}
    for leg, end_ms in enumerate(CORNERS_MS):
        for offset_ms in _inner(settings, draws[leg * settings.between :], start_ms, end_ms):
            found.setdefault(offset_ms, Step(offset_ms, leg, (offset_ms - start_ms) / (end_ms - start_ms)))
        found[end_ms] = Step(end_ms, leg, 1.0)
        start_ms = end_ms
    return tuple(found[offset_ms] for offset_ms in sorted(found))


def _inner(settings: PathSettings, draws: Sequence[float], start_ms: int, end_ms: int) -> Sequence[int]:
    """Return the instants strictly between two corners."""
    if settings.tick_s is not None:
        pace_ms = settings.tick_s * SECOND_MS
        return range((start_ms // pace_ms + 1) * pace_ms, end_ms, pace_ms)
    return [start_ms + 1 + int(draw * (end_ms - start_ms - 1)) for draw in draws[: settings.between]]


def corners(open_: float, high: float, low: float, close: float, *, low_first: bool) -> tuple[float, ...]:
    """Return the four prices that a bar's path goes through, in order."""
    return (open_, low, high, close) if low_first else (open_, high, low, close)


def price_at(prices: tuple[float, ...], step: Step, decimals: int) -> Decimal:
    """Return the price at a step of the path through `prices`, which have `decimals` at most; corners are exact.

    Rounding to decimals that both ends have never leaves the leg, so no tick lies outside of the bar.
    """
    begin, end = prices[step.leg], prices[step.leg + 1]
    if step.share == 1.0:
        return exact(end)
    if step.share == 0.0:
        return exact(begin)
    return exact(round(begin + (end - begin) * step.share, decimals))


def exact(price: float) -> Decimal:
    """Return the shortest decimal that reads back as `price`."""
    return Decimal(repr(price))


def decimals_of(prices: tuple[float, ...]) -> int:
    """Return how many decimals the most precise of `prices` is written with."""
    return max(-int(exact(price).as_tuple().exponent) for price in prices)
