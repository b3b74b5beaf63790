"""Slippage, total costs and funding against hand-computed figures and loops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.metrics import (
    MISSING,
    YOUNG,
    Daily,
    funding_drag,
    funding_drift,
    parent_orders,
    slippage,
    total_costs,
)

HOUR = 3_600_000
DAY = 24 * HOUR
AT = 19_000 * DAY

ASSUMED = {"fee_bps": 5.0, "slippage_bps": 3.0, "default_rate_8h": 1e-4}


@dataclass(frozen=True)
class Fill:
    at_ms: int = AT - HOUR
    side: int = 1
    qty: float = 2.0
    price: float = 100.03
    ref_price: float = 100.0
    ref_kind: str = "bar_open"
    fee_usd: float = 0.10003
    parent_id: str = "p1"


@dataclass(frozen=True)
class Payment:
    at_ms: int = AT - HOUR
    qty: float = 1.0
    mark_price: float = 100.0
    rate: float = 1e-4
    hours: float = 8.0
    amount_usd: float = -0.01
    assumed: bool = False


# slippage


def test_R122_the_assumed_3_bps_are_a_ratio_of_exactly_1() -> None:
    found = slippage([Fill()], AT, assumed_bps=3.0)
    assert found.ratio.value == pytest.approx(1.0, rel=1e-12)
    assert found.ratio.status == "ok"
    assert found.parent_orders == 1
    assert found.bps_by_kind == {"bar_open": pytest.approx(3.0)}


@pytest.mark.parametrize(
    ("side", "price", "ratio"), [(1, 100.06, 2.0), (-1, 99.94, 2.0), (1, 99.97, -1.0), (-1, 100.03, -1.0)]
)
def test_A38_worse_is_positive_and_a_makers_gain_is_reported_but_floored(side: int, price: float, ratio: float) -> None:
    found = slippage([Fill(side=side, price=price)], AT, assumed_bps=3.0)
    assert found.signed_ratio == pytest.approx(ratio)
    assert found.ratio.value == pytest.approx(max(0.0, ratio))


fills = st.builds(
    Fill,
    at_ms=st.integers(AT - 40 * DAY, AT + DAY),
    side=st.sampled_from([-1, 1]),
    qty=st.floats(0.001, 1e3),
    price=st.floats(50.0, 200.0),
    ref_price=st.floats(50.0, 200.0),
    ref_kind=st.sampled_from(["bar_open", "stop", "mark"]),
    fee_usd=st.floats(-1.0, 10.0),
    parent_id=st.sampled_from("abcdef"),
)


@given(st.lists(fills, max_size=12, unique_by=lambda fill: (fill.parent_id, fill.ref_kind)))
@settings(max_examples=100, deadline=None)
def test_R122_equals_the_definition_parent_by_parent(history: list[Fill]) -> None:
    """One fill a parent: notional * side * (vwap - ref) / ref * 1e4, weighted by notional, over 3 bps."""
    for days in (7, 30):
        inside = [fill for fill in history if AT - days * DAY <= fill.at_ms < AT and fill.ref_kind == "bar_open"]
        if inside:
            break
    found = slippage(history, AT, assumed_bps=3.0)
    assert found.parent_orders == len(inside)
    assert found.window_days == days
    if not inside:
        assert found.ratio == YOUNG
        assert found.signed_ratio is None
        return
    top = bottom = 0.0
    for fill in inside:
        notional = fill.qty * fill.ref_price
        top += notional * fill.side * (fill.price - fill.ref_price) / fill.ref_price * 1e4
        bottom += notional
    assert found.signed_ratio == pytest.approx(top / bottom / 3.0, rel=1e-9, abs=1e-9)
    assert found.ratio.value == pytest.approx(max(0.0, top / bottom / 3.0), rel=1e-9, abs=1e-9)


def test_partial_fills_are_one_parent_order_at_their_vwap() -> None:
    parts = [Fill(at_ms=AT - 50, qty=1.0, price=100.0), Fill(at_ms=AT - 40, qty=3.0, price=100.08)]
    (order,) = parent_orders(parts)
    vwap = (1.0 * 100.0 + 3.0 * 100.08) / 4.0
    assert order.bps == pytest.approx((vwap - 100.0) / 100.0 * 1e4)
    assert order.at_ms == AT - 50
    assert order.notional_usd == 400.0
    found = slippage(parts, AT, assumed_bps=3.0)
    assert found.ratio.value == pytest.approx(2.0)
    assert found.parent_orders == 1


def test_A37_stops_and_marks_stand_beside_the_ratio() -> None:
    history = [
        Fill(),
        Fill(parent_id="s", ref_kind="stop", side=-1, price=95.0),
        Fill(parent_id="m", ref_kind="mark", side=-1, price=99.9),
    ]
    found = slippage(history, AT, assumed_bps=3.0)
    assert found.ratio.value == pytest.approx(1.0)
    assert found.parent_orders == 1
    assert found.bps_by_kind == pytest.approx({"bar_open": 3.0, "stop": 500.0, "mark": 10.0})
    assert found.orders_by_kind == {"bar_open": 1, "stop": 1, "mark": 1}
    assert slippage(history[1:], AT, assumed_bps=3.0).ratio == YOUNG


def test_seven_days_else_thirty_else_young() -> None:
    old = Fill(at_ms=AT - 7 * DAY - 1, parent_id="old", price=100.09)
    recent = Fill(at_ms=AT - 7 * DAY)
    assert slippage([old, recent], AT, assumed_bps=3.0).ratio.value == pytest.approx(1.0)
    assert slippage([old, recent], AT, assumed_bps=3.0).window_days == 7
    found = slippage([old], AT, assumed_bps=3.0)
    assert found.ratio.value == pytest.approx(3.0)
    assert found.window_days == 30
    assert slippage([replace(old, at_ms=AT - 30 * DAY)], AT, assumed_bps=3.0).parent_orders == 1
    assert slippage([replace(old, at_ms=AT - 30 * DAY - 1)], AT, assumed_bps=3.0).ratio == YOUNG
    assert slippage([], AT, assumed_bps=3.0).ratio == YOUNG


def test_a_verdict_has_not_seen_what_fills_at_its_own_instant() -> None:
    assert slippage([Fill(at_ms=AT)], AT, assumed_bps=3.0).ratio == YOUNG
    assert slippage([Fill(at_ms=AT)], AT + 1, assumed_bps=3.0).parent_orders == 1
    assert total_costs([Fill()], [Payment(at_ms=AT, amount_usd=-9.0)], AT, **ASSUMED).funding_usd == 0.0


def test_without_an_assumption_there_is_no_ratio() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        slippage([Fill()], AT, assumed_bps=0.0)
    nothing = {"fee_bps": 0.0, "slippage_bps": 0.0, "default_rate_8h": 0.0}
    assert total_costs([Fill()], [], AT, **nothing).ratio == MISSING


# all costs


def test_R095_a_backtests_own_costs_come_out_at_1() -> None:
    history = []
    for index, (side, reference) in enumerate([(1, 100.0), (-1, 93.7), (-1, 111.1)]):
        price = reference * (1 + side * 3e-4)
        qty = 1.5 + index
        history.append(Fill(AT - HOUR, side, qty, price, reference, "bar_open", 5e-4 * qty * price, f"p{index}"))
    assert total_costs(history, [], AT, **ASSUMED).ratio.value == pytest.approx(1.0, rel=1e-12)
    # funding at the configured rate keeps it there
    assert total_costs(history, [Payment()], AT, **ASSUMED).ratio.value == pytest.approx(1.0, rel=1e-12)


def test_R095_each_cost_counts() -> None:
    base = total_costs([Fill()], [Payment()], AT, **ASSUMED)
    assert base.assumed_usd == pytest.approx(2 * 100.03 * 5e-4 + 2 * 100 * 3e-4 + 0.01)
    dear = total_costs([Fill(fee_usd=0.2)], [Payment()], AT, **ASSUMED)
    assert dear.ratio.value == pytest.approx((0.2 + 0.06 + 0.01) / base.assumed_usd)
    slipped = total_costs([Fill(price=100.06)], [Payment()], AT, **ASSUMED)
    assert slipped.slippage_usd == pytest.approx(0.12)
    funded = total_costs([Fill()], [Payment(amount_usd=-0.03)], AT, **ASSUMED)
    assert funded.ratio.value == pytest.approx((0.10003 + 0.06 + 0.03) / base.assumed_usd)
    for other in (dear, slipped, funded):
        assert other.ratio.value is not None
        assert base.ratio.value is not None
        assert other.ratio.value > base.ratio.value


def test_A45_receipts_and_makers_gains_count_0_against_fees() -> None:
    found = total_costs([Fill(price=99.0)], [Payment(qty=-1.0, amount_usd=5.0)], AT, **ASSUMED)
    assert found.slippage_usd == pytest.approx(-2.0)
    assert found.funding_usd == -5.0
    assert found.ratio.value == pytest.approx(0.10003 / found.assumed_usd)
    rebate = total_costs([Fill(fee_usd=-1.0)], [], AT, **ASSUMED)
    assert rebate.ratio.value == 0.0


def test_total_costs_have_the_window_of_slippage() -> None:
    old = Fill(at_ms=AT - 8 * DAY, parent_id="old", fee_usd=7.0)
    found = total_costs([Fill(), old], [Payment(at_ms=AT - 8 * DAY, amount_usd=-3.0)], AT, **ASSUMED)
    assert found.fees_usd == pytest.approx(0.10003)
    assert (found.window_days, found.funding_usd) == (7, 0.0)
    found = total_costs([old], [Payment(at_ms=AT - 8 * DAY, amount_usd=-3.0)], AT, **ASSUMED)
    assert (found.window_days, found.fees_usd, found.funding_usd) == (30, 7.0, 3.0)
    assert total_costs([], [Payment()], AT, **ASSUMED).ratio == YOUNG
    stop = total_costs([Fill(ref_kind="stop")], [], AT, **ASSUMED)
    assert stop.ratio == YOUNG


# funding


def equity(days: int, usd: float = 10_000.0) -> Daily:
    return Daily(AT - DAY * np.arange(days, -1, -1, dtype=np.int64), np.full(days + 1, usd))


def test_R125_drag_is_the_annualised_share_of_mean_equity() -> None:
    payments = [Payment(at_ms=AT - 30 * DAY + index * 8 * HOUR, amount_usd=-1.0) for index in range(90)]
    closes = equity(30)
    closes.value[-10:] = 13_000.0
    expected = 90.0 / (20 * 10_000 + 10 * 13_000) * 30 * 365 / 30
    assert funding_drag(payments, closes, AT).value == pytest.approx(expected)


def test_R211_drag_nets_receipts_and_never_falls_below_0() -> None:
    paid = Payment(amount_usd=-30.0)
    assert funding_drag([paid, Payment(amount_usd=10.0)], equity(30), AT).value == pytest.approx(20 / 10_000 * 365 / 30)
    assert funding_drag([paid, Payment(amount_usd=50.0)], equity(30), AT).value == 0.0
    assert funding_drag([], equity(30), AT).value == 0.0


def test_drag_looks_at_thirty_days_up_to_now() -> None:
    edges = [AT - 30 * DAY - 1, AT - 30 * DAY, AT - 1, AT]
    found = [funding_drag([Payment(at_ms=at, amount_usd=-1.0)], equity(30), AT).value for at in edges]
    assert found == [0.0, pytest.approx(365 / 300_000), pytest.approx(365 / 300_000), 0.0]


def test_drag_is_young_before_30_days_and_missing_with_a_hole() -> None:
    assert funding_drag([Payment()], equity(29), AT) == YOUNG
    holed = equity(30)
    holed.value[17] = np.nan
    assert funding_drag([Payment()], holed, AT) == MISSING
    assert funding_drag([Payment()], equity(30, -5.0), AT) == MISSING


def settlements(count: int, **fields: Any) -> list[Payment]:
    return [replace(Payment(at_ms=AT - 1 - index * 8 * HOUR), **fields) for index in range(count)]


def test_R146_drift_is_paid_over_assumed() -> None:
    assert funding_drift(settlements(21), AT, default_rate_8h=1e-4).value == pytest.approx(1.0)
    assert funding_drift(settlements(21, rate=2.5e-4), AT, default_rate_8h=1e-4).value == pytest.approx(2.5)
    assert funding_drift(settlements(21, qty=-3.0), AT, default_rate_8h=1e-4).value == 0.0
    # a longer interval is assumed to cost more
    assert funding_drift(settlements(21, hours=4.0), AT, default_rate_8h=1e-4).value == pytest.approx(2.0)


@given(
    st.lists(
        st.tuples(
            st.floats(-5, 5).filter(bool), st.floats(1, 1e5), st.floats(-0.01, 0.01), st.sampled_from([1.0, 4.0, 8.0])
        ),
        min_size=21,
        max_size=30,
    )
)
@settings(max_examples=30, deadline=None)
def test_R146_drift_equals_a_loop(rows: list[tuple[float, float, float, float]]) -> None:
    payments = [
        Payment(AT - 1 - index * HOUR, qty, mark, rate, hours) for index, (qty, mark, rate, hours) in enumerate(rows)
    ]
    top = sum(qty * mark * rate for qty, mark, rate, _ in rows)
    bottom = sum(abs(qty) * mark * 1e-4 * hours / 8 for qty, mark, _, hours in rows)
    found = funding_drift(payments, AT, default_rate_8h=1e-4)
    assert found.value == pytest.approx(max(0.0, top / bottom), rel=1e-9, abs=1e-9)


def test_A47_drift_needs_21_settlements_of_open_positions() -> None:
    assert funding_drift(settlements(20), AT, default_rate_8h=1e-4) == YOUNG
    flat = replace(settlements(21)[-1], qty=0.0)
    assert funding_drift([*settlements(20), flat], AT, default_rate_8h=1e-4) == YOUNG
    # three symbols settle at one instant: that is one settlement
    assert funding_drift(settlements(20) * 3, AT, default_rate_8h=1e-4) == YOUNG
    # an assumed one says nothing of drift
    guess = replace(settlements(21)[-1], assumed=True)
    assert funding_drift([*settlements(20), guess], AT, default_rate_8h=1e-4) == YOUNG
    old = replace(settlements(1)[0], at_ms=AT - 30 * DAY - 1)
    assert funding_drift([*settlements(20), old], AT, default_rate_8h=1e-4) == YOUNG
    assert funding_drift(settlements(21), AT, default_rate_8h=0.0) == MISSING
