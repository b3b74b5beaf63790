"""`waive` as people call it: what it writes is what the launch guard reads."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

import cli
from engine.clock import DAY_MS, SystemClock, iso
from engine.launch import signed
from engine.launch.release import read_rules
from engine.ledger import Ledger
from tests.risk_guard.guarding import RULES

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = ("alice", "bob", "carol")
    for name in names:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)  # noqa: S607
    (tmp_path / "signers").write_text("".join(f"{name} {(tmp_path / f'{name}.pub').read_text()}" for name in names))
    with Ledger.open(tmp_path / "ledger.db", create=True):
        pass
    return tmp_path


def test_R023_A80_a_waiver_is_asked_for_by_name_signed_by_two_others_and_runs_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--ledger", folder / "ledger.db", "--signers", folder / "signers")
    until_ms = SystemClock().now_ms() + 5 * DAY_MS
    words = ("--until", iso(until_ms), "--because", "no phone on site", "--rules", RULES)
    assert run("waive", "telegram", *words, "--key", folder / "alice", *where, "--json") == 0
    asked = json.loads(capsys.readouterr().out)
    assert (asked["by"], asked["approvals"]) == ("alice", 2)
    request = asked["request_id"]

    def waived(at_ms: int) -> tuple[object, str]:
        with Ledger.open(folder / "ledger.db", read_only=True) as ledger:
            paper = signed.papers(read_rules(RULES), "")[0]
            found = signed.signed(ledger, folder / "signers", paper, at_ms)
        return found.value, found.said

    now_ms = SystemClock().now_ms()
    assert run("approve", request, "--key", folder / "alice", *where) == 2, "who asks does not sign"
    assert "asked for it" in capsys.readouterr().err
    assert run("approve", request, "--key", folder / "bob", *where) == 0
    assert waived(now_ms) == (False, "nobody waived it")
    assert run("approve", request, "--key", folder / "carol", *where) == 0
    assert waived(now_ms) == (True, "signed by bob, carol")
    assert waived(until_ms - 1)[0] is True
    assert waived(until_ms) == (False, "the waiver is over")
    with Ledger.open(folder / "ledger.db", read_only=True) as ledger:
        (event,) = ledger.events("waiver")
        said = json.loads(event.document)
    assert (event.subject, said["because"], said["until_ms"]) == ("telegram", "no phone on site", until_ms)


def test_what_cannot_be_waived_for_so_long_or_without_a_reason_is_all_said_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--ledger", folder / "ledger.db", "--signers", folder / "signers", "--rules", RULES)
    late = iso(SystemClock().now_ms() + 31 * DAY_MS)
    wrong = ("--until", late, "--because", " ", "--key", folder / "alice")
    assert run("waive", "config_hash", *wrong, *where) == 2
    said = capsys.readouterr().err
    assert all(f"error[{code}]" in said for code in ("not-waivable", "until", "because"))
    assert run("waive", "telegram", "--until", "2020-01-01", "--because", "x", "--key", folder / "alice", *where) == 2
    assert "is over" in capsys.readouterr().err
    stranger = folder / "mallory"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(stranger)], check=True)  # noqa: S607
    soon = iso(SystemClock().now_ms() + DAY_MS)
    assert run("waive", "telegram", "--until", soon, "--because", "x", "--key", stranger, *where) == 2
    assert "nobody listed made this signature" in capsys.readouterr().err
    with Ledger.open(folder / "ledger.db", read_only=True) as ledger:
        assert ledger.counts()["events"] == 0, "nothing was written"
