"""The invariants of execution.md, checked after a run: the ledger's rows against the venue's own books.

Nothing of the code under test is asked: names are read by a pattern, numbers are counted again from the venue's fills
and income, prices are those of the market that was played.
"""

from __future__ import annotations

from collections import Counter
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
)
from tests.execution.faults.hot import BTC, START_MS, SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.simulator.orders import AlgoOrder, Order
    from tests.execution.faults.world import Ended

ON_ITS_WAY_MS = 6 * SECOND_MS
"""A request signed just before may arrive so much later: it is signed for 5 s."""

DECISION_MS = 5 * MINUTE_MS  # A74
CENT = Decimal("0.01")
MAX_DRAWDOWN = 0.12  # the SOP's hard stop
ACT_MS = 5 * SECOND_MS
REDUCING = ("exit", "time_stop", "reduce", "flatten")
UNPROTECTED_MS = 30 * SECOND_MS
SIZE_TOLERANCE = Decimal("1.02")  # the open moves away from the close that an order was sized with


def violations(ended: Ended) -> list[Violation]:
    """Everything that must never be and was found in a run."""
    evidence = Evidence(ended)
    checks = (
        _each_order_once,
        _no_bar_twice,
        _outcomes_proved,
        _positions_agree,
        _flattens,
        _reductions,
        _fills,
        _funding,
        _money,
        _drawdown,
        _risk_only_when_allowed,
        _sizes,
        _stops,
    )
    return [found for check in checks for found in check(evidence)]


def _ours(evidence: Evidence) -> Iterator[tuple[str, Order | AlgoOrder]]:
    """The venue's orders that carry a name of ours; a stop's own order carries the stop's name and is not another."""
    for order in evidence.orders:
        found = OURS.fullmatch(order.client_id)
        if found and not order.algo_id:
            yield found[1], order
    for algo in evidence.algos:
        found = OURS.fullmatch(algo.client_id)
        if found:
            yield found[1], algo


