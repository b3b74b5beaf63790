"""Orders, algo orders, fills and income entries as the venue keeps them. Quantities in base asset, prices in USDT."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

BUY, SELL = 1, -1
SIDES = {"BUY": BUY, "SELL": SELL}
SIDE_WORDS = {BUY: "BUY", SELL: "SELL"}

CONDITIONAL = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")
OPEN = ("NEW", "PARTIALLY_FILLED")
ALGO_OPEN = ("NEW", "TRIGGERING", "TRIGGERED")


@dataclass(slots=True)
class Order:
    """An ordinary order.

    Attributes:
        order_id: the venue's.
        client_id: the sender's.
        side: +1 or −1.
        position_side: ``BOTH``, or ``LONG`` and ``SHORT`` in hedge mode.
        kind: ``MARKET`` or ``LIMIT``.
        tif: ``GTC``, ``IOC``, ``FOK`` or ``GTX``.
        quote: Σ quantity × price of its fills.
        algo_id: of the algo order that sent it, 0 for none.
        parts_left: fills still scheduled for later.
    """

    order_id: int
    client_id: str
    symbol: str
    side: int
    position_side: str
    kind: str
    tif: str
    qty: Decimal
    price: Decimal
    reduce_only: bool
    created_ms: int
    updated_ms: int
    status: str = "NEW"
    filled: Decimal = Decimal(0)
    quote: Decimal = Decimal(0)
    close_position: bool = False
    stop_price: Decimal = Decimal(0)
    original_kind: str = ""
    working_type: str = "CONTRACT_PRICE"
    price_protect: bool = False
    algo_id: int = 0
    parts_left: int = 0

    @property
    def left(self) -> Decimal:
        """What is not filled."""
        return self.qty - self.filled

    @property
    def is_open(self) -> bool:
        """Whether it can still fill."""
        return self.status in OPEN


@dataclass(slots=True)
class AlgoOrder:
    """A conditional order; it becomes an ordinary one when the price reaches its trigger.

    Attributes:
        kind: ``STOP_MARKET``, ``TAKE_PROFIT_MARKET``, ``STOP`` or ``TAKE_PROFIT``.
        qty: 0 with `close_position`: the whole position.
        order_id: of the order it became, 0 before.
        actual_qty: filled by that order, at `actual_price` on average.
    """

    algo_id: int
    client_id: str
    symbol: str
    side: int
    position_side: str
    kind: str
    tif: str
    qty: Decimal
    trigger_price: Decimal
    price: Decimal
    working_type: str
    reduce_only: bool
    close_position: bool
    price_protect: bool
    created_ms: int
    updated_ms: int
    status: str = "NEW"
    triggered_ms: int = 0
    order_id: int = 0
    actual_qty: Decimal = Decimal(0)
    actual_price: Decimal = Decimal(0)
    reject_reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it waits for its trigger."""
        return self.status == "NEW"

    @property
    def is_stop(self) -> bool:
        """Whether it triggers when the price moves against the position (a take-profit: with it)."""
        return self.kind in ("STOP", "STOP_MARKET")

    @property
    def is_market(self) -> bool:
        """Whether it becomes a market order."""
        return self.kind.endswith("_MARKET")

    def reached(self, price: Decimal) -> bool:
        """Return whether `price` triggers it."""
        rises = (self.side == BUY) == self.is_stop
        return price >= self.trigger_price if rises else price <= self.trigger_price


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade.

    Attributes:
        fee_usd: paid, 0 or more.
        realized_usd: profit of the part that closed, before fees.
    """

    trade_id: int
    order_id: int
    client_id: str
    symbol: str
    side: int
    position_side: str
    qty: Decimal
    price: Decimal
    fee_usd: Decimal
    realized_usd: Decimal
    maker: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class Income:
    """One change of the wallet balance.

    Attributes:
        kind: ``TRANSFER``, ``REALIZED_PNL``, ``COMMISSION``, ``FUNDING_FEE`` or ``INSURANCE_CLEAR``.
        trade_id: 0 where no trade caused it.
    """

    tran_id: int
    symbol: str
    kind: str
    amount_usd: Decimal
    at_ms: int
    trade_id: int = 0
