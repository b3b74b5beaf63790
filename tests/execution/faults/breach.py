"""When a drawdown crossed the hard stop, tick by tick, from the venue's books and the market's own marks."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.clock import HOUR_MS
from engine.simulator.prices import Tick
from engine.simulator.recorded import RecordedPrices
from tests.execution.faults.evidence import ZERO, decimal
from tests.execution.faults.hot import START_MS, SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.execution.faults.evidence import Evidence

HARD_STOP = Decimal("0.12")


def equities(evidence: Evidence, until_ms: int) -> Iterator[tuple[int, Decimal]]:
    """The risk equity after each tick of the mark prices, the fills of before the tick in it."""
    prices = RecordedPrices(evidence.ended.course.market, seed=evidence.ended.course.seed)
    marks = {symbol: Decimal(repr(evidence.ended.close_of(symbol, START_MS))) for symbol in SYMBOLS}
    at_ms: int | None = START_MS
    while at_ms is not None and at_ms <= until_ms:
        for event in prices.at(at_ms):
            if isinstance(event, Tick):
                marks[event.symbol] = event.mark
        yield at_ms, _equity_usd(evidence, marks, at_ms)
        at_ms = prices.next_ms(at_ms)


def _equity_usd(evidence: Evidence, marks: dict[str, Decimal], at_ms: int) -> Decimal:
    cash = evidence.ended.capital_usd
    cash += sum((decimal(row["amount_usd"]) for row in _flows(evidence) if row["at_ms"] < at_ms), ZERO)
    for income in evidence.account.income:
        if income.kind == "FUNDING_FEE" and income.at_ms - income.at_ms % HOUR_MS < at_ms:
            cash += income.amount_usd
    for fill in evidence.account.fills:
        if fill.at_ms < at_ms:
            cash -= fill.side * fill.qty * fill.price + fill.fee_usd
    return cash + sum((evidence.held(symbol, at_ms - 1) * marks[symbol] for symbol in SYMBOLS), ZERO)


def _flows(evidence: Evidence) -> list[dict[str, Any]]:
    return [row for row in evidence.tables["cash_flows"] if row["account"] == "risk"]


def first_breach_ms(evidence: Evidence, until_ms: int) -> int | None:
    """The first tick at which the drawdown is beyond the hard stop; None: none is. Before any restart's flow."""
    peak = evidence.ended.capital_usd
    flows = _flows(evidence)
    until_ms = min([until_ms, *(int(row["at_ms"]) for row in flows)])
    for at_ms, equity in equities(evidence, until_ms):
        peak = max(peak, equity)
        if equity < peak * (1 - HARD_STOP):
            return at_ms
    return None
