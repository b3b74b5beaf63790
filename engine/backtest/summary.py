"""What a backtest comes to, as plain numbers that print and serialise."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import DAY_MS, iso
from engine.metrics import (
    cagr,
    daily_closes,
    max_drawdown,
    sharpe,
    sharpe_interval,
    sortino,
    volatility,
)

if TYPE_CHECKING:
    from engine.backtest.run import BacktestResult
    from strategies.bars import FloatArray

DAYS_A_YEAR = 365

_OPENING = ("entry", "flip")


@dataclass(frozen=True)
class SleeveSummary:
    """One symbol's part; all of the same units as `BacktestSummary`.

    Attributes:
        weight: share of the equity.
        pnl_usd: net of fees, slippage and funding.
        return_ratio: `pnl_usd` on the initial equity: the sleeves' sum is the portfolio's.
        exposure_ratio: mean of |notional| / equity over all hours.
        time_in_market_ratio: hours with a position.
        turnover_per_year: traded notional / mean equity a year.
        orders: executions.
        trades: positions opened, flips included.
        stops: trades that a stop closed.
        time_stops: trades that the time stop closed.
        fees_usd: paid.
        slippage_usd: paid.
        funding_usd: paid (+) or received (−).
        assumed_settlements: settlements that the record lacks, charged at the default rate.
        estimated_settlements: settlements at a last price, for want of a mark price.
        first_decision_at: ISO time of the first fill that a decision could have had; None: the warm-up never ended.
    """

    weight: float
    pnl_usd: float
    return_ratio: float
    exposure_ratio: float
    time_in_market_ratio: float
    turnover_per_year: float
    orders: int
    trades: int
    stops: int
    time_stops: int
    fees_usd: float
    slippage_usd: float
    funding_usd: float
    assumed_settlements: int
    estimated_settlements: int
    first_decision_at: str | None


@dataclass(frozen=True)
class BacktestSummary:
    """The whole run.

    Attributes:
        start_at: ISO time of the first hour's open.
        end_at: ISO time of the last hour's close.
        days: length of the period, gaps included.
        initial_equity_usd: at the start.
        final_equity_usd: at the end, open positions marked.
        return_ratio: final / initial − 1.
        cagr_ratio: of the daily returns; None without a complete day.
        volatility_ratio: of the daily returns, √365, ddof 1; None below two of them.
        sharpe: the same; None where the returns are flat.
        sharpe_low: the lower end of its 95 % confidence interval (Lo 2002).
        sharpe_high: the upper end.
        sortino: the same convention; None without a losing day.
        max_drawdown_ratio: of the hourly marks, the start included.
        turnover_per_year: traded notional / mean equity a year.
        exposure_ratio: mean of gross notional / equity.
        max_exposure_ratio: largest gross notional / equity at a close (A62).
        orders: executions.
        orders_per_year: the same a year.
        trades: positions opened, flips included.
        fees_usd: paid.
        slippage_usd: paid.
        funding_usd: paid (+) or received (−).
        cost_per_year_ratio: fees, slippage and funding / mean equity a year.
        assumed_settlements: settlements that the record lacks, charged at the default rate.
        estimated_settlements: settlements at a last price, for want of a mark price.
        estimated_marks: closes of open positions valued at a last price, symbol by symbol.
        skipped_orders: refused by the venue's minimum.
        sleeves: symbol -> its part.
    """

    start_at: str
    end_at: str
    days: float
    initial_equity_usd: float
    final_equity_usd: float
    return_ratio: float
    cagr_ratio: float | None
    volatility_ratio: float | None
    sharpe: float | None
    sharpe_low: float | None
    sharpe_high: float | None
    sortino: float | None
    max_drawdown_ratio: float
    turnover_per_year: float
    exposure_ratio: float
    max_exposure_ratio: float
    orders: int
    orders_per_year: float
    trades: int
    fees_usd: float
    slippage_usd: float
    funding_usd: float
    cost_per_year_ratio: float
    assumed_settlements: int
    estimated_settlements: int
    estimated_marks: int
    skipped_orders: int
    sleeves: dict[str, SleeveSummary]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def daily_returns(result: BacktestResult) -> FloatArray:
    """Return the returns of the complete UTC days, float64 (n_days,); the first is that of the first complete day.

    A day whose closing hour has no bar of any symbol has no return, and neither has the day after it.
    """
    history = result.history
    times = np.concatenate([[result.start_ms], history.at_ms])
    navs = np.concatenate([[1.0], history.nav])
    found = daily_closes(times, navs, result.end_ms).returns()
    return found[~np.isnan(found)]


def summary(result: BacktestResult) -> BacktestSummary:
    """Return what a run comes to."""
    history, initial = result.history, result.initial_equity_usd
    years = (result.end_ms - result.start_ms) / (DAYS_A_YEAR * DAY_MS)
    mean_equity = float(history.equity_usd.mean())
    gross_ratio = history.gross_usd / history.equity_usd
    sleeves = _sleeves(result, mean_equity * years)
    paid = [sum(getattr(sleeve, name) for sleeve in sleeves.values()) for name in _COSTS]
    returns = daily_returns(result)
    ratio = sharpe(returns)
    low, high = (None if ratio is None else sharpe_interval(ratio, len(returns))) or (None, None)
    final = float(history.equity_usd[-1])
    orders = sum(sleeve.orders for sleeve in sleeves.values())
    return BacktestSummary(
        start_at=iso(result.start_ms),
        end_at=iso(result.end_ms),
        days=(result.end_ms - result.start_ms) / DAY_MS,
        initial_equity_usd=initial,
        final_equity_usd=final,
        return_ratio=final / initial - 1.0,
        cagr_ratio=cagr(returns),
        volatility_ratio=volatility(returns),
        sharpe=ratio,
        sharpe_low=low,
        sharpe_high=high,
        sortino=sortino(returns),
        max_drawdown_ratio=max_drawdown(history.at_ms, history.nav, result.end_ms, start=1.0).value or 0.0,
        turnover_per_year=sum(sleeve.turnover_per_year for sleeve in sleeves.values()),
        exposure_ratio=float(gross_ratio.mean()),
        max_exposure_ratio=float(gross_ratio.max()),
        orders=orders,
        orders_per_year=orders / years,
        trades=sum(sleeve.trades for sleeve in sleeves.values()),
        fees_usd=paid[0],
        slippage_usd=paid[1],
        funding_usd=paid[2],
        cost_per_year_ratio=sum(paid) / (mean_equity * years),
        assumed_settlements=sum(sleeve.assumed_settlements for sleeve in sleeves.values()),
        estimated_settlements=sum(sleeve.estimated_settlements for sleeve in sleeves.values()),
        estimated_marks=int(history.estimated.sum()),
        skipped_orders=len(result.simulation.skips),
        sleeves=sleeves,
    )


_COSTS = ("fees_usd", "slippage_usd", "funding_usd")


def _sleeves(result: BacktestResult, equity_years: float) -> dict[str, SleeveSummary]:
    """Return each symbol's part; `equity_years` is mean equity × years."""
    history = result.history
    totals = result.simulation.totals()
    first = result.simulation.first_decisions_ms()
    found: dict[str, SleeveSummary] = {}
    for column, symbol in enumerate(history.symbols):
        kept, qty = totals[symbol], history.qty[:, column]
        pnl = float(history.pnl_usd[-1, column])
        at_ms = first[symbol]
        found[symbol] = SleeveSummary(
            weight=result.weights[symbol],
            pnl_usd=pnl,
            return_ratio=pnl / result.initial_equity_usd,
            exposure_ratio=float((np.abs(qty) * history.mark[:, column] / history.equity_usd).mean()),
            time_in_market_ratio=float((qty != 0.0).mean()),
            turnover_per_year=kept.notional_usd / equity_years,
            orders=sum(kept.orders.values()),
            trades=sum(kept.orders.get(reason, 0) for reason in _OPENING),
            stops=kept.orders.get("stop", 0),
            time_stops=kept.orders.get("time_stop", 0),
            fees_usd=kept.fees_usd,
            slippage_usd=kept.slippage_usd,
            funding_usd=kept.funding_usd,
            assumed_settlements=kept.assumed_settlements,
            estimated_settlements=kept.estimated_settlements,
            first_decision_at=None if at_ms is None else iso(at_ms),
        )
    return found
