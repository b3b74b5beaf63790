"""A status for people: what the venue holds first, then what is remembered, then what could not be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import iso
from engine.reports.numbers import UNKNOWN, age, count, number, usd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.live.service_sign import ChildSign
    from engine.live.status import AtVenue, InLedger, Standing, Status


def status_text(found: Status) -> str:
    """Return a status as one screen."""
    return "\n".join([*_head(found), *_venue(found), *_books(found.books, found), *_unknown(found)])


def _head(found: Status) -> Iterable[str]:
    where = f" at {found.where}" if found.where else ""
    yield f"{found.mode} account{where}, ledger {found.ledger}"
    runner = "not running" if found.runner is None else str(found.runner)
    beat = found.heartbeat
    sign = "no sign of life" if beat is None else f"last sign of life {age(found.heartbeat_age_ms)} ago ({beat.state})"
    yield f"runner   {runner}; {sign}"
    if found.runner is None:
        yield "         nothing is decided, and stops are kept by the venue alone"
    yield from _service(found)
    if found.permitted:
        permit = found.permit
        doubts = f"; but: {', '.join(beat.doubts)}" if beat is not None and beat.doubts and found.runner else ""
        yield f"halt     no: {permit.get('reason', '')}, by {permit.get('by', '')} {permit.get('at', '')}{doubts}"
    else:
        paused = found.books is not None and found.books.paused_since_ms is not None
        lifts = "a signed restart lifts it, `stagegate incident list`" if paused else "`stagegate resume` lifts it"
        yield f"halt     HALTED: nothing adds risk; {lifts}"
    guard = found.guard
    if guard is None:
        yield "guard    says nothing about this ledger: `stagegate risk-guard` watches it"
    else:
        stale = "" if guard.holds else ", too old to mean anything"
        doing = f"; {guard.doing}" if guard.doing else ""
        yield f"guard    {guard.outcome}, {age(max(0, guard.age_ms))} ago{stale}{doing}"


def _service(found: Status) -> Iterable[str]:
    """Yield who keeps the processes running, where a service ever did: by its lock, which no dead process holds."""
    kept = found.kept
    if found.service is None:
        if kept is not None:
            ago = age(found.kept_age_ms)
            yield f"service  NOT RUNNING, last sign of life {ago} ago: nobody starts again what dies, `stagegate serve`"
        return
    if kept is None:
        yield f"service  {found.service}"
        return
    children = ", ".join(_child(each) for each in kept.children)
    yield f"service  {found.service}; {children}; last sign of life {age(found.kept_age_ms)} ago"


def _child(each: ChildSign) -> str:
    died = "" if not each.deaths else f" (died {count(each.deaths, 'time')}, the last: {each.said})"
    return f"{each.name} {each.state}{died}"


def _venue(found: Status) -> Iterable[str]:
    venue = found.venue
    if venue is None:
        yield "venue    unknown: see below"
        return
    yield f"venue    {usd(venue.wallet_usd)} in the wallet, {iso(venue.at_ms)}"
    yield from _positions(venue)
    orders, stops = ([each for each in venue.standing if each.kind == kind] for kind in ("order", "stop"))
    for kind, standing in (("order", orders), ("stop", stops)):
        yield f"         {count(len(standing), kind)}"
        yield from (f"           {_standing(each)}" for each in standing)
    if found.differences:
        for each in found.differences:
            yield f"         DIFFERS  {each.subject}: {each.kind}, the venue has {each.venue}, the ledger {each.ledger}"
    elif found.differences is not None:
        yield "         the ledger agrees"


def _positions(venue: AtVenue) -> Iterable[str]:
    if not venue.positions:
        yield "         flat: no position"
    for each in venue.positions:
        liquidation = "" if each.liquidation_price is None else f", liquidation {number(each.liquidation_price)}"
        yield (
            f"         {each.symbol:<8} {number(each.qty, 6, signed=True)} at {number(each.entry_price)}, "
            f"mark {number(each.mark_price)}, {usd(each.unrealized_usd, signed=True)}{liquidation}"
        )


def _standing(each: Standing) -> str:
    side = "buy" if each.side > 0 else "sell"
    qty = "all that is held" if each.qty is None else number(each.qty, 6)
    price = "" if each.price is None else f" at {number(each.price)}"
    return f"{each.symbol:<8} {side} {qty}{price}  `{each.client_id}`"


def _books(books: InLedger | None, found: Status) -> Iterable[str]:
    if books is None:
        return
    now_ms = found.venue.at_ms if found.venue else None
    entries = "allowed" if books.entries_allowed else "blocked"
    yield (
        f"bounds   stage {books.stage}, cap {usd(books.cap_usd, 0)}, exposure {books.exposure:g}, entries {entries}"
        + (f", PAUSED since {iso(books.paused_since_ms)}" if books.paused_since_ms is not None else "")
    )
    yield f"equity   {usd(books.equity_usd)} at {iso(books.marked_ms)}"
    verdict = UNKNOWN if books.verdict_ms is None else f"{books.outcome} of {iso(books.verdict_ms)}, {books.verdict_id}"
    yield f"verdict  {verdict if books.verdict_id else 'none yet'}"
    if books.last_bar_ms is None:
        yield "bar      none yet"
    else:
        ago = "" if now_ms is None else f", {age(max(0, now_ms - books.last_bar_ms))} ago"
        yield f"bar      {iso(books.last_bar_ms)}{ago}"
    yield from (f"waits    {each}: `stagegate approvals`" for each in books.waiting)


def _unknown(found: Status) -> Iterable[str]:
    yield from (f"unknown  {each}" for each in found.unknown)
