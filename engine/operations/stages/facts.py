"""The facts that only the stage policy reads: of the risk account since stage entry, of the tenure, and of papers.

Windows of complete days are as of the last day's end; drawdown, counts and days in the stage are of the moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engine.clock import DAY_MS, day_start
from engine.facts import PERCENT, WINDOW_DAYS
from engine.metrics import daily_closes, max_drawdown, rolling_sharpe, sleeve_contribution, total_costs
from engine.policy.facts import MISSING, OK, Fact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.book import AccountBook
    from engine.bounds import Posture
    from engine.metrics import Metric
    from engine.operations.stages.tenure import Tenure

STAGE_SHARPE_DAYS = 14
"""The definition of the fact sharpe_14d."""

PAPER_STAGE = 0


@dataclass(frozen=True)
class AssumedCosts:
    """What costs are measured against: the frozen configuration's (A36)."""

    fee_bps: float
    slippage_bps: float
    default_rate_8h: float


@dataclass(frozen=True)
class Moment:
    """What is known of a rollout at a moment, beside its accounts.

    Attributes:
        now_ms: the moment.
        posture: the bounds in force.
        tenure: its stages so far.
        flattened_ms: when the book was flattened, every time.
        scaled_down_ms: when a REDUCE began, every time (A55).
    """

    now_ms: int
    posture: Posture
    tenure: Tenure
    flattened_ms: Sequence[int] = ()
    scaled_down_ms: Sequence[int] = ()


class Papers(Protocol):
    """What people and files say: launch, reviews, watcher, evidence, consistency, outages."""

    def facts(self, now_ms: int, stage: int, entered_ms: int) -> Iterable[Fact]:
        """Return the facts at `now_ms` in `stage`, which was entered at `entered_ms`."""
        ...


