"""`stream --telegram-commands` in a process of its own: it hears commands, and halts on one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import cli
from engine.execution.permit import Permit
from engine.ledger import Ledger
from tests.cli.test_cli_run import ROOT, account, wait_for_beat  # noqa: F401 - a fixture among them
from tests.telegram.conftest import ENVIRON

if TYPE_CHECKING:
    from pathlib import Path

    from tests.telegram.botapi import BotApi


def test_R072_a_streaming_desk_hears_commands_by_chat(
    account: Path,  # noqa: F811 - the fixture
    tmp_path: Path,
    api: BotApi,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("config", "policies"):
        shutil.copytree(ROOT / name, tmp_path / name)
    config = tmp_path / "config"
    (config / "alerts.yaml").write_text(
        f"routes: {{nobody: {{url: 'json://${{NOT_SET}}/'}}}}\ntelegram: {{api_url: '{api.url}'}}\n"
    )
    words = [
        "stream",
        "-c",
        str(config / "prod_candidate_R1.yaml"),
        "--rules",
        str(config / "prod_scale_rules_R1.yaml"),
    ]
    words += ["--paper", "--synthetic", "7", "--telegram-commands", "--ledger", str(account)]
    monkeypatch.delenv("FUTURES_TELEGRAM_BOT_TOKEN", raising=False)
    with pytest.raises(SystemExit) as refused:
        cli.main(words)
    assert (refused.value.code, "error[no-token]" in capsys.readouterr().err) == (2, True)
    assert not account.exists(), "nothing was begun"
    command, environ = [sys.executable, "-c", "import cli; cli.main()", *words], {**os.environ, **ENVIRON}
    desk = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)
    try:
        wait_for_beat(account, desk.pid, lambda: desk.poll() is None)
        permit = Permit.beside(account)
        assert permit.present()
        api.write("/halt")
        assert "HALTED" in api.answers(1)[-1]
        assert not permit.present()
        desk.send_signal(signal.SIGTERM)
        out, err = desk.communicate(timeout=60)
    finally:
        desk.kill()
        desk.communicate()
    assert (desk.returncode, err) == (0, "")
    assert "telegram: listening as @desk_bot" in out
    assert "sentinel" not in out
    with Ledger.open(account, read_only=True) as ledger:
        (event,) = ledger.events("telegram_command")
        assert (event.subject, json.loads(event.document)["outcome"]) == ("halt", "done")
