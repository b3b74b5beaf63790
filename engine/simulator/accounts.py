"""An account: wallet, positions, orders, history."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine.simulator.orders import (  # noqa: TC001 - the snapshot reads the declared types
    AlgoOrder,
    Fill,
    Income,
    Order,
)

ISOLATED, CROSSED = "ISOLATED", "CROSSED"


@dataclass(frozen=True)
class Permissions:
    """What a key may do."""

    reading: bool = True
    futures: bool = True
    withdrawals: bool = False
    ip_restricted: bool = True


@dataclass(slots=True)
class Position:
    """A position of one symbol; in hedge mode there is one for each side.

    Attributes:
        side: ``BOTH``, ``LONG`` or ``SHORT``.
        qty: signed, base asset.
        cost: signed, Σ quantity × price of what is held: entry price = cost ÷ qty.
        isolated_wallet: USDT set aside as margin; 0 under cross margin.
        realized_usd: profit ever realised here, before fees.
        called: a margin call has been sent since it was last safe.
    """

    symbol: str
    side: str
    qty: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    isolated_wallet: Decimal = Decimal(0)
    realized_usd: Decimal = Decimal(0)
    updated_ms: int = 0
    called: bool = False

    @property
    def entry_price(self) -> Decimal:
        """The average price of what is held, 0 when flat."""
        return self.cost / self.qty if self.qty else Decimal(0)

    def unrealized(self, mark: Decimal) -> Decimal:
        """Return the profit at the mark price."""
        return self.qty * mark - self.cost


@dataclass(slots=True)
class Account:
    """One client of the venue.

    Attributes:
        wallet: USDT, isolated margins included, unrealised profit excluded.
        positions: by ``symbol:side``.
        open_ids: of orders that can fill, oldest first, as is `open_algo_ids`.
        countdowns: when all orders of a symbol are cancelled, by symbol.
        reduce_only_rule: the venue lets this account only reduce (−4400).
    """

    name: str
    api_key: str
    api_secret: str
    permissions: Permissions
    opened_ms: int
    hedge_mode: bool = False
    multi_assets: bool = False
    reduce_only_rule: bool = False
    wallet: Decimal = Decimal(0)
    listen_key: str = ""
    listen_key_until_ms: int = 0
    leverage: dict[str, int] = field(default_factory=dict)
    margin_type: dict[str, str] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    algo_orders: dict[int, AlgoOrder] = field(default_factory=dict)
    open_ids: list[int] = field(default_factory=list)
    open_algo_ids: list[int] = field(default_factory=list)
    countdowns: dict[str, int] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    income: list[Income] = field(default_factory=list)

    @property
    def cross_wallet(self) -> Decimal:
        """The wallet without the isolated margins."""
        return self.wallet - sum((one.isolated_wallet for one in self.positions.values()), Decimal(0))

    def position(self, symbol: str, side: str) -> Position:
        """Return the position, an empty one where nothing was ever held."""
        key = f"{symbol}:{side}"
        found = self.positions.get(key)
        if found is None:
            found = self.positions[key] = Position(symbol, side)
        return found

    def held(self, symbol: str | None = None) -> list[Position]:
        """Return the positions that are not flat, of one symbol or of all."""
        return [one for one in self.positions.values() if one.qty and symbol in (None, one.symbol)]

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the orders that can fill, oldest first."""
        found = (self.orders[number] for number in self.open_ids)
        return [one for one in found if symbol in (None, one.symbol)]

    def open_algos(self, symbol: str | None = None) -> list[AlgoOrder]:
        """Return the algo orders that wait for their trigger, oldest first."""
        found = (self.algo_orders[number] for number in self.open_algo_ids)
        return [one for one in found if symbol in (None, one.symbol)]

    def sides(self) -> tuple[str, ...]:
        """Return the position sides of this account's mode."""
        return ("LONG", "SHORT") if self.hedge_mode else ("BOTH",)
