"""The real year of Terra and FTX, decided again with pandas alone: no code of the project but the ledger's file.

Equity is rebuilt from the fills, the settlements and the recorded prices; metrics from that equity; outcomes from the
thresholds of the SOP, written down here a second time.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from engine.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from engine.rehearsal.run import Rehearsed

DAY = 86_400_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
SEVERITY = ("PAUSE", "REDUCE", "SCALE_UP", "KEEP")


def table(path: Path, sql: str) -> pd.DataFrame:
    with closing(sqlite3.connect(path)) as connection:
        return pd.read_sql_query(sql, connection)


def prices(data: Path) -> pd.DataFrame:
    """Closes by symbol and close time: the mark price where there is one, else the last price."""
    columns = {}
    for symbol in SYMBOLS:
        folder = "klines_composite" if symbol == "SOLUSDT" else "klines"
        last = pd.read_csv(data / folder / f"{symbol}-1h.csv.gz", index_col="open_time")["close"]
        mark = pd.read_csv(data / "klines_mark" / f"{symbol}-1h.csv.gz", index_col="open_time")["close"]
        close = mark.reindex(last.index).fillna(last)
        opened = pd.to_datetime(close.index, utc=True)
        close.index = ((opened - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(milliseconds=1)) + 3_600_000
        columns[symbol] = close
    return pd.DataFrame(columns).ffill()


def rebuilt_equity(ledger: Path, closes: pd.DataFrame) -> pd.DataFrame:
    """Cumulative P&L by symbol and the equity at every mark, from fills, settlements and prices."""
    marks = table(ledger, "SELECT at_ms FROM marks WHERE account = 'risk' ORDER BY at_ms")["at_ms"]
    fills = table(ledger, "SELECT * FROM fills WHERE account = 'risk'")
    paid = table(ledger, "SELECT * FROM funding WHERE account = 'risk'")
    flows = table(ledger, "SELECT * FROM cash_flows WHERE account = 'risk'")
    fills["signed"] = fills["side"] * fills["qty"]
    fills["cash"] = -fills["signed"] * fills["price"] - fills["fee_usd"]
    result = pd.DataFrame(index=marks)
    for symbol in SYMBOLS:
        mine, settled = fills[fills["symbol"] == symbol], paid[paid["symbol"] == symbol]
        qty = before(marks, mine["at_ms"], mine["signed"])
        cash = before(marks, mine["at_ms"], mine["cash"]) + before(marks, settled["at_ms"], settled["amount_usd"])
        result[symbol] = cash + qty * closes[symbol].reindex(marks).to_numpy()
    inflow = before(marks, flows["at_ms"], flows["amount_usd"])
    result["equity"] = 15_000.0 + result[list(SYMBOLS)].sum(axis=1) + inflow
    return result


def before(marks: pd.Series, times: pd.Series, amounts: pd.Series) -> np.ndarray:
    """The sum of what happened strictly before each mark."""
    order = np.argsort(times.to_numpy(), kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(amounts.to_numpy()[order])])
    return sums[np.searchsorted(times.to_numpy()[order], marks.to_numpy(), side="left")]


def unit_values(equity: pd.Series, flows: pd.DataFrame) -> pd.Series:
    """NAV per unit: a flow buys units at the value of its instant."""
    units, values = 15_000.0, []
    amounts = dict(zip(flows["at_ms"], flows["amount_usd"], strict=True))
    for at, usd in equity.items():
        values.append(usd / units)
        units += amounts.get(at, 0.0) / values[-1]
    return pd.Series(values, index=equity.index)


@pytest.fixture(scope="session")
def year(terra_and_ftx: Rehearsed, real_data: Path) -> tuple[Path, pd.DataFrame]:
    return terra_and_ftx.ledger, rebuilt_equity(terra_and_ftx.ledger, prices(real_data))


def test_the_equity_is_what_fills_settlements_and_prices_make_of_it(year: tuple[Path, pd.DataFrame]) -> None:
    ledger, rebuilt = year
    recorded = table(ledger, "SELECT at_ms, equity_usd, nav FROM marks WHERE account = 'risk' ORDER BY at_ms")
    np.testing.assert_allclose(rebuilt["equity"], recorded["equity_usd"], atol=1e-6)
    flows = table(ledger, "SELECT at_ms, amount_usd FROM cash_flows WHERE account = 'risk'")
    np.testing.assert_allclose(unit_values(rebuilt["equity"], flows), recorded["nav"], rtol=1e-9)


def test_a_ledger_says_which_prices_it_was_made_of(terra_and_ftx: Rehearsed) -> None:
    with Ledger.open(terra_and_ftx.ledger, read_only=True) as real:
        assert real.meta()["klines"] == "klines_composite"


def daily_frame(ledger: Path, rebuilt: pd.DataFrame) -> pd.DataFrame:
    """One row a complete day: the metrics the action policy reads."""
    flows = table(ledger, "SELECT at_ms, amount_usd FROM cash_flows WHERE account = 'risk'")
    nav = unit_values(rebuilt["equity"], flows)
    drawdown = 100 * (1 - nav / nav.cummax())
    closes = nav[nav.index % DAY == 0]
    returns = closes.pct_change().dropna()
    frame = pd.DataFrame(index=returns.index)
    window = returns.rolling(20)
    frame["sharpe"] = window.mean() / window.std(ddof=1) * np.sqrt(365)
    frame["drawdown"] = drawdown.reindex(frame.index)
    frame["deepest"] = drawdown.rolling(721, min_periods=1).max().reindex(frame.index)
    month_ago = closes.shift(30).reindex(frame.index)
    frame["return_30d"] = 100 * (closes / month_ago - 1)
    frame["return_window"] = 100 * (closes / month_ago.fillna(closes.iloc[0]) - 1)
    equity = rebuilt["equity"][rebuilt.index % DAY == 0]
    inflow = pd.Series(dict(zip(flows["at_ms"], flows["amount_usd"], strict=True)), dtype=float)
    start = equity + inflow.reindex(equity.index).fillna(0)
    sleeves = {}
    for symbol in SYMBOLS:
        pnl = rebuilt[symbol][rebuilt.index % DAY == 0].diff()
        sleeves[symbol] = (100 * pnl / start.shift(1)).dropna().rolling(14).sum()
    contributions = pd.DataFrame(sleeves)
    frame["negative"] = (contributions < 0).sum(axis=1).where(contributions.notna().all(axis=1))
    frame["worst"] = contributions.min(axis=1).where(contributions.notna().all(axis=1))
    paid = table(ledger, "SELECT * FROM funding WHERE account = 'risk'")
    for at in frame.index:
        recent = paid[(paid["at_ms"] >= at - 30 * DAY) & (paid["at_ms"] < at)]
        mean = equity[(equity.index > at - 30 * DAY) & (equity.index <= at)].mean()
        old_enough = at - 30 * DAY >= equity.index[0]
        frame.loc[at, "drag"] = max(0.0, -recent["amount_usd"].sum()) / mean * 365 / 30 * 100 if old_enough else np.nan
        open_ = recent[(recent["qty"] != 0) & (recent["assumed"] == 0)]
        assumed = (open_["qty"].abs() * open_["mark_price"] * 1e-4 * open_["hours"] / 8).sum()
        cost = (open_["qty"] * open_["mark_price"] * open_["rate"]).sum()
        frame.loc[at, "drift"] = max(0.0, cost) / assumed if open_["at_ms"].nunique() >= 21 else np.nan
    return frame


def colours(day: pd.Series) -> dict[str, str]:
    """§3.2's bands; the slippage of a rehearsal is the assumed one, so it is green once there is an order."""
    bands = {
        "sharpe": (day["sharpe"] > 0.5, day["sharpe"] < 0),
        "drawdown": (day["drawdown"] < 8, day["drawdown"] > 10),
        "return_30d": (day["return_30d"] > 0, day["return_30d"] < -5),
        "drag": (day["drag"] < 1, day["drag"] > 2),
        "negative": (day["negative"] == 0, day["negative"] >= 2),
    }
    return {
        name: "unknown" if np.isnan(day[name]) else "green" if green else "red" if red else "yellow"
        for name, (green, red) in bands.items()
    }


