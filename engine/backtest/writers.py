"""A backtest as files: trades, equity, signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.clock import SECOND_MS, iso
from engine.errors import DataError, Problem
from engine.metrics import drawdown_series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from engine.backtest.run import BacktestResult
    from strategies.bars import IntArray

_TRADE_HEAD = "time,symbol,side,qty,price,ref_price,ref_kind,fee_usd,slippage_usd,reason,qty_after"
_TRADE_ROW = "%s,%s,%s,%.12g,%.12g,%.12g,%s,%.12g,%.12g,%s,%.12g"


def trade_lines(result: BacktestResult) -> Iterable[str]:
    """Yield the lines of the trades file, header first: one an execution, oldest first.

    ``time`` is the open that it filled at; a stop bears the last millisecond of the bar that reached it.
    """
    yield _TRADE_HEAD
    fills = result.fills
    for fill, time in zip(fills, _times([fill.at_ms for fill in fills]), strict=True):
        yield _TRADE_ROW % (
            time,
            fill.symbol,
            "buy" if fill.side > 0 else "sell",
            fill.qty,
            fill.price,
            fill.ref_price,
            fill.ref_kind,
            fill.fee_usd,
            fill.slippage_usd,
            fill.reason,
            fill.qty_after,
        )


def equity_lines(result: BacktestResult) -> Iterable[str]:
    """Yield the lines of the equity file, header first: one an hour, ``time`` is its close.

    Equity, NAV a unit, drawdown and gross notional, then of each symbol what its strategy decided at this close
    (empty: no signal), the quantity held and its cumulative profit.
    """
    history = result.history
    head = ["time", "equity_usd", "nav", "drawdown", "gross_usd"]
    columns = [history.equity_usd, history.nav, drawdown_series(history.nav, start=1.0), history.gross_usd]
    for column, symbol in enumerate(history.symbols):
        head += [f"{symbol}_{name}" for name in ("position", "qty", "pnl_usd")]
        columns += [table[:, column] for table in (history.position, history.qty, history.pnl_usd)]
    yield ",".join(head)
    row = "%s" + ",%.12g" * len(columns)
    for fields in zip(_times(history.at_ms), *(column.tolist() for column in columns), strict=True):
        yield (row % fields).replace("nan", "")


def _times(at_ms: IntArray | Sequence[int]) -> list[str]:
    """Return instants as ISO text, milliseconds only where there are any."""
    times = np.asarray(at_ms, dtype="datetime64[ms]")
    texts: list[str] = np.datetime_as_string(times.astype("datetime64[s]"), timezone="UTC").tolist()
    for index in np.flatnonzero(times.astype(np.int64) % SECOND_MS).tolist():
        texts[index] = iso(int(times[index].astype(np.int64)))
    return texts


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
            file.write("\n".join((*lines, "")))
    except OSError as failure:
        raise DataError(Problem("unwritable", str(path), f"cannot be written: {failure.strerror}")) from None
