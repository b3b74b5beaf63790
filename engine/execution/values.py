"""The values that go to and come from a venue; see `venue`, which is where they are imported from.

Quantities and prices are `Decimal`, exactly as the venue writes them; times are int64 milliseconds UTC. Unknown is None
or an `Unknown` outcome, never 0 or empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from strategies.bars import Bars

NOT_SENT = 0
"""The code of a `Rejected` that never left this process: no permit, or no allowance left at the venue's rate limit."""


class OrderKind(StrEnum):
    """How an order meets the book."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class OrderStatus(StrEnum):
    """Where an order stands; `EXPIRED` is also what a cancelled rest of a market order is."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def ended(self) -> bool:
        """Whether nothing more can fill."""
        return self not in {OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED}


class StopStatus(StrEnum):
    """Where a stop stands; once `TRIGGERED` the order it became (`order_id`) says the rest."""

    NEW = "NEW"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def ended(self) -> bool:
        """Whether the stop protects nothing any more (its order may still be filling)."""
        return self is not StopStatus.NEW


@dataclass(frozen=True)
class OrderRequest:
    """One order to send; `side` +1 buys, −1 sells; `qty` > 0 in base asset; `price` in USDT for limit orders only.

    After `add_until_ms` it is not sent where it adds risk (A74); None: no such limit.
    """

    client_id: str
    symbol: str
    side: int
    qty: Decimal
    kind: OrderKind
    price: Decimal | None = None
    reduce_only: bool = False
    add_until_ms: int | None = None


@dataclass(frozen=True)
class StopRequest:
    """A stop-market to leave with the venue, triggered by the last price, always reducing.

    Exactly one of `qty` (base asset, > 0) and `close_position` (whatever is held then) is given.
    """

    client_id: str
    symbol: str
    side: int
    trigger_price: Decimal
    qty: Decimal | None = None
    close_position: bool = False


@dataclass(frozen=True)
class OrderState:
    """An order as the venue last described it; `avg_price` is None while unknown or nothing is filled."""

    client_id: str
    venue_id: str
    symbol: str
    side: int
    status: OrderStatus
    qty: Decimal
    filled_qty: Decimal
    avg_price: Decimal | None
    reduce_only: bool
    updated_ms: int
    kind: str
    price: Decimal | None = None

    @property
    def forced(self) -> bool:
        """Whether the venue itself sent it: a liquidation, an auto-deleveraging or a delivery."""
        return self.client_id.startswith(FORCED_PREFIXES)


FORCED_PREFIXES = ("autoclose-", "adl_autoclose", "settlement_autoclose-", "delivery_autoclose-")


@dataclass(frozen=True)
class StopState:
    """A stop as the venue last described it; `order_id` is the order it became, `qty` None for `close_position`."""

    client_id: str
    venue_id: str
    symbol: str
    side: int
    status: StopStatus
    trigger_price: Decimal
    qty: Decimal | None
    close_position: bool
    order_id: str | None
    updated_ms: int


@dataclass(frozen=True)
class Accepted:
    """The venue has it; `state` is what it answered (a later fill may be missing from it)."""

    state: OrderState | StopState


@dataclass(frozen=True)
class Rejected:
    """Proved: the venue refused it (`code` < 0, its own), or it was never sent (`NOT_SENT`)."""

    code: int
    message: str


@dataclass(frozen=True)
class Unknown:
    """Nothing proves what became of it: query by client id, never send it again under another one."""

    reason: str


Outcome = Accepted | Rejected | Unknown


@dataclass(frozen=True)
class Position:
    """One symbol's holding: `qty` signed base asset, never 0; prices in USDT."""

    symbol: str
    qty: Decimal
    entry_price: Decimal
    mark_price: Decimal
    unrealized_usd: Decimal
    liquidation_price: Decimal | None


@dataclass(frozen=True)
class Balance:
    """The account in USDT: cash, cash plus unrealized, and what new margin may use."""

    wallet_usd: Decimal
    margin_usd: Decimal
    available_usd: Decimal


