from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.portfolio import (
    Costs,
    Order,
    SymbolFilters,
    fill_price,
    needs_rebalance,
    order_within,
    quiet_range,
    sizing_base,
    stop_fill_reference,
    target_notional,
    within_bounds,
)

TARGETS = st.floats(-1e5, 1e5).map(lambda value: round(value, 3))
BANDS = st.sampled_from([0.0, 0.01, 0.05, 0.5, 0.99])
FILTERS = SymbolFilters(step_size=0.001, min_qty=0.002, min_notional_usd=100.0)


@pytest.mark.parametrize(
    ("target", "last", "moved"),
    [
        (100.0, 95.0, True),  # exactly 5 % of itself
        (100.0, 95.001, False),
        (100.0, 105.0, True),
        (100.0, 104.999, False),
        (-100.0, -95.0, True),
        (-100.0, -95.001, False),
        (1e-9, -1e-9, True),  # a change of sign always passes
        (0.0, 1e-12, True),  # so does zero
        (0.0, 0.0, False),
        (1e-12, 0.0, True),
        (100.0, 100.0, False),
    ],
)
def test_a_target_is_traded_from_5_percent_of_itself(target: float, last: float, *, moved: bool) -> None:
    assert needs_rebalance(target, last, 0.05) is moved


@given(TARGETS, TARGETS)
def test_without_a_dead_band_every_difference_is_traded(target: float, last: float) -> None:
    assert needs_rebalance(target, last, 0.0) is (target != last)


@given(TARGETS, TARGETS, BANDS)
def test_what_lies_in_the_quiet_range_is_never_traded(target: float, last: float, band: float) -> None:
    near, far = quiet_range(last, band)
    if near < target < far:
        assert not needs_rebalance(target, last, band)


@given(TARGETS.filter(bool), BANDS.filter(bool))
def test_the_quiet_range_hides_next_to_nothing(last: float, band: float) -> None:
    for target in (last, last / (1 + band) * (1 + 1e-9), last / (1 - band) * (1 - 1e-9)):
        near, far = quiet_range(last, band)
        assert near < target < far


def test_A52_positions_are_sized_on_the_smaller_of_equity_and_cap() -> None:
    assert sizing_base(12_000.0, 10_000.0) == 10_000.0
    assert sizing_base(9_000.0, 10_000.0) == 9_000.0
    assert sizing_base(9_000.0, None) == 9_000.0
    assert sizing_base(-5.0, None) == 0.0


def test_A62_the_targets_of_r1_never_exceed_the_equity() -> None:
    targets = [target_notional(weight, position, 1.0, 1e4) for weight, position in ((0.34, 0.7), (0.33, 1), (0.33, -1))]
    assert sum(abs(target) for target in targets) <= 1e4


@pytest.mark.parametrize(
    ("wanted", "held", "allowed"),
    [(2.0, 1.0, 1.0), (0.5, 1.0, 0.5), (-1.0, 1.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (-2.0, -1.0, -1.0)],
)
def test_blocked_entries_let_a_position_only_shrink(wanted: float, held: float, allowed: float) -> None:
    assert within_bounds(wanted, held, entries_allowed=False) == allowed
    assert within_bounds(wanted, held, entries_allowed=True) == wanted


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_blocked_entries_never_grow_or_turn_a_position(wanted: float, held: float) -> None:
    after = within_bounds(wanted, held, entries_allowed=False)
    assert abs(after) <= abs(held)
    assert after * held >= 0.0


def test_A56_an_order_below_a_minimum_is_refused_never_rounded_up() -> None:
    refused = order_within(0.0999, 0.0, 1_000.0, FILTERS)
    assert refused.delta_qty == 0.0
    assert refused.refused_usd == pytest.approx(99.9)
    assert order_within(0.1, 0.0, 1_000.0, FILTERS).delta_qty == pytest.approx(0.1)
    assert order_within(0.0019, 0.0, 1e6, FILTERS).delta_qty == 0.0  # below the least quantity
    assert order_within(0.0004, 0.0, 1e9, FILTERS).delta_qty == 0.0  # below one step
    assert order_within(0.1239, 0.0, 1_000.0, FILTERS).delta_qty == pytest.approx(0.123)
    assert order_within(-0.1239, 0.0, 1_000.0, FILTERS).delta_qty == pytest.approx(-0.123)


def test_closing_always_passes_and_so_does_a_cut_by_the_policy() -> None:
    assert order_within(0.0, 0.0017, 1.0, FILTERS) == Order(-0.0017)
    assert order_within(0.05, 0.10, 1_000.0, FILTERS).delta_qty == 0.0
    assert order_within(0.05, 0.10, 1_000.0, FILTERS, must_reduce=True).delta_qty == pytest.approx(-0.05)


def test_a_refused_flip_still_closes() -> None:
    order = order_within(-0.001, 0.05, 1_000.0, FILTERS)
    assert order.delta_qty == -0.05
    assert order.refused_usd == pytest.approx(51.0)


def test_without_limits_every_quantity_passes() -> None:
    assert order_within(0.1234567, 0.01, 1.0, None) == Order(0.1234567 - 0.01)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(1, 1e5), st.booleans())
def test_an_order_never_overshoots_what_was_wanted(wanted: float, held: float, price: float, reduce: bool) -> None:  # noqa: FBT001
    delta = order_within(wanted, held, price, FILTERS, must_reduce=reduce).delta_qty
    assert abs(delta) <= abs(wanted - held) * (1 + 1e-9) + 1e-15
    assert delta * (wanted - held) >= 0.0


def test_a_gap_fills_a_stop_at_the_open() -> None:
    assert stop_fill_reference(95.0, 97.0, long=True) == 95.0
    assert stop_fill_reference(99.0, 97.0, long=True) == 97.0
    assert stop_fill_reference(105.0, 103.0, long=False) == 105.0
    assert stop_fill_reference(101.0, 103.0, long=False) == 103.0


def test_slippage_is_always_worse() -> None:
    ratio = Costs(5.0, 3.0).slippage_ratio
    assert fill_price(100.0, 1, ratio) == pytest.approx(100.03)
    assert fill_price(100.0, -1, ratio) == pytest.approx(99.97)
    assert math.isclose(Costs(5.0, 3.0).fee_ratio, 5e-4)
