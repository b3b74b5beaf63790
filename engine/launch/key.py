"""SOP §1.2: what the key may do, as the venue says; that the venue answers it; and the venue's clock (A94, A96)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.execution.venue import VenueRefused
from engine.launch.probe import Finding, Findings, Probe, no, reason, yes
from engine.reports.numbers import usd

if TYPE_CHECKING:
    from engine.clock import Clock
    from engine.execution.venue import Permissions, Venue

CLOCK = "venue_clock_offset"
_ON = {True: "on, read from the venue", False: "off, read from the venue"}


def clock_probe(venue: Venue, clock: Clock) -> Probe:
    """Return the probe of the venue's clock, to be asked before all others: they would delay its answer."""

    async def find() -> Findings:
        venue_ms = await venue.server_time_ms()
        ahead_ms = venue_ms - clock.now_ms()
        return {CLOCK: Finding(float(abs(ahead_ms)), f"the venue's clock is {abs(ahead_ms)} ms {_side(ahead_ms)}")}

    return Probe((CLOCK,), find)


def probes(venue: Venue) -> tuple[Probe, ...]:
    """Return the probes of the key at the venue."""

    async def answers() -> Findings:
        return {"venue_answers": await venue_answers(venue)}

    async def permissions() -> Findings:
        return permitted(await venue.permissions())

    return (
        Probe(("venue_answers",), answers),
        Probe(("futures_enabled", "withdrawals_enabled", "ip_restricted"), permissions),
    )


async def venue_answers(venue: Venue) -> Finding:
    """Return whether the venue answers a signed request (R029).

    Raises:
        VenueUnavailable: it does not answer at all, which says nothing of the key.
    """
    try:
        balance = await venue.balance()
    except VenueRefused as error:
        return no(reason(error))
    return yes(f"the wallet holds {usd(balance.wallet_usd)}")


def permitted(may: Permissions) -> Findings:
    """Return what the key may do (R025, R026, R027)."""
    return {
        "futures_enabled": Finding(may.futures, _ON[may.futures]),
        "withdrawals_enabled": Finding(may.withdrawals, _ON[may.withdrawals]),
        "ip_restricted": Finding(may.ip_restricted, _ON[may.ip_restricted]),
    }


def _side(ahead_ms: int) -> str:
    return "ahead" if ahead_ms > 0 else "behind" if ahead_ms else "off"
