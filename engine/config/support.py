"""What a configuration may say, and nothing here does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ConfigError, Problem

if TYPE_CHECKING:
    from engine.config.model import FrozenConfig


def require_supported(config: FrozenConfig) -> None:
    """Refuse values that load, because the launch guard must be able to report them, but that no engine here obeys.

    To be called before anything is simulated or traded: a value that is read and then ignored would be a lie.

    Raises:
        ConfigError: with every such value.
    """
    ensemble, backtest, portfolio, live = config.ensemble, config.backtest, config.portfolio, config.live
    same_weights = portfolio.allocation == ensemble.fixed_weights
    whole_share = config.position_sizing.position_ratio == 1
    demands = (
        ("ensemble.enabled", ensemble.enabled, "each symbol trades its strategy of the ensemble", "`true`"),
        ("backtest.trade_on", backtest.trade_on == "next_open", "fills are at the next open", "`next_open`"),
        (
            "backtest.slippage_model.enabled",
            not backtest.slippage_model.enabled,
            "slippage is `backtest.slippage_bps` alone",
            "`false`",
        ),
        ("backtest.validate_data", backtest.validate_data, "prices are always validated", "`true`"),
        ("backtest.clean_data", backtest.clean_data, "prices are never taken as they come", "`true`"),
        ("position_sizing.position_pct", whole_share, "a sleeve uses its whole share", "`1.0`"),
        ("portfolio.cash_reserve", portfolio.cash_reserve == 0, "no reserve is held back", "`0.0`"),
        ("portfolio.allocation", same_weights, "the weights are `ensemble.fixed_weights`", "the same weights"),
        ("live.kline_cache", live.kline_cache, "closed bars are always kept between decisions", "`true`"),
        ("live.flip_confirmation", not live.flip_confirmation, "a change of sign trades at once", "`false`"),
    )
    refused = [
        Problem(
            "unsupported", config.where(key), f"`{key}` asks for what nothing here does: {instead}", f"write {help_}"
        )
        for key, obeyed, instead, help_ in demands
        if not obeyed
    ]
    if refused:
        raise ConfigError(refused)
