"""The facts that the risk guard's policy reads, at one moment: what the ledger and the venue tell, nothing else.

What the guard does not compute itself (Sharpe ratio) comes from the last facts that the ledger holds, with their age.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, day_start
from engine.metrics import window_return
from engine.metrics.nav import RETURN_DAYS
from engine.policy.facts import MISSING, OK, YOUNG, Fact
from engine.risk_guard.equity import READING_HOLDS_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from engine.metrics import Metric
    from engine.policy.facts import Facts
    from engine.risk_guard.books import Books
    from engine.risk_guard.equity import EquityMark, Reading
    from strategies.bars import FloatArray, IntArray

PERCENT = 100.0
ALL = 100.0
"""More than everything cannot be lost of what is at risk: an equity below 0 is a drawdown of 100 %, not a wrong one."""

SAME_MS = MINUTE_MS
"""What is closed by force in one symbol within so much is one liquidation."""

GAP = 0.30
"""The definition of the fact gap_loss."""


@dataclass(frozen=True)
class Value:
    """What one unit is worth.

    Attributes:
        at_ms: of the mark.
        nav: per unit.
        peak: the highest since the epoch.
        mark_ms: int64 (n,), the marks since the epoch, this one last.
        navs: float64 (n,), per unit.
        epoch_ms: since when.
    """

    at_ms: int
    nav: float
    peak: float
    mark_ms: IntArray
    navs: FloatArray
    epoch_ms: int

    @property
    def drawdown(self) -> float:
        """1 − NAV ÷ peak, a ratio; never below 0."""
        return max(0.0, 1.0 - self.nav / self.peak)


@dataclass(frozen=True)
class Watch:
    """What the guard sees at one moment, beside the ledger.

    Attributes:
        now_ms: the moment.
        mark: the last mark of its own; None: none yet.
        reading: the account as last told; None: never.
        prices: mark prices newer than the reading.
        permitted: whether the permit is there.
        outages: in the last day.
        forced: what the venue closed by force, as it told the guard: symbol and time.
    """

    now_ms: int
    mark: EquityMark | None
    reading: Reading | None
    prices: Mapping[str, Decimal]
    permitted: bool
    outages: int
    forced: tuple[tuple[str, int], ...] = ()


def value_of(books: Books, mark: EquityMark | None, own_peak: float, now_ms: int) -> Value | None:
    """Return what a unit is worth by the newest mark, whoever made it; None: nobody marked since the epoch.

    Args:
        books: the ledger's.
        mark: the guard's own last one; its age is true also where the machine's time was set.
        own_peak: the highest NAV that the guard saw since the epoch; 0: none.
        now_ms: the time.
    """
    times, navs = books.mark_ms, books.nav
    own = _own(books, mark)
    if own is not None:
        at_ms, nav = own
        fresh = mark is not None and now_ms - at_ms <= READING_HOLDS_MS
        if fresh or not len(times) or at_ms > times[-1]:
            before = int(np.searchsorted(times, at_ms, side="left"))
            times, navs = np.append(times[:before], at_ms), np.append(navs[:before], nav)
    if not len(times):
        return None
    peak = max(float(np.max(books.nav, initial=0.0)), float(navs[-1]), own_peak, books.guard_peak)
    if not peak > 0:
        return None
    return Value(int(times[-1]), float(navs[-1]), peak, times, navs, books.posture.epoch_ms)


def _own(books: Books, mark: EquityMark | None) -> tuple[int, float] | None:
    """Return the guard's own last mark, of this run or of an earlier one, and the NAV at it."""
    if mark is not None and mark.at_ms >= books.posture.epoch_ms:
        return mark.at_ms, mark.nav
    return None if books.guard_mark_ms is None else (books.guard_mark_ms, books.guard_nav)


def guard_facts(books: Books | None, value: Value | None, watch: Watch) -> dict[str, Fact]:
    """Return every fact that the guard posts at a moment, by name, beside what the ledger's last facts hold.

    Args:
        books: the ledger's; None: no rollout, or never read.
        value: of a unit; None: unknown.
        watch: what the guard sees.
    """
    posted: Facts = {} if books is None else books.posted
    facts = [*_of_equity(value, watch.now_ms), *_of_halt(books, watch), *_of_positions(watch), *_of_books(books, watch)]
    return {**posted, **{fact.name: fact for fact in facts}}


