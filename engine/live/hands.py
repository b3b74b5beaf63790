"""What a running desk reaches the venue with: sender, fills, executor, stops and flatten, made alike for every mode."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.clock import SECOND_MS
from engine.execution.executor import Executor
from engine.execution.fills import FillBook
from engine.execution.flatten import flatten
from engine.execution.flattened import Terms
from engine.execution.journal import Journal
from engine.execution.permit import Permit
from engine.execution.sending import Sender
from engine.execution.siderecord import SideRecord
from engine.execution.stops import StopKeeper
from engine.live.opening import Hands

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from engine.clock import Clock
    from engine.config import FrozenConfig
    from engine.execution.flattened import FlattenReport
    from engine.execution.venue import Venue
    from engine.facts import GuardWord
    from engine.ledger import Ledger


@dataclass(frozen=True)
class Leave(Permit):
    """The permit of a running desk: the file, and nothing that speaks against adding risk at the moment.

    Attributes:
        doubts: in words, what speaks against it; whoever put a doubt in takes it out again. A restart forgets them and
            finds them anew.
    """

    doubts: set[str] = field(default_factory=set, compare=False)

    def present(self) -> bool:
        """Return whether risk may be added now."""
        return not self.doubts and super().present()

    @property
    def granted(self) -> bool:
        """Whether the file is there, whatever speaks against using it."""
        return super().present()


def hands_at(
    venue: Venue,
    ledger: Ledger,
    permit: Permit,
    clock: Clock,
    config: FrozenConfig,
    *,
    since_ms: int,
    on_fill: Callable[[str], Coroutine[object, object, object]] | None = None,
    guard: Callable[[], GuardWord | None] = lambda: None,
) -> Hands:
    """Return what a desk reaches its account with.

    Args:
        venue: the account.
        ledger: where orders are recorded before they leave.
        permit: to add risk.
        clock: the time.
        config: which symbols, and how long a limit order may rest.
        since_ms: the launch: nothing that was traded before it is ours.
        on_fill: awaited for a symbol each time some of it was filled.
        guard: returns what the risk guard says now.
    """
    sender = Sender(venue, Journal(ledger), permit, clock)
    fills = FillBook(venue, sender.journal, clock, since_ms=since_ms)

    def close_all(reason: str) -> asyncio.Future[FlattenReport]:
        terms = Terms(symbols=config.market.symbols, reason=reason)
        return asyncio.ensure_future(flatten(venue, permit, clock, SideRecord(ledger.path), terms))

    timeout_ms = round(config.live.limit_order_timeout_s * SECOND_MS)
    return Hands(
        venue=venue,
        permit=permit,
        sender=sender,
        fills=fills,
        executor=Executor(sender, fills, limit_timeout_ms=timeout_ms, on_fill=on_fill),
        stops=StopKeeper(sender),
        flatten=close_all,
        guard=guard,
    )
