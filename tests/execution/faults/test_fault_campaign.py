"""A short form of the fault campaign, and the proof that its checks see what they are there to see."""

from __future__ import annotations

import copy
import logging
from dataclasses import astuple, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from engine.clock import HOUR_MS
from engine.real_path.loop import KEYS
from tests.execution.faults.day import flat_after_a_breach, violations
from tests.execution.faults.evidence import CANARY, OURS, Evidence
from tests.execution.faults.hot import BTC, START_MS
from tests.execution.faults.plays import SHORT
from tests.execution.faults.world import Play, played

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.simulator.orders import AlgoOrder
    from tests.execution.faults.evidence import Row

PLAYS = [
    Play(38, ("accept_then_timeout", "delayed_visibility"), hours=6, kill_at=frozenset({150, 333})),
    Play(19, ("outage", "reordered_events"), hours=6, creeping=True),
]


@pytest.mark.parametrize("play", PLAYS, ids=str)
def test_nothing_that_must_never_be_happens_under_faults_and_deaths(
    play: Play, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And whatever goes wrong, no file and no log, the library's own included, holds the key or the secret."""
    caplog.set_level(logging.DEBUG)
    library = logging.getLogger("binance")  # it keeps its words to itself
    library.addHandler(caplog.handler)
    try:
        ended = played(play, tmp_path)
    finally:
        library.removeHandler(caplog.handler)
    assert any(record.name.startswith("binance") for record in caplog.records)
    assert not violations(Evidence(ended))
    written = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 3
    assert not [secret for secret in astuple(KEYS) if any(secret in text for text in (caplog.text, *written))]
    assert len(ended.fate.deaths) == len(play.kill_at)
    assert ended.strikes
    assert ended.account.algo_orders
    assert len(ended.account.fills) > 12


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    ended = played(SHORT, tmp_path_factory.mktemp("short"))
    found = Evidence(ended)
    assert not violations(found)
    return found


def at_risk(seen: Evidence, table: str) -> list[Row]:
    return [row for row in seen.tables[table] if row["account"] == "risk"]


def an_order_twice(seen: Evidence) -> None:
    order = seen.orders[0]
    seen.account.orders[1] = replace(order, order_id=1)


def a_strangers_order(seen: Evidence) -> None:
    seen.account.orders[1] = replace(seen.orders[0], order_id=1, client_id="web_1")


def a_longer_order(seen: Evidence) -> None:
    order = next(order for order in seen.orders if not order.reduce_only)
    order.qty *= 2


def a_late_intent(seen: Evidence) -> None:
    seen.tables["intents"][0]["at_ms"] += HOUR_MS


def a_refusal_of_what_was_taken(seen: Evidence) -> None:
    seen.tables["order_updates"][0]["status"] = "REJECTED"


def an_unknown_end(seen: Evidence) -> None:
    for update in seen.tables["order_updates"]:
        update["ended"] = 0


def a_lost_fill(seen: Evidence) -> None:
    seen.tables["fills"].remove(at_risk(seen, "fills")[-1])


def an_invented_fill(seen: Evidence) -> None:
    seen.tables["fills"].append({**seen.tables["fills"][0], "fill_id": "BTCUSDT-1"})


def a_cent_of_a_fee(seen: Evidence) -> None:
    at_risk(seen, "fills")[3]["fee_usd"] += 0.01


def a_strangers_name(seen: Evidence) -> None:
    at_risk(seen, "fills")[2]["reason"] = "foreign"


def a_cent_of_funding(seen: Evidence) -> None:
    at_risk(seen, "funding")[0]["amount_usd"] += 0.01


def two_cents_of_equity(seen: Evidence) -> None:
    at_risk(seen, "marks")[-1]["equity_usd"] += 0.02


def a_missing_mark(seen: Evidence) -> None:
    seen.tables["marks"].remove(at_risk(seen, "marks")[3])


def a_difference(seen: Evidence) -> None:
    seen.tables["events"].append({"kind": "difference", "at_ms": 0, "document": "{}"})


def no_permit(seen: Evidence) -> None:
    seen.ended.permits[0] = (START_MS + 2 * HOUR_MS, True)


def blocked_entries(seen: Evidence) -> None:
    bounds = next(row for row in seen.tables["events"] if row["kind"] == "bounds")
    bounds["document"] = bounds["document"].replace("allowed", "blocked")


def a_small_cap(seen: Evidence) -> None:
    bounds = next(row for row in seen.tables["events"] if row["kind"] == "bounds")
    bounds["document"] = bounds["document"].replace("15000.0", "4000.0")


def a_stale_decision(seen: Evidence) -> None:
    for parent in seen.tables["parents"]:
        parent["bar_ms"] -= HOUR_MS


def a_flatten_that_is_not_flat(seen: Evidence) -> None:
    at_ms, report = seen.ended.flattens[0]
    seen.ended.flattens[0] = (at_ms, replace(report, steps={}))


def an_order_that_outlives_the_flatten(seen: Evidence) -> None:
    sealed_ms = seen.ended.flattens[0][1].steps["sealed"]
    order = max((one for one in seen.orders if one.created_ms < sealed_ms), key=lambda one: one.created_ms)
    order.updated_ms = sealed_ms + 1


def a_halt_without_a_flatten(seen: Evidence) -> None:
    seen.ended.flattens.clear()


def no_stop(seen: Evidence) -> None:
    seen.account.algo_orders.clear()


def a_stop_of_another_size(seen: Evidence) -> None:
    for algo in seen.account.algo_orders.values():
        algo.qty += Decimal("0.001")


def a_stop_that_stays(seen: Evidence) -> None:
    for algo in seen.account.algo_orders.values():
        algo.status = "NEW"


def canary(seen: Evidence) -> AlgoOrder:
    return next(algo for algo in seen.algos if (name := OURS.fullmatch(algo.client_id)) and name[1] == CANARY)


def a_canary_that_stays(seen: Evidence) -> None:
    canary(seen).status = "NEW"


def a_canary_that_trades(seen: Evidence) -> None:
    canary(seen).triggered_ms = START_MS


def a_fill_too_many(seen: Evidence) -> None:
    at = next(at for at, fill in enumerate(seen.account.fills) if fill.symbol != BTC)
    fill = seen.account.fills[at]
    seen.account.fills.insert(at, replace(fill, trade_id=1, qty=fill.qty * 3))


def a_reduction_not_made(seen: Evidence) -> None:
    parent = next(row for row in seen.tables["parents"] if row["reason"] == "exit")
    seen.account.fills[:] = [one for one in seen.account.fills if not one.client_id.startswith(parent["parent_id"])]


BREACHES: list[tuple[Callable[[Evidence], None], int]] = [
    (an_order_twice, 1),
    (a_strangers_order, 1),
    (a_longer_order, 1),
    (a_late_intent, 1),
    (a_fill_too_many, 1),
    (a_refusal_of_what_was_taken, 2),
    (an_unknown_end, 2),
    (a_difference, 3),
    (a_lost_fill, 3),
    (no_permit, 4),
    (blocked_entries, 4),
    (a_small_cap, 4),
    (a_stale_decision, 4),
    (a_flatten_that_is_not_flat, 4),
    (an_order_that_outlives_the_flatten, 4),
    (a_halt_without_a_flatten, 4),
    (a_reduction_not_made, 5),
    (a_lost_fill, 6),
    (an_invented_fill, 6),
    (a_cent_of_a_fee, 6),
    (a_strangers_name, 6),
    (a_cent_of_funding, 6),
    (two_cents_of_equity, 6),
    (a_missing_mark, 7),
    (no_stop, 8),
    (a_stop_of_another_size, 8),
    (a_stop_that_stays, 8),
    (a_canary_that_stays, 8),
    (a_canary_that_trades, 8),
]


def copied(evidence: Evidence) -> Evidence:
    ended = evidence.ended
    return Evidence(
        replace(ended, account=copy.deepcopy(ended.account), permits=[*ended.permits], flattens=[*ended.flattens])
    )


@pytest.mark.parametrize(("breach", "number"), BREACHES, ids=[f"{breach.__name__}-{at}" for breach, at in BREACHES])
def test_each_breach_of_an_invariant_is_seen(
    breach: Callable[[Evidence], None], number: int, evidence: Evidence
) -> None:
    seen = copied(evidence)
    breach(seen)
    seen = seen.again()
    assert number in {found.invariant for found in violations(seen)}


def test_R160_a_book_that_a_guard_does_not_close_within_five_minutes_of_the_breach_is_seen(evidence: Evidence) -> None:
    seen = copied(evidence)
    seen.ended.play = replace(seen.ended.play, guarded=True)
    assert not list(flat_after_a_breach(seen))
    seen.account.fills[0] = replace(seen.account.fills[0], fee_usd=Decimal(3_000))
    (late,) = flat_after_a_breach(seen.again())
    assert "beyond the hard stop" in late.what
