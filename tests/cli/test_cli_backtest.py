"""`backtest` as the SOP's monthly review calls it (§8): symbols and weights on the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import cli
from engine.config import load_config
from engine.market.imports import open_market
from tests.launch.launching import fill_store

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config" / "prod_candidate_R1.yaml"
RULES = ROOT / "config" / "prod_scale_rules_R1.yaml"
SOP = "--symbols BTCUSDT ETHUSDT SOLUSDT --weights 0.34 0.33 0.33"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_store(tmp_path_factory.mktemp("market") / "market.db", days=100)


def run(capsys: pytest.CaptureFixture[str], store: Path, out: Path, options: str) -> dict[str, object]:
    where = ["-c", str(CONFIG), "--rules", str(RULES), "--data", str(store), "--out", str(out), "--json"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["backtest", *where, *options.split()])
    captured = capsys.readouterr()
    assert ended.value.code in (0, None), captured.err
    document: dict[str, object] = json.loads(captured.out)
    return document


def traded(out: Path) -> dict[str, float]:
    """The largest notional of each symbol among the written trades."""
    most: dict[str, float] = {}
    with (out / "trades.csv").open() as lines:
        for row in csv.DictReader(lines):
            notional = abs(float(row["qty"])) * float(row["price"])
            most[row["symbol"]] = max(most.get(row["symbol"], 0.0), notional)
    return most


@pytest.mark.requirement("R216", "R232")
def test_R216_the_commands_of_the_monthly_review_take_symbols_and_weights(
    capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path
) -> None:
    config = load_config(CONFIG)
    assert set(open_market(store, config.market.symbols).bars) == set(config.market.symbols)
    written = run(capsys, store, tmp_path / "sop", SOP)
    default = run(capsys, store, tmp_path / "default", "")
    assert (tmp_path / "sop" / "trades.csv").read_bytes() == (tmp_path / "default" / "trades.csv").read_bytes()
    assert written.keys() == default.keys()
    run(capsys, store, tmp_path / "one", "--symbols ETHUSDT --weights 0.165")
    assert traded(tmp_path / "one").keys() == {"ETHUSDT"}
    halved = traded(tmp_path / "one")["ETHUSDT"] / traded(tmp_path / "sop")["ETHUSDT"]
    assert halved == pytest.approx(0.5, rel=0.1)
