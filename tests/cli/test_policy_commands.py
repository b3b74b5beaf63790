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
    assert set(json.loads(run(capsys, "policy", "check", "--json").out)) == {
        "bundle",
        "sha256",
        "config_sha256",
        "digest",
    }


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
    tests = (ROOT / POLICY_TESTS / "review.yaml").read_text()
    (kept / "review.yaml").write_text(tests[: tests.index("  - name: R219")])  # nothing is said of what comes after it
    result = run(capsys, "policy", "mutate", "review", "--tests", kept)
    assert result.code == 1
    assert "SURVIVED" in result.out
    told = run(capsys, "policy", "mutate", "review", "--tests", kept, "--json")
    report = json.loads(told.out)
    assert (told.code, set(report)) == (1, {"score_percent", "killed", "survived", "equivalent", "seconds"})
    assert all(one["change"] in result.out for one in report["survived"])
    killer = next(one["witness"] for one in report["survived"] if one["witness"])
    assert killer["expect"] in killer["test"]


def test_the_results_of_tests_and_their_coverage_are_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(run(capsys, "policy", "test", "policies/tests/review.yaml", "--json").out)
    assert (told["failed"], told["passed"]) == (0, len(told["tests"]))
    assert {"name", "policy", "where", "passed", "failures"} == set(told["tests"][0])
    review = told["coverage"]["review"]
    assert (review["rules_percent"], review["conditions_percent"]) == (100.0, 100.0)
    assert all(one["covered"] for one in [*review["rules"], *review["conditions"]])


def test_what_was_not_seen_both_ways_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tests = (ROOT / POLICY_TESTS / "review.yaml").read_text()
    (tmp_path / "review.yaml").write_text(tests[: tests.index("  - name: R219")])
    lines = run(capsys, "policy", "test", tmp_path).out.splitlines()
    assert "     drawdown_deviation never fired" in lines
    assert "     drawdown_deviation: drawdown_deviation <= 3% never false" in lines


@pytest.mark.parametrize(
    "command",
    ["check", "test", "explain", "mutate", "replay", "diff", "review", "fmt", "doc", "schema"],
)
def test_every_policy_command_has_an_example_and_json(capsys: pytest.CaptureFixture[str], command: str) -> None:
    told = run(capsys, "policy", command, "--help").out
    assert f"Example: stagegate policy {command}" in " ".join(told.split())
    assert "--json" in told


# ── fmt, doc, schema ──


def test_fmt_shows_the_difference_and_changes_nothing_when_it_only_checks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sound = (ROOT / "policies/review.yaml").read_text()
    path = tmp_path / "review.yaml"
    path.write_text(sound.replace("policy: review", "policy:   review"))
    result = run(capsys, "policy", "fmt", "--check", path)
    assert result.code == 1
    assert {f"would change {path}", "-policy:   review", "+policy: review"} <= set(result.out.splitlines())
    assert path.read_text() != sound
    (told,) = json.loads(run(capsys, "policy", "fmt", "--check", path, "--json").out)
    assert (told["file"], told["changed"], "+policy: review" in told["diff"]) == (str(path), True, True)
    assert run(capsys, "policy", "fmt", tmp_path) == (0, f"changed {path}\n", "")
    assert path.read_text() == sound
    assert run(capsys, "policy", "fmt", "--check", tmp_path) == (0, "1 file formatted already\n", "")


def test_fmt_changes_no_file_while_another_cannot_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    odd, broken = tmp_path / "odd.yaml", tmp_path / "broken.yaml"
    odd.write_text((ROOT / "policies/review.yaml").read_text().replace("policy: review", "policy:   review"))
    broken.write_text("policy: [\n")
    result = run(capsys, "policy", "fmt", odd, broken, tmp_path / "nowhere.yaml")
    assert result.code == 1
    assert "broken.yaml:" in result.err
    assert "nowhere.yaml: error[no-file]" in result.err
    assert "policy:   review" in odd.read_text()
    (tmp_path / "empty").mkdir()
    assert "there is no YAML file here" in run(capsys, "policy", "fmt", tmp_path / "empty").err


def test_doc_and_schema_say_what_they_wrote(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    html = tmp_path / "reference.html"
    assert run(capsys, "policy", "doc", "--out", html).out == f"written: {html}\n"
    assert html.read_text().lstrip().startswith("<!")
    written = json.loads(run(capsys, "policy", "schema", "--out", tmp_path, "--json").out)
    assert [json.loads((tmp_path / name).read_text())["$schema"] for name in written]
    settings = json.loads(run(capsys, "policy", "schema", "--settings").out)
    assert "policies/action.yaml" in settings["yaml.schemas"]["./docs/schemas/policy.schema.json"]
