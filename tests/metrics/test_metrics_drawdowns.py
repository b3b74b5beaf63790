"""Drawdowns against empyrical and a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.metrics import MISSING, YOUNG, drawdown, drawdown_series, max_drawdown

if TYPE_CHECKING:
    import numpy.typing as npt

HOUR = 3_600_000
DAY = 24 * HOUR

navs = st.lists(st.floats(0.05, 20.0), min_size=1, max_size=50).map(np.array)


def hours(count: int) -> npt.NDArray[np.int64]:
    return HOUR * np.arange(count, dtype=np.int64)


@given(navs, st.floats(0.1, 3.0))
@settings(max_examples=100, deadline=None)
def test_R116_drawdown_is_one_minus_nav_over_the_running_peak(nav: npt.NDArray[np.float64], start: float) -> None:
    peak, expected = start, []
    for value in nav.tolist():
        peak = max(peak, value)
        expected.append(1 - value / peak)
    times = hours(len(nav))
    at = int(times[-1])
    assert drawdown_series(nav, start=start) == pytest.approx(expected, abs=1e-12)
    assert drawdown(times, nav, at, start=start).value == pytest.approx(expected[-1], abs=1e-12)
    assert max_drawdown(times, nav, at, start=start).value == pytest.approx(max(expected), abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_equal_to_empyrical(seed: int) -> None:
    stats = pytest.importorskip("empyrical.stats")
    returns = np.random.default_rng(seed).normal(0, 0.02, 200)
    nav = np.asarray(np.cumprod(1 + returns), np.float64)
    times = hours(200)
    found = max_drawdown(times, nav, int(times[-1]), start=1.0)
    assert found.value == pytest.approx(-float(stats.max_drawdown(returns)), rel=1e-6)
    assert drawdown_series(nav, start=1.0) == pytest.approx(-np.asarray(stats.drawdown_series(returns)), abs=1e-9)


def test_trap_the_starting_point_is_a_peak() -> None:
    nav = np.array([0.93, 0.90, 0.95])
    assert max_drawdown(hours(3), nav, 2 * HOUR, start=1.0).value == pytest.approx(0.10)
    without_start = float(np.max(1 - nav / np.maximum.accumulate(nav)))
    assert without_start == pytest.approx(0.0322580645)


def test_A05_a_new_epoch_starts_from_its_own_nav() -> None:
    nav = np.array([0.88, 0.90, 0.885])
    assert drawdown(hours(3), nav, 2 * HOUR, start=0.88).value == pytest.approx(1 - 0.885 / 0.9)
    assert drawdown(hours(3), nav, 2 * HOUR, start=1.0).value == pytest.approx(0.115)


def test_A04_the_current_drawdown_recovers_the_maximum_stays() -> None:
    nav = np.array([1.0, 0.8, 1.1])
    assert drawdown(hours(3), nav, 2 * HOUR, start=1.0).value == 0.0
    assert max_drawdown(hours(3), nav, 2 * HOUR, start=1.0).value == pytest.approx(0.2)


def test_R116_the_30_day_maximum_keeps_the_epochs_peak_and_forgets_old_troughs() -> None:
    nav = np.array([1.0, 0.7, 1.2, 1.14, 1.15])
    times = DAY * np.array([0, 10, 20, 50, 60])
    at = 60 * DAY
    assert max_drawdown(times, nav, at, start=1.0).value == pytest.approx(0.3)
    # the peak of day 20 lies before the window and still counts; the trough of day 10 does not
    assert max_drawdown(times, nav, at, start=1.0, since_ms=at - 30 * DAY).value == pytest.approx(0.05)
    assert max_drawdown(times, nav, at, start=1.0, since_ms=50 * DAY).value == pytest.approx(0.05)
    assert max_drawdown(times, nav, at, start=1.0, since_ms=50 * DAY + 1).value == pytest.approx(1 - 1.15 / 1.2)


def test_later_marks_are_not_read() -> None:
    nav = np.array([1.0, 0.95, 0.2])
    assert drawdown(hours(3), nav, 2 * HOUR - 1, start=1.0).value == pytest.approx(0.05)
    assert max_drawdown(hours(3), nav, 2 * HOUR - 1, start=1.0).value == pytest.approx(0.05)


def test_without_a_mark() -> None:
    times, nav = hours(2), np.ones(2)
    assert drawdown(times, nav, -1, start=1.0) == YOUNG
    assert max_drawdown(times, nav, -1, start=1.0) == YOUNG
    assert max_drawdown(times, nav, 5 * HOUR, start=1.0, since_ms=2 * HOUR) == MISSING


@pytest.mark.parametrize("start", [0.0, -1.0, float("nan")])
def test_a_start_that_is_no_value_is_refused(start: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        drawdown_series(np.ones(2), start=start)


def test_a_loss_of_more_than_everything_is_more_than_100_percent() -> None:
    assert drawdown(hours(1), np.array([-0.5]), 0, start=1.0).value == 1.5
