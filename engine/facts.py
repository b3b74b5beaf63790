"""Metrics and operations become facts: a value, a status and an age for every name the policies may read.

The facts of a moment depend on the accounts' books and the posture in force, on nothing else. Windows of complete days
(Sharpe ratio, sleeves, costs) are as of the last day's end; drawdown and returns are as of the last mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.clock import DAY_MS, MINUTE_MS, day_start
from engine.metrics import (
    Daily,
    Metric,
    daily_closes,
    drawdown,
    events_within,
    funding_drag,
    funding_drift,
    lowest_window_return,
    max_drawdown,
    rolling_sharpe,
    sleeve_contribution,
    slippage,
    window_return,
)
from engine.metrics.sleeves import CONTRIBUTION_DAYS
from engine.policy.facts import MISSING, OK, Fact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.book import AccountBook
    from strategies.bars import FloatArray, IntArray

PERCENT = 100.0
WITHIN, BREACH = "WITHIN", "BREACH"  # the outcomes of the review policy, which are the words of the fact `review`
SHARPE_DAYS = 20  # the definition of the fact sharpe_20d
WINDOW_DAYS = 30  # … of return_30d, max_drawdown_30d, and of everything that looks at a month
_RETURNS = ("return_30d", "return_30d_low", "return_window")


@dataclass(frozen=True)
class Assumptions:
    """What costs are measured against: the frozen configuration's."""

    slippage_bps: float
    default_rate_8h: float


@dataclass(frozen=True)
class GuardWord:
    """The risk guard's latest decision that still holds.

    Attributes:
        outcome: of its policy.
        at_ms: when it was last renewed.
        epoch_ms: of the drawdown that it was about: a word about the time before a restart says nothing of the new one.
        entries_blocked: nothing may be opened or increased.
        closes: everything must be closed.
        decision_id: of the decision.
    """

    outcome: str
    at_ms: int
    epoch_ms: int
    entries_blocked: bool
    closes: bool
    decision_id: str


@dataclass(frozen=True)
class Standing:
    """What is known of the rollout at a moment, beside the accounts.

    Attributes:
        stage: 0 to 3.
        exposure: the multiplier in force.
        epoch_ms: since when drawdown and returns count (A05).
        launched_ms: when the ledger began; an `epoch_ms` after it is a restart.
        flat: paused or without capital, so that the account says nothing of the strategy (A65).
        flattened_ms: when the book was flattened, every time.
        review: WITHIN or BREACH, as `engine.inquiry.review_at` tells; None: none was held (A99).
        guard: what the risk guard says; None: it says nothing, or nothing that still holds.
    """

    stage: int
    exposure: float
    epoch_ms: int
    launched_ms: int
    flat: bool
    flattened_ms: tuple[int, ...] = ()
    review: str | None = None
    guard: GuardWord | None = None


