"""The file of the venue's limits: the shipped one, and every mistake in one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import load_config, load_filters
from engine.errors import ConfigError
from engine.policy.bundle import load_bundle
from engine.portfolio import SymbolFilters

CONFIG = Path(__file__).resolve().parents[2] / "config"
GOOD = "symbols:\n  BTCUSDT: {tick_size: 0.1, step_size: 0.001, min_qty: 0.001, min_notional_usd: 100}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "filters.yaml"
    path.write_text(text)
    return path


def test_A56_the_bundle_pins_limits_for_every_symbol_of_the_configuration() -> None:
    bundle = load_bundle(CONFIG / "prod_scale_rules_R1.yaml")
    assert bundle.filters is not None
    assert bundle.filters.path == CONFIG / "venue_filters.yaml"
    symbols = load_config(bundle.config_path).market.symbols
    limits = load_filters(bundle.filters.path, symbols)
    assert set(limits) == set(symbols)
    assert limits["BTCUSDT"] == SymbolFilters(0.001, 0.001, 100.0, 0.1)
    assert [limits[symbol].min_notional_usd for symbol in symbols] == [100.0, 20.0, 5.0]
    assert all(each.tick_size for each in limits.values())


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        (GOOD.replace("0.001", "0", 1), "range", "2:40"),
        (GOOD.replace("100", ".nan"), "not-finite", "2:81"),
        (GOOD.replace("100", "-1"), "range", "2:81"),
        (GOOD.replace("0.1,", "ten,"), "type", "2:24"),
        (GOOD.replace("min_qty", "minimum_qty"), "missing-key", "2:3"),
        (GOOD.replace("symbols", "symbol"), "unknown-key", "1:1"),
        (GOOD + "venue: there\n", "unknown-key", "3:1"),
        ("[]\n", "type", "1:1"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, code: str, place: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_filters(path)
    first = caught.value.problems[0]
    assert (first.code, first.where) == (code, f"{path}:{place}")


def test_a_symbol_of_the_configuration_must_be_there(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert list(load_filters(path, ["BTCUSDT"])) == ["BTCUSDT"]
    with pytest.raises(ConfigError, match=r"`symbols\.SOLUSDT` is missing, every symbol of `market\.symbols` needs"):
        load_filters(path, ["BTCUSDT", "SOLUSDT"])
