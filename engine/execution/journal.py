"""What the ledger is told of orders: parents and intents before anything leaves, then every word that comes back.

The ledger is the executor's only memory. Quantities travel as `Decimal` to and from the venue and are stored as reals
of at most 15 digits, which come back as the same decimals.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.execution.ids import client_id, parent_id, parent_prefix
from engine.execution.venue import NOT_SENT, Accepted, OrderRequest, OrderState, Rejected, StopRequest, StopState
from engine.ledger import Event, Intent, OrderUpdate, Parent, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.execution.ids import Purpose
    from engine.execution.venue import Outcome
    from engine.ledger import Ledger

STOP_MARKET = "STOP_MARKET"
UNKNOWN = "UNKNOWN"
ABSENT = "ABSENT"
UNSENT = "NOT_SENT"
REJECTED = "REJECTED"

FOREIGN = "foreign"
"""The reason of a fill of an order that no ledger of ours knows."""

_DIGITS = 15
_ZERO = Decimal(0)


def exact(value: float) -> Decimal:
    """Return the decimal that was stored as `value`, or what a sum of such comes to.

    >>> exact(0.1 + 0.2)
    Decimal('0.3')
    """
    return Decimal(f"{value:.{_DIGITS}g}").normalize() + _ZERO


@dataclass(frozen=True)
class ParentOrder:
    """One intended change of one symbol.

    Attributes:
        symbol: the venue's name.
        side: +1 buys, −1 sells.
        qty: base asset, > 0, in whole steps.
        target_usd: signed, what is to be held afterwards.
        ref_price: USDT, what its slippage is measured against; `ref_kind` says what that is (A37).
        reason: such as ``rebalance``.
        bar_ms: the open of the bar it is to fill in.
        closing_qty: the part that only shrinks what is held; it goes first, reduce-only, needs no permit and knows no
            least notional. All of `qty` in a reduction, none where a position opens or grows, the old side of a flip.
        patient: a limit order comes first; else a market order at once.
        add_until_ms: after it nothing more that adds risk is sent (A74); None: no such limit.
        verdict_id: whose bounds it obeys.
    """

    symbol: str
    side: int
    qty: Decimal
    target_usd: float
    ref_price: float
    ref_kind: str
    reason: str
    bar_ms: int
    closing_qty: Decimal = _ZERO
    patient: bool = False
    add_until_ms: int | None = None
    verdict_id: str | None = None


class Journal:
    """The orders of one account of one ledger; every method raises LedgerError where it cannot be read or written.

    Args:
        ledger: open for writing.
        account: whose orders these are.
    """

    def __init__(self, ledger: Ledger, account: str = "risk") -> None:
        self.ledger = ledger
        self.account = account

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what follows as one: all of it or nothing, and one wait for the disk."""
        with self.ledger.transaction():
            yield

    def begin(self, purpose: Purpose, order: ParentOrder, at_ms: int, *, instant_ms: int | None = None) -> Parent:
        """Record a new parent, named after the next number of its purpose, symbol and instant.

        Args:
            purpose: the letter of its name.
            order: what it is to do.
            at_ms: now.
            instant_ms: what it is named after; None: the bar.
        """
        instant_ms = order.bar_ms if instant_ms is None else instant_ms
        with self.ledger.transaction():
            number = self.ledger.parents_named(parent_prefix(purpose, order.symbol, instant_ms))
            parent = parent_row(parent_id(purpose, order.symbol, instant_ms, number), self.account, order, at_ms)
            self.ledger.append(parent)
        return parent

    def intend(self, parent: Parent, request: OrderRequest | StopRequest, at_ms: int) -> Intent:
        """Record an order that is about to leave."""
        intent = intent_row(parent, request, at_ms, attempt=len(self.ledger.intents_of(parent.parent_id)))
        self.ledger.append(intent)
        return intent

    def next_client_id(self, parent: Parent) -> str:
        """Return the id of a parent's next order."""
        return client_id(parent.parent_id, len(self.ledger.intents_of(parent.parent_id)))

    def note(self, name: str, found: OrderState | StopState | Outcome, at_ms: int) -> None:
        """Record what became known of the order `name`."""
        self.ledger.append(update_row(name, found, at_ms))

    def note_absent(self, name: str, at_ms: int) -> None:
        """Record that an order was proved never to have come to be."""
        self.ledger.append(_update(name, ABSENT, at_ms, ended=True))

    def note_event(self, kind: str, subject: str, at_ms: int, document: str) -> None:
        """Record something that people should know; the same of the same instant is one event."""
        name = f"{kind}-{subject}-{at_ms}-{sha256_of(document)[:8]}"
        self.ledger.append(Event(name, at_ms, kind, subject, document))

    def filled(self, name: str) -> Decimal:
        """Return how much of an order is known to be filled, base asset."""
        return max((exact(update.filled_qty) for update in self.ledger.updates_of(name)), default=_ZERO)

    def ended(self, name: str) -> bool:
        """Return whether an order is known to have ended."""
        return any(update.ended for update in self.ledger.updates_of(name))

    def held(self) -> dict[str, Decimal]:
        """Return the quantities that the fills sum up to, signed, only those that are not zero."""
        held = {symbol: exact(round(qty, _DIGITS - 3)) for symbol, qty in self.ledger.held(self.account).items()}
        return {symbol: qty for symbol, qty in held.items() if qty}

    def strangers(self) -> frozenset[str]:
        """Return the symbols held whose position somebody else traded in since it was last flat (A64)."""
        held: dict[str, Decimal] = {}
        meddled: set[str] = set()
        for fill in self.ledger.fills(self.account):
            held[fill.symbol] = held.get(fill.symbol, _ZERO) + fill.side * exact(fill.qty)
            if not held[fill.symbol]:
                meddled.discard(fill.symbol)
            elif fill.reason == FOREIGN:
                meddled.add(fill.symbol)
        return frozenset(meddled)


