"""The market store: idempotent, atomic, and clear about every way in which SQLite can refuse."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import HOUR_MS, parse_time
from engine.errors import DataError
from engine.market.imports import ImportStep, import_files, open_market
from engine.market.series import FundingRates
from engine.market.store import Changes, Coverage, coverage, load_market, writing
from engine.market.storefile import reading, transaction
from strategies.bars import Bars

if TYPE_CHECKING:
    from pathlib import Path

    from engine.market.series import Kind

START_MS = parse_time("2024-01-01")


def bars(prices: dict[int, float], symbol: str = "BTCUSDT") -> Bars:
    """Return bars of a flat price an hour: hour -> price."""
    hours = sorted(prices)
    column = np.array([prices[hour] for hour in hours])
    times = START_MS + np.array(hours, dtype=np.int64) * HOUR_MS
    return Bars(symbol, times, column, column + 1, column - 1, column, column * 2)


def csv_text(count: int, shift: float = 0.0) -> str:
    rows = [f"{START_MS + hour * HOUR_MS},{100 + shift},{102 + shift},{99},{101 + shift},7" for hour in range(count)]
    return "\n".join(["open_time,open,high,low,close,volume", *rows]) + "\n"


def dump(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = (
            connection.execute("SELECT * FROM bars").fetchall() + connection.execute("SELECT * FROM funding").fetchall()
        )
    return sorted(tables, key=repr)


def problem_of(error: pytest.ExceptionInfo[DataError]) -> tuple[str, str]:
    (problem,) = error.value.problems
    assert "\n" not in problem.problem
    assert problem.help
    return problem.code, problem.where


def test_what_goes_in_comes_out_exactly(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "market.db"
    last, mark = bars({0: 0.1 + 0.2, 1: 1e-8, 5: 123456789.12345678}), bars({0: 7.0})
    funding = FundingRates("BTCUSDT", np.array([START_MS]), np.array([-1.23e-7]))
    with writing(path) as store:
        store.upsert("last", last)
        store.upsert("mark", mark)
        store.upsert("funding", funding)
        store.upsert("last", bars({2: 5.0}, "ETHUSDT"))
        assert store.times("last", "BTCUSDT").tolist() == last.open_time_ms.tolist()
        assert store.times("mark", "SOLUSDT").tolist() == []
    market = load_market(path, ["ETHUSDT", "BTCUSDT"])
    assert market.symbols == ("ETHUSDT", "BTCUSDT")
    assert repr(market.bars["BTCUSDT"]) == repr(last)
    assert market.bars["BTCUSDT"].open_time_ms.dtype == np.int64
    assert repr(market.mark) == repr({"BTCUSDT": mark})
    assert repr(market.funding) == repr({"BTCUSDT": funding})
    assert coverage(path) == (
        Coverage("last", "BTCUSDT", 3, START_MS, START_MS + 5 * HOUR_MS),
        Coverage("last", "ETHUSDT", 1, START_MS + 2 * HOUR_MS, START_MS + 2 * HOUR_MS),
        Coverage("mark", "BTCUSDT", 1, START_MS, START_MS),
        Coverage("funding", "BTCUSDT", 1, START_MS, START_MS),
    )


PRICES = st.dictionaries(st.integers(0, 30), st.sampled_from([10.0, 11.0, 12.5]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(first=PRICES, second=PRICES)
def test_an_upsert_is_the_union_in_which_the_new_wins_and_counts_what_it_did(
    tmp_path_factory: pytest.TempPathFactory, first: dict[int, float], second: dict[int, float]
) -> None:
    path = tmp_path_factory.mktemp("store") / "market.db"
    with writing(path) as store:
        assert store.upsert("last", bars(first)) == Changes(len(first), 0, 0)
        changes = store.upsert("last", bars(second))
        assert store.upsert("last", bars(second)) == Changes(0, 0, len(second))
    updated = sum(first[hour] != price for hour, price in second.items() if hour in first)
    inserted = len(set(second) - set(first))
    assert changes == Changes(inserted, updated, len(second) - inserted - updated)
    union = {**first, **second}
    if union:
        assert repr(load_market(path, ["BTCUSDT"]).bars["BTCUSDT"]) == repr(bars(union))


def test_importing_the_same_files_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    files = [tmp_path / "BTCUSDT-1h.csv", tmp_path / "ETHUSDT.csv"]
    files[0].write_text(csv_text(50))
    files[1].write_text("funding_time,funding_rate\n2024-01-01T00:00:00Z,0.0001\n2024-01-01T00:00:00Z,0.0001\n")
    steps: list[ImportStep] = []
    summary = import_files(path, files, steps.append)
    assert [(file.kind, file.symbol, file.rows, file.duplicates, file.inserted) for file in summary.files] == [
        ("last", "BTCUSDT", 50, 0, 50),
        ("funding", "ETHUSDT", 2, 1, 1),
    ]
    assert (summary.rows, summary.written) == (52, 51)
    assert [(step.index, step.count, step.rows_done, step.rows) for step in steps][-1] == (1, 2, 1, 1)
    before = dump(path)
    again = import_files(path, files)
    assert (again.written, [file.unchanged for file in again.files]) == (0, [50, 1])
    assert dump(path) == before


def test_a_changed_file_updates_and_counts_what_changed(tmp_path: Path) -> None:
    path, file = tmp_path / "market.db", tmp_path / "BTCUSDT.csv"
    file.write_text(csv_text(50))
    import_files(path, [file])
    file.write_text(csv_text(40) + csv_text(60, shift=0.5).split("\n", 41)[-1])
    (only,) = import_files(path, [file]).files
    assert (only.inserted, only.updated, only.unchanged) == (10, 10, 40)


def test_a_broken_file_leaves_the_files_before_it_and_nothing_of_itself(tmp_path: Path) -> None:
    path, good, bad = tmp_path / "market.db", tmp_path / "BTCUSDT.csv", tmp_path / "ETHUSDT.csv"
    good.write_text(csv_text(30))
    bad.write_text(csv_text(30)[:-1])
    with pytest.raises(DataError):
        import_files(path, [good, bad])
    assert [(part.symbol, part.rows) for part in coverage(path)] == [("BTCUSDT", 30)]


def test_an_interruption_inside_a_file_rolls_it_back(tmp_path: Path) -> None:
    path, file = tmp_path / "market.db", tmp_path / "BTCUSDT.csv"
    file.write_text(csv_text(12_000))

    def interrupt(step: ImportStep) -> None:
        if step.rows_done >= 10_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_files(path, [file], interrupt)
    assert coverage(path) == ()
    import_files(path, [file])
    assert coverage(path)[0].rows == 12_000


KILLED = """
import sys
from pathlib import Path
from engine.market.imports import import_files

