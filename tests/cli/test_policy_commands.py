"""The `policy` commands as people meet them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from engine.commands.policy import POLICY_TESTS
from tests.cli.test_commands import ROOT, edited, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_check_names_every_policy_of_the_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, "policy", "check")
    assert result.code == 0
    for policy in ("launch", "stages", "action", "risk_guard", "restart", "review"):
        assert policy in result.out
    assert set(json.loads(run(capsys, "policy", "check", "--json").out)) == {"bundle", "sha256", "config_sha256"}


def test_check_tells_every_mistake_with_its_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bundle = edited(tmp_path, "policies/action.yaml", "otherwise: KEEP", "otherwise: KEPT")
    result = run(capsys, "policy", "check", "--rules", bundle)
    assert result.code == 1
    assert "action.yaml:" in result.err
    assert "`KEEP`" in result.err


def test_test_passes_counts_and_writes_junit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    result = run(capsys, "policy", "test", "--junit", tmp_path / "policy.xml")
    assert result.code == 0
    assert "0 failed" in result.out
    suites = ET.fromstring((tmp_path / "policy.xml").read_text())  # noqa: S314 - our own file
    assert int(suites.attrib["tests"]) > 50
    assert suites.attrib["failures"] == "0"


def test_test_fails_when_a_threshold_moves(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bundle = edited(tmp_path, "policies/action.yaml", '{sharpe_20d: "> 0.8"}', '{sharpe_20d: "> 0.9"}')
    result = run(capsys, "policy", "test", "--rules", bundle)
    assert result.code == 1
    assert "FAIL" in result.out


def test_mutate_finds_no_survivor_in_the_action_policy(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, "policy", "mutate", "action")
    assert result.code == 0
    assert "mutation score 100.0 %" in result.out


def test_mutate_lists_what_no_test_notices(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kept = tmp_path / "tests"
    kept.mkdir()
    for file in (ROOT / POLICY_TESTS).glob("action.yaml"):
        (kept / file.name).write_text(file.read_text())
    result = run(capsys, "policy", "mutate", "action", "--tests", kept)
    assert result.code == 1
    assert "SURVIVED" in result.out
