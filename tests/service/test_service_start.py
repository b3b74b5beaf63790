"""`serve` as systemd starts it, in processes of its own: kills, orphans, a second instance, an end in order."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

import cli
from engine.alerts.settings import FILE_NAME as ALERTS
from engine.clock import wait_s
from engine.commands.shared import CONFIG, RULES
from engine.errors import UsageError
from engine.execution.permit import Permit
from engine.ledger import Ledger
from engine.live.connection import Mode
from engine.live.lock import holder
from engine.live.paper import started_beside
from engine.live.service_sign import locked_as, read_sign, service_beside
from engine.runner.run import RunRequest, _beside, release_of
from engine.service.book import CHILD_DIED, SERVICE
from engine.service.notify import Systemd
from engine.service.serve import _check_alerts
from engine.service.settings import DEFAULT, load_settings
from tests.risk_guard.guarding import begin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.runner.open import Post

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
SOON_S = 20.0


def until(what: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    deadline = time.monotonic() + patience_s
    while not (found := what()):
        assert time.monotonic() < deadline, "it does not happen"
        wait_s(0.05)
    return found


class Service:
    """A service on a paper account with synthetic prices."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.ledger = folder / "trading.db"
        self._log = (folder / "serve.log").open("w", encoding="utf-8")
        self._environ = environ
        self.process = self.started()

    def started(self) -> subprocess.Popen[bytes]:
        prices = [] if started_beside(self.ledger).exists() else ["--synthetic", "7"]
        command = [sys.executable, "-c", "import cli; cli.main()", "serve", "--paper", *prices]
        self.process = subprocess.Popen(
            [*command, "--ledger", str(self.ledger)], cwd=ROOT, env=self._environ, stdout=self._log, stderr=self._log
        )
        return self.process

    def children(self) -> dict[str, int]:
        """The children that are up, by name; empty while this very service has not shown a sign of life."""
        sign = read_sign(service_beside(self.ledger))
        if sign is None or sign.pid != self.process.pid:
            return {}
        return {each.name: each.pid for each in sign.children if each.state == "up" and each.pid}

    def all_up(self) -> dict[str, int]:
        found = self.children()
        return found if len(found) == 3 else {}

    def died(self) -> list[str]:
        with Ledger.open(self.ledger, read_only=True) as ledger:
            events = [event for event in ledger.events(SERVICE) if event.subject == CHILD_DIED]
        return sorted(json.loads(event.document)["part"] for event in events)

    def close(self) -> None:
        for pid in (*self.children().values(), self.process.pid, self._exchange()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()

    def _exchange(self) -> int:
        try:
            return int(json.loads(started_beside(self.ledger).read_text(encoding="utf-8"))["pid"])
        except FileNotFoundError:
            return self.process.pid


def alive(pid: int) -> bool:
    with suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    return False


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


@pytest.fixture
def service(tmp_path: Path, systemd: socket.socket) -> Iterator[Service]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("BINANCE", "STAGEGATE"))}
    running = Service(tmp_path, {**environ, "NOTIFY_SOCKET": str(systemd.getsockname())})
    yield running
    running.close()


def heard(listening: socket.socket) -> list[str]:
    lines = []
    with suppress(BlockingIOError):
        while True:
            lines.append(listening.recv(1_000).decode())
    return lines


