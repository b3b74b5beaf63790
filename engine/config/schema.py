"""What the frozen configuration may hold: a Cerberus schema, and each strategy's parameters.

Every leaf carries in `meta` the words that complete "must be …". Bounds are bounds of meaning (a fee is not negative,
a share is at most 1) and of sanity; the values that a launch demands stand in the launch policy (R032-R037).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from engine.clock import parse_time
from engine.config.secret import REFERENCE

Rules = dict[str, Any]
Report = Callable[[str, str], None]
Check = Callable[[str, Any, Report], None]

MAX_BARS = 100_000
MAX_BPS = 1_000
MAX_LEVERAGE = 125
LEAST_LIMIT, MAX_LIMIT = 1e-12, 1_000_000
END_OF_TIME_MS = parse_time("2200-01-01")


def _unless_null(check: Check) -> Check:
    """Return `check` for values that are there: Cerberus runs it on a null it has already refused, or allowed."""

    @functools.wraps(check)
    def checked(field: str, value: Any, error: Report) -> None:
        if value is not None:
            check(field, value, error)

    return checked


@_unless_null
def _finite(field: str, value: float, error: Report) -> None:
    if not math.isfinite(value):
        error(field, "not-finite")


@_unless_null
def _positive(field: str, value: float, error: Report) -> None:
    if math.isfinite(value) and value <= 0:
        error(field, "range")


@_unless_null
def _integral(field: str, value: float, error: Report) -> None:
    if math.isfinite(value) and value != int(value):
        error(field, "type")


@_unless_null
def _date(field: str, value: str, error: Report) -> None:
    try:
        sane = 0 <= parse_time(value) < END_OF_TIME_MS
    except (ValueError, OverflowError):
        sane = False
    if not sane:
        error(field, "time")


@_unless_null
def _printable(field: str, value: str, error: Report) -> None:
    if not value.isprintable():
        error(field, "type")


@_unless_null
def _references(field: str, value: str | int, error: Report) -> None:
    if "${" in REFERENCE.sub("", str(value)):
        error(field, "env")


@_unless_null
def _one_reference(field: str, value: str, error: Report) -> None:
    if value and not REFERENCE.fullmatch(value):
        error(field, "env")


def _span(low: float | None, high: float | None, above: float | None) -> str:
    if above is not None:
        return f" above {above}" + (f", at most {high:,}" if high is not None else "")
    if low is not None and high is not None:
        return f" from {low:,} to {high:,}"
    return f", {low:,} or more" if low is not None else ""


def number(what: str, *, low: float | None = None, high: float | None = None, above: float | None = None) -> Rules:
    """Return the rules of a finite number; `above` is an excluded 0, `low` and `high` are included."""
    rules: Rules = {"type": "number", "check_with": [_finite, _positive] if above is not None else [_finite]}
    rules |= {name: bound for name, bound in (("min", low), ("max", high)) if bound is not None}
    return rules | {"meta": {"expected": what + _span(low, high, above), "kind": "number"}}


def whole(what: str, *, low: int, high: int) -> Rules:
    """Return the rules of a whole number; 5.0 is one, as some writers of YAML print it."""
    meta = {"expected": what + _span(low, high, None), "kind": "whole"}
    return {"type": "number", "check_with": [_finite, _integral], "min": low, "max": high, "meta": meta}


def bars(low: int) -> Rules:
    """Return the rules of a length in bars."""
    return whole("a whole number of bars", low=low, high=MAX_BARS)


def flag() -> Rules:
    """Return the rules of a yes or no."""
    return {"type": "boolean", "meta": {"expected": "`true` or `false`"}}


def choice(*values: str) -> Rules:
    """Return the rules of one word out of `values`."""
    return {
        "type": "string",
        "allowed": list(values),
        "meta": {"expected": " or ".join(f"`{value}`" for value in values)},
    }


def text(what: str) -> Rules:
    """Return the rules of one line of text, not empty and free of control characters."""
    return {"type": "string", "empty": False, "check_with": _printable, "meta": {"expected": what}}


def date(*, nullable: bool = False) -> Rules:
    """Return the rules of an ISO date or time, UTC, from 1970 to 2199."""
    expected = "a date such as `2022-01-01`" + (", or `null`" if nullable else "")
    return {"type": "string", "check_with": _date, "nullable": nullable, "meta": {"expected": expected}}


def listed(each: Rules, what: str) -> Rules:
    """Return the rules of a list that is not empty."""
    return {"type": "list", "empty": False, "schema": each, "meta": {"expected": what, "kind": "list"}}


def by_symbol(each: Rules, what: str) -> Rules:
    """Return the rules of a block whose keys are symbols; which symbols, the relations say."""
    return {"type": "dict", "valuesrules": each, "meta": {"expected": what}}


def block(keys: dict[str, Rules]) -> Rules:
    """Return the rules of a block with exactly these keys."""
    return {"type": "dict", "schema": keys, "meta": {"expected": "a block of keys"}}


def optional(rules: Rules) -> Rules:
    """Return `rules` for a key that may be left out or null."""
    meta = rules["meta"] | {"expected": f"{rules['meta']['expected']}, or `null`"}
    return rules | {"required": False, "nullable": True, "meta": meta}


_FILTER: dict[str, Rules] = {
    "vol_target": number("an annualised volatility", above=0, high=10),
    "ema_fast": bars(1),
    "ema_slow": bars(1),
    "agree_weight": number("a factor", low=0, high=10),
    "disagree_weight": number("a factor", low=0, high=10),
}

STRATEGIES: dict[str, dict[str, Rules]] = {
    "breakout_vol_atr": {
        "channel_period": bars(1),
        "channel_multiplier": number("a number of ATR", above=0, high=100),
        "atr_period": bars(1),
        "vol_fast_period": bars(1),
        "vol_slow_period": bars(1),
        "expansion_ratio": number("a ratio", above=0, high=100),
        "fake_breakout_bars": bars(0),
        "min_hold_bars": bars(0),
        "trail_exit_mid": flag(),
        "stop_loss_atr": number("a number of ATR", above=0, high=100),
        "max_holding_bars": bars(1),
        "cooldown_bars": bars(0),
        "vol_scale_enabled": flag(),
        "vol_scale_target": number("an annualised volatility", above=0, high=1_000),
        "vol_scale_lookback": bars(2),
        "vol_scale_floor": number("a factor", low=0, high=1),
        "vol_scale_cap": number("a factor", above=0, high=1),
    },
    "tsmom_multi_ema": {
        "lookbacks": listed(bars(2), "a list of whole numbers of bars"),
        **_FILTER,
    },
    "tsmom_ema": {"lookback": bars(2), **_FILTER},
}

_STRATEGY = choice(*STRATEGIES)
# Which parameters there are depends on the name beside them: they are checked one strategy at a time.
_PARAMS: Rules = {"type": "dict", "meta": {"expected": "a block of parameters"}}
_WEIGHT = number("a ratio", low=0, high=1)
_ENV_TEXT: Rules = {"type": ["string", "integer"], "check_with": _references}

CONFIG: dict[str, Rules] = {
    "market": block(
        {
            "symbols": listed(
                {"type": "string", "regex": r"[A-Z0-9_]{5,30}\Z", "meta": {"expected": "a symbol such as `BTCUSDT`"}},
                "a list of symbols such as `[BTCUSDT, ETHUSDT]`",
            ),
            "interval": choice("1h"),
            "start": date(),
            "end": date(nullable=True) | {"required": False},
            "market_type": choice("futures"),
        }
    ),
    "futures": block(
        {
            "leverage": whole("a whole number", low=1, high=MAX_LEVERAGE),
            "margin_type": choice("ISOLATED", "CROSSED"),
            "position_mode": choice("ONE_WAY", "HEDGE"),
            "direction": choice("both"),
        }
    ),
    "strategy": block(
        {
            "name": _STRATEGY,
            "params": _PARAMS,
            "symbol_overrides": optional(by_symbol(_PARAMS, "a block of symbols")),
        }
    ),
    "ensemble": block(
        {
            "enabled": flag(),
            "weight_mode": choice("fixed"),
            "fixed_weights": by_symbol(_WEIGHT, "a block of weights, one a symbol"),
            "vol_parity": block({"lookback": bars(2), "min_weight": _WEIGHT, "max_weight": _WEIGHT}),
            "strategies": by_symbol(
                block({"name": _STRATEGY, "params": _PARAMS}), "a block of strategies, one a symbol"
            ),
        }
    ),
    "backtest": block(
        {
            "initial_cash": number("an amount of USD", above=0),
            "fee_bps": number("a number of basis points", low=0, high=MAX_BPS),
            "slippage_bps": number("a number of basis points", low=0, high=MAX_BPS),
            "trade_on": text("a word such as `next_open`"),
            "validate_data": flag(),
            "clean_data": flag(),
            "funding_rate": block(
                {
                    "enabled": flag(),
                    "default_rate_8h": number("a ratio for 8 hours", low=0, high=1),
                    "use_historical": flag(),
                }
            ),
            "slippage_model": block({"enabled": flag()}),
        }
    ),
    "risk": block({"max_drawdown_pct": number("a ratio (0.30 is 30 %)", above=0, high=1)}),
    "position_sizing": block(
        {"method": choice("fixed"), "position_pct": number("a ratio (1.0 is 100 %)", above=0, high=1)}
    ),
    "portfolio": block(
        {
            "cash_reserve": number("a ratio", low=0, high=1),
            "allocation": by_symbol(_WEIGHT, "a block of weights, one a symbol"),
        }
    ),
    "live": block(
        {
            "kline_cache": flag(),
            "flip_confirmation": flag(),
            "prefer_limit_order": flag(),
            "limit_order_timeout_s": number("a number of seconds", low=0, high=3_600),
        }
    ),
    "notification": block(
        {
            "enabled": flag() | {"required": False},
            "telegram_bot_token": optional(
                {
                    "type": "string",
                    "check_with": _one_reference,
                    "meta": {"expected": "an environment variable such as `${FUTURES_TELEGRAM_BOT_TOKEN}`"},
                }
            ),
            "telegram_chat_id": optional(
                _ENV_TEXT | {"meta": {"expected": "a chat id, `${NAME}` of an environment variable"}}
            ),
            "prefix": optional(
                _ENV_TEXT | {"meta": {"expected": "a text in which `${NAME}` names an environment variable"}}
            ),
        }
    ),
    "output": block({"report_dir": text("a folder such as `./reports`")}),
}
