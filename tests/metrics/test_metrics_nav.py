"""Daily closes, rolling Sharpe, window returns and unitised NAV; oracles are pandas and loops."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.metrics import (
    MISSING,
    YOUNG,
    Daily,
    Units,
    daily_closes,
    lowest_window_return,
    nav_series,
    rolling_sharpe,
    sharpe_history,
    sharpe_standard_error,
    window_return,
)

if TYPE_CHECKING:
    import numpy.typing as npt

HOUR = 3_600_000
DAY = 24 * HOUR
START = 1_640_995_200_000  # 2022-01-01


def hourly(days: int, seed: int = 3, start_ms: int = START) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return a mark at the start and at every hour's end after it."""
    times = start_ms + HOUR * np.arange(days * 24 + 1, dtype=np.int64)
    steps = np.random.default_rng(seed).normal(0.0001, 0.005, len(times))
    steps[0] = 0.0
    return times, np.asarray(np.cumprod(1 + steps), np.float64)


def frame(times: npt.NDArray[np.int64], nav: npt.NDArray[np.float64]) -> pd.Series[float]:
    return pd.Series(nav, index=pd.to_datetime(times, unit="ms", utc=True))


@pytest.mark.parametrize("days", [14, 20, 30])
def test_R113_rolling_sharpe_equals_pandas_resampled_by_day(days: int) -> None:
    times, nav = hourly(40)
    at = int(times[-1])
    # the close of a day is the mark at 24:00, so the day is (00:00, 24:00]
    closes = frame(times, nav).resample("1D", closed="right", label="right").last()
    returns = closes.pct_change().dropna().iloc[-days:]
    assert len(returns) == days
    expected = returns.mean() / returns.std() * math.sqrt(365)
    found = rolling_sharpe(daily_closes(times, nav, at), days)
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert found.status == "ok"
    assert found.standard_error == sharpe_standard_error(expected, days)


@pytest.mark.parametrize("days", [14, 20, 30])
def test_A16_one_return_too_few_is_young(days: int) -> None:
    times, nav = hourly(days)
    assert rolling_sharpe(daily_closes(times, nav, int(times[-1])), days).status == "ok"
    # one hour before the last close
    assert rolling_sharpe(daily_closes(times, nav, int(times[-1]) - HOUR), days) == YOUNG
    assert rolling_sharpe(daily_closes(times[1:], nav[1:], int(times[-1])), days) == YOUNG


def test_trap_no_leading_zero_return() -> None:
    times, nav = hourly(20)
    closes = daily_closes(times, nav, int(times[-1]))
    returns = closes.returns()
    assert len(returns) == 20
    with_zero = pd.Series(closes.value).pct_change().fillna(0)
    assert len(with_zero) == 21
    wrong = with_zero.iloc[-21:].mean() / with_zero.iloc[-21:].std() * math.sqrt(365)
    assert rolling_sharpe(closes, 20).value != pytest.approx(wrong, rel=1e-6)


def test_the_first_return_is_that_of_the_first_complete_day() -> None:
    times, nav = hourly(5)
    launched = 10  # 10:00 of the first day
    closes = daily_closes(times[launched:], nav[launched:], int(times[-1]))
    assert closes.end_ms[0] == START + DAY
    assert closes.returns()[0] == pytest.approx(nav[48] / nav[24] - 1)
    assert len(closes.returns()) == 4


def test_a_days_value_is_the_mark_at_its_end_before_what_happens_then() -> None:
    times = np.array([START, START + DAY - HOUR, START + DAY, START + DAY + HOUR])
    closes = daily_closes(times, np.array([1.0, 1.1, 1.2, 1.3]), START + DAY + HOUR)
    assert closes.value.tolist() == [1.0, 1.2]


def test_a_day_without_its_closing_mark_is_missing_and_never_the_mark_before() -> None:
    times, nav = hourly(30)
    keep = times != START + 25 * DAY
    closes = daily_closes(times[keep], nav[keep], int(times[-1]))
    assert np.isnan(closes.value[25])
    assert len(closes) == 31
    assert rolling_sharpe(closes, 20) == MISSING
    assert rolling_sharpe(closes, 4).status == "ok"  # the hole lies before these four returns
    assert rolling_sharpe(closes, 5) == MISSING


