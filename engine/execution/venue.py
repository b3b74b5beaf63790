"""What a venue is to the rest of the project: its values, its errors and the `Venue` protocol.

Nothing here knows a venue's field names, codes or client library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engine.errors import RejectedError, UnavailableError
from engine.execution.values import (
    FORCED_PREFIXES,
    NOT_SENT,
    Accepted,
    Balance,
    BalanceEvent,
    BarEvent,
    BarsUntilNow,
    BestPrice,
    Income,
    MarkEvent,
    MarkPrice,
    NoticeEvent,
    OrderEvent,
    OrderKind,
    OrderRequest,
    OrderState,
    OrderStatus,
    Outcome,
    Permissions,
    Position,
    Rejected,
    Resync,
    StopEvent,
    StopRequest,
    StopState,
    StopStatus,
    SymbolSettings,
    Trade,
    Unknown,
    VenueEvent,
    VenueFilters,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager
    from decimal import Decimal

    from engine.errors import Problem
    from engine.market.series import FundingRates
    from strategies.bars import Bars

__all__ = [
    "FORCED_PREFIXES",
    "NOT_SENT",
    "Accepted",
    "Balance",
    "BalanceEvent",
    "BarEvent",
    "BarsUntilNow",
    "BestPrice",
    "Income",
    "MarkEvent",
    "MarkPrice",
    "NoticeEvent",
    "OrderEvent",
    "OrderKind",
    "OrderRequest",
    "OrderState",
    "OrderStatus",
    "Outcome",
    "Permissions",
    "Position",
    "Rejected",
    "Resync",
    "StopEvent",
    "StopRequest",
    "StopState",
    "StopStatus",
    "SymbolSettings",
    "Trade",
    "Unknown",
    "Venue",
    "VenueEvent",
    "VenueFilters",
    "VenueRefused",
    "VenueUnavailable",
]


class VenueUnavailable(UnavailableError):  # noqa: N818 - says what happened, as the interface names it
    """A question could not be answered; never an empty answer instead.

    Attributes:
        retry_after_s: how long the venue wants silence, None when it did not say.
    """

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after_s = retry_after_s


class VenueRefused(RejectedError):  # noqa: N818 - the same
    """The venue refused a question, or a change of settings, with a code (wrong key, open positions, …)."""

    def __init__(self, problem: Problem, code: int) -> None:
        super().__init__(problem)
        self.code = code


class Venue(Protocol):
    """One account at one venue.

    Questions return the whole answer or raise `VenueUnavailable` (no answer) or `VenueRefused` (a code). Orders and
    cancels never raise for what the venue did: they return an `Outcome`.
    """

    def urgent(self) -> AbstractContextManager[None]:
        """Within it, every call may use the allowance kept for reducing risk (flatten, reconciliation after it)."""
        ...

    async def server_time_ms(self) -> int:
        """Return the venue's clock."""
        ...

    async def filters(self) -> dict[str, VenueFilters]:
        """Return the limits of the symbols traded here, as they are now; one that is not listed is not in it."""
        ...

    async def closed_bars(self, symbol: str, from_ms: int, *, mark: bool = False) -> Bars:
        """Return the hourly bars that open at or after `from_ms` and are closed; of mark prices where `mark`."""
        ...

    async def bars_until_now(self, symbol: str, from_ms: int, *, mark: bool = False) -> BarsUntilNow:
        """Return the same, and the open of the bar that runs now where the answer holds it already."""
        ...

    async def funding_rates(self, symbol: str, from_ms: int) -> FundingRates:
        """Return the funding settlements from a time until now."""
        ...

    async def running_open(self, symbol: str, open_ms: int) -> Decimal | None:
        """Return the open of the hourly bar that opened at `open_ms` and runs now; None while nothing traded in it."""
        ...

    async def mark_prices(self) -> dict[str, MarkPrice]:
        """Return the mark prices of the symbols traded here; one that is not listed is not in it."""
        ...

    async def best_price(self, symbol: str) -> BestPrice:
        """Return the top of the book."""
        ...

    async def positions(self) -> dict[str, Position]:
        """Return the positions that are not zero, by symbol: all of the account's, traded here or not."""
        ...

    async def balance(self) -> Balance:
        """Return the account's money."""
        ...

    async def open_orders(self, symbol: str | None = None) -> tuple[OrderState, ...]:
        """Return the ordinary orders that stand (stops are never among them)."""
        ...

    async def open_stops(self, symbol: str | None = None) -> tuple[StopState, ...]:
        """Return the stops that stand."""
        ...

    async def place(self, request: OrderRequest) -> Outcome:
        """Send an order once; under an id that the venue knows already, return what it has."""
        ...

    async def place_stop(self, request: StopRequest) -> Outcome:
        """Leave a stop with the venue; the same rules as `place`."""
        ...

    async def order(self, symbol: str, client_id: str) -> OrderState | None:
        """Return an order, None only when the venue proves that it never came to be.

        A venue may deny an order for seconds while it exists: None comes only after it denied it long enough.

        Raises:
            VenueUnavailable: it cannot be told yet; ask again.
        """
        ...

    async def client_id_of(self, symbol: str, venue_id: str) -> str | None:
        """Return the client id of the order with this number; None where the venue does not know it (yet).

        Raises:
            VenueUnavailable: it cannot be told.
        """
        ...

    async def stop(self, client_id: str) -> StopState | None:
        """Return a stop; the same rules as `order`."""
        ...

    async def cancel(self, symbol: str, client_id: str) -> Outcome:
        """Cancel an order. `Rejected` when the venue says there is nothing to cancel: query what became of it."""
        ...

    async def cancel_stop(self, client_id: str) -> Outcome:
        """Cancel a stop; the same rules as `cancel`."""
        ...

    async def cancel_all(self, symbol: str) -> None:
        """Cancel a symbol's ordinary orders (stops stay)."""
        ...

    async def cancel_all_stops(self, symbol: str) -> None:
        """Cancel a symbol's stops (ordinary orders stay)."""
        ...

    async def countdown(self, symbol: str, after_ms: int) -> None:
        """Have the venue cancel a symbol's orders unless renewed within `after_ms`; 0 disarms."""
        ...

    async def trades(self, symbol: str, *, from_id: int | None = None, from_ms: int | None = None) -> tuple[Trade, ...]:
        """Return fills from an id or a time (exactly one is given) until now, oldest first, each once."""
        ...

    async def income(self, from_ms: int) -> tuple[Income, ...]:
        """Return the cash movements from a time until now, oldest first, each once."""
        ...

    async def settings(self, symbol: str) -> SymbolSettings:
        """Return a symbol's leverage and margin type."""
        ...

    async def hedge_mode(self) -> bool:
        """Return whether the account holds long and short of a symbol apart (this project refuses that)."""
        ...

    async def permissions(self) -> Permissions:
        """Return what the key may do."""
        ...

    async def set_leverage(self, symbol: str, leverage: int) -> None:
        """Set a symbol's leverage; already so is success."""
        ...

    async def set_margin_type(self, symbol: str, margin_type: str) -> None:
        """Set a symbol's margin type; already so is success."""
        ...

    async def set_one_way_mode(self) -> None:
        """Have the account hold one position per symbol; already so is success."""
        ...

    def events(self) -> AsyncIterator[VenueEvent]:
        """Yield what happens, a `Resync` first and after every reconnection, until closed; never ends by itself."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
