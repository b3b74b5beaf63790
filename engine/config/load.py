"""From the file to typed values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.clock import parse_time
from engine.config import model
from engine.config.mistakes import problems, schema_mistakes, shown, suggestion
from engine.config.relations import relation_mistakes
from engine.config.schema import CONFIG, STRATEGIES, Rules
from engine.config.secret import Secret
from engine.documents import read_document
from engine.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_CONFIG = Path("config/prod_candidate_R1.yaml")


def load_config(path: Path = DEFAULT_CONFIG) -> model.FrozenConfig:
    """Read, validate and type the frozen configuration.

    What only a launch demands (fees of 5 bp, `next_open`, …) is not demanded here, the launch guard reports it.

    Args:
        path: the YAML file; R001 names the default.

    Returns:
        Every value, in the units of the attribute's names. `${NAME}` is not resolved.

    Raises:
        ConfigError: with every mistake of the file, each with file, line, column, key, what was expected and found.
    """
    document = read_document(path)
    if not isinstance(document.data, dict):
        found = f"the file must hold the blocks of a configuration, found {shown(document.data)}"
        raise ConfigError(Problem("type", document.where(), found, suggestion("", CONFIG)))
    mistakes = schema_mistakes(document.data, CONFIG)
    mistakes += relation_mistakes(document.data, mistakes)
    if mistakes:
        raise ConfigError(problems(document, mistakes))
    blocks = {name: _typed(block, CONFIG[name]) for name, block in document.data.items()}
    market = _market(blocks["market"])
    default = _default_strategy(blocks["strategy"])
    return model.FrozenConfig(
        market=market,
        futures=model.FuturesConfig(**blocks["futures"]),
        strategy=default,
        ensemble=_ensemble(blocks["ensemble"], default, market.symbols),
        backtest=_backtest(blocks["backtest"]),
        risk=model.RiskConfig(max_drawdown_ratio=blocks["risk"]["max_drawdown_pct"]),
        position_sizing=_position_sizing(blocks["position_sizing"]),
        portfolio=model.PortfolioConfig(**blocks["portfolio"]),
        live=model.LiveConfig(**blocks["live"]),
        notification=_notification(blocks["notification"]),
        output=model.OutputConfig(**blocks["output"]),
        path=path,
        sha256=document.sha256,
        document=document,
    )


def _typed(value: Any, rules: Rules) -> Any:
    """Return a validated value with its final types: 5 is 5.0 where a number is meant, a list is a tuple."""
    if isinstance(value, dict):
        if "valuesrules" in rules:
            return {name: _typed(item, rules["valuesrules"]) for name, item in value.items()}
        if "schema" in rules:
            return {name: _typed(item, rules["schema"][name]) for name, item in value.items()}
        return value  # parameters: their rules hang on the strategy's name, see _params
    if isinstance(value, list):
        return tuple(_typed(item, rules["schema"]) for item in value)
    kind = rules["meta"].get("kind")
    if kind == "number":
        return float(value)
    return int(value) if kind == "whole" else value


def _params(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _typed(value, STRATEGIES[name][key]) for key, value in params.items()}


def _market(block: dict[str, Any]) -> model.MarketConfig:
    end = block.get("end")
    return model.MarketConfig(
        symbols=block["symbols"],
        interval=block["interval"],
        start_ms=parse_time(block["start"]),
        end_ms=None if end is None else parse_time(end),
        market_type=block["market_type"],
    )


def _default_strategy(block: dict[str, Any]) -> model.DefaultStrategy:
    name = block["name"]
    overrides = block.get("symbol_overrides") or {}
    return model.DefaultStrategy(
        name=name,
        params=_params(name, block["params"]),
        symbol_overrides={symbol: _params(name, params) for symbol, params in overrides.items()},
    )


def _ensemble(block: dict[str, Any], default: model.DefaultStrategy, symbols: tuple[str, ...]) -> model.EnsembleConfig:
    named = {
        symbol: model.StrategyChoice(choice["name"], _params(choice["name"], choice["params"]))
        for symbol, choice in block["strategies"].items()
    }
    return model.EnsembleConfig(
        enabled=block["enabled"],
        weight_mode=block["weight_mode"],
        fixed_weights={symbol: block["fixed_weights"][symbol] for symbol in symbols},
        vol_parity=model.VolParityConfig(**block["vol_parity"]),
        strategies={symbol: named.get(symbol) or default.of(symbol) for symbol in symbols},
    )


def _backtest(block: dict[str, Any]) -> model.BacktestConfig:
    plain = {key: value for key, value in block.items() if key != "initial_cash"}
    return model.BacktestConfig(
        **plain
        | {
            "initial_cash_usd": block["initial_cash"],
            "funding_rate": model.FundingRateConfig(**block["funding_rate"]),
            "slippage_model": model.SlippageModelConfig(**block["slippage_model"]),
        }
    )


def _position_sizing(block: dict[str, Any]) -> model.PositionSizingConfig:
    return model.PositionSizingConfig(method=block["method"], position_ratio=block["position_pct"])


def _notification(block: dict[str, Any]) -> model.NotificationConfig:
    def secret(key: str) -> Secret | None:
        value = block.get(key)
        return None if value is None else Secret(str(value))

    return model.NotificationConfig(
        enabled=block.get("enabled", True),
        telegram_bot_token=secret("telegram_bot_token"),
        telegram_chat_id=secret("telegram_chat_id"),
        prefix=secret("prefix"),
    )