@pytest.mark.requirement("R071")
def test_children_that_are_killed_come_back_and_sigterm_ends_everything(
    service: Service, systemd: socket.socket, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    first = until(service.all_up)
    for name in ("runner", "guard"):
        os.kill(first[name], signal.SIGKILL)
    killed = {first["runner"], first["guard"]}
    second = until(lambda: (found := service.all_up()) and not {*found.values()} & killed and found)
    assert second["caretaker"] == first["caretaker"]
    until(lambda: service.died() == ["guard", "runner"])
    said = heard(systemd)
    assert said[0] == "READY=1"
    assert "WATCHDOG=1" in said  # as long as there was room: nobody read, and the service waited for nobody

    with pytest.raises(SystemExit) as refused:
        cli.main(["serve", "--paper", "--ledger", str(service.ledger)])
    assert refused.value.code == 2
    assert "another instance runs on this ledger" in capsys.readouterr().err

    with pytest.raises(SystemExit):
        cli.main(["status", "--paper", "--ledger", str(service.ledger)])
    assert "runner up (died 1 time, the last: killed by SIGKILL), guard up" in capsys.readouterr().out

    service.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert service.process.wait(timeout=SOON_S) == 0
    assert time.monotonic() - began < SOON_S
    assert not any(alive(pid) for pid in second.values())
    assert holder(locked_as(service.ledger)) is None
    with pytest.raises(SystemExit):
        cli.main(["status", "--paper", "--ledger", str(service.ledger)])
    assert "service  NOT RUNNING" in capsys.readouterr().out
    with Ledger.open(service.ledger) as ledger:
        ledger.verify()
        subjects = [event.subject for event in ledger.events(SERVICE)]
    assert subjects[-1] == "stopped"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "whose money is not said"),
        (["--real"], "BINANCE_API_KEY"),
        (["--real", "--synthetic", "7"], "real money trades at the venue's prices"),
        (["--paper", "--settings", "nowhere.yaml"], "nowhere.yaml"),
        (["--paper", "--config", "config/service.yaml"], "config/service.yaml"),
        (["--paper", "--shadow", "config/prod_scale_rules_R1.yaml"], "is the one in force"),
    ],
)
@pytest.mark.requirement("R070")
def test_a_service_that_cannot_start_says_what_is_missing_and_starts_nothing(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    ledger = tmp_path / "trading.db"
    with pytest.raises(SystemExit) as refused:
        cli.main(["serve", *arguments, "--ledger", str(ledger)])
    assert refused.value.code not in {0, None}
    assert said in capsys.readouterr().err
    assert left(tmp_path) == set()


def left(folder: Path) -> set[str]:
    """Return what lies in a folder, but for the lock that whoever begins takes first."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_a_mistake_in_the_alerts_file_stops_who_begins_and_never_a_desk_that_was_launched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("config", "policies"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "config" / ALERTS).write_text("routes:\n  hook:\n    url: json://in.the.open/token\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as refused:
        cli.main(["serve", "--paper", "--ledger", "trading.db"])
    assert refused.value.code not in {0, None}
    told = capsys.readouterr().err
    assert "`routes.hook.url` must be" in told
    assert "found a text without any `${NAME}`: a secret must stand in no file" in told
    assert "help: put it, or its secret part, into the environment and write `url: ${NAME}`" in told
    assert "in.the.open" not in told
    assert left(tmp_path) == {"config", "policies"}
    said: list[str] = []
    release = release_of(CONFIG, RULES)
    begin(tmp_path, Permit.beside(tmp_path / "ledger.db"), None)
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        _check_alerts(release.bundle, ledger, said.append)
    post = cast("Post", SimpleNamespace(place=SimpleNamespace(release=release)))
    where = (CONFIG, RULES, tmp_path / "ledger.db")
    request = RunRequest(*where, Mode.PAPER, tmp_path / "signers", prices=None, command="stream")
    assert _beside(post, request, said.append) is None
    assert ["`routes.hook.url` must be" in line for line in said] == [True, True]


def test_R069_the_unit_and_the_session_prod_r1_start_a_service_with_options_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    known = capsys.readouterr().out
    unit = (ROOT / "deploy/stagegate.service").read_text(encoding="utf-8")
    settings = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    words = settings["ExecStart"].split()
    assert words[:2] == ["/opt/stagegate/.venv/bin/stagegate", "serve"]
    assert all(word in known for word in words[2:] if word.startswith("-"))
    assert all((ROOT / word).is_file() for word in words if word.endswith(".yaml"))
    assert settings["RestartPreventExitStatus"] == str(UsageError.exit_code)
    within_s = load_settings(ROOT / DEFAULT).stop_within_s
    assert int(settings["TimeoutStopSec"]) > 3 * within_s
    assert int(settings["WatchdogSec"]) > 10 * load_settings(ROOT / DEFAULT).look_every_s
    script = ROOT / "deploy/tmux-prod_r1"
    assert os.access(script, os.X_OK)
    assert "session=prod_r1\n" in script.read_text(encoding="utf-8")
    assert subprocess.run(["/bin/sh", "-n", str(script)], check=False).returncode == 0


def test_a_systemd_that_does_not_listen_holds_nobody_up(systemd: socket.socket, tmp_path: Path) -> None:
    telling = threading.Thread(target=_tell_often, args=(str(systemd.getsockname()),), daemon=True)
    telling.start()
    telling.join(SOON_S)
    assert not telling.is_alive()
    assert heard(systemd)[0] == "WATCHDOG=1"
    Systemd(str(tmp_path / "nobody")).tell("READY=1")
    Systemd.of({}).tell("READY=1")


def _tell_often(address: str) -> None:
    for _ in range(500):  # more than a socket holds
        Systemd.of({"NOTIFY_SOCKET": address}).tell("WATCHDOG=1")


@pytest.mark.parametrize(("ignores", "ended_by"), [(0, signal.SIGTERM), (1, signal.SIGKILL)])
def test_a_child_ends_with_its_service_however_that_died(ignores: int, ended_by: signal.Signals) -> None:
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if ignores else ""
    begin = f"from engine.service.lifeline import hold; {ignoring}hold(0.2); print(flush=True)"
    command = [sys.executable, "-c", f"{begin}; import threading; threading.Event().wait()"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin
        assert child.stdout
        child.stdout.readline()
        child.stdin.close()  # as the system does when the service is killed
        assert child.wait(timeout=SOON_S) == -ended_by
