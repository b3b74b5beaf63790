"""What stands at the venue, as plain values for the record (R168–R170, R172)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.clock import iso

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.execution.venue import Balance, OrderState, Position, StopState, Venue


@dataclass(frozen=True)
class Stand:
    """One look at an account: stops, then orders, then positions, because the first become the next."""

    at_ms: int
    stops: tuple[StopState, ...]
    orders: tuple[OrderState, ...]
    positions: tuple[Position, ...]
    balance: Balance

    @property
    def left(self) -> tuple[str, ...]:
        """What keeps the account from being flat, in words."""
        return (
            *(f"position {position.qty:f} {position.symbol}" for position in self.positions),
            *(f"order {order.client_id} of {order.symbol}" for order in self.orders),
            *(f"stop {stop.client_id} of {stop.symbol}" for stop in self.stops),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values; quantities and prices as the venue writes them."""
        balance = self.balance
        return {
            "at_ms": self.at_ms,
            "at": iso(self.at_ms),
            "positions": [
                {
                    "symbol": each.symbol,
                    "qty": f"{each.qty:f}",
                    "entry_price": f"{each.entry_price:f}",
                    "mark_price": f"{each.mark_price:f}",
                    "unrealized_usd": f"{each.unrealized_usd:f}",
                }
                for each in self.positions
            ],
            "orders": [
                {
                    "client_id": each.client_id,
                    "symbol": each.symbol,
                    "side": each.side,
                    "qty": f"{each.qty:f}",
                    "filled_qty": f"{each.filled_qty:f}",
                    "status": each.status.value,
                }
                for each in self.orders
            ],
            "stops": [
                {
                    "client_id": each.client_id,
                    "symbol": each.symbol,
                    "side": each.side,
                    "trigger_price": f"{each.trigger_price:f}",
                    "status": each.status.value,
                }
                for each in self.stops
            ],
            "wallet_usd": f"{balance.wallet_usd:f}",
            "margin_usd": f"{balance.margin_usd:f}",
            "available_usd": f"{balance.available_usd:f}",
        }


async def look(venue: Venue, clock: Clock) -> Stand:
    """Ask the venue what stands; an incident may use the allowance that is kept for reducing risk.

    Raises:
        VenueError: one of the answers is missing; nothing may be concluded.
    """
    with venue.urgent():
        stops, orders = await venue.open_stops(), await venue.open_orders()
        positions = await venue.positions()
        balance = await venue.balance()
    held = tuple(positions[symbol] for symbol in sorted(positions))
    return Stand(clock.now_ms(), stops, orders, held, balance)
