"""SOP §1.3: the frozen configuration is the one that was signed, and says what it must (R030–R037)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ConfigError
from engine.launch.probe import Finding, Findings, Probe, no, unknown, yes
from engine.reports.numbers import number, short_hash

if TYPE_CHECKING:
    from engine.config import FrozenConfig
    from engine.launch.release import Rules

QUOTE = "USDT"
NEXT_OPEN, OTHER = "next_open", "other"
_PERCENT = 100.0
_ON = {True: "on", False: "off"}
_VALUES = ("trade_on", "config_fee", "config_slippage", "config_funding", "config_ensemble")
_WEIGHTS = ("weight_btc", "weight_eth", "weight_sol")


def probes(rules: Rules, config: FrozenConfig | ConfigError) -> tuple[Probe, ...]:
    """Return the probes of the configuration and its hash."""

    async def matches() -> Findings:
        return {"config_hash_matches": hash_matches(rules)}

    async def values() -> Findings:
        if isinstance(config, ConfigError):
            raise config
        return frozen_values(config)

    return (Probe(("config_hash_matches",), matches), Probe((*_VALUES, *_WEIGHTS), values))


def hash_matches(rules: Rules) -> Finding:
    """Return whether the file has the hash that the bundle pins; the bundle's own file must have it too (A90)."""
    if rules.unreadable:
        return unknown(rules.unreadable)
    if rules.broken:
        return no(rules.broken)
    found, pinned = short_hash(rules.config_sha256), short_hash(rules.pinned_sha256)
    if rules.config_sha256 != rules.pinned_sha256:
        return no(f"SHA-256 is {found}, the bundle pins {pinned}")
    return yes(f"{found} as pinned")


def frozen_values(config: FrozenConfig) -> Findings:
    """Return the values that a launch demands, each as the file has it."""
    backtest, ensemble = config.backtest, config.ensemble
    trade_on = backtest.trade_on
    findings = {
        "trade_on": Finding(trade_on if trade_on == NEXT_OPEN else OTHER, f"`{trade_on}`"),
        "config_fee": Finding(backtest.fee_bps, f"{number(backtest.fee_bps, 1)} bps"),
        "config_slippage": Finding(backtest.slippage_bps, f"{number(backtest.slippage_bps, 1)} bps"),
        "config_funding": Finding(backtest.funding_rate.enabled, _ON[backtest.funding_rate.enabled]),
        "config_ensemble": Finding(ensemble.enabled, _ON[ensemble.enabled]),
    }
    for symbol, weight in ensemble.fixed_weights.items():
        name = f"weight_{symbol.removesuffix(QUOTE).lower()}"
        findings[name] = Finding(weight * _PERCENT, f"{symbol} {number(weight * _PERCENT, 1)} %")
    return findings
