"""What a whole file of mistakes looks like, and files that are no configuration at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import load_config
from engine.errors import ConfigError, Problem

SHIPPED = (Path(__file__).resolve().parents[2] / "config" / "prod_candidate_R1.yaml").read_text(encoding="utf-8")
SYMBOLS = "symbols: [BTCUSDT, ETHUSDT, SOLUSDT]"


def problems_of(text: str, tmp_path: Path) -> tuple[Problem, ...]:
    path = tmp_path / "R1.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    return refused.value.problems


def test_all_mistakes_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    changes = [
        (SYMBOLS, "symbols: [BTCUSDT, ETHUSDT, SOLUSDT, BTCUSDT]"),
        ("leverage: 3 ", "leverage: three"),
        ("    BTCUSDT: 0.34", "    BTCUSDT: 0.5"),
        ("channel_period: 336", "channel_perod: 336"),
        ("ema_fast: 20\n", "ema_fast: 80\n"),
        ("fee_bps: 5", "fee_bps: -5"),
        ("output:", "outputs:"),
    ]
    text = SHIPPED
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    found = problems_of(text, tmp_path)
    assert [problem.code for problem in found] == [
        "missing-key",  # output, reported where the file begins
        "duplicate",
        "type",
        "weights",
        "missing-key",
        "unknown-key",
        "order",
        "range",
        "unknown-key",
    ]
    lines = [int(problem.where.rsplit(":", 2)[1]) for problem in found]
    assert lines == sorted(lines)


def test_a_smaller_market_names_every_stranger(tmp_path: Path) -> None:
    found = problems_of(SHIPPED.replace(SYMBOLS, "symbols: [BTCUSDT, ETHUSDT]"), tmp_path)
    assert [problem.problem for problem in found] == [
        "`ensemble.fixed_weights.SOLUSDT` is not one of `market.symbols`",
        "`ensemble.strategies.SOLUSDT` is not one of `market.symbols`",
        "`portfolio.allocation.SOLUSDT` is not one of `market.symbols`",
    ]


@pytest.mark.parametrize(
    ("text", "found"), [("5", "`5`"), ("[1, 2]", "a list of 2"), ("hello", "the text `hello`"), ("null", "nothing")]
)
def test_a_file_that_is_no_configuration(text: str, found: str, tmp_path: Path) -> None:
    (problem,) = problems_of(text, tmp_path)
    assert problem.problem == f"the file must hold the blocks of a configuration, found {found}"
    assert problem.where.endswith("R1.yaml:1:1")


def test_a_missing_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(tmp_path / "none.yaml")
    assert [problem.code for problem in refused.value.problems] == ["no-file"]
    assert [problem.code for problem in problems_of("", tmp_path)] == ["empty"]


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    (problem,) = problems_of(SHIPPED.replace("fee_bps: 5", f"fee_bps: {'x' * 500}"), tmp_path)
    assert problem.problem.endswith(f"from 0 to 1,000, found the text `{'x' * 39}…`")


def test_R022_what_stands_under_notification_is_never_shown(tmp_path: Path) -> None:
    text = SHIPPED
    for old in ('"${FUTURES_TELEGRAM_BOT_TOKEN}"', '"${FUTURES_TELEGRAM_CHAT_ID}"', '"[PROD-R1]"'):
        text = text.replace(old, '"${SENTINEL"', 1)
    text = text.replace("notification:\n  enabled: true", "notification:\n  enabled: SENTINEL")
    found = problems_of(text, tmp_path)
    assert len(found) == 4
    assert not any("SENTINEL" in str(problem) for problem in found)
