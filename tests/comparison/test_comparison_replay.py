"""The recorded period replayed: the same trades and NAV where nothing went wrong, and why others differ."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.clock import DAY_MS, HOUR_MS
from engine.comparison.compare import review_facts
from engine.comparison.prices import market_of_ledger, require_covered
from engine.comparison.recorded import read_recorded
from engine.comparison.replay import replayed
from engine.errors import DataError, LedgerError
from engine.ledger import Ledger, Parent
from engine.portfolio import Bounds
from tests.comparison.kit import DAYS, Rehearsed, rules

if TYPE_CHECKING:
    from engine.comparison.compare import Comparison, Window
    from engine.comparison.recorded import Recorded
    from engine.ledger import Fill


def whole(compared: Comparison) -> Window:
    return compared.window(compared.record.from_ms, compared.record.to_ms)


def fill_of(record: Recorded, number: int = 10) -> Fill:
    """Return a fill whose symbol trades again later, so that its absence can be followed."""
    fill = record.fills[number]
    assert sum(each.symbol == fill.symbol for each in record.fills[number:]) > 3
    return fill


def without(record: Recorded, fill: Fill) -> Recorded:
    return replace(record, fills=tuple(each for each in record.fills if each is not fill))


def test_R215_R220_a_rehearsal_and_its_replay_are_the_same_trade_by_trade(comparison: Comparison) -> None:
    found, record = whole(comparison), comparison.record
    assert len(found.trades.matched) == len(record.fills) > 20
    assert found.trades.unmatched == ()
    assert all(pair.live.qty == pair.replay.qty and pair.price_bps == 0 for pair in found.trades.matched)
    assert comparison.replay_curve.at_ms.tolist() == record.marks.at_ms.tolist()
    assert comparison.replay_curve.nav == pytest.approx(record.marks.nav, rel=1e-12)
    for symbol, marks in record.sleeves.items():
        column = comparison.replay_curve.symbols.index(symbol)
        assert comparison.replay_curve.pnl_usd[-1, column] == pytest.approx(marks.pnl_usd[-1], abs=1e-6)
    paid = sum(payment.amount_usd for payment in record.funding)
    assert found.live.funding_usd == pytest.approx(paid) == pytest.approx(found.replay.funding_usd)


def test_R217_R218_R219_a_window_is_measured_as_written_down(comparison: Comparison) -> None:
    """Oracle: NumPy on the marks of the ledger, by hand."""
    record = comparison.record
    end_ms = record.from_ms + 20 * DAY_MS
    found = comparison.window(end_ms - 7 * DAY_MS, end_ms)
    inside = (record.marks.at_ms >= end_ms - 7 * DAY_MS) & (record.marks.at_ms <= end_ms)
    nav = record.marks.nav[inside]
    daily = nav[::24][1:] / nav[::24][:-1] - 1
    assert len(daily) == found.live.returns == 7
    assert found.live.return_percent == pytest.approx((nav[-1] / nav[0] - 1) * 100)
    assert found.live.sharpe == pytest.approx(daily.mean() / daily.std(ddof=1) * 365**0.5)
    assert found.live.max_drawdown_percent == pytest.approx((1 - nav / np.maximum.accumulate(nav)).max() * 100)
    fills = [fill for fill in record.fills if end_ms - 7 * DAY_MS <= fill.at_ms < end_ms]
    assert found.live.trades == len(fills)
    assert found.live.fees_usd == pytest.approx(sum(fill.fee_usd for fill in fills))


def test_A97_A98_deviations_are_those_of_both_sides_and_the_worst_window_counts(comparison: Comparison) -> None:
    record = comparison.record
    sunk = record.marks.nav.copy()
    sunk[300:400] *= 0.95  # a drawdown that only the ledger saw, and a week without it
    altered = replace(comparison, live_curve=replace(comparison.live_curve, nav=sunk))
    calm = altered.window(record.from_ms + 20 * DAY_MS, record.from_ms + 27 * DAY_MS)
    rough = altered.window(record.from_ms + 10 * DAY_MS, record.from_ms + 20 * DAY_MS)
    assert calm.drawdown_deviation == pytest.approx(0, abs=1e-9)
    assert calm.sharpe_deviation == pytest.approx(0, abs=1e-9)
    assert rough.drawdown_deviation is not None
    assert rough.drawdown_deviation > 4
    facts = review_facts([calm, rough], record.to_ms)
    assert facts["drawdown_deviation"].value == rough.drawdown_deviation
    assert facts["sharpe_deviation"].value == rough.sharpe_deviation
    assert facts["trades_unmatched"].value == 0


def test_what_could_not_be_compared_is_missing_and_not_zero() -> None:
    facts = review_facts([], 0)
    assert {name: (fact.value, fact.status) for name, fact in facts.items()} == {
        "sharpe_deviation": (None, "missing"),
        "drawdown_deviation": (None, "missing"),
        "trades_unmatched": (None, "missing"),
    }


def test_a_trade_that_the_desk_did_not_make_is_told_with_what_kept_it(month: Rehearsed) -> None:
    record, fill = month.record, fill_of(month.record)
    missed = without(record, fill)
    (first, *_) = whole(month.compared(missed)).trades.unmatched
    assert (first.live, first.told.symbol, first.told.hour_ms) == (None, fill.symbol, fill.at_ms)
    assert first.why == "the desk decided on no order"
    hours = range(record.from_ms, record.to_ms, HOUR_MS)
    asleep = {hour: Bounds(1.0, record.bounds_at(hour).cap_usd) for hour in hours if hour != fill.at_ms}
    (first, *_) = whole(month.compared(replace(missed, worked=asleep))).trades.unmatched
    assert first.why == "the desk did no work at this bar"
    skipped = replace(missed, skipped={(fill.symbol, fill.at_ms): "minimum"})
    (first, *_) = whole(month.compared(skipped)).trades.unmatched
    assert first.why == "the order was skipped: minimum"


def test_a_trade_of_a_stranger_another_quantity_and_another_side_are_told(month: Rehearsed) -> None:
    record, fill = month.record, fill_of(month.record)
    step = rules().filters[fill.symbol].step_size

    def with_other(**changes: Any) -> Recorded:
        fills = tuple(replace(each, **changes) if each is fill else each for each in record.fills)
        return replace(record, fills=fills)

    def unmatched(changed: Recorded) -> list[str]:
        return [each.why for each in whole(month.compared(changed)).trades.unmatched]

    assert unmatched(with_other(qty=fill.qty + step)) == []  # within a step
    assert unmatched(with_other(qty=fill.qty + 3 * step)) == ["the same side in another quantity"]
    assert unmatched(with_other(side=-fill.side)) == ["the other side"]
    stranger = replace(fill, fill_id="x", at_ms=fill.at_ms + DAY_MS + HOUR_MS // 2, reason="foreign")
    assert unmatched(replace(record, fills=(*record.fills, stranger))) == [
        "an order that no ledger of ours knows: made by hand, or by another program"
    ]


def test_a_worse_price_is_told_in_basis_points_and_changes_no_quantity(month: Rehearsed) -> None:
    record, fill = month.record, fill_of(month.record)
    worse = fill.price * (1 + fill.side * 12e-4)
    fills = tuple(replace(each, price=worse) if each is fill else each for each in record.fills)
    trades = whole(month.compared(replace(record, fills=fills))).trades
    assert trades.unmatched == ()
    costly = [pair for pair in trades.matched if abs(pair.price_bps) > 1e-9]
    assert [(pair.live.hour_ms, pair.live.symbol) for pair in costly] == [(fill.at_ms, fill.symbol)]
    assert costly[0].price_bps == pytest.approx(12)


def test_A101_the_replay_is_sized_on_the_equity_that_the_ledger_had(month: Rehearsed) -> None:
    record, row = month.record, 300
    equity = record.marks.equity_usd.copy()
    equity[row:] *= 0.5  # as after a loss that the replay's own prices do not have
    ours = replayed(record, month.market, rules()).history
    theirs = replayed(replace(record, marks=replace(record.marks, equity_usd=equity)), month.market, rules()).history
    assert theirs.qty[: row - 1].tolist() == ours.qty[: row - 1].tolist()
    held = np.flatnonzero(ours.qty[row + 24])
    assert len(held) > 0
    assert theirs.qty[row + 24][held] / ours.qty[row + 24][held] == pytest.approx(0.5, rel=0.11)  # twice the dead-band
    assert theirs.nav[-1] == pytest.approx(ours.nav[-1], rel=0.02)  # a flow moves no unit's value


def test_an_order_belongs_to_the_bar_it_was_decided_for_however_late_it_filled(month: Rehearsed) -> None:
    record, fill = month.record, fill_of(month.record)
    late = replace(fill, at_ms=fill.at_ms + HOUR_MS + 1, parent_id="P")
    decided = Parent(
        "P", "risk", fill.at_ms, fill.at_ms, fill.symbol, fill.side, fill.qty, 0.0, fill.price, "bar_open", fill.reason
    )
    fills = tuple(late if each is fill else each for each in record.fills)
    assert len(whole(month.compared(replace(record, fills=fills))).trades.unmatched) > 0
    known = replace(record, fills=fills, parents={"P": decided})
    assert whole(month.compared(known)).trades.unmatched == ()


def test_recorded_bounds_bind_the_replay(month: Rehearsed) -> None:
    record = month.record
    closed_ms = record.from_ms + 10 * DAY_MS
    paused = replace(record, bounds=(*record.bounds, (closed_ms, Bounds(0.0, 0.0, entries_allowed=False))))
    replay = replayed(paused, month.market, rules())
    assert {fill.reason for fill in replay.fills if fill.at_ms >= closed_ms} == {"flatten"}
    assert np.all(replay.history.qty[-1] == 0)


def test_a_closing_between_two_bars_meets_the_replays_at_the_next_open(month: Rehearsed) -> None:
    record = month.record
    closed_ms = record.from_ms + 10 * DAY_MS
    paused = replace(record, bounds=(*record.bounds, (closed_ms + 1, Bounds(0.0, 0.0, entries_allowed=False))))
    replay = replayed(paused, month.market, rules())
    flat = [fill for fill in replay.fills if fill.reason == "flatten"]
    assert flat
    by_hand = [
        replace(
            record.fills[0], fill_id=f"x{fill.symbol}", at_ms=closed_ms + HOUR_MS // 3, symbol=fill.symbol,
            side=fill.side, qty=fill.qty, price=fill.price, ref_kind="mark", reason="flatten",
        )
        for fill in flat
    ]  # fmt: skip
    before = tuple(fill for fill in record.fills if fill.at_ms < closed_ms + HOUR_MS)
    trades = whole(month.compared(replace(paused, fills=(*before, *by_hand)))).trades
    assert trades.unmatched == ()
    assert {pair.hours_apart for pair in trades.matched} == {0, -1}


def test_prices_that_do_not_cover_the_period_are_refused(month: Rehearsed) -> None:
    symbols, record = rules().config.market.symbols, month.record
    require_covered(month.market, symbols, record.from_ms, record.to_ms)
    with pytest.raises(DataError, match="not-covered"):
        require_covered(month.market, symbols, record.from_ms, record.to_ms + 400 * DAY_MS)
    with pytest.raises(DataError, match="does not say on which prices"):
        market_of_ledger({"kind": "live"}, symbols)


def test_a_symbol_of_a_rehearsal_may_begin_after_the_launch_and_one_of_a_desk_may_not(month: Rehearsed) -> None:
    symbols, record = rules().config.market.symbols, month.record
    whole = month.market.bars[symbols[-1]]
    young = whole.part(int(np.searchsorted(whole.open_time_ms, record.from_ms)) + 1, len(whole))
    market = replace(month.market, bars={**month.market.bars, symbols[-1]: young})
    require_covered(market, symbols, record.from_ms, record.to_ms, {"kind": "rehearsal"})
    for meta in (None, {"kind": "live"}, {"kind": "paper"}):
        with pytest.raises(DataError, match=symbols[-1]):
            require_covered(market, symbols, record.from_ms, record.to_ms, meta)
    with pytest.raises(DataError):
        require_covered(market, symbols, record.from_ms, record.to_ms + 400 * DAY_MS, {"kind": "rehearsal"})


def test_the_period_is_as_long_as_it_was_rehearsed(month: Rehearsed) -> None:
    assert month.record.to_ms - month.record.from_ms == DAYS * DAY_MS


def test_a_ledger_without_a_closed_bar_says_so(month: Rehearsed) -> None:
    with Ledger.open(month.path, read_only=True) as ledger:
        with pytest.raises(LedgerError, match="no bar has closed since the launch"):
            read_recorded(ledger, month.record.from_ms)
        with pytest.raises(LedgerError, match="nothing was marked"):
            read_recorded(ledger, month.record.from_ms - 1)
