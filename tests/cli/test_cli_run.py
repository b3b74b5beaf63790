"""`run`, `stream` and `status` as people call them; one life of a paper account in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import cli
from engine.clock import SystemClock, elapsed_s
from engine.execution.permit import Permit
from engine.ledger import Ledger
from engine.live.connection import Announcement, Mode, announce, announced_beside, read_announcement
from engine.live.heartbeat import RUNNING, STOPPED, heartbeat_beside, read_beat
from engine.live.lock import holder
from engine.live.paper import started_beside
from engine.live.status import status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
KEY, SECRET = "SENTINEL-CLI-KEY-91c4", "SENTINEL-CLI-SECRET-2fd0"
PATIENCE_S = 60.0


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("STAGEGATE_LEDGER", "BINANCE_API_KEY", "BINANCE_API_SECRET"):
        monkeypatch.delenv(name, raising=False)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Result:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return Result(int(ended.value.code or 0), captured.out, captured.err)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "whose money is not said"),
        (["run", "--paper", "--real"], "both are named"),
        (["stream"], "whose money is not said"),
        (["run", "--paper", "--data", "x", "--synthetic", "7"], "name one"),
        (["run", "--paper", "--speed", "7"], "public prices come at their own speed"),
        (["run", "--paper", "--synthetic", "7", "--speed", "1000"], "at most 50"),
        (["run", "--real", "--synthetic", "7"], "real money trades at the venue's prices"),
        (["run", "--real"], "BINANCE_API_KEY: error[no-key]"),
        (["run", "--real", "--dry-run", "--once"], "BINANCE_API_SECRET: error[no-key]"),
        (["run", "--status"], "add --paper or --real"),
    ],
)
def test_what_cannot_work_is_said_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], said: str
) -> None:
    result = run(capsys, *arguments, "--ledger", tmp_path / "trading.db")
    assert result.code == 2
    assert said in result.err
    assert "help:" in result.err
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_R067_real_money_without_a_launch_is_refused_and_shows_no_secret(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", KEY)
    monkeypatch.setenv("BINANCE_API_SECRET", SECRET)
    result = run(capsys, "run", "--real", "--ledger", tmp_path / "trading.db")
    assert result.code == 2
    assert f"{tmp_path / 'trading.db'}: error[not-launched]" in result.err
    assert "stagegate launch-guard" in result.err
    assert not (tmp_path / "trading.db").exists()
    kept = "".join(path.read_bytes().decode("latin-1") for path in tmp_path.iterdir())
    for text in (result.out, result.err, kept):
        assert KEY not in text
        assert SECRET not in text


def test_another_configuration_than_the_bundles_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = tmp_path / "config.yaml"
    other.write_text((ROOT / "config/prod_candidate_R1.yaml").read_text().replace("fee_bps: 5 ", "fee_bps: 6 "))
    result = run(capsys, "run", "--paper", "-c", other, "--ledger", tmp_path / "trading.db")
    assert (result.code, "error[config-hash]" in result.err) == (1, True)


def test_status_of_nothing_says_what_it_cannot_know(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = run(capsys, "status", "--paper", "--ledger", tmp_path / "trading.db")
    assert result.code == 1
    assert "no simulated exchange is announced" in result.out
    assert "the ledger does not tell: there is no ledger here" in result.out
    assert "nothing is decided, and stops are kept by the venue alone" in result.out


def test_status_tells_the_rest_where_the_configuration_is_broken(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    broken = tmp_path / "config.yaml"
    broken.write_text("broken: [")
    result = run(capsys, "status", "--paper", "-c", broken, "--ledger", tmp_path / "trading.db")
    assert result.code == 1
    assert "nothing is decided, and stops are kept by the venue alone" in result.out
    assert f"where the risk guard publishes: {broken}:" in result.out
    assert "`stagegate rollback --config`" in result.out


@pytest.mark.parametrize("speed", [1.0, 20.0])
def test_status_does_not_wait_long_for_a_venue_that_accepts_and_says_nothing(tmp_path: Path, speed: float) -> None:
    ledger = tmp_path / "trading.db"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, now_ms = silent.getsockname()[1], SystemClock().now_ms()
        where = (f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}")
        announce(announced_beside(ledger), Announcement(*where, "key", "secret", now_ms, now_ms, speed))
        begun_s = elapsed_s()
        found = status(ledger, Mode.PAPER, ROOT / "config/prod_candidate_R1.yaml", patience_s=0.1)
        assert elapsed_s() - begun_s < 1.5
    assert "what the venue holds is not known: it did not answer within 0.1 s" in found.unknown
    assert found.where.endswith(str(port))


# ── one life, in processes ──


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Path]:
    """A ledger whose exchange, started by the first command, is ended at the end."""
    ledger = tmp_path / "trading.db"
    yield ledger
    with suppress(OSError):
        os.kill(json.loads(started_beside(ledger).read_text())["pid"], signal.SIGTERM)


def started(ledger: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "import cli; cli.main()", *arguments, "--ledger", str(ledger)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_beat(ledger: Path, pid: int, alive: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while alive() and time.monotonic() < deadline_s:
        beat = read_beat(heartbeat_beside(ledger))
        if beat is not None and (beat.pid, beat.state) == (pid, RUNNING):
            return
        time.sleep(0.05)  # noqa: TID251 - another process's life
    raise AssertionError("no sign of life")


def terminated_once_it_runs(ledger: Path) -> threading.Thread:
    """Send SIGTERM to this very process when its runner shows that it runs."""

    def wait_and_send() -> None:
        wait_for_beat(ledger, os.getpid(), lambda: True)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=wait_and_send)
    thread.start()
    return thread


@pytest.mark.requirement("R230")
def test_R046_R112_R167_a_paper_account_survives_sigkill_and_sigterm(
    capsys: pytest.CaptureFixture[str], account: Path
) -> None:
    where = ("--ledger", account)
    dry = run(capsys, "run", "--paper", "--once", "--dry-run", "--synthetic", "7", *where)  # the first that one tries
    assert "error[" not in dry.err, "a new account has the configuration's margin type and leverage"
    assert "nothing was recorded" in dry.out or "FAIL     all targets are zero" in dry.out
    assert not account.exists()
    killed = started(account, "stream", "--paper", "--synthetic", "7")
    wait_for_beat(account, killed.pid, lambda: killed.poll() is None)
    second = run(capsys, "run", "--paper", *where)
    assert (second.code, f"`stream --paper`, process {killed.pid}" in second.err) == (2, True)
    killed.kill()
    killed.communicate()
    assert holder(account) is None

    address = read_announcement(announced_beside(account)).rest_url
    dead = run(capsys, "status", *where, "--json")
    told = json.loads(dead.out)
    assert dead.code == 0
    assert told["runner"] is None
    assert told["heartbeat"]["state"] == RUNNING  # its last word
    assert told["venue"]["wallet_usd"] == pytest.approx(10_000.0, abs=5.0)
    assert told["differences"] == []

    once = run(capsys, "run", "--paper", "--once", *where, "--json")
    assert once.code == 0
    assert [one["stop"]["atr_multiple"] for one in json.loads(once.out)["sleeves"]] == [3.5, None, None]
    waiting = terminated_once_it_runs(account)
    ended = run(capsys, "run", "--paper", *where)
    waiting.join()
    assert (ended.code, ended.err) == (0, "")
    assert "stops stay with the venue" in ended.out
    assert read_announcement(announced_beside(account)).rest_url == address
    beat = read_beat(heartbeat_beside(account))
    assert beat is not None
    assert beat.state == STOPPED
    with Ledger.open(account, read_only=True) as ledger:
        kinds = [event.kind for event in ledger.events() if event.kind.startswith("runner_")]
        assert kinds == ["runner_started", "runner_started", "runner_stopped"]
        ledger.verify()
    assert Permit.beside(account).present()
    other = run(capsys, "run", "--paper", "--once", "--synthetic", "8", *where)
    assert (other.code, "lives on prices synthetic, seed 7" in other.err) == (2, True)
