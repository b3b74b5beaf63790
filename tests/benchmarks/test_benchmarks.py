"""The harness in its tiniest form; vectorbt and backtesting.py are left out: importing them alone takes longer."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks import __main__ as program
from benchmarks.comparable import comparable_config, comparable_run, frames, task
from benchmarks.harness import Figure, NotMeasured, Target, cold, percentile, timed
from benchmarks.inputs import FULL, SCALES, TINY, Inputs, facts_of_days
from benchmarks.machine import machine
from benchmarks.peers.signals import position_of, rebalanced
from benchmarks.rules_side import check, python_decide, zen_decide
from benchmarks.suites import SUITES, Measured, measured
from benchmarks.tables import Report, markdown, text
from benchmarks.verdicts import interpreted, snapshots
from engine.backtest import summary
from strategies.ensemble import make_sleeves

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(replace(TINY, days=400), tmp_path_factory.mktemp("bench"), None)


def test_percentiles_are_values_that_were_measured() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert [percentile(hundred, percent) for percent in (1, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([3.0], 99) == 3.0


def test_warm_up_is_run_but_not_kept() -> None:
    calls: list[int] = []
    times = timed(lambda: calls.append(1), repeats=5, warm_up=2)
    assert len(calls) == 7
    assert len(times.wall_s) == 5
    assert min(times.wall_s) > 0
    assert times.cpu_s >= 0


def test_a_figure_is_judged_by_the_statistic_its_target_names() -> None:
    times = replace(timed(lambda: None, repeats=1), wall_s=(0.1,) * 98 + (0.4, 0.5))
    figure = times.figure("x", Target("p50", 0.1, "#2"), Target("p99", 0.3, "#2"))
    assert (figure.p50, figure.p99, figure.best, figure.repeats) == (0.1, 0.4, 0.1, 100)
    assert [figure.met(target) for target in figure.targets] == [True, False]


def test_a_command_that_fails_is_reported_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('so what', file=sys.stderr); sys.exit(3)"]
    with pytest.raises(NotMeasured, match="exit code 3: so what"):
        cold(command, tmp_path, repeats=1)
    assert len(cold(command, tmp_path, repeats=1, exit_codes=(3,)).wall_s) == 1


@pytest.mark.parametrize("suite", ["backtest", "verdict", "python", "bundle"])
def test_each_suite_measures_something(suite: str) -> None:
    found = measured(suite, "tiny", None, 2)
    assert found.missing == ""
    assert found.figures
    assert all(figure.p50 > 0 and figure.ours != (suite == "python") for figure in found.figures)
    assert Measured.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_facts_come_from_the_seed_alone(inputs: Inputs) -> None:
    assert list(facts_of_days(inputs.action, 3, 7)) == list(facts_of_days(inputs.action, 3, 7)) == inputs.days[:3]
    assert list(facts_of_days(inputs.action, 3, 8)) != inputs.days[:3]


def test_the_days_are_worth_deciding(inputs: Inputs) -> None:
    outcomes = {interpreted(inputs.action, day)[0] for day in snapshots(inputs)}
    assert outcomes >= {"KEEP", "REDUCE"}


def test_plain_python_fires_the_interpreters_rules(inputs: Inputs) -> None:
    days = snapshots(inputs)
    decide = python_decide(inputs.action)
    check(inputs.action, days, decide)
    with pytest.raises(NotMeasured, match="day 0"):
        check(inputs.action, days, lambda row: ("PAUSE", {*decide(row)[1], "never"}))


def test_zen_engine_fires_the_interpreters_rules(inputs: Inputs) -> None:
    pytest.importorskip("zen", reason="zen-engine is not installed (`make bench` does it)")
    check(inputs.action, snapshots(inputs)[:60], zen_decide(inputs.action))


def test_the_peers_signals_are_ours_bar_by_bar(inputs: Inputs) -> None:
    config, tables = comparable_config(inputs.config), frames(inputs)
    sleeves = make_sleeves(config.ensemble.strategies, inputs.market.bars, config.market.symbols, 0.0)
    for symbol, (name, params) in task(inputs).choices.items():
        ours, theirs = sleeves[symbol].signals.position, position_of(name, params, tables[symbol])
        np.testing.assert_allclose(theirs, ours, atol=1e-9)
        assert np.nanstd(ours) > 0, symbol


def test_the_comparable_part_has_no_stop_and_no_costs_but_fees(inputs: Inputs) -> None:
    compared = summary(comparable_run(inputs))
    assert compared.slippage_usd == compared.funding_usd == 0.0
    assert compared.fees_usd > 0.0
    assert all(sleeve.stops == sleeve.time_stops == 0 for sleeve in compared.sleeves.values())


def test_the_peers_dead_band_trades_what_moved_by_five_percent() -> None:
    sizes = np.array([[np.nan], [1.0], [1.04], [1.05], [1.06], [-0.1], [0.0], [0.0]])
    traded = rebalanced(sizes, 0.05)[:, 0]
    np.testing.assert_array_equal(traded, [np.nan, 1.0, np.nan, 1.05, np.nan, -0.1, 0.0, np.nan])


def _report() -> Report:
    met = Figure("a thing", ours=True, p50=0.002, p99=0.004, best=0.001, targets=(Target("p50", 0.003, "#2"),))
    missed = Figure("another", ours=True, p50=5.0, unit="MB", targets=(Target("p50", 4.0, "#2"),), note="so much")
    peer = Figure("somebody else's", ours=False, p50=30e-6)
    suites = (
        Measured("one", (met, missed, peer), "", 3.0, 0.25, 1.0, (0.02, 0.03)),
        Measured("two", (), "zen-engine is not installed", 0.0, None, None, (0.0, 0.0)),
    )
    return Report("2026-01-01T00:00:00Z", "tiny", "a market", machine(), suites)


def test_the_table_says_what_was_met_missed_and_not_measured() -> None:
    shown = text(_report())
    assert "p50 ≤ 3 ms (#2) met" in shown
    assert "p50 ≤ 4.0 MB (#2) MISSED" in shown
    assert "30 µs" in shown
    assert "not measured: zen-engine is not installed" in shown
    assert "other programs used 25% of the processors" in shown
    assert shown.endswith("missed: another")
    page = markdown(_report())
    assert "| *somebody else's* |" in page
    assert "| so much |" in page


def test_a_run_leaves_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program.main(["bundle", "--tiny", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path)])
    [path] = tmp_path.glob("*-tiny.json")
    document = json.loads(path.read_text())
    assert document["measured"][0]["figures"][0]["what"] == "compile and check the bundle"
    assert "compile and check the bundle" in capsys.readouterr().out


def test_an_unknown_suite_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["backtests"])
    assert "there is no suite `backtests`" in capsys.readouterr().err


def test_the_page_is_written_of_a_whole_run_only(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["bundle", "--write-docs"])
    assert "the page holds every suite" in capsys.readouterr().err


def test_targets_are_judged_only_at_full_length() -> None:
    assert SCALES["full"] is FULL
    assert [scale.full_length for scale in SCALES.values()] == [True, True, False]
    assert set(SUITES) >= {"backtest", "vectorbt", "backtesting.py", "verdict", "zen-engine", "commands", "memory"}
