from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.registry import make_sleeve
from tests.strategies.builders import R1, TREND, bars_of, random_bars, real_bars
from tests.strategies.loops import loop_tsmom

if TYPE_CHECKING:
    from pathlib import Path

    from strategies.bars import Bars, FloatArray

SHORT = {**TREND, "ema_fast": 3, "ema_slow": 8}


def positions(name: str, bars: Bars, **params: object) -> FloatArray:
    return make_sleeve(name, {**SHORT, **params}, bars, 3.0).signals.position


def same(found: float, expected: float | None) -> bool:
    return bool(np.isnan(found)) if expected is None else found == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 10**6), st.integers(2, 160), st.lists(st.integers(2, 60), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_R007_R009_momentum_equals_a_plain_loop(seed: int, count: int, lookbacks: list[int]) -> None:
    bars = random_bars(seed, count)
    found = positions("tsmom_multi_ema", bars, lookbacks=lookbacks)
    expected = loop_tsmom(bars.close.tolist(), lookbacks, SHORT, range(count))
    assert all(same(found[t], expected[t]) for t in range(count))
    alone = positions("tsmom_ema", bars, lookback=lookbacks[0])
    expected = loop_tsmom(bars.close.tolist(), lookbacks[:1], SHORT, range(count))
    assert all(same(alone[t], expected[t]) for t in range(count))


@pytest.mark.parametrize(("symbol", "lookbacks"), [("ETHUSDT", [72, 168, 336, 720]), ("SOLUSDT", [168])])
def test_R008_R010_the_frozen_lookbacks_on_recorded_prices(real_data: Path, symbol: str, lookbacks: list[int]) -> None:
    bars = real_bars(real_data, symbol)
    name, params = R1[symbol]
    found = make_sleeve(name, params, bars, 3.0).signals.position
    some = np.random.default_rng(7).choice(len(bars), 60, replace=False).tolist()
    at = [0, max(lookbacks) - 1, max(lookbacks), len(bars) - 1, *some]
    expected = loop_tsmom(bars.close.tolist(), lookbacks, TREND, at)
    assert all(same(found[t], expected[t]) for t in at)
    assert np.nanmax(np.abs(found)) <= 1.0


def test_R008_eth_needs_721_closes() -> None:
    name, params = R1["ETHUSDT"]
    found = make_sleeve(name, params, random_bars(3, 800, symbol="ETHUSDT"), 3.0).signals.position
    assert np.isnan(found[:720]).all()
    assert not np.isnan(found[720:]).any()


def test_an_undefined_window_is_no_signal_and_never_a_silent_0_in_the_mean() -> None:
    bars = random_bars(5, 40)
    assert np.isnan(positions("tsmom_multi_ema", bars, lookbacks=[5, 39])[:39]).all()
    assert np.isnan(positions("tsmom_multi_ema", bars, lookbacks=[5, 40])).all()


def test_a_price_that_does_not_move_has_the_position_0() -> None:
    found = positions("tsmom_ema", bars_of([50.0] * 30), lookback=10)
    assert found[10:].tolist() == [0.0] * 20


def test_a_steady_climb_has_no_volatility_and_the_largest_scale() -> None:
    found = positions("tsmom_ema", bars_of([100.0 * 1.001**t for t in range(30)]), lookback=10)
    assert found[-1] == 1.0


def test_a_violent_market_keeps_the_smallest_scale() -> None:
    closes = [100.0 * (1.5 if t % 2 else 1.0) * 1.01**t for t in range(40)]
    found = positions("tsmom_ema", bars_of(closes), lookback=10)
    assert set(np.round(np.abs(found[10:]), 12)) <= {0.1, 0.03}


def test_a_position_against_the_trend_is_cut_to_three_tenths() -> None:
    closes = [100.0 + 0.5 * t + 0.3 * (-1) ** t for t in range(40)] + [119.0, 116.0, 113.0, 110.0]
    found = positions("tsmom_ema", bars_of(closes), lookback=38)
    undamped = positions("tsmom_ema", bars_of(closes), lookback=38, disagree_weight=1.0)
    assert found[-1] == pytest.approx(0.3 * undamped[-1])
    assert found[39] == undamped[39]
