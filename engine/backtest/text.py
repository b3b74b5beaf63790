"""A backtest's summary for people: 80 columns, no colour, units with every number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.backtest.report import BacktestReport
    from engine.backtest.summary import BacktestSummary

UNKNOWN = "unknown"


def summary_text(found: BacktestSummary) -> str:
    """Return the summary as lines of text."""
    interval = f" (95 %: {found.sharpe_low:.2f} to {found.sharpe_high:.2f})" if found.sharpe_low is not None else ""
    rows = [
        ("period", f"{found.start_at} to {found.end_at}, {found.days:,.0f} days"),
        ("equity", f"${found.initial_equity_usd:,.2f} -> ${found.final_equity_usd:,.2f}"),
        ("return", f"{_percent(found.return_ratio)}, {_percent(found.cagr_ratio)} a year"),
        ("volatility", f"{_percent(found.volatility_ratio)} a year"),
        ("Sharpe", f"{_number(found.sharpe)}{interval}"),
        ("Sortino", _number(found.sortino)),
        ("max drawdown", _percent(found.max_drawdown_ratio)),
        (
            "exposure",
            f"{_percent(found.exposure_ratio)} of equity on average, {_percent(found.max_exposure_ratio)} at most",
        ),
        ("turnover", f"{found.turnover_per_year:.1f} x equity a year"),
        ("trades", f"{found.trades:,} in {found.orders:,} orders, {found.orders_per_year:,.0f} orders a year"),
        ("costs", f"{_percent(found.cost_per_year_ratio)} of equity a year"),
        ("  fees", f"${found.fees_usd:,.2f}"),
        ("  slippage", f"${found.slippage_usd:,.2f}"),
        ("  funding", f"${found.funding_usd:,.2f} paid, net"),
    ]
    lines = [f"{name:<14}{value}" for name, value in rows]
    lines += [
        "",
        f"{'sleeve':<10}{'weight':>7}{'P&L $':>12}{'return':>9}{'orders':>8}{'trades':>8}{'stops':>7}{'in market':>11}",
    ]
    for symbol, sleeve in found.sleeves.items():
        lines.append(
            f"{symbol:<10}{sleeve.weight:>7.2f}{sleeve.pnl_usd:>12,.2f}{_percent(sleeve.return_ratio):>9}"
            f"{sleeve.orders:>8,}{sleeve.trades:>8,}{sleeve.stops:>7,}{_percent(sleeve.time_in_market_ratio):>11}"
        )
    return "\n".join([*lines, *_remarks(found)])


def _remarks(found: BacktestSummary) -> list[str]:
    """Return what the reader must know about the data behind the numbers."""
    remarks = []
    if found.assumed_settlements:
        remarks.append(
            f"{found.assumed_settlements:,} funding settlements are not on record: charged at the default rate"
        )
    if found.estimated_marks:
        remarks.append(
            f"{found.estimated_marks:,} hourly values of a position use the last price, no mark price is known"
        )
    if found.skipped_orders:
        remarks.append(f"{found.skipped_orders:,} orders were below the venue's minimum and skipped")
    for symbol, sleeve in found.sleeves.items():
        if sleeve.first_decision_at is None:
            remarks.append(f"{symbol} never traded: its warm-up is longer than its data")
        elif sleeve.first_decision_at > found.start_at:
            remarks.append(f"{symbol} could first trade at {sleeve.first_decision_at}, after its warm-up")
    return ["", *(f"note: {remark}" for remark in remarks)] if remarks else []


def _percent(ratio: float | None) -> str:
    return UNKNOWN if ratio is None else f"{100 * ratio:.2f} %"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"


def report_text(report: BacktestReport) -> str:
    """Return the summary and where the files are."""
    return f"{summary_text(report.summary)}\n\nwritten: {report.trades}, {report.equity}, {report.picture}"
