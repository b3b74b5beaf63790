"""kill -9, a full disk, a lock: nothing committed is lost, nothing is half-written, the next run carries on."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.errors import LedgerError
from engine.ledger import Event, Fill, Ledger, Mark, SleeveMark
from engine.ledger.faults import in_words, translated

if TYPE_CHECKING:
    from pathlib import Path

    from engine.ledger import Row

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


def bar(index: int) -> list[Row]:
    """Return what one bar writes: a mark, three sleeve marks, a fill and an event."""
    sleeves = [SleeveMark("risk", index, symbol, 1.0, 100.0, float(index), 0.5) for symbol in SYMBOLS]
    fill = Fill(f"f{index}", "risk", index, "BTCUSDT", 1, 1.0, 100.0, 100.0, "bar_open", 0.05, f"p{index}", "rebalance")
    mark = Mark("risk", index, 100.0, 1.0, 100.0, 1.0, 100.0, 0.0)
    return [mark, *sleeves, fill, Event(f"e{index}", index, "k", "s", '{"padding":"' + "x" * 500 + '"}')]


def whole_bars(ledger: Ledger) -> int:
    """Assert that every bar is there whole, from the first without a hole; return how many."""
    count = len(ledger.marks("risk"))
    assert ledger.marks("risk").at_ms.tolist() == list(range(count))
    sleeves = ledger.sleeve_marks("risk")
    for symbol in SYMBOLS if count else ():
        assert sleeves[symbol].at_ms.tolist() == list(range(count))
    assert [fill.fill_id for fill in ledger.fills("risk")] == [f"f{index}" for index in range(count)]
    assert [event.event_id for event in ledger.events()] == [f"e{index}" for index in range(count)]
    return count


def append_bars(ledger: Ledger, *, from_bar: int) -> None:
    for index in range(from_bar, 1000):
        ledger.append(bar(index))


WRITER = """
import sys, pathlib
sys.path[:0] = [{tests!r}, {root!r}]
from test_ledger_faults import bar
from engine.ledger import Ledger
ledger = Ledger.open({path!r}, create=True)
ledger.set_meta(kind={kind!r})
for index in range(len(ledger.marks("risk")), 10**9):
    with ledger.transaction():
        for row in bar(index):
            ledger.append(row)
        if index == {stop_inside}:
            print("inside", flush=True)
            sys.stdin.read()
    print(index, flush=True)
