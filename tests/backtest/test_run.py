from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from engine.backtest import (
    BacktestResult,
    run_backtest,
    signals_rows,
    summary,
    summary_text,
    write_equity_csv,
    write_picture,
    write_signals_csv,
    write_trades_csv,
)
from engine.backtest.picture import picture_lines
from engine.clock import DAY_MS, HOUR_MS, iso, parse_time
from engine.config import FrozenConfig, load_config
from engine.errors import DataError, UsageError
from engine.market.series import FundingRates, Market
from engine.metrics import sharpe
from tests.backtest.builders import market_of, rates_of, real_market
from tests.strategies.builders import R1, START_MS, bars_of, random_bars

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = Path(__file__).resolve().parents[2] / "config" / "prod_candidate_R1.yaml"
HOURS = 2160 + 24 * 40
FIRST_MS = START_MS + 2160 * HOUR_MS


@pytest.fixture(scope="module")
def config() -> FrozenConfig:
    return load_config(CONFIG)


@pytest.fixture(scope="module")
def market() -> Market:
    bars = [random_bars(70 + number, HOURS, symbol=symbol) for number, symbol in enumerate(R1)]
    hours = [hour for hour in range(0, HOURS, 8) if hour != FIRST_MS // HOUR_MS - START_MS // HOUR_MS + 80]
    funding = [rates_of(symbol, hours, [1e-4] * len(hours)) for symbol in R1]
    return market_of(*bars, mark=bars[:2], funding=funding)


@pytest.fixture(scope="module")
def result(config: FrozenConfig, market: Market) -> BacktestResult:
    return run_backtest(config, market, dead_band=0.05, start_ms=FIRST_MS)


def test_R001_R011_the_frozen_configuration_runs_as_it_is(config: FrozenConfig, result: BacktestResult) -> None:
    assert result.weights == {"BTCUSDT": 0.34, "ETHUSDT": 0.33, "SOLUSDT": 0.33}
    assert (result.costs.fee_bps, result.costs.slippage_bps) == (5, 3)
    assert result.initial_equity_usd == config.backtest.initial_cash_usd == 10_000
    assert len(result.history.at_ms) == 24 * 40
    assert {fill.symbol for fill in result.fills} == set(R1)


def test_R014_leverage_changes_no_notional(config: FrozenConfig, market: Market, result: BacktestResult) -> None:
    lever = replace(config, futures=replace(config.futures, leverage=1))
    other = run_backtest(lever, market, dead_band=0.05, start_ms=FIRST_MS)
    assert other.fills == result.fills
    assert other.funding == result.funding
    assert summary(result).max_exposure_ratio <= 1.0  # A62


def test_funding_may_be_assumed_or_switched_off(config: FrozenConfig, market: Market) -> None:
    def run(**changes: Any) -> BacktestResult:
        funding = replace(config.backtest.funding_rate, **changes)
        changed = replace(config, backtest=replace(config.backtest, funding_rate=funding))
        return run_backtest(changed, market, dead_band=0.05, start_ms=FIRST_MS)

    assert run(enabled=False).funding == []
    assumed = run(use_historical=False).funding
    assert assumed
    assert all(payment.assumed and payment.amount_usd < 0 for payment in assumed)


def test_a_part_of_the_symbols_keeps_its_weights_unless_told_otherwise(config: FrozenConfig, market: Market) -> None:
    part = run_backtest(config, market, dead_band=0.05, symbols=["SOLUSDT"], start_ms=FIRST_MS)
    assert part.weights == {"SOLUSDT": 0.33}
    told = run_backtest(
        config, market, dead_band=0.05, symbols=["SOLUSDT", "BTCUSDT"], weights=[0.5, 0.25], start_ms=FIRST_MS
    )
    assert told.weights == {"SOLUSDT": 0.5, "BTCUSDT": 0.25}
    assert told.history.symbols == ("SOLUSDT", "BTCUSDT")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"symbols": ["DOGEUSDT"]}, "`DOGEUSDT` is not in the configuration"),
        ({"symbols": ["BTCUSDT", "BTCUSDT"]}, "`BTCUSDT` is given twice"),
        ({"symbols": []}, "no symbol is given"),
        ({"weights": [0.5, 0.5]}, "2 weights for 3 symbols"),
        ({"weights": [0.5, 0.5, 0.5]}, "the weights sum to 1.5, at most 1 is allowed"),
        ({"weights": [0.5, -0.1, 0.5]}, "expected shares from 0 to 1, found `0.5 -0.1 0.5`"),
        ({"weights": [0.5, float("nan"), 0.5]}, "found `0.5 nan 0.5`"),
        ({"start_ms": FIRST_MS, "end_ms": FIRST_MS}, "nothing lies between"),
    ],
)
def test_what_does_not_fit_is_refused(
    config: FrozenConfig, market: Market, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        run_backtest(config, market, dead_band=0.05, **asked)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_missing_prices_are_named(config: FrozenConfig, market: Market) -> None:
    with pytest.raises(DataError, match=r"SOLUSDT: error\[no-bars\]"):
        run_backtest(config, market_of(market.bars["BTCUSDT"], market.bars["ETHUSDT"]), dead_band=0.05)
    with pytest.raises(DataError, match="no symbol has a bar"):
        run_backtest(config, market, dead_band=0.05, start_ms=parse_time("2030-01-01"), end_ms=parse_time("2030-02-01"))


# --- the summary ------------------------------------------------------------------------------------------------------


def test_R217_R218_R219_the_summary_equals_a_recomputation_with_pandas(result: BacktestResult) -> None:
    found = summary(result)
    times = pd.to_datetime([result.start_ms, *result.history.at_ms.tolist()], unit="ms", utc=True)
    marks = pd.Series([1.0, *result.history.nav.tolist()], index=times)
    daily = marks[times.hour == 0].pct_change().dropna()
    assert len(daily) == 40
    assert found.return_ratio == pytest.approx(float(np.prod(1 + daily)) - 1)
    assert found.cagr_ratio == pytest.approx((1 + found.return_ratio) ** (365 / 40) - 1)
    assert found.volatility_ratio == pytest.approx(daily.std() * np.sqrt(365))
    assert found.sharpe == pytest.approx(daily.mean() / daily.std() * np.sqrt(365)) == sharpe(np.array(daily.tolist()))
    assert found.sharpe_low is not None
    assert found.sharpe_high is not None
    assert found.sharpe_low < (found.sharpe or 0) < found.sharpe_high
    assert found.max_drawdown_ratio == pytest.approx(float((1 - marks / marks.cummax()).max()))
    assert found.days == 40.0


def test_R211_R220_the_sleeves_of_the_summary_add_up(result: BacktestResult) -> None:
    found = summary(result)
    sleeves = found.sleeves.values()
    assert sum(sleeve.pnl_usd for sleeve in sleeves) == pytest.approx(found.final_equity_usd - 10_000)
    assert sum(sleeve.return_ratio for sleeve in sleeves) == pytest.approx(found.return_ratio)
    for name in ("orders", "trades", "fees_usd", "slippage_usd", "funding_usd", "turnover_per_year"):
        assert sum(getattr(sleeve, name) for sleeve in sleeves) == pytest.approx(getattr(found, name)), name
    assert found.orders == len(result.fills)
    assert found.fees_usd == pytest.approx(sum(fill.fee_usd for fill in result.fills))
    assert found.slippage_usd == pytest.approx(sum(fill.slippage_usd for fill in result.fills), rel=1e-12)
    assert found.funding_usd == pytest.approx(-sum(payment.amount_usd for payment in result.funding))
    assert found.assumed_settlements == sum(payment.assumed for payment in result.funding) > 0
    assert found.estimated_marks == int((result.history.qty[:, 2] != 0).sum()), "only SOL lacks mark prices here"
    assert found.sleeves["BTCUSDT"].stops == sum(fill.reason == "stop" for fill in result.fills)


def test_the_summary_serialises_and_prints(result: BacktestResult) -> None:
    found = summary(result)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["sleeves"]["ETHUSDT"]["weight"] == 0.33
    text = summary_text(found)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "Sharpe" in text
    assert "not on record" in text


def test_a_run_without_a_complete_day_knows_no_ratio(config: FrozenConfig, market: Market) -> None:
    found = summary(run_backtest(config, market, dead_band=0.05, start_ms=FIRST_MS, end_ms=FIRST_MS + 5 * HOUR_MS))
    assert found.sharpe is found.cagr_ratio is found.volatility_ratio is found.sortino is None
    assert "unknown" in summary_text(found)
    short = summary(run_backtest(config, market, dead_band=0.05, start_ms=START_MS, end_ms=START_MS + DAY_MS))
    assert short.orders == 0
    assert short.sleeves["BTCUSDT"].first_decision_at is None
    assert "never traded" in summary_text(short)


# --- files ------------------------------------------------------------------------------------------------------------


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_files_hold_every_fill_and_every_hour(result: BacktestResult, tmp_path: Path) -> None:
    trades, equity = tmp_path / "new" / "trades.csv", tmp_path / "equity.csv"
    write_trades_csv(result, trades)
    write_equity_csv(result, equity)
    written = rows_of(trades)
    assert len(written) == len(result.fills)
    assert sum(float(row["fee_usd"]) for row in written) == pytest.approx(summary(result).fees_usd)
    assert {row["side"] for row in written} == {"buy", "sell"}
    assert written[0]["time"] == iso(result.fills[0].at_ms)
    hours = rows_of(equity)
    assert [float(row["equity_usd"]) for row in hours] == pytest.approx(result.history.equity_usd.tolist())
    assert hours[0]["time"] == iso(FIRST_MS + HOUR_MS)
    last = hours[-1]
    pnl = sum(float(last[f"{symbol}_pnl_usd"]) for symbol in R1)
    assert 10_000 + pnl == pytest.approx(float(last["equity_usd"]))


@pytest.mark.parametrize("write", [write_trades_csv, write_equity_csv, write_picture])
def test_a_file_that_cannot_be_written_is_one_clear_error(
    write: Callable[[BacktestResult, Path], None], result: BacktestResult, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    with pytest.raises(DataError, match=r"error\[unwritable\].*cannot be written"):
        write(result, tmp_path / "taken" / "out.svg")


def test_the_picture_is_the_same_bytes_twice_and_names_what_it_shows(result: BacktestResult, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        write_picture(result, tmp_path / name)
    drawn = (tmp_path / "one.svg").read_bytes()
    assert drawn == (tmp_path / "two.svg").read_bytes()
    texts = [element.text for element in ET.fromstring(drawn).iter() if element.text]  # noqa: S314 - our own picture
    assert {"equity, USD", "drawdown, %", "sleeve P&L, USD", "UTC", *R1} <= set(texts)
    with pytest.raises(DataError, match=r"error\[picture-format\]"):
        write_picture(result, tmp_path / "picture.png")


@pytest.mark.parametrize("hours", [1, 2, 30, 24 * 9])
def test_a_short_or_idle_run_has_a_picture_too(
    config: FrozenConfig, market: Market, hours: int, tmp_path: Path
) -> None:
    idle = run_backtest(config, market, dead_band=0.05, start_ms=START_MS, end_ms=START_MS + hours * HOUR_MS)
    write_picture(idle, tmp_path / "idle.svg")
    text = (tmp_path / "idle.svg").read_text()
    assert "nan" not in text
    assert len(ET.fromstring(text)) > 10  # noqa: S314 - our own picture


def test_the_picture_shows_the_deepest_hour(result: BacktestResult) -> None:
    path = next(line for line in picture_lines(result) if "fill-opacity" in line)
    levels = [float(pair.split(" ")[1]) for pair in re.findall(r"[0-9.]+ [0-9.]+", path.split("V")[0])]
    ticks = [line for line in picture_lines(result) if 'stroke="#ddd"' in line]
    assert len(ticks) > 9
    assert max(levels) == levels[int(np.argmax(levels))] > min(levels)
    nav = np.concatenate([[1.0], result.history.nav])
    deepest = float((1 - nav / np.maximum.accumulate(nav)).max())
    drop = (max(levels) - min(levels)) / _scale_of_drawdown(picture_lines(result))
    assert drop == pytest.approx(100 * deepest, abs=0.1)


def _scale_of_drawdown(lines: list[str]) -> float:
    """Return how many units of the page one percent of drawdown takes."""
    start = next(index for index, line in enumerate(lines) if "drawdown, %" in line)
    axis = [line for line in lines[start + 1 :] if line.startswith("<text")][:2]
    (y_0, tick_0), (y_1, tick_1) = (re.findall(r'y="([0-9.]+)".*>(-?[0-9.]+)<', line)[0] for line in axis)
    return (float(y_1) - float(y_0)) / (float(tick_0) - float(tick_1))


# --- signals ----------------------------------------------------------------------------------------------------------


def test_signals_are_one_row_a_closed_bar_by_time_then_symbol(config: FrozenConfig, market: Market) -> None:
    rows = signals_rows(config, market)
    assert rows[0] == "time,symbol,position"
    assert len(rows) == 1 + 3 * HOURS
    assert rows[1:4] == [f"{iso(START_MS)},{symbol},{0 if symbol == 'BTCUSDT' else ''}" for symbol in R1]
    assert [row.split(",")[1] for row in rows[-3:]] == list(R1)
    assert rows[-1].startswith(iso(START_MS + (HOURS - 1) * HOUR_MS))


def test_signals_have_12_digits_and_the_breakouts_columns(config: FrozenConfig, market: Market) -> None:
    rows = [row.split(",") for row in signals_rows(config, market, indicators=True)]
    assert rows[0][3:] == ["atr", "mid", "upper", "lower", "expanding", "raw_state"]
    btc = [row for row in rows if row[1] == "BTCUSDT"]
    assert btc[12][3] == ""
    assert btc[13][3] != ""
    atr, mid, upper, lower = (float(field) for field in btc[-1][3:7])
    assert upper == pytest.approx(mid + 2.5 * atr)
    assert lower == pytest.approx(mid - 2.5 * atr)
    assert {row[7] for row in btc} <= {"0", "1"}
    assert {row[8] for row in btc} <= {"-1", "0", "1"}
    assert all(row[3:] == [""] * 6 for row in rows[1:] if row[1] != "BTCUSDT")
    digits = [
        len(row[2].lstrip("-0.").replace(".", "")) for row in rows[1:] if row[1] == "ETHUSDT" and "e" not in row[2]
    ]
    assert max(digits) == 12


def test_a_period_cuts_what_is_printed_never_what_is_computed(config: FrozenConfig, market: Market) -> None:
    rows = signals_rows(config, market, symbols=["SOLUSDT", "BTCUSDT"])
    part = signals_rows(config, market, symbols=["SOLUSDT", "BTCUSDT"], from_ms=FIRST_MS, to_ms=FIRST_MS + 3 * HOUR_MS)
    assert part[1:] == rows[1 + 2 * 2160 : 1 + 2 * 2163]
    assert len(signals_rows(config, market, from_ms=FIRST_MS, to_ms=FIRST_MS - 1)) == 1


def test_signals_are_written_as_lines(config: FrozenConfig, tmp_path: Path) -> None:
    bars = [bars_of([100.0, 101.0], symbol=symbol) for symbol in R1]
    write_signals_csv(signals_rows(config, market_of(*bars)), tmp_path / "signals.csv")
    assert len(rows_of(tmp_path / "signals.csv")) == 6


def test_the_recorded_years_come_out_as_measured(config: FrozenConfig, real_data: Path) -> None:
    # domain.md measured on real prices 2022-2025: costs took 8.5 % of NAV a year, 6.6 % was left.
    market = real_market(real_data)
    found = summary(run_backtest(config, market, dead_band=0.05, start_ms=parse_time("2022-01-01")))
    everything = found.fees_usd + found.slippage_usd + found.funding_usd
    orders_cost = found.cost_per_year_ratio * (found.fees_usd + found.slippage_usd) / everything
    assert orders_cost == pytest.approx(0.085, abs=0.001)
    assert found.cagr_ratio == pytest.approx(0.066, abs=0.001)
    assert found.assumed_settlements == 0


def test_a_record_that_begins_late_is_charged_at_the_default_rate(config: FrozenConfig, market: Market) -> None:
    late = {
        symbol: FundingRates(symbol, rates.time_ms[-10:], rates.rate[-10:]) for symbol, rates in market.funding.items()
    }
    found = run_backtest(config, Market(market.bars, market.mark, late), dead_band=0.05, start_ms=FIRST_MS)
    assumed = [payment for payment in found.funding if payment.assumed]
    assert assumed
    assert max(payment.at_ms for payment in assumed) < min(rates.time_ms[0] for rates in late.values())