class StageFacts:
    """Computes the stage policy's facts; keeps those of the last complete day, which do not change within one.

    Args:
        risk: the account with money at risk.
        paper: the account that Stage 0 is judged by; None: no account of this ledger, the evidence file speaks.
        costs: what costs are measured against.
        papers: what people and files say.
    """

    def __init__(self, risk: AccountBook, paper: AccountBook | None, costs: AssumedCosts, papers: Papers) -> None:
        self._risk = risk
        self._paper = paper
        self._costs = costs
        self._papers = papers
        self._daily: tuple[tuple[int, int, int], tuple[Fact, ...]] | None = None

    def at(self, moment: Moment) -> dict[str, Fact]:
        """Return the facts of a moment, by name; what the papers say stands in place of what the books do."""
        day_ms, entered_ms = day_start(moment.now_ms), moment.tenure.entered_ms
        key = (day_ms, entered_ms, moment.posture.epoch_ms)
        if self._daily is None or self._daily[0] != key:
            self._daily = (key, tuple(self._of_days(day_ms, moment)))
        said = self._papers.facts(moment.now_ms, moment.posture.stage, entered_ms)
        return {fact.name: fact for fact in (*self._daily[1], *self._of_now(moment), *said)}

    def _of_days(self, day_ms: int, moment: Moment) -> Iterable[Fact]:
        entered_ms = moment.tenure.entered_ms
        yield _fact("sharpe_14d", _sharpe(self._risk, entered_ms, day_ms, STAGE_SHARPE_DAYS), day_ms)
        if moment.posture.stage == PAPER_STAGE:
            if self._paper is not None:
                yield _fact("sharpe_30d", _sharpe(self._paper, entered_ms, day_ms, WINDOW_DAYS), day_ms)
        else:
            since_ms = moment.posture.epoch_ms
            yield _fact("sharpe_30d", _sharpe(self._risk, since_ms, day_ms, WINDOW_DAYS), day_ms)
        yield self._positive_sleeves(day_ms, moment.posture.epoch_ms)
        month_ms = day_ms - WINDOW_DAYS * DAY_MS
        assumed = self._costs
        costs = total_costs(
            self._risk.fills_since(month_ms),
            self._risk.funding_since(month_ms),
            day_ms,
            fee_bps=assumed.fee_bps,
            slippage_bps=assumed.slippage_bps,
            default_rate_8h=assumed.default_rate_8h,
        )
        yield _fact("cost_ratio", costs.ratio, day_ms)

    def _positive_sleeves(self, day_ms: int, epoch_ms: int) -> Fact:
        """Count the sleeves above zero; an exactly flat one is not positive (A43)."""
        book = self._risk
        flow_ms = np.array([flow.at_ms for flow in book.flows], dtype=np.int64)
        flow_usd = np.array([flow.amount_usd for flow in book.flows])
        first = int(np.searchsorted(book.at_ms, epoch_ms, side="left"))
        at_ms = book.at_ms[first:]
        equity = daily_closes(at_ms, book.equity_usd[first:], day_ms)
        values = []
        for symbol in book.symbols:
            pnl = daily_closes(at_ms, book.pnl_usd(symbol)[first:], day_ms)
            sleeve = sleeve_contribution(pnl, equity, flow_ms, flow_usd)
            if sleeve.value is None:
                return _fact("positive_sleeves", sleeve, day_ms)
            values.append(sleeve.value)
        return Fact("positive_sleeves", sum(value > 0 for value in values), OK, day_ms)

    def _of_now(self, moment: Moment) -> Iterable[Fact]:
        now_ms, tenure, posture = moment.now_ms, moment.tenure, moment.posture
        entered_ms = tenure.entered_ms
        yield Fact("stage", posture.stage, OK, now_ms)
        yield Fact("exposure", posture.exposure, OK, now_ms)
        yield Fact("days_in_stage", tenure.days_in_stage(now_ms), OK, now_ms)
        yield Fact("live_days", tenure.live_days(now_ms), OK, now_ms)
        flattened = sum(entered_ms < at_ms <= now_ms for at_ms in moment.flattened_ms)
        yield Fact("flatten_events_stage", flattened, OK, now_ms)
        month_ms = max(entered_ms, now_ms - WINDOW_DAYS * DAY_MS)
        scaled_down = sum(month_ms <= at_ms <= now_ms for at_ms in moment.scaled_down_ms)
        yield Fact("scale_downs_30d", scaled_down, OK, now_ms)
        yield self._deepest("max_drawdown_stage", self._risk, posture.epoch_ms, entered_ms, now_ms)
        if posture.stage == PAPER_STAGE and self._paper is not None:
            month_ms = now_ms - WINDOW_DAYS * DAY_MS
            yield self._deepest("max_drawdown_30d", self._paper, entered_ms, max(entered_ms, month_ms), now_ms)

    def _deepest(self, name: str, book: AccountBook, epoch_ms: int, since_ms: int, now_ms: int) -> Fact:
        """Return the largest drawdown at the marks since `since_ms`; its peak runs since `epoch_ms` (A04)."""
        first = int(np.searchsorted(book.at_ms, epoch_ms, side="left"))
        at_ms, nav = book.at_ms[first:], book.nav[first:]
        seen = int(np.searchsorted(at_ms, now_ms, side="right"))
        if not seen:
            return Fact(name, None, MISSING, now_ms)
        deepest = max_drawdown(at_ms, nav, now_ms, start=float(nav[0]), since_ms=since_ms)
        return _fact(name, deepest, int(at_ms[seen - 1]), scale=PERCENT)


def _sharpe(book: AccountBook, since_ms: int, day_ms: int, days: int) -> Metric:
    first = int(np.searchsorted(book.at_ms, since_ms, side="left"))
    return rolling_sharpe(daily_closes(book.at_ms[first:], book.nav[first:], day_ms), days)


def _fact(name: str, metric: Metric, as_of_ms: int, *, scale: float = 1.0) -> Fact:
    if metric.value is None:
        return Fact(name, None, metric.status, as_of_ms)
    return Fact(name, metric.value * scale, OK, as_of_ms)
