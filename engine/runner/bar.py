"""What a bar's work came to, as values for JSON and for people: each sleeve's signal, target, order and stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.clock import HOUR_MS
from engine.execution.course import ParentStatus
from engine.portfolio import Bounds, sized_on
from strategies.indicators import wilder_atr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.config import FrozenConfig
    from engine.config.model import StrategyChoice
    from engine.execution.executor import ParentResult
    from engine.live.desk import Desk
    from engine.live.desk_parts import BarReport
    from engine.live.signals import Reading
    from strategies.bars import Bars

STOP_DISTANCE, STOP_ATR = "stop_loss_atr", "atr_period"
"""The parameters of a strategy that has a stop: how many times the average true range, of how many bars."""


@dataclass(frozen=True)
class StopLevel:
    """Where a sleeve's stop is, or will be.

    Attributes:
        atr_multiple: of the average true range of the signal bar; None: the strategy has no stop, by configuration.
        distance_usd: from the entry fill, at the last bar's range; None where that is unknown.
        price_usd: the trigger that is live now; None where there is none.
    """

    atr_multiple: float | None
    distance_usd: float | None
    price_usd: float | None

    def __str__(self) -> str:
        if self.atr_multiple is None:
            return "none by config"
        rule = f"fill ∓ {self.atr_multiple:g}·ATR"
        if self.price_usd is not None:
            return f"{self.price_usd:,.2f} = {rule}"
        return rule if self.distance_usd is None else f"{rule} = fill ∓ {self.distance_usd:,.2f}"


@dataclass(frozen=True)
class SleeveView:
    """One symbol at a close.

    Attributes:
        symbol: the venue's name.
        position: the strategy's, in [-1, 1]; None: no signal.
        target_usd: signed, as sized now; None where it is unknown.
        held_qty: signed, base asset, before the orders.
        order: in words; empty where none was planned.
        status: what became of it; empty where none was sent.
        not_sent: what was not sent and why, each in words.
        stop: its stop.
    """

    symbol: str
    position: float | None
    target_usd: float | None
    held_qty: float
    order: str
    status: str
    not_sent: tuple[str, ...]
    stop: StopLevel


@dataclass(frozen=True)
class BarView:
    """One bar's work.

    Attributes:
        close_ms: of the bar.
        outcome: of the action policy; empty before its first verdict.
        verdict_id: of that verdict.
        equity_usd: at risk.
        exposure: in force, as are `cap_usd` and `entries_allowed`.
        halted: nothing may add risk.
        sleeves: in the order of the configuration.
        protection: how each stop stands at the venue, in words.
        unheard: what the venue did not answer.
    """

    close_ms: int
    outcome: str
    verdict_id: str
    equity_usd: float
    exposure: float
    cap_usd: float
    entries_allowed: bool
    halted: bool
    sleeves: tuple[SleeveView, ...]
    protection: tuple[str, ...]
    unheard: tuple[str, ...]

    @property
    def without_signal(self) -> tuple[str, ...]:
        """The symbols that gave no target (R051)."""
        return tuple(one.symbol for one in self.sleeves if one.position is None)

    @property
    def all_zero(self) -> bool:
        """Whether every symbol wants nothing (R052)."""
        return all(one.position == 0.0 for one in self.sleeves)


def bar_view(
    report: BarReport, desk: Desk, config: FrozenConfig, held: Mapping[str, float], *, halted: bool
) -> BarView:
    """Return what a bar's work came to.

    Args:
        report: of the bar.
        desk: that did it.
        config: its strategies.
        held: what was held before its orders.
        halted: whether nothing may add risk.
    """
    posture, governor = desk.governor.posture, desk.governor
    bounds = Bounds(posture.exposure, posture.cap_usd, governor.entries_allowed)
    equity_usd = desk.account.equity_usd
    return BarView(
        close_ms=report.close_ms,
        outcome=report.outcome,
        verdict_id=report.verdict_id,
        equity_usd=equity_usd,
        exposure=posture.exposure,
        cap_usd=posture.cap_usd,
        entries_allowed=governor.entries_allowed,
        halted=halted,
        sleeves=tuple(
            _sleeve(symbol, report, config, desk.tape.bars(symbol), held, sized_on(equity_usd, bounds))
            for symbol in config.market.symbols
        ),
        protection=tuple(f"{one.symbol} {one.status}{f': {one.detail}' * bool(one.detail)}" for one in report.stops),
        unheard=report.unheard,
    )


def stop_level(choice: StrategyChoice, bars: Bars | None, price_usd: float | None) -> StopLevel:
    """Return a sleeve's stop as the configuration has it, and what that comes to on these bars (R053, A93)."""
    multiple = choice.params.get(STOP_DISTANCE)
    if multiple is None:
        return StopLevel(None, None, None)
    atr = math.nan if bars is None or not len(bars) else float(wilder_atr(bars, choice.params[STOP_ATR])[-1])
    return StopLevel(float(multiple), None if math.isnan(atr) else float(multiple) * atr, price_usd)


def _sleeve(
    symbol: str,
    report: BarReport,
    config: FrozenConfig,
    bars: Bars | None,
    held: Mapping[str, float],
    base_usd: float,
) -> SleeveView:
    reading = _fresh(report.readings.get(symbol), report.close_ms)
    position = None if reading is None else reading.position
    planned = next((order for order in report.plan.orders if order.symbol == symbol), None)
    result = next((one for one in report.results if one.order.symbol == symbol), None)
    side = "" if planned is None else "buy" if planned.side > 0 else "sell"
    return SleeveView(
        symbol=symbol,
        position=position,
        target_usd=None if position is None else config.ensemble.fixed_weights[symbol] * position * base_usd,
        held_qty=held.get(symbol, 0.0),
        order="" if planned is None else f"{planned.reason}: {side} {planned.qty:.12g}",
        status="" if result is None else _became(result),
        not_sent=tuple(one.reason for one in report.plan.not_sent if one.symbol == symbol),
        stop=stop_level(config.ensemble.strategies[symbol], bars, None if reading is None else reading.stop_price),
    )


def _became(result: ParentResult) -> str:
    if result.status is ParentStatus.HALTED:
        return result.detail
    return f"{result.status}, {result.detail}" if result.detail else str(result.status)


def _fresh(reading: Reading | None, close_ms: int) -> Reading | None:
    """Return what a sleeve said at this very close; its last word on an older bar is no signal now."""
    return reading if reading is not None and reading.bar_ms + HOUR_MS == close_ms else None
