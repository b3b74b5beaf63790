"""Sleeve contributions, residual, and the consistency of signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.metrics import (
    MISSING,
    YOUNG,
    Daily,
    Metric,
    Positions,
    complete_days,
    events_within,
    portfolio_contribution,
    residual,
    signal_consistency,
    sleeve_contribution,
    sleeve_return,
)

if TYPE_CHECKING:
    import numpy.typing as npt

HOUR = 3_600_000
DAY = 24 * HOUR
NO_FLOWS = (np.empty(0, np.int64), np.empty(0))
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


def days(values: npt.NDArray[np.floating[Any]], last: int = 100) -> Daily:
    value = np.asarray(values, np.float64)
    return Daily(DAY * np.arange(last - len(value) + 1, last + 1, dtype=np.int64), value)


money = st.lists(st.floats(-200, 200), min_size=15, max_size=20)


@given(money, money, money)
@settings(max_examples=100, deadline=None)
def test_R128_sleeves_and_residual_add_up_to_the_portfolio(
    btc: list[float], eth: list[float], sol: list[float]
) -> None:
    """Independent books: each day's P&L per sleeve, equity their sum, no flows; then nothing is left over."""
    length = min(len(btc), len(eth), len(sol))
    steps = [np.array(sleeve[-length:]) for sleeve in (btc, eth, sol)]
    for sleeve in steps:
        sleeve[0] = 0.0
    totals = [np.cumsum(sleeve) for sleeve in steps]
    worth = 20_000.0 + totals[0] + totals[1] + totals[2]
    found = {
        symbol: sleeve_contribution(days(total), days(worth), *NO_FLOWS)
        for symbol, total in zip(SYMBOLS, totals, strict=True)
    }
    for symbol, sleeve in zip(SYMBOLS, steps, strict=True):
        expected = sum(sleeve[day] / worth[day - 1] for day in range(length - 14, length))
        assert found[symbol].value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    portfolio = portfolio_contribution(days(worth / 20_000.0))
    assert residual(portfolio, found).value == pytest.approx(0.0, abs=1e-9)


def test_R128_a_flow_at_the_days_start_is_in_its_equity_a_later_one_is_not() -> None:
    pnl = np.arange(15) * 100.0
    worth = np.full(15, 5_000.0)
    start = int(days(worth).end_ms[0])
    base = sleeve_contribution(days(pnl), days(worth), *NO_FLOWS).value
    assert base == pytest.approx(14 * 100 / 5_000)
    at_start = sleeve_contribution(days(pnl), days(worth), np.array([start, start]), np.array([3_000.0, 2_000.0]))
    assert at_start.value == pytest.approx(13 * 100 / 5_000 + 100 / 10_000)
    later = sleeve_contribution(days(pnl), days(worth), np.array([start + 1]), np.array([5_000.0]))
    assert later.value == pytest.approx(base)


def test_R092_young_before_14_days_and_missing_with_a_hole() -> None:
    pnl, worth = np.arange(15.0), np.full(15, 100.0)
    assert sleeve_contribution(days(pnl), days(worth), *NO_FLOWS).value == pytest.approx(0.14)
    assert sleeve_contribution(days(pnl[1:]), days(worth[1:]), *NO_FLOWS) == YOUNG
    assert sleeve_contribution(days(pnl), days(worth[1:]), *NO_FLOWS) == YOUNG
    holed = pnl.copy()
    holed[4] = np.nan
    assert sleeve_contribution(days(holed), days(worth), *NO_FLOWS) == MISSING
    assert sleeve_contribution(days(pnl), days(worth * 0), *NO_FLOWS) == MISSING
    assert sleeve_contribution(days(pnl), days(worth / 200), *NO_FLOWS).value == pytest.approx(28.0)
    assert portfolio_contribution(days(worth[1:])) == YOUNG
    assert portfolio_contribution(days(holed)) == MISSING
    assert portfolio_contribution(days(worth - 100)) == MISSING


def test_days_that_do_not_end_together_are_refused() -> None:
    with pytest.raises(ValueError, match="end together"):
        sleeve_contribution(days(np.ones(15), last=99), days(np.ones(15)), *NO_FLOWS)


def test_only_the_last_14_days_count() -> None:
    pnl = np.concatenate([[0.0, 9_999.0], 9_999.0 + np.arange(1, 15)])
    assert sleeve_contribution(days(pnl), days(np.full(16, 100.0)), *NO_FLOWS).value == pytest.approx(0.14)


