"""A backtest from a request to files: prices, one run, the summary, trades, equity and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.backtest.picture import write_picture
from engine.backtest.run import run_backtest
from engine.backtest.summary import BacktestSummary, summary
from engine.backtest.writers import write_equity_csv, write_trades_csv
from engine.config import load_config, load_filters
from engine.market.imports import open_market
from engine.policy.bundle import load_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class BacktestRequest:
    """What the command line asks for.

    Attributes:
        config: the frozen configuration.
        rules: the bundle; its dead-band and the venue's limits hold here as in paper and live.
        data: a folder of CSV files, or a market store.
        klines: the folder of `data` that holds the prices.
        symbols: None: the configuration's.
        weights: None: the configuration's.
        from_ms: None: the configuration's start.
        to_ms: None: the configuration's end, or that of the data.
        out: the folder of the files.
    """

    config: Path
    rules: Path
    data: Path
    klines: str
    symbols: Sequence[str] | None
    weights: Sequence[float] | None
    from_ms: int | None
    to_ms: int | None
    out: Path


@dataclass(frozen=True)
class BacktestReport:
    """The summary, and where the files are."""

    summary: BacktestSummary
    trades: Path
    equity: Path
    picture: Path


def backtest_report(request: BacktestRequest) -> BacktestReport:
    """Run the backtest and write its files.

    Raises:
        StagegateError: configuration, bundle, prices, symbols or weights are wrong, or a file cannot be written.
    """
    config = load_config(request.config)
    bundle = load_bundle(request.rules)
    market = open_market(request.data, request.symbols or config.market.symbols, klines=request.klines)
    result = run_backtest(
        config,
        market,
        dead_band=bundle.rebalance_dead_band_ratio,
        symbols=request.symbols,
        weights=request.weights,
        start_ms=request.from_ms,
        end_ms=request.to_ms,
        filters=load_filters(bundle.filters.path, config.market.symbols) if bundle.filters else None,
    )
    report = BacktestReport(
        summary(result), request.out / "trades.csv", request.out / "equity.csv", request.out / "equity.svg"
    )
    write_trades_csv(result, report.trades)
    write_equity_csv(result, report.equity)
    write_picture(result, report.picture)
    return report
