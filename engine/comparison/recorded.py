"""What a ledger says of its own period: marks, trades, bounds hour by hour, and which bars its desk worked at."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import HOUR_MS, iso
from engine.errors import LedgerError, Problem
from engine.portfolio import Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.ledger import CashFlow, Event, Fill, FundingPayment, Marks, Parent, SleeveMarks
    from engine.ledger.queries import LedgerReader

RISK = "risk"
BAR, BOUNDS, SKIPPED = "bar", "bounds", "order_skipped"
_ALLOWED = "allowed"


@dataclass(frozen=True)
class Recorded:
    """One ledger's risk account, from the launch to an instant.

    Attributes:
        meta: of the ledger.
        from_ms: the launch.
        to_ms: the end: nothing after it is here.
        marks: of the account.
        sleeves: symbol -> sleeve marks.
        fills: oldest first, as are `funding` and `flows`.
        parents: parent id -> the intended change; empty where no venue was between.
        bounds: ``(since_ms, bounds)``, as the governor set them, oldest first.
        worked: open of the hour -> the bounds a desk traded under; empty where none worked bar by bar.
        skipped: ``(symbol, hour)`` of the orders that were skipped, and why.
    """

    meta: Mapping[str, str]
    from_ms: int
    to_ms: int
    marks: Marks
    sleeves: Mapping[str, SleeveMarks]
    fills: tuple[Fill, ...]
    funding: tuple[FundingPayment, ...]
    flows: tuple[CashFlow, ...]
    parents: Mapping[str, Parent]
    bounds: tuple[tuple[int, Bounds], ...]
    worked: Mapping[int, Bounds]
    skipped: Mapping[tuple[str, int], str]

    @property
    def capital_usd(self) -> float:
        """The risk equity at the launch."""
        return float(self.marks.equity_usd[0])

    def bounds_at(self, open_ms: int) -> Bounds:
        """Return what the orders that fill from `open_ms` on were bound by."""
        if open_ms in self.worked:
            return self.worked[open_ms]
        place = bisect_right(self.bounds, open_ms, key=lambda each: each[0]) - 1
        return self.bounds[max(place, 0)][1]

    def sized_on_usd(self, open_ms: int) -> float | None:
        """Return the risk equity that a decision at this instant was sized on: the mark and the flows of then."""
        place = int(np.searchsorted(self.marks.at_ms, open_ms))
        if place == len(self.marks) or int(self.marks.at_ms[place]) != open_ms:
            return None
        return float(self.marks.equity_usd[place]) + sum(
            flow.amount_usd for flow in self.flows if open_ms <= flow.at_ms < open_ms + HOUR_MS
        )

    def held(self, symbol: str, open_ms: int) -> float | None:
        """Return the signed quantity at an instant, before its orders; None where it was not marked."""
        marks = self.sleeves.get(symbol)
        if open_ms <= self.from_ms:
            return 0.0
        place = -1 if marks is None else int(np.searchsorted(marks.at_ms, open_ms))
        if marks is None or place == len(marks) or int(marks.at_ms[place]) != open_ms:
            return None
        return float(marks.qty[place])


def read_recorded(reader: LedgerReader, to_ms: int | None = None) -> Recorded:
    """Return the risk account of a ledger up to `to_ms` (None: its last mark).

    Raises:
        LedgerError: it cannot be read, or nothing was launched on it.
    """
    last = reader.last_mark(RISK, to_ms)
    bounds = reader.events(BOUNDS, to_ms=to_ms)
    if last is None or not bounds:
        problem = "nothing was marked on this ledger by then"
        raise LedgerError(Problem("nothing-yet", str(reader.path), problem, "launch a desk, or ask for a later time"))
    end_ms = last.at_ms if to_ms is None else min(to_ms, last.at_ms)
    marks = reader.marks(RISK, to_ms=end_ms)
    if len(marks) == 1:
        problem = f"no bar has closed since the launch at {iso(last.at_ms)}"
        raise LedgerError(Problem("nothing-yet", str(reader.path), problem, "come back an hour later"))
    return Recorded(
        meta=reader.meta(),
        from_ms=int(marks.at_ms[0]),
        to_ms=end_ms,
        marks=marks,
        sleeves=reader.sleeve_marks(RISK, to_ms=end_ms),
        fills=reader.fills(RISK, to_ms=end_ms),
        funding=reader.funding(RISK, to_ms=end_ms),
        flows=reader.cash_flows(RISK, to_ms=end_ms),
        parents={parent.parent_id: parent for parent in reader.parents(RISK, to_ms=end_ms)},
        bounds=tuple((event.at_ms, _set_bounds(event)) for event in bounds),
        worked={event.at_ms: Bounds(*json.loads(event.document)["bounds"]) for event in reader.events(BAR)},
        skipped={
            (event.subject, event.at_ms): str(json.loads(event.document).get("reason", ""))
            for event in reader.events(SKIPPED, to_ms=end_ms)
        },
    )


def _set_bounds(event: Event) -> Bounds:
    detail = json.loads(event.document)
    return Bounds(float(detail["exposure"]), float(detail["cap_usd"]), detail["entries"] == _ALLOWED)
