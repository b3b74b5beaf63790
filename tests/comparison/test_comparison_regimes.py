"""Regimes of volatility, correlation and funding, against NumPy on the same hours (R221, R222, R223)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.comparison.regimes import Regime, regimes
from engine.market.series import FundingRates, Market
from strategies.bars import Bars

if TYPE_CHECKING:
    from strategies.bars import FloatArray

START = parse_time("2024-01-01")
DAYS = 90


def bars(symbol: str, returns: FloatArray) -> Bars:
    close = 100 * np.exp(np.cumsum(returns))
    at_ms = START + np.arange(len(returns), dtype=np.int64) * HOUR_MS
    return Bars(symbol, at_ms, close, close, close, close, np.ones(len(returns)))


@pytest.fixture(scope="module")
def returns() -> dict[str, FloatArray]:
    rng = np.random.default_rng(3)
    common = rng.normal(0, 0.01, DAYS * 24)
    calm = np.where(np.arange(DAYS * 24) >= (DAYS - 7) * 24, 0.2, 1.0)  # the last week is quiet
    return {"A": common * calm, "B": common + rng.normal(0, 0.005, DAYS * 24)}


@pytest.fixture(scope="module")
def market(returns: dict[str, FloatArray]) -> Market:
    times = START + np.arange(DAYS * 3, dtype=np.int64) * 8 * HOUR_MS
    rates = np.where(times >= START + (DAYS - 7) * DAY_MS, 5e-4, 1e-4)
    return Market(
        {name: bars(name, values) for name, values in returns.items()}, {}, {"A": FundingRates("A", times, rates)}
    )


def of(market: Market, what: str, subject: str, days: tuple[int, int] = (DAYS - 7, DAYS)) -> Regime:
    found = regimes(market, START + days[0] * DAY_MS, START + days[1] * DAY_MS)
    return next(each for each in found if (each.what, each.subject) == (what, subject))


def test_R222_volatility_is_that_of_hourly_returns_a_year(market: Market, returns: dict[str, FloatArray]) -> None:
    here = of(market, "volatility", "A")
    # a return belongs to the hour at whose close it is known; the period's first close is an hour after its start
    week = returns["A"][(DAYS - 7) * 24 :]
    before = returns["A"][(DAYS - 14) * 24 : (DAYS - 7) * 24]
    assert here.now == pytest.approx(week.std(ddof=1) * 8760**0.5 * 100)
    assert here.before == pytest.approx(before.std(ddof=1) * 8760**0.5 * 100)
    assert (here.word, here.rank) == ("low", 0.0)
    assert of(market, "volatility", "B").word == "usual"


def test_R223_correlation_is_pearsons(market: Market, returns: dict[str, FloatArray]) -> None:
    here = of(market, "correlation", "A and B")
    week = slice((DAYS - 7) * 24, DAYS * 24)
    assert here.now == pytest.approx(np.corrcoef(returns["A"][week], returns["B"][week])[0, 1])
    assert here.median == pytest.approx(0.894, abs=0.02)
    assert here.word == "usual"  # a quiet week is no less correlated


def test_R221_funding_is_the_sum_of_the_rates_a_year(market: Market) -> None:
    here = of(market, "funding", "A")
    assert here.now == pytest.approx(5e-4 * 3 * 365 * 100)
    assert here.before == pytest.approx(1e-4 * 3 * 365 * 100)
    assert here.word == "high"


def test_nothing_after_the_period_is_read(market: Market) -> None:
    end = 60
    shorter = Market(
        {name: each.part(0, end * 24) for name, each in market.bars.items()},
        {},
        {"A": FundingRates("A", market.funding["A"].time_ms[: end * 3], market.funding["A"].rate[: end * 3])},
    )
    span = START + (end - 7) * DAY_MS, START + end * DAY_MS
    assert regimes(shorter, *span) == regimes(market, *span)


def test_a_short_record_has_no_rank(market: Market) -> None:
    here = of(market, "volatility", "A", (7, 14))
    assert here.now is not None
    assert (here.rank, here.word, here.stretches) == (None, "unknown", 7)
