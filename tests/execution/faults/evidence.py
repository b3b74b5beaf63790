"""What is known after a run, from two sides that share no code: the venue's own books, and the ledger's bare rows."""

from __future__ import annotations

import json
import re
import sqlite3
from bisect import bisect_right
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from engine.clock import MINUTE_MS, SECOND_MS
from engine.simulator.faults.requests import Slow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from engine.simulator.accounts import Account
    from engine.simulator.orders import AlgoOrder, Order
    from tests.execution.faults.world import Ended

OURS = re.compile(r"sg([bstfc])-([A-Za-z0-9_]{1,15})-([0-9a-z]{1,8})-[0-9a-z]{1,2}-[0-9a-z]{1,2}")
BAR, STOP, STOPPED, FLATTEN, CANARY = "bstfc"

ENDINGS = ("FILLED", "CANCELED", "EXPIRED", "REJECTED", "FINISHED")
FOR_EVER_MS = 2**62
TROUBLE_LASTS_MS = 10 * MINUTE_MS
UNPROTECTED_MS = 30 * SECOND_MS
ZERO = Decimal(0)

Row = dict[str, Any]

_ORDER = {"marks": "at_ms"}  # a table without row ids


@dataclass(frozen=True)
class Violation:
    """Something that must never be: the number of the invariant in execution.md, and what was found."""

    invariant: int
    what: str

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.what}"


def decimal(value: float) -> Decimal:
    """The decimal that a stored real was written from: the venue's numbers have far fewer than 15 digits."""
    return Decimal(f"{value:.15g}")


