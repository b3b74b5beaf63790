from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.breakout_raw import Breakout, BreakoutParams, Channel, raw_breakouts
from strategies.breakout_vol_atr import BreakoutSleeve, breakout_vol_atr
from strategies.sleeve import Ending
from tests.strategies.builders import BREAKOUT, LIVELY, Rows, bars_of, random_bars, real_bars
from tests.strategies.loops import Looped, loop_breakout

if TYPE_CHECKING:
    from pathlib import Path

    from strategies.bars import Bars

SLIPPAGE_BPS = 3.0


def sleeve_of(bars: Bars, **changes: Any) -> BreakoutSleeve:
    return breakout_vol_atr(bars, BreakoutParams(**{**BREAKOUT, **changes}), SLIPPAGE_BPS)


def assert_same(sleeve: BreakoutSleeve, expected: Looped) -> None:
    shown = sleeve.indicators()
    assert shown["raw_state"].tolist() == expected.raw
    assert sleeve.signals.position.tolist() == expected.position
    assert shown["expanding"].tolist() == [float(flag) for flag in expected.expanding]
    assert np.allclose(shown["mid"], expected.mid, rtol=1e-11, atol=0)
    for found, looped in ((sleeve.signals.stop_price, expected.stop), (shown["atr"], expected.atr)):
        assert np.allclose(found, np.array(looped, dtype=float), rtol=1e-11, atol=0, equal_nan=True)


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 400),
    fake=st.integers(0, 8),
    cooldown=st.integers(0, 12),
    trail=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_R003_the_breakout_equals_a_bar_by_bar_loop(
    seed: int, count: int, fake: int, cooldown: int, *, trail: bool
) -> None:
    params = {**LIVELY, "trail_exit_mid": trail, "fake_breakout_bars": fake, "cooldown_bars": cooldown}
    bars = random_bars(seed, count)
    assert_same(sleeve_of(bars, **params), loop_breakout(bars, params, SLIPPAGE_BPS / 1e4))


@given(st.integers(0, 10**6), st.lists(st.integers(0, 399), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_restart_equals_the_loop_that_is_told_of_it(seed: int, restarts: list[int]) -> None:
    bars = random_bars(seed, 400)
    sleeve = sleeve_of(bars, **LIVELY)
    for t in sorted(restarts):
        before = sleeve.signals
        sleeve = sleeve.restart(t)
        assert np.array_equal(sleeve.signals.position[:t], before.position[:t])
        assert np.array_equal(sleeve.signals.stop_price[: t + 1], before.stop_price[: t + 1], equal_nan=True)
        assert (sleeve.signals.position[t : t + LIVELY["cooldown_bars"] + 1] == 0.0).all()
    assert_same(sleeve, loop_breakout(bars, LIVELY, SLIPPAGE_BPS / 1e4, restarts))


def test_R003_R004_the_frozen_breakout_on_recorded_prices(real_data: Path) -> None:
    bars = real_bars(real_data, "BTCUSDT")
    sleeve = sleeve_of(bars)
    assert_same(sleeve, loop_breakout(bars, BREAKOUT, SLIPPAGE_BPS / 1e4))
    endings = np.bincount(sleeve.signals.ending, minlength=5)
    assert all(endings[kind] > 20 for kind in (Ending.RULE, Ending.STOP, Ending.TIME_STOP)), "nothing to compare"


def test_R005_R006_no_recorded_trade_outlives_72_bars_or_exceeds_seven_tenths(real_data: Path) -> None:
    signals = sleeve_of(real_bars(real_data, "BTCUSDT")).signals
    edges = np.flatnonzero(np.diff(np.concatenate([[0.0], signals.position, [0.0]])))
    held = edges[1::2] - edges[::2]
    assert held.max() == 72
    assert set(np.unique(np.abs(signals.position))) == {0.0, 0.7}


# --- the raw state, with bands given by hand -----------------------------------------------------------------------


def raw_of(
    close: list[float], *, upper: float = 110.0, lower: float = 90.0, mid: float = 100.0, **changes: Any
) -> list[Breakout]:
    count = len(close)
    level = np.ones(count)
    channel = Channel(level, mid * level, upper * level, lower * level, level > 0)
    params = BreakoutParams(**{**BREAKOUT, **changes})
    return list(raw_breakouts(np.array(close), channel, params))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("back_after", "closed"), [(1, True), (6, True), (7, False)])
def test_a_fake_breakout_closes_up_to_6_bars_after_the_entry(sign: int, back_after: int, *, closed: bool) -> None:
    close = [100.0] + [100.0 + sign * 15] * back_after + [100.0 + sign * 5] * 40
    found = raw_of(close)[0]
    assert found == Breakout(1, 1 + back_after if closed else len(close), sign)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("crosses_after", "ends_after"), [(23, 24), (24, 24), (30, 30)])
