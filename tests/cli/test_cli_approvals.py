"""`approvals`, `approve` and `audit verify` as people call them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

import cli
from engine.clock import DAY_MS, SystemClock
from engine.ledger import Ledger
from engine.operations.approvals import ApprovalRequest, ask

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_a_request_is_listed_signed_and_the_trail_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger, signers, key = tmp_path / "ledger.db", tmp_path / "allowed_signers", tmp_path / "id"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True)
    signers.write_text(f"alice {key.with_suffix('.pub').read_text()}")
    now_ms = SystemClock().now_ms()
    request = ApprovalRequest("scale_up", "SCALE_UP", 2, "stagegate", now_ms, now_ms + DAY_MS, "V1", 3, 22_500.0, {})
    with Ledger.open(ledger, create=True) as opened:
        identity = ask(opened, request)
    where = ("--ledger", ledger, "--signers", signers)

    assert run("approvals", *where) == 0
    assert "0 of 2" in capsys.readouterr().out
    assert run("approve", identity[:15], "--key", key, *where) == 0
    shown = capsys.readouterr().out
    assert "scale_up of SCALE_UP, $22,500" in shown
    assert "1 of 2: alice" in shown
    assert "stagegate verdict show V1" in shown
    assert run("approve", identity, "--key", key, *where) == 2
    assert "alice has signed already" in capsys.readouterr().err
    for text in ("", "# nobody\n", f"{signers.read_text()}garbage\n", "\x00"):
        broken = tmp_path / "broken"
        broken.write_text(text)
        assert run("approvals", "--ledger", ledger, "--signers", broken) == 2, "a signature must not look as if missing"
        line = 2 if "garbage" in text else 1
        said = capsys.readouterr().err
        assert f"{broken}:{line}: error[signers]: this line is no signer" in said or "it names nobody" in said
    broken.write_bytes(b"\xff\xfe")
    assert run("approve", identity, "--key", key, "--ledger", ledger, "--signers", broken) == 2
    assert "it cannot be read: it is no text" in capsys.readouterr().err
    assert run("approvals", "--json", *where) == 0
    (tally,) = json.loads(capsys.readouterr().out)
    assert (tally["state"], [signer["name"] for signer in tally["signers"]]) == ("waiting", ["alice"])
    assert run("audit", "verify", "--ledger", ledger) == 0
    assert "the audit trail holds: 2 links" in capsys.readouterr().out
