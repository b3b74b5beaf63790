"""The workflow and the hooks: they say what the command line understands, and need no secret."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
import typer
import yaml

import cli
from tests.policy_review.conftest import ROOT

WORKFLOW = ROOT / ".github/workflows/policy-review.yml"
HOOKS = ROOT / ".pre-commit-hooks.yaml"
CONFIG = ROOT / ".pre-commit-config.yaml"
COMMAND = re.compile(r"(?:^|[\s/])stagegate ((?:[^|&\n;]|\|\|)*)")


def loaded(text: str) -> Any:
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - texts only; `on` stays a word


def steps() -> list[dict[str, Any]]:
    return list(loaded(WORKFLOW.read_text())["jobs"]["review"]["steps"])


def commands() -> list[list[str]]:
    """Every call of stagegate in the three files, as words."""
    texts = [step.get("run", "") for step in steps()]
    texts += [hook["entry"] for hook in loaded(HOOKS.read_text())]
    texts += [hook["entry"] for repo in loaded(CONFIG.read_text())["repos"] for hook in repo["hooks"]]
    calls = dict.fromkeys(found.split("||")[0].strip() for text in texts for found in COMMAND.findall(text))
    return [call.split() for call in calls]


def test_they_call_the_commands_that_a_review_needs() -> None:
    called = {tuple(word for word in words if re.fullmatch("[a-z]+", word)) for words in commands()}
    assert called >= {("policy", name) for name in ("check", "fmt", "test")}
    assert any(words[:2] == ("policy", "review") for words in called)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_and_option_is_one_of_the_command_line(words: list[str]) -> None:
    command: Any = typer.main.get_command(cli.app)
    for place, name in enumerate(words):
        if not hasattr(command, "commands"):
            break
        if name not in command.commands:
            pytest.skip(f"`stagegate {' '.join(words[: place + 1])}` is not on the command line yet")
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_whole_history_is_fetched_and_both_ends_are_those_of_the_pull_request() -> None:
    checkout = next(step for step in steps() if step.get("uses", "").startswith("actions/checkout"))
    assert checkout["with"]["fetch-depth"] == "0"
    review = next(step for step in steps() if step.get("name") == "Review")
    assert review["env"] == {
        "BASE": "${{ github.event.pull_request.base.sha }}",
        "HEAD": "${{ github.event.pull_request.head.sha }}",
    }
    assert "${{" not in review["run"]  # what others wrote reaches the shell as variables only


def test_it_needs_no_secret_and_no_third_party() -> None:
    text = WORKFLOW.read_text()
    assert "secrets." not in text
    assert {step["uses"].partition("/")[0] for step in steps() if "uses" in step} == {"actions"}
    assert loaded(text)["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert loaded(text)["on"]["pull_request"]["paths"] == ["policies/**", "config/**"]


def test_a_failure_fails_and_a_softening_warns() -> None:
    run = next(step for step in steps() if step.get("name") == "Review")["run"]
    lines = run.strip().splitlines()
    assert lines[-1] == 'test "$code" -eq 0 -o "$code" -eq 10'
    assert "::warning" in run


def test_the_hooks_of_others_are_the_hooks_of_this_repository() -> None:
    shared = loaded(HOOKS.read_text())
    own = loaded(CONFIG.read_text())["repos"][0]["hooks"]
    assert [hook["id"] for hook in shared] == [hook["id"] for hook in own]
    for one, other in zip(shared, own, strict=True):
        assert other["entry"] == f".venv/bin/{one['entry']}"
        assert one["files"] == other["files"]
    files = re.compile(shared[0]["files"])
    assert all(files.search(name) for name in ("policies/action.yaml", "config/prod_scale_rules_R1.yaml"))
    assert not files.search("engine/policy/load.py")
    ids = [hook["id"] for hook in shared]
    assert all(one != other for one, other in pairwise(ids))
