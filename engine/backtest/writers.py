"""A backtest as files: trades, equity, signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.clock import iso
from engine.errors import DataError, Problem
from engine.metrics import drawdown_series

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.backtest.run import BacktestResult

TRADE_COLUMNS = (
    "time",
    "symbol",
    "side",
    "qty",
    "price",
    "ref_price",
    "ref_kind",
    "fee_usd",
    "slippage_usd",
    "reason",
    "qty_after",
)


def trade_lines(result: BacktestResult) -> Iterable[str]:
    """Yield the lines of the trades file, header first: one an execution, oldest first.

    ``time`` is the open that it filled at; a stop bears the last millisecond of the bar that reached it.
    """
    yield ",".join(TRADE_COLUMNS)
    for fill in result.fills:
        yield (
            f"{iso(fill.at_ms)},{fill.symbol},{'buy' if fill.side > 0 else 'sell'},{fill.qty:.12g},{fill.price:.12g},"
            f"{fill.ref_price:.12g},{fill.ref_kind},{fill.fee_usd:.12g},{fill.slippage_usd:.12g},{fill.reason},"
            f"{fill.qty_after:.12g}"
        )


def equity_lines(result: BacktestResult) -> Iterable[str]:
    """Yield the lines of the equity file, header first: one an hour, ``time`` is its close.

    Equity, NAV a unit, drawdown and gross notional, then of each symbol what its strategy decided at this close
    (empty: no signal), the quantity held, the price it is valued at and its cumulative profit.
    """
    history = result.history
    head = ["time", "equity_usd", "nav", "drawdown", "gross_usd"]
    columns = [history.equity_usd, history.nav, drawdown_series(history.nav, start=1.0), history.gross_usd]
    for column, symbol in enumerate(history.symbols):
        head += [f"{symbol}_{name}" for name in ("position", "qty", "mark", "pnl_usd")]
        columns += [table[:, column] for table in (history.position, history.qty, history.mark, history.pnl_usd)]
    yield ",".join(head)
    times = np.datetime_as_string(history.at_ms.astype("datetime64[ms]").astype("datetime64[s]"), timezone="UTC")
    for time, row in zip(times.tolist(), np.column_stack(columns).tolist(), strict=True):
        yield time + "".join("," if value != value else f",{value:.12g}" for value in row)  # noqa: PLR0124 - NaN


def write_trades_csv(result: BacktestResult, path: Path) -> None:
    """Write every execution to `path`; raises DataError where it cannot be written."""
    write_lines(trade_lines(result), path)


def write_equity_csv(result: BacktestResult, path: Path) -> None:
    """Write every hour's close to `path`; raises DataError where it cannot be written."""
    write_lines(equity_lines(result), path)


def write_signals_csv(rows: Iterable[str], path: Path) -> None:
    """Write the rows of `signals_rows` to `path`; raises DataError where it cannot be written."""
    write_lines(rows, path)


def write_lines(lines: Iterable[str], path: Path) -> None:
    """Write text lines, the folder too where it is missing.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as failure:
        raise DataError(Problem("unwritable", str(path), f"cannot be written: {failure.strerror}")) from None
