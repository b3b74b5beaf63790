"""What the risk equity was, counted again from the venue's fills and income and the market's own mark prices."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from engine.clock import HOUR_MS
from engine.simulator.prices import Tick
from engine.simulator.recorded import RecordedPrices
from tests.execution.faults.evidence import decimal
from tests.execution.faults.hot import START_MS, SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.execution.faults.evidence import Evidence


def equity_usd(evidence: Evidence, at_ms: int, marks: Mapping[str, Decimal] | None = None) -> Decimal:
    """The risk equity just before an instant.

    Args:
        evidence: of the run.
        at_ms: fills, flows and settlements of before it count; without `marks`, a close.
        marks: the mark prices to value what is held with; None: those of the close.
    """
    cash = evidence.ended.capital_usd
    for flow in evidence.tables["cash_flows"]:
        if flow["account"] == "risk" and flow["at_ms"] < at_ms:
            cash += decimal(flow["amount_usd"])
    for income in evidence.account.income:
        if income.kind == "FUNDING_FEE" and income.at_ms - income.at_ms % HOUR_MS < at_ms:
            cash += income.amount_usd
    for fill in evidence.account.fills:
        if fill.at_ms < at_ms:
            cash -= fill.side * fill.qty * fill.price + fill.fee_usd
    for symbol in SYMBOLS:
        held = evidence.held(symbol, at_ms - 1)
        if held:
            cash += held * (marks[symbol] if marks else Decimal(repr(evidence.ended.close_of(symbol, at_ms))))
    return cash


def by_tick(evidence: Evidence, until_ms: int) -> Iterator[tuple[int, Decimal]]:
    """The risk equity after each tick of the mark prices, from the start on."""
    prices = RecordedPrices(evidence.ended.course.market, seed=evidence.ended.course.seed)
    marks = {symbol: Decimal(repr(evidence.ended.close_of(symbol, START_MS))) for symbol in SYMBOLS}
    at_ms: int | None = START_MS
    while at_ms is not None and at_ms <= until_ms:
        marks |= {event.symbol: event.mark for event in prices.at(at_ms) if isinstance(event, Tick)}
        yield at_ms, equity_usd(evidence, at_ms, marks)
        at_ms = prices.next_ms(at_ms)
