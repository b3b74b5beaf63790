"""How orders fared at the venue: sent, filled, filled in part, cancelled, refused (SOP §7, execution quality)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.reports.numbers import count, percent, usd
from engine.reports.tables import Table, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.ledger import Intent, OrderUpdate
    from engine.ledger.queries import LedgerReader

RISK = "risk"
REFUSED, UNSENT = "REJECTED", ("NOT_SENT", "ABSENT")
_WHOLE = 1 - 1e-9
_NAMES = {"LIMIT": "limit", "MARKET": "market", "STOP_MARKET": "stop"}


@dataclass(frozen=True)
class OrderFate:
    """What became of one order.

    Attributes:
        kind: LIMIT, MARKET or STOP_MARKET.
        qty: base asset, sent.
        filled_qty: of it.
        filled_usd: at the mean price.
        status: the last word.
    """

    kind: str
    qty: float
    filled_qty: float
    filled_usd: float
    status: str

    @property
    def end(self) -> str:
        """Say what became of it: filled, part, refused, unsent or nothing."""
        if self.filled_qty >= self.qty * _WHOLE:
            return "filled"
        if self.filled_qty > 0:
            return "part"
        if self.status == REFUSED:
            return "refused"
        return "unsent" if self.status in UNSENT else "nothing"


@dataclass(frozen=True)
class FillRates:
    """The orders of a period.

    Attributes:
        fates: one an order.
        intended: how many changes of a position were intended.
        missed: how many of them filled nothing at all.
    """

    fates: tuple[OrderFate, ...]
    intended: int
    missed: int

    def count(self, kind: str, end: str) -> int:
        """Return how many orders of a kind ended so."""
        return sum(fate.kind == kind and fate.end == end for fate in self.fates)

    def filled_usd(self, kind: str) -> float:
        """Return the notional that orders of a kind filled."""
        return sum(fate.filled_usd for fate in self.fates if fate.kind == kind)

    @property
    def limit_share_percent(self) -> float | None:
        """The part of the notional that limit orders filled; None where nothing was filled."""
        whole = sum(fate.filled_usd for fate in self.fates)
        return self.filled_usd("LIMIT") / whole * 100 if whole > 0 else None


def fill_rates(reader: LedgerReader, from_ms: int, to_ms: int) -> FillRates:
    """Return how the orders of the risk account fared that were intended in ``[from_ms, to_ms)``.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    fates: list[OrderFate] = []
    intended = missed = 0
    for parent in reader.parents(RISK, from_ms, to_ms):
        own = [_fate(intent, reader.updates_of(intent.client_id)) for intent in reader.intents_of(parent.parent_id)]
        fates += own
        if parent.ref_kind != "stop":  # a stop that stands has filled nothing, and that is well
            intended += 1
            missed += not any(fate.filled_qty > 0 for fate in own)
    return FillRates(tuple(fates), intended, missed)


def fill_rates_table(rates: FillRates) -> Table:
    """Return a row for each kind of order."""
    rows = []
    by_kind: dict[str, int] = defaultdict(int)
    for fate in rates.fates:
        by_kind[fate.kind] += 1
    for kind, sent in sorted(by_kind.items()):
        ends = [rates.count(kind, end) for end in ("filled", "part", "nothing", "refused", "unsent")]
        sent_qty = [fate for fate in rates.fates if fate.kind == kind]
        rate = sum(min(fate.filled_qty / fate.qty, 1.0) for fate in sent_qty) / sent * 100
        usual = f"{_NAMES.get(kind, kind.lower())}"
        rows.append((usual, f"{sent:,}", *(f"{end:,}" for end in ends), percent(rate), usd(rates.filled_usd(kind), 0)))
    heads = "order | #sent | #filled | #in part | #not filled | #refused | #never left | #fill rate | #notional filled"
    return table(heads, rows)


def fill_rates_texts(rates: FillRates) -> tuple[str, ...]:
    """Return what the table comes to, in sentences."""
    if not rates.fates:
        return ("No order went to a venue: in a rehearsal's fast loop orders fill at the open.",)
    share = rates.limit_share_percent
    limits = "" if share is None else f" Limit orders filled {percent(share)} of the notional, market orders the rest."
    missed = (
        f"{count(rates.intended, 'change')} of position {'was' if rates.intended == 1 else 'were'} intended; "
        f"{rates.missed} of them filled nothing."
    )
    stands = " A stop that was not filled stood and was replaced or cancelled, which is its usual end."
    return (f"{missed}{limits}{stands}",)


def _fate(intent: Intent, updates: Iterable[OrderUpdate]) -> OrderFate:
    told = tuple(updates)
    most = max(told, key=lambda update: update.filled_qty, default=None)
    filled = 0.0 if most is None else most.filled_qty
    price = 0.0 if most is None or most.avg_price is None else most.avg_price
    return OrderFate(intent.kind, intent.qty, filled, filled * price, told[-1].status if told else "UNKNOWN")
