"""Where prices come from: a stream of ticks, closed bars and funding settlements in time order.

`RecordedPrices` walks a path through the bars of a `Market` (recorded or synthetic); `LivePrices` hands on what a feed
pushes into it. The exchange knows neither files nor feeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from engine.market.series import FundingRates
    from strategies.bars import Bars


@dataclass(frozen=True, slots=True)
class Tick:
    """A price at an instant, USDT.

    Attributes:
        jump: nothing was traded between the price before and this one (a bar's open, a live feed's tick): a stop
            beyond which the price jumped fills here, not at its trigger.
    """

    at_ms: int
    symbol: str
    last: Decimal
    mark: Decimal
    jump: bool


@dataclass(frozen=True, slots=True)
class BarClose:
    """The hour that opened at `open_ms` is over; its bar stands in `PriceSource.bars`."""

    at_ms: int
    symbol: str
    open_ms: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """Funding is settled at `rate` (ratio of the notional; a long pays a positive one)."""

    at_ms: int
    symbol: str
    rate: Decimal


PriceEvent = Tick | BarClose | Settlement


class PriceSource(Protocol):
    """A market seen as a stream of events."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that have prices."""
        ...

    def next_ms(self, after_ms: int) -> int | None:
        """Return the first instant after `after_ms` at which anything happens, None when nothing is known to."""
        ...

    def at(self, at_ms: int) -> Sequence[PriceEvent]:
        """Return what happens at that instant."""
        ...

    def latest(self, symbol: str, at_ms: int) -> Tick | None:
        """Return the last tick at or before `at_ms`, None before the first."""
        ...

    def bars(self, symbol: str, *, mark: bool = False) -> Bars | None:
        """Return the symbol's hourly bars, future ones included where they are recorded; None where there are none."""
        ...

    def funding(self, symbol: str) -> FundingRates | None:
        """Return the symbol's settlements, future ones included where they are recorded."""
        ...

    def next_settlement_ms(self, symbol: str, after_ms: int) -> int:
        """Return when funding is settled next, strictly after `after_ms`."""
        ...
