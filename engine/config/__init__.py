"""The frozen configuration: read, validated by Cerberus, hashed, and turned into frozen dataclasses."""

from __future__ import annotations

from engine.config.filters import load_filters
from engine.config.load import DEFAULT_CONFIG, load_config
from engine.config.model import (
    BacktestConfig,
    DefaultStrategy,
    EnsembleConfig,
    FrozenConfig,
    FundingRateConfig,
    FuturesConfig,
    LiveConfig,
    MarketConfig,
    NotificationConfig,
    OutputConfig,
    PortfolioConfig,
    PositionSizingConfig,
    RiskConfig,
    SlippageModelConfig,
    StrategyChoice,
    VolParityConfig,
)
from engine.config.secret import Secret
from engine.config.support import require_supported

__all__ = [
    "DEFAULT_CONFIG",
    "BacktestConfig",
    "DefaultStrategy",
    "EnsembleConfig",
    "FrozenConfig",
    "FundingRateConfig",
    "FuturesConfig",
    "LiveConfig",
    "MarketConfig",
    "NotificationConfig",
    "OutputConfig",
    "PortfolioConfig",
    "PositionSizingConfig",
    "RiskConfig",
    "Secret",
    "SlippageModelConfig",
    "StrategyChoice",
    "VolParityConfig",
    "load_config",
    "load_filters",
    "require_supported",
]
