"""Every mistake is named with its place, its key path, what was expected and what was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import load_config
from engine.errors import ConfigError, Problem

SHIPPED = (Path(__file__).resolve().parents[2] / "config" / "prod_candidate_R1.yaml").read_text(encoding="utf-8")
SYMBOLS = "symbols: [BTCUSDT, ETHUSDT, SOLUSDT]"
BPS = "`backtest.fee_bps` must be a number of basis points from 0 to 1,000, found"
NAME = "${FUTURES_TELEGRAM_BOT_TOKEN}"
BOT = f"`notification.telegram_bot_token` must be an environment variable such as `{NAME}`, or `null`, found"
CHAT = "`notification.telegram_chat_id` must be a chat id, `${NAME}` of an environment variable, or `null`, found"
PREFIX = "`notification.prefix` must be a text in which `${NAME}` names an environment variable, or `null`, found"
LOOKBACKS = "ensemble.strategies.ETHUSDT.params.lookbacks"
CHOICE = (
    "`ensemble.strategies.BTCUSDT.name` must be `breakout_vol_atr` or `tsmom_multi_ema` or `tsmom_ema`, "
    "found the text `breakout_vol_art`"
)
BREAKOUT_KEYS = (
    "known here: `channel_period`, `channel_multiplier`, `atr_period`, `vol_fast_period`, `vol_slow_period`, "
    "`expansion_ratio`, `fake_breakout_bars`, `min_hold_bars`, `trail_exit_mid`, `stop_loss_atr`, "
    "`max_holding_bars`, `cooldown_bars`, `vol_scale_enabled`, `vol_scale_target`, `vol_scale_lookback`, "
    "`vol_scale_floor`, `vol_scale_cap`"
)
BTC = "ensemble.strategies.BTCUSDT.params"

# what the shipped file says; what it says instead, « before the place that is reported; code; problem; help
MISTAKES: dict[str, tuple[str, str, str, str, str]] = {
    "text for a number": ("fee_bps: 5", "fee_bps: «five", "type", f"{BPS} the text `five`", ""),
    "quoted number": ("fee_bps: 5", 'fee_bps: «"5"', "type", f"{BPS} the text `5`", "write it without quotes"),
    "bool for a number": ("fee_bps: 5", "fee_bps: «true", "type", f"{BPS} `true`", ""),
    "nothing for a number": ("fee_bps: 5", "fee_bps: «~", "type", f"{BPS} nothing", ""),
    "list for a number": ("fee_bps: 5", "fee_bps: «[5]", "type", f"{BPS} a list of 1", ""),
    "block for a number": ("fee_bps: 5", "fee_bps: «{a: 5}", "type", f"{BPS} a block of keys", ""),
    "negative fee": ("fee_bps: 5", "fee_bps: «-1", "range", f"{BPS} `-1`", ""),
    "absurd fee": ("fee_bps: 5", "fee_bps: «1000.1", "range", f"{BPS} `1000.1`", ""),
    "not a number": ("fee_bps: 5", "fee_bps: «.nan", "not-finite", f"{BPS} `nan`", ""),
    "infinite": ("fee_bps: 5", "fee_bps: «.inf", "not-finite", f"{BPS} `inf`", ""),
    "minus infinite": ("fee_bps: 5", "fee_bps: «-.inf", "not-finite", f"{BPS} `-inf`", ""),
    "overflowing": ("fee_bps: 5", "fee_bps: «1e999", "not-finite", f"{BPS} `inf`", ""),
    "negative slippage": (
        "slippage_bps: 3",
        "slippage_bps: «-3",
        "range",
        "`backtest.slippage_bps` must be a number of basis points from 0 to 1,000, found `-3`",
        "",
    ),
    "no cash": (
        "initial_cash: 10000",
        "initial_cash: «0",
        "range",
        "`backtest.initial_cash` must be an amount of USD above 0, found `0`",
        "",
    ),
    "missing key": (
        "  fee_bps: 5",
        "  # fee_bps: 5",
        "missing-key",
        "`backtest.fee_bps` is missing, it must be a number of basis points from 0 to 1,000",
        "add `fee_bps:` to `backtest`",
    ),
    "missing block": (
        "risk:\n  max_drawdown_pct: 0.30",
        "# no risk",
        "missing-key",
        "`risk` is missing, it must be a block of keys",
        "add `risk:` to the file",
    ),
    "unknown key": (
        "  fee_bps: 5",
        "  fee_bps: 5\n  «slipage_bps: 3",
        "unknown-key",
        "`backtest.slipage_bps` is not a key of this file",
        "did you mean `slippage_bps`?",
    ),
    "unknown key, nothing near": (
        "max_drawdown_pct: 0.30",
        "max_drawdown_pct: 0.30\n  «xyz: 1",
        "unknown-key",
        "`risk.xyz` is not a key of this file",
        "known here: `max_drawdown_pct`",
    ),
    "key in the wrong block": (
        "  cash_reserve: 0.0",
        "  «leverage: 3\n  cash_reserve: 0.0",
        "unknown-key",
        "`portfolio.leverage` is not a key of this file",
        "move it to `futures.leverage`",
    ),
    "key with a line break": (
        "max_drawdown_pct: 0.30",
        'max_drawdown_pct: 0.30\n  «"a\\nb": 1',
        "unknown-key",
        "`risk.a\\nb` is not a key of this file",
        "known here: `max_drawdown_pct`",
    ),
    "number for a block": (
        "risk:\n  max_drawdown_pct: 0.30",
        "risk: «5",
        "type",
        "`risk` must be a block of keys, found `5`",
        "",
    ),
    "yes for a flag": (
        "validate_data: true",
        "validate_data: «yes",
        "type",
        "`backtest.validate_data` must be `true` or `false`, found the text `yes`",
        "",
    ),
    "one for a flag": (
        "validate_data: true",
        "validate_data: «1",
        "type",
        "`backtest.validate_data` must be `true` or `false`, found `1`",
        "",
    ),
    "number for a word": (
        "trade_on: next_open",
        "trade_on: «5",
        "type",
        "`backtest.trade_on` must be a word such as `next_open`, found `5`",
        "",
    ),
    "part of a whole number": (
        "leverage: 3 ",
        "leverage: «3.5 ",
        "type",
        "`futures.leverage` must be a whole number from 1 to 125, found `3.5`",
        "",
    ),
    "no leverage": (
        "leverage: 3 ",
        "leverage: «0 ",
        "range",
        "`futures.leverage` must be a whole number from 1 to 125, found `0`",
        "",
    ),
    "other interval": (
        'interval: "1h"',
        "interval: «4h",
        "choice",
        "`market.interval` must be `1h`, found the text `4h`",
        "",
    ),
    "misspelt word": (
        "margin_type: ISOLATED",
        "margin_type: «isolate",
        "choice",
        "`futures.margin_type` must be `ISOLATED` or `CROSSED`, found the text `isolate`",
        "did you mean `ISOLATED`?",
    ),
    "weights by another mode": (
        "weight_mode: fixed",
        "weight_mode: «vol_parity",
        "choice",
        "`ensemble.weight_mode` must be `fixed`, found the text `vol_parity`",
        "",
    ),
    "no symbols": (
        SYMBOLS,
        "symbols: «[]",
        "empty",
        "`market.symbols` must be a list of symbols such as `[BTCUSDT, ETHUSDT]`, found an empty list",
        "",
    ),
    "symbol twice": (
        SYMBOLS,
        "symbols: [BTCUSDT, ETHUSDT, SOLUSDT, «BTCUSDT]",
        "duplicate",
        "`market.symbols[3]` repeats `BTCUSDT`",
        "keep one of the two",
    ),
    "symbol that is none": (
        SYMBOLS,
        "symbols: [BTCUSDT, ETHUSDT, «btc/usdt]",
        "choice",
        "`market.symbols[2]` must be a symbol such as `BTCUSDT`, found the text `btc/usdt`",
        "",
    ),
    "symbol with a line break": (
        SYMBOLS,
        'symbols: [BTCUSDT, ETHUSDT, «"SOLUSDT\\n"]',
        "choice",
        "`market.symbols[2]` must be a symbol such as `BTCUSDT`, found the text `SOLUSDT\\n`",
        "",
    ),
    "weights above 1": (
        "    BTCUSDT: 0.34",
        "    BTCUSDT: 0.35",
        "weights",
        "`ensemble.fixed_weights` must sum to 1 (within 1e-9), found `1.01`",
        "",
    ),
    "weights a hair above 1": (
        "    BTCUSDT: 0.34",
        "    BTCUSDT: 0.340000002",
        "weights",
        "`ensemble.fixed_weights` must sum to 1 (within 1e-9), found `1.000000002`",
        "",
    ),
    "negative weight": (
        "    BTCUSDT: 0.34",
        "    BTCUSDT: «-0.34",
        "range",
        "`ensemble.fixed_weights.BTCUSDT` must be a ratio from 0 to 1, found `-0.34`",
        "",
    ),
    "weight that is not a number": (
        "    BTCUSDT: 0.34",
        "    BTCUSDT: «.nan",
        "not-finite",
        "`ensemble.fixed_weights.BTCUSDT` must be a ratio from 0 to 1, found `nan`",
        "",
    ),
    "weight left out": (
        "    BTCUSDT: 0.34",
        "    # BTCUSDT: 0.34",
        "symbols",
        "`ensemble.fixed_weights.BTCUSDT` is missing, every symbol of `market.symbols` needs a weight",
        "add `BTCUSDT:` to `ensemble.fixed_weights`",
    ),
    "weight of a stranger": (
        "    BTCUSDT: 0.34",
        "    BTCUSDT: 0.34\n    «BTCUSD: 0.0",
        "symbols",
        "`ensemble.fixed_weights.BTCUSD` is not one of `market.symbols`",
        "did you mean `BTCUSDT`?",
    ),
    "strategy of a stranger": (
        "symbol_overrides: {}",
        "symbol_overrides: {«XRPUSDC: {}}",
        "symbols",
        "`strategy.symbol_overrides.XRPUSDC` is not one of `market.symbols`",
        "known here: `BTCUSDT`, `ETHUSDT`, `SOLUSDT`",
    ),
    "unknown strategy": (
        "name: breakout_vol_atr ",
        "name: «breakout_vol_art ",
        "choice",
        CHOICE,
        "did you mean `breakout_vol_atr`?",
    ),
    "unknown parameter": (
        "channel_period: 336 ",
        "channel_period: 336\n        «lookback: 168",
        "unknown-key",
        f"`{BTC}.lookback` is not a parameter of `breakout_vol_atr`",
        BREAKOUT_KEYS,
    ),
    "missing parameter": (
        "        stop_loss_atr: 3.5",
        "        # stop_loss_atr: 3.5",
        "missing-key",
        f"`{BTC}.stop_loss_atr` is missing, it must be a number of ATR above 0, at most 100",
        f"add `stop_loss_atr:` to `{BTC}`",
    ),
    "parameter of a wrong type": (
        "trail_exit_mid: true",
        "trail_exit_mid: «0.5",
        "type",
        f"`{BTC}.trail_exit_mid` must be `true` or `false`, found `0.5`",
        "",
    ),
    "item of a wrong type": (
        "lookbacks: [72, 168, 336, 720]",
        "lookbacks: [72, 168, «week, 720]",
        "type",
        f"`{LOOKBACKS}[2]` must be a whole number of bars from 2 to 100,000, found the text `week`",
        "",
    ),
    "no volatility from one bar": (
        "lookbacks: [72, 168, 336, 720]",
        "lookbacks: [«1, 168, 336, 720]",
        "range",
        f"`{LOOKBACKS}[0]` must be a whole number of bars from 2 to 100,000, found `1`",
        "",
    ),
    "fast mean slower than the slow one": (
        "    ema_fast: 20 ",
        "    ema_fast: «50 ",
        "order",
        "`strategy.params.ema_fast` must be below `ema_slow`, found `50` and `50`",
        "",
    ),
    "overrides against the default": (
        "symbol_overrides: {}",
        "symbol_overrides: {SOLUSDT: {ema_fast: «51}}",
        "order",
        "`strategy.symbol_overrides.SOLUSDT.ema_fast` must be below `ema_slow`, found `51` and `50`",
        "",
    ),
    "volatility windows crossed": (
        "vol_fast_period: 14 ",
        "vol_fast_period: «73 ",
        "order",
        f"`{BTC}.vol_fast_period` must be below `vol_slow_period`, found `73` and `72`",
        "",
    ),
    "floor above the cap": (
        "vol_scale_floor: 0.7 ",
        "vol_scale_floor: «0.71 ",
        "order",
        f"`{BTC}.vol_scale_floor` must be at most `vol_scale_cap`, found `0.71` and `0.7`",
        "",
    ),
    "held longer than allowed": (
        "min_hold_bars: 24 ",
        "min_hold_bars: «73 ",
        "order",
        f"`{BTC}.min_hold_bars` must be at most `max_holding_bars`, found `73` and `72`",
        "",
    ),
    "smallest weight above the largest": (
        "min_weight: 0.20",
        "min_weight: «0.51",
        "order",
        "`ensemble.vol_parity.min_weight` must be at most `max_weight`, found `0.51` and `0.5`",
        "",
    ),
    "end before the start": (
        "end: null",
        "end: 2022-01-01",
        "order",
        "`market.start` must be before `market.end`, found `2022-01-01` and `2022-01-01`",
        "",
    ),
    "no such month": (
        'start: "2022-01-01"',
        'start: «"2022-13-01"',
        "time",
        "`market.start` must be a date such as `2022-01-01`, found the text `2022-13-01`",
        "",
    ),
    "beyond time": (
        "end: null",
        "end: «9999-12-31T23:59:59-23:00",
        "time",
        "`market.end` must be a date such as `2022-01-01`, or `null`, found the text `9999-12-31T23:59:59-23:00`",
        "",
    ),
    "before time": (
        'start: "2022-01-01"',
        "start: «0001-01-01T00:00+23:00",
        "time",
        "`market.start` must be a date such as `2022-01-01`, found the text `0001-01-01T00:00+23:00`",
        "",
    ),
    "no start": (
        'start: "2022-01-01"',
        "start: «null",
        "type",
        "`market.start` must be a date such as `2022-01-01`, found nothing",
        "",
    ),
    "year for a date": (
        'start: "2022-01-01"',
        "start: «2022",
        "type",
        "`market.start` must be a date such as `2022-01-01`, found `2022`",
        "",
    ),
    "percent for a ratio": (
        "max_drawdown_pct: 0.30",
        "max_drawdown_pct: «30",
        "range",
        "`risk.max_drawdown_pct` must be a ratio (0.30 is 30 %) above 0, at most 1, found `30`",
        "",
    ),
    "literal token": (
        '"${FUTURES_TELEGRAM_BOT_TOKEN}"',
        '«"8123:SENTINEL"',
        "env",
        f"{BOT} a text",
        "write `${NAME}` and put the value into the environment; this file is committed and hashed",
    ),
    "number for a token": ('"${FUTURES_TELEGRAM_BOT_TOKEN}"', "«81230", "type", f"{BOT} a number", ""),
    "half a variable": (
        '"${FUTURES_TELEGRAM_CHAT_ID}"',
        '«"${CHAT"',
        "env",
        f"{CHAT} a text",
        "write `${NAME}` and put the value into the environment; this file is committed and hashed",
    ),
    "unquoted prefix in brackets": (
        'prefix: "[PROD-R1]"',
        "prefix: «[PROD-R1]",
        "type",
        f"{PREFIX} a list of 1",
        "",
    ),
    "no folder": (
        'report_dir: "./reports"',
        'report_dir: «""',
        "empty",
        "`output.report_dir` must be a folder such as `./reports`, found an empty text",
        "",
    ),
    "control character": (
        'report_dir: "./reports"',
        'report_dir: «"a\\0b"',
        "type",
        "`output.report_dir` must be a folder such as `./reports`, found the text `a\\x00b`",
        "",
    ),
    "key given twice": (
        "  fee_bps: 5",
        "  fee_bps: 5\n  «fee_bps: 6",
        "duplicate-key",
        "`fee_bps` is given twice",
        "keep one of the two",
    ),
}
# These point at the block that lacks something, not at a place of the changed text.
AT_BLOCK = {
    "end before the start": 'start: «"2022-01-01"',
    "missing key": "«backtest:",
    "missing block": "«market:",
    "weights above 1": "«fixed_weights:",
    "weights a hair above 1": "«fixed_weights:",
    "weight left out": "«fixed_weights:",
    "missing parameter": "«params:\n        channel_period",
}


def place(text: str, name: str, marked: str) -> str:
    """Return ``file:line:column`` of the « in `marked`, which without it occurs in `text`."""
    head, _, tail = marked.partition("«")
    at = text.index(head + tail) + len(head)
    before = text[:at]
    return f"{name}:{before.count(chr(10)) + 1}:{at - before.rfind(chr(10))}"


def problems_of(text: str, tmp_path: Path) -> tuple[Problem, ...]:
    path = tmp_path / "R1.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    return refused.value.problems


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name: str, tmp_path: Path) -> None:
    old, new, code, problem, help_ = MISTAKES[name]
    assert old in SHIPPED
    text = SHIPPED.replace(old, new.replace("«", ""), 1)
    where = place(text, str(tmp_path / "R1.yaml"), AT_BLOCK.get(name, new))
    assert problems_of(text, tmp_path) == (Problem(code, where, problem, help_),)


def test_weights_within_the_tolerance_load(tmp_path: Path) -> None:
    path = tmp_path / "R1.yaml"
    path.write_text(SHIPPED.replace("    BTCUSDT: 0.34", "    BTCUSDT: 0.3400000009", 1), encoding="utf-8")
    assert load_config(path).ensemble.fixed_weights["BTCUSDT"] == 0.3400000009
