"""The daily report says whether the desk is alive, and shows every metric of SOP §3.2 against its bands."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.clock import HOUR_MS, MINUTE_MS
from engine.ledger import Event
from engine.reports.daily_json import daily_json
from engine.reports.liveness import SignOfLife, liveness_section
from engine.reports.policy_view import policy_view
from engine.reports.tiles import band_table
from tests.comparison.kit import bundle

if TYPE_CHECKING:
    from engine.reports.view import LedgerView


def rows(view: LedgerView, sign: SignOfLife | None) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for row in liveness_section(view, sign).tables[0].rows}


def test_R109_the_heartbeats_age_and_the_last_closed_bars_are_told(view: LedgerView) -> None:
    late = Event("E-bar", view.now_ms - 3 * HOUR_MS, "bar", "0", "{}")
    live = replace(view, meta={**view.meta, "kind": "live"}, events=(*view.events, late))
    found = rows(live, SignOfLife("running", 90_000))
    assert found["heartbeat of the runner"] == ("running", "1 m")
    assert found["last closed bar"][1] == "3 h"
    assert found["last mark of the equity"][1] == "0 s"
    document = json.loads(daily_json(live, SignOfLife("running", 90_000)))["liveness"]
    assert (document["heartbeat"]["age_ms"], document["last_bar_age_ms"]) == (90_000, 3 * HOUR_MS)


def test_R109_a_dead_runner_and_a_silent_venue_are_said_in_words(view: LedgerView) -> None:
    live = replace(view, meta={**view.meta, "kind": "live"})
    assert rows(live, SignOfLife("", None))["heartbeat of the runner"] == ("none was found", "unknown")
    assert rows(live, None)["heartbeat of the runner"] == ("nobody looked", "unknown")
    assert rows(live, None)["last closed bar"] == ("none yet", "unknown")
    texts = liveness_section(live, SignOfLife("running", MINUTE_MS, "no answer in 10 s", ("a gap",))).texts
    assert texts == ("The venue does not answer: no answer in 10 s.", "Against adding risk speaks: a gap.")


EDGES = {
    "sharpe_20d": ("> 0.5", "< 0"),  # R113-R115
    "drawdown": ("< 8 %", "> 10 %"),  # R116-R118
    "return_30d": ("> 0 %", "< −5 %"),  # R119-R121
    "slippage_ratio": ("≤ 1.2", "> 1.5"),  # R122-R124
    "funding_drag": ("< 1 %", "> 2 %"),  # R125-R127
    "negative_sleeves": ("= 0", "≥ 2"),  # R128-R130
}


@pytest.mark.parametrize("fact", EDGES)
def test_R113_R116_R119_R122_R125_R128_every_metric_of_the_sop_stands_with_its_edges(
    view: LedgerView, fact: str
) -> None:
    policy = bundle().policies["action"]
    shown = band_table(replace(view, policy=policy_view(policy)))
    row = next(row for row in shown.rows if row[0] == policy.vocabulary.facts[fact].title)
    assert (row[3], row[4]) == EDGES[fact]
