"""The ledger's rows and columns as plain values: text, whole numbers, finite floats.

An instant's state (`Mark`, `SleeveMark`) is what stood at `at_ms`, before anything that happened at that instant. What
happens at `at_ms` (`Fill`, `FundingPayment`, `CashFlow`) comes after that instant's mark (domain.md, NAV_d).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategies.bars import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Mark:
    """One account at the close of one bar; `nav` is the value of one unit, so cash flows never move it (A13, A53)."""

    account: str
    at_ms: int
    equity_usd: float
    nav: float
    units: float
    exposure: float
    cap_usd: float
    gross_usd: float
    estimated_marks: int = 0


@dataclass(frozen=True, slots=True)
class SleeveMark:
    """One symbol of one account at the close of one bar.

    Attributes:
        pnl_usd: cumulative since the ledger's first mark, net of fees, slippage and funding.
        position: the strategy's position in [-1, 1]; None where it gave no signal.
    """

    account: str
    at_ms: int
    symbol: str
    qty: float
    mark_price: float
    pnl_usd: float
    position: float | None


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. `side` is +1 or -1, `qty` > 0; `ref_kind` is bar_open, stop or mark (A37)."""

    fill_id: str
    account: str
    at_ms: int
    symbol: str
    side: int
    qty: float
    price: float
    ref_price: float
    ref_kind: str
    fee_usd: float
    parent_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """One funding settlement; `amount_usd` is received (+) or paid (-), `qty` the signed position before orders."""

    payment_id: str
    account: str
    at_ms: int
    symbol: str
    qty: float
    mark_price: float
    rate: float
    hours: float
    amount_usd: float
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class CashFlow:
    """Money in (+) or out (-); `kind` is deposit, withdrawal or virtual (idle cash and changes of the cap, A53)."""

    flow_id: str
    account: str
    at_ms: int
    amount_usd: float
    kind: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FactsSnapshot:
    """All facts at one instant as canonical JSON; `day_close` where the instant ends a complete UTC day."""

    at_ms: int
    day_close: bool
    sha256: str
    document: str

    @classmethod
    def of(cls, at_ms: int, document: str, *, day_close: bool) -> FactsSnapshot:
        """Return the snapshot of `document` with the SHA-256 of its UTF-8 bytes."""
        return cls(at_ms, day_close, sha256_of(document), document)


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """One recorded verdict; `document` is its canonical JSON, byte for byte."""

    verdict_id: str
    at_ms: int
    policy: str
    outcome: str
    policy_sha256: str
    config_sha256: str
    facts_sha256: str
    document: str


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A text that some verdict used (policy, vocabulary, bundle, config), found by the SHA-256 of its UTF-8 bytes."""

    sha256: str
    kind: str
    name: str
    text: str

    @classmethod
    def of(cls, kind: str, name: str, text: str) -> StoredDocument:
        """Return `text` as a document under its own hash."""
        return cls(sha256_of(text), kind, name, text)


@dataclass(frozen=True, slots=True)
class Event:
    """Something beside trading: bounds, approvals, restarts, flattens, incidents, epochs; `document` holds JSON."""

    event_id: str
    at_ms: int
    kind: str
    subject: str
    document: str = "{}"


@dataclass(frozen=True, slots=True)
class Parent:
    """One intended change of one symbol at one bar, or one protective stop; its fills carry its `parent_id`.

    Attributes:
        bar_ms: the open of the bar it is to fill in.
        qty: base asset, > 0; `side` +1 or -1.
        target_usd: signed, what is to be held afterwards.
        ref_price: USDT, what its slippage is measured against; `ref_kind` is bar_open, stop or mark (A37).
        verdict_id: of the verdict whose bounds it obeys; None where none was involved.
    """

    parent_id: str
    account: str
    at_ms: int
    bar_ms: int
    symbol: str
    side: int
    qty: float
    target_usd: float
    ref_price: float
    ref_kind: str
    reason: str
    verdict_id: str | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """One order as it was about to be sent, written before it left.

    Attributes:
        kind: MARKET, LIMIT or STOP_MARKET.
        price: USDT, of a limit order; of a stop its trigger; None of a market order.
        attempt: number within its parent, from 0.
        algo: whether it went to the venue's conditional orders.
    """

    client_id: str
    parent_id: str
    at_ms: int
    symbol: str
    kind: str
    side: int
    qty: float
    price: float | None
    reduce_only: bool
    attempt: int
    algo: bool = False


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """One thing that became known of an order; one heard twice is one row.

    Attributes:
        status: the venue's, or UNKNOWN, ABSENT (proved: it never came to be) or NOT_SENT.
        filled_qty: base asset, so far.
        avg_price: USDT; None while unknown.
        venue_id: of the order; empty while unknown.
        ended: whether nothing more can fill.
        detail: the venue's code and wording of a refusal, else empty.
    """

    update_id: str
    client_id: str
    at_ms: int
    status: str
    filled_qty: float
    avg_price: float | None
    venue_id: str
    ended: bool
    detail: str = ""


Row = (
    Mark
    | SleeveMark
    | Fill
    | FundingPayment
    | CashFlow
    | FactsSnapshot
    | VerdictRecord
    | StoredDocument
    | Event
    | Parent
    | Intent
    | OrderUpdate
)


@dataclass(frozen=True)
class Marks:
    """One account's marks as columns, oldest first; all float64 (n,) but for the int64 times and counts."""

    at_ms: IntArray
    equity_usd: FloatArray
    nav: FloatArray
    units: FloatArray
    exposure: FloatArray
    cap_usd: FloatArray
    gross_usd: FloatArray
    estimated_marks: IntArray

    def __len__(self) -> int:
        return len(self.at_ms)


@dataclass(frozen=True)
class SleeveMarks:
    """One symbol's sleeve marks as columns, oldest first; `position` is NaN where there was no signal."""

    at_ms: IntArray
    qty: FloatArray
    mark_price: FloatArray
    pnl_usd: FloatArray
    position: FloatArray

    def __len__(self) -> int:
        return len(self.at_ms)


def sha256_of(text: str) -> str:
    """Return the SHA-256 of the UTF-8 bytes of `text`, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
