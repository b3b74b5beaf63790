from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.reports import breakdown
from engine.reports.palette import band_fill
from engine.reports.performance import drawdown_percent, performance, period_rows
from engine.reports.policy_view import PolicyView
from engine.reports.scale import scale_svg
from engine.reports.tiles import band_table

if TYPE_CHECKING:
    from engine.reports.view import LedgerView

START_MS = parse_time("2022-01-01")


def daily(view: LedgerView) -> pd.Series[Any]:
    index = pd.to_datetime(view.risk.at_ms, unit="ms", utc=True)
    nav = pd.Series(view.risk.nav, index=index)
    return nav[(index.hour == 0) & (index.minute == 0)]


def test_the_account_s_figures_equal_pandas(view: LedgerView) -> None:
    found = performance(view.risk)
    returns = daily(view).pct_change().dropna()
    assert found is not None
    assert found.returns == len(returns) == 100
    assert found.return_percent == pytest.approx((view.risk.nav[-1] / view.risk.nav[0] - 1) * 100)
    assert found.volatility_percent == pytest.approx(returns.std() * 365**0.5 * 100)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std() * 365**0.5)
    nav = pd.Series(view.risk.nav)
    assert found.max_drawdown_percent == pytest.approx((1 - nav / nav.cummax()).max() * 100)
    assert found.worst_day_percent == pytest.approx(returns.min() * 100)
    assert found.grown_usd == pytest.approx(15_000 * view.risk.nav[-1])


def test_a_cash_flow_changes_no_figure_but_the_equity(view: LedgerView) -> None:
    doubled = type(view.risk)(**{**vars(view.risk), "equity_usd": np.append(view.risk.equity_usd[:-1], 99_000.0)})
    before, after = performance(view.risk), performance(doubled)
    assert before is not None
    assert after is not None
    assert after.end_usd == 99_000.0
    assert vars(after) == {**vars(before), "end_usd": 99_000.0}


@settings(max_examples=50)
@given(
    nav=st.lists(st.floats(0.5, 2.0), min_size=1, max_size=60),
    epochs=st.lists(st.integers(-2, 62), max_size=3),
)
def test_drawdown_starts_anew_at_every_restart(nav: list[float], epochs: list[int]) -> None:
    at_ms = START_MS + np.arange(len(nav)) * HOUR_MS
    found = drawdown_percent(at_ms, np.array(nav), [START_MS + epoch * HOUR_MS for epoch in epochs])
    for row, value in enumerate(nav):
        since = max((epoch for epoch in epochs if epoch < row), default=0)
        peak = max(nav[max(since, 0) : row + 1])
        assert found[row] == pytest.approx((1 - value / peak) * 100)


def test_a_month_ends_with_the_midnight_that_closes_it() -> None:
    at_ms = START_MS + np.arange(90 * 24 + 1) * HOUR_MS
    rows = period_rows(at_ms)
    assert [period for period, _, _ in rows] == ["2022-01", "2022-02", "2022-03"]
    assert at_ms[rows[0][2]] == parse_time("2022-02-01")
    assert rows[0][1] == 0
    assert rows[1][1] == rows[0][2] + 1
    assert rows[-1][2] == len(at_ms) - 1


def test_few_days_are_told_day_by_day() -> None:
    at_ms = START_MS + np.arange(1, 49) * HOUR_MS
    assert [period for period, _, _ in period_rows(at_ms)] == ["2022-01-01", "2022-01-02"]
    assert period_rows(at_ms[:0]) == []


def test_A40_contribution_stands_beside_the_sleeve_s_own_return(view: LedgerView) -> None:
    equity = daily(view) * 15_000
    for sleeve in breakdown.sleeves(view):
        marks = view.sleeves[sleeve.symbol]
        pnl = pd.Series(marks.pnl_usd, index=pd.to_datetime(marks.at_ms, unit="ms", utc=True))[equity.index]
        expected = (pnl.diff() / equity.shift()).iloc[-14:].sum() * 100
        assert sleeve.contribution_percent == pytest.approx(expected)
        assert sleeve.own_return_percent == pytest.approx(expected / (sleeve.weight or 0))


