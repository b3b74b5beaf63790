"""`risk-guard`, `flatten` and `resume` as people call them, against a simulated venue on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import cli
from engine.bounds import initial_posture, paused
from engine.clock import HOUR_MS, SystemClock
from engine.execution.flattened import STEPS
from engine.execution.permit import Permit
from engine.ledger import Event, Ledger
from engine.live.connection import Announcement, Mode, announce, announced_beside
from engine.live.decision_file import DecisionFiles, GuardDecision, named
from engine.policy.bundle import load_bundle
from engine.risk_guard.books import read_books
from engine.risk_guard.halt import ResumeRequest, _unanswered
from engine.simulator.exchange import Exchange
from engine.simulator.faults import FaultPlan, Match
from engine.simulator.faults.model import Rule
from engine.simulator.faults.requests import Slow
from engine.simulator.recorded import RecordedPrices
from engine.simulator.server import SimulatorServer
from engine.simulator.specs import usual_spec
from engine.timeline import run_paced
from tests.risk_guard.guarding import (
    ACCOUNT,
    CRASH_MS,
    KEY,
    RULES,
    SECRET,
    START_MS,
    WALLET,
    begin,
    crashing,
    full_book,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.clock import Clock

SPEED = 20.0
AT_MS = CRASH_MS - HOUR_MS // 2
# every request that changes something leaves a strike, and nothing else comes of it
CHANGES = FaultPlan(tuple(Rule(Slow(0.0, 0.0), Match(method=method, path="*")) for method in ("POST", "PUT", "DELETE")))


@dataclass
class Venue:
    """A venue in a thread of its own, and a launched paper ledger in `folder`."""

    folder: Path
    exchange: Exchange
    server: SimulatorServer
    loop: asyncio.AbstractEventLoop

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def permit(self) -> Permit:
        return Permit.beside(self.ledger)

    @property
    def where(self) -> tuple[str, ...]:
        return ("--ledger", str(self.ledger), "--rules", str(RULES))

    @property
    def reports(self) -> tuple[str, ...]:
        return ("--reports", str(self.folder / "reports"))

    def announce(self, key: str = KEY, secret: str = SECRET) -> None:
        now = self.ask(lambda: self.exchange.now_ms)
        said = Announcement(
            self.server.rest_url, self.server.stream_url, key, secret, now, SystemClock().now_ms(), SPEED
        )
        announce(announced_beside(self.ledger), said)

    def ask(self, question: Callable[[], Any]) -> Any:
        """Ask within the venue's own thread."""

        async def asked() -> Any:
            self.server.step()
            return question()

        return asyncio.run_coroutine_threadsafe(asked(), self.loop).result(10)

    @property
    def standing(self) -> int:
        book = self.exchange.accounts[ACCOUNT]
        return int(self.ask(lambda: len(book.held()) + len(book.open_orders()) + len(book.open_algos())))


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    ready, found = threading.Event(), []

    async def serve(clock: Clock) -> None:
        exchange = Exchange(usual_spec(), RecordedPrices(crashing(0.125), seed=3), START_MS - HOUR_MS, seed=3)
        exchange.open_account(ACCOUNT, KEY, SECRET, float(WALLET))
        exchange.advance(AT_MS)
        full_book(exchange)
        async with SimulatorServer(exchange, clock, CHANGES) as server:
            stop = asyncio.Event()
            found.append((Venue(tmp_path / "desk", exchange, server, asyncio.get_running_loop()), stop))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=run_paced, args=(serve, AT_MS, SPEED))
    thread.start()
    assert ready.wait(10)
    post, stop = found[0]
    post.folder.mkdir()
    begin(post.folder, post.permit, WALLET)
    post.announce()
    yield post
    post.loop.call_soon_threadsafe(stop.set)
    thread.join(10)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def trace(folder: Path) -> dict[str, str]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def killed_while_writing(ledger: Path) -> None:
    """Leave what a process leaves that was killed after a commit: part of the ledger in `-wal`."""
    copy = ledger.with_name("copy")
    with Ledger.open(ledger) as opened:
        opened.append(Event("note-1", START_MS, "note", "", "{}"))
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{ledger}{suffix}", f"{copy}{suffix}")
    for suffix in ("", "-wal"):
        shutil.move(f"{copy}{suffix}", f"{ledger}{suffix}")


