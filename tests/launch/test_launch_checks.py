"""Every HARD check of the launch guard alone blocks, found by its own probe at the simulated venue; and its edges."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from engine.config import load_config
from engine.errors import Problem, UsageError
from engine.execution.binance.client import Keys
from engine.execution.venue import SymbolSettings
from engine.launch import account, data, dry_run, environment, signed, timesync, variables
from engine.launch.configuration import frozen_values, hash_matches
from engine.launch.machine import Machine, Said
from engine.launch.probe import Findings, find_out, no, unknown
from engine.launch.release import read_rules
from engine.launch.report import checks_of
from engine.ledger import Ledger
from engine.live.lock import InstanceLock
from engine.simulator.accounts import Permissions
from engine.simulator.faults import FaultPlan
from engine.simulator.faults.conditions import ClockSkew
from tests.launch.launching import (
    ACCOUNT,
    CAPITAL,
    CONFIG,
    KEY,
    NOW_MS,
    RULES,
    SECRET,
    SYMBOLS,
    Stage,
    asked,
    exchange,
    fill_store,
    frozen,
    market,
    only,
    real_dry_run,
    rules_of,
    saying,
    sign_papers,
    verdict_on,
)

if TYPE_CHECKING:
    from collections.abc import Callable


_BAD: dict[str, tuple[str, Callable[[Stage], Findings]]] = {}


def bad(name: str, rule: str) -> Callable[[Callable[[Stage], Findings]], Callable[[Stage], Findings]]:
    """Register what makes one rule fire, under the ids of its rows."""

    def register(make: Callable[[Stage], Findings]) -> Callable[[Stage], Findings]:
        _BAD[name] = (rule, make)
        return make

    return register


bad("R017", "python_version")(
    lambda _: {"python_supported": environment.python_supported(Machine(version="3.13.1", declared=">=3.11,<3.13"))}
)
bad("R018", "virtual_environment")(
    lambda _: {"virtual_environment": environment.virtual_environment(Machine(prefix="/usr", base_prefix="/usr"))}
)
bad("R019", "dependencies")(
    lambda _: {"dependencies_missing": environment.dependencies_missing(Machine(packages={"numpy": "1.0"}))}
)
bad("R020-not-synced", "clock_synced")(
    lambda _: only(timesync.clock_findings(Said(0, "NTPSynchronized=no\n"), Said(127, "")), "clock_synced")
)
bad("R020-not-known", "clock_synced")(
    lambda _: only(timesync.clock_findings(Said(1, "", "no bus"), Said(127, "")), "clock_synced")
)


@bad("R020-100-ms", "clock_offset")
def _offset(stage: Stage) -> Findings:
    del stage
    run = saying(
        chronyc=Said(0, "Reference ID : 1 (x)\nSystem time : 0.1 seconds slow of NTP time\nLeap status : Normal\n")
    )
    return asyncio.run(find_out(timesync.probes(run)))


@bad("R029-A94-clock-off", "venue_clock")
def _skewed(stage: Stage) -> Findings:
    del stage
    return asked(exchange(), FaultPlan.of(ClockSkew(0.501)))


bad("R021", "api_key")(lambda _: _without("BINANCE_API_KEY"))
bad("R022", "api_secret")(lambda _: _without("BINANCE_API_SECRET"))


def _without(name: str) -> Findings:
    return variables.keys_set(UsageError(Problem("no-key", name, "it is not set, or empty")))


bad("R023-R024-R054-A80", "telegram")(lambda _: {"telegram_delivered": no("not taken")})


def _permitted(**change: bool) -> Findings:
    return asked(exchange(permissions=Permissions(**change)))


bad("R025", "futures_permission")(lambda _: only(_permitted(futures=False), "futures_enabled"))
bad("R026", "withdrawal_permission")(lambda _: _permitted(withdrawals=True))
bad("R027", "ip_restriction")(lambda _: _permitted(ip_restricted=False))
bad("R029-wrong-key", "venue_answers")(
    lambda _: only(asked(exchange(), keys=Keys("wrong" * 12, SECRET)), "venue_answers")
)
bad("R029-wrong-secret", "venue_answers")(
    lambda _: only(asked(exchange(), keys=Keys(KEY, "wrong" * 12)), "venue_answers")
)


def _mutated(stage: Stage, old: str, new: str) -> Findings:
    """Return the values of the configuration with one of them changed."""
    text = CONFIG.read_text()
    assert old in text, old
    path = stage.folder / "mutated.yaml"
    path.write_text(text.replace(old, new))
    return frozen_values(load_config(path))


bad("R032", "trade_on")(lambda stage: _mutated(stage, "trade_on: next_open", "trade_on: this_close"))
bad("R033", "fee_assumption")(lambda stage: _mutated(stage, "fee_bps: 5 ", "fee_bps: 5.001 "))
bad("R034", "slippage_assumption")(lambda stage: _mutated(stage, "slippage_bps: 3 ", "slippage_bps: 2.999 "))
bad("R035", "funding_assumption")(
    lambda stage: _mutated(stage, "enabled: true                        # SOP 1.3, R035", "enabled: false")
)
bad("R036", "ensemble_enabled")(
    lambda stage: _mutated(stage, "ensemble:\n  enabled: true", "ensemble:\n  enabled: false")
)
bad("R037", "ensemble_weights")(
    lambda stage: _mutated(stage, "BTCUSDT: 0.34\n    ETHUSDT: 0.33", "BTCUSDT: 0.33\n    ETHUSDT: 0.34")
)


@bad("R002-R030-R031-A90", "config_hash")
def _flipped(stage: Stage) -> Findings:
    path = stage.folder / "flipped.yaml"
    path.write_bytes(CONFIG.read_bytes() + b"#")
    return {"config_hash_matches": hash_matches(read_rules(RULES, path))}


def _papers(stage: Stage, by: dict[str, tuple[str, ...]], fact: str) -> Findings:
    path = stage.folder / "papers.db"
    path.unlink(missing_ok=True)
    with Ledger.open(path, create=True) as ledger:
        sign_papers(ledger, stage.signers, by)
        probes = signed.probes(ledger, stage.signers, rules_of(), KEY, lambda: NOW_MS)
        return only(asyncio.run(find_out(probes)), fact)


bad("R028-A96", "ip_list_confirmed")(lambda stage: _papers(stage, {}, "ip_list_confirmed"))
bad("R142-A90-one-signer", "bundle_signed")(lambda stage: _papers(stage, {"bundle": ("alice",)}, "bundle_signers"))


def _held(stage: Stage, name: str, **store: Any) -> Findings:
    return data.data_findings(fill_store(stage.folder / f"{name}.db", **store), SYMBOLS, NOW_MS)


@bad("R039", "data_symbols")
def _symbol_missing(stage: Stage) -> Findings:
    return only(data.data_findings(stage.store, ("BTCUSDT", "ETHUSDT", "DOGEUSDT"), NOW_MS), "symbols_with_data")


bad("R040-2-hours", "data_fresh")(lambda stage: _held(stage, "late", until_ms=NOW_MS - 100 * MINUTE_MS))


@bad("R013", "margin_type")
def _crossed(stage: Stage) -> Findings:
    del stage
    made = exchange()
    made.call("POST", "/fapi/v1/marginType", {"symbol": "ETHUSDT", "marginType": "CROSSED"}, ACCOUNT)
    return asked(made)


def _levered(leverage: int) -> Findings:
    made = exchange()
    made.call("POST", "/fapi/v1/leverage", {"symbol": "SOLUSDT", "leverage": str(leverage)}, ACCOUNT)
    return asked(made)


bad("R014-4", "leverage")(lambda _: _levered(4))
bad("R014-2", "leverage")(lambda _: _levered(2))
bad("A63", "position_mode")(lambda _: asked(exchange(hedge_mode=True)))


def _traded(qty: str, price: str | None) -> Findings:
    made = exchange()
    made.place_as_other(ACCOUNT, "ETHUSDT", 1, qty, price=price)
    return asked(made)


bad("A64-position", "foreign_positions")(lambda _: _traded("1", None))
bad("A64-order", "foreign_positions")(lambda _: _traded("1", f"{market().bars['ETHUSDT'].close[2412] * 0.97:.2f}"))


@bad("A64-instance", "single_instance")
def _locked(stage: Stage) -> Findings:
    path = stage.folder / "locked.db"
    with InstanceLock(path, "stagegate run", NOW_MS):
        return asyncio.run(find_out([account.instance_probe(path, CAPITAL)]))


bad("R090-A53", "balance")(lambda _: asked(exchange(balance_usd="4899.99")))


def _signals(stage: Stage, **position: float | None) -> Findings:
    """Return the findings of a dry run with some positions changed."""
    del stage
    run = real_dry_run()
    changed = {
        symbol: dataclasses.replace(reading, position=position.get(symbol, reading.position))
        for symbol, reading in run.readings.items()
    }
    found = dry_run.findings(dataclasses.replace(run, readings=changed), frozen(), 5_000.0)
    return only(found, "dry_run_targets", "dry_run_nonzero_targets")


bad("R046-R047-R050-none", "dry_run_signals")(lambda stage: _signals(stage, SOLUSDT=None))
bad("R051-NaN", "dry_run_signals")(lambda stage: _signals(stage, BTCUSDT=float("nan")))
bad("R052-A92", "dry_run_zero")(lambda stage: _signals(stage, **dict.fromkeys(SYMBOLS, 0.0)))


@bad("R053-A93", "stop_levels")
def _moved_stop(stage: Stage) -> Findings:
    del stage
    run = real_dry_run()
    stop = run.stops["BTCUSDT"]
    assert stop is not None
    moved = dataclasses.replace(run, stops={"BTCUSDT": dataclasses.replace(stop, found=stop.found * 1.00001)})
    return {"stop_levels_correct": dry_run.stop_levels(moved, SYMBOLS)}


@bad("R053-A93-one-too-many", "stop_levels")
def _unasked_stop(stage: Stage) -> Findings:
    del stage
    return {
        "stop_levels_correct": dry_run.stop_levels(dataclasses.replace(real_dry_run(), unasked=("ETHUSDT",)), SYMBOLS)
    }


bad("R041-A87", "data_gaps")(lambda stage: _gap(stage, 4))


def _gap(stage: Stage, hours: int) -> Findings:
    hour_ms = NOW_MS - NOW_MS % HOUR_MS
    missing = [hour_ms - DAY_MS + step * HOUR_MS for step in range(1, hours)]
    return _held(stage, f"gap{hours}", without={"ETHUSDT": missing})


@pytest.mark.parametrize(("rule", "make"), _BAD.values(), ids=_BAD.keys())
def test_R044_each_HARD_check_alone_blocks(
    rule: str, make: Callable[[Stage], Findings], stage: Stage, good: Findings
) -> None:
    found = make(stage)
    assert found.keys() <= good.keys()
    verdict = verdict_on(stage, {**good, **found})
    fired = [name for name in verdict.decision.fired if verdict.policy.by_id[name].rule.severity == "HARD"]
    assert (fired, verdict.outcome, verdict.decision.trusted) == ([rule], "BLOCK_LAUNCH", True)
    assert all(finding.said for finding in found.values())


def test_R044_no_HARD_check_is_left_out() -> None:
    rules = rules_of().policy.rules.values()
    assert {rule for rule, _ in _BAD.values()} == {rule.name for rule in rules if rule.severity == "HARD"}


def test_every_fact_of_the_policy_is_found_by_a_probe(good: Findings) -> None:
    assert set(rules_of().policy.facts) == good.keys()


def test_R044_what_cannot_be_looked_at_blocks_and_says_why(stage: Stage, good: Findings) -> None:
    policy = rules_of().policy
    for name in policy.facts:
        verdict = verdict_on(stage, {**good, name: unknown("it did not answer")})
        harmless = name in {"clock_offset", "telegram_waived"}  # chrony is not everywhere; nobody needs a waiver
        assert verdict.outcome == ("ALLOW_LAUNCH" if harmless else "BLOCK_LAUNCH"), name


@pytest.mark.parametrize(
    ("skew_ms", "outcome"), [(-500, "ALLOW_LAUNCH"), (500, "ALLOW_LAUNCH"), (-501, "BLOCK_LAUNCH")]
)
def test_R029_A94_the_venues_clock_at_the_edge(skew_ms: int, outcome: str, stage: Stage, good: Findings) -> None:
    found = asked(exchange(), FaultPlan.of(ClockSkew(skew_ms / SECOND_MS)))
    assert found["venue_clock_offset"].value == abs(skew_ms)
    assert found["venue_answers"].value is True  # the adapter keeps to the venue's clock, whatever ours says
    assert verdict_on(stage, {**good, **found}).outcome == outcome


@pytest.mark.parametrize(("balance", "outcome"), [("4900.00", "ALLOW_LAUNCH"), ("4899.99", "BLOCK_LAUNCH")])
def test_R090_A53_the_balance_at_the_edge(balance: str, outcome: str, stage: Stage, good: Findings) -> None:
    found = only(asked(exchange(balance_usd=balance)), "balance_cover")
    assert verdict_on(stage, {**good, **found}).outcome == outcome


@pytest.mark.parametrize(("hours", "outcome"), [(1, "ALLOW_LAUNCH"), (3, "ALLOW_LAUNCH"), (4, "BLOCK_LAUNCH")])
def test_R041_R045_a_gap_at_the_edge(hours: int, outcome: str, stage: Stage, good: Findings) -> None:
    verdict = verdict_on(stage, {**good, **_gap(stage, hours)})
    assert verdict.outcome == outcome
    assert ("data_gap_small" in verdict.decision.fired) == (hours > 1)


def test_R020_a_machine_without_chrony_has_no_offset_to_check(stage: Stage, good: Findings) -> None:
    findings = {**good, "clock_offset": unknown("chronyc: not installed")}
    checks = {check.name: check for check in checks_of(verdict_on(stage, findings), findings, {})}
    assert (checks["clock_offset"].result, checks["clock_offset"].said) == ("n/a", "chronyc: not installed")
    assert (checks["clock_synced"].result, checks["clock_synced"].because) == ("ok", "")


def test_R013_R014_margin_types_and_leverages_of_all_symbols() -> None:
    isolated, crossed = SymbolSettings(3, "ISOLATED"), SymbolSettings(5, "CROSSED")

    def found(*settings: SymbolSettings) -> list[Any]:
        return [one.value for one in account.margin(dict(zip(SYMBOLS, settings, strict=True))).values()]

    assert found(isolated, isolated, isolated) == ["ISOLATED", 3, 3]
    assert found(crossed, crossed, crossed) == ["CROSSED", 5, 5]
    assert found(isolated, crossed, isolated) == ["MIXED", 3, 5]