class FactSource:
    """Computes the facts of a moment; keeps those of the last complete day, which do not change within one.

    Args:
        risk: the account with the policy in the loop.
        shadow: the paper account at exposure 1 under no policy: what the strategy does while the desk is flat, and
            until a restarted account's own window has filled (A16, A65).
        assumptions: what costs are measured against.
    """

    def __init__(self, risk: AccountBook, shadow: AccountBook, assumptions: Assumptions) -> None:
        self._risk = risk
        self._shadow = shadow
        self._assumptions = assumptions
        self._daily: tuple[tuple[int, int, bool], tuple[Fact, ...]] | None = None

    def at(self, now_ms: int, standing: Standing) -> dict[str, Fact]:
        """Return every fact at `now_ms`, by name."""
        day_ms = day_start(now_ms)
        key = (day_ms, standing.epoch_ms, standing.flat)
        if self._daily is None or self._daily[0] != key:
            self._daily = (key, tuple(self._daily_facts(day_ms, standing)))
        facts = (*self._daily[1], *self._marked_facts(now_ms, standing), *_operations(now_ms, standing))
        return {fact.name: fact for fact in facts}

    def _daily_facts(self, day_ms: int, standing: Standing) -> Iterable[Fact]:
        yield _fact("sharpe_20d", self._sharpe(day_ms, standing), day_ms)
        yield from self._sleeves(day_ms, standing)
        month_ms = day_ms - WINDOW_DAYS * DAY_MS
        fills, payments = self._risk.fills_since(month_ms), self._risk.funding_since(month_ms)
        costs = slippage(fills, day_ms, assumed_bps=self._assumptions.slippage_bps)
        yield _fact("slippage_ratio", costs.ratio, day_ms)
        yield Fact("parent_orders", costs.parent_orders, OK, day_ms)
        equity = _days(self._risk, self._risk.equity_usd, standing.epoch_ms, day_ms)
        yield _fact("funding_drag", funding_drag(payments, equity, day_ms), day_ms, scale=PERCENT)
        drift = funding_drift(payments, day_ms, default_rate_8h=self._assumptions.default_rate_8h)
        yield _fact("funding_drift", drift, day_ms)

    def _sharpe(self, day_ms: int, standing: Standing) -> Metric:
        book, since_ms = self._strategy_account(standing, day_ms, SHARPE_DAYS)
        return rolling_sharpe(_days(book, book.nav, since_ms, day_ms), SHARPE_DAYS)

    def _sleeves(self, day_ms: int, standing: Standing) -> Iterable[Fact]:
        book, since_ms = self._strategy_account(standing, day_ms, CONTRIBUTION_DAYS)
        flow_ms = np.array([flow.at_ms for flow in book.flows], dtype=np.int64)
        flow_usd = np.array([flow.amount_usd for flow in book.flows])
        equity = _days(book, book.equity_usd, since_ms, day_ms)
        sleeves = [
            sleeve_contribution(_days(book, book.pnl_usd(symbol), since_ms, day_ms), equity, flow_ms, flow_usd)
            for symbol in book.symbols
        ]
        values = [sleeve.value for sleeve in sleeves if sleeve.value is not None]
        if len(values) < len(sleeves):
            worst = next(sleeve for sleeve in sleeves if sleeve.value is None)
            yield _fact("negative_sleeves", worst, day_ms)
            yield _fact("worst_sleeve_14d", worst, day_ms)
            return
        yield Fact("negative_sleeves", sum(value < 0 for value in values), OK, day_ms)
        yield Fact("worst_sleeve_14d", min(values) * PERCENT, OK, day_ms)

    def _strategy_account(self, standing: Standing, day_ms: int, days: int) -> tuple[AccountBook, int]:
        """Return the account that speaks for the strategy, and since when: the shadow while flat or just restarted.

        A restarted account speaks for itself once so many whole days of its own are over.
        """
        restarted = standing.epoch_ms > standing.launched_ms
        first_day_ms = day_start(standing.epoch_ms - 1) + DAY_MS
        filled = day_ms - first_day_ms >= days * DAY_MS
        if standing.flat or (restarted and not filled):
            return self._shadow, standing.launched_ms
        return self._risk, standing.epoch_ms

    def _marked_facts(self, now_ms: int, standing: Standing) -> Iterable[Fact]:
        at_ms, nav = _since(self._risk, self._risk.nav, standing.epoch_ms)
        seen = int(np.searchsorted(at_ms, now_ms, side="right"))
        if seen == 0:
            for name in ("drawdown", "max_drawdown_30d", *_RETURNS, "equity_age"):
                yield Fact(name, None, MISSING, now_ms)
            return
        mark_ms = int(at_ms[seen - 1])
        start = float(nav[0])
        month_ms = mark_ms - WINDOW_DAYS * DAY_MS
        yield _fact("drawdown", drawdown(at_ms, nav, mark_ms, start=start), mark_ms, scale=PERCENT)
        deepest = max_drawdown(at_ms, nav, mark_ms, start=start, since_ms=month_ms)
        yield _fact("max_drawdown_30d", deepest, mark_ms, scale=PERCENT)
        yield _fact("return_30d", window_return(at_ms, nav, mark_ms, days=WINDOW_DAYS), mark_ms, scale=PERCENT)
        lowest = lowest_window_return(at_ms, nav, mark_ms, days=WINDOW_DAYS)
        yield _fact("return_30d_low", lowest, mark_ms, scale=PERCENT)
        window = window_return(at_ms, nav, mark_ms, days=WINDOW_DAYS, shorter=True)
        yield _fact("return_window", window, mark_ms, scale=PERCENT)
        yield Fact("equity_age", (now_ms - mark_ms) / MINUTE_MS, OK, now_ms)


def _operations(now_ms: int, standing: Standing) -> Iterable[Fact]:
    yield Fact("stage", standing.stage, OK, now_ms)
    yield Fact("exposure", standing.exposure, OK, now_ms)
    yield Fact("flatten_events_30d", events_within(standing.flattened_ms, now_ms), OK, now_ms)
    yield Fact("review", standing.review, OK if standing.review else MISSING, now_ms)
    if standing.guard is None or standing.guard.epoch_ms != standing.epoch_ms:
        # no guard watches a rehearsal; the hard stops of the policy do
        yield Fact("risk_guard", None, MISSING, now_ms)
    else:
        yield Fact("risk_guard", standing.guard.outcome, OK, min(standing.guard.at_ms, now_ms))


def _fact(name: str, metric: Metric, as_of_ms: int, *, scale: float = 1.0) -> Fact:
    if metric.value is None:
        return Fact(name, None, metric.status, as_of_ms)
    return Fact(name, metric.value * scale, OK, as_of_ms)


def _since(book: AccountBook, values: FloatArray, since_ms: int) -> tuple[IntArray, FloatArray]:
    first = int(np.searchsorted(book.at_ms, since_ms, side="left"))
    return book.at_ms[first:], values[first:]


def _days(book: AccountBook, values: FloatArray, since_ms: int, day_ms: int) -> Daily:
    return daily_closes(*_since(book, values, since_ms), day_ms)