def parent_row(name: str, account: str, order: ParentOrder, at_ms: int) -> Parent:
    """Return a parent as the ledger's row."""
    return Parent(
        parent_id=name,
        account=account,
        at_ms=at_ms,
        bar_ms=order.bar_ms,
        symbol=order.symbol,
        side=order.side,
        qty=float(order.qty),
        target_usd=order.target_usd,
        ref_price=order.ref_price,
        ref_kind=order.ref_kind,
        reason=order.reason,
        verdict_id=order.verdict_id,
    )


def intent_row(parent: Parent, request: OrderRequest | StopRequest, at_ms: int, *, attempt: int) -> Intent:
    """Return an order that is about to leave as the ledger's row."""
    stop = isinstance(request, StopRequest)
    price = request.trigger_price if isinstance(request, StopRequest) else request.price
    return Intent(
        client_id=request.client_id,
        parent_id=parent.parent_id,
        at_ms=at_ms,
        symbol=request.symbol,
        kind=STOP_MARKET if isinstance(request, StopRequest) else request.kind.value,
        side=request.side,
        qty=parent.qty if request.qty is None else float(request.qty),
        price=None if price is None else float(price),
        reduce_only=True if isinstance(request, StopRequest) else request.reduce_only,
        attempt=attempt,
        algo=stop,
    )


def update_row(name: str, found: OrderState | StopState | Outcome, at_ms: int) -> OrderUpdate:
    """Return what became known of the order `name` as the ledger's row."""
    if isinstance(found, Accepted):
        found = found.state
    if isinstance(found, OrderState):
        return OrderUpdate(
            update_id=_update_id(name, found.status.value, found.filled_qty),
            client_id=name,
            at_ms=at_ms,
            status=found.status.value,
            filled_qty=float(found.filled_qty),
            avg_price=None if not found.avg_price else float(found.avg_price),
            venue_id=found.venue_id,
            ended=found.status.ended,
        )
    if isinstance(found, StopState):
        # a stop's fills are those of the order it became, which is known by another id
        ended = found.status.ended and found.status.value != "TRIGGERED"
        return _update(name, found.status.value, at_ms, ended=ended, venue_id=found.order_id or "")
    if isinstance(found, Rejected):
        status = UNSENT if found.code == NOT_SENT else REJECTED
        return _update(name, status, at_ms, ended=True, detail=f"{found.code} {found.message}")
    return _update(name, UNKNOWN, at_ms, ended=False, detail=found.reason)


def _update(name: str, status: str, at_ms: int, *, ended: bool, venue_id: str = "", detail: str = "") -> OrderUpdate:
    update_id = _update_id(name, f"{status}{venue_id}", _ZERO)
    return OrderUpdate(update_id, name, at_ms, status, 0.0, None, venue_id, ended, detail)


def _update_id(name: str, status: str, filled_qty: Decimal) -> str:
    return f"{name}/{status}/{filled_qty.normalize():f}"
