from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConfigError
from strategies.ensemble import make_sleeves
from strategies.registry import STRATEGY_NAMES, make_sleeve, parameter_names
from tests.strategies.builders import R1, bars_of, random_bars, real_bars

if TYPE_CHECKING:
    from pathlib import Path

    from strategies.sleeve import Sleeve


class Choice:
    def __init__(self, name: str, params: dict[str, object]) -> None:
        self.name = name
        self.params = params


def assert_prefix(short: Sleeve, whole: Sleeve) -> None:
    cut = len(short.bars)
    assert np.array_equal(short.signals.position, whole.signals.position[:cut], equal_nan=True)
    assert np.array_equal(short.signals.stop_price, whole.signals.stop_price[:cut], equal_nan=True)
    assert np.array_equal(short.signals.ending, whole.signals.ending[:cut])
    for name, values in short.indicators().items():
        assert np.array_equal(values, whole.indicators()[name][:cut], equal_nan=True), name


@given(st.sampled_from(sorted(R1)), st.integers(0, 10**6), st.integers(1, 1400), st.data())
@settings(max_examples=40, deadline=None)
def test_R015_truncating_the_future_changes_no_past_signal(
    symbol: str, seed: int, count: int, data: st.DataObject
) -> None:
    bars = random_bars(seed, count, symbol=symbol)
    cut = data.draw(st.integers(1, count))
    name, params = R1[symbol]
    assert_prefix(make_sleeve(name, params, bars.part(0, cut), 3.0), make_sleeve(name, params, bars, 3.0))


@pytest.mark.parametrize("symbol", sorted(R1))
def test_R015_truncating_recorded_prices_changes_no_past_signal(real_data: Path, symbol: str) -> None:
    bars = real_bars(real_data, symbol)
    name, params = R1[symbol]
    whole = make_sleeve(name, params, bars, 3.0)
    for cut in np.random.default_rng(1).integers(1, len(bars), 25).tolist():
        assert_prefix(make_sleeve(name, params, bars.part(0, cut), 3.0), whole)


@pytest.mark.parametrize("symbol", sorted(R1))
def test_a_signal_of_the_whole_history_is_that_of_the_last_2160_bars(real_data: Path, symbol: str) -> None:
    bars = real_bars(real_data, symbol)
    name, params = R1[symbol]
    whole = make_sleeve(name, params, bars, 3.0).signals.position
    held = 0
    for t in range(3000, len(bars), 577):
        last = make_sleeve(name, params, bars.part(t - 2159, t + 1), 3.0).signals.position[-1]
        assert last == pytest.approx(whole[t], abs=1e-6), t
        assert np.sign(last) == np.sign(whole[t])
        held += bool(last)
    assert held > 5


def test_a_strategy_without_memory_does_not_restart() -> None:
    name, params = R1["SOLUSDT"]
    sleeve = make_sleeve(name, params, random_bars(1, 300), 3.0)
    assert sleeve.restart(50) is sleeve
    assert not sleeve.remembers
    assert sleeve.indicators() == {}
    assert np.isnan(sleeve.signals.stop_price).all(), "SOL has no stop, by configuration (A93)"


def test_R011_an_ensemble_has_one_sleeve_a_symbol_in_the_order_asked_for() -> None:
    bars = {symbol: random_bars(1, 50, symbol=symbol) for symbol in R1}
    choices = {symbol: Choice(name, params) for symbol, (name, params) in R1.items()}
    sleeves = make_sleeves(choices, bars, ("SOLUSDT", "BTCUSDT"), 3.0)
    assert list(sleeves) == ["SOLUSDT", "BTCUSDT"]
    assert sleeves["BTCUSDT"].remembers


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"BTCUSDT: error\[unknown-strategy\]: there is no strategy `donchian`"):
        make_sleeve("donchian", {}, bars_of([1.0]), 3.0)


@pytest.mark.parametrize("name", STRATEGY_NAMES)
def test_each_parameter_is_needed_and_no_other_is_taken(name: str) -> None:
    params = {key: value for choice, known in R1.values() if choice == name for key, value in known.items()}
    assert set(params) == set(parameter_names(name))
    for absent in params:
        with pytest.raises(ConfigError, match=f"needs the parameter `{absent}`"):
            make_sleeve(name, {key: params[key] for key in params if key != absent}, bars_of([1.0]), 3.0)
    with pytest.raises(ConfigError, match="has no parameter `leverage`"):
        make_sleeve(name, {**params, "leverage": 3}, bars_of([1.0]), 3.0)


@pytest.mark.parametrize("name", STRATEGY_NAMES)
@pytest.mark.parametrize("count", [1, 2, 13, 15])
def test_few_bars_give_no_error(name: str, count: int) -> None:
    params = next(known for choice, known in R1.values() if choice == name)
    assert len(make_sleeve(name, params, random_bars(2, count), 3.0).signals.position) == count
