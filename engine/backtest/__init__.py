"""Bars and configuration to trades, equity and sleeves; the same simulation runs the rehearsal, policy in the loop."""

from __future__ import annotations

from engine.backtest.picture import write_picture
from engine.backtest.records import Fill, FundingPayment, History, Restart, Skip
from engine.backtest.run import BacktestResult, run_backtest
from engine.backtest.signals import signals_rows
from engine.backtest.simulation import UNBOUND, WARMUP_BARS, Simulation
from engine.backtest.summary import BacktestSummary, SleeveSummary, daily_returns, summary
from engine.backtest.text import summary_text
from engine.backtest.writers import write_equity_csv, write_lines, write_signals_csv, write_trades_csv
from engine.portfolio import Bounds

__all__ = [
    "UNBOUND",
    "WARMUP_BARS",
    "BacktestResult",
    "BacktestSummary",
    "Bounds",
    "Fill",
    "FundingPayment",
    "History",
    "Restart",
    "Simulation",
    "Skip",
    "SleeveSummary",
    "daily_returns",
    "run_backtest",
    "signals_rows",
    "summary",
    "summary_text",
    "write_equity_csv",
    "write_lines",
    "write_picture",
    "write_signals_csv",
    "write_trades_csv",
]
