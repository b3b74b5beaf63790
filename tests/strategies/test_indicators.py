from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.indicators import Returns, ema, moving_mean, recursive_mean, true_range, wilder_atr
from tests.strategies.builders import bars_of, random_bars

COUNTS = st.integers(1, 1500)


@given(st.integers(0, 10**6), COUNTS, st.sampled_from([1, 2, 3, 14, 20, 50, 336]))
@settings(max_examples=40, deadline=None)
def test_an_ema_is_that_of_pandas(seed: int, count: int, span: int) -> None:
    close = random_bars(seed, count).close
    expected = pd.Series(close).ewm(span=span, adjust=False).mean().to_numpy()
    assert np.allclose(ema(close, span=span), expected, rtol=1e-13, atol=0)


@given(st.integers(0, 10**6), st.integers(20, 900))
@settings(max_examples=20, deadline=None)
def test_wilders_atr_is_that_of_pandas_and_begins_at_bar_14(seed: int, count: int) -> None:
    bars = random_bars(seed, count)
    before = pd.Series(bars.close).shift()
    high, low = pd.Series(bars.high), pd.Series(bars.low)
    ranges = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1).max(axis=1)
    expected = ranges.ewm(alpha=1 / 14, adjust=False, min_periods=14).mean().to_numpy()
    found = wilder_atr(bars, 14)
    assert np.isnan(found[:13]).all()
    assert not np.isnan(found[13])
    assert np.allclose(found, expected, rtol=1e-12, equal_nan=True)


def test_the_first_true_range_is_high_minus_low() -> None:
    bars = bars_of([10.0, 12.0], high=[11.0, 12.5], low=[9.0, 11.0])
    assert true_range(bars).tolist() == [2.0, 2.5]


@given(st.integers(0, 10**6), st.integers(3, 900), st.integers(2, 200))
@settings(max_examples=40, deadline=None)
def test_windows_of_returns_are_those_of_pandas(seed: int, count: int, window: int) -> None:
    close = random_bars(seed, count).close
    hourly = pd.Series(close).pct_change()
    found = Returns(close)
    sums = hourly.rolling(window).sum().to_numpy()
    deviations = hourly.rolling(window).std(ddof=1).to_numpy() * np.sqrt(8760)
    assert np.allclose(found.total(window), sums, rtol=1e-9, atol=1e-13, equal_nan=True)
    # of nearly equal returns the variance is a difference of nearly equal numbers: a part of their squares is lost
    lost = 1e-14 * 8760 * float((hourly**2).max()) * window
    variances = found.annual_volatility(window) ** 2
    assert np.allclose(variances, deviations**2, rtol=1e-9, atol=lost, equal_nan=True)


@pytest.mark.parametrize("window", [1, 5, 40])
def test_a_moving_mean_waits_for_a_full_window_of_defined_values(window: int) -> None:
    values = np.concatenate([np.full(7, np.nan), np.linspace(1.0, 2.0, 30)])
    expected = pd.Series(values).rolling(window).mean().to_numpy()
    assert np.allclose(moving_mean(values, window, first=7), expected, equal_nan=True)


@given(st.integers(0, 10**6), st.integers(2, 1400), st.data())
@settings(max_examples=40, deadline=None)
def test_truncating_the_future_changes_no_bit_of_an_indicator(seed: int, count: int, data: st.DataObject) -> None:
    bars = random_bars(seed, count)
    cut = data.draw(st.integers(1, count))
    short = bars.part(0, cut)
    for span in (1, 2, 20, 336):
        assert np.array_equal(ema(short.close, span=span), ema(bars.close, span=span)[:cut])
    assert np.array_equal(wilder_atr(short, 14), wilder_atr(bars, 14)[:cut], equal_nan=True)
    whole, part = Returns(bars.close), Returns(short.close)
    for window in (2, 72):
        assert np.array_equal(part.total(window), whole.total(window)[:cut], equal_nan=True)
        assert np.array_equal(part.annual_volatility(window), whole.annual_volatility(window)[:cut], equal_nan=True)


@given(st.floats(1e-3, 1e6), st.integers(1, 1500), st.sampled_from([2, 20, 50, 336]))
@settings(deadline=None)
def test_the_averages_of_a_price_that_never_moved_tie_exactly(price: float, count: int, span: int) -> None:
    close = np.full(count, price)
    assert np.array_equal(ema(close, span=span), close)
    assert (Returns(close).annual_volatility(2)[2:] == 0.0).all()


def test_a_recursive_mean_of_nothing_is_nothing() -> None:
    assert len(recursive_mean(np.empty(0), alpha=0.5)) == 0
    assert np.isnan(Returns(np.array([1.0, 2.0])).total(5)).all()