def test_marks_that_stopped_are_missing_not_yesterdays() -> None:
    times, nav = hourly(25)
    closes = daily_closes(times, nav, int(times[-1]) + DAY)
    assert np.isnan(closes.value[-1])
    assert rolling_sharpe(closes, 20) == MISSING


def test_a_flat_nav_has_no_sharpe() -> None:
    times, nav = hourly(30)
    assert rolling_sharpe(daily_closes(times, np.ones_like(nav), int(times[-1])), 20) == MISSING


def test_a_nav_at_or_below_zero_has_no_returns_after_it() -> None:
    times = START + DAY * np.arange(16, dtype=np.int64)
    nav = np.linspace(1, 0.5, 16)
    nav[8] = 0.0
    closes = daily_closes(times, nav, int(times[-1]))
    assert np.isnan(closes.returns()[8])
    assert rolling_sharpe(closes, 14) == MISSING


def test_no_look_ahead_in_daily_closes() -> None:
    times, nav = hourly(30)
    at = START + 21 * DAY + 5 * HOUR
    past = times <= at
    later = nav.copy()
    later[~past] *= 7
    for closes in (daily_closes(times[past], nav[past], at), daily_closes(times, later, at)):
        assert rolling_sharpe(closes, 20) == rolling_sharpe(daily_closes(times, nav, at), 20)
        assert len(closes) == 22


def test_no_marks_at_all() -> None:
    nothing, none = np.empty(0, np.int64), np.empty(0)
    assert len(daily_closes(nothing, none, START)) == 0
    assert lowest_window_return(nothing, none, START) == YOUNG
    assert rolling_sharpe(daily_closes(nothing, none, START), 14) == YOUNG
    assert window_return(nothing, none, START) == YOUNG
    assert window_return(nothing, none, START, shorter=True) == YOUNG
    assert len(daily_closes(np.array([START + HOUR]), np.ones(1), START + 2 * HOUR)) == 0


def test_sharpe_history_is_the_value_of_each_day() -> None:
    times, nav = hourly(24)
    closes = daily_closes(times, nav, int(times[-1]))
    history = sharpe_history(closes, 20)
    assert [metric.status for metric in history] == ["young"] * 20 + ["ok"] * 5
    for index in (20, 24):
        at = int(closes.end_ms[index])
        assert history[index] == rolling_sharpe(daily_closes(times, nav, at), 20)


@pytest.mark.parametrize(
    ("times", "values"),
    [([1, 1], [1.0, 1.0]), ([2, 1], [1.0, 1.0]), ([1], [1.0, 2.0]), ([1], [math.nan]), ([[1]], [[1.0]])],
)
def test_what_is_no_series_is_refused(times: list[int], values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"series|NaN"):
        daily_closes(np.array(times, np.int64), np.array(values), START)


# the return over a window


def test_R119_thirty_days_span_thirty_days_not_twenty_nine() -> None:
    times, nav = hourly(45)
    at = int(times[-1])
    found = window_return(times, nav, at)
    series = frame(times, nav)
    now = series.index[-1]
    assert found.value == pytest.approx(series[now] / series[now - pd.Timedelta(days=30)] - 1, rel=1e-12)
    closes = pd.Series(daily_closes(times, nav, at).value)
    trap = closes.iloc[-1] / closes.iloc[-30] - 1
    assert found.value != pytest.approx(trap, rel=1e-9)
    assert found.value == pytest.approx(closes.iloc[-1] / closes.iloc[-31] - 1, rel=1e-12)


def test_R119_young_until_the_thirtieth_day_has_passed() -> None:
    times, nav = hourly(30)
    assert window_return(times, nav, int(times[-1]) - 1) == YOUNG
    assert window_return(times, nav, int(times[-1])).value == pytest.approx(nav[-1] / nav[0] - 1)


def test_A11_the_hard_stop_reads_the_window_there_is() -> None:
    times, nav = hourly(12)
    at = int(times[-1])
    assert window_return(times, nav, at, shorter=True).value == pytest.approx(nav[-1] / nav[0] - 1)
    assert window_return(times, nav, START, shorter=True).value == 0.0
    times, nav = hourly(45)
    assert window_return(times, nav, int(times[-1]), shorter=True) == window_return(times, nav, int(times[-1]))


