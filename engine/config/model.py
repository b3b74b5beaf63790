"""The frozen configuration as typed values; one class for each block of the file.

Names are the file's keys. Three keys of the file lie about their unit or leave it out and are renamed here:
``risk.max_drawdown_pct`` → `max_drawdown_ratio`, ``position_sizing.position_pct`` → `position_ratio`,
``backtest.initial_cash`` → `initial_cash_usd`; ``market.start`` and ``end`` become `start_ms` and `end_ms`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.config.secret import Secret
    from engine.documents import Document


@dataclass(frozen=True)
class MarketConfig:
    """What is traded, and the history that is read.

    Attributes:
        symbols: the venue's names, in the file's order, each once.
        interval: ``1h``.
        start_ms: UTC milliseconds, included.
        end_ms: UTC milliseconds, excluded; None: up to now.
        market_type: ``futures``.
    """

    symbols: tuple[str, ...]
    interval: str
    start_ms: int
    end_ms: int | None
    market_type: str


@dataclass(frozen=True)
class FuturesConfig:
    """How the venue keeps positions; leverage is margin only, the notional does not grow with it."""

    leverage: int
    margin_type: str
    position_mode: str
    direction: str


@dataclass(frozen=True)
class StrategyChoice:
    """A strategy's name and its parameters.

    Attributes:
        name: a key of `engine.config.schema.STRATEGIES`.
        params: every parameter of that strategy: int (bars), float, bool, or a tuple of int.
    """

    name: str
    params: dict[str, Any]


@dataclass(frozen=True)
class DefaultStrategy:
    """What a symbol trades that the ensemble does not name.

    Attributes:
        name: as `StrategyChoice`.
        params: as `StrategyChoice`.
        symbol_overrides: symbol -> the parameters that replace those of `params`.
    """

    name: str
    params: dict[str, Any]
    symbol_overrides: Mapping[str, dict[str, Any]]

    def of(self, symbol: str) -> StrategyChoice:
        """Return the strategy of `symbol`, its overrides applied."""
        return StrategyChoice(self.name, {**self.params, **self.symbol_overrides.get(symbol, {})})


@dataclass(frozen=True)
class VolParityConfig:
    """Volatility-parity weights, unused while `weight_mode` is ``fixed``; lookback in bars, weights are ratios."""

    lookback: int
    min_weight: float
    max_weight: float


@dataclass(frozen=True)
class EnsembleConfig:
    """How the sleeves share the risk equity.

    Attributes:
        enabled: false is loaded, so that the launch guard can say so (R036).
        weight_mode: ``fixed``.
        fixed_weights: symbol -> ratio, every symbol of the market, sum 1.
        vol_parity: read, unused.
        strategies: symbol -> strategy, every symbol of the market; those the file leaves out have the default.
    """

    enabled: bool
    weight_mode: str
    fixed_weights: Mapping[str, float]
    vol_parity: VolParityConfig
    strategies: Mapping[str, StrategyChoice]


@dataclass(frozen=True)
class FundingRateConfig:
    """Funding in backtest and rehearsal; `default_rate_8h` is a ratio (0.0001 = 1 bp) for 8 hours."""

    enabled: bool
    default_rate_8h: float
    use_historical: bool


@dataclass(frozen=True)
class SlippageModelConfig:
    """A size-dependent slippage model; ``enabled: false`` charges `slippage_bps` alone."""

    enabled: bool


@dataclass(frozen=True)
class BacktestConfig:
    """Costs and fills; fees and slippage in basis points of the notional, each side."""

    initial_cash_usd: float
    fee_bps: float
    slippage_bps: float
    trade_on: str
    validate_data: bool
    clean_data: bool
    funding_rate: FundingRateConfig
    slippage_model: SlippageModelConfig


@dataclass(frozen=True)
class RiskConfig:
    """The configuration's own backstop, 0.30 = 30 %; the policy's hard stop binds first (A07)."""

    max_drawdown_ratio: float


@dataclass(frozen=True)
class PositionSizingConfig:
    """How much of its share a sleeve uses; 1.0 = all of it."""

    method: str
    position_ratio: float


@dataclass(frozen=True)
class PortfolioConfig:
    """Ratio of the equity held back, and symbol -> ratio, every symbol of the market, sum 1."""

    cash_reserve: float
    allocation: Mapping[str, float]


@dataclass(frozen=True)
class LiveConfig:
    """How orders are placed live; the timeout is in seconds."""

    kline_cache: bool
    flip_confirmation: bool
    prefer_limit_order: bool
    limit_order_timeout_s: float


@dataclass(frozen=True)
class NotificationConfig:
    """Where alerts go; None: not configured."""

    enabled: bool
    telegram_bot_token: Secret | None
    telegram_chat_id: Secret | None
    prefix: Secret | None


@dataclass(frozen=True)
class OutputConfig:
    """Where reports go, relative to the working directory."""

    report_dir: str


@dataclass(frozen=True)
class FrozenConfig:
    """The whole file.

    Attributes:
        path: as it was given.
        sha256: of the file's bytes, 64 lower-case hexadecimal digits (R002, R030).
        document: the text and the place of every value, for messages and for the ledger.
    """

    market: MarketConfig
    futures: FuturesConfig
    strategy: DefaultStrategy
    ensemble: EnsembleConfig
    backtest: BacktestConfig
    risk: RiskConfig
    position_sizing: PositionSizingConfig
    portfolio: PortfolioConfig
    live: LiveConfig
    notification: NotificationConfig
    output: OutputConfig
    path: Path
    sha256: str
    document: Document = field(repr=False, compare=False)

    def where(self, key: str) -> str:
        """Return ``file:line:column`` of the value at a key path of the file.

        Args:
            key: as the file has it, such as ``backtest.fee_bps``.
        """
        return self.document.where(tuple(key.split(".")))
