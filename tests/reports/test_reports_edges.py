"""What seldom happens: records of another version, days that change everything, rules of many conditions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.clock import DAY_MS
from engine.errors import LedgerError
from engine.ledger import CashFlow, Event, FactsSnapshot, Ledger, StoredDocument
from engine.reports.conditions import sentence, streak_text
from engine.reports.daily import daily_documents
from engine.reports.events import timeline
from engine.reports.figures import equity_figure, frame_of
from engine.reports.policy_view import recorded_config, recorded_policy, recorded_release
from engine.reports.sections import effect_sentence, unknown_section
from engine.reports.snapshots import FactDay, FactValue, fact_day
from engine.reports.tiles import tiles
from engine.reports.verdicts import Condition, Rule, Streak
from engine.reports.yesterday import changes_table

if TYPE_CHECKING:
    from pathlib import Path

    from engine.reports.view import LedgerView


def test_a_policy_in_another_version_s_language_leaves_the_bands_out(tmp_path: Path) -> None:
    documents = {
        kind: StoredDocument.of(kind, f"{kind}.yaml", text)
        for kind, text in {
            "policy": "rules: 7\n",
            "vocabulary": "facts: 7\n",
            "config": "{{",
            "bundle": "- 1\n",
        }.items()
    }
    hashes = {kind: document.sha256 for kind, document in documents.items()}
    with Ledger.open(tmp_path / "old.db", create=True) as ledger:
        ledger.append(list(documents.values()))
        assert recorded_policy(ledger, hashes).limits == {}
        assert recorded_config(ledger, hashes).weights == {}
        assert recorded_release(ledger, hashes) == ""
        assert recorded_policy(ledger, {}).severity == ()


@pytest.mark.parametrize("document", ["[1]", '{"drawdown": 3}', '{"drawdown": [1, "ok"]}'])
def test_facts_of_another_form_are_one_clear_error(document: str) -> None:
    with pytest.raises(LedgerError, match=r"facts-document"):
        fact_day(FactsSnapshot.of(1, document, day_close=True))


def test_an_event_with_details_of_another_form_is_still_told() -> None:
    events = [
        Event("1", 0, "bounds", "x", "no json"),
        Event("2", 0, "new_kind", "about", "[1]"),
        Event("3", 0, "posture", "3"),
    ]
    assert timeline(events) == [
        ("1970-01-01 00:00 UTC", "bounds set", ""),
        ("1970-01-01 00:00 UTC", "new kind: about", ""),
    ]


def test_what_happened_is_told_with_its_money() -> None:
    event = Event("1", 0, "restart", "2", '{"stage":2,"cap_usd":10000.0,"from_stage":3}')
    assert timeline([event])[0][1:] == ("restart: 2", "from stage 3, stage 2, cap $10,000")


def test_a_rule_of_many_conditions_is_told_as_one(view: LedgerView) -> None:
    last = view.verdicts[-1]
    leaves = tuple(Condition(f"fact_{number}", "1", "count", "> 0", "TRUE", "1") for number in range(4))
    rule = Rule("scale_up", "SCALE_UP", "TRUE", (), "all is well", leaves, Streak(10, 10))
    verdict = replace(last, outcome="SCALE_UP", fired=("scale_up",), rules=(rule,))
    assert sentence(verdict) == "all is well: all 4 conditions hold"


@pytest.mark.parametrize(
    ("streak", "text"),
    [
        (Streak(2, 4), "2 of 4 days"),
        (Streak(18, 4), "18 days, 4 needed"),
        (Streak(2, 3, 5), "2 of the last 5 days, 3 needed"),
        (None, ""),
    ],
)
def test_streaks_in_words(streak: Streak | None, text: str) -> None:
    assert streak_text(Rule("x", "KEEP", "FALSE", (), "", (), streak)) == text


def test_a_day_that_changes_everything_is_told(view: LedgerView) -> None:
    risk = view.risk
    exposure, cap_usd = risk.exposure.copy(), risk.cap_usd.copy()
    exposure[-1], cap_usd[-1] = 0.0, 10_000.0
    now, before = view.facts[-1], view.facts[-2]
    lost = FactDay(now.at_ms, {**now.facts, "drawdown": FactValue(None, "stale", now.at_ms)})
    gone = {symbol: replace(marks, qty=np.append(marks.qty[:-1], 0.0)) for symbol, marks in view.sleeves.items()}
    changed = replace(
        view,
        risk=replace(risk, exposure=exposure, cap_usd=cap_usd),
        latest_facts=lost,
        facts=(*view.facts[:-1], lost),
        sleeves=gone,
    )
    rows = {what: (was, is_now) for what, was, is_now in changes_table(changed).rows}
    assert rows["exposure"] == ("1", "0")
    assert rows["cap"] == ("$15,000", "$10,000")
    assert rows["current drawdown, known"] == ("known", "stale")
    assert rows["BTCUSDT position"][1] == "flat"
    assert before.number("drawdown") is not None


def test_the_reports_of_a_drill_say_so_first(view: LedgerView) -> None:
    drill = daily_documents(replace(view, meta={**view.meta, "venue": "drill"}))
    assert drill[".md"].startswith("# DRILL ")
    assert "<title>DRILL " in drill[".html"]
    assert "<b>DRILL</b> · " in drill[".html"]
    assert "DRILL" not in daily_documents(view)[".html"]


def test_before_the_second_day_there_is_no_yesterday(view: LedgerView) -> None:
    first = replace(view, now_ms=view.from_ms + DAY_MS // 2)
    assert all(row[0] not in {"equity", "exposure"} for row in changes_table(first).rows)


def test_cash_flows_move_the_equity_but_not_the_curve(view: LedgerView) -> None:
    half = len(view.risk) // 2
    paid_in = np.where(np.arange(len(view.risk)) >= half, 7_500.0 * view.risk.nav, 0.0)
    flow = CashFlow("F1", "risk", int(view.risk.at_ms[half]), 7_500.0, "virtual", "scale_up")
    moved = replace(view, risk=replace(view.risk, equity_usd=view.risk.equity_usd + paid_in), flows=(flow,))
    frame = frame_of(view)
    before, after = equity_figure(view, frame), equity_figure(moved, frame)
    assert after.svg == before.svg
    assert "1 cash flow is left out" in after.caption
    assert after.table.rows != before.table.rows, "the table has the equity with all flows"
    assert effect_sentence(moved) == effect_sentence(view)
    assert "+$7,500 of cash flows" in tiles(moved, None)[0].note


def test_estimated_marks_and_missing_days_are_said(view: LedgerView) -> None:
    estimated = view.risk.estimated_marks.copy()
    estimated[-3:] = 1
    lacking = replace(view, risk=replace(view.risk, estimated_marks=estimated), facts=view.facts[:-2])
    texts = " ".join(unknown_section(lacking).texts)
    assert "2 complete days have no facts" in texts
    assert "3 marks valued a position at the last price" in texts


def test_an_unknown_fact_says_why_it_is_unknown(view: LedgerView) -> None:
    assert view.latest_facts is not None
    young = FactDay(view.now_ms, {**view.latest_facts.facts, "sharpe_20d": FactValue(None, "young", view.now_ms)})
    tile = next(tile for tile in tiles(replace(view, latest_facts=young), None) if tile.label == "20-day Sharpe")
    assert (tile.value, tile.note) == ("unknown", "young")
    absent = next(tile for tile in tiles(replace(view, latest_facts=None), None) if tile.label == "Drawdown")
    assert (absent.value, absent.note) == ("unknown", "not recorded")
