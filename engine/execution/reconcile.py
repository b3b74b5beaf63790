"""The venue against the ledger: positions, orders, stops, cash. A difference is told, never silently put right.

What was read while something moved is read again before it counts. At the start of a run nothing may differ: what
stands at the venue and is not in the ledger is somebody else's, or ours from a ledger that is not this one (A64).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.errors import Problem, UsageError
from engine.execution.fills import OTHER_FEE
from engine.execution.journal import exact
from engine.ledger import Event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from engine.clock import Clock
    from engine.execution.journal import Journal
    from engine.execution.venue import OrderState, Position, StopState, Venue

OPENING = "venue_opening"
"""The kind of the event that says what cash the account began with."""

DIFFERENCE = "difference"
"""The kind of the event of a difference, once for each; its subject is the symbol, or the account."""

GONE = "difference_gone"
"""The kind of the event of a subject of which nothing differs any more."""

TRANSFER = "transfer"
"""The kind of the event of cash moved at the venue, which the risk guard notes: `amount_usd`, into the account (+)."""

SETTLE_S = 1.0
"""What differs is read again after so long: an order may just be filling."""

_CASH = ("deposit", "withdrawal")
_ZERO = Decimal(0)


class Kind(StrEnum):
    """What differs."""

    POSITION = "position"
    ORDER = "order"  # stands at the venue, and the ledger does not know it
    STOP = "stop"  # the same of a stop
    LOST_STOP = "lost_stop"  # stands in the ledger, and not at the venue
    BALANCE = "balance"


@dataclass(frozen=True)
class Difference:
    """One difference: `venue` and `ledger` are what each of them says, in words."""

    kind: Kind
    subject: str
    venue: str
    ledger: str


@dataclass(frozen=True)
class VenueSide:
    """What the venue says, read at about one time."""

    positions: Mapping[str, Position]
    orders: Sequence[OrderState]
    stops: Sequence[StopState]
    wallet_usd: Decimal


@dataclass(frozen=True)
class LedgerSide:
    """What the ledger says.

    Attributes:
        held: symbol -> signed quantity, those that are not zero.
        orders: client ids that may stand as orders.
        stops: client id -> symbol, of the stops that should stand.
        strangers: symbols held in which somebody else traded since they were last flat.
        cash_usd: the opening balance plus everything that moved cash since, profit left out; None: no opening is known.
    """

    held: Mapping[str, Decimal]
    orders: frozenset[str]
    stops: Mapping[str, str]
    strangers: frozenset[str]
    cash_usd: Decimal | None


async def venue_side(venue: Venue) -> VenueSide:
    """Ask the venue: stops, then orders, then positions, because the first become the next.

    Raises:
        VenueError: one of the answers is missing; nothing may be concluded.
    """
    stops = await venue.open_stops()
    orders = await venue.open_orders()
    positions = await venue.positions()
    return VenueSide(positions, orders, stops, (await venue.balance()).wallet_usd)


def ledger_side(journal: Journal) -> LedgerSide:
    """Ask the ledger.

    Raises:
        LedgerError: it cannot be read.
    """
    intents = journal.ledger.open_intents(journal.account)
    return LedgerSide(
        held=journal.held(),
        orders=frozenset(intent.client_id for intent in intents if not intent.algo),
        stops={intent.client_id: intent.symbol for intent in intents if intent.algo},
        strangers=journal.strangers(),
        cash_usd=_cash_usd(journal),
    )


def differences(venue: VenueSide, ledger: LedgerSide, *, tolerance_usd: float = 0.0) -> tuple[Difference, ...]:
    """Return what the two sides do not agree on.

    Args:
        venue: what it says.
        ledger: the same.
        tolerance_usd: what the venue's rounding of entry prices and fees may come to before the cash is called
            different; the bundle's.
    """
    found = list(_positions(venue, ledger))
    found += [
        Difference(Kind.ORDER, order.symbol, _order_in_words(order), "unknown")
        for order in venue.orders
        if order.client_id not in ledger.orders and order.client_id not in ledger.stops  # a stop that was hit, filling
    ]
    found += [
        Difference(Kind.STOP, stop.symbol, _stop_in_words(stop), "unknown")
        for stop in venue.stops
        if stop.client_id not in ledger.stops
    ]
    standing = {stop.client_id for stop in venue.stops} | {order.client_id for order in venue.orders}
    found += [
        Difference(Kind.LOST_STOP, symbol, "no such stop", f"stop `{name}` stands")
        for name, symbol in ledger.stops.items()
        if name not in standing
    ]
    expected = _wallet_usd(venue, ledger)
    if expected is not None and abs(venue.wallet_usd - expected) > tolerance_usd:
        found.append(Difference(Kind.BALANCE, "USDT", f"{venue.wallet_usd:.2f} USD", f"{expected:.2f} USD"))
    return tuple(found)


async def reconcile(
    venue: Venue,
    journal: Journal,
    clock: Clock,
    catch_up: Callable[[], Awaitable[object]],
    *,
    tolerance_usd: float = 0.0,
) -> tuple[Difference, ...]:
    """Compare, twice where something differs, and record what remains as events.

    Args:
        venue: the account.
        journal: the ledger's side.
        clock: the time.
        catch_up: brings the ledger up to date: orders in doubt, fills, cash.
        tolerance_usd: as in `differences`.

    Raises:
        VenueError: the venue does not tell; nothing may be concluded.
        LedgerError: the ledger cannot be read or written.
    """
    await catch_up()
    found = differences(await venue_side(venue), ledger_side(journal), tolerance_usd=tolerance_usd)
    if found:
        await asyncio.sleep(SETTLE_S)
        await catch_up()
        again = differences(await venue_side(venue), ledger_side(journal), tolerance_usd=tolerance_usd)
        found = tuple(one for one in again if (one.kind, one.subject) in {(each.kind, each.subject) for each in found})
    _record(journal, found, clock.now_ms())
    return found


async def check_start(
    venue: Venue,
    journal: Journal,
    clock: Clock,
    catch_up: Callable[[], Awaitable[object]],
    *,
    tolerance_usd: float = 0.0,
) -> tuple[Difference, ...]:
    """Refuse to start where something stands that this ledger does not know; return the differences one can live with.

    The first start of a ledger records the cash it finds; the account must be empty then.

    Raises:
        UsageError: unknown-position, unknown-order, unknown-stop; all of them travel together.
        VenueError: the venue does not tell; unknown is no reason to start.
        LedgerError: the ledger cannot be read or written.
    """
    found = await reconcile(venue, journal, clock, catch_up, tolerance_usd=tolerance_usd)
    refused = [one for one in found if one.kind in _CURES]
    if refused:
        raise UsageError([_refusal(one) for one in refused])
    if not journal.ledger.events(OPENING):
        wallet_usd = (await venue.balance()).wallet_usd
        journal.ledger.append(venue_opening(journal.account, clock.now_ms(), wallet_usd))
    return found


def venue_opening(account: str, at_ms: int, wallet_usd: Decimal) -> Event:
    """Return the event that says what cash an account began with."""
    return Event(f"{OPENING}-{account}-{at_ms}", at_ms, OPENING, account, json.dumps({"wallet_usd": str(wallet_usd)}))


_CURES = {
    Kind.POSITION: "close it at the venue or run `stagegate flatten`, or start with the ledger that knows it",
    Kind.ORDER: "cancel it at the venue, or run `stagegate flatten`; is a second bot running?",
    Kind.STOP: "cancel it at the venue, or run `stagegate flatten`; is a second bot running?",
}


def _refusal(one: Difference) -> Problem:
    problem = f"the venue has {one.venue}, the ledger {one.ledger}"
    return Problem(f"unknown-{one.kind}", one.subject, problem, _CURES[one.kind])


def _positions(venue: VenueSide, ledger: LedgerSide) -> Iterable[Difference]:
    for symbol in sorted(venue.positions.keys() | ledger.held.keys()):
        there = venue.positions[symbol].qty if symbol in venue.positions else _ZERO
        here = ledger.held.get(symbol, _ZERO)
        if there != here:
            yield Difference(Kind.POSITION, symbol, f"{there:f}", f"{here:f}")
        elif symbol in ledger.strangers:
            yield Difference(Kind.POSITION, symbol, f"{there:f}", f"{here:f}, in part traded by somebody else")


def _cash_usd(journal: Journal) -> Decimal | None:
    ledger, account = journal.ledger, journal.account
    openings = ledger.events(OPENING)
    if not openings:
        return None
    since_ms = openings[0].at_ms
    cash = float(json.loads(openings[0].document)["wallet_usd"])
    cash += sum(-fill.side * fill.qty * fill.price - fill.fee_usd for fill in ledger.fills(account))
    cash += sum(json.loads(event.document)["fee_usd"] for event in ledger.events(OTHER_FEE))
    cash += sum(payment.amount_usd for payment in ledger.funding(account, since_ms))
    cash += sum(json.loads(event.document)["amount_usd"] for event in ledger.events(TRANSFER, since_ms))
    cash += sum(flow.amount_usd for flow in ledger.cash_flows(account, since_ms) if flow.kind in _CASH)
    return exact(cash)


def _wallet_usd(venue: VenueSide, ledger: LedgerSide) -> Decimal | None:
    """Return the wallet as the ledger has it: what is bound in open positions stands there at their entry price."""
    if ledger.cash_usd is None:
        return None
    return ledger.cash_usd + sum((each.qty * each.entry_price for each in venue.positions.values()), _ZERO)


def _record(journal: Journal, found: Sequence[Difference], now_ms: int) -> None:
    """Record what differs anew, or otherwise than before, and once what no longer does."""
    standing = _standing(journal)
    for subject in sorted({one.subject for one in found} | standing.keys()):
        said = [{"kind": one.kind, "venue": one.venue, "ledger": one.ledger} for one in found if one.subject == subject]
        if not said:
            journal.note_event(GONE, subject, now_ms, json.dumps(sorted({one["kind"] for one in standing[subject]})))
        elif subject not in standing or _gist(said) != _gist(standing[subject]):
            journal.note_event(DIFFERENCE, subject, now_ms, json.dumps(said, sort_keys=True))


def _standing(journal: Journal) -> dict[str, list[dict[str, str]]]:
    """Return what was recorded and is not gone: subject -> differences."""
    standing: dict[str, list[dict[str, str]]] = {}
    events = [*journal.ledger.events(DIFFERENCE), *journal.ledger.events(GONE)]
    for event in sorted(events, key=lambda one: one.at_ms):
        document = json.loads(event.document)
        if event.kind == GONE:
            standing.pop(event.subject, None)
        elif isinstance(document, list):  # the others are single fills
            standing[event.subject] = document
    return standing


def _gist(said: Sequence[Mapping[str, str]]) -> list[tuple[str, str, str]]:
    """Return what makes a difference another one; a difference in cash stays the same while both sides move."""
    cash = Kind.BALANCE
    return sorted(
        (one["kind"], "", "") if one["kind"] == cash else (one["kind"], one["venue"], one["ledger"]) for one in said
    )


def _order_in_words(order: OrderState) -> str:
    side = "buy" if order.side > 0 else "sell"
    return f"order `{order.client_id}`, {side} {order.qty - order.filled_qty:f}"


def _stop_in_words(stop: StopState) -> str:
    side = "buy" if stop.side > 0 else "sell"
    return f"stop `{stop.client_id}`, {side} {'all' if stop.qty is None else f'{stop.qty:f}'} at {stop.trigger_price:f}"
