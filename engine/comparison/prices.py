"""The bars of a ledger's own period: those a rehearsal was made on, else a folder or a store of recorded prices."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import DAY_MS, HOUR_MS, iso
from engine.errors import DataError, Problem
from engine.market.imports import open_market
from engine.market.synthetic import synthetic_market

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.market.series import Market

SYNTHETIC, REHEARSAL = "synthetic", "rehearsal"


def market_of_ledger(
    meta: Mapping[str, str], symbols: Sequence[str], data: Path | None = None, klines: str = "klines"
) -> Market:
    """Return the prices that a ledger's period is replayed on.

    Args:
        meta: of the ledger; a rehearsal's names its own prices.
        symbols: the venue's names.
        data: a folder or a market store; a rehearsal needs none.
        klines: the folder of `data` that holds the prices.

    Raises:
        DataError: there are no such prices, or they are broken.
    """
    source = meta.get("source", "")
    if data is None and meta.get("kind") == REHEARSAL and source == SYNTHETIC:
        return _synthetic(meta)
    if data is None and meta.get("kind") == REHEARSAL and source:
        return open_market(Path(source), symbols, klines=meta.get("klines", "klines"))
    if data is None:
        help_ = "name them with --data, a market store or a folder of CSV files"
        raise DataError(Problem("no-prices", "--data", "the ledger does not say on which prices it ran", help_))
    return open_market(data, symbols, klines=klines)


def require_covered(
    market: Market, symbols: Sequence[str], from_ms: int, to_ms: int, meta: Mapping[str, str] | None = None
) -> None:
    """Refuse prices that do not reach from the launch to the end of the period.

    Args:
        market: the prices.
        symbols: of the configuration.
        from_ms: the launch.
        to_ms: the end of the period.
        meta: of the ledger; a symbol of a rehearsal may begin later, as it did in the rehearsal itself.

    Raises:
        DataError: with every symbol that is too short.
    """
    problems = []
    rehearsed = meta is not None and meta.get("kind") == REHEARSAL
    for symbol in symbols:
        bars = market.bars.get(symbol)
        if bars is None or not len(bars):
            problems.append(Problem("no-bars", symbol, "there are no prices of this symbol", _DOWNLOAD))
            continue
        first_ms, end_ms = int(bars.open_time_ms[0]), int(bars.open_time_ms[-1]) + HOUR_MS
        if (first_ms > from_ms and not rehearsed) or end_ms < to_ms:
            found = f"prices from {iso(first_ms)} to {iso(end_ms)}, the period is {iso(from_ms)} to {iso(to_ms)}"
            problems.append(Problem("not-covered", symbol, found, _DOWNLOAD))
    if problems:
        raise DataError(problems)


_DOWNLOAD = "`stagegate data download`, or name other prices with --data"


def _synthetic(meta: Mapping[str, str]) -> Market:
    from_ms, to_ms = int(meta["from_ms"]), int(meta["to_ms"])
    typed = shlex.split(meta.get("command", ""))
    if any(word.split("=")[0] == "--from" for word in typed):
        problem = "the rehearsal took a part of a synthetic market, and its prices depend on the whole"
        raise DataError(Problem("no-prices", "--from", problem, "rehearse the whole of it, or name prices with --data"))
    return synthetic_market(int(meta["seed"]), start_ms=from_ms, days=(to_ms - from_ms) // DAY_MS)
