"""Series metrics against empyrical-reloaded, and against loops written here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.metrics import cagr, sharpe, sharpe_interval, sharpe_standard_error, sortino, total_return, volatility

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

daily = st.lists(st.floats(-0.3, 0.3, allow_subnormal=False), min_size=2, max_size=60).map(np.array)


def seeded(days: int, seed: int = 7) -> Floats:
    return np.random.default_rng(seed).normal(0.001, 0.02, days)


@pytest.fixture(scope="module")
def stats() -> object:
    return pytest.importorskip("empyrical.stats")


@pytest.mark.parametrize("days", [2, 14, 20, 30, 365])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (sharpe, "sharpe_ratio"),
        (sortino, "sortino_ratio"),
        (volatility, "annual_volatility"),
        (cagr, "cagr"),
        (total_return, "cum_returns_final"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_R113_equal_to_empyrical_with_365_days(
    stats: object, ours: Callable[[Floats], float | None], theirs: str, days: int, seed: int
) -> None:
    returns = seeded(days, seed)
    if theirs == "sortino_ratio" and not np.any(returns < 0):
        assert ours(returns) is None  # where empyrical divides by zero
        return
    options = {} if theirs == "cum_returns_final" else {"annualization": 365}
    expected = float(getattr(stats, theirs)(returns, **options))
    assert ours(returns) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(daily)
@settings(max_examples=100, deadline=None)
def test_A14_sharpe_is_mean_over_std_ddof_1_times_sqrt_365(returns: Floats) -> None:
    values = [float(value) for value in returns]
    mean = sum(values) / len(values)
    std = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    found = sharpe(returns)
    if found is None:
        assert std < 1.1e-12
    else:
        assert found == pytest.approx(mean / std * math.sqrt(365), rel=1e-6, abs=1e-7)
        assert volatility(returns) == pytest.approx(std * math.sqrt(365), rel=1e-6)


def test_std_is_not_bottlenecks_ddof_0() -> None:
    bottleneck = pytest.importorskip("bottleneck")
    returns = seeded(20)
    population = float(np.mean(returns)) / bottleneck.nanstd(returns) * math.sqrt(365)
    assert sharpe(returns) == pytest.approx(population * math.sqrt(19 / 20), rel=1e-12)


def test_a_year_has_365_days_not_252() -> None:
    returns = seeded(30)
    found, trading_days = sharpe(returns), sharpe(returns, 252)
    assert found is not None
    assert trading_days is not None
    assert found / trading_days == pytest.approx(math.sqrt(365 / 252))


@pytest.mark.parametrize("level", [0.0, 0.1, 1e-3, -0.02])
def test_a_flat_series_has_no_sharpe(level: float) -> None:
    # three times 0.1 has a deviation of 1e-17 in floating point, so "std == 0" would not catch it
    assert sharpe(np.full(20, level)) is None


def test_a_flat_series_has_volatility_zero() -> None:
    assert volatility(np.zeros(20)) == 0.0


def test_the_flat_threshold_is_1e_12() -> None:
    wave = np.array([1.0, -1.0] * 10)
    scale = 1e-12 / float(np.std(wave, ddof=1))
    assert sharpe(wave * scale * 0.99 + 1e-13) is None
    assert sharpe(wave * scale * 1.01 + 1e-13) is not None


@pytest.mark.parametrize("metric", [sharpe, sortino, volatility])
@pytest.mark.parametrize("days", [0, 1])
def test_below_two_returns_there_is_no_deviation(metric: Callable[[Floats], float | None], days: int) -> None:
    assert metric(np.full(days, 0.01)) is None


@pytest.mark.parametrize("metric", [sharpe, sortino, volatility, cagr, total_return])
@pytest.mark.parametrize("bad", [[0.1, math.nan], [0.1, math.inf], [[0.1, 0.2]]])
def test_nan_infinity_and_tables_are_refused(metric: Callable[[Floats], float | None], bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"NaN or infinity|one dimension"):
        metric(np.array(bad))


def test_no_returns_no_growth() -> None:
    assert cagr(np.array([])) is None
    assert total_return(np.array([])) is None


def test_losing_everything_is_minus_100_percent_and_more_is_unknown() -> None:
    assert cagr(np.array([0.1, -1.0])) == -1.0
    assert total_return(np.array([0.1, -1.0])) == -1.0
    assert cagr(np.array([0.1, -1.5])) is None


def test_growth_beyond_floating_point_is_unknown() -> None:
    assert cagr(np.array([1e3])) is None
    assert cagr(np.array([1e200, 1e200])) is None
    assert total_return(np.array([1e200, 1e200])) is None


def test_sortino_without_a_losing_day_is_unknown() -> None:
    assert sortino(np.array([0.01, 0.02, 0.0])) is None
    assert sortino(np.array([1e200, -1e200])) is None


def test_lo_2002_standard_error() -> None:
    # Lo 2002, table 1: monthly Sharpe 0.5, 60 observations -> 0.137 (per period)
    monthly = sharpe_standard_error(0.5, 60, periods_per_year=1)
    assert monthly == pytest.approx(0.137, abs=5e-4)
    annual = sharpe_standard_error(1.0, 20)
    assert annual == pytest.approx(math.sqrt((1 + (1 / math.sqrt(365)) ** 2 / 2) / 20) * math.sqrt(365))
    assert annual == pytest.approx(4.3, abs=0.05)  # domain.md


def test_A22_interval_is_value_plus_minus_1_96_errors() -> None:
    from statistics import NormalDist  # noqa: PLC0415 - the oracle of one test

    error = sharpe_standard_error(-0.3, 30)
    interval = sharpe_interval(-0.3, 30)
    assert error is not None
    assert interval is not None
    width = NormalDist().inv_cdf(0.975) * error
    assert interval == pytest.approx((-0.3 - width, -0.3 + width))


def test_without_two_returns_there_is_no_error() -> None:
    assert sharpe_standard_error(0.0, 1) is None
    assert sharpe_standard_error(0.0, 2) == pytest.approx(math.sqrt(365 / 2))
    assert sharpe_interval(0.0, 1) is None
    assert sharpe_interval(1.7e308, 2) is None


def test_the_interval_covers_the_truth_about_95_percent_of_the_time() -> None:
    generator = np.random.default_rng(1)
    true = 0.001 / 0.02 * math.sqrt(365)
    covered = 0
    for _ in range(2000):
        returns = generator.normal(0.001, 0.02, 365)
        found = sharpe(returns)
        assert found is not None
        interval = sharpe_interval(found, 365)
        assert interval is not None
        covered += interval[0] <= true <= interval[1]
    assert 0.93 < covered / 2000 < 0.97


def test_compounding_matches_pandas() -> None:
    returns = seeded(365)
    growth = float((1 + pd.Series(returns)).cumprod().to_numpy()[-1])
    assert total_return(returns) == pytest.approx(growth - 1, rel=1e-12)
    assert cagr(returns[:100]) == pytest.approx(
        float((1 + pd.Series(returns[:100])).cumprod().to_numpy()[-1]) ** 3.65 - 1, rel=1e-12
    )
