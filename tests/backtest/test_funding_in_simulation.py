"""Funding as an account pays it: when, on what, at which price, and what a hole in the record costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.clock import HOUR_MS
from tests.backtest.builders import account, holding, market_of, rates_of
from tests.strategies.builders import START_MS, bars_of

if TYPE_CHECKING:
    from engine.backtest import Simulation


def funded(position: list[float], hours: list[int], rates: list[float], **changes: object) -> Simulation:
    bars = bars_of([100.0] * len(position))
    funding = [rates_of("BTCUSDT", hours, rates)]
    found = account(
        market_of(bars, funding=funding),
        {"BTCUSDT": holding(bars, position)},
        **{"default_rate_8h": 1e-4, "dead_band": 0.5, **changes},
    )
    found.run(10**6)
    return found


def test_funding_falls_on_the_position_held_before_the_order_of_that_instant() -> None:
    # Long from the open of hour 8 to the open of hour 16: pays at 16, not at 8.
    position = [0.0] * 7 + [1.0] * 8 + [0.0] * 5
    found = funded(position, [0, 8, 16], [0.001, 0.001, 0.002])
    assert [(fill.bar, fill.reason) for fill in found.fills] == [(8, "entry"), (16, "exit")]
    (payment,) = found.funding
    assert (payment.bar, payment.qty, payment.mark_price) == (16, 100.0, 100.0)
    assert payment.amount_usd == pytest.approx(-100 * 100 * 0.002)
    assert not payment.assumed
    assert payment.estimated


@pytest.mark.parametrize(("position", "rate"), [(1.0, 0.001), (-1.0, 0.001), (1.0, -0.001), (-1.0, -0.001)])
def test_a_long_pays_a_positive_rate_and_a_short_receives_it(position: float, rate: float) -> None:
    found = funded([position] * 12, [0, 8], [rate, rate])
    assert found.funding[0].amount_usd == pytest.approx(-position * 10_000 * rate)


@pytest.mark.parametrize("position", [1.0, -1.0])
def test_a_missing_settlement_costs_either_side_and_is_told(position: float) -> None:
    found = funded([position] * 20, [0, 16], [0.0, 0.0])
    missed = found.funding[0]
    assert (missed.bar, missed.assumed, missed.hours, missed.rate) == (8, True, 8.0, 1e-4)
    assert missed.amount_usd == pytest.approx(-10_000 * 1e-4)


def test_a_missing_settlement_costs_for_its_hours() -> None:
    found = funded([1.0] * 30, [0, 4, 8, 16, 20, 24, 28], [0.0] * 7)
    missed = next(payment for payment in found.funding if payment.assumed)
    assert (missed.bar, missed.hours) == (12, 4.0)
    assert missed.amount_usd == pytest.approx(-10_000 * 1e-4 * 4 / 8)


def test_funding_uses_the_opening_mark_price() -> None:
    bars = bars_of([100.0] * 12)
    mark = bars_of([100.0] * 12, open_=[100.0] * 8 + [90.0] + [100.0] * 3)
    market = market_of(bars, mark=[mark], funding=[rates_of("BTCUSDT", [0, 8], [0.01, 0.01])])
    found = account(market, {"BTCUSDT": holding(bars, [1.0] * 12)}, default_rate_8h=1e-4, dead_band=0.5)
    found.run(10**6)
    assert found.funding[0].amount_usd == pytest.approx(-100 * 90.0 * 0.01)
    assert not found.funding[0].estimated


def test_funding_is_off_without_a_default_rate() -> None:
    assert funded([1.0] * 20, [0, 8], [0.1, 0.1], default_rate_8h=None).funding == []


def test_a_settlement_in_a_gap_of_all_symbols_is_booked_at_the_next_hour() -> None:
    bars = bars_of([100.0] * 6, hours=[0, 1, 2, 3, 10, 11])
    market = market_of(bars, funding=[rates_of("BTCUSDT", [0, 8], [0.01, 0.01])])
    found = account(market, {"BTCUSDT": holding(bars, [1.0] * 6)}, default_rate_8h=1e-4, dead_band=0.5)
    found.run(10**6)
    (payment,) = found.funding
    assert payment.at_ms == START_MS + 8 * HOUR_MS
    assert found.grid_ms[payment.bar] == START_MS + 10 * HOUR_MS
