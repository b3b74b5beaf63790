"""Prices within the hour: a path that keeps to the bar, and the streams made of it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from engine.simulator.live import LivePrices
from engine.simulator.path import PathSettings
from engine.simulator.prices import BarClose, Settlement, Tick
from engine.simulator.recorded import RecordedPrices
from tests.simulator.exchange_bench import BTC, ETH, START_MS, Row, bars, bench, flat, market


@st.composite
def hours(draw: st.DrawFn) -> list[Row]:
    """Rows that a market can print, on a tick of 0.1."""
    count = draw(st.integers(1, 4))
    rows = []
    for _ in range(count):
        four = sorted(draw(st.lists(st.integers(100, 9_999), min_size=4, max_size=4)))
        inner = draw(st.permutations(four[1:3]))
        rows.append((inner[0] / 10, four[3] / 10, four[0] / 10, inner[1] / 10))
    return rows


def walked(prices: RecordedPrices, to_ms: int) -> list[object]:
    """All events, found the way the exchange finds them."""
    found: list[object] = []
    at_ms = prices.next_ms(START_MS - 1)
    while at_ms is not None and at_ms < to_ms:
        found += prices.at(at_ms)
        at_ms = prices.next_ms(at_ms)
    return found


paths = st.builds(
    PathSettings,
    open_hold_s=st.sampled_from((0, 60, 600)),
    between=st.integers(0, 3),
    tick_s=st.sampled_from((None, 60, 300)),
    order=st.sampled_from(("direction", "seeded")),
)


@settings(max_examples=60)
@given(rows=hours(), path=paths, seed=st.integers(0, 9))
def test_the_path_keeps_to_the_bar(rows: list[Row], path: PathSettings, seed: int) -> None:
    prices = RecordedPrices(market({BTC: rows}), path, seed=seed)
    events = walked(prices, START_MS + len(rows) * HOUR_MS)
    for number, (open_, high, low, close) in enumerate(rows):
        start_ms = START_MS + number * HOUR_MS
        ticks = [one for one in events if isinstance(one, Tick) and start_ms <= one.at_ms < start_ms + HOUR_MS]
        last = [one.last for one in ticks]
        assert [float(last[0]), float(last[-1])] == [open_, close]
        assert [float(max(last)), float(min(last))] == [high, low]
        assert all(price % Decimal("0.1") == 0 for price in last)
        assert [one.jump for one in ticks] == [True, *[False] * (len(ticks) - 1)]
        times = [one.at_ms for one in ticks]
        assert times == sorted(set(times))
        assert times[0] == start_ms
        assert times[1] >= start_ms + max(path.open_hold_s * SECOND_MS, 1)
        extremes = [price for price in last if float(price) in (high, low)]
        if path.order == "direction" and len({open_, high, low, close}) == 4:
            assert float(extremes[0]) == (low if close > open_ else high)


@settings(max_examples=25)
@given(rows=hours(), path=paths, seed=st.integers(0, 9))
def test_the_same_seed_gives_the_same_bytes(rows: list[Row], path: PathSettings, seed: int) -> None:
    made = market({BTC: rows, ETH: rows})
    end_ms = START_MS + len(rows) * HOUR_MS
    once = repr(walked(RecordedPrices(made, path, seed=seed), end_ms))
    again = RecordedPrices(made, path, seed=seed)
    # asked for in another order, and from the middle on
    assert again.latest(BTC, end_ms - 1) is not None
    assert repr(walked(again, end_ms)) == once


def test_another_seed_walks_otherwise() -> None:
    made = market({BTC: [(100.0, 110.0, 90.0, 105.0)]})
    first, second = (repr(walked(RecordedPrices(made, seed=seed), START_MS + HOUR_MS)) for seed in (1, 2))
    assert first != second


def test_a_bar_closes_before_the_next_one_opens_and_funding_follows() -> None:
    made = market({BTC: flat(100.0, 2)}, funding={BTC: {1: 0.0003}})
    events = RecordedPrices(made, seed=1).at(START_MS + HOUR_MS)
    assert [type(one) for one in events] == [BarClose, Tick, Settlement]


def test_a_missing_mark_is_the_last_price_and_a_missing_bar_is_silence() -> None:
    rows = [(100.0, 101.0, 99.0, 100.5)]
    made = market({BTC: rows * 2}, mark={BTC: [(100.2, 101.2, 99.2, 100.7)]})
    ticks = [one for one in walked(RecordedPrices(made, seed=1), START_MS + 9 * HOUR_MS) if isinstance(one, Tick)]
    first = [one for one in ticks if one.at_ms < START_MS + HOUR_MS]
    later = [one for one in ticks if one.at_ms >= START_MS + HOUR_MS]
    assert all(one.mark != one.last for one in first)
    assert later
    assert all(one.mark == one.last for one in later)
    assert ticks[-1].at_ms < START_MS + 2 * HOUR_MS


def test_settlements_beyond_the_record_are_the_usual_ones() -> None:
    made = market({BTC: flat(100.0, 48)}, funding={BTC: {3: -0.001, 5: -0.002}})
    prices = RecordedPrices(made, seed=1)
    settled = [one for one in walked(prices, START_MS + 40 * HOUR_MS) if isinstance(one, Settlement)]
    hour_of = {(one.at_ms - START_MS) // HOUR_MS: one.rate for one in settled}
    usual = Decimal("0.0001")
    assert hour_of == {3: Decimal("-0.001"), 5: Decimal("-0.002"), **dict.fromkeys((7, 15, 23, 31, 39), usual)}
    assert prices.next_settlement_ms(BTC, START_MS + 3 * HOUR_MS) == START_MS + 5 * HOUR_MS
    assert prices.next_settlement_ms(BTC, START_MS + 5 * HOUR_MS) == START_MS + 7 * HOUR_MS
    assert prices.next_settlement_ms(BTC, START_MS + 400 * HOUR_MS) % (8 * HOUR_MS) == 0


def test_streams_close_each_bar_once_with_the_recorded_numbers() -> None:
    rows = [(100.5, 110.0, 90.25, 105.0), (104.0, 106.0, 103.0, 103.0)]
    desk = bench(market({BTC: rows}))
    desk.wait(hours=2)
    events = desk.exchange.take_market_events()
    closed = [one.payload["k"] for one in events if one.kind == "kline" and one.payload["k"]["x"]]
    assert [[float(bar[key]) for key in "ohlc"] for bar in closed] == [list(row) for row in rows]
    assert [bar["t"] for bar in closed] == [START_MS, START_MS + HOUR_MS]
    running = [one.payload["k"] for one in events if one.kind == "kline" and not one.payload["k"]["x"]]
    for number, (open_, high, low, _) in enumerate(rows):
        mine = [bar for bar in running if bar["t"] == START_MS + number * HOUR_MS]
        assert {float(bar["o"]) for bar in mine} == {open_}
        assert max(float(bar["h"]) for bar in mine) == high
        assert min(float(bar["l"]) for bar in mine) == low
        assert [float(bar["h"]) for bar in mine] == sorted(float(bar["h"]) for bar in mine)
    assert {one.payload["s"] for one in events if one.kind == "markPrice"} == {BTC}
    assert desk.exchange.take_market_events() == []


def test_klines_read_back_as_the_very_numbers() -> None:
    rows = [(100.1 + number / 10, 120.3, 90.7, 100.2 + number / 10) for number in range(6)]
    desk = bench(market({BTC: rows}))
    # nothing of the hour that has only begun is known but its open
    (running,) = desk.get("klines", symbol=BTC, interval="1h")
    assert {float(text) for text in running[1:5]} == {100.1}
    assert float(running[5]) == 0
    desk.wait(hours=5.5)
    answer = desk.get("klines", symbol=BTC, interval="1h")
    assert [tuple(float(text) for text in row[1:5]) for row in answer[:5]] == rows[:5]
    assert answer[-1][0] == START_MS + 5 * HOUR_MS
    assert float(answer[-1][1]) == rows[5][0]
    assert desk.get("klines", symbol=BTC, interval="1h", limit=2) == answer[-2:]
    window = {"startTime": START_MS + HOUR_MS, "endTime": START_MS + 3 * HOUR_MS}
    assert desk.get("klines", symbol=BTC, interval="1h", **window) == answer[1:4]
    assert desk.refused("GET", "klines", symbol=BTC, interval="1m") == -1120
    assert desk.get("markPriceKlines", symbol=BTC, interval="1h")[0][0] == START_MS


def test_live_prices_happen_as_they_are_pushed() -> None:
    live = LivePrices(market({BTC: flat(100.0, 1)}))
    desk = bench(live, now_ms=START_MS + HOUR_MS)
    now_ms = desk.exchange.now_ms
    assert desk.get("ticker/price", symbol=BTC)["price"] == "100.0"
    # late by a second: it happens now, time does not go back
    live.push(now_ms - SECOND_MS, BTC, Decimal("101.5"), Decimal("101.4"))
    assert desk.exchange.next_event_ms() == now_ms + 1
    desk.wait(s=1)
    assert desk.get("ticker/price", symbol=BTC)["price"] == "101.5"
    assert desk.get("premiumIndex", symbol=BTC)["markPrice"] == "101.40000000"
    assert desk.exchange.next_event_ms() is None
    desk.exchange.take_market_events()
    desk.wait(hours=1)
    closed = bars(BTC, [(100.0, 102.0, 99.0, 101.0)], START_MS + HOUR_MS)
    live.append_bar(desk.exchange.now_ms, BTC, closed)
    live.append_bar(desk.exchange.now_ms, BTC, closed)
    desk.wait(s=1)
    (event,) = desk.exchange.take_market_events()
    assert event.payload["k"]["x"] is True
    assert float(event.payload["k"]["c"]) == 101.0
    assert len(desk.get("klines", symbol=BTC, interval="1h")) == 2


def test_a_live_settlement_reaches_the_position() -> None:
    live = LivePrices(market({BTC: flat(40_000.0, 1)}, funding={BTC: {-8: 0.0001}}))
    desk = bench(live, now_ms=START_MS + HOUR_MS)
    desk.order("BUY", "0.010")
    before = desk.wallet()
    come_ms = desk.exchange.now_ms + MINUTE_MS
    live.settle(come_ms, BTC, Decimal("0.0005"), hour_ms=START_MS)
    live.settle(come_ms, BTC, Decimal("0.0005"), hour_ms=START_MS)
    desk.wait(s=120)
    assert desk.wallet() - before == Decimal("-0.2")
    assert desk.get("fundingRate", symbol=BTC)[-1]["fundingTime"] // HOUR_MS * HOUR_MS == START_MS


def test_the_exchange_outlives_its_prices() -> None:
    desk = bench(market({BTC: flat(100.0, 1)}))
    desk.wait(hours=5)
    desk.exchange.take_market_events()
    assert desk.exchange.next_event_ms() is None
    desk.exchange.advance(START_MS + DAY_MS)
    assert desk.exchange.now_ms == START_MS + DAY_MS
    desk.exchange.advance(START_MS)
    assert desk.exchange.now_ms == START_MS + DAY_MS
    assert desk.get("time") == {"serverTime": START_MS + DAY_MS}


@pytest.mark.parametrize("tick_s", [None, 60])
def test_next_event_is_where_advance_does_something(tick_s: int | None) -> None:
    made = market({BTC: [(100.0, 110.0, 90.0, 105.0)] * 2})
    whole = bench(made, path=PathSettings(tick_s=tick_s))
    step = bench(made, path=PathSettings(tick_s=tick_s))
    whole.exchange.advance(START_MS + 2 * HOUR_MS)
    seen = []
    while (at_ms := step.exchange.next_event_ms()) is not None:
        step.exchange.advance(at_ms - 1)
        assert step.exchange.take_market_events() == []
        step.exchange.advance(at_ms)
        seen += [one.payload for one in step.exchange.take_market_events()]
    assert seen == [one.payload for one in whole.exchange.take_market_events()]
    assert seen