"""


def killed_writer(path: Path, kind: str, *, after_bars: int, inside: bool) -> int:
    """Run a writer in its own process, SIGKILL it, and return the last bar it said was committed."""
    here = os.path.dirname(__file__)  # noqa: PTH120 - sys.path wants text
    root = os.path.dirname(os.path.dirname(here))  # noqa: PTH120 - the same
    code = WRITER.format(tests=here, root=root, path=str(path), kind=kind, stop_inside=after_bars if inside else -1)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        committed = -1
        for line in process.stdout:
            if line.strip() == "inside" or committed >= after_bars:
                break
            committed = int(line)
        process.send_signal(signal.SIGKILL)
        # what it still said before it died was committed too
        rest = [int(line) for line in process.stdout.read().split("\n")[:-1]]
    assert process.returncode == -signal.SIGKILL
    return max([committed, *rest])


@pytest.mark.parametrize(("kind", "bars"), [("live", 5), ("rehearsal", 40)])
def test_R164_killed_at_any_instant_every_committed_bar_is_whole_and_it_goes_on(
    tmp_path: Path, kind: str, bars: int
) -> None:
    path = tmp_path / "ledger.db"
    committed = killed_writer(path, kind, after_bars=bars, inside=False)
    with Ledger.open(path) as ledger:
        ledger.verify()
        count = whole_bars(ledger)
        assert count >= committed + 1 >= bars
        ledger.append(bar(count))
    again = killed_writer(path, kind, after_bars=count + 3, inside=False)
    with Ledger.open(path) as ledger:
        ledger.verify()
        assert whole_bars(ledger) >= again + 1


def test_R164_killed_inside_a_group_leaves_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    assert killed_writer(path, "live", after_bars=3, inside=True) == 2
    with Ledger.open(path, read_only=True) as ledger:
        ledger.verify()
        assert whole_bars(ledger) == 3


def test_a_full_disk_is_one_clear_error_and_nothing_is_half_written(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        ledger.append(bar(0))
        pages = ledger._rows("PRAGMA page_count")[0][0]
        ledger._execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(LedgerError) as caught:
            append_bars(ledger, from_bar=1)
        written = len(ledger.fills("risk"))
        (problem,) = caught.value.problems
        assert problem.code == "disk-full"
        assert problem.problem.startswith("no space is left to write")
        assert "nothing is half-written" in problem.help
        assert whole_bars(ledger) == written
        ledger._execute("PRAGMA max_page_count = 1000000")  # space was made: the same object goes on
        ledger.append(bar(written))
        ledger.verify()
        assert whole_bars(ledger) == written + 1


def test_a_group_that_a_full_disk_broke_cannot_go_on_in_pieces(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        pages = ledger._rows("PRAGMA page_count")[0][0]
        ledger._execute(f"PRAGMA max_page_count = {pages + 1}")
        # the next append would otherwise stand alone, outside any group
        with pytest.raises(LedgerError), ledger.transaction():  # noqa: PT012 - the block is what is tested
            with pytest.raises(LedgerError, match="disk-full"):
                append_bars(ledger, from_bar=0)
            ledger._connection.rollback()  # SQLite may end the transaction itself
            with pytest.raises(LedgerError, match="an earlier failure undid the group"):
                ledger.append(bar(5000))
        assert whole_bars(ledger) == 0
        ledger._execute("PRAGMA max_page_count = 1000000")
        ledger.append(bar(0))
        assert whole_bars(ledger) == 1


def test_a_ledger_that_another_process_holds_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path, create=True) as ledger:
        ledger.append(bar(0))
    with closing(sqlite3.connect(path, isolation_level=None)) as other, Ledger.open(path, busy_timeout_ms=20) as ledger:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerError) as caught:
            ledger.append(bar(1))
        (problem,) = caught.value.problems
        assert problem.code == "locked"
        assert "another process" in problem.problem
        assert "nothing was written" in problem.help
        assert whole_bars(ledger) == 1  # a reader never waits
        with Ledger.open(path, read_only=True, busy_timeout_ms=20) as reader:
            assert whole_bars(reader) == 1
        other.execute("COMMIT")
        ledger.append(bar(1))
        assert whole_bars(ledger) == 2


def test_a_group_holds_the_right_to_write_from_its_beginning(tmp_path: Path) -> None:
    # a group that first read and then wrote would fail at once when another process wrote between the two
    path = tmp_path / "ledger.db"
    with Ledger.open(path, create=True) as ledger, Ledger.open(path, busy_timeout_ms=20) as other:
        with ledger.transaction():
            count = whole_bars(ledger)
            with pytest.raises(LedgerError, match="locked"):
                other.append(bar(0))
            ledger.append(bar(count))
        other.append(bar(1))
        assert whole_bars(ledger) == 2


def test_a_write_waits_five_seconds_unless_told_otherwise(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", create=True) as ledger:
        assert ledger._rows("PRAGMA busy_timeout") == [(5000,)]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (sqlite3.SQLITE_BUSY, "locked"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "locked"),
        (sqlite3.SQLITE_LOCKED, "locked"),
        (sqlite3.SQLITE_FULL, "disk-full"),
        (sqlite3.SQLITE_NOTADB, "not-a-database"),
        (sqlite3.SQLITE_CORRUPT, "corrupt"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "not-writable"),
        (sqlite3.SQLITE_PERM, "not-writable"),
        (sqlite3.SQLITE_CANTOPEN, "cannot-open"),
        (sqlite3.SQLITE_IOERR_WRITE, "disk"),
        (sqlite3.SQLITE_TOOBIG, "database"),
    ],
)
def test_each_of_sqlites_errors_has_words(tmp_path: Path, number: int, code: str) -> None:
    error = sqlite3.OperationalError("some text")
    error.sqlite_errorcode, error.sqlite_errorname = number, "SQLITE_NAME"
    (problem,) = translated(error, tmp_path / "ledger.db").problems
    assert (problem.code, problem.where) == (code, str(tmp_path / "ledger.db"))
    assert "SQLITE_NAME" in problem.problem
    assert problem.problem[0].islower() or code == "database"
    assert problem.help


def test_a_mistake_of_this_package_is_not_dressed_up_as_a_state_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.ProgrammingError), in_words(tmp_path):
        raise sqlite3.ProgrammingError("closed")
