"""What a running desk reads off its strategies equals what they say on the whole history, hour by hour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.backtest.simulation import WARMUP_BARS
from engine.clock import HOUR_MS, parse_time
from engine.config import load_config
from engine.live.signals import Signals, Tape
from engine.market.synthetic import synthetic_market
from strategies.ensemble import make_sleeves

CONFIG = load_config(Path(__file__).parents[2] / "config/prod_candidate_R1.yaml")
MARKET = synthetic_market(11, start_ms=parse_time("2024-01-01"), days=150)
SYMBOLS = CONFIG.market.symbols
WHOLE = make_sleeves(CONFIG.ensemble.strategies, MARKET.bars, SYMBOLS, 3.0)


def tape_until(hour: int) -> Tape:
    tape = Tape(SYMBOLS)
    for bars in MARKET.bars.values():
        tape.add(bars.part(0, hour - 3))
        tape.add(bars.part(hour - 9, hour))  # overlaps what is known
    return tape


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_a_reading_from_the_tape_equals_the_whole_history(symbol: str) -> None:
    signals, sleeve, compared = Signals(CONFIG, {}), WHOLE[symbol], 0
    bars = sleeve.bars
    for hour in range(WARMUP_BARS + 100, len(bars), 31):
        opens = {name: float(MARKET.bars[name].open[hour]) for name in SYMBOLS}
        reading = signals.read(tape_until(hour), opens)[symbol]
        assert reading.bar_ms == bars.open_time_ms[hour - 1]
        assert reading.close == bars.close[hour - 1]
        assert reading.position == pytest.approx(sleeve.signals.position[hour - 1], abs=1e-6)
        assert reading.position_before == pytest.approx(sleeve.signals.position[hour - 2], abs=1e-6)
        assert reading.ending == sleeve.signals.ending[hour - 1]
        stop = sleeve.signals.stop_price[hour]
        assert reading.stop_price == (None if np.isnan(stop) else pytest.approx(stop, rel=1e-9))
        compared += 1
    assert compared > 70


def test_R053_an_entry_has_its_stop_as_soon_as_the_next_open_is_known() -> None:
    sleeve = WHOLE["BTCUSDT"]
    position = sleeve.signals.position
    entries = np.flatnonzero((position[1:] != 0.0) & (position[:-1] == 0.0)) + 1
    entry = int(entries[entries > WARMUP_BARS][0])
    opens = {"BTCUSDT": float(MARKET.bars["BTCUSDT"].open[entry + 1])}
    reading = Signals(CONFIG, {}).read(tape_until(entry + 1), opens)["BTCUSDT"]
    assert reading.position_before == 0.0
    assert reading.stop_price == pytest.approx(sleeve.signals.stop_price[entry + 1], rel=1e-9)


def test_only_a_sleeve_with_stops_depends_on_the_open_of_the_bar_that_runs_now() -> None:
    for hour in range(WARMUP_BARS + 100, len(MARKET.bars["BTCUSDT"]), 97):
        tape = tape_until(hour)
        at = {name: float(MARKET.bars[name].open[hour]) for name in SYMBOLS}
        far = {name: price * 2.0 for name, price in at.items()}
        here, there = (Signals(CONFIG, {}).read(tape, opens) for opens in (at, far))
        signals = Signals(CONFIG, {})
        assert signals.read(tape, at) == here
        again = signals.read(tape, far)
        assert again == there
        assert [again[name] is signals.read(tape, {})[name] for name in SYMBOLS] == [False, True, True]
        assert {name for name in SYMBOLS if here[name] != there[name]} <= {"BTCUSDT"}


def test_R240_a_restarted_sleeve_stays_out_until_a_fresh_breakout() -> None:
    sleeve = WHOLE["BTCUSDT"]
    position = sleeve.signals.position
    entries = np.flatnonzero((position[1:] != 0.0) & (position[:-1] == 0.0)) + 1
    entry = int(entries[entries > WARMUP_BARS][0])
    bar_ms = int(sleeve.bars.open_time_ms[entry])
    told = sleeve.restart(entry)
    signals = Signals(CONFIG, {"BTCUSDT": [bar_ms]})
    again = Signals(CONFIG, {})
    again.restart("BTCUSDT", bar_ms)
    for hour in range(entry + 1, entry + 40, 3):
        tape = tape_until(hour)
        reading = signals.read(tape, {})["BTCUSDT"]
        assert reading.position == told.signals.position[hour - 1]
        assert reading == again.read(tape, {})["BTCUSDT"]


def test_before_the_warm_up_there_is_no_signal_and_a_missing_symbol_has_no_reading() -> None:
    tape = Tape(SYMBOLS)
    assert tape.add(MARKET.bars["BTCUSDT"].part(0, WARMUP_BARS - 1)) == WARMUP_BARS - 1
    readings = Signals(CONFIG, {}).read(tape, {})
    assert set(readings) == {"BTCUSDT"}
    assert readings["BTCUSDT"].position is None
    tape.add(MARKET.bars["BTCUSDT"].part(0, WARMUP_BARS))
    assert Signals(CONFIG, {}).read(tape, {})["BTCUSDT"].position is not None


def test_the_tape_knows_what_it_misses_and_what_a_position_is_valued_at() -> None:
    tape = Tape(SYMBOLS)
    bars, marks = MARKET.bars["BTCUSDT"], MARKET.mark["BTCUSDT"]
    assert tape.next_ms("BTCUSDT") is None
    assert tape.mark_at("BTCUSDT", 0) is None
    tape.add(bars.part(0, 10))
    close_ms = int(bars.open_time_ms[9]) + HOUR_MS
    assert tape.next_ms("BTCUSDT") == close_ms
    assert tape.complete(close_ms) == ("BTCUSDT",)
    assert tape.complete(close_ms + HOUR_MS) == ()
    assert tape.mark_at("BTCUSDT", close_ms) == (bars.close[9], True)
    tape.add(marks.part(0, 10), mark=True)
    assert tape.mark_at("BTCUSDT", close_ms) == (marks.close[9], False)
