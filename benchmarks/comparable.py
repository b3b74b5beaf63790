"""The part of R1 that other backtesters can do too: our own run of it, and what they are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.peers.task import Task
from engine.backtest import WARMUP_BARS, run_backtest
from engine.market.series import Market

if TYPE_CHECKING:
    from benchmarks.inputs import Inputs
    from engine.backtest import BacktestResult
    from engine.config import FrozenConfig

_NEVER_BARS = 10**9
_BEYOND_ATR = 1e9


def comparable_config(config: FrozenConfig) -> FrozenConfig:
    """Return R1 with everything switched off that the others cannot do."""
    strategies = dict(config.ensemble.strategies)
    for symbol, choice in strategies.items():
        if "stop_loss_atr" in choice.params:
            params = {**choice.params, "stop_loss_atr": _BEYOND_ATR, "max_holding_bars": _NEVER_BARS}
            strategies[symbol] = replace(choice, params={**params, "cooldown_bars": 0})
    backtest = config.backtest
    return replace(
        config,
        ensemble=replace(config.ensemble, strategies=strategies),
        backtest=replace(backtest, slippage_bps=0.0, funding_rate=replace(backtest.funding_rate, enabled=False)),
    )


def comparable_run(inputs: Inputs) -> BacktestResult:
    """Return this project's run of the comparable part."""
    return run_backtest(
        comparable_config(inputs.config),
        Market(inputs.market.bars, {}, {}),
        dead_band=inputs.bundle.rebalance_dead_band_ratio,
        start_ms=inputs.start_ms,
        end_ms=inputs.end_ms,
    )


def separate_accounts_usd(inputs: Inputs) -> float:
    """Return the final equity of the comparable part with an account a symbol, as backtesting.py has them."""
    config = comparable_config(inputs.config)
    total_usd = 0.0
    for symbol, weight in config.ensemble.fixed_weights.items():
        cash_usd = config.backtest.initial_cash_usd * weight
        alone = run_backtest(
            replace(config, backtest=replace(config.backtest, initial_cash_usd=cash_usd)),
            Market(inputs.market.bars, {}, {}),
            dead_band=inputs.bundle.rebalance_dead_band_ratio,
            symbols=[symbol],
            weights=[1.0],
            start_ms=inputs.start_ms,
            end_ms=inputs.end_ms,
        )
        total_usd += float(alone.history.equity_usd[-1])
    return total_usd


def task(inputs: Inputs) -> Task:
    """Return what the others are told."""
    config, backtest = inputs.config, inputs.config.backtest
    return Task(
        choices={name: (choice.name, dict(choice.params)) for name, choice in config.ensemble.strategies.items()},
        weights=dict(config.ensemble.fixed_weights),
        cash_usd=backtest.initial_cash_usd,
        fee_ratio=backtest.fee_bps / 1e4,
        dead_band_ratio=inputs.bundle.rebalance_dead_band_ratio,
        warmup_bars=WARMUP_BARS,
        start_ms=inputs.start_ms,
        end_ms=inputs.end_ms,
    )


def frames(inputs: Inputs) -> dict[str, Any]:
    """Return the market as the others read it: one pandas frame a symbol."""
    import pandas as pd

    return {
        symbol: pd.DataFrame(
            {name: getattr(bars, name) for name in ("open", "high", "low", "close")},
            index=pd.to_datetime(bars.open_time_ms, unit="ms"),
        )
        for symbol, bars in inputs.market.bars.items()
    }
