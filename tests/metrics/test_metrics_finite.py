"""No metric ever yields NaN or infinity, whatever finite numbers come in; and none imports pandas."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine.metrics as m

HOUR = 3_600_000
DAY = 24 * HOUR
AT = 60 * DAY

extreme = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e-12, 1.7e308, -1.7e308, 1e154, 1.0, 1.0 + 2**-52]),
)
positive = st.one_of(st.floats(5e-324, 1.7e308), st.sampled_from([5e-324, 1.0, 1.7e308]))


@dataclass(frozen=True)
class Fill:
    at_ms: int
    side: int
    qty: float
    price: float
    ref_price: float
    ref_kind: str
    fee_usd: float
    parent_id: str


@dataclass(frozen=True)
class Payment:
    at_ms: int
    qty: float
    mark_price: float
    rate: float
    hours: float
    amount_usd: float
    assumed: bool


some_fills = st.lists(
    st.builds(
        Fill,
        at_ms=st.integers(AT - 10 * DAY, AT),
        side=st.sampled_from([-1, 1]),
        qty=positive,
        price=positive,
        ref_price=positive,
        ref_kind=st.sampled_from(["bar_open", "stop", "mark"]),
        fee_usd=extreme,
        parent_id=st.sampled_from("abc"),
    ),
    max_size=5,
)
some_payments = st.lists(
    st.builds(
        Payment,
        at_ms=st.just(0),
        qty=extreme,
        mark_price=positive,
        rate=extreme,
        hours=positive,
        amount_usd=extreme,
        assumed=st.booleans(),
    ),
    max_size=2,
).map(
    lambda rows: [
        replace(row, at_ms=AT - 1 - 9 * index - other) for index in range(21) for other, row in enumerate(rows)
    ]
)


def check(found: Any) -> None:
    """Assert that nothing in a result is NaN or infinite."""
    if found is None or isinstance(found, (int, str)):
        return
    if isinstance(found, float):
        assert math.isfinite(found)
    elif isinstance(found, m.Metric):
        assert (found.value is None) == (found.status != "ok")
        check(found.value)
        check(found.standard_error)
    elif isinstance(found, tuple):
        for part in found:
            check(part)
    else:
        pytest.fail(f"unexpected {found!r}")


@given(st.lists(extreme, max_size=40).map(np.array))
@settings(max_examples=100, deadline=None)
def test_series_metrics_are_finite_or_none(returns: Any) -> None:
    returns = returns.astype(np.float64)
    for metric in (m.sharpe, m.sortino, m.volatility, m.cagr, m.total_return):
        check(metric(returns))
    found = m.sharpe(returns)
    if found is not None:
        check(m.sharpe_standard_error(found, len(returns)))
        check(m.sharpe_interval(found, len(returns)))


@given(st.lists(extreme, min_size=1, max_size=40), positive, st.sampled_from([HOUR, DAY]))
@settings(max_examples=100, deadline=None)
def test_nav_metrics_are_finite_or_say_why_not(values: list[float], start: float, step: int) -> None:
    nav = np.array(values)
    times = step * np.arange(len(nav), dtype=np.int64)
    at = int(times[-1])
    closes = m.daily_closes(times, nav, at)
    check(m.drawdown(times, nav, at, start=start))
    check(m.max_drawdown(times, nav, at, start=start, since_ms=at - 30 * DAY))
    for days in (14, 20, 30):
        check(m.rolling_sharpe(closes, days))
    check(m.window_return(times, nav, at))
    check(m.window_return(times, nav, at, shorter=True))
    check(m.portfolio_contribution(closes))
    check(m.sleeve_contribution(closes, closes, times[::2], nav[::2]))
    check(m.sleeve_return(m.portfolio_contribution(closes), start))
    check(m.residual(m.portfolio_contribution(closes), {"A": m.portfolio_contribution(closes)}))


@given(
    some_fills,
    some_payments,
    st.lists(extreme, min_size=1, max_size=3).map(lambda values: np.resize(np.array(values), 31)),
    positive,
)
@settings(max_examples=100, deadline=None)
def test_cost_metrics_are_finite_or_say_why_not(
    fills: list[Fill], payments: list[Payment], equity: Any, bps: float
) -> None:
    closes = m.Daily(AT - DAY * np.arange(30, -1, -1, dtype=np.int64), equity)
    slipped = m.slippage(fills, AT, assumed_bps=bps)
    check(slipped.ratio)
    check(slipped.signed_ratio)
    check(tuple(slipped.bps_by_kind.values()))
    check(m.total_costs(fills, payments, AT, fee_bps=bps, slippage_bps=bps, default_rate_8h=bps).ratio)
    check(m.funding_drag(payments, closes, AT))
    check(m.funding_drift(payments, AT, default_rate_8h=bps))


def test_what_is_not_finite_becomes_missing() -> None:
    for value in (math.nan, math.inf, -math.inf, None):
        assert m.known(value) == m.MISSING
    assert m.known(1, 0.5) == m.Metric(1.0, "ok", 0.5)


def test_nan_never_passes_for_zero() -> None:
    from engine.metrics.values import floored  # noqa: PLC0415 - the one private helper with a trap in it

    assert math.isnan(floored(math.nan))
    assert floored(-math.inf) == -math.inf
    assert floored(-1.0) == 0.0
    assert floored(2.0) == 2.0


def test_metrics_import_neither_pandas_nor_the_database() -> None:
    code = "import sys, engine.metrics; print(sorted({'pandas', 'sqlite3', 'sqlite_utils'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