def step(at):
    if at.index == 1 and at.rows_done < at.rows:
        print("inside", at.rows_done, flush=True)
        sys.stdin.readline()

import_files(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]], step)
"""


def test_kill_9_in_the_middle_of_a_file_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    path, first, second = tmp_path / "market.db", tmp_path / "BTCUSDT.csv", tmp_path / "ETHUSDT.csv"
    first.write_text(csv_text(30))
    second.write_text(csv_text(12_000))
    command = [sys.executable, "-c", KILLED, str(path), str(first), str(second)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside 5000\n"
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert [(part.symbol, part.rows) for part in coverage(path)] == [("BTCUSDT", 30)]
    again = import_files(path, [first, second])
    assert [file.inserted for file in again.files] == [0, 12_000]


def test_a_locked_store_is_one_clear_error_and_readers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    with writing(path) as store:
        store.upsert("last", bars({0: 1.5}))
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DataError) as caught, writing(path, busy_s=0.01) as store:
            store.upsert("last", bars({1: 1.5}))
        assert problem_of(caught) == ("locked", str(path))
        assert len(load_market(path, ["BTCUSDT"]).bars["BTCUSDT"]) == 1
    with writing(path) as store:
        assert store.upsert("last", bars({1: 1.5})).inserted == 1


def test_a_new_store_that_is_locked_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError) as caught, writing(path, busy_s=0.01):
            pass
        assert problem_of(caught) == ("locked", str(path))


def test_a_full_disk_is_one_clear_error_and_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    with writing(path) as store:
        store.upsert("last", bars(dict.fromkeys(range(100), 2.0)))
        store.db.conn.execute("PRAGMA max_page_count = 10")
        with pytest.raises(DataError) as caught:
            store.upsert("last", bars(dict.fromkeys(range(100, 9_000), 2.0)))
        assert problem_of(caught) == ("disk-full", str(path))
    assert coverage(path)[0].rows == 100


def test_a_corrupt_store_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    with writing(path) as store:
        store.upsert("last", bars(dict.fromkeys(range(2_000), 2.0)))
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xa5" * (len(raw) - 4096)
    path.write_bytes(raw)
    for use in (lambda: load_market(path, ["BTCUSDT"]), lambda: coverage(path)):
        with pytest.raises(DataError) as caught:
            use()
        assert problem_of(caught) == ("corrupt", str(path))
    with pytest.raises(DataError) as caught, writing(path) as store:
        store.upsert("last", bars({0: 3.0}))
    assert problem_of(caught) == ("corrupt", str(path))


def test_what_is_no_store_is_told_from_one(tmp_path: Path) -> None:
    text, other, empty, newer = (tmp_path / name for name in ("text.db", "other.db", "empty.db", "newer.db"))
    text.write_text("open_time,open\n" * 500)
    empty.touch()
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE bars (x)")
    with writing(newer) as store:
        store.db.conn.execute("PRAGMA user_version = 99")
    for path, code in (
        (text, "not-a-store"),
        (other, "not-a-store"),
        (empty, "not-a-store"),
        (newer, "store-version"),
        (tmp_path / "absent.db", "no-store"),
    ):
        with pytest.raises(DataError) as caught:
            load_market(path, ["BTCUSDT"])
        assert problem_of(caught) == (code, str(path))
    for path, code in ((text, "not-a-store"), (other, "not-a-store"), (newer, "store-version")):
        with pytest.raises(DataError) as caught, writing(path):
            pass
        assert problem_of(caught) == (code, str(path))
    assert not (tmp_path / "absent.db").exists(), "reading creates nothing"


def test_a_store_that_cannot_be_created_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError) as caught, writing(tmp_path / "file" / "market.db"):
        pass
    assert caught.value.problems[0].code == "unwritable"
    with pytest.raises(DataError) as caught, writing(tmp_path):
        pass
    assert problem_of(caught) == ("unreadable", str(tmp_path))


def test_a_symbol_without_bars_is_told_with_the_command_that_helps(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    with writing(path) as store:
        store.upsert("mark", bars({0: 1.5}))
    with pytest.raises(DataError, match="stagegate data import") as caught:
        load_market(path, ["BTCUSDT"])
    assert problem_of(caught) == ("no-bars", str(path))


def test_two_processes_may_create_the_same_store(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    with writing(path) as first, writing(path) as second:
        first.upsert("last", bars({0: 1.5}))
        second.upsert("last", bars({1: 1.5}))
    assert coverage(path)[0].rows == 2


def test_a_second_writer_is_kept_out_from_the_comparison_on(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    with writing(path) as first, transaction(first.db.conn):
        with pytest.raises(DataError) as caught, writing(path, busy_s=0.01) as second:
            second.upsert("last", bars({0: 1.5}))
        assert problem_of(caught) == ("locked", str(path))


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    with writing(path):
        pass
    with pytest.raises(DataError) as caught, reading(path) as connection:
        connection.execute("DELETE FROM bars")
    assert problem_of(caught) == ("read-only", str(path))


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with writing(tmp_path / "market.db") as store:

        def fail_half_way() -> None:
            with transaction(store.db.conn):
                store.db["funding"].insert({"symbol": "BTCUSDT", "time_ms": 1, "rate": 0.1})
                raise ValueError("stop")

        with pytest.raises(ValueError, match="stop"):
            fail_half_way()
        assert store.db.conn.execute("SELECT count(*) FROM funding").fetchone() == (0,)
        assert store.db.journal_mode == "wal"


@pytest.mark.parametrize("kind", ["last", "mark", "funding"])
def test_nothing_is_written_of_nothing(tmp_path: Path, kind: Kind) -> None:
    empty = np.empty(0)
    times = np.empty(0, dtype=np.int64)
    series = FundingRates("BTCUSDT", times, empty) if kind == "funding" else bars({})
    with writing(tmp_path / "market.db") as store:
        assert store.upsert(kind, series) == Changes(0, 0, 0)


def test_a_market_opens_from_a_folder_or_from_a_store(tmp_path: Path) -> None:
    file = tmp_path / "data" / "klines" / "BTCUSDT-1h.csv"
    file.parent.mkdir(parents=True)
    file.write_text(csv_text(30))
    import_files(tmp_path / "market.db", [file])
    from_folder = open_market(tmp_path / "data", ["BTCUSDT"])
    from_store = open_market(tmp_path / "market.db", ["BTCUSDT"])
    assert repr(from_folder) == repr(from_store)
    with pytest.raises(DataError):
        open_market(tmp_path / "nothing", ["BTCUSDT"])


def test_queries_import_neither_pandas_nor_sqlite_utils(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    with writing(path) as store:
        store.upsert("last", bars({0: 1.5}))
    code = (
        "import sys; from pathlib import Path; from engine.market.imports import open_market; "
        f"open_market(Path({str(path)!r}), ['BTCUSDT']); "
        "print(sorted({'pandas', 'sqlite_utils', 'binance', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
