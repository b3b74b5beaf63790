"""The command line as people meet it: one clear message, the right exit code, never a traceback."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import typer

import cli
from engine.clock import wait_s
from engine.commands.door import COMMANDS, Commands
from engine.commands.shared import CONFIG, RULES
from engine.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
HEADER = "open_time,open,high,low,close,volume\n"


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("STAGEGATE_LEDGER", raising=False)


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Result:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    assert "Traceback" not in captured.err + captured.out
    return Result(code, captured.out, captured.err)


def bars(count: int, start: int = 0) -> str:
    lines = [f"2024-01-{1 + hour // 24:02d}T{hour % 24:02d}:00:00Z,100,101,99,100.5,10\n" for hour in range(count)]
    return HEADER + "".join(lines[start:])


# ── the door itself ──


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, "--help")
    assert result.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.out


def test_help_builds_no_command() -> None:
    door = typer.main.get_command(cli.app)
    assert isinstance(door.commands, Commands)  # type: ignore[attr-defined]
    text = door.get_help(typer.Context(door))
    assert "Halt, cancel every order" in text
    assert not door.commands.built  # type: ignore[attr-defined]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version").out.strip() == f"stagegate {VERSION}"


@pytest.mark.parametrize("arguments", [["nonsense"], ["signals", "--nonsense"], ["rehearse", "--seed", "x"]])
def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(capsys, *arguments).code == 2


def test_every_command_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    commands = ["data import", "data download", "data check", "signals", "backtest", "rehearse", "verdict", "report"]
    for command in [*commands, "verdict log", "verdict show", "verdict replay"]:
        result = run(capsys, *command.split(), "--help")
        assert result.code == 0
        assert "Example: stagegate" in " ".join(result.out.split())


@pytest.mark.requirement("R241")
def test_R241_the_script_and_the_entry_point_behave_alike() -> None:
    for arguments in (["--version"], ["data", "check", "nowhere"], ["verdict", "--ledger", "nowhere.db"]):
        script = subprocess.run([sys.executable, "cli.py", *arguments], capture_output=True, text=True, check=False)
        entry = subprocess.run(
            [sys.executable, "-c", "import cli; cli.main()", *arguments], capture_output=True, text=True, check=False
        )
        assert (script.returncode, script.stdout, script.stderr) == (entry.returncode, entry.stdout, entry.stderr)


def test_what_cannot_be_written_is_named_and_is_no_internal_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    result = run(capsys, "rehearse", "--days", "3", "--out", file / "below")
    assert result.code == 1
    assert f"{file}" in result.err
    assert "error[file]: Not a directory" in result.err
    command = f"{sys.executable} cli.py policy check > /dev/full"
    full = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (full.returncode, "standard output: error[file]: No space left on device" in full.stderr) == (1, True)


def test_debug_shows_the_traceback() -> None:
    command = [sys.executable, "cli.py", "data", "check", "nowhere", "--debug"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "nowhere" in result.stderr


# ── wrong prices ──


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("BTCUSDT-1h.csv", None, "there is no such file"),
        ("BTCUSDT-1h.csv", b"", "empty"),
        ("BTCUSDT-1h.csv", b"what,is,this\n1,2,3\n", "error["),
        ("BTCUSDT-1h.csv", bars(3).encode() + b"2024-01-01T03:00:00Z,100,1", "BTCUSDT-1h.csv:5"),
        ("BTCUSDT-1h.csv", (bars(2) + "2024-01-01T02:00:00Z,nan,101,99,100,1\n").encode(), "BTCUSDT-1h.csv:4"),
        ("BTCUSDT-1h.csv", (bars(2) + "2024-01-01T02:00:00Z,100,90,99,100,1\n").encode(), "BTCUSDT-1h.csv:4"),
        ("BTCUSDT-1h.csv", (bars(2) + "2024-01-01T01:00:00Z,50,51,49,50,1\n").encode(), "BTCUSDT-1h.csv"),
        ("BTCUSDT-1h.csv.gz", gzip.compress(bars(2000).encode())[:500], "BTCUSDT-1h.csv.gz"),
    ],
    ids=["missing", "empty", "header", "half", "nan", "impossible", "conflict", "half-gzip"],
)
def test_wrong_prices_are_one_clear_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    file, store = tmp_path / name, tmp_path / "market.db"
    if content is not None:
        file.write_bytes(content)
    result = run(capsys, "data", "import", file, "--db", store)
    assert result.code == 1
    assert expected in result.err
    assert result.err.count("error[") == 1


def test_shuffled_rows_are_sorted_and_a_second_import_changes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, store = tmp_path / "BTCUSDT-1h.csv", tmp_path / "market.db"
    head, *rows = bars(48).splitlines(keepends=True)
    file.write_text(head + "".join(reversed(rows)))
    first = run(capsys, "data", "import", file, "--db", store, "--json")
    assert first.code == 0
    assert json.loads(first.out)["files"][0]["inserted"] == 48
    second = json.loads(run(capsys, "data", "import", file, "--db", store, "--json").out)["files"][0]
    assert (second["inserted"], second["updated"], second["unchanged"]) == (0, 0, 48)


def test_a_gap_is_found(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT"):
        file = tmp_path / f"{symbol}-1h.csv"
        lines = bars(48).splitlines(keepends=True)
        file.write_text("".join(lines[:10] + lines[15:]))
        assert run(capsys, "data", "import", file, "--db", tmp_path / "market.db").code == 0
    found = json.loads(run(capsys, "data", "check", tmp_path / "market.db", "--json").out)
    gaps = [finding for finding in found["findings"] if finding["kind"] == "gap"]
    assert [(gap["symbol"], gap["count"]) for gap in gaps] == [("BTCUSDT", 5), ("ETHUSDT", 5), ("SOLUSDT", 5)]


def test_a_locked_store_is_one_clear_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file, store = tmp_path / "BTCUSDT-1h.csv", tmp_path / "market.db"
    file.write_text(bars(4))
    assert run(capsys, "data", "import", file, "--db", store).code == 0
    with closing(sqlite3.connect(store)) as other:
        other.execute("BEGIN EXCLUSIVE")
        result = run(capsys, "data", "check", store)
    assert result.code == 1
    assert "error[" in result.err


def test_an_unreachable_venue_is_one_clear_error(tmp_path: Path) -> None:
    environment = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "cli.py", "data", "download", "--db", str(tmp_path / "market.db")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert result.returncode == 1
    assert "error[" in result.stderr
    assert "Traceback" not in result.stderr


# ── wrong policies, configurations, ledgers ──


def edited(tmp_path: Path, name: str, old: str, new: str) -> Path:
    """Copy the shipped rules and configuration, change one text in one file, return the bundle."""
    for folder in ("config", "policies"):
        (tmp_path / folder).mkdir()
        for file in (ROOT / folder).glob("*.yaml"):
            (tmp_path / folder / file.name).write_text(file.read_text())
    target = tmp_path / name
    text = target.read_text()
    assert old in text
    target.write_text(text.replace(old, new, 1))
    return tmp_path / "config/prod_scale_rules_R1.yaml"


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        (
            "policies/action.yaml",
            '{drawdown: "> $hard_stop_drawdown"}',
            '{draw_down: "> 12%"}',
            "did you mean `drawdown`?",
        ),
        ("policies/action.yaml", '{drawdown: "> $hard_stop_drawdown"}', '{drawdown: "> 0.12"}', "has no unit"),
        ("policies/action.yaml", "otherwise: KEEP", "otherwise: &k KEEP", "anchors"),
        ("config/prod_candidate_R1.yaml", "fee_bps: 5", "fee_bps: 6", "config-hash"),
        ("config/prod_scale_rules_R1.yaml", "bundle: R1", "bundle: [", "not valid YAML"),
    ],
    ids=["unknown-fact", "wrong-unit", "anchor", "flipped-byte", "no-yaml"],
)
def test_R107_a_wrong_bundle_is_refused_with_its_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, old: str, new: str, expected: str
) -> None:
    bundle = edited(tmp_path, name, old, new)
    result = run(capsys, "rehearse", "--rules", bundle, "--out", tmp_path / "out")
    assert result.code == 1
    assert expected in result.err
    assert not (tmp_path / "out" / "ledger.db").exists()


@pytest.mark.parametrize("content", [None, b"", b"this is no database, it only looks like one" * 100])
def test_a_missing_or_broken_ledger_is_one_clear_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes | None
) -> None:
    ledger = tmp_path / "ledger.db"
    if content is not None:
        ledger.write_bytes(content)
    for command in (["verdict"], ["verdict", "log"], ["verdict", "show", "V1"], ["report", "--daily"]):
        result = run(capsys, *command, "--ledger", ledger)
        assert result.code == 1
        assert result.err.count("error[") == 1
        assert str(ledger) in result.err


def test_a_report_of_no_kind_and_a_wrong_time_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "report").code == 2
    result = run(capsys, "signals", "--from", "yesterday")
    assert result.code == 2
    assert "`yesterday` is no date or time" in result.err


def test_recorded_prices_need_a_range_and_a_stage_with_capital(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(capsys, "rehearse", "--data", tmp_path, "--out", tmp_path).code == 2
    assert run(capsys, "rehearse", "--stage", "0", "--days", "1", "--out", tmp_path).code == 2
    assert run(capsys, "rehearse", "--stage", "9", "--days", "1", "--out", tmp_path).code == 2


# ── a short rehearsal, asked about in every way ──


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("short")
    command = [sys.executable, "cli.py", "rehearse", "--days", "20", "--out", str(out)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert "ledger" in result.stdout
    return out


def test_queries_print_one_json_document(capsys: pytest.CaptureFixture[str], rehearsed: Path) -> None:
    ledger = rehearsed / "ledger.db"
    verdict = run(capsys, "verdict", "--ledger", ledger, "--json")
    document = json.loads(verdict.out)
    log = json.loads(run(capsys, "verdict", "log", "--ledger", ledger, "--json").out)
    assert len(log) >= 20
    shown = run(capsys, "verdict", "show", log[0]["verdict_id"], "--ledger", ledger, "--json")
    assert json.loads(shown.out)["verdict_id"] == log[0]["verdict_id"]
    assert verdict.code == {"KEEP": 0, "SCALE_UP": 10, "REDUCE": 20, "PAUSE": 30}[document["outcome"]]


def test_a_recorded_verdict_replays(capsys: pytest.CaptureFixture[str], rehearsed: Path) -> None:
    ledger = rehearsed / "ledger.db"
    last = json.loads(run(capsys, "verdict", "log", "--last", "1", "--ledger", ledger, "--json").out)[0]
    result = run(capsys, "verdict", "replay", last["verdict_id"], "--ledger", ledger)
    assert result.code == 0
    missing = run(capsys, "verdict", "replay", "V1", "--ledger", ledger)
    assert missing.code == 1
    assert "there is no verdict `V1`" in missing.err


def test_why_fits_in_80_columns_without_colour(capsys: pytest.CaptureFixture[str], rehearsed: Path) -> None:
    result = run(capsys, "verdict", "--why", "--ledger", rehearsed / "ledger.db")
    assert "\x1b" not in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert "both engines agree" in result.out


@pytest.mark.requirement("R228")
def test_R110_the_daily_report_is_archived_and_never_overwritten(
    capsys: pytest.CaptureFixture[str], rehearsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = rehearsed / "ledger.db"
    monkeypatch.chdir(tmp_path)
    arguments: list[str | Path] = ["--ledger", ledger, "-c", ROOT / CONFIG, "--rules", ROOT / RULES]
    assert run(capsys, "report", "--daily", *arguments).code == 0
    archive = tmp_path / "reports/prod_reports/daily"
    before = {file.name: file.read_bytes() for file in archive.iterdir()}
    assert {Path(name).suffix for name in before} == {".md", ".html", ".json"}
    assert run(capsys, "report", "--daily", *arguments).code == 0
    assert {file.name: file.read_bytes() for file in archive.iterdir()} == before


# ── interrupted ──


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What is started hears Ctrl-C, also where the tests run in the background: there it is ignored, and inherited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_rehearsal_leaves_the_last_one_and_the_next_run_carries_on(
    rehearsed: Path, tmp_path: Path, how: signal.Signals
) -> None:
    ledger = tmp_path / "ledger.db"
    ledger.write_bytes((rehearsed / "ledger.db").read_bytes())
    before = ledger.read_bytes()
    command = [sys.executable, "cli.py", "rehearse", "--days", "300", "--out", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wal = tmp_path / "ledger.db.part-wal"
        while process.poll() is None and not (wal.exists() and wal.stat().st_size > 500_000):
            wait_s(0.005)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in err
    if how is signal.SIGINT:
        assert process.returncode == 1
        assert "interrupted" in err
    assert ledger.read_bytes() == before
    again = subprocess.run(
        [sys.executable, "cli.py", "rehearse", "--days", "3", "--out", str(tmp_path)], check=False, cwd=ROOT
    )
    assert again.returncode == 0
    assert ledger.read_bytes() != before
    assert not list(tmp_path.glob("*.part*"))
