"""Plans of faults: read from a file with every mistake at its place, or drawn by a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import DAY_MS, parse_time
from engine.errors import ConfigError
from engine.simulator.faults import KINDS, FaultPlan, Match, Rule
from engine.simulator.faults.conditions import Outage
from engine.simulator.faults.requests import AcceptThenTimeout
from engine.simulator.requests import Asked
from tests.simulator.serving import START_MS

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
seed: 11
faults:
  - fault: accept_then_timeout
    symbol: BTCUSDT
    from: 2h30m
    skip: 1
    times: 2
    silence_s: 30
  - fault: outage
    manner: silent
    from: 2022-11-09T14:00:00Z
    until: 2022-11-09T14:10:00Z
"""


def read(folder: Path, text: str) -> FaultPlan:
    path = folder / "faults.yaml"
    path.write_text(text)
    return FaultPlan.read(path, START_MS)


def test_a_fault_file_says_what_when_and_whom(tmp_path: Path) -> None:
    whom = Match(method="POST", path="/fapi/v1/*rder", symbol="BTCUSDT")
    first = Rule(AcceptThenTimeout(30), whom, START_MS + 9_000_000, None, 1, 2)
    at_ms = parse_time("2022-11-09T14:00:00Z")
    second = Rule(Outage("silent"), Match(), at_ms, at_ms + 600_000)
    assert read(tmp_path, GOOD) == FaultPlan((first, second), 11)


@pytest.mark.parametrize(
    ("before", "after", "place", "code", "words"),
    [
        ("accept_then_timeout", "accept_then_timout", "3:12", "unknown-fault", "did you mean `accept_then_timeout`"),
        ("symbol: BTC", "simbol: BTC", "4:5", "unknown-key", "did you mean `symbol`"),
        ("2h30m", "soon", "5:11", "time", "`2h30m`"),
        ("times: 2", "times: 2.5", "7:12", "number", "whole number"),
        ("silence_s: 30", "silence_s: long", "8:16", "kind", "no number"),
        ("manner: silent", "manner: loud", "10:13", "choice", "reset, refuse, silent, 503"),
        ("seed: 11", "seed: eleven", "1:7", "seed", "whole number"),
        ("faults:", "fault:", "2:1", "unknown-key", "did you mean `faults`"),
    ],
)
def test_a_mistake_in_a_fault_file_is_shown_at_its_place(
    tmp_path: Path, before: str, after: str, place: str, code: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD.replace(before, after, 1))
    message = str(caught.value)
    assert f"faults.yaml:{place}: error[{code}]" in message
    assert words in message


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3))
def test_drawn_plans_are_the_same_for_the_same_seed_and_all_end(seed: int, names: list[str]) -> None:
    end_ms = START_MS + DAY_MS
    plan = FaultPlan.drawn(names, seed, START_MS, end_ms)
    assert plan == FaultPlan.drawn(names, seed, START_MS, end_ms)
    assert plan != FaultPlan.drawn(names, seed + 1, START_MS, end_ms)
    assert [rule.fault.name for rule in plan.rules] == names
    for rule in plan.rules:
        assert rule.from_ms is not None
        assert rule.until_ms is not None
        assert START_MS <= rule.from_ms < rule.until_ms <= end_ms
        assert not rule.holds_at(end_ms)


def test_rules_match_requests_and_messages() -> None:
    order = Asked("POST", "/fapi/v1/algoOrder", "symbol=BTCUSDT&side=BUY")
    update = {"e": "ORDER_TRADE_UPDATE", "o": {"s": "BTCUSDT"}}
    assert Match(path="/fapi/v1/*rder", symbol="BTCUSDT").request(order)
    assert not Match(method="GET").request(order)
    assert not Match(symbol="ETHUSDT").request(order)
    assert Match(symbol="BTCUSDT").message(update)
    assert not Match(event="ACCOUNT_UPDATE").message(update)
    assert not Match().message({"e": "kline", "s": "BTCUSDT"})
    assert Match(event="kline").message({"e": "kline", "s": "BTCUSDT"})
