"""A configuration on a market: the sleeves, the weights and the period, then one run of the simulation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.backtest.simulation import WARMUP_BARS, Simulation
from engine.clock import HOUR_MS, iso
from engine.config import require_supported
from engine.errors import DataError, Problem, UsageError
from engine.market.series import Market
from engine.portfolio import Costs
from strategies.ensemble import make_sleeves

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.backtest.records import Fill, FundingPayment, History
    from engine.config import FrozenConfig
    from engine.portfolio import SymbolFilters

_ROUNDING = 1e-9


@dataclass(frozen=True)
class BacktestResult:
    """A finished run.

    Attributes:
        simulation: the account, at its end.
        weights: symbol -> share of the equity, in the order of all columns.
        costs: what a fill cost.
        initial_equity_usd: at the start.
        start_ms: the first hour's open.
        end_ms: the last hour's close.
        history: what stood at every close.
    """

    simulation: Simulation
    weights: dict[str, float]
    costs: Costs
    initial_equity_usd: float
    start_ms: int
    end_ms: int
    history: History

    @property
    def fills(self) -> list[Fill]:
        """Executions, oldest first."""
        return self.simulation.fills

    @property
    def funding(self) -> list[FundingPayment]:
        """Funding settlements of open positions, oldest first."""
        return self.simulation.funding


def run_backtest(  # noqa: PLR0913 - everything that a run depends on, all by keyword
    config: FrozenConfig,
    market: Market,
    *,
    dead_band: float,
    symbols: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    warmup_bars: int = WARMUP_BARS,
    filters: Mapping[str, SymbolFilters] | None = None,
) -> BacktestResult:
    """Run a configuration over recorded prices, without any policy.

    Args:
        config: strategies, costs, initial cash. Leverage is read by no one here: it is margin only (R014).
        market: bars from the first there is; those before the start are the warm-up.
        dead_band: the bundle's `rebalance_dead_band`, a ratio.
        symbols: a part of the configuration's; None: all of them.
        weights: one a symbol; None: the configuration's fixed weights, not scaled up for a part of the symbols.
        start_ms: None: the configuration's.
        end_ms: excluded; None: the configuration's, else the end of the data.
        warmup_bars: bars of a symbol that must have closed before its first decision.
        filters: symbol -> the venue's limits, as the bundle names them; None: quantities are not cut to steps.

    Raises:
        UsageError: symbols, weights or period that do not fit.
        ConfigError: the configuration asks for what nothing here does.
        DataError: prices are missing.
    """
    require_supported(config)
    chosen = _chosen_symbols(config, symbols)
    shares = _chosen_weights(config, chosen, weights)
    missing = [symbol for symbol in chosen if symbol not in market.bars or not len(market.bars[symbol])]
    if missing:
        raise DataError([Problem("no-bars", symbol, "there are no prices of this symbol") for symbol in missing])
    begin = config.market.start_ms if start_ms is None else start_ms
    end = end_ms if end_ms is not None else config.market.end_ms
    if end is None:
        end = max(int(market.bars[symbol].open_time_ms[-1]) for symbol in chosen) + HOUR_MS
    if begin >= end:
        help_ = "the start must lie before the end"
        raise UsageError(Problem("period", "", f"nothing lies between {iso(begin)} and {iso(end)}", help_))
    backtest = config.backtest
    costs = Costs(backtest.fee_bps, backtest.slippage_bps)
    funding = backtest.funding_rate
    simulation = Simulation(
        market if funding.use_historical else Market(market.bars, market.mark, {}),
        make_sleeves(config.ensemble.strategies, market.bars, chosen, backtest.slippage_bps),
        weights=shares,
        costs=costs,
        initial_equity_usd=backtest.initial_cash_usd,
        start_ms=begin,
        end_ms=end,
        dead_band=dead_band,
        default_rate_8h=funding.default_rate_8h if funding.enabled else None,
        warmup_bars=warmup_bars,
        filters=filters,
    )
    simulation.run(len(simulation.grid_ms))
    history = simulation.history()
    first, last = int(simulation.grid_ms[0]), int(history.at_ms[-1])
    return BacktestResult(simulation, shares, costs, backtest.initial_cash_usd, first, last, history)


def _chosen_symbols(config: FrozenConfig, symbols: Sequence[str] | None) -> tuple[str, ...]:
    if symbols is None:
        return config.market.symbols
    known = ", ".join(f"`{symbol}`" for symbol in config.market.symbols)
    problems = [
        Problem("unknown-symbol", "--symbols", f"`{symbol}` is not in the configuration", f"one of {known}")
        for symbol in symbols
        if symbol not in config.market.symbols
    ]
    problems += [
        Problem("twice", "--symbols", f"`{symbol}` is given twice", "name each symbol once")
        for symbol in dict.fromkeys(symbols)
        if list(symbols).count(symbol) > 1
    ]
    if not symbols:
        problems.append(Problem("no-symbols", "--symbols", "no symbol is given", f"some of {known}"))
    if problems:
        raise UsageError(problems)
    return tuple(symbols)


def _chosen_weights(config: FrozenConfig, symbols: Sequence[str], weights: Sequence[float] | None) -> dict[str, float]:
    if weights is None:
        return {symbol: config.ensemble.fixed_weights[symbol] for symbol in symbols}
    if len(weights) != len(symbols):
        found = f"{len(weights)} weights for {len(symbols)} symbols"
        raise UsageError(Problem("weights", "--weights", found, "give one weight for each symbol, in their order"))
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        found = " ".join(f"{weight:g}" for weight in weights)
        raise UsageError(Problem("weights", "--weights", f"expected shares from 0 to 1, found `{found}`"))
    total = sum(weights)
    if total > 1 + _ROUNDING:
        help_ = "gross exposure stays within the equity (A62): make them sum to 1 or less"
        raise UsageError(Problem("weights", "--weights", f"the weights sum to {total:g}, at most 1 is allowed", help_))
    return dict(zip(symbols, weights, strict=True))
