"""What the probes of machine, files and prices find: as it should be, as it should not, and where nothing is seen."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import platform
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS
from engine.config import load_config
from engine.errors import DataError, Problem, UsageError
from engine.execution.binance.client import Keys
from engine.launch.alerts import delivered
from engine.launch.configuration import frozen_values, hash_matches
from engine.launch.data import data_findings, largest_gap, last_bar_age
from engine.launch.environment import (
    dependencies_missing,
    locked_versions,
    python_supported,
    virtual_environment,
)
from engine.launch.machine import (
    LOCK,
    NO_ANSWER,
    NOT_INSTALLED,
    Machine,
    Said,
    declared_python,
    installed_packages,
    run_program,
)
from engine.launch.probe import Finding, Findings, Probe, find_out, no, yes
from engine.launch.release import read_rules
from engine.launch.stop_levels import last_stop, wilder
from engine.launch.timesync import clock_findings
from engine.launch.variables import keys_set
from engine.live.connection import Connection, Mode, connection
from engine.timeline import run_virtual
from strategies.ensemble import make_sleeves
from tests.launch.launching import (
    CONFIG,
    ENVIRON,
    KEY,
    NOW_MS,
    RULES,
    SECRET,
    SYMBOLS,
    SYNCED,
    TOKEN,
    TRACKING,
    Messenger,
    fill_store,
    frozen,
    market,
)

if TYPE_CHECKING:
    from pathlib import Path

    from engine.clock import Clock
    from engine.launch.stop_levels import Stop
    from strategies.sleeve import Signals

# ── 1.1 environment ──


@pytest.mark.parametrize(
    ("version", "supported"),
    [("3.10.14", False), ("3.11.0", True), ("3.11.7", True), ("3.12.9", True), ("3.13.0", False), ("4.0.0", False)],
)
def test_R017_python_is_one_that_the_release_declares(version: str, supported: bool) -> None:  # noqa: FBT001
    machine = Machine(version=version, declared=declared_python())
    found = python_supported(machine)
    assert found.value is supported
    assert version in found.said


def test_R017_an_interpreter_that_nothing_is_known_of_is_not_supported() -> None:
    assert python_supported(Machine(declared="")).value is None


def test_R018_a_virtual_environment_is_active_or_not() -> None:
    assert virtual_environment(Machine(prefix="/srv/desk/.venv", base_prefix="/usr")).value is True
    assert virtual_environment(Machine(prefix="/usr", base_prefix="/usr")).value is False


def test_R019_every_locked_package_that_is_missing_is_missed() -> None:
    packages = installed_packages()
    lock = locked_versions(LOCK, platform.python_version())
    whole = {**packages, **lock}
    assert dependencies_missing(Machine(packages=whole)).value == 0
    assert len(lock) > 50
    for name in ("apprise", "durable-rules", "numpy", "python-binance", "typer"):
        assert name in lock
        without = {other: version for other, version in whole.items() if other.lower().replace("_", "-") != name}
        found = dependencies_missing(Machine(packages=without))
        assert (found.value, f"{name} {lock[name]} is missing" in found.said) == (1, True)
    older = dependencies_missing(Machine(packages={**whole, "numpy": "1.0"}))
    assert (older.value, older.said) == (1, f"numpy is 1.0, locked {lock['numpy']}")
    assert dependencies_missing(Machine(packages={})).value == len(lock)


def test_R019_the_lock_is_read_for_this_machine(tmp_path: Path) -> None:
    lock = tmp_path / "runtime.lock"
    lock.write_text(
        "--only-binary :all:\n# made by a tool\n"
        "numpy==2.4.6 ; python_full_version < '3.12' \\\n    --hash=sha256:00\n"
        "numpy==2.5.5 ; python_full_version >= '3.12' \\\n    --hash=sha256:00\n"
        "colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash=sha256:00\nPyYAML==6.0.3\n"
    )
    assert locked_versions(lock, "3.11.7") == {"numpy": "2.4.6", "pyyaml": "6.0.3"}
    assert locked_versions(lock, "3.12.1") == {"numpy": "2.5.5", "pyyaml": "6.0.3"}
    lock.write_text("")
    with pytest.raises(UsageError, match="names no package"):
        locked_versions(lock, "3.11.7")
    with pytest.raises(UsageError, match="cannot be read"):
        locked_versions(tmp_path / "none.lock", "3.11.7")


# recorded: on a machine without systemd; and of chrony 4, before it has a source, and stopped
NO_SYSTEMD = Said(
    1, "", "System has not been booted with systemd as init system (PID 1). Can't operate.\n"
    "Failed to connect to bus: Host is down\n",
)  # fmt: skip
UNSYNCED = Said(0, "NTPSynchronized=no\n")
ABSENT = Said(NOT_INSTALLED, "", "not installed")
STOPPED = Said(1, "506 Cannot talk to daemon\n")
NO_SOURCE = """Reference ID    : 00000000 ()
Stratum         : 0
Ref time (UTC)  : Thu Jan 01 00:00:00 1970
System time     : 0.000000000 seconds fast of NTP time
Last offset     : +0.000000000 seconds
RMS offset      : 0.000000000 seconds
Frequency       : 0.000 ppm slow
Residual freq   : +0.000 ppm
Skew            : 0.000 ppm
Root delay      : 1.000000000 seconds
Root dispersion : 1.000000000 seconds
Update interval : 0.0 seconds
Leap status     : Not synchronised
"""


def tracking(seconds: str, side: str = "slow") -> Said:
    return Said(0, TRACKING.replace("0.000004709 seconds fast", f"{seconds} seconds {side}"))


@pytest.mark.parametrize(
    ("timedatectl", "chronyc", "synced", "offset_ms"),
    [
        pytest.param(SYNCED, ABSENT, True, None, id="systemd-alone"),
        pytest.param(UNSYNCED, ABSENT, False, None, id="systemd-not-synchronised"),
        pytest.param(SYNCED, tracking("0.099000000"), True, 99.0, id="99-ms-slow"),
        pytest.param(SYNCED, tracking("0.100000000", "fast"), True, 100.0, id="100-ms-fast"),
        pytest.param(SYNCED, tracking("0.101000000"), True, 101.0, id="101-ms-slow"),
        pytest.param(UNSYNCED, Said(0, TRACKING), True, 0.004709, id="chrony-without-rtcsync"),
        pytest.param(SYNCED, Said(0, NO_SOURCE), False, 0.0, id="chrony-without-a-source"),
        pytest.param(SYNCED, Said(0, TRACKING.replace("CB00710F", "7F7F0101")), False, 0.004709, id="chrony-local"),
        pytest.param(SYNCED, STOPPED, True, None, id="chrony-stopped"),
        pytest.param(NO_SYSTEMD, ABSENT, None, None, id="neither"),
        pytest.param(NO_SYSTEMD, Said(0, TRACKING), True, 0.004709, id="chrony-alone"),
        pytest.param(SYNCED, Said(0, "System time : nonsense"), True, None, id="chrony-not-understood"),
        pytest.param(Said(0, "NTPSynchronized=\n"), STOPPED, None, None, id="nothing-understood"),
    ],
)
def test_R020_A94_the_clock_as_two_programs_tell(
    timedatectl: Said,
    chronyc: Said,
    synced: bool | None,  # noqa: FBT001
    offset_ms: float | None,
) -> None:
    found = clock_findings(timedatectl, chronyc)
    assert found["clock_synced"].value is synced
    assert found["clock_offset"].value == (None if offset_ms is None else pytest.approx(offset_ms))
    assert all(one.said for one in found.values())


def test_R020_why_the_clock_cannot_be_checked_is_said() -> None:
    said = clock_findings(NO_SYSTEMD, STOPPED)["clock_synced"].said
    assert "System has not been booted with systemd" in said
    assert "506 Cannot talk to daemon" in said


def test_programs_are_read_as_they_are() -> None:
    assert asyncio.run(run_program(("sh", "-c", "echo yes; echo no >&2; exit 3"))) == Said(3, "yes\n", "no\n")
    assert asyncio.run(run_program(("no-such-program-here",))).code == NOT_INSTALLED
    assert NO_ANSWER != NOT_INSTALLED


# ── 1.2 secrets, alerts ──


@pytest.mark.parametrize("value", [None, "", "   "])
@pytest.mark.parametrize(
    ("name", "fact"), [("BINANCE_API_KEY", "api_key_set"), ("BINANCE_API_SECRET", "api_secret_set")]
)
def test_R021_R022_each_variable_alone(name: str, fact: str, value: str | None, tmp_path: Path) -> None:
    environ = {**ENVIRON, name: value} if value is not None else {k: v for k, v in ENVIRON.items() if k != name}
    with pytest.raises(UsageError) as refused:
        connection(Mode.REAL, tmp_path / "ledger.db", environ)
    found = keys_set(refused.value)
    assert found.pop(fact) == no(f"{name} is not set, or empty")
    assert [one.value for one in found.values()] == [True]
    whole = keys_set(Connection(Mode.REAL, Keys(KEY, SECRET)))
    assert [one.value for one in whole.values()] == [True, True]
    assert KEY not in repr((found, whole))
    assert SECRET not in repr((found, whole))


def test_R021_an_account_that_is_not_there_has_no_key() -> None:
    nowhere = UsageError(Problem("no-exchange", "x", "no simulated exchange is announced"))
    with pytest.raises(UsageError, match="announced"):
        keys_set(nowhere)


@pytest.mark.parametrize("name", ["FUTURES_TELEGRAM_BOT_TOKEN", "FUTURES_TELEGRAM_CHAT_ID"])
def test_R023_R024_without_a_variable_no_message_leaves(name: str) -> None:
    messenger = Messenger()
    found = asyncio.run(delivered(frozen().notification, {**ENVIRON, name: ""}, NOW_MS, messenger))
    assert (found.value, messenger.received) == (None, [])
    assert found.said == f"not configured: {name} not set"


def test_R054_a_message_that_is_taken_is_delivered_and_one_that_is_refused_is_not() -> None:
    notification = frozen().notification
    taking, refusing = Messenger(), Messenger(takes=False)
    assert asyncio.run(delivered(notification, ENVIRON, NOW_MS, taking)).value is True
    found = asyncio.run(delivered(notification, ENVIRON, NOW_MS, refusing))
    assert found.value is False
    ((address, text),) = taking.received
    assert address.startswith(f"tgram://{TOKEN}/")
    assert text.startswith("[PROD-R1] INFO  test message of the launch guard")
    assert TOKEN not in found.said
    off = dataclasses.replace(notification, enabled=False)
    assert asyncio.run(delivered(off, ENVIRON, NOW_MS, taking)).value is None
    assert len(taking.received) == 1


# ── 1.3 configuration ──


def test_R030_R031_every_flipped_byte_is_another_hash(tmp_path: Path) -> None:
    raw = CONFIG.read_bytes()
    other = tmp_path / "config.yaml"
    for at in (0, len(raw) // 2, len(raw) - 1):
        other.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        assert hash_matches(read_rules(RULES, other)).value is False
    other.write_bytes(raw)
    assert hash_matches(read_rules(RULES, other)) == yes("4f4d… as pinned")
    gone = hash_matches(read_rules(RULES, tmp_path / "gone.yaml"))
    assert (gone.value, "no such file" in gone.said) == (None, True)


def test_R002_R031_a_bundle_whose_own_file_was_changed_decides_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    for path in RULES.parent.glob("*.yaml"):
        (tmp_path / "config" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "policies").symlink_to(RULES.parent.parent / "policies")
    changed = tmp_path / "config" / CONFIG.name
    changed.write_text(changed.read_text().replace("fee_bps: 5 ", "fee_bps: 4 "))
    rules = read_rules(tmp_path / "config" / RULES.name)
    found = hash_matches(rules)
    assert (found.value, rules.digest, rules.policy.name) == (False, "", "launch")
    assert "the bundle pins 4f4d" in found.said
    assert hash_matches(read_rules(tmp_path / "config" / RULES.name, CONFIG)).value is False


def test_R032_to_R037_the_frozen_values() -> None:
    found = {name: one.value for name, one in frozen_values(load_config(CONFIG)).items()}
    assert found == {
        "trade_on": "next_open",
        "config_fee": 5.0,
        "config_slippage": 3.0,
        "config_funding": True,
        "config_ensemble": True,
        "weight_btc": pytest.approx(34.0),
        "weight_eth": pytest.approx(33.0),
        "weight_sol": pytest.approx(33.0),
    }


# ── 1.4 data ──


def opens(*hours_ago: float) -> np.ndarray[Any, Any]:
    return np.array(sorted(NOW_MS - round(hours * HOUR_MS) for hours in hours_ago), dtype=np.int64)


@pytest.mark.parametrize("minutes", [119, 119.99, 120, 121])
def test_R040_A88_the_age_is_from_the_close_of_the_oldest_symbol(minutes: float) -> None:
    fresh, old = opens(1.5), opens(minutes / 60 + 1)
    found = last_bar_age({"BTCUSDT": fresh, "ETHUSDT": old, "SOLUSDT": fresh}, NOW_MS)
    assert found.value == pytest.approx(minutes)
    assert found.said.startswith("ETHUSDT: closed ")


def test_R040_a_bar_that_still_runs_is_not_closed() -> None:
    assert last_bar_age({"BTCUSDT": opens(3, 0.5)}, NOW_MS).value == 120.0
    assert last_bar_age({"BTCUSDT": opens(0.5)}, NOW_MS).value == NOW_MS / MINUTE_MS


@pytest.mark.parametrize(
    ("ends_ago", "step_hours", "found_hours"),
    [(48, 3, 3), (48, 4, 4), (719.9, 4, 4), (721, 4, 1), (31 * 24, 90, 1)],
)
def test_R041_A89_the_largest_step_of_thirty_days(ends_ago: float, step_hours: int, found_hours: int) -> None:
    every = np.arange(NOW_MS - 40 * DAY_MS, NOW_MS, HOUR_MS, dtype=np.int64)
    end = NOW_MS - round(ends_ago * HOUR_MS)
    kept = every[(every >= end) | (every <= end - step_hours * HOUR_MS)]
    shifted = np.where(kept >= end, kept + (end - kept[kept >= end][0]), kept)
    before = shifted[shifted < end]
    shifted = np.where(shifted < end, shifted + (end - step_hours * HOUR_MS - before[-1]), shifted)
    found = largest_gap({"BTCUSDT": every, "SOLUSDT": shifted}, NOW_MS)
    assert found.value == pytest.approx(found_hours * 60)
    assert found.said.startswith("none" if found_hours == 1 else "SOLUSDT: ")


def test_R041_bars_that_begin_within_the_window_leave_a_gap_before_them() -> None:
    since = np.arange(NOW_MS - 5 * DAY_MS, NOW_MS, HOUR_MS, dtype=np.int64)
    assert largest_gap({"BTCUSDT": since}, NOW_MS).value == 25 * 24 * 60


def test_R039_R040_R041_a_store_with_a_symbol_missing_a_bar_late_and_a_gap(tmp_path: Path) -> None:
    hour_ms = NOW_MS - NOW_MS % HOUR_MS
    whole = data_findings(fill_store(tmp_path / "whole.db"), SYMBOLS, NOW_MS)
    assert {name: one.value for name, one in whole.items()} == {
        "symbols_with_data": 3,
        "last_bar_age": 20.0,
        "largest_gap_30d": 60.0,
    }
    gaps = {"ETHUSDT": [hour_ms - 10 * HOUR_MS, hour_ms - 11 * HOUR_MS]}
    gap = data_findings(fill_store(tmp_path / "gap.db", without=gaps), SYMBOLS, NOW_MS)
    assert gap["largest_gap_30d"] == Finding(180.0, "ETHUSDT: 3 h from 2026-03-01T00:00:00Z")
    late = data_findings(fill_store(tmp_path / "late.db", until_ms=NOW_MS - 2 * HOUR_MS), SYMBOLS, NOW_MS)
    assert late["last_bar_age"].value == 140.0
    other = data_findings(tmp_path / "whole.db", ("BTCUSDT", "DOGEUSDT"), NOW_MS)
    assert [one.value for one in other.values()] == [1, None, None]
    assert "DOGEUSDT" in other["largest_gap_30d"].said
    nothing = data_findings(tmp_path / "none.db", SYMBOLS, NOW_MS)
    assert [one.value for one in nothing.values()] == [0, None, None]


# ── 1.6 stop levels ──


def stop_at(hours: int) -> tuple[Stop | None, Signals]:
    """Return the last stop on the bars of so many hours, the last of which has just opened."""
    choice = frozen().ensemble.strategies["BTCUSDT"]
    bars = market().bars["BTCUSDT"].part(0, hours)
    closed = bars.part(0, hours - 1)
    price = bars.open[-1:]
    running = closed.joined(type(bars)("BTCUSDT", bars.open_time_ms[-1:], price, price, price, price, np.zeros(1)))
    signals = make_sleeves({"BTCUSDT": choice}, {"BTCUSDT": running}, ["BTCUSDT"], 3.0)["BTCUSDT"].signals
    return last_stop(running, signals, choice.params, 3.0), signals


def test_R053_every_stop_is_its_fill_less_or_plus_three_and_a_half_atr() -> None:
    bars = market().bars["BTCUSDT"]
    seen = {}
    for hours in range(200, len(bars), 31):
        stop, signals = stop_at(hours)
        if stop is None:
            continue
        assert stop.correct, (hours, stop)
        assert stop.live == (not math.isnan(signals.stop_price[-1]))
        seen[stop.entry_ms] = stop
    sides = {one.level < one.fill for one in seen.values()}
    assert (len(seen) > 5, sides) == (True, {True, False})  # long and short
    entry = int(np.searchsorted(bars.open_time_ms, min(seen)))
    stop = seen[min(seen)]
    side = 1 if stop.level < stop.fill else -1
    assert stop.fill == pytest.approx(bars.open[entry] * (1 + side * 3e-4))
    assert stop.level == pytest.approx(stop.fill - side * 3.5 * wilder(bars, 14, entry - 1))


@pytest.mark.parametrize("factor", [1 - 1e-6, 1 + 1e-6])
def test_R053_a_stop_that_stands_elsewhere_is_found(factor: float) -> None:
    choice = frozen().ensemble.strategies["BTCUSDT"]
    bars = market().bars["BTCUSDT"].part(0, 2200)
    signals = make_sleeves({"BTCUSDT": choice}, {"BTCUSDT": bars}, ["BTCUSDT"], 3.0)["BTCUSDT"].signals
    moved = dataclasses.replace(signals, stop_price=signals.stop_price * factor)
    stop = last_stop(bars, moved, choice.params, 3.0)
    assert stop is not None
    assert not stop.correct


def test_R053_wilders_average_by_hand() -> None:
    bars = market().bars["BTCUSDT"].part(0, 3)
    first = bars.high[0] - bars.low[0]
    second = max(bars.high[1] - bars.low[1], abs(bars.high[1] - bars.close[0]), abs(bars.low[1] - bars.close[0]))
    assert wilder(bars, 2, 1) == pytest.approx((first + second) / 2)
    assert stop_at(30)[0] is None  # no entry yet, so no stop


# ── probes as such ──


def test_R044_probes_run_at_once_and_one_that_hangs_says_so_in_time() -> None:
    async def hang() -> Findings:
        await asyncio.sleep(1_000)
        return {}

    async def fail() -> Findings:
        raise DataError([Problem("a", "x.db", "is gone"), Problem("b", "y.db", "as well")])

    async def half() -> Findings:
        await asyncio.sleep(4)
        return {"said": yes("so"), "not-asked": yes("it is no fact of this probe")}

    probes = [Probe(("hung",), hang), Probe(("failed",), fail), Probe(("said", "unsaid"), half)]

    async def main(clock: Clock) -> tuple[Findings, int]:
        return await find_out(probes, limit_s=5), clock.now_ms()

    found, ended_ms = run_virtual(main, 0)
    assert ended_ms == 5_000
    assert found == {
        "hung": Finding(None, "no answer within 5 s"),
        "failed": Finding(None, "x.db: is gone (and 1 more)"),
        "said": yes("so"),
        "unsaid": Finding(None, "the probe did not say"),
    }