def _of_equity(value: Value | None, now_ms: int) -> Iterable[Fact]:
    if value is None:
        yield from (Fact(name, None, MISSING, now_ms) for name in ("drawdown", "return_window", "return_1d"))
        yield Fact("equity_age", None, MISSING, now_ms)
        return
    at_ms = value.at_ms
    yield Fact("drawdown", min(value.drawdown * PERCENT, ALL), OK, at_ms)
    month = window_return(value.mark_ms, value.navs, at_ms, days=RETURN_DAYS, shorter=True)
    yield _percent("return_window", month, at_ms)
    yield _day(value)
    yield Fact("equity_age", max(0, now_ms - at_ms) / MINUTE_MS, OK, now_ms)


def _day(value: Value) -> Fact:
    """Return the day's: against the NAV at 00:00 UTC."""
    midnight_ms = day_start(value.at_ms)
    if value.epoch_ms > midnight_ms:
        return Fact("return_1d", None, YOUNG, value.at_ms)
    base = int(np.searchsorted(value.mark_ms, midnight_ms, side="right")) - 1
    before = float(value.navs[base]) if base >= 0 and midnight_ms - value.mark_ms[base] < HOUR_MS else 0.0
    if not before > 0:
        return Fact("return_1d", None, MISSING, value.at_ms)
    return Fact("return_1d", max((value.nav / before - 1.0) * PERCENT, -ALL), OK, value.at_ms)


def _percent(name: str, metric: Metric, at_ms: int) -> Fact:
    if metric.value is None:
        return Fact(name, None, metric.status, at_ms)
    return Fact(name, max(metric.value * PERCENT, -ALL), OK, at_ms)


def _of_halt(books: Books | None, watch: Watch) -> Iterable[Fact]:
    if books is None:  # nothing was launched here, so nobody can have halted it
        yield Fact("kill_switch", None, MISSING, watch.now_ms)
        return
    pulled = not watch.permitted and not books.answered and not books.held
    yield Fact("kill_switch", pulled, OK, watch.now_ms)


def _of_positions(watch: Watch) -> Iterable[Fact]:
    reading = watch.reading
    if reading is None:
        yield from (Fact(name, None, MISSING, watch.now_ms) for name in ("liquidation_distance", "gap_loss"))
        return
    distances = [
        abs(mark - each.liquidation_price) / mark
        for symbol, each in reading.positions.items()
        if each.liquidation_price is not None and (mark := watch.prices.get(symbol, each.mark_price)) > 0
    ]
    if distances:
        yield Fact("liquidation_distance", float(min(distances)) * PERCENT, OK, reading.at_ms)
    else:  # nothing that could be liquidated
        yield Fact("liquidation_distance", None, MISSING, reading.at_ms)
    if watch.mark is None or watch.mark.equity_usd <= 0:
        yield Fact("gap_loss", None, MISSING, reading.at_ms)
    else:
        yield Fact("gap_loss", watch.mark.gross_usd * GAP / watch.mark.equity_usd * PERCENT, OK, watch.mark.at_ms)


def _of_books(books: Books | None, watch: Watch) -> Iterable[Fact]:
    now_ms = watch.now_ms
    yield Fact("api_issues_24h", watch.outages, OK, now_ms)
    since_ms = now_ms - DAY_MS if books is None else max(books.posture.epoch_ms, now_ms - DAY_MS)
    forced = [*watch.forced, *(() if books is None else books.forced)]
    yield Fact("liquidations_24h", _distinct(each for each in forced if since_ms < each[1] <= now_ms), OK, now_ms)
    if books is not None:
        drag = books.cost_drag
        value = None if drag.value is None else max(drag.value, 0.0) * PERCENT
        yield Fact("cost_drag", value, drag.status, now_ms)


def _distinct(forced: Iterable[tuple[str, int]]) -> int:
    """Count what was closed by force: stream, history and ledger may all tell of the same."""
    count = 0
    last: dict[str, int] = {}
    for symbol, at_ms in sorted(forced, key=lambda each: each[1]):
        count += symbol not in last or at_ms - last[symbol] > SAME_MS
        last[symbol] = at_ms
    return count
