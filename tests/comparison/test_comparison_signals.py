"""Signal consistency: equal where nothing was touched, and a tampered signal is found at its bar (R061, R062, R233)."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import cli
from engine.clock import HOUR_MS, iso
from engine.comparison.replay import replayed
from engine.comparison.signals import Consistency, SleeveShare, consistency, is_enough, needed
from engine.ledger import Ledger
from engine.metrics import Positions, signal_consistency
from engine.policy.load import parse_policy
from tests.comparison.kit import ROOT_CONFIG, ROOT_RULES, Rehearsed, bundle, rules

if TYPE_CHECKING:
    from pathlib import Path

    from engine.comparison.recorded import Recorded
    from engine.comparison.replay import Replay

SYMBOL = "ETHUSDT"


@pytest.fixture(scope="module")
def replay(month: Rehearsed) -> Replay:
    return replayed(month.record, month.market, rules())


def with_position(record: Recorded, row: int, value: float) -> Recorded:
    marks = record.sleeves[SYMBOL]
    position = marks.position.copy()
    position[row] = value
    return replace(record, sleeves={**record.sleeves, SYMBOL: replace(marks, position=position)})


def found(record: Recorded, replay: Replay) -> Consistency:
    return consistency(record, replay, record.from_ms, record.to_ms, {})


def test_R061_all_sleeves_of_a_rehearsal_say_what_its_replay_says(month: Rehearsed, replay: Replay) -> None:
    same = found(month.record, replay)
    hours = (month.record.to_ms - month.record.from_ms) // HOUR_MS
    assert same.sleeves == dict.fromkeys(("BTCUSDT", "ETHUSDT", "SOLUSDT"), SleeveShare(hours, hours))
    assert (same.percent, same.first, same.enough) == (100.0, None, True)


@pytest.mark.parametrize("value", [float("nan"), 0.123456])
def test_R062_R233_a_tampered_signal_is_found_at_its_bar(month: Rehearsed, replay: Replay, value: float) -> None:
    record, marks = month.record, month.record.sleeves[SYMBOL]
    wrong = found(with_position(record, 300, value), replay)
    assert wrong.compared - wrong.matched == 1
    assert wrong.first is not None
    assert (wrong.first.symbol, wrong.first.bar_ms) == (SYMBOL, int(marks.at_ms[300]) - HOUR_MS)
    assert wrong.first.live == (None if np.isnan(value) else value)
    assert wrong.first.replay == pytest.approx(marks.position[300])


def test_the_sign_counts_and_rounding_does_not(month: Rehearsed, replay: Replay) -> None:
    record, value = month.record, float(month.record.sleeves[SYMBOL].position[300])
    assert found(with_position(record, 300, value + 5e-7), replay).first is None
    assert found(with_position(record, 300, value + 2e-6), replay).first is not None
    assert found(with_position(record, 300, -value), replay).first is not None


def test_a_bar_that_is_not_on_record_is_a_mismatch(month: Rehearsed, replay: Replay) -> None:
    record, marks = month.record, month.record.sleeves[SYMBOL]
    keep = np.arange(len(marks)) != 40
    shorter = replace(marks, **{name: values[keep] for name, values in vars(marks).items()})
    missing = found(replace(record, sleeves={**record.sleeves, SYMBOL: shorter}), replay)
    assert missing.compared - missing.matched == 1
    assert missing.first is not None
    assert (missing.first.bar_ms, missing.first.live) == (int(marks.at_ms[40]) - HOUR_MS, None)


def test_the_share_is_that_of_the_metric(month: Rehearsed, replay: Replay) -> None:
    """Oracle: the project's metric, which knows nothing of restarts: this month has none of a position."""
    record = month.record
    for row in (200, 300, 400, 500):
        record = with_position(record, row, 0.5)
    ours = {name: Positions(marks.at_ms, marks.position) for name, marks in record.sleeves.items()}
    theirs = {
        symbol: Positions(replay.history.at_ms, replay.history.position[:, column])
        for column, symbol in enumerate(replay.history.symbols)
    }
    oracle = signal_consistency(ours, theirs)
    here = found(record, replay)
    assert (here.matched, here.compared) == (oracle.matches, oracle.comparisons)


def test_the_threshold_is_the_stages_policys_own(month: Rehearsed) -> None:
    stages = bundle().policies["stages"]
    assert needed(stages).text == "> 98%"
    share = Consistency(0, 0, {SYMBOL: SleeveShare(10_000, 9_800)}, None, {})
    assert not is_enough(share, stages)
    assert is_enough(replace(share, sleeves={SYMBOL: SleeveShare(10_000, 9_801)}), stages)
    assert not is_enough(replace(share, sleeves={}), stages)
    softer = stages.text.replace('signal_consistency: "> 98%"', 'signal_consistency: "> 90%"')
    assert is_enough(share, parse_policy(softer.encode(), "stages.yaml", stages.vocabulary))
    del month


def run(capsys: pytest.CaptureFixture[str], ledger: Path) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["consistency", "-c", ROOT_CONFIG, "--rules", ROOT_RULES, "--ledger", str(ledger)])
    captured = capsys.readouterr()
    assert captured.err == ""
    assert isinstance(ended.value.code, int)
    return ended.value.code, captured.out


def test_R233_the_command_records_what_it_found_and_fails_below_the_threshold(
    month: Rehearsed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = tmp_path / "ledger.db"
    shutil.copy(month.path, ledger)
    code, out = run(capsys, ledger)
    assert code == 0
    assert "100.00 % of signals equal: 2,160 of 2,160, > 98 % is needed" in out
    first_ms = int(month.record.sleeves[SYMBOL].at_ms[400])
    with closing(sqlite3.connect(ledger)) as hand:
        for (name,) in hand.execute("SELECT name FROM sqlite_master WHERE type='trigger' AND tbl_name='sleeve_marks'"):
            hand.execute(f"DROP TRIGGER {name}")
        hand.execute(
            "UPDATE sleeve_marks SET position = -position WHERE account='risk' AND symbol=? AND at_ms BETWEEN ? AND ?",
            (SYMBOL, first_ms, first_ms + 49 * HOUR_MS),
        )
        hand.commit()
    code, out = run(capsys, ledger)
    assert code == 1
    assert f"first mismatch: {SYMBOL} at the bar of" in out
    with Ledger.open(ledger, read_only=True) as opened:
        document = json.loads(opened.events("consistency")[-1].document)
    assert (document["compared"], document["matched"]) == (2160, 2110)
    assert document["first_mismatch"]["bar"] == iso(first_ms - HOUR_MS)
    assert document["sleeves"][SYMBOL] == {"compared": 720, "matched": 670}
    assert document["config_sha256"] == bundle().config_sha256
