"""The shipped file says what the design's table says, and any file that says the same loads the same."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from engine.config import DEFAULT_CONFIG, FrozenConfig, StrategyChoice, load_config, require_supported
from engine.config.schema import STRATEGIES
from engine.errors import ConfigError
from strategies.registry import STRATEGY_NAMES, parameter_names

if TYPE_CHECKING:
    from collections.abc import Callable

    Load = Callable[[str], FrozenConfig]

TSMOM = {"vol_target": 0.15, "ema_fast": 20, "ema_slow": 50, "agree_weight": 1.0, "disagree_weight": 0.3}
WEIGHTS = {"BTCUSDT": 0.34, "ETHUSDT": 0.33, "SOLUSDT": 0.33}
BREAKOUT = {
    "channel_period": 336,
    "channel_multiplier": 2.5,
    "atr_period": 14,
    "vol_fast_period": 14,
    "vol_slow_period": 72,
    "expansion_ratio": 1.1,
    "fake_breakout_bars": 6,
    "min_hold_bars": 24,
    "trail_exit_mid": True,
    "stop_loss_atr": 3.5,
    "max_holding_bars": 72,
    "cooldown_bars": 24,
    "vol_scale_enabled": True,
    "vol_scale_target": 99.0,
    "vol_scale_lookback": 168,
    "vol_scale_floor": 0.7,
    "vol_scale_cap": 0.7,
}
TABLE: dict[str, dict[str, Any]] = {
    "market": {
        "symbols": ("BTCUSDT", "ETHUSDT", "SOLUSDT"),
        "interval": "1h",
        "start_ms": 1_640_995_200_000,  # 2022-01-01 00:00 UTC = 18,993 days of 86,400,000 ms
        "end_ms": None,
        "market_type": "futures",
    },
    "futures": {"leverage": 3, "margin_type": "ISOLATED", "position_mode": "ONE_WAY", "direction": "both"},
    "strategy": {"name": "tsmom_ema", "params": {"lookback": 168, **TSMOM}, "symbol_overrides": {}},
    "ensemble": {
        "enabled": True,
        "weight_mode": "fixed",
        "fixed_weights": WEIGHTS,
        "vol_parity": {"lookback": 720, "min_weight": 0.20, "max_weight": 0.50},
        "strategies": {
            "BTCUSDT": {"name": "breakout_vol_atr", "params": BREAKOUT},
            "ETHUSDT": {"name": "tsmom_multi_ema", "params": {"lookbacks": (72, 168, 336, 720), **TSMOM}},
            "SOLUSDT": {"name": "tsmom_ema", "params": {"lookback": 168, **TSMOM}},
        },
    },
    "backtest": {
        "initial_cash_usd": 10_000.0,
        "fee_bps": 5.0,
        "slippage_bps": 3.0,
        "trade_on": "next_open",
        "validate_data": True,
        "clean_data": True,
        "funding_rate": {"enabled": True, "default_rate_8h": 0.0001, "use_historical": True},
        "slippage_model": {"enabled": False},
    },
    "risk": {"max_drawdown_ratio": 0.30},
    "position_sizing": {"method": "fixed", "position_ratio": 1.0},
    "portfolio": {"cash_reserve": 0.0, "allocation": WEIGHTS},
    "live": {
        "kline_cache": True,
        "flip_confirmation": False,
        "prefer_limit_order": True,
        "limit_order_timeout_s": 10.0,
    },
    "notification": {
        "enabled": True,
        "telegram_bot_token": {"template": "${FUTURES_TELEGRAM_BOT_TOKEN}"},
        "telegram_chat_id": {"template": "${FUTURES_TELEGRAM_CHAT_ID}"},
        "prefix": {"template": "[PROD-R1]"},
    },
    "output": {"report_dir": "./reports"},
}


def as_bare(value: Any) -> Any:
    """Return a value together with its types, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {key: as_bare(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(as_bare(item) for item in value)
    return type(value).__name__, value


SHIPPED = Path(__file__).resolve().parents[2] / "config" / "prod_candidate_R1.yaml"


@pytest.fixture(scope="module")
def shipped_text() -> str:
    return SHIPPED.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shipped() -> FrozenConfig:
    return load_config(SHIPPED)


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    def load(text: str) -> FrozenConfig:
        path = tmp_path / "R1.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path)

    return load


def same_values(one: FrozenConfig, other: FrozenConfig) -> bool:
    """Return whether two configurations are equal but for file and hash, types included."""
    blocks = [[as_bare(dataclasses.asdict(getattr(config, block))) for block in TABLE] for config in (one, other)]
    return blocks[0] == blocks[1] and dataclasses.replace(one, path=other.path, sha256=other.sha256) == other


@pytest.mark.parametrize("block", TABLE)
def test_block_of_the_shipped_file_is_the_table(shipped: FrozenConfig, block: str) -> None:
    assert as_bare(dataclasses.asdict(getattr(shipped, block))) == as_bare(TABLE[block])


def test_shipped_file_has_no_other_block(shipped_text: str) -> None:
    assert set(yaml.safe_load(shipped_text)) == set(TABLE)


def test_R001_default_path_is_the_frozen_config() -> None:
    assert Path("config/prod_candidate_R1.yaml") == DEFAULT_CONFIG


def test_R001_without_a_path_the_default_is_read(shipped: FrozenConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shipped.path.parents[1])
    assert load_config().sha256 == shipped.sha256


def test_R002_hash_is_of_the_bytes(shipped: FrozenConfig) -> None:
    assert shipped.sha256 == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    assert shipped.path == SHIPPED


def test_R003_R007_R009_strategies(shipped: FrozenConfig) -> None:
    names = {symbol: choice.name for symbol, choice in shipped.ensemble.strategies.items()}
    assert names == {"BTCUSDT": "breakout_vol_atr", "ETHUSDT": "tsmom_multi_ema", "SOLUSDT": "tsmom_ema"}


def test_R004_R005_R006_R008_R010_parameters(shipped: FrozenConfig) -> None:
    btc, eth, sol = (shipped.ensemble.strategies[symbol].params for symbol in shipped.market.symbols)
    assert (btc["channel_period"], btc["max_holding_bars"]) == (336, 72)
    assert (btc["vol_scale_floor"], btc["vol_scale_cap"]) == (0.7, 0.7)
    assert eth["lookbacks"] == (72, 168, 336, 720)
    assert sol["lookback"] == 168


def test_R011_weights(shipped: FrozenConfig) -> None:
    assert list(shipped.ensemble.fixed_weights.items()) == [("BTCUSDT", 0.34), ("ETHUSDT", 0.33), ("SOLUSDT", 0.33)]


@pytest.mark.parametrize("position", range(0, 6000, 149))
def test_R030_a_flipped_byte_changes_the_hash(shipped: FrozenConfig, tmp_path: Path, position: int) -> None:
    raw = bytearray(shipped.path.read_bytes())
    raw[position % len(raw)] ^= 1
    path = tmp_path / "R1.yaml"
    path.write_bytes(raw)
    with contextlib.suppress(ConfigError):  # a flip that breaks the file itself blocks as well
        assert load_config(path).sha256 == hashlib.sha256(raw).hexdigest() != shipped.sha256


def test_R030_a_byte_of_a_comment_changes_the_hash_and_no_value(
    shipped: FrozenConfig, shipped_text: str, load_text: Load
) -> None:
    other = load_text(shipped_text.replace("# one sleeve each", "# One sleeve each"))
    assert other.sha256 != shipped.sha256
    assert same_values(other, shipped)


PINNED = [
    pytest.param("trade_on: next_open", "trade_on: same_close", "trade_on", "same_close", id="R032"),
    pytest.param("fee_bps: 5", "fee_bps: 0", "fee_bps", 0.0, id="R033"),
    pytest.param("slippage_bps: 3", "slippage_bps: 2.5", "slippage_bps", 2.5, id="R034"),
]


@pytest.mark.parametrize(("old", "new", "name", "value"), PINNED)
def test_R032_R033_R034_loads_for_the_guard_to_report(
    shipped_text: str, load_text: Load, old: str, new: str, name: str, value: object
) -> None:
    assert shipped_text.count(old) == 1
    config = load_text(shipped_text.replace(old, new))
    assert getattr(config.backtest, name) == value


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def test_R035_R036_switched_off_loads_for_the_guard_to_report(shipped_text: str, load_text: Load) -> None:
    text = replaced(
        shipped_text,
        ("funding_rate:\n    enabled: true ", "funding_rate:\n    enabled: false"),
        ("ensemble:\n  enabled: true ", "ensemble:\n  enabled: false"),
    )
    config = load_text(text)
    assert (config.backtest.funding_rate.enabled, config.ensemble.enabled) == (False, False)


def test_R037_other_weights_of_sum_1_load_for_the_guard_to_report(shipped_text: str, load_text: Load) -> None:
    text = replaced(shipped_text, ("BTCUSDT: 0.34", "BTCUSDT: 0.5"), ("ETHUSDT: 0.33", "ETHUSDT: 0.17"))
    assert load_text(text).ensemble.fixed_weights == {"BTCUSDT": 0.5, "ETHUSDT": 0.17, "SOLUSDT": 0.33}


SPELLINGS = {
    "unquoted interval": ('interval: "1h"', "interval: 1h"),
    "bare date": ('start: "2022-01-01"', "start: 2022-01-01"),
    "single quotes": ('start: "2022-01-01"', "start: '2022-01-01'"),
    "date and time": ('start: "2022-01-01"', "start: 2022-01-01T00:00:00Z"),
    "unquoted word": ('market_type: "futures"', "market_type: futures"),
    "quoted word": ("margin_type: ISOLATED", 'margin_type: "ISOLATED"'),
    "empty null": ("end: null", "end:"),
    "tilde null": ("end: null", "end: ~"),
    "no end": ("  end: null", "  # end: null"),
    "whole as decimal": ("leverage: 3 ", "leverage: 3.0"),
    "decimal as whole": ("agree_weight: 1.0", "agree_weight: 1"),
    "no leading zero": ("vol_target: 0.15", "vol_target: .15"),
    "exponent": ("default_rate_8h: 0.0001", "default_rate_8h: 1e-4"),
    "capital true": ("kline_cache: true", "kline_cache: True"),
    "unquoted variable": ('"${FUTURES_TELEGRAM_BOT_TOKEN}"', "${FUTURES_TELEGRAM_BOT_TOKEN}"),
    "unquoted folder": ('"./reports"', "./reports"),
    "no overrides": ("symbol_overrides: {}", "# none"),
    "null overrides": ("symbol_overrides: {}", "symbol_overrides:"),
    "notifications on by default": ("notification:\n  enabled: true", "notification:"),
    "block list": (
        "lookbacks: [72, 168, 336, 720]",
        "lookbacks:\n          - 72\n          - 168\n          - 336\n          - 720",
    ),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_spelling_of_the_same_value_loads_the_same(
    shipped: FrozenConfig, shipped_text: str, load_text: Load, spelling: str
) -> None:
    assert same_values(load_text(replaced(shipped_text, SPELLINGS[spelling])), shipped)


def test_a_symbol_without_a_strategy_has_the_default(shipped: FrozenConfig, shipped_text: str, load_text: Load) -> None:
    text = (
        shipped_text[: shipped_text.index("    SOLUSDT:\n      name:")]
        + shipped_text[shipped_text.index("backtest:") :]
    )
    assert same_values(load_text(text), shipped)


def test_file_as_one_flow_mapping_loads_the_same(shipped: FrozenConfig, shipped_text: str, load_text: Load) -> None:
    assert same_values(load_text(json.dumps(yaml.safe_load(shipped_text))), shipped)


def test_windows_line_ends_and_byte_order_mark_load_the_same(shipped: FrozenConfig, tmp_path: Path) -> None:
    path = tmp_path / "R1.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + shipped.path.read_bytes().replace(b"\n", b"\r\n"))
    assert same_values(load_config(path), shipped)


OTHERS = [
    ('start: "2022-01-01"', 'start: "2022-01-02"', lambda c: c.market.start_ms, 1_641_081_600_000),
    ("end: null", "end: 2023-01-01", lambda c: c.market.end_ms, 1_672_531_200_000),
    ("leverage: 3 ", "leverage: 5", lambda c: c.futures.leverage, 5),
    ("margin_type: ISOLATED", "margin_type: CROSSED", lambda c: c.futures.margin_type, "CROSSED"),
    ("position_mode: ONE_WAY", "position_mode: HEDGE", lambda c: c.futures.position_mode, "HEDGE"),
    ("lookback: 168 ", "lookback: 96 ", lambda c: c.strategy.params["lookback"], 96),
    ("max_weight: 0.50", "max_weight: 0.6", lambda c: c.ensemble.vol_parity.max_weight, 0.6),
    (
        "channel_period: 336",
        "channel_period: 200",
        lambda c: c.ensemble.strategies["BTCUSDT"].params["channel_period"],
        200,
    ),
    ("initial_cash: 10000", "initial_cash: 2.5e4", lambda c: c.backtest.initial_cash_usd, 25_000.0),
    ("validate_data: true", "validate_data: false", lambda c: c.backtest.validate_data, False),
    ("use_historical: true", "use_historical: false", lambda c: c.backtest.funding_rate.use_historical, False),
    ("max_drawdown_pct: 0.30", "max_drawdown_pct: 0.25", lambda c: c.risk.max_drawdown_ratio, 0.25),
    ("position_pct: 1.0", "position_pct: 0.5", lambda c: c.position_sizing.position_ratio, 0.5),
    ("cash_reserve: 0.0", "cash_reserve: 0.1", lambda c: c.portfolio.cash_reserve, 0.1),
    ("flip_confirmation: false", "flip_confirmation: true", lambda c: c.live.flip_confirmation, True),
    ("limit_order_timeout_s: 10", "limit_order_timeout_s: 7.5", lambda c: c.live.limit_order_timeout_s, 7.5),
    ('prefix: "[PROD-R1]"', 'prefix: "${HOST} R1"', lambda c: c.notification.prefix.template, "${HOST} R1"),
    ('prefix: "[PROD-R1]"', "# none", lambda c: c.notification.prefix, None),
    ("${FUTURES_TELEGRAM_CHAT_ID}", "@desk", lambda c: c.notification.telegram_chat_id.template, "@desk"),
    ('"${FUTURES_TELEGRAM_CHAT_ID}"', "-100123", lambda c: c.notification.telegram_chat_id.template, "-100123"),
    ('report_dir: "./reports"', "report_dir: /srv/r", lambda c: c.output.report_dir, "/srv/r"),
]


@pytest.mark.parametrize(("old", "new", "read", "value"), OTHERS, ids=[new for _, new, _, _ in OTHERS])
def test_another_value_is_read(
    shipped_text: str, load_text: Load, old: str, new: str, read: Callable[[FrozenConfig], object], value: object
) -> None:
    assert as_bare(read(load_text(replaced(shipped_text, (old, new))))) == as_bare(value)


def test_overrides_replace_the_default_strategys_parameters(shipped_text: str, load_text: Load) -> None:
    start = shipped_text.index("    SOLUSDT:\n      name:")
    end = shipped_text.index("backtest:")
    text = shipped_text[:start] + shipped_text[end:]
    text = replaced(text, ("symbol_overrides: {}", "symbol_overrides: {SOLUSDT: {lookback: 48, vol_target: 1}}"))
    expected = {"lookback": 48, **TSMOM, "vol_target": 1.0}
    assert load_text(text).ensemble.strategies["SOLUSDT"] == StrategyChoice("tsmom_ema", expected)


@pytest.mark.parametrize("name", STRATEGY_NAMES)
def test_the_schema_knows_the_parameters_the_strategies_take(name: str) -> None:
    assert set(STRATEGIES) == set(STRATEGY_NAMES)
    assert set(STRATEGIES[name]) == set(parameter_names(name))


def test_where_leads_to_the_line(shipped: FrozenConfig, shipped_text: str) -> None:
    line = next(n for n, text in enumerate(shipped_text.splitlines(), 1) if text.startswith("  trade_on:"))
    assert shipped.where("backtest.trade_on") == f"{shipped.path}:{line}:13"


def test_the_shipped_file_is_supported(shipped: FrozenConfig) -> None:
    require_supported(shipped)


UNSUPPORTED = {
    "ensemble.enabled": ("ensemble:\n  enabled: true ", "ensemble:\n  enabled: false"),
    "backtest.trade_on": ("next_open", "same_close"),
    "backtest.slippage_model.enabled": ("slippage_model:\n    enabled: false", "slippage_model:\n    enabled: true"),
    "backtest.validate_data": ("validate_data: true", "validate_data: false"),
    "backtest.clean_data": ("clean_data: true", "clean_data: false"),
    "live.kline_cache": ("kline_cache: true", "kline_cache: false"),
    "live.flip_confirmation": ("flip_confirmation: false", "flip_confirmation: true"),
    "position_sizing.position_pct": ("position_pct: 1.0", "position_pct: 0.5"),
    "portfolio.cash_reserve": ("cash_reserve: 0.0", "cash_reserve: 0.1"),
    "portfolio.allocation": (
        "0.34\n    ETHUSDT: 0.33\n    SOLUSDT: 0.33\n\nlive",
        "0.4\n    ETHUSDT: 0.3\n    SOLUSDT: 0.3\n\nlive",
    ),
}


@pytest.mark.parametrize("key", UNSUPPORTED)
def test_what_nothing_obeys_loads_and_is_refused_before_it_runs(shipped_text: str, load_text: Load, key: str) -> None:
    config = load_text(replaced(shipped_text, UNSUPPORTED[key]))
    with pytest.raises(ConfigError) as refused:
        require_supported(config)
    (problem,) = refused.value.problems
    assert problem.code == "unsupported"
    assert problem.problem.startswith(f"`{key}` asks for what nothing here does")
    assert problem.where == config.where(key)