class Evidence:
    """Both sides of a run.

    Args:
        ended: the run.
        tables: of the ledger; None: as they stand there.
    """

    def __init__(self, ended: Ended, tables: dict[str, list[Row]] | None = None) -> None:
        self.ended = ended
        self.account: Account = ended.account
        self.tables = tables or _tables(ended.ledger)

    def again(self) -> Evidence:
        """The same, looked at anew."""
        return Evidence(self.ended, self.tables)

    @cached_property
    def apart_ms(self) -> int:
        """How far the machine's clock was off at most: a flatten does not wait until it has measured the venue's."""
        skews = (getattr(rule.fault, "skew_s", 0.0) for rule in self.ended.play.plan.rules)
        return round(max(map(abs, skews), default=0.0) * SECOND_MS)

    @cached_property
    def clock_error_ms(self) -> int:
        """How far off the venue's clock was measured at most: by half of what a slow answer took longer one way."""
        slow = [rule.fault for rule in self.ended.play.plan.rules if isinstance(rule.fault, Slow)]
        return max((round(_longest_s(one) / 2 * SECOND_MS) for one in slow), default=0)

    # --- the ledger

    @cached_property
    def intents(self) -> dict[str, Row]:
        return {row["client_id"]: row for row in self.tables["intents"]}

    @cached_property
    def parents(self) -> dict[str, Row]:
        return {row["parent_id"]: row for row in self.tables["parents"]}

    @cached_property
    def updates(self) -> dict[str, list[Row]]:
        return _by(self.tables["order_updates"], "client_id")

    @cached_property
    def _bounds(self) -> list[tuple[int, Row]]:
        return [(row["at_ms"], json.loads(row["document"])) for row in self.tables["events"] if row["kind"] == "bounds"]

    def bounds_at(self, at_ms: int) -> Row:
        """What the policy allowed at an instant, as the ledger has it."""
        found = [bounds for since_ms, bounds in self._bounds if since_ms <= at_ms]
        return found[-1] if found else {"exposure": 1.0, "cap_usd": float(self.ended.capital_usd), "entries": "allowed"}

    # --- the venue

    @cached_property
    def orders(self) -> list[Order]:
        return sorted(self.account.orders.values(), key=lambda order: order.order_id)

    @cached_property
    def algos(self) -> list[AlgoOrder]:
        return sorted(self.account.algo_orders.values(), key=lambda algo: algo.algo_id)

    @cached_property
    def _walks(self) -> dict[str, tuple[list[int], list[Decimal]]]:
        walks: dict[str, tuple[list[int], list[Decimal]]] = {}
        for fill in self.account.fills:
            times, held = walks.setdefault(fill.symbol, ([], []))
            times.append(fill.at_ms)
            held.append((held[-1] if held else ZERO) + fill.side * fill.qty)
        return walks

    def held(self, symbol: str, at_ms: int) -> Decimal:
        """What the account held at the end of an instant."""
        times, held = self._walks.get(symbol, ([], []))
        at = bisect_right(times, at_ms)
        return held[at - 1] if at else ZERO

    def moves(self, symbol: str) -> list[tuple[int, Decimal]]:
        """When the position changed, and what was held from then on."""
        times, held = self._walks.get(symbol, ([], []))
        return list(dict(zip(times, held, strict=True)).items())

    # --- the desk's permission

    def permitted(self, from_ms: int, to_ms: int) -> bool:
        """Whether the permit was there at any instant of a span."""
        there, since_ms = False, 0
        for at_ms, granted in [*self.ended.permits, (FOR_EVER_MS, False)]:
            if there and since_ms <= to_ms and at_ms >= from_ms:
                return True
            there, since_ms = granted, at_ms
        return False

    @cached_property
    def halts(self) -> list[tuple[int, int]]:
        """From each latch to the grant that followed it."""
        spans, since_ms = [], None
        for at_ms, granted in self.ended.permits:
            if granted and since_ms is not None:
                spans.append((since_ms, at_ms))
            since_ms = None if granted else at_ms if since_ms is None else since_ms
        return [*spans, *([(since_ms, FOR_EVER_MS)] if since_ms is not None else [])]

    # --- when something was wrong

    @cached_property
    def troubles(self) -> list[tuple[int, int]]:
        """Spans in which a fault held or struck, or no process lived; oldest first."""
        spans = [
            (rule.from_ms or 0, rule.until_ms or FOR_EVER_MS)
            for rule in self.ended.plan.rules
            if rule.times is None and rule.until_ms is not None
        ]
        spans += [(strike.at_ms, strike.at_ms) for strike in self.ended.strikes]
        lives = self.ended.lives
        spans += [(before[1], after[0]) for before, after in pairwise(lives)]
        return sorted(spans)

    def calm(self, from_ms: int, to_ms: int) -> bool:
        """Whether nothing was wrong in a span."""
        return not any(start <= to_ms and end >= from_ms for start, end in self.troubles)

    def well_for_ms(self, from_ms: int, to_ms: int) -> int:
        """How long nothing has been wrong at the end of a span, counted within it."""
        ends = [min(end, to_ms) for start, end in self.troubles if start <= to_ms]
        return to_ms - max([from_ms, *ends])

    def patience_ms(self, from_ms: int, to_ms: int) -> int:
        """How long a stop may be missing once nothing is wrong: until the next round, where something was wrong."""
        if self.calm(from_ms - TROUBLE_LASTS_MS, to_ms):
            return UNPROTECTED_MS
        return UNPROTECTED_MS + round(self.ended.play.cadence.rounds_s * SECOND_MS)


def ours(evidence: Evidence) -> Iterator[tuple[str, Order | AlgoOrder]]:
    """The venue's orders that carry a name of ours; a stop's own order carries the stop's name and is not another."""
    for order in evidence.orders:
        found = OURS.fullmatch(order.client_id)
        if found and not order.algo_id:
            yield found[1], order
    for algo in evidence.algos:
        found = OURS.fullmatch(algo.client_id)
        if found:
            yield found[1], algo


def _tables(path: Path) -> dict[str, list[Row]]:
    names = ("parents", "intents", "order_updates", "fills", "funding", "cash_flows", "marks", "events")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            name: [
                dict(row)
                for row in connection.execute(
                    f"SELECT * FROM {name} ORDER BY {_ORDER.get(name, 'rowid')}"  # noqa: S608 - own names
                )
            ]
            for name in names
        }


def _by(rows: Iterable[Row], key: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[key]].append(row)
    return found


def _longest_s(slow: Slow) -> float:
    return max(slow.before_s, slow.after_s) * (1 + slow.spread_ratio)