def expected_outcomes(frame: pd.DataFrame, ledger: Path) -> dict[int, str]:
    resets = sorted(table(ledger, "SELECT at_ms FROM events WHERE kind IN ('episode_end', 'restart')")["at_ms"])
    raised = sorted(table(ledger, "SELECT at_ms FROM events WHERE kind = 'scale_up'")["at_ms"])
    exposure = table(ledger, "SELECT at_ms, document FROM events WHERE kind = 'bounds' ORDER BY at_ms")
    steps = [(at, json.loads(text)["exposure"]) for at, text in exposure.itertuples(index=False)]
    yellow: dict[str, int] = {}
    good = 0
    outcomes: dict[int, str] = {}
    for at, day in zip(frame.index.tolist(), (row for _, row in frame.iterrows()), strict=True):
        if any(at - DAY < reset <= at for reset in resets) or any(at - DAY < each < at for each in raised):
            yellow, good = {}, 0  # a streak holds days that began after the last recovery, restart or scale-up
        else:
            found = colours(day)
            yellow = {name: yellow.get(name, 0) + 1 for name, colour in found.items() if colour == "yellow"}
            full = [value for time, value in steps if time < at][-1] == 1
            strong = day["sharpe"] > 0.8 and day["deepest"] < 8 and day["drift"] <= 1.5
            good = good + 1 if strong and full and set(found.values()) == {"green"} else 0
        bad = (
            day["sharpe"] < 0
            or day["drawdown"] > 10
            or day["return_window"] < -5
            or day["drag"] > 2
            or day["negative"] >= 2
            or day["worst"] < -3
            or max(yellow.values(), default=0) >= 4
        )
        if day["drawdown"] > 12 or day["return_window"] < -10:
            outcomes[at] = "PAUSE"
        else:
            outcomes[at] = "REDUCE" if bad else "SCALE_UP" if good >= 10 else "KEEP"
        if at in raised:  # the cap rises on a verdict that wants it at that very moment, and the days begin anew
            assert outcomes[at] == "SCALE_UP"
            yellow, good = {}, 0
    return outcomes


@pytest.mark.requirement("R131", "R133", "R136", "R137", "R150", "R151", "R153")
def test_R131_every_verdict_day_of_the_real_year_comes_out_the_same_in_pandas(year: tuple[Path, pd.DataFrame]) -> None:
    ledger, rebuilt = year
    assert table(ledger, "SELECT * FROM events WHERE kind IN ('flatten', 'restart')").empty  # else epochs would matter
    expected = expected_outcomes(daily_frame(ledger, rebuilt), ledger)
    recorded = table(ledger, "SELECT at_ms, outcome FROM verdicts WHERE at_ms % 86400000 = 0")
    found = dict(zip(recorded["at_ms"], recorded["outcome"], strict=True))
    different = {
        str(pd.Timestamp(at, unit="ms")): (found.get(at), outcome)
        for at, outcome in expected.items()
        if found.get(at) != outcome
    }
    assert different == {}
    assert len(expected) == 365
    assert {"KEEP", "REDUCE", "SCALE_UP"} <= set(expected.values())
