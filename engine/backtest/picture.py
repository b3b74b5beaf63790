"""A backtest as one picture: equity, drawdown, and what each sleeve earned. Matplotlib is imported when it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.errors import DataError, Problem
from engine.metrics import drawdown_series

if TYPE_CHECKING:
    from pathlib import Path

    from engine.backtest.run import BacktestResult

_MOST_POINTS = 3000  # more than the picture has pixels
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")  # Okabe and Ito, for every eye
_DASHES = ("-", "--", "-.", ":")


def write_picture(result: BacktestResult, path: Path) -> None:
    """Draw the run into `path`, an SVG or whatever Matplotlib makes of the suffix; the same run gives the same bytes.

    Raises:
        DataError: the file cannot be written.
    """
    import matplotlib as mpl  # noqa: PLC0415 - keeps every other command fast
    from matplotlib.figure import Figure  # noqa: PLC0415 - the same

    history = result.history
    step = max(1, len(history.at_ms) // _MOST_POINTS)
    shown = np.unique(np.append(np.arange(0, len(history.at_ms), step), len(history.at_ms) - 1))
    times = history.at_ms[shown].astype("datetime64[ms]")
    with mpl.rc_context({"svg.hashsalt": "stagegate", "svg.fonttype": "none", "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(10, 8), layout="constrained")
        equity, drawdown, sleeves = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.4, 2))
        equity.plot(times, history.equity_usd[shown], color=_COLORS[0], linewidth=1.0)
        equity.set_ylabel("equity (USD)")
        below = -100.0 * drawdown_series(history.nav, start=1.0)
        drawdown.fill_between(times, below[shown], 0.0, color=_COLORS[1], alpha=0.5, linewidth=0.0)
        drawdown.set_ylabel("drawdown (%)")
        for column, symbol in enumerate(history.symbols):
            line = _DASHES[column % len(_DASHES)]
            color = _COLORS[column % len(_COLORS)]
            sleeves.plot(times, history.pnl_usd[shown, column], line, color=color, linewidth=1.0, label=symbol)
        sleeves.set_ylabel("sleeve P&L (USD)")
        sleeves.set_xlabel("UTC")
        sleeves.legend(loc="upper left", frameon=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        except OSError as failure:
            raise DataError(Problem("unwritable", str(path), f"cannot be written: {failure.strerror}")) from None
        except ValueError:
            help_ = "end the name in `.svg` or `.png`"
            raise DataError(
                Problem("picture-format", str(path), f"no picture is called `{path.suffix}`", help_)
            ) from None