def test_the_middle_closes_from_24_bars_held(sign: int, crosses_after: int, ends_after: int) -> None:
    close = [100.0] + [100.0 + sign * 15] * crosses_after + [100.0 - sign * 5] * 30
    assert raw_of(close)[0] == Breakout(1, 1 + ends_after, sign)
    assert raw_of(close, trail_exit_mid=False)[0].end == len(close)


def test_a_middle_crossed_only_for_a_while_before_24_bars_closes_nothing() -> None:
    close = [100.0] + [115.0] * 10 + [95.0] * 13 + [115.0] * 10
    assert raw_of(close) == [Breakout(1, len(close), 1)]


def test_touching_a_band_opens_nothing_and_touching_it_again_closes_nothing() -> None:
    assert raw_of([100.0, 110.0, 90.0, 100.0]) == []
    assert raw_of([100.0, 110.1, 110.0, 110.0]) == [Breakout(1, 4, 1)]


def test_a_bar_that_closes_a_position_opens_none() -> None:
    close = [100.0, 115.0, 85.0, 85.0, 85.0]
    assert raw_of(close) == [Breakout(1, 2, 1), Breakout(3, 5, -1)]


def test_before_a_band_exists_the_state_is_flat() -> None:
    sleeve = sleeve_of(bars_of([100.0] * 5 + [150.0] * 10))
    assert sleeve.signals.position.tolist() == [0.0] * 15
    assert np.isnan(sleeve.indicators()["upper"][:13]).all()


# --- stop, time stop and cool-down, on bars written by hand ---------------------------------------------------------

CALM = 500
SIGNAL = CALM  # the bar that breaks out
ENTRY = CALM + 1


def jump(sign: int = 1, *, after: int = 150) -> Rows:
    """Return 500 calm bars around 100 and a jump by 10 that stays."""
    close = [100.0 + 0.02 * (-1) ** t for t in range(CALM)] + [100.0 + 10.0 * sign] * after
    open_ = [close[0], *close[:-1]]
    high = [max(pair) + 0.03 for pair in zip(open_, close, strict=True)]
    low = [min(pair) - 0.03 for pair in zip(open_, close, strict=True)]
    return Rows(close, open_, high, low)


def stop_of(rows: Rows) -> float:
    return float(sleeve_of(rows.bars()).signals.stop_price[ENTRY])


@pytest.mark.parametrize("sign", [1, -1])
def test_R053_the_stop_is_the_entry_fill_minus_3_5_atr_of_the_signal_bar(sign: int) -> None:
    rows = jump(sign)
    rows.open[ENTRY] = 110.5 if sign > 0 else 89.5
    rows.high[ENTRY] = max(rows.high[ENTRY], rows.open[ENTRY])
    rows.low[ENTRY] = min(rows.low[ENTRY], rows.open[ENTRY])
    sleeve = sleeve_of(rows.bars())
    fill = rows.open[ENTRY] * (1 + sign * 3e-4)
    expected = fill - sign * 3.5 * sleeve.indicators()["atr"][SIGNAL]
    assert sleeve.signals.stop_price[ENTRY] == pytest.approx(expected)
    assert np.isnan(sleeve.signals.stop_price[SIGNAL])
    live = ~np.isnan(sleeve.signals.stop_price)
    assert live.sum() == 72
    assert live[ENTRY : ENTRY + 72].all()


@pytest.mark.parametrize("sign", [1, -1])
def test_R005_the_time_stop_decides_at_72_bars_held(sign: int) -> None:
    signals = sleeve_of(jump(sign).bars()).signals
    assert signals.position[SIGNAL - 1] == 0.0
    assert signals.position[SIGNAL : SIGNAL + 72].tolist() == [0.7 * sign] * 72
    assert signals.position[SIGNAL + 72] == 0.0
    assert signals.ending[SIGNAL + 72] == Ending.TIME_STOP
    assert (signals.position[SIGNAL + 72 :] == 0.0).all(), "a raw state that still stands is no fresh breakout"


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bar", [ENTRY, ENTRY + 1, ENTRY + 71])
@pytest.mark.parametrize(("beyond", "hit"), [(0.0, True), (1e-9, True), (-1e-9, False), (5.0, True)])
def test_the_stop_is_live_from_the_entry_bar_on_and_counts_at_its_price(
    sign: int, bar: int, beyond: float, *, hit: bool
) -> None:
    rows = jump(sign)
    stop = stop_of(rows)
    (rows.low if sign > 0 else rows.high)[bar] = stop - sign * beyond
    signals = sleeve_of(rows.bars()).signals
    assert signals.position[bar] == 0.0 or not hit
    assert bool(signals.ending[bar] == Ending.STOP) is hit
    assert signals.stop_price[bar] == pytest.approx(stop)


def test_a_stop_hit_before_the_entry_is_none() -> None:
    rows = jump()
    rows.low[SIGNAL] = 50.0
    assert sleeve_of(rows.bars()).signals.position[SIGNAL] == 0.7