def test_R074_R111_a_dry_run_leaves_no_trace(venue: Venue, capsys: pytest.CaptureFixture[str]) -> None:
    killed_while_writing(venue.ledger)
    before = trace(venue.folder)
    assert before["ledger.db-wal"]
    options = ("--config", RULES, "--ledger", venue.ledger, "--reports", venue.folder / "reports", "--dry-run")
    assert run("risk-guard", *options) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("CLEAR   entries allowed · both engines agree")
    assert "equity   $9,99" in shown, "of the wallet of 20,000 what is at risk"
    venue.permit.revoke()
    before = trace(venue.folder)
    assert run("risk-guard", *options, "--json") == 30
    assert json.loads(capsys.readouterr().out)["fired"] == ["kill_switch"]
    assert trace(venue.folder) == before
    assert venue.standing == 8
    assert venue.server.strikes == (), "it only asked"


def test_once_carries_out_what_comes_out(venue: Venue, capsys: pytest.CaptureFixture[str]) -> None:
    venue.permit.revoke()
    assert run("risk-guard", *venue.where, *venue.reports, "--once") == 30
    assert "doing    flat, verified" in capsys.readouterr().out
    assert venue.standing == 0
    with Ledger.open(venue.ledger, read_only=True) as ledger:
        recorded = ledger.verdicts(policy="risk_guard")
        ledger.verify()
    assert [record.outcome for record in recorded][-1] == "FLATTEN_ALL"
    assert run("verdict", "replay", recorded[-1].verdict_id, "--ledger", venue.ledger) == 0


