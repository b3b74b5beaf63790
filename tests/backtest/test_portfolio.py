from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.portfolio import (
    Costs,
    SymbolFilters,
    fill_price,
    needs_rebalance,
    quiet_range,
    reachable,
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


@pytest.mark.parametrize(
    ("wanted", "held", "price", "reached", "undone"),
    [
        (0.0999, 0.0, 1_000.0, 0.0, 99.9),  # A56: below the least notional, never rounded up
        (0.1, 0.0, 1_000.0, 0.1, 0.0),
        (-0.1, 0.0, 1_000.0, -0.1, 0.0),
        (0.0019, 0.0, 1e6, 0.0, 1_900.0),  # below the least quantity
        (0.1239, 0.0, 1_000.0, 0.123, 0.0),  # whole steps, towards zero
        (-0.1239, 0.0, 1_000.0, -0.123, 0.0),
        (0.19, 0.1, 1_000.0, 0.1, 90.0),  # growing is bound like opening
        (0.0, 0.0017, 1.0, 0.0, 0.0),  # closing always passes
        (0.05, 0.1, 1_000.0, 0.05, 0.0),  # the venue asks no notional of what only reduces
        (0.0555, 0.1, 1.0, 0.055, 0.0),  # never more is held than wanted
        (0.0995, 0.1, 1e6, 0.1, 500.0),  # less than the least quantity is no order
        (0.0004, 0.1, 1_000.0, 0.0, 0.4),  # nothing that can be held
        (-0.001, 0.05, 1_000.0, 0.0, 1.0),  # a flip whose opening is too small still closes
        (-0.1009, 0.05, 1_000.0, -0.1, 0.0),
    ],
)
def test_A56_what_one_order_may_lead_to(
    wanted: float, held: float, price: float, reached: float, undone: float
) -> None:
    after, refused_usd = reachable(wanted, held, price, FILTERS)
    assert after == reached
    assert refused_usd == pytest.approx(undone)


def test_without_limits_every_quantity_is_reached() -> None:
    assert reachable(0.1234567, 0.01, 1.0, None) == (0.1234567, 0.0)


STEPS = st.sampled_from([0.001, 0.01, 0.1, 0.25, 1.0, 5.0])


@given(st.floats(-5, 5), st.integers(-5000, 5000), st.floats(1, 1e5), STEPS)
def test_never_more_is_held_than_wanted_and_a_quantity_is_whole_steps(
    wanted: float, held: int, price: float, step: float
) -> None:
    limits = SymbolFilters(step_size=step, min_qty=step, min_notional_usd=100.0)
    before = limits.quantity(held)
    after, undone = reachable(wanted, before, price, limits)
    assert abs(after) <= max(abs(wanted) + 1e-8 * step, abs(before))
    assert after == before or abs(after) <= abs(wanted) + 1e-8 * step
    assert after * wanted >= 0.0 or after == before
    assert Decimal(str(after)) % Decimal(str(step)) == 0
    assert undone >= 0.0
    assert reachable(after, after, price, limits)[0] == after


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