def second_jump(breaks_again_after: int) -> Rows:
    """Return a jump that is stopped and called off in its entry bar, and another so many bars after that."""
    rows = jump(after=1)
    close = rows.close + [100.0] * breaks_again_after + [140.0] * 40
    open_ = [close[0], *close[:-1]]
    high = [max(pair) for pair in zip(open_, close, strict=True)]
    low = [min(pair) for pair in zip(open_, close, strict=True)]
    return Rows(close, open_, high, low)


@pytest.mark.parametrize(("after", "counts"), [(24, False), (25, True)])
def test_after_a_stop_24_bars_of_cool_down_then_a_fresh_breakout_counts(after: int, *, counts: bool) -> None:
    sleeve = sleeve_of(second_jump(after).bars())
    exit_bar, again = ENTRY, ENTRY + after
    assert sleeve.signals.ending[exit_bar] == Ending.STOP
    raw_state = sleeve.indicators()["raw_state"]
    assert raw_state[again - 1] == 0.0
    assert raw_state[again] == 1.0, "the raw state runs on, independent of stops"
    assert bool((sleeve.signals.position[again:] != 0.0).any()) is counts


def test_a_raw_exit_needs_no_cool_down() -> None:
    rows = second_jump(5)
    rows.open[ENTRY] = 110.0
    rows.low[ENTRY] = 109.0
    rows.close[ENTRY] = 109.0  # above the band: stays
    rows.close[ENTRY + 1] = rows.low[ENTRY + 1] = 108.0
    calm_exit = sleeve_of(rows.bars(), channel_multiplier=12.0, expansion_ratio=0.5, stop_loss_atr=99.0)
    endings = calm_exit.signals.ending
    first_exit = int(np.flatnonzero(endings)[0])
    assert endings[first_exit] == Ending.RULE
    again = int(np.flatnonzero(calm_exit.signals.position[first_exit:])[0]) + first_exit
    assert again - first_exit < 24


@pytest.mark.parametrize(("held", "ending"), [(71, Ending.RULE), (72, Ending.RULE), (73, Ending.TIME_STOP)])
def test_a_raw_exit_at_the_bar_of_the_time_stop_is_an_ordinary_exit(held: int, ending: Ending) -> None:
    rows = jump()
    bar = SIGNAL + held
    for values in (rows.close, rows.low):
        values[bar:] = [100.5] * len(values[bar:])
    rows.open[bar + 1 :] = [100.5] * len(rows.open[bar + 1 :])
    sleeve = sleeve_of(rows.bars(), stop_loss_atr=99.0)
    raw_state = sleeve.indicators()["raw_state"]
    assert raw_state[bar - 1] == 1.0
    assert raw_state[bar] == 0.0
    assert sleeve.signals.ending[SIGNAL + min(held, 72)] == ending


def test_a_stop_hit_in_the_bar_of_a_raw_exit_is_a_stop() -> None:
    rows = jump()
    bar = SIGNAL + 5
    rows.close[bar] = rows.low[bar] = 100.0
    sleeve = sleeve_of(rows.bars())
    assert sleeve.indicators()["raw_state"][bar] == 0.0
    assert sleeve.signals.ending[bar] == Ending.STOP


def test_a_signal_at_the_last_bar_stands_and_has_no_stop_yet() -> None:
    signals = sleeve_of(jump().bars().part(0, SIGNAL + 1)).signals
    assert signals.position[-1] == 0.7
    assert np.isnan(signals.stop_price).all()


def test_a_size_that_depends_on_an_undefined_volatility_is_no_signal() -> None:
    scaled = sleeve_of(random_bars(1, 300), vol_scale_floor=0.2, vol_scale_target=0.3, vol_scale_cap=0.9)
    assert np.isnan(scaled.signals.position[:168]).all()
    assert not np.isnan(scaled.signals.position[168:]).any()
    assert np.isnan(scaled.restart(10).signals.position[:168]).all()
    plain = sleeve_of(random_bars(1, 300), vol_scale_enabled=False)
    assert set(np.unique(np.abs(plain.signals.position))) <= {0.0, 1.0}


def test_the_size_follows_the_volatility_between_floor_and_cap() -> None:
    bars = random_bars(11, 600)
    held = np.abs(
        sleeve_of(
            bars, **{**LIVELY, "vol_scale_floor": 0.0, "vol_scale_target": 0.3, "vol_scale_cap": 0.9}
        ).signals.position
    )
    hourly = bars.close[1:] / bars.close[:-1] - 1
    for t in np.flatnonzero(held[168:] > 0) + 168:
        volatility = np.std(hourly[t - 168 : t], ddof=1) * np.sqrt(8760)
        assert held[t] == pytest.approx(min(0.3 / volatility, 0.9), rel=1e-9)
