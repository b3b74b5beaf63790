from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console

from engine.clock import parse_time
from engine.ledger import Ledger
from engine.market.download import DownloadSummary, SeriesDownload
from engine.market.imports import FileImport, ImportSummary
from engine.market.quality import Finding, QualityReport, SeriesSummary
from engine.reports import terminal
from engine.reports.archive import Archived
from engine.reports.numbers import number, percent, usd, with_unit
from engine.reports.plain import plain
from engine.reports.tables import markdown_table, table
from engine.reports.terminal_tables import rich_table

if TYPE_CHECKING:
    from engine.ledger import VerdictRecord
    from engine.reports.view import LedgerView


def shown(renderable: Any, width: int = 80) -> str:
    """What a pipe gets: no colour, no more than `width` columns."""
    if isinstance(renderable, str):
        return renderable
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False, color_system=None, legacy_windows=False).print(renderable)
    return stream.getvalue()


def fits(text: str, width: int = 80) -> bool:
    return "\x1b" not in text and all(len(line) <= width for line in text.splitlines())


@pytest.fixture(scope="module")
def records(ledger_path: Path) -> tuple[VerdictRecord, ...]:
    with Ledger.open(ledger_path, read_only=True) as ledger:
        return ledger.verdicts()


@dataclass(frozen=True)
class Done:
    ledger: Path
    report: Path


@dataclass(frozen=True)
class Again:
    record: VerdictRecord
    difference: str
    identical: bool


def test_the_log_tells_every_verdict_with_its_reason(records: tuple[VerdictRecord, ...]) -> None:
    text = shown(terminal.verdict_log_table(records[-60:]))
    assert fits(text)
    assert text.count("-action") == 60
    assert "REDUCE" in text
    assert "the drawdown is red" in " ".join(text.split())


def test_changes_are_told_from_to_why(view: LedgerView) -> None:
    text = shown(terminal.changes_table(view.days))
    assert fits(text)
    assert "KEEP" in text
    assert "PAUSE" in text


def test_a_verdict_in_short_and_in_full(records: tuple[VerdictRecord, ...], ledger_path: Path) -> None:
    reduced = next(record for record in records if record.outcome == "REDUCE")
    short = terminal.verdict_text(reduced, ledger_path, why=False)
    full = terminal.verdict_text(reduced, ledger_path, why=True)
    assert short.splitlines()[:2] == full.splitlines()[:2]
    assert short.splitlines()[0].startswith("R1 · Stage 3 · $15,000 cap")
    assert reduced.verdict_id in short
    in_chat = terminal.verdict_text(reduced, ledger_path, why=False, more="/why: every reason")
    assert in_chat.splitlines()[-1].endswith(f"{reduced.verdict_id}: /why: every reason")
    assert "\n  harder  PAUSE at drawdown" in full
    assert fits(full)


def test_facts_are_told_with_status_and_age(view: LedgerView) -> None:
    assert view.latest_facts is not None
    text = shown(terminal.facts_table(view.latest_facts, view.now_ms + 41_000, view.policy.facts, view.policy.units))
    assert fits(text)
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert lines["slippage_ratio"][1:5] == ["1.02×", "ok", "41", "s"]
    assert lines["risk_guard"][1] == "missing"


def test_a_rehearsal_ends_with_changes_reasons_paths_and_what_to_try(walk: Any) -> None:
    text = shown(terminal.rehearsal_summary(Done(walk.path, Path("out/rehearsal.html"))), 100)
    assert "With the policy in the loop $15,000 became" in text
    assert "KEEP 81 days" in text
    assert "out/rehearsal.html" in text
    assert text.count("stagegate ") == 3
    assert "  why     " in text


def test_markup_in_a_name_is_no_markup() -> None:
    text = shown(rich_table(table("a | #b", [["yellow_too_long[return_30d]", "[bold]1[/bold]"]])))
    assert "yellow_too_long[return_30d]" in text
    assert "[bold]1[/bold]" in text


