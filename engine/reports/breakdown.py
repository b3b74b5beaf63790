"""Where the money went: sleeves, execution and funding of the risk account, and what nobody knew."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine import metrics
from engine.clock import DAY_MS
from engine.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.ledger import Event, Fill
    from engine.reports.snapshots import FactDay
    from engine.reports.view import LedgerView

_PERCENT = 100
_UNKNOWN = Metric(None, "missing")


@dataclass(frozen=True)
class Sleeve:
    """One symbol's part in the result; money since the ledger's first mark, None where unknown.

    Attributes:
        weight: its share of the risk equity by configuration.
        position: what its strategy wants, in [-1, 1]; None without a signal.
        qty: signed, base asset.
        notional_usd: signed, at the last mark.
        pnl_usd: price, funding, fees and slippage together.
        contribution_percent: over 14 days, of the risk equity (what the policy reads, A40).
        own_return_percent: the same over the sleeve's weight.
        status: ok, young or missing, of the contribution.
        fees_usd: paid.
        slippage_usd: against the reference prices; a gain is negative.
        funding_usd: received (+) or paid (-).
        fills: how many.
    """

    symbol: str
    weight: float | None
    position: float | None
    qty: float
    notional_usd: float
    pnl_usd: float
    contribution_percent: float | None
    own_return_percent: float | None
    status: str
    fees_usd: float
    slippage_usd: float
    funding_usd: float
    fills: int


@dataclass(frozen=True)
class Execution:
    """All fills of one reason and kind of reference price."""

    reason: str
    ref_kind: str
    orders: int
    notional_usd: float
    slippage_usd: float
    fees_usd: float

    @property
    def slippage_bps(self) -> float | None:
        """The cost against the reference, in basis points of the notional."""
        return self.slippage_usd / self.notional_usd * 1e4 if self.notional_usd > 0 else None


@dataclass(frozen=True)
class Funding:
    """One symbol's funding: settlements, those that had to be assumed, what was paid and received (both positive)."""

    symbol: str
    settlements: int
    assumed: int
    paid_usd: float
    received_usd: float

    @property
    def net_usd(self) -> float:
        """Received minus paid."""
        return self.received_usd - self.paid_usd


@dataclass(frozen=True)
class UnknownFact:
    """A fact that had no value on some days: status -> days, and the end of the last such day."""

    fact: str
    days: dict[str, int]
    last_ms: int


def sleeves(view: LedgerView) -> tuple[Sleeve, ...]:
    """Return each symbol's part."""
    equity = metrics.daily_closes(view.risk.at_ms, view.risk.equity_usd, view.now_ms)
    flow_ms = np.array([flow.at_ms for flow in view.flows], dtype=np.int64)
    flow_usd = np.array([flow.amount_usd for flow in view.flows], dtype=np.float64)
    found: list[Sleeve] = []
    for symbol, marks in view.sleeves.items():
        pnl = metrics.daily_closes(marks.at_ms, marks.pnl_usd, view.now_ms)
        same_end = len(pnl) > 0 and len(equity) > 0 and pnl.end_ms[-1] == equity.end_ms[-1]
        contribution = metrics.sleeve_contribution(pnl, equity, flow_ms, flow_usd) if same_end else _UNKNOWN
        weight = view.config.weights.get(symbol)
        own = metrics.sleeve_return(contribution, weight) if weight else _UNKNOWN
        fills = [fill for fill in view.fills if fill.symbol == symbol]
        payments = [each for each in view.funding if each.symbol == symbol]
        position = float(marks.position[-1])
        found.append(
            Sleeve(
                symbol=symbol,
                weight=weight,
                position=None if math.isnan(position) else position,
                qty=float(marks.qty[-1]),
                notional_usd=float(marks.qty[-1] * marks.mark_price[-1]),
                pnl_usd=float(marks.pnl_usd[-1]),
                contribution_percent=_percent(contribution.value),
                own_return_percent=_percent(own.value),
                status=contribution.status,
                fees_usd=math.fsum(fill.fee_usd for fill in fills),
                slippage_usd=_slippage_usd(fills),
                funding_usd=math.fsum(payment.amount_usd for payment in payments),
                fills=len(fills),
            )
        )
    return tuple(found)


def executions(fills: Iterable[Fill]) -> tuple[Execution, ...]:
    """Return fills by kind of reference and reason, bar decisions first, then the largest notional first."""
    groups: dict[tuple[str, str], list[Fill]] = defaultdict(list)
    for fill in fills:
        groups[fill.ref_kind, fill.reason].append(fill)
    found = [
        Execution(
            reason=reason,
            ref_kind=kind,
            orders=len({fill.parent_id for fill in group}),
            notional_usd=math.fsum(fill.qty * fill.ref_price for fill in group),
            slippage_usd=_slippage_usd(group),
            fees_usd=math.fsum(fill.fee_usd for fill in group),
        )
        for (kind, reason), group in groups.items()
    ]
    return tuple(sorted(found, key=lambda each: (each.ref_kind != "bar_open", each.ref_kind, -each.notional_usd)))


def funding(view: LedgerView, since_ms: int | None = None) -> tuple[Funding, ...]:
    """Return each symbol's settlements of open positions since `since_ms` (None: the first mark)."""
    start_ms = view.from_ms if since_ms is None else since_ms
    found: list[Funding] = []
    for symbol in dict.fromkeys(payment.symbol for payment in view.funding):
        payments = [each for each in view.funding if each.symbol == symbol and each.at_ms >= start_ms and each.qty != 0]
        found.append(
            Funding(
                symbol=symbol,
                settlements=len(payments),
                assumed=sum(payment.assumed for payment in payments),
                paid_usd=-math.fsum(min(payment.amount_usd, 0.0) for payment in payments),
                received_usd=math.fsum(max(payment.amount_usd, 0.0) for payment in payments),
            )
        )
    return tuple(found)


def skipped(events: Iterable[Event], since_ms: int = 0) -> dict[str, int]:
    """Return symbol -> how many orders were skipped since `since_ms`."""
    return dict(Counter(event.subject for event in events if event.kind == "order_skipped" and event.at_ms >= since_ms))


def unknown_facts(days: Iterable[FactDay]) -> tuple[UnknownFact, ...]:
    """Return the facts that had no value on some day, most days first."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    last: dict[str, int] = {}
    for day in days:
        for fact, status in day.unknown.items():
            counts[fact][status] += 1
            last[fact] = day.at_ms
    found = [UnknownFact(fact, dict(tally), last[fact]) for fact, tally in counts.items()]
    return tuple(sorted(found, key=lambda each: (-sum(each.days.values()), each.fact)))


def missing_days(days: Iterable[FactDay], from_ms: int, now_ms: int) -> int:
    """Return how many complete UTC days between two instants have no snapshot of facts at their end."""
    first = -(-from_ms // DAY_MS) + 1
    expected = set(range(first, now_ms // DAY_MS + 1))
    return len(expected - {day.at_ms // DAY_MS for day in days if day.at_ms % DAY_MS == 0})


def _slippage_usd(fills: Iterable[Fill]) -> float:
    return math.fsum(fill.side * fill.qty * (fill.price - fill.ref_price) for fill in fills)


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else ratio * _PERCENT