def test_the_residual_is_unknown_with_its_parts() -> None:
    known = Metric(0.05, "ok")
    assert residual(known, {"BTCUSDT": Metric(0.02, "ok"), "ETHUSDT": Metric(0.01, "ok")}).value == pytest.approx(0.02)
    assert residual(known, {"BTCUSDT": YOUNG, "ETHUSDT": MISSING}) == YOUNG
    assert residual(known, {"BTCUSDT": known, "ETHUSDT": MISSING}) == MISSING
    assert residual(MISSING, {"BTCUSDT": known}) == MISSING


def test_A40_the_sleeves_own_return_is_contribution_over_weight() -> None:
    assert sleeve_return(Metric(-0.03, "ok"), 0.33).value == pytest.approx(-0.0909090909)
    assert sleeve_return(YOUNG, 0.33) == YOUNG
    with pytest.raises(ValueError, match="must be positive"):
        sleeve_return(YOUNG, 0.0)


# consistency


def positions(count: int = 720) -> dict[str, Positions]:
    generator = np.random.default_rng(5)
    times = HOUR * np.arange(count, dtype=np.int64)
    return {symbol: Positions(times, generator.uniform(-1, 1, count)) for symbol in SYMBOLS}


def changed(side: dict[str, Positions], symbol: str, index: int, value: float) -> dict[str, Positions]:
    position = side[symbol].position.copy()
    position[index] = value
    return {**side, symbol: Positions(side[symbol].at_ms, position)}


def test_R061_equal_positions_are_wholly_consistent() -> None:
    found = signal_consistency(positions(), positions())
    assert (found.ratio.value, found.matches, found.comparisons) == (1.0, 2160, 2160)


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (0.5, 0.5 + 0.9e-6, True),
        (0.5, 0.5 + 1.1e-6, False),
        (2e-6, 1e-6, True),  # exactly the tolerance
        (3e-7, -3e-7, False),  # within the tolerance, but the other way round
        (0.0, 3e-7, False),
        (0.0, -0.0, True),
        (float("nan"), float("nan"), True),
        (float("nan"), 0.0, False),
    ],
)
def test_R062_a_match_is_within_1e_6_and_of_the_same_sign(ours: float, theirs: float, same: bool) -> None:  # noqa: FBT001
    found = signal_consistency(changed(positions(), "ETHUSDT", 3, ours), changed(positions(), "ETHUSDT", 3, theirs))
    assert found.comparisons - found.matches == (0 if same else 1)


def test_R062_one_tampered_signal_is_found() -> None:
    found = signal_consistency(changed(positions(), "SOLUSDT", 719, -0.123), positions())
    assert found.ratio.value == pytest.approx(2159 / 2160)


def test_R061_a_missing_bar_is_a_mismatch_on_either_side() -> None:
    longer = positions(721)
    cut = {**longer, "BTCUSDT": Positions(longer["BTCUSDT"].at_ms[1:], longer["BTCUSDT"].position[1:])}
    for live, replay in ((cut, longer), (longer, cut)):
        assert signal_consistency(live, replay).ratio.value == pytest.approx((721 * 3 - 1) / (721 * 3))


def test_R061_a_sign_that_always_disagrees_is_0() -> None:
    flipped = {symbol: Positions(side.at_ms, -side.position) for symbol, side in positions().items()}
    assert signal_consistency(flipped, positions()).ratio.value == 0.0


def test_R061_719_bars_are_too_few_and_a_sleeve_that_is_absent_too() -> None:
    assert signal_consistency(positions(719), positions(720)).ratio == YOUNG
    assert signal_consistency(positions(720), positions(719)).ratio == YOUNG
    two = {symbol: side for symbol, side in positions().items() if symbol != "SOLUSDT"}
    found = signal_consistency(two, positions())
    assert (found.ratio, found.matches, found.comparisons) == (YOUNG, 1440, 2160)
    assert signal_consistency({}, {}).ratio == YOUNG


# counts


@pytest.mark.parametrize(("age_days", "count"), [(29, 1), (30, 1), (31, 0)])
def test_R147_flattens_of_30_days(age_days: int, count: int) -> None:
    assert events_within([1_000 * DAY - age_days * DAY], 1_000 * DAY) == count


def test_an_event_of_this_very_instant_comes_after_the_verdict() -> None:
    assert events_within([1_000 * DAY], 1_000 * DAY) == 0
    assert events_within([1_000 * DAY - 1], 1_000 * DAY) == 1
    assert events_within([1_000 * DAY - 2 * DAY], 1_000 * DAY, days=1) == 0


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [(0, 14 * DAY, 14), (1, 14 * DAY, 13), (0, 14 * DAY - 1, 13), (DAY - 1, 15 * DAY, 14), (5 * DAY, 2 * DAY, 0)],
)
def test_A33_days_are_complete_utc_days(start: int, end: int, count: int) -> None:
    assert complete_days(start, end) == count