def test_R165_R158_flatten_says_what_it_will_do_asks_and_says_what_it_did(
    venue: Venue, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody answers
    assert run("flatten", *venue.where, "--reason", "try") == 2
    shown = capsys.readouterr().err
    assert "nobody confirmed it: nothing was done" in shown
    assert "add `--yes` where nobody can be asked" in shown
    assert "on the paper account this will now" in shown
    assert "close every position at market" in shown
    assert venue.permit.present()
    assert venue.standing == 8
    assert run("flatten", *venue.where, "--reason", "try", "--yes") == 0
    shown = capsys.readouterr().out
    steps = [line.split()[2] for line in shown.splitlines() if " s  " in line]
    assert (steps[0], steps[-3:]) == ("latched", ["flat", "verified", "sealed"])
    assert {*steps} == {*STEPS}
    assert "sold 0.170 BTCUSDT" in shown
    assert "FLAT, verified after" in shown
    assert venue.standing == 0
    assert not venue.permit.present()
    assert run("flatten", *venue.where, "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out)["flat"] is True
    with Ledger.open(venue.ledger, read_only=True) as ledger:
        (event,) = ledger.events("flatten")  # once, however often it is run
        assert json.loads(event.document) == {"reason": "try", "flat": True}
        closed = {(fill.symbol, fill.side * fill.qty) for fill in ledger.fills("risk") if fill.reason == "flatten"}
        assert closed == {("BTCUSDT", -0.170), ("ETHUSDT", -2.200), ("SOLUSDT", -66.0)}
        assert not any(abs(qty) > 1e-9 for qty in ledger.held("risk").values())
        assert ledger.events("flatten_begun")[0].at_ms == event.at_ms


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_flatten_outlives_its_terminal_and_says_how_far_it_came_where_it_is_ended(
    tmp_path: Path, how: signal.Signals
) -> None:
    ledger = tmp_path / "ledger.db"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, now_ms = silent.getsockname()[1], SystemClock().now_ms()
        where = (f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}")
        announce(announced_beside(ledger), Announcement(*where, "key", "secret", now_ms, now_ms, 1.0))
        command = [sys.executable, cli.__file__, "flatten", "--paper", "--yes", "--ledger", str(ledger)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as ran:
            assert ran.stdout is not None
            assert "latched" in ran.stdout.readline()
            ran.send_signal(signal.SIGHUP)
            silent.accept()[0].close()  # it goes on asking
            assert ran.poll() is None
            ran.send_signal(how)
            said = ran.stdout.read()
    assert ran.returncode == 1
    assert "NOT FLAT: ended before the venue showed it; the halt stays" in said
    assert "close it by hand, now:" in said


def test_flatten_works_with_a_corrupt_ledger_and_broken_rules(venue: Venue, capsys: pytest.CaptureFixture[str]) -> None:
    venue.ledger.write_bytes(b"\x00" * 9_000)
    rules = venue.folder / "rules.yaml"
    rules.write_text("bundle: [")
    missing = ("flatten", "--ledger", venue.folder / "missing.db", "--rules", rules, "--yes")
    assert run(*missing) == 2
    assert "add --paper or --real" in capsys.readouterr().err
    assert run("flatten", "--ledger", venue.ledger, "--rules", rules, "--yes") == 0
    shown = capsys.readouterr()
    assert "going on with what the venue names" in shown.err
    assert "not recorded: " in shown.out
    assert venue.standing == 0


def test_flatten_works_with_a_ledger_of_an_older_version_and_leaves_the_rest_to_a_person(
    venue: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(venue.ledger)) as raw:
        raw.executescript("DROP TABLE audit; DELETE FROM migrations WHERE number = 3")
    before = venue.ledger.read_bytes()
    needed = f"`stagegate ledger migrate --ledger {venue.ledger}`"
    looked = run("risk-guard", "--paper", *venue.where, *venue.reports, "--once", "--json")
    assert (looked, json.loads(capsys.readouterr().out)["outcome"]) == (20, "REDUCE_ONLY"), "the equity is not known"
    assert run("flatten", "--paper", *venue.where, "--yes") == 0
    shown = capsys.readouterr().out
    assert "not recorded: " in shown
    assert needed in shown
    assert venue.standing == 0
    assert run("resume", "--paper", *venue.where, *venue.reports, "--yes", "--reason", "try") == 1
    assert needed in capsys.readouterr().err
    assert not venue.permit.present()
    assert venue.ledger.read_bytes() == before
    assert run("ledger", "migrate", "--ledger", venue.ledger) == 0
    capsys.readouterr()
    assert run("flatten", "--paper", *venue.where, "--yes", "--reason", "again") == 0
    assert "not recorded" not in capsys.readouterr().out
    assert run("resume", "--paper", *venue.where, *venue.reports, "--yes") == 0


def test_R166_a_refused_key_halts_and_says_what_a_person_must_do(
    venue: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    venue.announce("another-key", "sentinel-secret")
    assert run("flatten", *venue.where, "--yes") == 1
    shown = capsys.readouterr()
    assert "NOT FLAT: last seen unknown" in shown.out
    assert "Open Orders: cancel all, the conditional ones as well" in shown.out
    assert "the venue refuses the key" in shown.out
    assert "sentinel-secret" not in shown.out + shown.err
    assert not venue.permit.present()


def full_disk() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_flatten_works_where_not_a_byte_can_be_written(venue: Venue) -> None:
    command = [sys.executable, "cli.py", "flatten", *venue.where, "--yes"]
    done = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=full_disk, cwd=RULES.parents[1], check=False, timeout=60
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not recorded: " in done.stdout
    assert venue.standing == 0
    assert not venue.permit.present()


def test_A72_the_guard_watches_alone_until_it_is_told_to_end_also_after_kill_9(
    venue: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "cli.py", "risk-guard", *venue.where, *venue.reports]
    where = RULES.parents[1]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=where)
    assert first.stdout is not None
    assert "watching the paper account at simulator at http://127.0.0.1:" in first.stdout.readline()
    assert "CLEAR" in first.stdout.readline()
    assert run("risk-guard", *venue.where, *venue.reports) == 2
    assert "another instance runs on this ledger: `risk-guard`" in capsys.readouterr().err
    first.kill()
    first.wait()
    first.stdout.close()
    decision = DecisionFiles.under(venue.folder / "reports").read()
    assert decision is not None
    assert decision.outcome == "CLEAR"
    second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=where)
    assert second.stdout is not None
    second.stdout.readline()
    venue.permit.revoke()
    while "FLATTEN_ALL" not in (line := second.stdout.readline()):
        assert line, "it ended"
    second.terminate()
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 0
    assert errors == ""


# --- resume


def test_A76_resume_needs_a_flat_account_a_cause_and_a_persons_word(
    venue: Venue, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*venue.where, *venue.reports)
    assert run("resume", *options) == 0
    assert "is not halted" in capsys.readouterr().out
    venue.permit.revoke()
    assert run("resume", *options, "--yes") == 2
    said = capsys.readouterr().err
    assert "there is still" in said
    assert ", order " in said
    assert ", stop " in said
    assert "the ledger does not know why it was halted" in said
    assert run("flatten", *venue.where, "--yes", "--reason", "maintenance") == 0
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody answers
    assert run("resume", *options) == 2
    assert "it was halted because of `maintenance`" in capsys.readouterr().err
    assert not venue.permit.present()
    assert run("resume", *options, "--yes") == 0
    assert "risk may be added again" in capsys.readouterr().out
    assert venue.permit.terms()["reason"] == "maintenance"
    with Ledger.open(venue.ledger, read_only=True) as ledger:
        (event,) = ledger.events("resume")
    assert json.loads(event.document)["cause"] == "maintenance"


def test_a_pause_is_resumed_only_once_the_restart_is_in_force(venue: Venue, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("flatten", *venue.where, "--yes") == 0
    effects = load_bundle(RULES).policies["action"].effects["PAUSE"]
    posture = paused(initial_posture(2, 10_000.0, START_MS), "PAUSE", effects, AT_MS).posture
    with Ledger.open(venue.ledger) as ledger:
        ledger.append(Event("p2", AT_MS, "posture", "2", json.dumps(posture.to_json())))
    capsys.readouterr()
    assert run("resume", *venue.where, *venue.reports, "--yes") == 2
    assert "the restart is not in force: 2 people must sign it" in capsys.readouterr().err
    restarted = initial_posture(1, 5_000.0, AT_MS + HOUR_MS)
    with Ledger.open(venue.ledger) as ledger:
        ledger.append(Event("p3", AT_MS + HOUR_MS, "posture", "1", json.dumps(restarted.to_json())))
    assert run("resume", *venue.where, *venue.reports, "--yes") == 0


def test_a_guard_that_would_close_everything_again_speaks_against_it(
    venue: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("flatten", *venue.where, "--yes", "--reason", "x") == 0
    now_ms = int(venue.ask(lambda: venue.exchange.now_ms))
    files = DecisionFiles.under(venue.folder / "reports")

    def says(*fired: str) -> None:
        said = GuardDecision(
            "V7", named(venue.ledger), "FLATTEN_ALL", now_ms, now_ms, now_ms + HOUR_MS, START_MS, entries_blocked=True,
            closes=True, fired=fired, because=tuple(f"of {name}" for name in fired),
        )  # fmt: skip
        assert files.write(said) == ""

    says("hard_stop_drawdown", "kill_switch")
    capsys.readouterr()
    assert run("resume", *venue.where, *venue.reports, "--yes") == 2
    assert "the risk guard says FLATTEN_ALL: of hard_stop_drawdown" in capsys.readouterr().err
    says("kill_switch")
    assert run("resume", *venue.where, *venue.reports, "--yes") == 0


def test_R183_real_money_goes_on_after_a_restart_only(tmp_path: Path) -> None:
    begin(tmp_path, Permit.beside(tmp_path / "ledger.db"), WALLET, kind="live")
    policy = load_bundle(RULES, only=("risk_guard",)).policies["risk_guard"]
    request = ResumeRequest(tmp_path / "ledger.db", Mode.REAL, policy, tmp_path, "ann")
    with Ledger.open(request.ledger) as ledger:
        books = read_books(ledger, AT_MS)
        assert books is not None
        (problem,) = _unanswered(request, books)
        assert problem.code == "no-restart"
        ledger.append(Event("f", AT_MS, "flatten_begun", "by hand"))
        ledger.append(
            Event("p", AT_MS + 1, "posture", "1", json.dumps(initial_posture(1, 5_000.0, AT_MS + 1).to_json()))
        )
        books = read_books(ledger, AT_MS + 2)
        assert books is not None
        assert list(_unanswered(request, books)) == []
