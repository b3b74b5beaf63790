"""The exchange's whole state: everything that a restart must bring back, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from engine.clock import hour_start
from engine.simulator.accounts import Account  # noqa: TC001 - the snapshot reads the declared types
from engine.simulator.refusals import refusal
from engine.simulator.specs import ExchangeSpec  # noqa: TC001 - the snapshot reads the declared types

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.simulator.prices import Tick
    from engine.simulator.specs import SymbolSpec


@dataclass(frozen=True, slots=True)
class MarketEvent:
    """What a public stream sends: `kind` is ``kline`` or ``markPrice``; a kline is of the 1h interval.

    The message is written only when somebody asks for it: most have no listener.
    """

    kind: str
    symbol: str
    at_ms: int
    write: Callable[[], dict[str, Any]]

    @property
    def payload(self) -> dict[str, Any]:
        """The message without its envelope; a kline tells by ``k.x`` whether its bar is closed."""
        return self.write()


@dataclass(slots=True)
class Quote:
    """A symbol's prices now, and the running hour's so far.

    Attributes:
        at_ms: of the last tick.
        rate: of the last funding settlement; the estimate for the next.
    """

    last: Decimal
    mark: Decimal
    at_ms: int
    bar_open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    mark_open: Decimal
    mark_high: Decimal
    mark_low: Decimal
    rate: Decimal = Decimal("0.0001")

    @classmethod
    def first(cls, tick: Tick) -> Quote:
        """Return the quote after a symbol's first tick."""
        last, mark = tick.last, tick.mark
        return cls(last, mark, tick.at_ms, hour_start(tick.at_ms), last, last, last, mark, mark, mark)

    def move(self, tick: Tick) -> None:
        """Take a tick; the first of an hour begins a new bar."""
        open_ms = hour_start(tick.at_ms)
        if open_ms != self.bar_open_ms:
            self.bar_open_ms = open_ms
            self.open = self.high = self.low = tick.last
            self.mark_open = self.mark_high = self.mark_low = tick.mark
        self.last, self.mark, self.at_ms = tick.last, tick.mark, tick.at_ms
        self.high, self.low = max(self.high, tick.last), min(self.low, tick.last)
        self.mark_high, self.mark_low = max(self.mark_high, tick.mark), min(self.mark_low, tick.mark)


@dataclass(slots=True)
class Due:
    """A fill that comes later: `qty` of a taker order, or an order at the best price whose turn in the queue comes."""

    at_ms: int
    account: str
    order_id: int
    qty: Decimal
    maker: bool


@dataclass(slots=True)
class Numbers:
    """The last numbers given out."""

    order: int = 8_389_000_000
    algo: int = 1_000_001_000_000_000
    trade: int = 600_000_000
    transfer: int = 9_600_000_000
    key: int = 0


@dataclass(slots=True)
class House:
    """The state of the exchange.

    Attributes:
        dues: fills that come later, in the order they were promised.
        user_events: not yet taken, by account.
        overloaded: the venue refuses what does not reduce (−1008).
    """

    spec: ExchangeSpec
    seed: int
    now_ms: int
    quotes: dict[str, Quote] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    dues: list[Due] = field(default_factory=list)
    numbers: Numbers = field(default_factory=Numbers)
    user_events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    overloaded: bool = False

    def symbol(self, name: str) -> SymbolSpec:
        """Return a symbol's rules.

        Raises:
            VenueError: −1121, there is no such symbol.
        """
        found = self.spec.symbol(name)
        if found is None:
            raise refusal(-1121)
        return found

    def quote(self, symbol: str) -> Quote:
        """Return a symbol's prices.

        Raises:
            VenueError: −1121, it has none yet.
        """
        found = self.quotes.get(symbol)
        if found is None:
            raise refusal(-1121)
        return found

    def draws(self, *keys: int | str) -> np.random.Generator:
        """Return a generator of its own for what `keys` name: nothing drawn elsewhere changes it."""
        numbers = [key if isinstance(key, int) else crc32(key.encode()) for key in keys]
        return np.random.default_rng([self.seed, *numbers])

    def tell(self, account: Account, event: dict[str, Any]) -> None:
        """Queue a message for an account's user stream."""
        self.user_events.setdefault(account.name, []).append(event)