def test_every_fill_is_counted_once_and_beside_its_reference(view: LedgerView) -> None:
    frame = pd.DataFrame([{**{name: getattr(fill, name) for name in fill.__slots__}} for fill in view.fills])
    frame["slipped"] = frame.side * frame.qty * (frame.price - frame.ref_price)
    found = {(each.ref_kind, each.reason): each for each in breakdown.executions(view.fills)}
    grouped = frame.groupby(["ref_kind", "reason"])
    assert set(found) == set(grouped.groups)
    for (kind, reason), group in grouped:
        each = found[str(kind), str(reason)]
        assert each.orders == group.parent_id.nunique()
        assert each.slippage_usd == pytest.approx(group.slipped.sum())
        assert each.fees_usd == pytest.approx(group.fee_usd.sum())
        assert each.slippage_bps == pytest.approx(group.slipped.sum() / (group.qty * group.ref_price).sum() * 1e4)
    assert next(iter(found)) == ("bar_open", "rebalance")


def test_funding_paid_and_received_add_up(view: LedgerView) -> None:
    for each in breakdown.funding(view):
        booked = [payment for payment in view.funding if payment.symbol == each.symbol]
        assert each.net_usd == pytest.approx(sum(payment.amount_usd for payment in booked))
        assert min(each.paid_usd, each.received_usd) > 0
        assert each.assumed == 1


def test_days_of_unknown_data_are_counted_by_status(view: LedgerView) -> None:
    found = {each.fact: each.days for each in breakdown.unknown_facts(view.facts)}
    assert found["risk_guard"] == {"missing": 100}
    assert found["return_30d"] == {"young": 29}
    assert "drawdown" not in found


def test_a_day_without_facts_is_missed(view: LedgerView) -> None:
    assert breakdown.missing_days(view.facts, view.from_ms, view.now_ms) == 0
    assert breakdown.missing_days(view.facts[:40] + view.facts[42:], view.from_ms, view.now_ms) == 2
    assert breakdown.missing_days((), START_MS, START_MS + DAY_MS - 1) == 0


def test_skipped_orders_are_counted_by_symbol(view: LedgerView) -> None:
    assert breakdown.skipped(view.events) == {"SOLUSDT": 1}
    assert breakdown.skipped(view.events, view.now_ms) == {}


# ── bands ──


def test_every_band_of_the_policy_is_shown_with_its_edges(view: LedgerView) -> None:
    rows = {row[0]: row for row in band_table(view).rows}
    assert set(rows) == {
        "20-day rolling Sharpe ratio",
        "current drawdown",
        "30-day return",
        "realised over assumed slippage",
    }
    drawdown = rows["current drawdown"]
    assert drawdown[2:6] == ("green", "< 8 %", "> 10 %", "> 12 %")
    assert drawdown[6].endswith("points to yellow")


@pytest.mark.parametrize(
    ("value", "zone"), [(4.0, "green"), (9.0, "yellow"), (11.0, "red"), (13.0, "red"), (-1.0, "green")]
)
def test_the_marker_stands_in_its_zone(view: LedgerView, value: float, zone: str) -> None:
    svg = scale_svg(view.policy.limits["drawdown"], value)
    (marker,) = map(float, re.findall(r'<path d="M([\d.]+)', svg))
    zones = re.findall(r'<rect x="([\d.]+)"[^>]*width="([\d.]+)"[^>]*fill="([^"]+)"', svg)
    inside = [fill for start, width, fill in zones if float(start) <= marker <= float(start) + float(width)]
    assert band_fill(zone) in inside


def test_without_a_policy_there_is_no_scale_and_no_band() -> None:
    assert scale_svg((), 1.0) == ""
    assert PolicyView().limit("drawdown", "red") is None
    assert PolicyView().calm == ""