def test_imports_and_downloads_are_counted() -> None:
    files = (
        FileImport("a/BTCUSDT.csv", "last", "BTCUSDT", 1_000, 2, 998, 0, 2),
        FileImport("b/BTCUSDT.csv", "funding", "BTCUSDT", 10, 0, 3, 4, 3),
    )
    text = shown(terminal.import_table(ImportSummary(files)))
    assert fits(text)
    assert "1,010" in text
    series = (SeriesDownload("BTCUSDT", "mark", 12_345, 6),)
    text = shown(terminal.download_table(DownloadSummary(parse_time("2022-11-09T14:00Z"), series)))
    assert "12,345" in text
    assert "2022-11-09 14:00 UTC" in text


def test_oddities_of_the_data_are_told_and_the_rest_counted() -> None:
    findings = tuple(
        Finding("gap", "BTCUSDT", "last", "2022-01-01T00:00:00Z", None, 3, f"hole {index}") for index in range(45)
    )
    summaries = (
        SeriesSummary("BTCUSDT", "last", 1_000, "2022-01-01", "2022-02-01", {"gap": 45}),
        SeriesSummary("ETHUSDT", "last", 1_000, "2022-01-01", "2022-02-01", {}),
    )
    text = shown(terminal.quality_table(QualityReport(summaries, findings)))
    assert fits(text)
    assert "45 gap" in text
    assert "nothing odd" in text
    assert "and 5 more findings" in text


def test_where_a_report_lies_and_whether_it_is_new() -> None:
    paths = (Path("a.md"), Path("a.json"))
    assert terminal.archived_text(Archived(paths, is_new=True)) == "written\n  a.md\n  a.json"
    assert terminal.archived_text(Archived(paths, is_new=False)).startswith("already there")


def test_a_replay_is_equal_or_says_where_it_differs(records: tuple[VerdictRecord, ...]) -> None:
    assert "equal in all of" in terminal.replay_text(Again(records[0], "", identical=True))
    assert "first in `rules`" in terminal.replay_text(Again(records[0], "rules", identical=False))


def test_progress_says_nothing_through_a_pipe(capfd: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True)
    class Step:
        at_ms: int = 1_667_952_000_000
        bars: int = 5
        total_bars: int = 10
        outcome: str = "KEEP"
        equity_usd: float = 15_000.0

    with terminal.rehearsal_progress() as advance:
        advance(Step())
    with terminal.progress_bar("importing") as advance_import:
        advance_import(__import__("engine.market.imports").market.imports.ImportStep("x", 0, 1, 5, 10))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.strip() == ""


def test_a_verdict_query_draws_no_picture_and_needs_no_template() -> None:
    heavy = "('matplotlib', 'jinja2', 'pandas', 'rich')"
    script = f"import sys, engine.reports.terminal; print(*(name for name in {heavy} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


# ── plain values ──


def test_a_recorded_verdict_is_its_document(records: tuple[VerdictRecord, ...]) -> None:
    assert plain(records[0]) == json.loads(records[0].document)


def test_plain_values_are_json_whatever_was_asked() -> None:
    value = {"path": PurePath("a"), "bad": math.inf, "array": np.array([1.0, np.nan]), "one": np.int64(3), "set": {1}}
    assert plain(value) == {"path": "a", "bad": None, "array": [1.0, None], "one": 3, "set": [1]}
    assert plain(Archived((Path("x"),), is_new=True)) == {"paths": ["x"], "is_new": True}
    assert plain(QualityReport((), ())) == {"summaries": [], "findings": []}
    with pytest.raises(TypeError, match=r"no plain form"):
        plain(object())


# ── numbers ──


@pytest.mark.parametrize("value", [0.0, -0.0, -0.001, 1e-9, -1e-9])
def test_what_rounds_to_zero_has_no_sign(value: float) -> None:
    assert number(value, 1) == "0.0"
    assert percent(value) == "0.0 %"
    assert usd(value) == "$0.00"


def test_what_is_not_known_is_said() -> None:
    assert number(None) == percent(None) == usd(None) == with_unit(None, "percent") == "unknown"
    assert with_unit("nan", "percent") == "nan", "a word stays a word: it never becomes a number"


def test_markdown_tables_keep_their_shape() -> None:
    text = markdown_table(table("a | #b", [["x|y", "1\n2"]], ["sum", "<3"]))
    assert text == "| a | b |\n| --- | ---: |\n| x\\|y | 1 2 |\n| sum | &lt;3 |"
