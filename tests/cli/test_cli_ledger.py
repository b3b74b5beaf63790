"""`ledger backup`, `check`, `migrate`, `restore` and `adopt` as people call them."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import cli
from engine.clock import HOUR_MS, SystemClock, iso
from engine.custody.keeping import file_sha256
from engine.execution.permit import Permit
from engine.inquiry import posture_at
from engine.ledger import Event, Ledger
from engine.live.account import RISK, RiskAccount
from engine.live.connection import Announcement, announce, announced_beside
from engine.live.lock import InstanceLock
from engine.live.opening import FOR_EVER_MS
from engine.risk_guard.books import read_books
from tests.cli.test_cli_guard import venue  # noqa: F401 - a fixture
from tests.execution.dealing import trade
from tests.risk_guard.guarding import ACCOUNT, RULES, START_MS, SYMBOLS, WALLET, begin

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.test_cli_guard import Venue


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def noted(ledger: Path, *names: str) -> None:
    with Ledger.open(ledger) as opened:
        opened.append([Event(name, START_MS, "note", "", "{}") for name in names])


def notes(ledger: Path) -> list[str]:
    with Ledger.open(ledger, read_only=True) as opened:
        return [event.event_id for event in opened.events("note")]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    begin(tmp_path, Permit.beside(tmp_path / "ledger.db"), None)
    path = tmp_path / "ledger.db"
    noted(path, "one", "two")
    return path


def everything(folder: Path) -> dict[str, str]:
    """Return the files that say something, each with its hash: no locks, no memory of SQLite's."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.suffix not in {".lock", ".db-shm"}]
    return {file.name: file_sha256(file) for file in files}