def test_a_hole_at_the_windows_start_is_missing_but_never_hides_a_loss_from_the_hard_stop() -> None:
    times, nav = hourly(45)
    at = int(times[-1])
    base = 15 * 24
    keep = np.ones(len(times), bool)
    keep[base] = False
    assert window_return(times[keep], nav[keep], at) == MISSING
    found = window_return(times[keep], nav[keep], at, shorter=True)
    assert found.value == pytest.approx(nav[-1] / nav[base - 1] - 1)


def test_between_two_marks_the_last_one_stands_on_both_ends() -> None:
    times, nav = hourly(45)
    at = int(times[-1]) - HOUR + 59 * 60_000
    assert window_return(times, nav, at).value == pytest.approx(nav[-2] / nav[-2 - 30 * 24] - 1)


def test_window_return_never_reads_later_marks() -> None:
    times, nav = hourly(45)
    at = START + 40 * DAY
    cut = times <= at
    assert window_return(times, nav, at) == window_return(times[cut], nav[cut], at)


def test_a_base_of_zero_has_no_return() -> None:
    times, nav = hourly(30)
    nav[0] = 0.0
    assert window_return(times, nav, int(times[-1])) == MISSING


# units


def test_R091_a_deposit_changes_units_and_neither_nav_nor_sharpe_nor_drawdown() -> None:
    times, nav = hourly(40)
    equity = nav * 5_000.0
    deposit_at = START + 20 * DAY
    before = equity[times == deposit_at][0]
    after = times > deposit_at
    with_deposit = equity.copy()
    with_deposit[after] *= (before + 5_000.0) / before
    found, units = nav_series(times, with_deposit, np.array([deposit_at]), np.array([5_000.0]))
    assert found == pytest.approx(nav, rel=1e-12)
    assert units[0] == 5_000.0
    assert units[-1] == pytest.approx(5_000.0 * (before + 5_000.0) / before)
    at = int(times[-1])
    assert rolling_sharpe(daily_closes(times, found, at), 20).value == pytest.approx(
        rolling_sharpe(daily_closes(times, nav, at), 20).value, rel=1e-9
    )
    # the wallet's own returns would show the deposit as a profit
    assert rolling_sharpe(daily_closes(times, with_deposit, at), 20).value != pytest.approx(
        rolling_sharpe(daily_closes(times, nav, at), 20).value, rel=1e-3
    )


@given(
    st.lists(st.tuples(st.floats(-0.2, 0.2), st.lists(st.floats(-0.9, 3.0), max_size=3)), min_size=1, max_size=30),
    st.floats(1.0, 1e6),
)
@settings(max_examples=100, deadline=None)
def test_A13_flows_change_units_and_never_nav(steps: list[tuple[float, list[float]]], start_usd: float) -> None:
    """Equity follows returns and flows step by step; NAV must be the returns alone."""
    times, equity, flow_ms, flow_usd, growth = [], [], [], [], []
    money, level = start_usd, 1.0
    for index, (step, shares) in enumerate(steps):
        at = START + index * HOUR
        if index:
            money *= 1 + step
            level *= 1 + step
        times.append(at)
        equity.append(money)
        growth.append(level)
        for share in shares:
            flow_ms.append(at)
            flow_usd.append(money * share)
            money += money * share
        assume(money > 1e-6)
    nav, units = nav_series(
        np.array(times, np.int64), np.array(equity), np.array(flow_ms, np.int64), np.array(flow_usd, np.float64)
    )
    assert nav == pytest.approx(growth, rel=1e-6)
    assert units * nav == pytest.approx(equity, rel=1e-6)


def test_money_that_was_all_withdrawn_leaves_the_nav_standing() -> None:
    account = Units.opened(1_000.0).marked(1_300.0)
    empty = account.after_flow(-1_300.0)
    assert empty.units == 0.0
    assert empty.marked(0.0) == empty
    again = empty.after_flow(650.0)
    assert again.nav == 1.3
    assert again.equity_usd == pytest.approx(650.0)


def test_an_account_may_begin_without_money() -> None:
    times = START + HOUR * np.arange(3, dtype=np.int64)
    nav, units = nav_series(times, np.array([0.0, 100.0, 110.0]), times[:1], np.array([100.0]), start_nav=0.5)
    assert nav == pytest.approx([0.5, 0.5, 0.55])
    assert units == pytest.approx([0.0, 200.0, 200.0])


