"""Every kind of fault by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.simulator.faults.conditions import (
    ClockSkew,
    HalfOpenSocket,
    ListenKeyExpiry,
    OnlyReducing,
    Outage,
    Overloaded,
    PartialFills,
)
from engine.simulator.faults.messages import DropEvent, DuplicateEvent, LateEvent, ReorderedEvents
from engine.simulator.faults.requests import (
    AcceptThen503,
    AcceptThenReset,
    AcceptThenTimeout,
    AcceptThenUnknown,
    DelayedVisibility,
    LostRequest,
    RateLimited,
    RejectNTimes,
    Slow,
)

if TYPE_CHECKING:
    from engine.simulator.faults.model import Fault

KINDS: dict[str, type[Fault]] = {
    kind.name: kind
    for kind in (
        AcceptThenTimeout,
        AcceptThen503,
        AcceptThenReset,
        AcceptThenUnknown,
        LostRequest,
        RejectNTimes,
        RateLimited,
        Slow,
        DelayedVisibility,
        DuplicateEvent,
        DropEvent,
        LateEvent,
        ReorderedEvents,
        Outage,
        HalfOpenSocket,
        ListenKeyExpiry,
        ClockSkew,
        PartialFills,
        Overloaded,
        OnlyReducing,
    )
}