def test_A79_a_backup_is_checked_hashed_and_taken_while_others_write(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger.open(ledger) as writer:
        writer.append(Event("three", START_MS, "note", "", "{}"))  # stands in the log, not in the file yet
        assert run("ledger", "backup", tmp_path / "copy.db", "--ledger", ledger, "--json") == 0
        said = json.loads(capsys.readouterr().out)
    assert said["sha256"] == file_sha256(tmp_path / "copy.db")
    assert notes(tmp_path / "copy.db") == ["one", "two", "three"]
    assert said["contents"]["links"] == 5
    (tmp_path / "many").mkdir()
    assert run("ledger", "backup", tmp_path / "many", "--ledger", ledger) == 0
    assert [file.name for file in (tmp_path / "many").iterdir()] == ["ledger-00000005.db"]
    assert run("ledger", "backup", tmp_path / "copy.db", "--ledger", ledger) == 1
    assert "none is overwritten" in capsys.readouterr().err
    assert run("ledger", "check", "--ledger", tmp_path / "copy.db") == 0
    assert "5 links, the last is" in capsys.readouterr().out


def test_a_restore_keeps_the_file_before_halts_and_says_what_is_lost(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.db"
    assert run("ledger", "backup", copy, "--ledger", ledger) == 0
    noted(ledger, "lost")
    permit = Permit.beside(ledger)
    assert permit.present()
    assert run("ledger", "restore", copy, "--ledger", ledger, "--yes") == 0
    shown = capsys.readouterr()
    assert "1 links that are only in the present file" in shown.err
    assert "HALTED" in shown.out
    assert shown.out.index("stagegate flatten") < shown.out.index("stagegate resume"), "it goes on from flat only"
    assert notes(ledger) == ["one", "two"]
    assert not permit.present(), "nothing adds risk until a person resumes"
    (kept,) = tmp_path.glob("ledger.db.replaced-*")
    assert notes(kept) == ["one", "two", "lost"]
    with Ledger.open(ledger) as opened:
        opened.verify()
        (event,) = opened.events("restored")
        assert json.loads(event.document)["backup_sha256"] == file_sha256(copy)
    ledger.write_bytes(b"SQLite format 3\0" + b"damage" * 500)
    assert run("ledger", "restore", copy, "--ledger", ledger, "--yes") == 0, "a damaged ledger is what it is for"
    assert notes(ledger) == ["one", "two"]
    ledger.unlink()
    assert run("ledger", "restore", copy, "--ledger", ledger, "--yes") == 0, "and one that is gone"


def test_a_ledger_whose_simulated_venue_is_ahead_of_the_machine_is_restored_in_the_venues_time(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, here_ms = tmp_path / "copy.db", START_MS - 40 * HOUR_MS
    assert run("ledger", "backup", copy, "--ledger", ledger) == 0
    monkeypatch.setattr(SystemClock, "now_ms", lambda _: here_ms)
    assert run("ledger", "restore", copy, "--ledger", ledger, "--yes") == 2
    assert "start its venue" in capsys.readouterr().err
    ahead = Announcement("http://127.0.0.1:1", "ws://127.0.0.1:1", "key", "secret", START_MS + HOUR_MS, here_ms)
    announce(announced_beside(ledger), ahead)
    assert run("ledger", "restore", copy, "--ledger", ledger, "--yes") == 0
    with Ledger.open(ledger, read_only=True) as opened:
        assert [event.at_ms for event in opened.events("restored")] == [START_MS + HOUR_MS]


def test_a_restore_that_may_not_be_changes_nothing(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.db"
    assert run("ledger", "backup", copy, "--ledger", ledger) == 0

    def refused(code: str, file: Path = copy, *, answer: tuple[str, ...] = ("--yes",)) -> str:
        before = everything(tmp_path)
        assert run("ledger", "restore", file, "--ledger", ledger, *answer) != 0
        said = capsys.readouterr().err
        assert f"error[{code}]" in said
        assert everything(tmp_path) == before
        assert Permit.beside(ledger).present()
        return said

    with InstanceLock(ledger, "stagegate run", START_MS):
        refused("second-instance")
    with Ledger.open(ledger) as other:
        other.append(Event("three", START_MS, "note", "", "{}"))
        refused("in-use")
    refused("missing-ledger", tmp_path / "none.db")
    page = copy.with_name("page.db")
    shutil.copyfile(copy, page)
    with sqlite3.connect(page) as raw:
        raw.execute("DROP TRIGGER events_never_updated")
        raw.execute("UPDATE events SET document = '{\"a\":1}' WHERE event_id = 'one'")
    refused("schema-altered", page)
    other_history = copy.with_name("other.db")
    shutil.copyfile(copy, other_history)
    noted(other_history, "elsewhere")
    refused("other-history", other_history)
    newer = copy.with_name("newer.db")
    shutil.copyfile(copy, newer)
    with sqlite3.connect(newer) as raw:
        raw.execute("INSERT INTO migrations VALUES (99, '0099_future')")
    refused("schema-newer", newer)
    text = copy.with_name("text.db")
    text.write_text("no database " * 100)
    assert f"{text}: error[not-a-database]" in refused("not-a-database", text)
    (tmp_path / "else").mkdir()
    begin(tmp_path / "else", Permit.beside(tmp_path / "else" / "ledger.db"), None, kind="live")
    refused("other-ledger", tmp_path / "else" / "ledger.db")
    monkeypatch.setattr(SystemClock, "now_ms", lambda _: START_MS - HOUR_MS)
    refused("clock-back")
    monkeypatch.undo()
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    refused("declined", answer=())


@pytest.mark.parametrize(
    "words",
    [
        ["incident", "open", "--because", "a test"],
        ["incident", "due"],
        ["incident", "step", "INC-20221109-01", "T+5"],
        ["incident", "tick", "INC-20221109-01", "screenshot", "--by", "ann"],
        ["incident", "close", "INC-20221109-01"],
        ["incident", "test-fix"],
        ["restart", "INC-20221109-01"],
        ["stage", "promote", "--key", "nobody"],
        ["waive", "telegram", "--until", "2030-01-01", "--because", "a test", "--key", "nobody"],
        ["ack", "data_gap_small", "--reason", "a test"],
        ["stage", "watcher", "ann", "--key", "nobody"],
        ["approve", "bundle", "--key", "nobody"],
        ["review", "sign", "weekly", "--decision", "continue", "--notes", "a test", "--key", "nobody"],
        ["verdict"],
        ["report", "--daily"],
        ["report", "--weekly"],
        ["consistency", "--data", "nowhere"],
    ],
    ids=" ".join,
)
def test_whoever_would_write_into_the_past_of_a_ledger_is_refused(
    words: list[str], ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemClock, "now_ms", lambda _: START_MS - HOUR_MS)
    before = everything(tmp_path)
    assert run(*words, "--ledger", ledger) == 2
    assert "error[clock-back]" in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_a_restore_of_no_backup_says_how_to_get_one_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("ledger", "restore", tmp_path / "none.db", "--yes", "--ledger", tmp_path / "desk" / "trading.db") == 1
    told = capsys.readouterr().err
    assert "there is no backup here" in told
    assert "`stagegate ledger backup FILE` makes one" in told
    assert not any(tmp_path.iterdir())


def test_status_says_that_the_ledger_is_ahead_of_the_clock(
    ledger: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("status", "--paper", "--ledger", ledger)
    assert "what time it is" not in capsys.readouterr().out
    monkeypatch.setattr(SystemClock, "now_ms", lambda _: START_MS - HOUR_MS)
    run("status", "--paper", "--ledger", ledger)
    told = capsys.readouterr().out
    assert "unknown  what time it is: its latest entry is of" in told
    assert "nothing starts until the clock is right" in told


def aged(ledger: Path) -> None:
    """Make it one of the version before the audit trail."""
    with closing(sqlite3.connect(ledger)) as raw:
        raw.executescript("DROP TABLE audit; DELETE FROM migrations WHERE number = 3")


def test_an_older_ledger_is_migrated_once_it_is_left_alone_and_its_copy_may_be_put_back(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("ledger", "migrate", "--ledger", ledger) == 0
    assert "there is nothing to do" in capsys.readouterr().out
    aged(ledger)
    before = everything(tmp_path)
    with InstanceLock(ledger, "stagegate run", START_MS):
        assert run("ledger", "migrate", "--ledger", ledger) == 2
        assert "error[second-instance]" in capsys.readouterr().err
    with closing(sqlite3.connect(ledger)) as other:
        other.execute("SELECT count(*) FROM events").fetchone()
        assert run("ledger", "migrate", "--ledger", ledger) == 2
        assert "error[in-use]" in capsys.readouterr().err
        assert run("ledger", "restore", ledger, "--ledger", ledger, "--yes") == 2
    capsys.readouterr()
    assert everything(tmp_path) == before
    assert run("ledger", "migrate", "--ledger", ledger) == 0
    copy = tmp_path / "ledger.db.schema-2.backup"
    shown = capsys.readouterr().out
    assert "its schema is number 3 now, it was 2" in shown
    assert str(copy) in shown
    with Ledger.open(ledger, read_only=True) as opened:
        opened.verify()
        assert opened.audit_head().length == 4
    assert notes(ledger) == ["one", "two"]
    assert run("ledger", "restore", copy, "--ledger", ledger, "--yes") == 0, "it is brought up to date on the way"
    assert notes(ledger) == ["one", "two"]
    assert run("ledger", "check", "--ledger", ledger) == 0
    assert {file.name for file in tmp_path.glob("*.backup")} == {copy.name}


def test_a_full_disk_or_a_folder_that_is_none_leaves_everything_as_it_was(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.db"
    assert run("ledger", "backup", copy, "--ledger", ledger) == 0
    assert run("ledger", "backup", ledger / "copy.db", "--ledger", ledger) == 1
    assert "error[cannot-open]" in capsys.readouterr().err
    before = everything(tmp_path)
    wanted = [["backup", str(tmp_path / "second.db")], ["restore", str(copy), "--yes"]]
    full = (
        "import resource, sys, cli\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({copy.stat().st_size // 2},) * 2)\n"
        f"cli.main(['ledger', *sys.argv[1:], '--ledger', {str(ledger)!r}])\n"
    )
    for words in wanted:
        done = subprocess.run([sys.executable, "-c", full, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "error[disk" in done.stderr
        assert everything(tmp_path) == before
    assert Permit.beside(ledger).present()


@dataclass
class Taking:
    """A running account, a new ledger for it, and people with keys."""

    venue: Venue
    figures: tuple[object, ...]

    @property
    def ledger(self) -> Path:
        return self.venue.folder / "new.db"

    @property
    def where(self) -> tuple[object, ...]:
        return ("--ledger", self.ledger, "--signers", self.venue.folder / "signers")

    def adopt(self, *more: object, figures: tuple[object, ...] = ()) -> int:
        return run("ledger", "adopt", *(figures or self.figures), "--paper", "--rules", RULES, *self.where, *more)

    def approve(self, request: str, name: str) -> int:
        return run("approve", request, "--key", self.venue.folder / name, *self.where)

    def cancel_all(self) -> None:
        def cancel() -> None:
            for symbol, path in itertools.product(SYMBOLS, ("allOpenOrders", "algoOpenOrders")):
                self.venue.exchange.call("DELETE", f"/fapi/v1/{path}", {"symbol": symbol}, ACCOUNT)

        self.venue.ask(cancel)


PEAK_MS = START_MS - 40 * HOUR_MS


@pytest.fixture
def taking(venue: Venue) -> Taking:  # noqa: F811 - the fixture
    folder, names = venue.folder, ("alice", "bob", "carol")
    for name in names:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    (folder / "signers").write_text("".join(f"{name} {(folder / f'{name}.pub').read_text()}" for name in names))
    (folder / "old.json").write_text('{"equity": [10000, 9900]}')
    shutil.copyfile(f"{venue.ledger}.exchange.json", folder / "new.db.exchange.json")
    figures = ("--stage", 2, "--equity", 9_900, "--peak", 10_400, "--peak-at", iso(PEAK_MS))
    return Taking(venue, (*figures, "--evidence", folder / "old.json"))


def test_an_adoption_is_shown_asked_for_and_signed_by_two_others(
    taking: Taking, capsys: pytest.CaptureFixture[str]
) -> None:
    assert taking.adopt() == 0
    shown = capsys.readouterr().out
    assert "4.81% below 10,400.00" in shown
    assert "holds    BTCUSDT 0.17" in shown
    assert "nothing was written" in shown
    assert taking.adopt(figures=("--stage", 0, "--equity", 50_000, "--peak", 10, "--peak-at", "2030-01-01")) == 2
    said = capsys.readouterr().err
    assert [said.count(f"error[{code}]") for code in ("stage", "peak", "balance")] == [1, 2, 1]
    assert taking.adopt("--key", taking.venue.folder / "nobody") == 2
    assert not taking.ledger.exists(), "what was only shown, or refused, made no ledger"
    capsys.readouterr()
    assert taking.adopt("--key", taking.venue.folder / "alice", "--json") == 0
    asked = json.loads(capsys.readouterr().out)
    assert (asked["state"], asked["needed"]) == ("asked", 2)
    request = asked["request_id"]
    assert taking.approve(request, "alice") == 2
    assert "asked for it" in capsys.readouterr().err
    assert taking.approve(request, "bob") == 0
    assert taking.adopt() == 0
    assert "1 of 2 signed; it waits for the others" in capsys.readouterr().out
    assert taking.approve(request, "carol") == 0
    assert taking.adopt() == 2, "orders and stops of the other bot stand"
    said = capsys.readouterr().err
    assert (said.count("error[orders]"), said.count("error[stops]")) == (3, 2)
    (taking.venue.folder / "old.json").write_text("{}")
    assert taking.adopt() == 2
    assert "error[changed]" in capsys.readouterr().err, "another evidence than people signed"
    assert not Permit.beside(taking.ledger).present()


def test_an_adopted_account_is_worth_what_was_said_counts_from_its_peak_and_agrees_with_the_venue(
    taking: Taking, capsys: pytest.CaptureFixture[str]
) -> None:
    taking.cancel_all()
    _signed(taking, capsys)
    assert taking.adopt("--json") == 0
    assert json.loads(capsys.readouterr().out)["state"] == "adopted"
    assert Permit.beside(taking.ledger).terms()["by"] == "adopt"
    with Ledger.open(taking.ledger, read_only=True) as opened:
        opened.verify()
        account = RiskAccount.read(opened, SYMBOLS)
        assert account.equity_usd == pytest.approx(9_900)
        assert account.book.nav.tolist() == pytest.approx([1.0, 9_900 / 10_400])
        marked = {one.symbol: one.price for one in opened.fills(RISK)}
        assert account.equity_at(marked) == pytest.approx(9_900), "what was made before is in the account, once"
        assert account.qty == {"BTCUSDT": 0.17, "ETHUSDT": 2.2, "SOLUSDT": 66.0}
        posture = posture_at(opened, FOR_EVER_MS)
        assert (posture.stage, posture.cap_usd, posture.epoch_ms) == (2, 10_000.0, PEAK_MS)
        assert [event.subject for event in opened.events("adopted")] == ["paper"]
        books = read_books(opened, account.latest_ms)
        assert books is not None
        assert books.idle_usd == pytest.approx(float(WALLET) - 9_900, abs=200), "the guard sees the same equity"
    assert run("status", "--paper", "--ledger", taking.ledger) == 0
    assert "the ledger agrees" in capsys.readouterr().out
    assert taking.adopt() == 2
    assert "error[not-empty]" in capsys.readouterr().err


def test_an_account_that_changed_is_not_adopted_and_an_adoption_cut_short_is_finished(
    taking: Taking, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taking.cancel_all()
    _signed(taking, capsys)
    taking.venue.ask(lambda: trade(taking.venue.exchange, "SOLUSDT", -1, "1"))
    assert taking.adopt() == 2
    assert "error[changed]" in capsys.readouterr().err
    _signed(taking, capsys)  # asked anew, as the account is now

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "set_meta", killed)
        assert taking.adopt() != 0
    capsys.readouterr()
    assert taking.adopt() == 2, "it is finished, and there is nothing more to adopt"
    with Ledger.open(taking.ledger, read_only=True) as opened:
        assert opened.meta()["stage"] == "2"
        assert len(opened.events("adopted")) == 1
    assert Permit.beside(taking.ledger).present()


def _signed(taking: Taking, capsys: pytest.CaptureFixture[str]) -> None:
    assert taking.adopt("--key", taking.venue.folder / "alice", "--json") == 0
    request = json.loads(capsys.readouterr().out)["request_id"]
    for name in ("bob", "carol"):
        assert taking.approve(request, name) == 0
    capsys.readouterr()
