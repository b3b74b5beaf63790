"""Weekly and monthly reports of a rehearsed month: every line of SOP §7 and §8, numbers against the ledger's own."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import cli
from engine.alerts.alert import QUEUED, Alert, Severity
from engine.clock import DAY_MS, HOUR_MS, iso
from engine.comparison.prices import market_of_ledger
from engine.errors import DataError, Problem, UsageError
from engine.inquiry import replay as replay_verdict
from engine.ledger import Intent, Ledger, OrderUpdate, Parent
from engine.reports.fill_rates import fill_rates, fill_rates_table, fill_rates_texts
from engine.reports.review_writing import ReviewRequest, ReviewWritten, write_review_report
from engine.reports.verdicts import parse_verdict
from tests.comparison.kit import ROOT_CONFIG, ROOT_RULES, Rehearsed, bundle, rehearsed, rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.market.series import Market


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    return rehearsed(tmp_path_factory.mktemp("reviewed"))


def own_prices(meta: Mapping[str, str]) -> Market:
    return market_of_ledger(meta, rules().config.market.symbols)


def no_prices(_: Mapping[str, str]) -> Market:
    raise DataError(Problem("no-store", "state/market.db", "there is no store here", "`stagegate data download`"))


def request(month: Rehearsed, folder: Path, kind: str = "weekly", prices: Any = own_prices) -> ReviewRequest:
    return ReviewRequest(month.path, Path(ROOT_CONFIG), Path(ROOT_RULES), folder / "reports", kind, prices)


@pytest.fixture(scope="module")
def weekly(month: Rehearsed, tmp_path_factory: pytest.TempPathFactory) -> ReviewWritten:
    return write_review_report(request(month, tmp_path_factory.mktemp("weekly")), month.record.to_ms)


@pytest.fixture(scope="module")
def monthly(month: Rehearsed, tmp_path_factory: pytest.TempPathFactory) -> ReviewWritten:
    return write_review_report(request(month, tmp_path_factory.mktemp("monthly"), "monthly"), month.record.to_ms)


def text(written: ReviewWritten, suffix: str) -> str:
    return next(path for path in written.archived.paths if path.suffix == suffix).read_text(encoding="utf-8")


def document(written: ReviewWritten) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(written, ".json"))
    return found


HEADINGS = {
    "R206": "The review",
    "R207": "Live against the replay",
    "R215": "Trade by trade",
    "R208": "Sleeves on both sides",
    "R209": "Execution quality",
    "R211": "Funding",
    "R212": "May the capital change?",
    "R221": "The market's regime",
    "R213": "Incidents",
}


@pytest.mark.parametrize("row", HEADINGS)
def test_R205_R207_R208_R209_R211_R212_R213_R221_both_reports_have_every_part(
    weekly: ReviewWritten, monthly: ReviewWritten, row: str
) -> None:
    for written in (weekly, monthly):
        assert f"\n## {HEADINGS[row]}\n" in text(written, ".md")
        assert f"<h2>{HEADINGS[row].replace(chr(39), '&#39;')}</h2>" in text(written, ".html")


def test_R205_R106_the_weekly_report_is_of_the_last_seven_days(weekly: ReviewWritten, month: Rehearsed) -> None:
    found = document(weekly)
    assert (found["from"], found["to"]) == (iso(month.record.to_ms - 7 * DAY_MS), iso(month.record.to_ms))
    assert weekly.archived.paths[0].parent.parts[-2:] == ("prod_reports", "weekly")
    assert (weekly.outcome, weekly.exit_code) == ("WITHIN", 0)
    page = text(weekly, ".html")
    assert page.count('<svg class="plot"') >= 6
    assert not re.findall(r"https?://", page)  # it opens offline


def test_R207_R217_R220_live_and_replay_are_told_side_by_side(monthly: ReviewWritten, month: Rehearsed) -> None:
    found = document(monthly)
    whole = found["period_compared"]
    marks = month.record.marks
    assert whole["live"]["return_percent"] == pytest.approx((marks.nav[-1] / marks.nav[0] - 1) * 100)
    assert whole["live"]["trades"] == whole["replay"]["trades"] == len(month.record.fills)
    assert found["tolerances"]["sharpe_deviation"] == "<= 0.3"
    assert found["tolerances"]["drawdown_deviation"] == "<= 3%"
    assert whole["trades_unmatched"] == []
    rows = [line for line in text(monthly, ".md").splitlines() if line.startswith("| ")]
    for measure in ("return", "Sharpe ratio, 30 returns", "largest drawdown", "trades", "trades unmatched"):
        assert any(line.startswith(f"| {measure} |") for line in rows), measure


def test_R211_funding_is_the_sum_of_the_payments(weekly: ReviewWritten, month: Rehearsed) -> None:
    since_ms = month.record.to_ms - 7 * DAY_MS
    paid = sum(each.amount_usd for each in month.record.funding if each.at_ms >= since_ms)
    assert paid != 0
    found = document(weekly)
    assert sum(each["net_usd"] for each in found["funding"]) == pytest.approx(paid)
    assert found["period_compared"]["live"]["funding_usd"] == pytest.approx(paid)


def test_R208_the_trend_goes_back_week_by_week(weekly: ReviewWritten, month: Rehearsed) -> None:
    """Oracle: differences of the recorded results over the equity at each start."""
    record = month.record
    last_ms = record.to_ms
    lines = [line for line in text(weekly, ".md").splitlines() if re.match(r"\| \d{4}-\d\d-\d\d to ", line)]
    assert len(lines) == 5  # four weeks and two days
    for line in lines[:4]:
        at = int((last_ms - 7 * DAY_MS - record.from_ms) // HOUR_MS)
        base = record.marks.equity_usd[at]
        # the sleeves' marks begin an hour after the launch
        earned = sum(
            marks.pnl_usd[at - 1 + 7 * 24] - (marks.pnl_usd[at - 1] if at else 0.0) for marks in record.sleeves.values()
        )
        together = line.rstrip(" |").rpartition("| ")[2].replace("−", "-")
        assert float(together.rstrip(" %")) == pytest.approx(earned / base * 100, abs=0.006)
        last_ms -= 7 * DAY_MS


def test_R212_eligibility_is_the_engines_own_word(weekly: ReviewWritten, month: Rehearsed) -> None:
    with Ledger.open(month.path, read_only=True) as ledger:
        record = ledger.latest_verdict(month.record.to_ms, policy="action")
    assert record is not None
    verdict = parse_verdict(record.document)
    found = document(weekly)["eligibility"]
    assert (found["verdict_id"], found["outcome"]) == (verdict.verdict_id, verdict.outcome)
    assert found["up"] == {rule.id: rule.truth for rule in verdict.rules if rule.outcome == "SCALE_UP"}
    assert {**found["up"], **found["down"]} == {rule.id: rule.truth for rule in verdict.rules}


def test_R213_the_incident_log_is_named(weekly: ReviewWritten) -> None:
    assert "There is no incident log, so none was ever opened." in text(weekly, ".md")


def test_R214_an_archived_report_is_never_overwritten(month: Rehearsed, weekly: ReviewWritten) -> None:
    before = {path: path.read_bytes() for path in weekly.archived.paths}
    second = write_review_report(request(month, weekly.archived.paths[0].parents[3]), month.record.to_ms)
    assert [path.name for path in second.archived.paths] == [f"{path.stem}.2{path.suffix}" for path in before]
    assert {path: path.read_bytes() for path in before} == before


def test_the_index_leads_to_every_page(weekly: ReviewWritten) -> None:
    folder = weekly.archived.paths[0].parents[1]
    page = (folder / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"]+)"', page)
    assert f"weekly/{weekly.period.name}.html" in links
    assert f"weekly/{weekly.period.name}.json" in links
    assert all((folder / link).is_file() for link in links if not link.startswith("../../"))
    assert "WITHIN" in page
    assert "not reviewed" in page


def test_R108_the_verdict_is_recorded_and_can_be_decided_again(monthly: ReviewWritten, month: Rehearsed) -> None:
    again = replay_verdict(month.path, monthly.verdict_id)
    assert again.identical
    assert again.record.policy == "review"
    with Ledger.open(month.path, read_only=True) as ledger:
        (event, *_) = [row for row in ledger.events("report") if row.subject == "monthly"]
    noted = json.loads(event.document)
    assert (noted["verdict_id"], noted["outcome"]) == (monthly.verdict_id, "WITHIN")


def test_A97_a_comparison_that_could_not_be_made_is_a_breach(month: Rehearsed, tmp_path: Path) -> None:
    written = write_review_report(request(month, tmp_path, prices=no_prices), month.record.to_ms)
    assert (written.outcome, written.exit_code) == ("BREACH", 20)
    assert set(document(written)["verdict"]["fired"]) == {"sharpe_deviation", "drawdown_deviation", "trades_unmatched"}
    assert "there is no store here" in text(written, ".md")
    assert bundle().policies["review"].exit_codes["BREACH"] == 20


def test_A99_a_breach_is_told_as_the_policy_says_once_for_a_period(month: Rehearsed, tmp_path: Path) -> None:
    """It freezes SCALE_UP: nobody should learn that from a capital that does not grow."""
    path = tmp_path / "ledger.db"
    shutil.copy(month.path, path)
    with Ledger.open(path) as ledger:
        ledger.set_meta(kind="paper")
    asked = replace(request(month, tmp_path, prices=no_prices), ledger=path)
    at_ms = month.record.to_ms - DAY_MS  # a period that no other test of this ledger writes about
    first = write_review_report(asked, at_ms)
    write_review_report(asked, at_ms)
    with Ledger.open(path, read_only=True) as ledger:
        (alert,) = [Alert.from_row(row) for row in ledger.events(QUEUED)]
    assert (alert.severity, alert.what) == (Severity.WARN, f"weekly report {first.period.name}: BREACH")
    told = dict(alert.lines)
    assert told["why"] == first.because
    assert told["done"] == "FROZEN"
    assert "stagegate review sign weekly" in told["do"]


def test_A99_a_period_within_and_a_rehearsal_tell_nobody(month: Rehearsed, weekly: ReviewWritten) -> None:
    assert weekly.outcome == "WITHIN"
    with Ledger.open(month.path, read_only=True) as ledger:
        assert not ledger.events(QUEUED)


def test_A105_a_month_that_is_none_is_refused(month: Rehearsed, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 28 live days, there are 12"):
        write_review_report(request(month, tmp_path, "monthly"), month.record.from_ms + 12 * DAY_MS)
    assert not (tmp_path / "reports").exists()


def order(ledger: Ledger, number: int, kind: str, filled: float, status: str, *, at_ms: int = HOUR_MS) -> None:
    parent, name = f"P{number // 2}", f"C{number}"
    ledger.append(
        [
            Parent(parent, "risk", at_ms, at_ms, "BTCUSDT", 1, 1.0, 100.0, 100.0, "bar_open", "rebalance"),
            Intent(name, parent, at_ms, "BTCUSDT", kind, 1, 1.0, None, reduce_only=False, attempt=number % 2),
            OrderUpdate(f"U{number}", name, at_ms, status, filled, 100.0 if filled else None, "1", ended=True),
        ]
    )


def test_R210_fill_rates_count_every_end_of_an_order(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        order(ledger, 0, "LIMIT", 0.25, "CANCELED")
        order(ledger, 1, "MARKET", 0.75, "EXPIRED")
        order(ledger, 2, "LIMIT", 1.0, "FILLED")
        order(ledger, 4, "LIMIT", 0.0, "REJECTED")
        order(ledger, 6, "MARKET", 0.0, "NOT_SENT")
        order(ledger, 8, "LIMIT", 1.0, "FILLED", at_ms=40 * HOUR_MS)
        rates = fill_rates(ledger, 0, 30 * HOUR_MS)
    assert (rates.intended, rates.missed) == (4, 2)
    assert rates.limit_share_percent == pytest.approx(125 / 200 * 100)
    assert fill_rates_table(rates).rows == (
        ("limit", "3", "1", "1", "0", "1", "0", "41.7 %", "$125"),
        ("market", "2", "0", "1", "0", "0", "1", "37.5 %", "$75"),
    )
    assert "4 changes of position were intended; 2 of them filled nothing." in fill_rates_texts(rates)[0]


def test_R205_R206_the_commands_write_list_and_show(
    month: Rehearsed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(month.path, tmp_path / "ledger.db")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments, "--ledger", "ledger.db", "-c", ROOT_CONFIG, "--rules", ROOT_RULES])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    code, out, _ = run("report", "--weekly")
    assert code == 0
    assert "WITHIN" in out
    assert list((tmp_path / "reports/prod_reports/weekly").glob("*.html"))
    code, out, _ = run("review", "list")
    assert code == 0
    assert "due" in out
    period = next((tmp_path / "reports/prod_reports/weekly").glob("*.html")).stem
    code, out, _ = run("review", "show", period)
    assert code == 0
    assert f"stagegate review sign weekly --period {period}" in out
    code, _, err = run("report", "--weekly", "--daily")
    assert code == 2
    assert "at once" in err
