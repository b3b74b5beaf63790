"""Every oddity is found where it was put, and the known ones of the real prices are found too."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.clock import HOUR_MS, iso, parse_time
from engine.market.quality import WICK_PERCENT, Finding, FindingKind, check, check_path
from engine.market.series import FundingRates, Market, why_impossible
from engine.market.store import writing
from engine.market.synthetic import synthetic_market
from strategies.bars import Bars

if TYPE_CHECKING:
    from pathlib import Path

    from strategies.bars import IntArray

START_MS = parse_time("2024-01-01")
COUNT = 240


def at(hour: int) -> str:
    return iso(START_MS + hour * HOUR_MS)


def hours(*, without: tuple[int, ...] = (), step: int = 1) -> IntArray:
    kept = [hour for hour in range(0, COUNT, step) if hour not in without]
    return START_MS + np.array(kept, dtype=np.int64) * HOUR_MS


def flat(times: IntArray, volume: float = 1.0) -> Bars:
    price = np.full(len(times), 100.0)
    return Bars("BTCUSDT", times, price.copy(), price + 1, price - 1, price.copy(), np.full(len(times), volume))


def funding(times: IntArray) -> FundingRates:
    return FundingRates("BTCUSDT", times, np.full(len(times), 1e-4))


def clean() -> Market:
    return Market(
        {"BTCUSDT": flat(hours())}, {"BTCUSDT": flat(hours(), volume=0.0)}, {"BTCUSDT": funding(hours(step=8))}
    )


def with_last(bars: Bars) -> Market:
    return replace(clean(), bars={"BTCUSDT": bars})


def only(market: Market, kind: FindingKind) -> Finding:
    (finding,) = check(market).findings
    assert finding.kind == kind
    return finding


def test_a_clean_market_has_no_findings() -> None:
    report = check(clean())
    assert report.findings == ()
    assert [(part.series, part.rows, part.first, part.last) for part in report.summaries] == [
        ("last", 240, at(0), at(239)),
        ("mark", 240, at(0), at(239)),
        ("funding", 30, at(0), at(232)),
    ]


@pytest.mark.parametrize("series", ["last", "mark"])
def test_a_gap_is_found_with_its_first_and_last_missing_bar(series: str) -> None:
    holes = flat(hours(without=(10, 11, 12)), volume=float(series == "last"))
    market = with_last(holes) if series == "last" else replace(clean(), mark={"BTCUSDT": holes})
    finding = next(finding for finding in check(market).findings if finding.kind == "gap")
    assert (finding.series, finding.at, finding.until, finding.count) == (series, at(10), at(12), 3)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("open", 0.0, "`open` is 0"),
        ("close", float("nan"), "no finite number"),
        ("high", 98.0, "`high` 98 is below `low` 99"),
        ("low", 100.5, "lies outside"),
        ("volume", -1.0, "`volume` is -1"),
        ("volume", float("inf"), "`volume` is inf"),
    ],
)
def test_an_impossible_bar_is_found_and_explained(column: str, value: float, words: str) -> None:
    bars = flat(hours())
    getattr(bars, column)[7] = value
    finding = only(with_last(bars), "impossible")
    assert (finding.at, finding.count) == (at(7), 1)
    assert words in finding.detail


def test_a_possible_bar_is_not_explained_away() -> None:
    assert why_impossible(1.0, 1.0, 1.0, 1.0, 0.0) is None


def test_silent_hours_are_found_as_stretches() -> None:
    bars = flat(hours())
    bars.volume[[3, 4, 5, 7]] = 0.0
    assert [(finding.at, finding.until, finding.count) for finding in check(with_last(bars)).findings] == [
        (at(3), at(5), 3),
        (at(7), at(7), 1),
    ]


@pytest.mark.parametrize(("percent", "found"), [(4.9, True), (5.1, False)])
@pytest.mark.parametrize("side", ["high", "low"])
def test_a_wick_beyond_the_mark_is_found_on_both_sides(side: str, percent: float, *, found: bool) -> None:
    bars = flat(hours())
    column, mark = (bars.high, 101.0) if side == "high" else (bars.low, 99.0)
    column[20] = mark * (1.05 if side == "high" else 0.95)
    findings = check(with_last(bars), wick_percent=percent).findings
    assert [finding.at for finding in findings] == ([at(20)] if found else [])
    if found:
        assert findings[0].detail.startswith(f"{side} {column[20]:.10g} is 5.0 %")


def test_missing_marks_are_found_as_stretches() -> None:
    market = replace(clean(), mark={"BTCUSDT": flat(hours(without=(*range(30), 100)), volume=0.0)})
    found = [finding for finding in check(market).findings if finding.kind == "mark-missing"]
    assert [(finding.at, finding.until, finding.count) for finding in found] == [
        (at(0), at(29), 30),
        (at(100), at(100), 1),
    ]
    (whole,) = [f for f in check(replace(clean(), mark={})).findings if f.kind == "mark-missing"]
    assert whole.count == COUNT


def test_missing_settlements_are_found_inside_before_and_after() -> None:
    market = replace(clean(), funding={"BTCUSDT": funding(hours(step=8, without=(0, 8, 80, 88, 224, 232)))})
    found = [(f.at, f.until, f.count) for f in check(market).findings if f.kind == "funding-missing"]
    assert found == [(at(0), at(8), 2), (at(80), at(88), 2), (at(224), at(232), 2)]


def test_a_market_without_funding_says_so() -> None:
    finding = only(replace(clean(), funding={}), "funding-missing")
    assert (finding.at, finding.until, finding.count) == (at(0), at(239), 30)


@pytest.mark.parametrize("settled", [(), (0,)])
def test_hardly_any_settlement_is_no_crash(settled: tuple[int, ...]) -> None:
    times = START_MS + np.array(settled, dtype=np.int64) * HOUR_MS
    findings = check(replace(clean(), funding={"BTCUSDT": funding(times)})).findings
    assert [(finding.kind, finding.count) for finding in findings] == [("funding-missing", 29 if settled else 30)]


def test_a_changed_interval_is_found_with_its_times() -> None:
    times = np.array([*range(0, 100, 8), 100, 104, 106, 108, 110, 112, *range(120, COUNT, 8)]) * HOUR_MS + START_MS
    found = [
        (f.at, f.until, f.count, f.detail)
        for f in check(replace(clean(), funding={"BTCUSDT": funding(times)})).findings
    ]
    assert found == [
        (at(96), at(104), 2, "settled every 4 h instead of 8 h, 2 times"),
        (at(104), at(112), 4, "settled every 2 h instead of 8 h, 4 times"),
    ]


def test_duplicates_that_reading_dropped_are_told(tmp_path: Path) -> None:
    (tmp_path / "klines").mkdir()
    row = "2024-01-01T00:00:00Z,1,1,1,1,1\n"
    (tmp_path / "klines" / "BTCUSDT-1h.csv").write_text("open_time,open,high,low,close,volume\n" + row * 3)
    report = check_path(tmp_path, ["BTCUSDT"])
    assert [(f.series, f.count) for f in report.findings if f.kind == "duplicates"] == [("last", 2)]
    assert report.summaries[0].findings["duplicates"] == 2


def test_a_store_is_checked_as_a_folder_is(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    with writing(path) as store:
        store.upsert("last", flat(hours(without=(5,))))
    assert [(f.kind, f.count) for f in check_path(path, ["BTCUSDT"]).findings] == [
        ("gap", 1),
        ("mark-missing", COUNT - 1),
        ("funding-missing", (COUNT - 1) // 8),
    ]


def test_the_report_is_plain_json_and_its_summaries_count_the_findings() -> None:
    bars = flat(hours(without=(10, 11)))
    bars.volume[50] = 0.0
    report = check(with_last(bars))
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["summaries"][0]["findings"] == {"gap": 2, "zero-volume": 1}
    assert document["findings"][0] == {
        "kind": "gap", "symbol": "BTCUSDT", "series": "last",
        "at": at(10), "until": at(11), "count": 2, "detail": "2 bars missing",
    }  # fmt: skip


@pytest.mark.parametrize("scenario", ["demo", "plain"])
def test_the_synthetic_market_has_nothing_odd(scenario: str) -> None:
    assert check(synthetic_market(3, start_ms=START_MS, days=260, scenario=scenario)).findings == ()


def test_the_known_oddities_of_the_real_prices_are_found_and_no_others(real_data: Path) -> None:
    report = check_path(real_data, ["BTCUSDT", "ETHUSDT", "SOLUSDT"], klines="klines_composite")
    wicks = {(finding.symbol[:3], finding.at) for finding in report.findings if finding.kind == "wick"}
    assert wicks == {
        ("BTC", "2020-03-12T10:00:00Z"),
        ("BTC", "2021-07-26T01:00:00Z"),
        ("BTC", "2021-12-04T05:00:00Z"),
        ("ETH", "2020-03-12T23:00:00Z"),
        ("ETH", "2020-03-13T02:00:00Z"),
        ("ETH", "2020-08-02T04:00:00Z"),
        ("ETH", "2021-05-19T13:00:00Z"),
        ("ETH", "2021-09-07T15:00:00Z"),
    }
    intervals = [finding for finding in report.findings if finding.kind == "funding-interval"]
    assert {finding.symbol for finding in intervals} == {"SOLUSDT"}
    assert (intervals[0].at, intervals[-1].until) == ("2022-11-09T16:00:00Z", "2022-11-18T08:00:00Z")
    assert sum(finding.count for finding in intervals) == 101
    gaps = [finding for finding in report.findings if finding.kind == "gap"]
    assert (len(gaps), sum(finding.count for finding in gaps)) == (9, 19)
    silent = {finding.symbol: 0 for finding in report.findings if finding.kind == "zero-volume"}
    for finding in report.findings:
        silent[finding.symbol] += finding.count if finding.kind == "zero-volume" else 0
    assert silent == {"BTCUSDT": 3, "ETHUSDT": 1, "SOLUSDT": 1}
    assert not [finding for finding in report.findings if finding.kind in {"impossible", "duplicates"}]
    assert WICK_PERCENT == 5.0