def _each_order_once(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 1: one order a name, each recorded before it left, none filled beyond what was intended."""
    there = list(_ours(evidence))
    for name, count in Counter(order.client_id for _, order in there).items():
        if count > 1:
            yield Violation(1, f"{name} stands {count} times in the venue's books")
    strangers = [order.client_id for order in (*evidence.orders, *evidence.algos) if not OURS.match(order.client_id)]
    if strangers:
        yield Violation(1, f"orders of nobody: {strangers}")
    filled: Counter[str] = Counter()
    for purpose, order in there:
        intent = evidence.intents.get(order.client_id)
        if len(order.client_id) > 36:
            yield Violation(1, f"{order.client_id} is too long")
        if intent is None:
            if purpose != FLATTEN:  # beside the act: what a killed flatten did not record, its fills tell
                yield Violation(1, f"{order.client_id} reached the venue and the ledger holds no intent of it")
            continue
        if intent["at_ms"] > order.created_ms:
            yield Violation(1, f"{order.client_id} was recorded after it was taken")
        asked = (intent["symbol"], intent["side"], bool(intent["reduce_only"]))
        qty = decimal(intent["qty"])
        # the venue cuts an order that only reduces down to what there is
        fits = order.qty <= qty if order.reduce_only else order.qty == qty
        if asked != (order.symbol, order.side, order.reduce_only) or not fits:
            yield Violation(1, f"{order.client_id} is not what was recorded: {asked} against {order}")
        filled[intent["parent_id"]] += getattr(order, "filled", ZERO)  # type: ignore[assignment] # decimals count too
    for parent, qty in filled.items():
        if qty > decimal(evidence.parents[parent]["qty"]):
            yield Violation(1, f"{parent}: {qty} filled of {evidence.parents[parent]['qty']}")


def _no_bar_twice(evidence: Evidence) -> Iterator[Violation]:
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
        for fill in evidence.account.fills:
            if fill.symbol == symbol and fill.client_id.rpartition("-")[0] in names:
                now = evidence.held(symbol, fill.at_ms)
                if not low <= now <= high:
                    yield Violation(1, f"{symbol} at bar {bar_ms}: {now} held, planned was {before} → {after}")


def _outcomes_proved(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 2: what the ledger calls refused, unsent or absent the venue never had; all ends are known."""
    there = {order.client_id: order for _, order in _ours(evidence)}
    for name, updates in evidence.updates.items():
        for update in updates:
            if update["status"] in {"REJECTED", "NOT_SENT", "ABSENT"} and name in there:
                if there[name].status == "REJECTED":
                    continue
                yield Violation(2, f"{name} is {update['status']} in the ledger and {there[name].status} at the venue")
    for name, order in there.items():
        updates = evidence.updates.get(name, [])
        known = name in evidence.intents
        if known and order.status in ENDINGS and not any(update["ended"] for update in updates):
            yield Violation(2, f"{name} ended as {order.status}, the ledger knows {[u['status'] for u in updates]}")
        filled = getattr(order, "filled", None)
        told = max((decimal(update["filled_qty"]) for update in updates), default=ZERO)
        if known and filled is not None and told != filled.normalize():
            yield Violation(2, f"{name} was filled by {filled}, the ledger was told of {told}")
    for name in evidence.intents:
        if name not in there and not any(update["ended"] for update in evidence.updates.get(name, [])):
            yield Violation(2, f"{name} never reached the venue, and the ledger still does not know it")


def _positions_agree(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 3: no difference was ever found, and there is none."""
    yield from (Violation(3, f"an event: {row}") for row in evidence.tables["events"] if row["kind"] == "difference")
    for symbol in SYMBOLS:
        rows = [row for row in evidence.tables["fills"] if row["symbol"] == symbol and row["account"] == "risk"]
        booked = sum((row["side"] * decimal(row["qty"]) for row in rows), ZERO)
        if booked != evidence.held(symbol, FOR_EVER_MS):
            yield Violation(3, f"{symbol}: {booked} in the ledger, {evidence.held(symbol, FOR_EVER_MS)} at the venue")


def _flattens(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 4: each ended flat, and nothing was opened or stood from then to the next grant."""
    for _, report in evidence.ended.flattens:
        if not report.flat or "sealed" not in report.steps:
            yield Violation(4, f"a flatten ended without being flat: {report}")
            continue
        sealed_ms = report.steps["sealed"]
        until_ms = next((grant for latch, grant in evidence.halts if latch <= sealed_ms < grant), sealed_ms)
        for symbol in SYMBOLS:
            if evidence.held(symbol, sealed_ms):
                yield Violation(4, f"{symbol} is held when the flatten of {report.started_ms} is sealed")
        for _, order in _ours(evidence):
            if order.created_ms <= sealed_ms < order.updated_ms and order.status != "NEW":
                yield Violation(4, f"{order.client_id} outlived the flatten of {report.started_ms}")
            if order.status == "NEW" and order.created_ms <= sealed_ms:
                yield Violation(4, f"{order.client_id} stands after the flatten of {report.started_ms}")
            if sealed_ms < order.created_ms < until_ms:
                yield Violation(4, f"{order.client_id} was taken between the flatten and the grant")
        for fill in evidence.account.fills:
            if sealed_ms < fill.at_ms < until_ms:
                yield Violation(4, f"{fill.client_id} filled between the flatten and the grant")
    for latch_ms, grant_ms in evidence.halts:
        later = [ended_ms for ended_ms, _ in evidence.ended.flattens if latch_ms <= ended_ms]
        if not later or min(later) > grant_ms:
            yield Violation(4, f"the halt of {latch_ms} was not followed by a flatten to its end")


def _reductions(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 5: what was to be reduced in calm was reduced; nothing that reduces was held back by a limit of ours."""
    quiet_ms = 10 * MINUTE_MS
    limited = any(rule.fault.name == "rate_limited" for rule in evidence.ended.plan.rules)
    for parent in evidence.parents.values():
        at_ms = parent["at_ms"]
        if parent["reason"] not in REDUCING or not evidence.calm(at_ms - quiet_ms, at_ms + quiet_ms):
            continue
        before = evidence.held(parent["symbol"], at_ms - 1)
        steps = [held for moved_ms, held in evidence.moves(parent["symbol"]) if at_ms <= moved_ms <= at_ms + quiet_ms]
        least = min((max(held if before > 0 else -held, ZERO) for held in steps), default=abs(before))
        if before * parent["side"] < 0 and least > abs(before) - decimal(parent["qty"]):
            yield Violation(5, f"{parent['parent_id']} was to reduce {before} by {parent['qty']}: {least} was left")
    for name, updates in evidence.updates.items():
        unsent = [update for update in updates if update["status"] == "NOT_SENT"]
        if unsent and evidence.intents[name]["reduce_only"] and not limited:
            yield Violation(5, f"{name} reduces and was not sent: {unsent[0]['detail']}")


def _fills(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 6: every fill once, to the digit, under the parent and the reason that it belongs to."""
    there = {f"{fill.symbol}-{fill.trade_id}": fill for fill in evidence.account.fills}
    here = {row["fill_id"]: row for row in evidence.tables["fills"] if row["account"] == "risk"}
    for name in sorted(there.keys() ^ here.keys()):
        yield Violation(6, f"fill {name} is {'missing in' if name in there else 'only in'} the ledger")
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


def _funding(evidence: Evidence) -> Iterator[Violation]:
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


def _equity_usd(evidence: Evidence, at_ms: int) -> Decimal:
    """The risk equity just before an instant, from the venue's fills and income and the mark prices of the market."""
    cash = evidence.ended.capital_usd
    for flow in evidence.tables["cash_flows"]:
        if flow["account"] == "risk" and flow["at_ms"] < at_ms:
            cash += decimal(flow["amount_usd"])
    for income in evidence.account.income:
        if income.kind == "FUNDING_FEE" and income.at_ms - income.at_ms % HOUR_MS < at_ms:
            cash += income.amount_usd
    for fill in evidence.account.fills:
        if fill.at_ms < at_ms:
            cash -= fill.side * fill.qty * fill.price + fill.fee_usd
    for symbol in SYMBOLS:
        held = evidence.held(symbol, at_ms - 1)
        if held:
            cash += held * Decimal(repr(evidence.ended.close_of(symbol, at_ms)))
    return cash


def _money(evidence: Evidence) -> Iterator[Violation]:
    """Invariants 6 and 7: every mark is the venue's own figure to the cent, and no close that was heard lacks one."""
    marks = {row["at_ms"]: row for row in evidence.tables["marks"] if row["account"] == "risk"}
    for at_ms, row in marks.items():
        expected = _equity_usd(evidence, at_ms)
        if at_ms > START_MS and not row["estimated_marks"] and abs(decimal(row["equity_usd"]) - expected) > CENT:
            yield Violation(6, f"the equity of {at_ms} is {row['equity_usd']:.4f}, the venue's books say {expected:.4f}")
    for close_ms in range(START_MS + HOUR_MS, evidence.ended.play.end_ms + 1, HOUR_MS):
        if close_ms not in marks and evidence.calm(close_ms - MINUTE_MS, close_ms + MINUTE_MS):
            yield Violation(7, f"no mark at {close_ms}, though nothing was wrong")


def _drawdown(evidence: Evidence) -> Iterator[Violation]:
    """Invariant 7: a mark beyond the hard stop latches the halt within seconds."""
    marks = sorted(row["at_ms"] for row in evidence.tables["marks"] if row["account"] == "risk")
    peak = float(evidence.ended.capital_usd)
    for at_ms in marks:
        equity = float(_equity_usd(evidence, at_ms))
        peak = max(peak, equity)
        if 1 - equity / peak <= MAX_DRAWDOWN:
            continue
        told_ms = next((life[0] for life in reversed(evidence.ended.lives) if life[0] <= at_ms + HOUR_MS), at_ms)
        from_ms = max(at_ms, told_ms) if not evidence.calm(at_ms - MINUTE_MS, at_ms + MINUTE_MS) else at_ms
        if evidence.calm(at_ms - MINUTE_MS, at_ms + MINUTE_MS) and evidence.permitted(from_ms + ACT_MS, from_ms + ACT_MS):
            yield Violation(7, f"the drawdown of {1 - equity / peak:.1%} at {at_ms} was not acted on in time")
        return  # the peak of a restart is another


def _risk_only_when_allowed(evidence: Evidence) -> Iterator[Violation]:
    """Reading of the permit, the policy's block and A74: nothing that may add risk is taken without them."""
    for purpose, order in _ours(evidence):
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
        noted = evidence.bars.get(parent["bar_ms"])
        exposure, cap_usd, entries = noted["bounds"] if noted else (1.0, 1.0, True)
        if not entries or exposure == 0 or cap_usd == 0:
            yield Violation(4, f"{order.client_id} adds risk while the policy blocks: {noted}")


def _sizes(evidence: Evidence) -> Iterator[Violation]:
    """The verdict bounds what is held: no sleeve opens more than its share of min(equity, cap) × exposure."""
    weights = evidence.ended.weights
    for fill in evidence.account.fills:
        found = OURS.fullmatch(fill.client_id)
        parent = evidence.parents.get(fill.client_id.rpartition("-")[0])
        if not (found and found[1] == BAR and parent):
            continue
        held = evidence.held(fill.symbol, fill.at_ms)
        if abs(held) <= abs(held - fill.side * fill.qty):
            continue
        noted = evidence.bars.get(parent["bar_ms"])
        exposure, cap_usd, _ = noted["bounds"] if noted else (1.0, float(evidence.ended.capital_usd), True)
        base = min(_equity_usd(evidence, parent["bar_ms"]), Decimal(str(cap_usd))) * Decimal(str(exposure))
        most = base * Decimal(str(weights[fill.symbol])) * SIZE_TOLERANCE
        close = Decimal(repr(evidence.ended.close_of(fill.symbol, parent["bar_ms"], mark=False)))
        if abs(held) * close > most:
            yield Violation(4, f"{fill.symbol}: {abs(held) * close:.2f} USD held at {fill.at_ms}, {most:.2f} are allowed")


def _stops(evidence: Evidence) -> Iterator[Violation]:
    """The protective stop follows the position: in calm BTC is never long without one, nor a stop long without BTC."""
    spans = [
        (algo.created_ms, FOR_EVER_MS if algo.status == "NEW" else algo.triggered_ms or algo.updated_ms, algo)
        for algo in evidence.algos
    ]
    for _, _, algo in spans:
        if algo.symbol != BTC or not algo.reduce_only:
            yield Violation(8, f"a stop that nobody asked for: {algo}")
    moves = evidence.moves(BTC)
    edges = sorted({START_MS, *(at for at, _ in moves), *(at for span in spans for at in span[:2] if at < FOR_EVER_MS)})
    bad_since_ms, wrong = 0, ""
    for edge, following in zip(edges, [*edges[1:], edges[-1]], strict=True):
        held = evidence.held(BTC, edge)
        standing = [algo for begun, ended, algo in spans if begun <= edge < ended]
        right = [algo for algo in standing if algo.side * held < 0 and algo.qty == abs(held)]
        state = "" if (len(standing) == len(right) == 1 if held else not standing) else f"{held} held, {standing}"
        if state and not wrong:
            bad_since_ms = edge
        wrong = state
        long = following - bad_since_ms > UNPROTECTED_MS
        if wrong and long and evidence.calm(bad_since_ms - 10 * MINUTE_MS, following):
            yield Violation(8, f"for {(following - bad_since_ms) / 1000:.0f} s from {bad_since_ms} on: {state}")
            wrong = ""
