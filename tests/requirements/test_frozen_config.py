"""R225: whatever is run, the frozen configuration is neither written nor replaced, nor its folder's files."""

from __future__ import annotations

import shutil
import sys
from hashlib import sha256
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).resolve().parents[2]
FROZEN = Path("config/prod_candidate_R1.yaml")

COMMANDS = (
    "rehearse --days 1 --out rehearsal",
    "backtest --data missing",
    "verdict --ledger rehearsal/ledger.db",
    "report --daily --ledger rehearsal/ledger.db",
    "policy check",
    "policy test",
    "policy fmt policies",
    f"policy fmt {FROZEN}",
    "launch-guard --ledger trading.db",
    "run --check --real --ledger trading.db",
    "run --paper --once --dry-run --ledger trading.db",
    "flatten --yes --ledger trading.db",
)


def state(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Return of each file its hash, its inode and when it was last written."""
    return {
        path.name: (sha256(path.read_bytes()).hexdigest(), path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted((folder / "config").iterdir())
    }


def test_R225_no_command_writes_the_frozen_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("config", "policies"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET", "STAGEGATE_LEDGER"):
        monkeypatch.delenv(name, raising=False)
    before = state(tmp_path)
    for command in COMMANDS:
        monkeypatch.setattr(sys, "argv", ["stagegate", *command.split()])
        with pytest.raises(SystemExit):
            cli.main()
        assert "internal" not in capsys.readouterr().err, command
        assert state(tmp_path) == before, command
