"""What a CSV file holds, told by its first line and its name."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from engine.errors import DataError, Problem
from engine.market.columns import Layout

if TYPE_CHECKING:
    from pathlib import Path

    from engine.market.series import Kind

TITLES: dict[Kind, str] = {"last": "bars", "mark": "mark-price bars", "funding": "funding rates"}
PRICES = ("open", "high", "low", "close")

_ARCHIVE = (
    "open_time",
    *PRICES,
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
_OTHER_NAMES = ("quote_asset_volume", "number_of_trades", "taker_buy_base_asset_volume", "taker_buy_quote_asset_volume")
_BAR_COLUMNS = {*_ARCHIVE, *_OTHER_NAMES, "market"}
_FUNDING_COLUMNS = {"funding_time": "time", "calc_time": "time", "funding_rate": "rate", "last_funding_rate": "rate"}
_FUNDING_EXTRAS = {"funding_interval_hours", "symbol", "mark_price"}
_SYMBOL = re.compile(r"([A-Z0-9]{1,20}(?:USDT|USDC))(?=[-_.]|$)")
_FORMS = "`open_time,open,high,low,close,volume`, the same without volume (mark prices) or `funding_time,funding_rate`"
_SHOWN = 40


def layout_of(raw: bytes, name: str) -> tuple[Layout, Kind]:
    """Return where the columns stand and what the file holds, from its first line.

    Args:
        raw: the file's bytes, not empty.
        name: the file, for messages.

    Raises:
        DataError: the header is of no known form.
    """
    where = f"{name}:1"
    first = raw.split(b"\n", 1)[0].decode("utf-8", errors="replace").strip().lower()
    cells = [cell.strip().strip('"') for cell in first.split(",")]
    if cells[0].isdigit() and len(cells) == len(_ARCHIVE):
        return Layout(len(cells), 0, {column: _ARCHIVE.index(column) for column in (*PRICES, "volume")}, 0), "last"
    if repeated := {cell for cell in cells if cells.count(cell) > 1}:
        problem = f"the column `{min(repeated)[:_SHOWN]}` stands twice"
        raise DataError(Problem("bad-header", where, problem, f"expected {_FORMS}"))
    if {_FUNDING_COLUMNS.get(cell) for cell in cells} >= {"time", "rate"}:
        _refuse_unknown(cells, {*_FUNDING_COLUMNS, *_FUNDING_EXTRAS}, where)
        places = {_FUNDING_COLUMNS[cell]: place for place, cell in enumerate(cells) if cell in _FUNDING_COLUMNS}
        return Layout(len(cells), places["time"], {"funding_rate": places["rate"]}, 1), "funding"
    _refuse_unknown(cells, _BAR_COLUMNS, where)
    if missing := [column for column in ("open_time", *PRICES) if column not in cells]:
        raise DataError(Problem("bad-header", where, f"the column `{missing[0]}` is missing", f"expected {_FORMS}"))
    numbers = {column: cells.index(column) for column in (*PRICES, "volume") if column in cells}
    return Layout(len(cells), cells.index("open_time"), numbers, 1), "last" if "volume" in cells else "mark"


def symbol_of(path: Path) -> str:
    """Return the symbol with which the file's name begins.

    Raises:
        DataError: it begins with none.
    """
    found = _SYMBOL.match(path.name)
    if not found:
        raise DataError(
            Problem("no-symbol", str(path), "the name does not begin with a symbol", "name it like `BTCUSDT-1h.csv.gz`")
        )
    return found.group(1)


def _refuse_unknown(cells: list[str], known: set[str], where: str) -> None:
    for cell in cells:
        if cell not in known:
            close = difflib.get_close_matches(cell, sorted(known), n=1)
            help_ = f"did you mean `{close[0]}`?" if close else f"expected {_FORMS}"
            raise DataError(Problem("bad-header", where, f"`{cell[:_SHOWN]}` is no known column", help_))