@dataclass(frozen=True)
class Trade:
    """One fill: `trade_id` is the venue's and unique per symbol; `fee` > 0 is paid, in `fee_asset`.

    `client_id` is None where the venue's history does not tell it; `order_id` always does.
    """

    trade_id: int
    symbol: str
    order_id: str
    client_id: str | None
    side: int
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    realized_usd: Decimal
    maker: bool
    at_ms: int


@dataclass(frozen=True)
class Income:
    """One movement of cash: `income_id` is unique per `kind` (the venue reuses ids across kinds); + is received."""

    income_id: str
    kind: str
    symbol: str | None
    amount: Decimal
    asset: str
    at_ms: int


@dataclass(frozen=True)
class SymbolSettings:
    """A symbol's leverage (margin only) and margin type, ``ISOLATED`` or ``CROSSED``."""

    leverage: int
    margin_type: str


@dataclass(frozen=True)
class Permissions:
    """What the key may do."""

    futures: bool
    withdrawals: bool
    ip_restricted: bool


@dataclass(frozen=True)
class VenueFilters:
    """A symbol's limits: prices in USDT, quantities in base asset; `status` is ``TRADING`` when orders are taken."""

    tick_size: Decimal
    step_size: Decimal
    min_qty: Decimal
    max_qty: Decimal
    market_max_qty: Decimal
    min_notional_usd: Decimal
    status: str


@dataclass(frozen=True)
class MarkPrice:
    """The venue's mark in USDT; the rate (ratio) is the running estimate for the settlement at `next_funding_ms`."""

    price: Decimal
    funding_rate: Decimal
    next_funding_ms: int
    at_ms: int


@dataclass(frozen=True)
class BestPrice:
    """The best bid and ask, USDT."""

    bid: Decimal
    ask: Decimal
    at_ms: int


@dataclass(frozen=True)
class BarsUntilNow:
    """What an answer about bars holds.

    Attributes:
        closed: the hourly bars that are closed.
        running_ms: the open of the bar that runs now, milliseconds UTC.
        running_open: its first price, USDT; None where the answer does not hold it yet.
    """

    closed: Bars
    running_ms: int
    running_open: Decimal | None


@dataclass(frozen=True)
class OrderEvent:
    """An order changed; `trade` when this change was a fill."""

    state: OrderState
    trade: Trade | None
    at_ms: int


@dataclass(frozen=True)
class StopEvent:
    """A stop changed; `reason` is the venue's wording where it refuses one."""

    state: StopState
    reason: str
    at_ms: int


@dataclass(frozen=True)
class BalanceEvent:
    """Cash or positions changed: the new wallet balance (None: unchanged) and signed quantities that changed."""

    reason: str
    wallet_usd: Decimal | None
    positions: dict[str, Decimal]
    at_ms: int


@dataclass(frozen=True)
class BarEvent:
    """A bar closed: one row of `bars`."""

    bars: Bars
    at_ms: int


@dataclass(frozen=True)
class MarkEvent:
    """A mark price moved."""

    symbol: str
    mark: MarkPrice


@dataclass(frozen=True)
class NoticeEvent:
    """The venue says something that needs a person: ``MARGIN_CALL`` or ``ACCOUNT_CONFIG_UPDATE``."""

    kind: str
    symbol: str | None
    detail: str
    at_ms: int


@dataclass(frozen=True)
class Resync:
    """A stream (re)connected: whatever happened since `since_ms` may be missing; read it by REST.

    `since_ms` is when the stream was last heard, None for the first connection; `stream` is ``user`` (orders, stops,
    balance) or ``market`` (bars, marks). It comes before any event of the new connection.
    """

    reason: str
    since_ms: int | None
    at_ms: int
    stream: str


VenueEvent = OrderEvent | StopEvent | BalanceEvent | BarEvent | MarkEvent | NoticeEvent | Resync
