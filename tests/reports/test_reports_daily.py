from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.clock import DAY_MS, parse_time
from engine.errors import LedgerError
from engine.ledger import Ledger
from engine.reports.archive import Archived
from engine.reports.daily import costs_table, daily_documents, write_daily_report
from engine.reports.daily_json import daily_json
from engine.reports.view import LedgerView, read_view
from engine.reports.yesterday import changes_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REDUCED_MS = parse_time("2022-08-26")  # the midnight that closes the first day of REDUCE


@pytest.fixture(scope="module")
def reduced(ledger_path: Path) -> LedgerView:
    with Ledger.open(ledger_path, read_only=True) as ledger:
        return read_view(ledger, REDUCED_MS)


@pytest.fixture(scope="module")
def documents(reduced: LedgerView) -> dict[str, str]:
    return daily_documents(reduced)


@pytest.fixture(scope="module")
def archived(ledger_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Archived:
    return write_daily_report(ledger_path, tmp_path_factory.mktemp("reports"), at_ms=REDUCED_MS)


def test_R073_R110_the_daily_report_is_archived_by_its_day_in_three_formats(archived: Archived) -> None:
    assert archived.is_new
    assert [path.name for path in archived.paths] == ["2022-08-25.md", "2022-08-25.html", "2022-08-25.json"]
    assert archived.paths[0].parent.parts[-2:] == ("prod_reports", "daily")


def test_the_same_day_again_says_it_is_there(archived: Archived, ledger_path: Path) -> None:
    again = write_daily_report(ledger_path, archived.paths[0].parents[2], at_ms=REDUCED_MS)
    assert again == Archived(archived.paths, is_new=False)


def test_the_markdown_as_on_file(documents: dict[str, str], golden: Callable[[str, str], None]) -> None:
    golden("daily.md", documents[".md"])


def test_R110_the_markdown_tells_all_that_the_sop_asks_for(documents: dict[str, str]) -> None:
    text = documents[".md"]
    for heading in (
        "Since yesterday",
        "Metrics against their bands",
        "Positions",
        "Sleeves",
        "Costs",
        "Execution",
        "Funding",
        "Days of unknown data",
        "Verdicts",
    ):
        assert f"\n## {heading}\n" in text
    assert "14-day contribution | own return" in text
    assert "stop's trigger" in text
    assert "<" not in text.replace("&lt;", "")


def test_markdown_tables_have_as_many_cells_in_every_row(documents: dict[str, str]) -> None:
    width = 0
    for line in documents[".md"].splitlines():
        if line.startswith("|"):
            cells = line.replace("\\|", "").count("|")
            assert width in {0, cells}, line
            width = cells
        else:
            width = 0


def test_the_json_parses_and_says_the_same(documents: dict[str, str], reduced: LedgerView) -> None:
    data: dict[str, Any] = json.loads(documents[".json"], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert data["day"] == "2022-08-25"
    assert data["as_of"] == "2022-08-26T00:00:00Z"
    assert data["verdict"]["outcome"] == "REDUCE"
    assert data["yesterday"]["outcome"] == "KEEP"
    assert data["account"]["equity_usd"] == float(reduced.risk.equity_usd[-1])
    drawdown = next(metric for metric in data["metrics"] if metric["fact"] == "drawdown")
    assert drawdown["band"] == "red"
    assert {(limit["kind"], limit["value"]) for limit in drawdown["thresholds"]} == {
        ("green", 8.0),
        ("red", 10.0),
        ("stop", 12.0),
    }
    assert data["account"]["drawdown_percent"] == pytest.approx(drawdown["value"])
    assert data["hashes"]["policy"] == reduced.verdict.hashes["policy"]  # type: ignore[union-attr]


def test_what_changed_since_yesterday_is_told(reduced: LedgerView) -> None:
    rows = {what: (was, now) for what, was, now in changes_table(reduced).rows}
    assert rows["verdict"][1].startswith("REDUCE: the drawdown is red")
    assert rows["verdict"][0].startswith("KEEP")
    assert rows["current drawdown"][0].startswith("yellow")
    assert rows["current drawdown"][1].startswith("red")
    assert "equity" in rows


def test_a_quiet_day_tells_only_what_moved(ledger_path: Path) -> None:
    with Ledger.open(ledger_path, read_only=True) as ledger:
        quiet = read_view(ledger, parse_time("2022-10-08"))
    assert "verdict" not in {row[0] for row in changes_table(quiet).rows}


def test_costs_of_a_day_a_week_and_a_month_add_up(reduced: LedgerView) -> None:
    rows = {row[0]: row[1:] for row in costs_table(reduced).rows}
    fills = [fill for fill in reduced.fills if fill.at_ms >= reduced.now_ms - 7 * DAY_MS]
    assert rows["fees"][1] == f"${sum(fill.fee_usd for fill in fills):,.2f}"
    turnover = sum(fill.qty * fill.price for fill in fills)
    assert rows["turnover"][1] == f"${turnover:,.0f}"
    assert rows["fees and slippage as assumed"][1] == f"${turnover * 8e-4:,.2f}"


def test_now_is_the_last_mark(ledger_path: Path, tmp_path: Path) -> None:
    with Ledger.open(ledger_path, read_only=True) as ledger:
        view = read_view(ledger)
    assert json.loads(daily_json(view))["day"] == "2022-10-08"
    assert view.now_ms == parse_time("2022-10-09")
    del tmp_path


def test_days_without_any_fact_make_a_report(unknown_ledger: Path, tmp_path: Path) -> None:
    done = write_daily_report(unknown_ledger, tmp_path)
    data = json.loads(done.paths[2].read_text(encoding="utf-8"))
    assert data["verdict"]["unknown"]["drawdown"] == "young"
    assert all(metric["value"] is None for metric in data["metrics"])
    assert "| current drawdown | missing | unknown |" in done.paths[0].read_text(encoding="utf-8")


def test_a_missing_ledger_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"missing-ledger"):
        write_daily_report(tmp_path / "none.db", tmp_path)
    assert list(tmp_path.iterdir()) == []
