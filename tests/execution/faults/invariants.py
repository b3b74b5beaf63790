"""The invariants of orders and books (execution.md): the ledger's rows against the venue's own books.

Nothing of the code under test is asked: names are read by a pattern, numbers are counted again from the venue's fills
and income. `ALWAYS` holds at any instant, `AT_REST` once everything has ended and was booked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from tests.execution.faults.evidence import (
    BAR,
    ENDINGS,
    FLATTEN,
    FOR_EVER_MS,
    OURS,
    STOP,
    STOPPED,
    ZERO,
    Evidence,
    Row,
    Violation,
    decimal,
    ours,
)
from tests.execution.faults.hot import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

ON_ITS_WAY_MS = 6 * SECOND_MS
"""A request signed just before may arrive so much later: it is signed for 5 s."""

DECISION_MS = 5 * MINUTE_MS  # A74


def each_order_once(evidence: Evidence) -> Iterator[Violation]:  # noqa: C901 - one list of what is asked of an order
    """Invariant 1: one order a name, each recorded before it left, none filled beyond what was intended."""
    there = list(ours(evidence))
    for name, count in Counter(order.client_id for _, order in there).items():
        if count > 1:
            yield Violation(1, f"{name} stands {count} times in the venue's books")
    names = [order.client_id for order in evidence.orders] + [stop.client_id for stop in evidence.algos]
    strangers = [name for name in names if not OURS.match(name)]
    if strangers:
        yield Violation(1, f"orders of nobody: {strangers}")
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for purpose, order in there:
        intent = evidence.intents.get(order.client_id)
        if len(order.client_id) > 36:
            yield Violation(1, f"{order.client_id} is too long")
        if intent is None:
            if purpose != FLATTEN:  # beside the act: what a killed flatten did not record, its fills tell
                yield Violation(1, f"{order.client_id} reached the venue and the ledger holds no intent of it")
            continue
        late_ms = intent["at_ms"] - order.created_ms - evidence.clock_error_ms
        if late_ms > (evidence.apart_ms if purpose == FLATTEN else 0):
            yield Violation(1, f"{order.client_id} was recorded after it was taken")
        asked = (intent["symbol"], intent["side"], bool(intent["reduce_only"]))
        qty = decimal(intent["qty"])
        # the venue cuts an order that only reduces down to what there is
        fits = order.qty <= qty if order.reduce_only else order.qty == qty
        if asked != (order.symbol, order.side, order.reduce_only) or not fits:
            yield Violation(1, f"{order.client_id} is not what was recorded: {asked} against {order}")
        filled[intent["parent_id"]] += getattr(order, "filled", ZERO)
    for parent, qty in filled.items():
        if qty > decimal(evidence.parents[parent]["qty"]):
            yield Violation(1, f"{parent}: {qty} filled of {evidence.parents[parent]['qty']}")


def no_bar_twice(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 1: a bar's work done again after a death leads nowhere that its first plan did not."""
    bars: dict[tuple[str, int], list[Row]] = {}
    for parent in evidence.parents.values():
        found = OURS.match(parent["parent_id"] + "-0")
        if found and found[1] == BAR:
            bars.setdefault((parent["symbol"], parent["bar_ms"]), []).append(parent)
    for (symbol, bar_ms), parents in bars.items():
        first = parents[0]
        before = evidence.held(symbol, first["at_ms"] - 1)
        after = before + first["side"] * decimal(first["qty"])
        low, high = min(before, after, ZERO if before * after < 0 else before), max(before, after)
        if len(parents) > 1 or evidence.ended.lives[1:]:
            low, high = min(low, ZERO) if before >= 0 else low, max(high, ZERO) if before <= 0 else high
        names = {parent["parent_id"] for parent in parents}
        others = ZERO  # a flatten, or a stop, that closes while the bar's orders are on their way
        for fill in evidence.account.fills:
            if fill.symbol != symbol or fill.at_ms < first["at_ms"]:
                continue
            if fill.client_id.rpartition("-")[0] not in names:
                others += fill.side * fill.qty
            else:
                now = evidence.held(symbol, fill.at_ms)
                if not low <= now <= high and not low <= now - others <= high:
                    yield Violation(1, f"{symbol} at bar {bar_ms}: {now} held, planned was {before} → {after}")


