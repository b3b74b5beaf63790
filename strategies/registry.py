"""The strategies by name."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, Problem
from strategies.breakout_raw import BreakoutParams
from strategies.breakout_vol_atr import breakout_vol_atr
from strategies.tsmom_ema import TsmomParams, tsmom_ema
from strategies.tsmom_multi_ema import TsmomMultiParams, tsmom_multi_ema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from strategies.bars import Bars
    from strategies.sleeve import Sleeve


def _breakout(bars: Bars, params: Mapping[str, Any], slippage_bps: float) -> Sleeve:
    return breakout_vol_atr(bars, BreakoutParams(**params), slippage_bps)


def _tsmom(bars: Bars, params: Mapping[str, Any], _slippage_bps: float) -> Sleeve:
    return tsmom_ema(bars, TsmomParams(**params))


def _tsmom_multi(bars: Bars, params: Mapping[str, Any], _slippage_bps: float) -> Sleeve:
    return tsmom_multi_ema(bars, TsmomMultiParams(**{**params, "lookbacks": tuple(params["lookbacks"])}))


_MAKERS: dict[str, tuple[type[Any], Callable[[Bars, Mapping[str, Any], float], Sleeve]]] = {
    "breakout_vol_atr": (BreakoutParams, _breakout),
    "tsmom_ema": (TsmomParams, _tsmom),
    "tsmom_multi_ema": (TsmomMultiParams, _tsmom_multi),
}

STRATEGY_NAMES = tuple(_MAKERS)


def parameter_names(name: str) -> tuple[str, ...]:
    """Return the parameters that the strategy `name` takes, all of them required.

    Raises:
        ConfigError: there is no such strategy.
    """
    return tuple(field.name for field in fields(_maker(name, name)[0]))


def make_sleeve(name: str, params: Mapping[str, Any], bars: Bars, slippage_bps: float) -> Sleeve:
    """Return the strategy `name` on `bars`.

    Args:
        name: a name of `STRATEGY_NAMES`.
        params: every parameter of that strategy, no other; values are taken as checked (engine.config does).
        bars: the symbol's bars from the first there is.
        slippage_bps: of an entry fill.

    Raises:
        ConfigError: no such strategy, or a parameter too few or too many.
    """
    _, make = _maker(name, bars.symbol)
    expected = set(parameter_names(name))
    problems = [
        Problem("strategy-parameter", bars.symbol, f"`{name}` has no parameter `{extra}`", "remove it")
        for extra in sorted(set(params) - expected)
    ]
    problems += [
        Problem("strategy-parameter", bars.symbol, f"`{name}` needs the parameter `{absent}`", "give it a value")
        for absent in sorted(expected - set(params))
    ]
    if problems:
        raise ConfigError(problems)
    return make(bars, params, slippage_bps)


def _maker(name: str, where: str) -> tuple[type[Any], Callable[[Bars, Mapping[str, Any], float], Sleeve]]:
    if name not in _MAKERS:
        known = ", ".join(f"`{known}`" for known in STRATEGY_NAMES)
        raise ConfigError(Problem("unknown-strategy", where, f"there is no strategy `{name}`", f"one of {known}"))
    return _MAKERS[name]
