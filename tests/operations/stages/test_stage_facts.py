"""The stage policy's facts, against values worked out by hand: windows since stage entry, counts at their edges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.book import AccountBook
from engine.bounds import Posture, initial_posture
from engine.clock import DAY_MS, HOUR_MS, parse_time
from engine.ledger.rows import CashFlow, Fill, FundingPayment
from engine.operations.stages.facts import AssumedCosts, Moment, StageFacts
from engine.operations.stages.papers import RehearsedPapers
from engine.operations.stages.tenure import Tenure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.policy.facts import Fact

START = parse_time("2024-03-01")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
COSTS = AssumedCosts(5.0, 3.0, 1e-4)


def book(daily_nav: Sequence[float], *, at_ms: int = START, sleeves: Sequence[float] = (0.0, 0.0, 0.0)) -> AccountBook:
    """A book that is marked at the end of each day; each sleeve earns so much a day."""
    made = AccountBook(SYMBOLS)
    for day, nav in enumerate(daily_nav):
        pnl = {symbol: day * gain for symbol, gain in zip(SYMBOLS, sleeves, strict=True)}
        made.mark(at_ms + day * DAY_MS, 10_000 * nav, nav, pnl)
    return made


def at(
    risk: AccountBook, day: float, *postures: tuple[int, Posture], paper: AccountBook | None = None, **more: object
) -> dict[str, Fact]:
    tenure = Tenure.of(postures)
    moment = Moment(START + round(day * DAY_MS), postures[-1][1], tenure, **more)  # type: ignore[arg-type]
    return StageFacts(risk, paper, COSTS, RehearsedPapers()).at(moment)


def in_stage(stage: int, day: float = 0, *, epoch_day: float = 0) -> tuple[int, Posture]:
    posture = initial_posture(stage, 5_000.0, START + round(epoch_day * DAY_MS))
    return START + round(day * DAY_MS), posture


def navs(returns: Sequence[float]) -> list[float]:
    return [1.0, *np.cumprod(1 + np.array(returns)).tolist()]


def test_A17_the_14_day_sharpe_ratio_begins_with_the_stage() -> None:
    returns = [(-0.01 if day < 6 else 0.01) + 0.002 * (day % 3) for day in range(24)]
    risk = book(navs(returns))
    entered = in_stage(1), in_stage(2, 6)
    assert at(risk, 19.9, *entered)["sharpe_14d"].status == "young"
    found = at(risk, 20, *entered)["sharpe_14d"].value
    window = np.array(returns[6:20])
    assert found == pytest.approx(window.mean() / window.std(ddof=1) * math.sqrt(365))


def test_R057_A33_A54_a_stage_has_lasted_its_complete_utc_days_only() -> None:
    risk = book([1.0] * 40)
    assert at(risk, 14.4, in_stage(1, 0.5))["days_in_stage"].value == 13
    assert at(risk, 15, in_stage(1, 0.5))["days_in_stage"].value == 14
    assert at(risk, 14, in_stage(1))["days_in_stage"].value == 14
    assert at(risk, 13.99, in_stage(1))["days_in_stage"].value == 13


def test_R102_days_at_risk_count_over_all_stages_but_no_pause() -> None:
    risk = book([1.0] * 80)
    began, higher = in_stage(1), in_stage(2, 14.5)
    assert at(risk, 28, began, higher)["live_days"].value == 28  # the day of the change is one too
    paused = (START + 20 * DAY_MS + HOUR_MS, Posture(2, 1.0, START, START, paused_since_ms=1))
    again = in_stage(1, 25.5, epoch_day=25.5)
    found = at(risk, 40, began, higher, paused, again)
    assert (found["live_days"].value, found["days_in_stage"].value) == (20 + 14, 14)
    on_paper = in_stage(0, 30, epoch_day=25.5)
    assert at(risk, 40, began, higher, paused, again, on_paper)["live_days"].value == 20 + 4


def test_R076_R093_A04_the_deepest_drawdown_of_the_stage_is_from_a_peak_that_may_be_older() -> None:
    risk = book([1.0, 1.2, 0.9, 1.14, 1.08, 1.17])
    assert at(risk, 5, in_stage(1))["max_drawdown_stage"].value == pytest.approx(25)
    assert at(risk, 5, in_stage(1), in_stage(2, 3))["max_drawdown_stage"].value == pytest.approx(10)
    restarted = in_stage(1), in_stage(1, 3, epoch_day=3)
    assert at(risk, 5, *restarted)["max_drawdown_stage"].value == pytest.approx((1 - 1.08 / 1.14) * 100)


def test_R078_A61_flattens_before_the_stage_do_not_count_and_the_one_that_began_it_neither() -> None:
    risk, entered = book([1.0] * 9), (in_stage(1), in_stage(2, 4))
    times = [START + day * DAY_MS for day in (3, 4)]
    assert at(risk, 8, *entered, flattened_ms=times)["flatten_events_stage"].value == 0
    assert at(risk, 8, *entered, flattened_ms=[*times, START + 4 * DAY_MS + 1])["flatten_events_stage"].value == 1


def test_A55_scale_downs_count_for_thirty_days_and_in_this_stage() -> None:
    risk, entered = book([1.0] * 60), (in_stage(2), in_stage(3, 10))
    times = [START + day * DAY_MS for day in (9, 12, 20, 45)]
    assert at(risk, 42, *entered, scaled_down_ms=times)["scale_downs_30d"].value == 2
    assert at(risk, 42.01, *entered, scaled_down_ms=times)["scale_downs_30d"].value == 1
    assert at(risk, 45, *entered, scaled_down_ms=times)["scale_downs_30d"].value == 2


@pytest.mark.parametrize(("gains", "count"), [((5, 1, 0.1), 3), ((5, 0, 1), 2), ((-1, 0, 0), 0)])
def test_R094_A43_a_sleeve_that_is_exactly_flat_is_not_positive(gains: tuple[float, float, float], count: int) -> None:
    risk = book([1.0] * 20, sleeves=gains)
    assert at(risk, 19, in_stage(2))["positive_sleeves"].value == count
    assert at(book([1.0] * 14, sleeves=gains), 13, in_stage(2))["positive_sleeves"].status == "young"


def test_R095_A36_costs_are_fees_slippage_and_funding_over_what_was_assumed() -> None:
    risk = book([1.0] * 20)
    fill_ms = START + 15 * DAY_MS
    risk.fills.append(Fill("f", "risk", fill_ms, "BTCUSDT", 1, 1.0, 100.06, 100.0, "bar_open", 0.05, "p", "rebalance"))
    risk.funding.append(FundingPayment("p", "risk", fill_ms, "BTCUSDT", 1.0, 100.0, 2e-4, 8.0, -0.02, assumed=False))
    found = at(risk, 19, in_stage(2))["cost_ratio"].value
    assumed = 100.06 * 5e-4 + 100.0 * 3e-4 + 0.01
    assert found == pytest.approx((0.05 + 0.06 + 0.02) / assumed)


def test_R059_R060_A57_stage_0_is_judged_by_paper_since_it_was_entered() -> None:
    risk = book([1.0] * 60)
    before, since = [-0.03] * 20, [0.004 + 0.002 * (day % 2) for day in range(30)]
    paper = book(navs([*before, *since]))
    entered = in_stage(1), in_stage(0, 20, epoch_day=20)
    found = at(risk, 50, *entered, paper=paper)
    window = np.array(since)
    assert found["sharpe_30d"].value == pytest.approx(window.mean() / window.std(ddof=1) * math.sqrt(365))
    assert found["max_drawdown_30d"].value == pytest.approx(0)
    assert at(risk, 49, *entered, paper=paper)["sharpe_30d"].status == "young"
    assert "sharpe_30d" not in at(risk, 50, *entered)  # of real money nothing of the account speaks of paper


@pytest.mark.requirement("R091")
def test_R091_a_deposit_moves_no_sharpe_ratio_and_no_drawdown() -> None:
    returns = [0.01, -0.02, 0.015] * 7
    plain, paid = book(navs(returns)), book(navs(returns))
    paid._values[0, 15:] += 5_000  # the equity, not the value of a unit
    paid.flows.append(CashFlow("f", "risk", START + 14 * DAY_MS, 5_000.0, "virtual", "stage"))
    without, with_ = at(plain, 20, in_stage(1)), at(paid, 20, in_stage(1))
    for name in ("sharpe_14d", "max_drawdown_stage"):
        assert without[name] == with_[name]