def test_impossible_flows_are_refused() -> None:
    with pytest.raises(ValueError, match="go out of"):
        Units.opened(100.0).after_flow(-100.1)
    with pytest.raises(ValueError, match="no price"):
        Units.opened(100.0).marked(0.0).after_flow(10.0)
    with pytest.raises(ValueError, match="opens with"):
        Units.opened(-1.0)
    with pytest.raises(ValueError, match="opens with"):
        Units.opened(1.0, nav=0.0)


def test_a_flow_needs_a_mark_at_its_instant() -> None:
    times = START + HOUR * np.arange(3, dtype=np.int64)
    with pytest.raises(ValueError, match="2022-01-01T00:30:00Z needs a mark"):
        nav_series(times, np.ones(3), np.array([START + HOUR // 2]), np.array([1.0]))


def test_days_can_be_cut() -> None:
    daily = Daily(START + DAY * np.arange(3, dtype=np.int64), np.array([1.0, 2.0, 3.0]))
    assert daily.until(2).value.tolist() == [1.0, 2.0]
    assert daily.status(3) == "ok"
    assert daily.status(4) == "young"
    holed = Daily(daily.end_ms, np.array([1.0, np.nan, 3.0]))
    assert [holed.status(count) for count in (1, 2, 3, 4)] == ["ok", "missing", "missing", "young"]


# the lowest return of a day: its worst mark, which is what a promotion reads


def test_A27_the_lowest_return_of_a_day_equals_pandas() -> None:
    times, nav = hourly(45)
    series = frame(times, nav)
    returns = series / series.shift(30 * 24) - 1
    lowest = returns.groupby(pd.DatetimeIndex(returns.index).ceil("1D")).cummin()
    for hours in (0, 1, 7, 23, 24):
        at = START + 33 * DAY + hours * HOUR
        found = lowest_window_return(times, nav, at)
        assert found.value == pytest.approx(lowest[pd.Timestamp(at, unit="ms", tz="UTC")], abs=1e-12)


def test_A27_an_hour_below_counts_until_midnight_and_the_mark_at_midnight_belongs_to_its_day() -> None:
    times, nav = hourly(40)
    nav[:] = 1.0
    nav[30 * 24 + 5] = 0.9  # 05:00 of day 31
    nav[32 * 24] = 0.8  # the midnight that ends day 32

    def lowest(hours: int) -> float | None:
        return lowest_window_return(times, nav, START + hours * HOUR).value

    assert lowest(30 * 24 + 4) == 0.0
    assert lowest(30 * 24 + 5) == pytest.approx(-0.1)
    assert lowest(31 * 24) == pytest.approx(-0.1)
    assert lowest(31 * 24 + 1) == 0.0
    assert lowest(32 * 24) == pytest.approx(-0.2)
    assert lowest(32 * 24 + 1) == 0.0


def test_A27_an_hour_that_nobody_saw_makes_the_whole_day_unknown() -> None:
    times, nav = hourly(45)
    for gone in (33 * 24 + 6, 3 * 24 + 6):  # in the day, and at the start of one of its windows
        keep = np.arange(len(times)) != gone
        seen, values = times[keep], nav[keep]
        assert lowest_window_return(seen, values, START + 33 * DAY + 5 * HOUR).status == "ok"
        assert lowest_window_return(seen, values, START + 33 * DAY + 7 * HOUR).status == "missing"
        assert lowest_window_return(seen, values, START + 34 * DAY).status == "missing"
        assert lowest_window_return(seen, values, START + 34 * DAY + HOUR).status == "ok"


def test_A27_a_day_whose_first_window_is_not_full_is_young() -> None:
    times, nav = hourly(45)
    assert lowest_window_return(times, nav, START + 30 * DAY - HOUR) == YOUNG
    assert lowest_window_return(times, nav, START + 30 * DAY) == YOUNG
    assert lowest_window_return(times, nav, START + 30 * DAY + HOUR).status == "ok"


def test_A27_no_look_ahead_and_minute_marks_count() -> None:
    times, nav = hourly(45)
    at = START + 33 * DAY + 9 * HOUR
    later = nav.copy()
    later[times > at] *= 0.1
    assert lowest_window_return(times, later, at) == lowest_window_return(times, nav, at)
    place = int(np.searchsorted(times, at))
    minute = np.insert(times, place, at - 60_000), np.insert(nav, place, nav[place] * 0.5)
    assert lowest_window_return(*minute, at).value < -0.3  # type: ignore[operator]  # it is known