def refusals_proved(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 2: what the ledger calls refused, unsent or absent the venue never had."""
    there = {order.client_id: order for _, order in ours(evidence)}
    for name in evidence.updates.keys() & there.keys():
        said = {update["status"] for update in evidence.updates[name]} & {"REJECTED", "NOT_SENT", "ABSENT"}
        if said and there[name].status != "REJECTED":
            yield Violation(2, f"{name} is {said} in the ledger and {there[name].status} at the venue")


def ends_known(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 2: the end of every order is known, and how much of it was filled."""
    there = {order.client_id: order for _, order in ours(evidence)}
    for name, order in there.items():
        if name not in evidence.intents:
            continue
        updates = evidence.updates.get(name, [])
        if order.status in ENDINGS and not any(update["ended"] for update in updates):
            yield Violation(2, f"{name} ended as {order.status}, the ledger knows {[u['status'] for u in updates]}")
        filled = getattr(order, "filled", None)
        told = max((decimal(update["filled_qty"]) for update in updates), default=ZERO)
        if filled is not None and told != filled.normalize():
            yield Violation(2, f"{name} was filled by {filled}, the ledger was told of {told}")
    for name in evidence.intents.keys() - there.keys():
        if not any(update["ended"] for update in evidence.updates.get(name, [])):
            yield Violation(2, f"{name} never reached the venue, and the ledger still does not know it")


def positions_agree(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 3: no difference was ever found, and there is none."""
    yield from (Violation(3, f"an event: {row}") for row in evidence.tables["events"] if row["kind"] == "difference")
    for symbol in SYMBOLS:
        rows = [row for row in evidence.tables["fills"] if row["symbol"] == symbol and row["account"] == "risk"]
        booked = sum((row["side"] * decimal(row["qty"]) for row in rows), ZERO)
        if booked != evidence.held(symbol, FOR_EVER_MS):
            yield Violation(3, f"{symbol}: {booked} in the ledger, {evidence.held(symbol, FOR_EVER_MS)} at the venue")


def flattens_hold(evidence: Evidence) -> Iterator[Violation]:  # noqa: C901 - the same of a flatten
    """Invariant 4: each ended flat, and nothing was opened or stood from then to the next grant."""
    for _, report in evidence.ended.flattens:
        if not report.flat or "sealed" not in report.steps:
            yield Violation(4, f"a flatten ended without being flat: {report}")
            continue
        sealed_ms = report.steps["sealed"]
        until_ms = next((grant for latch, grant in evidence.halts if latch <= sealed_ms < grant), None)
        if until_ms is None:  # granted again in the very millisecond
            continue
        for symbol in SYMBOLS:
            if evidence.held(symbol, sealed_ms):
                yield Violation(4, f"{symbol} is held when the flatten of {report.started_ms} is sealed")
        for _, order in ours(evidence):
            if order.created_ms <= sealed_ms < order.updated_ms and order.status != "NEW":
                yield Violation(4, f"{order.client_id} outlived the flatten of {report.started_ms}")
            if order.status == "NEW" and order.created_ms <= sealed_ms:
                yield Violation(4, f"{order.client_id} stands after the flatten of {report.started_ms}")
            if sealed_ms < order.created_ms < until_ms:
                yield Violation(4, f"{order.client_id} was taken between the flatten and the grant")
        for fill in evidence.account.fills:
            if sealed_ms < fill.at_ms < until_ms:
                yield Violation(4, f"{fill.client_id} filled between the flatten and the grant")


def halts_end_flat(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 4: every latch is followed by a flatten to its end, whoever dies on the way."""
    for latch_ms, grant_ms in evidence.halts:
        later = [ended_ms for ended_ms, _ in evidence.ended.flattens if latch_ms <= ended_ms]
        if not later or min(later) > grant_ms:
            yield Violation(4, f"the halt of {latch_ms} was not followed by a flatten to its end")


def risk_only_when_allowed(evidence: Evidence) -> Iterator[Violation]:
    """Reading of the permit, the policy's block and A74: nothing that may add risk is taken without them."""
    for purpose, order in ours(evidence):
        if order.reduce_only:
            continue
        if purpose != BAR:
            yield Violation(1, f"{order.client_id} may add risk, and no bar asked for it")
            continue
        if not evidence.permitted(order.created_ms - ON_ITS_WAY_MS, order.created_ms):
            yield Violation(4, f"{order.client_id} may add risk and was taken at {order.created_ms} without a permit")
        intent = evidence.intents.get(order.client_id)
        parent = intent and evidence.parents[intent["parent_id"]]
        if not parent:
            continue
        if order.created_ms > parent["bar_ms"] + DECISION_MS + ON_ITS_WAY_MS:
            yield Violation(4, f"{order.client_id} adds risk on a decision of {parent['bar_ms']}")
        bounds = evidence.bounds_at(parent["at_ms"])
        if bounds["entries"] != "allowed" or not bounds["exposure"] or not bounds["cap_usd"]:
            yield Violation(4, f"{order.client_id} adds risk while the policy blocks: {bounds}")


def fills_true(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 6: every fill that is booked is the venue's, to the digit, under its parent and its reason."""
    there = {f"{fill.symbol}-{fill.trade_id}": fill for fill in evidence.account.fills}
    here = {row["fill_id"]: row for row in evidence.tables["fills"] if row["account"] == "risk"}
    for name in here.keys() - there.keys():
        yield Violation(6, f"fill {name} is in the ledger only")
    for name in there.keys() & here.keys():
        fill, row = there[name], here[name]
        told = (row["at_ms"], row["side"], *(decimal(row[key]) for key in ("qty", "price", "fee_usd")))
        if told != (fill.at_ms, fill.side, fill.qty.normalize(), fill.price.normalize(), fill.fee_usd.normalize()):
            yield Violation(6, f"fill {name}: {row} against {fill}")
        found = OURS.fullmatch(fill.client_id)
        if not found:
            continue
        parent = evidence.parents.get(row["parent_id"])
        if row["parent_id"] != fill.client_id.rpartition("-")[0]:
            yield Violation(6, f"fill {name} of {fill.client_id} stands under {row['parent_id']}")
        reason = {STOP: "stop", STOPPED: "stop", FLATTEN: "flatten"}.get(found[1]) or (parent and parent["reason"])
        if row["reason"] != reason:
            yield Violation(6, f"fill {name} of {fill.client_id} is called {row['reason']}, it is {reason}")


def fills_all(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 6: every fill is booked; a row's key keeps it from being booked twice."""
    here = {row["fill_id"] for row in evidence.tables["fills"]}
    for fill in evidence.account.fills:
        if f"{fill.symbol}-{fill.trade_id}" not in here:
            yield Violation(6, f"{fill} is missing in the ledger")


def funding_once(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 6: every settlement once, to the cent, on the quantity that was held."""
    paid = [one for one in evidence.account.income if one.kind == "FUNDING_FEE"]
    there = {f"{one.symbol}-{one.tran_id}": one for one in paid}
    here = {row["payment_id"]: row for row in evidence.tables["funding"] if row["account"] == "risk"}
    for name in sorted(there.keys() ^ here.keys()):
        yield Violation(6, f"settlement {name} is {'missing in' if name in there else 'only in'} the ledger")
    for name in there.keys() & here.keys():
        income, row = there[name], here[name]
        hour_ms = income.at_ms - income.at_ms % HOUR_MS
        held = evidence.held(income.symbol, hour_ms - 1)
        if (row["at_ms"], decimal(row["amount_usd"])) != (hour_ms, income.amount_usd.normalize()):
            yield Violation(6, f"settlement {name}: {row} against {income}")
        if decimal(row["qty"]) != held.normalize():
            yield Violation(6, f"settlement {name} on {row['qty']}, held were {held}")


ALWAYS = (each_order_once, refusals_proved, flattens_hold, risk_only_when_allowed, fills_true)
AT_REST = (ends_known, positions_agree, fills_all)
