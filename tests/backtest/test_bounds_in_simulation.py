"""The policy in the loop: exposure, cap, blocked entries, forced flats, missed entries, virtual flows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backtest import Bounds, Fill, Simulation
from engine.clock import HOUR_MS
from engine.portfolio import SymbolFilters
from strategies.breakout_raw import BreakoutParams
from strategies.breakout_vol_atr import BreakoutSleeve, breakout_vol_atr
from strategies.sleeve import Ending
from tests.backtest.builders import R1_COSTS, account, held, market_of
from tests.strategies.builders import LIVELY, random_bars
from tests.strategies.loops import loop_breakout

if TYPE_CHECKING:
    from strategies.bars import Bars

FULL = Bounds()
HALF = Bounds(exposure=0.5)
PAUSED = Bounds(exposure=0.0, entries_allowed=False)
BLOCKED = Bounds(entries_allowed=False)


def test_R138_a_cut_halves_open_positions_at_the_next_open_past_the_dead_band() -> None:
    found = held([100.0] * 8, [1.0] * 8, dead_band=0.9)
    found.run(3)
    assert found.qty == {"BTCUSDT": 100.0}
    found.run(8, HALF)
    assert [(fill.bar, fill.qty, fill.reason) for fill in found.fills] == [(1, 100.0, "entry"), (3, 50.0, "reduce")]
    assert found.history().exposure.tolist() == [1.0] * 3 + [0.5] * 5


def test_a_small_cut_passes_the_dead_band_once_and_only_downwards() -> None:
    found = held([100.0] * 8, [1.0] * 8, dead_band=0.05)
    found.run(3)
    found.run(5, Bounds(exposure=0.99))
    found.run(8, Bounds(exposure=1.0))
    assert [(fill.bar, fill.reason) for fill in found.fills] == [(1, "entry"), (3, "reduce")]


def test_trim_may_be_asked_for_without_a_cut() -> None:
    closes = [100.0, 100.0, 110.0, 110.0, 110.0]
    runs = [held(closes, [-1.0] * 5, dead_band=0.5) for _ in range(2)]
    for run, trim in zip(runs, (False, True), strict=True):
        run.run(3)
        run.run(5, Bounds(trim=trim))
    assert [len(run.fills) for run in runs] == [1, 2]
    assert runs[1].fills[1].reason == "reduce"
    assert runs[1].qty["BTCUSDT"] == pytest.approx(-9_000 / 110)


def test_a_lower_cap_cuts_like_a_lower_exposure() -> None:
    found = held([100.0] * 6, [1.0] * 6, dead_band=0.9)
    found.run(2, Bounds(cap_usd=8_000.0))
    found.run(6, Bounds(cap_usd=5_000.0))
    assert [(fill.bar, fill.qty_after) for fill in found.fills] == [(1, 80.0), (2, 50.0)]
    assert found.history().cap_usd.tolist() == [8_000.0] * 2 + [5_000.0] * 4


def test_an_exposure_given_back_is_taken_up_again() -> None:
    found = held([100.0] * 6, [1.0] * 6, dead_band=0.05)
    for until, bounds in ((2, FULL), (4, HALF), (6, FULL)):
        found.run(until, bounds)
    assert [fill.qty_after for fill in found.fills] == [100.0, 50.0, 100.0]


def test_A31_a_cut_passes_the_venues_minimum() -> None:
    limits = {"BTCUSDT": SymbolFilters(step_size=0.001, min_qty=0.001, min_notional_usd=5_000.0)}
    found = held([100.0] * 6, [0.6] * 6, filters=limits)
    found.run(3)
    found.run(6, Bounds(exposure=0.9))
    assert [(fill.bar, fill.qty_after) for fill in found.fills] == [(1, 60.0), (3, pytest.approx(54.0))]


def test_R140_exposure_0_closes_everything_at_the_next_open() -> None:
    found = held([100.0] * 6, [1.0, 1.0, 1.0, -1.0, -1.0, -1.0], dead_band=0.9)
    found.run(2)
    found.run(6, PAUSED)
    assert [(fill.bar, fill.reason, fill.qty_after) for fill in found.fills] == [
        (1, "entry", 100.0),
        (2, "flatten", 0.0),
    ]


def test_blocked_entries_open_nothing_close_half_a_flip_and_let_positions_shrink() -> None:
    found = held([100.0] * 9, [0.0, 0.5, 1.0, 0.25, -1.0, -1.0, 0.0, 0.0, 0.0])
    found.run(3)
    found.run(9, BLOCKED)
    assert [(fill.bar, fill.reason, fill.qty_after) for fill in found.fills] == [
        (2, "entry", 50.0),
        (4, "rebalance", 25.0),
        (5, "exit", 0.0),
    ]


def test_R091_a_flow_changes_units_and_sizes_never_the_value_of_a_unit() -> None:
    closes = [100.0, 100.0, 110.0, 110.0, 121.0]
    plain, fed = held(closes, [0.5] * 5, dead_band=0.9), held(closes, [0.5] * 5)
    for run in (plain, fed):
        run.run(3)
    before = fed.nav
    fed.add_flow(5_000.0)
    assert fed.nav == before
    assert fed.equity_usd == pytest.approx(plain.equity_usd + 5_000.0)
    fed.run(5)
    assert fed.history().units[2] == 10_000.0
    assert fed.history().units[3] == pytest.approx(10_000.0 + 5_000.0 / before)
    assert fed.fills[-1].bar in {3, 4}
    assert fed.qty["BTCUSDT"] * 121.0 > plain.qty["BTCUSDT"] * 121.0


def test_R091_the_same_returns_with_and_without_a_deposit() -> None:
    bars = random_bars(4, 300)
    sleeves = {"BTCUSDT": breakout_vol_atr(bars, BreakoutParams(**LIVELY), 3.0)}
    plain, fed = (account(market_of(bars), sleeves, costs=R1_COSTS) for _ in range(2))
    plain.run(300)
    for hour in range(1, 301):
        fed.run(hour)
        if hour == 137:
            fed.add_flow(2_500.0)
    assert np.allclose(plain.history().nav, fed.history().nav, rtol=2e-3)
    assert plain.history().nav[136] == fed.history().nav[136]


def test_a_flow_that_empties_the_account_is_refused() -> None:
    found = held([100.0] * 3, [0.0] * 3)
    with pytest.raises(ValueError, match="does not fit"):
        found.add_flow(-10_000.0)


# --- the breakout remembers -------------------------------------------------------------------------------------------


def lively(seed: int, hours: int = 400) -> tuple[Bars, BreakoutSleeve, Simulation]:
    bars = random_bars(seed, hours)
    sleeve = breakout_vol_atr(bars, BreakoutParams(**LIVELY), 3.0)
    return bars, sleeve, account(market_of(bars), {"BTCUSDT": sleeve}, costs=R1_COSTS, dead_band=0.05)


def breakout_of(run: Simulation) -> BreakoutSleeve:
    sleeve = run.sleeves["BTCUSDT"]
    assert isinstance(sleeve, BreakoutSleeve)
    return sleeve


@given(
    seed=st.integers(0, 10**6),
    changes=st.lists(st.tuples(st.integers(1, 399), st.sampled_from([FULL, HALF, PAUSED, BLOCKED])), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_forced_flats_and_missed_entries_wait_for_a_fresh_breakout(
    seed: int, changes: list[tuple[int, Bounds]]
) -> None:
    bars, first, run = lively(seed)
    bounds = FULL
    for until, following in sorted(changes, key=lambda change: change[0]):
        run.run(until, bounds)
        bounds = following
    run.run(400, bounds)
    # The account and the sleeve agree on what is held, but for what a restart at the very last close would tell.
    told = [restart.bar - 1 for restart in run.restarts]
    assert np.array_equal(breakout_of(run).signals.position, np.array(loop_breakout(bars, LIVELY, 3e-4, told).position))
    history = run.history()
    decided = breakout_of(run).signals.position
    for hour in range(1, 400):
        if history.qty[hour, 0] != 0.0:
            assert np.sign(history.qty[hour, 0]) == np.sign(decided[hour - 1])
        elif decided[hour - 1] != 0.0:
            assert breakout_of(run).signals.ending[hour] == Ending.STOP, "a position decided but not held"
    assert (history.qty[history.exposure == 0.0] == 0.0).all()
    if not changes:
        assert breakout_of(run) is first


def first_entry(sleeve: BreakoutSleeve) -> int:
    return int(np.flatnonzero(sleeve.signals.position)[0])


def test_a_forced_flat_cools_down_and_the_still_standing_state_is_not_taken_up_again() -> None:
    seed = next(seed for seed in range(500) if _stands(lively(seed)[1]) > 10)
    bars, sleeve, run = lively(seed)
    entry = first_entry(sleeve)
    run.run(entry + 3)
    assert run.qty["BTCUSDT"] != 0.0
    run.run(entry + 4, PAUSED)
    assert run.qty["BTCUSDT"] == 0.0
    run.run(400, FULL)
    assert run.fills[1].reason == "flatten"
    assert (run.restarts[0].bar, run.restarts[0].reason) == (entry + 3, "flatten")
    exit_bar = entry + 2  # the bar at whose close it was decided
    later = [fill.bar - 1 for fill in run.fills[2:] if fill.reason == "entry"]
    starts = [breakout.start for breakout in sleeve.breakouts]
    assert all(bar > exit_bar + LIVELY["cooldown_bars"] and bar in starts for bar in later)
    assert len(bars) == 400


def _stands(sleeve: BreakoutSleeve) -> int:
    """Return how long the first trade stands, 0 where its raw state ends with it."""
    trade, breakout = sleeve.trades[0], sleeve.breakouts[0]
    return trade.end - trade.start if breakout.end > trade.start + 10 else 0


def test_an_account_that_opens_in_the_middle_of_a_trade_has_missed_its_entry() -> None:
    seed = next(seed for seed in range(500) if _stands(lively(seed)[1]) > 6)
    bars, sleeve, _ = lively(seed)
    entry = first_entry(sleeve)
    for offset, taken in ((1, True), (2, False)):
        start_ms = int(bars.open_time_ms[entry + offset])
        run = account(market_of(bars), {"BTCUSDT": sleeve}, start_ms=start_ms)
        run.run(3)
        assert (run.qty["BTCUSDT"] != 0.0) is taken
        assert [restart.reason for restart in run.restarts] == ([] if taken else ["standing"])


def test_an_entry_that_the_venue_refuses_is_missed() -> None:
    bars, sleeve, _ = lively(3)
    limits = {"BTCUSDT": SymbolFilters(step_size=1.0, min_qty=1e9, min_notional_usd=5.0)}
    run = account(market_of(bars), {"BTCUSDT": sleeve}, filters=limits)
    run.run(400)
    assert run.fills == []
    assert {restart.reason for restart in run.restarts} == {"minimum"}
    assert len(run.skips) == 1


# --- stops and the time stop, as filled -------------------------------------------------------------------------------


def test_R005_R053_stops_fill_in_the_bar_that_finds_them_and_time_stops_after_the_exact_hours() -> None:
    counts = {"entry": 0, "exit": 0, "stop": 0, "time_stop": 0, "rebalance": 0}
    for seed in range(12):
        bars, sleeve, run = lively(seed)
        run.run(400)
        opened = 0
        for fill in run.fills:
            counts[fill.reason] += 1
            if fill.reason == "entry":
                opened = fill.bar
            elif fill.reason == "time_stop":
                assert fill.bar - opened == LIVELY["max_holding_bars"]
                assert fill.at_ms == bars.open_time_ms[fill.bar]
            elif fill.reason == "stop":
                assert_stopped(fill, bars, float(sleeve.signals.stop_price[fill.bar]))
    assert min(counts[reason] for reason in ("entry", "exit", "stop", "time_stop")) > 10


def assert_stopped(fill: Fill, bars: Bars, trigger: float) -> None:
    long = fill.side < 0
    assert fill.ref_kind == "stop"
    assert fill.ref_price == trigger
    assert bars.low[fill.bar] <= trigger if long else bars.high[fill.bar] >= trigger
    at = min(bars.open[fill.bar], trigger) if long else max(bars.open[fill.bar], trigger)
    assert fill.price == pytest.approx(at * (1 + fill.side * 3e-4))
    assert fill.slippage_usd == pytest.approx(fill.qty * at * 3e-4)
    assert fill.at_ms == bars.open_time_ms[fill.bar] + HOUR_MS - 1, "told at the close, before the mark"


def test_a_gap_beyond_the_stop_fills_at_the_open() -> None:
    gapped = 0
    for seed in range(40):
        bars, sleeve, _ = lively(seed)
        stopped = np.flatnonzero(sleeve.signals.ending == Ending.STOP)
        for bar in stopped[:2].tolist():
            stop = sleeve.signals.stop_price[bar]
            long = sleeve.signals.position[bar - 1] > 0
            beyond = stop * (0.97 if long else 1.03)
            bars.open[bar] = beyond
            bars.low[bar], bars.high[bar] = min(bars.low[bar], beyond), max(bars.high[bar], beyond)
            again = breakout_vol_atr(bars, BreakoutParams(**LIVELY), 3.0)
            if again.signals.ending[bar] != Ending.STOP or np.isnan(again.signals.stop_price[bar - 1]):
                continue
            run = account(market_of(bars), {"BTCUSDT": again}, dead_band=0.05)
            run.run(400)
            fill = next(fill for fill in run.fills if fill.bar == bar and fill.reason == "stop")
            assert fill.price == pytest.approx(beyond)
            gapped += 1
    assert gapped > 10
