"""Connecting the adapter: the same for the venue, for paper and for a rehearsal; only the addresses differ."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from engine.execution.binance.absence import Denials
from engine.execution.binance.adapter import BinanceVenue
from engine.execution.binance.asking import Asker
from engine.execution.binance.client import make_client
from engine.execution.binance.clocksync import VenueClock
from engine.execution.binance.limiter import Limiter
from engine.execution.binance.streams import Patience, Streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from engine.clock import Clock
    from engine.execution.binance.client import Addresses, Keys


@asynccontextmanager
async def connected(
    keys: Keys,
    symbols: Collection[str],
    clock: Clock,
    may_add_risk: Callable[[], bool],
    *,
    addresses: Addresses | None = None,
    patience: Patience | None = None,
) -> AsyncIterator[BinanceVenue]:
    """Connect, measure the venue's clock, and close everything at the end; the arguments are those of `open_venue`.

    Raises:
        VenueUnavailable: the venue's clock cannot be read.
        VenueRefused: the venue refuses.
    """
    venue = open_venue(keys, symbols, clock, may_add_risk, addresses=addresses, patience=patience)
    try:
        await venue.server_time_ms()
        yield venue
    finally:
        await venue.close()


def open_venue(
    keys: Keys,
    symbols: Collection[str],
    clock: Clock,
    may_add_risk: Callable[[], bool],
    *,
    addresses: Addresses | None = None,
    patience: Patience | None = None,
) -> BinanceVenue:
    """Return the adapter, to be closed; nothing is asked yet, and the venue's clock is measured once it is needed.

    Args:
        keys: of the account.
        symbols: that are traded.
        clock: ours.
        may_add_risk: asked just before an order that is not reduce-only is written to the connection.
        addresses: instead of the venue's own, for the simulator.
        patience: of the streams.
    """
    venue_clock = VenueClock(clock)
    limiter = Limiter(venue_clock)
    client = make_client(keys, venue_clock, limiter, addresses)
    return BinanceVenue(
        asker=Asker(client, venue_clock),
        limiter=limiter,
        symbols=tuple(symbols),
        denials=Denials(venue_clock),
        streams=Streams(client, venue_clock, tuple(symbols), addresses, patience or Patience()),
        may_add_risk=may_add_risk,
    )
