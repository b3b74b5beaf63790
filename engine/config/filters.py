"""The file of the venue's limits: what backtest and rehearsal cut orders to, validated like the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.config.mistakes import Mistake, dotted, problems, schema_mistakes, shown
from engine.config.schema import LEAST_LIMIT, MAX_LIMIT, Rules, block, by_symbol, number
from engine.documents import read_document
from engine.errors import ConfigError, Problem
from engine.portfolio import SymbolFilters

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILTERS: dict[str, Rules] = {
    "symbols": by_symbol(
        block(
            {
                "tick_size": number("a price step in USDT", low=LEAST_LIMIT, high=MAX_LIMIT),
                "step_size": number("a quantity step in the base asset", low=LEAST_LIMIT, high=MAX_LIMIT),
                "min_qty": number("a least quantity in the base asset", low=LEAST_LIMIT, high=MAX_LIMIT),
                "min_notional_usd": number("a least notional in USDT", low=0, high=MAX_LIMIT),
            }
        ),
        "a block of symbols",
    )
}


def load_filters(path: Path, symbols: Iterable[str] = ()) -> dict[str, SymbolFilters]:
    """Read and validate the venue's limits.

    Args:
        path: the YAML file, as the bundle names it.
        symbols: those that must be there.

    Returns:
        Symbol -> limits, in the file's order.

    Raises:
        ConfigError: with every mistake of the file, each with file, line, column, key, what was expected and found.
    """
    document = read_document(path)
    if not isinstance(document.data, dict):
        found = f"the file must hold a block `symbols`, found {shown(document.data)}"
        raise ConfigError(Problem("type", document.where(), found))
    mistakes = schema_mistakes(document.data, FILTERS, owner="the venue's limits")
    if not mistakes:
        mistakes = [_missing(symbol) for symbol in symbols if symbol not in document.data["symbols"]]
    if mistakes:
        raise ConfigError(problems(document, mistakes))
    return {
        symbol: SymbolFilters(**{name: float(value) for name, value in limits.items()})
        for symbol, limits in document.data["symbols"].items()
    }


def _missing(symbol: str) -> Mistake:
    path = ("symbols", symbol)
    problem = f"`{dotted(path)}` is missing, every symbol of `market.symbols` needs its limits"
    return Mistake(path, "missing-key", problem, f"add `{symbol}:` as the venue's exchangeInfo has it", at_key=True)
