"""The planner orders what the simulation fills, never adds what is not allowed, and asks for nothing twice."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import MINUTE_MS
from engine.execution.planner import Decided, Plan, PlannedOrder, SleeveState, plan
from engine.portfolio import Bounds, SymbolFilters, sized_on
from strategies.breakout_raw import BreakoutParams
from strategies.breakout_vol_atr import breakout_vol_atr
from strategies.sleeve import Ending
from tests.backtest.builders import R1_COSTS, R1_WEIGHTS, account, random_market, random_positions
from tests.strategies.builders import LIVELY

if TYPE_CHECKING:
    from engine.backtest import Simulation
    from strategies.sleeve import Sleeve

VALID_MS = 5 * MINUTE_MS
FULL = Bounds()
NOW = Decided(age_ms=1_000, valid_for_ms=VALID_MS)
LATE = Decided(age_ms=VALID_MS + 1, valid_for_ms=VALID_MS)
HALTED = Decided(age_ms=1_000, valid_for_ms=VALID_MS, halted=True)
LIMITS = SymbolFilters(step_size=0.01, min_qty=0.01, min_notional_usd=100.0)
COARSE = SymbolFilters(step_size=0.5, min_qty=0.5, min_notional_usd=400.0)


def sleeve(**changes: object) -> SleeveState:
    """Return a sleeve at full signal on a third of the equity, flat."""
    values: dict[str, object] = {
        "symbol": "ETHUSDT",
        "weight": 0.33,
        "position": 1.0,
        "close_price": 100.0,
        "held_qty": 0.0,
        "last_target_usd": 0.0,
        "filters": LIMITS,
        "previous_position": 0.0,
        "mark_price": 99.0,
        "open_price": 101.0,
        **changes,
    }
    return SleeveState(**values)  # type: ignore[arg-type]


def planned(
    *sleeves: SleeveState, bounds: Bounds = FULL, equity: float | None = 10_000.0, decided: Decided = NOW
) -> Plan:
    return plan(sleeves, bounds=bounds, equity_usd=equity, dead_band=0.05, decided=decided)


HELD = sleeve(held_qty=33.0, last_target_usd=3_300.0, previous_position=1.0)
FLIPPED = replace(HELD, position=-1.0)


# --- one case at a time ----------------------------------------------------------------------------------------------


def test_an_entry_is_cut_to_whole_steps_and_measured_against_the_open() -> None:
    found = planned(sleeve(close_price=99.0))
    assert found.orders == (
        PlannedOrder(
            "ETHUSDT", 1, 33.33, closing_qty=0.0, opening_qty=33.33, qty_after=33.33, target_usd=3_300.0,
            reason="entry", ref_kind="bar_open", ref_price=101.0,
        ),
    )  # fmt: skip
    assert not found.not_sent


def test_a_flip_closes_first_and_opens_with_the_rest() -> None:
    (order,) = planned(replace(FLIPPED, held_qty=20.0)).orders
    assert (order.side, order.qty, order.closing_qty, order.opening_qty) == (-1, 53.0, 20.0, 33.0)
    assert (order.qty_after, order.reason, order.reduce_only) == (-33.0, "flip", False)


@pytest.mark.requirement("R138")
def test_A31_a_cut_trims_at_once_past_the_dead_band_and_is_measured_against_the_mark() -> None:
    slight = Bounds(exposure=0.99)
    assert not planned(HELD, bounds=slight).orders
    (order,) = planned(HELD, bounds=replace(slight, trim=True)).orders
    assert (order.side, order.qty, order.reason, order.reduce_only) == (-1, 0.33, "reduce", True)
    assert (order.ref_kind, order.ref_price) == ("mark", 99.0)  # A37
    (alone,) = planned(replace(HELD, trim=True), bounds=slight).orders
    assert alone == order


@pytest.mark.requirement("R140")
def test_what_the_bounds_close_is_closed_without_a_signal_an_equity_or_a_price() -> None:
    blind = replace(HELD, position=None, close_price=None)
    (order,) = planned(blind, bounds=Bounds(exposure=0.0), equity=None, decided=LATE).orders
    assert (order.qty, order.reason, order.reduce_only, order.target_usd) == (33.0, "flatten", True, 0.0)


def test_an_exit_needs_neither_an_equity_nor_a_price() -> None:
    (order,) = planned(replace(HELD, position=0.0, close_price=None), equity=None, decided=HALTED).orders
    assert (order.side, order.qty, order.reason) == (-1, 33.0, "exit")
    (order,) = planned(replace(HELD, position=0.0, ending=Ending.TIME_STOP)).orders
    assert order.reason == "time_stop"


REASONS = [
    (sleeve(position=None), {}, "no_signal", "no signal: what is held stays"),
    (sleeve(close_price=None), {}, "no_signal", "the price is unknown: what is held stays"),
    (HELD, {"equity": None}, "no_signal", "the equity is unknown: what is held stays"),
    (sleeve(position=0.0), {}, "flat", "nothing is wanted and nothing is held"),
    (HELD, {}, "dead_band", "the target moved less than 5% of itself since the last order"),
    (sleeve(), {"bounds": Bounds(exposure=0.0)}, "closed", "the exposure is 0: nothing may be held"),
    (sleeve(), {"bounds": Bounds(cap_usd=0.0)}, "closed", "the cap is 0 USD: nothing may be held"),
    (sleeve(), {"equity": -1.0}, "closed", "there is no equity: nothing may be held"),
    (sleeve(), {"bounds": Bounds(entries_allowed=False)}, "blocked", "the policy blocks entries"),
    (sleeve(), {"decided": LATE}, "blocked", "the decision is 5.0 minutes old, 5 are allowed"),
    (sleeve(), {"decided": HALTED}, "blocked", "trading is halted"),
    (HELD, {"equity": 20_000.0, "decided": HALTED}, "blocked", "trading is halted: positions may only shrink"),
    (sleeve(remembers=True, previous_position=1.0), {}, "standing", "waiting for a fresh one"),
    (sleeve(remembers=True, previous_position=None), {}, "standing", "waiting for a fresh one"),
    (sleeve(position=0.03), {}, "minimum", "an order of 99.00 USD is below the venue's minimum of 100 USD"),
]


@pytest.mark.parametrize(
    ("state", "given_", "code", "words"), REASONS, ids=[f"{n}-{r[2]}" for n, r in enumerate(REASONS)]
)
def test_every_order_that_is_not_sent_has_a_reason(
    state: SleeveState, given_: dict[str, object], code: str, words: str
) -> None:
    found = planned(state, **given_)  # type: ignore[arg-type]
    assert not found.orders
    ((answer),) = found.not_sent
    assert (answer.symbol, answer.code) == ("ETHUSDT", code)
    assert words in answer.reason


@pytest.mark.parametrize(("bounds", "decided"), [(FULL, LATE), (FULL, HALTED), (Bounds(entries_allowed=False), NOW)])
def test_half_a_flip_is_sent_and_the_other_half_has_a_reason(bounds: Bounds, decided: Decided) -> None:
    found = planned(FLIPPED, bounds=bounds, decided=decided)
    assert [(order.qty, order.reduce_only, order.reason) for order in found.orders] == [(33.0, True, "exit")]
    (answer,) = found.not_sent
    assert answer.code == "blocked"
    assert answer.notional_usd == pytest.approx(3_300.0)


def test_a_flip_whose_other_side_is_too_small_still_closes() -> None:
    found = planned(replace(FLIPPED, position=-0.01))
    assert [(order.qty, order.qty_after) for order in found.orders] == [(33.0, 0.0)]
    assert [answer.code for answer in found.not_sent] == ["minimum"]


@pytest.mark.requirement("R005", "R053")
def test_the_sleeve_that_remembers_is_told_of_what_it_missed() -> None:
    memory = replace(HELD, remembers=True)
    told = [
        planned(sleeve(remembers=True), decided=LATE),
        planned(sleeve(remembers=True, previous_position=1.0)),
        planned(sleeve(remembers=True, position=0.01)),
        planned(memory, bounds=Bounds(exposure=0.0)),
        planned(replace(memory, position=0.00001)),
    ]
    reasons = [[restart.reason for restart in each.restarts] for each in told]
    assert reasons == [["blocked"], ["standing"], ["minimum"], ["flatten"], ["minimum"]]
    assert not planned(memory).restarts
    assert not planned(sleeve(), HELD, decided=LATE).restarts, "a sleeve without memory has nothing to be told"


def test_what_is_no_whole_step_is_left_and_said() -> None:
    dusty = replace(HELD, held_qty=33.004, position=0.0)
    found = planned(dusty)
    assert [order.qty for order in found.orders] == [33.0]
    (rest,) = found.not_sent
    assert rest.code == "step"
    assert rest.notional_usd == pytest.approx(0.4)
    assert "0.004 is less than a step of 0.01" in rest.reason
    only_dust = planned(replace(dusty, held_qty=0.004))
    assert not only_dust.orders
    assert [answer.code for answer in only_dust.not_sent] == ["step"]


def test_reductions_come_first_then_flips_then_what_adds() -> None:
    found = planned(
        sleeve(symbol="A"), replace(FLIPPED, symbol="B"), replace(HELD, symbol="C", position=0.0), sleeve(symbol="D")
    )
    assert [order.symbol for order in found.orders] == ["C", "B", "A", "D"]


def test_a_cut_that_cannot_be_judged_is_asked_for_again() -> None:
    trim = Bounds(exposure=0.5, trim=True)
    blind = planned(replace(HELD, position=None), bounds=trim)
    assert blind.untrimmed == ("ETHUSDT",)
    assert not blind.orders
    assert planned(replace(HELD, trim=True), bounds=Bounds(exposure=0.5)).untrimmed == ()


# --- laws ------------------------------------------------------------------------------------------------------------

QTY = st.integers(-4_000, 4_000).map(lambda steps: steps / 100)
POSITIONS = st.one_of(st.none(), st.sampled_from([0.0, 1.0, -1.0]), st.floats(-1, 1).map(lambda value: round(value, 3)))
STATES = st.builds(
    sleeve,
    position=POSITIONS,
    close_price=st.one_of(st.none(), st.floats(1.0, 1_000.0)),
    held_qty=QTY,
    last_target_usd=st.one_of(st.just(0.0), st.floats(-5_000, 5_000)),
    filters=st.sampled_from([LIMITS, COARSE, None]),
    remembers=st.booleans(),
    previous_position=POSITIONS,
    trim=st.booleans(),
)
BOUNDS = st.builds(
    Bounds,
    exposure=st.sampled_from([0.0, 0.5, 1.0]),
    cap_usd=st.sampled_from([None, 0.0, 5_000.0]),
    entries_allowed=st.booleans(),
    trim=st.booleans(),
)
EQUITY = st.one_of(st.none(), st.integers(-10_000, 5_000_000).map(lambda cents: cents / 100))


def whole(qty: float, step: float) -> bool:
    return Decimal(str(qty)) % Decimal(str(step)) == 0


@given(state=STATES, bounds=BOUNDS, equity=EQUITY, decided=st.sampled_from([NOW, LATE, HALTED]))
@settings(max_examples=300)
def test_whatever_the_state_a_plan_is_safe_and_asks_for_nothing_twice(
    state: SleeveState, bounds: Bounds, equity: float | None, decided: Decided
) -> None:
    found = planned(state, bounds=bounds, equity=equity, decided=decided)
    assert len(found.orders) + len(found.not_sent) > 0
    assert found.restarts == () or state.remembers
    held, last = state.held_qty, state.last_target_usd
    for order in found.orders:
        assert_sound(order, state)
        if order.opening_qty:
            assert bounds.entries_allowed
            assert decided is NOW
            assert abs(order.target_usd) <= state.weight * sized_on(equity or 0.0, bounds) * (1 + 1e-12)
            step = state.filters.step_size if state.filters else 0.0
            assert abs(order.qty_after) * (state.close_price or math.nan) <= abs(order.target_usd) * (1 + 1e-9) + step
        exact = held + order.side * order.qty
        held, last = round(exact, 9) if state.filters else order.qty_after, order.target_usd
    if bounds.closed:
        dust = state.filters.step_size if state.filters else 1e-9
        assert abs(held) < dust
    filled = replace(state, held_qty=held, last_target_usd=last)
    assert planned(filled, bounds=bounds, equity=equity, decided=decided).orders == ()


def assert_sound(order: PlannedOrder, state: SleeveState) -> None:
    held = state.held_qty
    assert order.qty > 0.0
    assert order.closing_qty <= abs(held)
    assert order.closing_qty == 0.0 or order.side * held < 0.0
    assert order.reduce_only is (order.opening_qty == 0.0)
    assert Decimal(str(order.qty)) == Decimal(str(order.closing_qty)) + Decimal(str(order.opening_qty)) or (
        state.filters is None
    )
    assert held + order.side * order.qty == pytest.approx(
        order.qty_after, abs=state.filters.step_size if state.filters else 1e-9
    )
    if order.reduce_only:
        assert abs(order.qty_after) < abs(held)
        assert order.qty_after * held >= 0.0
    if state.filters:
        parts = (order.qty, order.closing_qty, order.opening_qty)
        assert all(whole(part, state.filters.step_size) for part in parts)
        if order.opening_qty:
            assert order.opening_qty * (state.close_price or 0.0) >= state.filters.min_notional_usd * (1 - 1e-9)


# --- against the fast loop -------------------------------------------------------------------------------------------

STRETCHES = st.sampled_from(
    [
        Bounds(),
        Bounds(exposure=0.5),
        Bounds(exposure=0.0, entries_allowed=False),
        Bounds(entries_allowed=False),
        Bounds(cap_usd=6_000.0),
        Bounds(exposure=0.9, trim=True),
    ]
)


class Follower:
    """Keeps positions and targets from plans alone; of the simulation it reads equity, prices, signals and stops."""

    def __init__(self, run: Simulation, filters: dict[str, SymbolFilters]) -> None:
        self.run = run
        self.filters = filters
        self.held = dict.fromkeys(run.symbols, 0.0)
        self.last = dict.fromkeys(run.symbols, 0.0)
        self.trims: set[str] = set()
        self.bounds = Bounds()

    def hour(self, hour: int, bounds: Bounds) -> Plan:
        if bounds.trim or bounds.cuts(self.bounds):
            self.trims = {symbol for symbol, held in self.held.items() if held}
        self.bounds = bounds
        states = [state for lane in self.run._lanes if (state := self._state(lane.symbol, hour))]
        found = plan(
            states,
            bounds=replace(bounds, trim=False),
            equity_usd=self.run.equity_usd,
            dead_band=self.run._dead_band,
            decided=NOW,
        )
        self.trims -= {state.symbol for state in states} - set(found.untrimmed)
        for order in found.orders:
            assert self.held[order.symbol] + order.side * order.qty == pytest.approx(order.qty_after)
            self.held[order.symbol], self.last[order.symbol] = order.qty_after, order.target_usd
        return found

    def _state(self, symbol: str, hour: int) -> SleeveState | None:
        lane = next(lane for lane in self.run._lanes if lane.symbol == symbol)
        if lane.own.item(hour) < 0:
            return None
        decided, signals = lane.decided.item(hour), lane.sleeve.signals
        position = signals.position.item(decided) if decided >= 0 else math.nan
        previous = signals.position.item(decided - 1) if decided > 0 else 0.0
        return SleeveState(
            symbol=symbol,
            weight=lane.weight,
            position=None if math.isnan(position) else position,
            close_price=lane.sized_at.item(hour),
            held_qty=self.held[symbol],
            last_target_usd=self.last[symbol],
            filters=self.filters.get(symbol),
            remembers=lane.sleeve.remembers,
            previous_position=None if math.isnan(previous) else previous,
            ending=Ending(signals.ending.item(decided)),
            trim=symbol in self.trims,
        )


@given(
    seed=st.integers(0, 10**6),
    missing=st.sampled_from([0.0, 0.1]),
    limited=st.booleans(),
    changes=st.lists(st.tuples(st.integers(1, 159), STRETCHES), max_size=6),
)
@settings(max_examples=25)
def test_R015_the_planner_orders_exactly_what_the_fast_loop_fills(
    seed: int,
    missing: float,
    limited: bool,  # noqa: FBT001 - Hypothesis names them
    changes: list[tuple[int, Bounds]],
) -> None:
    market = random_market(seed, 160, missing=missing)
    first = market.bars["BTCUSDT"]
    sleeves: dict[str, Sleeve] = {"BTCUSDT": breakout_vol_atr(first, BreakoutParams(**LIVELY), 3.0)}
    sleeves |= {name: random_positions(seed, market.bars[name]) for name in ("ETHUSDT", "SOLUSDT")}
    filters = dict.fromkeys(sleeves, COARSE) if limited else {}
    run = account(market, sleeves, weights=R1_WEIGHTS, costs=R1_COSTS, dead_band=0.05, filters=filters)
    follower = Follower(run, filters)
    bounds, later = Bounds(), dict(changes)
    for hour in range(len(run.grid_ms)):
        bounds = later.get(hour, bounds)
        found = follower.hour(hour, bounds)
        fills, restarts = len(run.fills), len(run.restarts)
        run.run(hour + 1, bounds)
        new = run.fills[fills:]
        assert sorted((order.symbol, order.side, order.reason, order.qty_after) for order in found.orders) == sorted(
            (fill.symbol, fill.side, fill.reason, fill.qty_after) for fill in new if fill.reason != "stop"
        )
        assert [(restart.symbol, restart.reason) for restart in found.restarts] == [
            (restart.symbol, restart.reason) for restart in run.restarts[restarts:]
        ]
        for fill in new:
            if fill.reason == "stop":
                follower.held[fill.symbol] = follower.last[fill.symbol] = 0.0
        assert follower.held == run.qty
