"""The configuration's own limit of the drawdown acts: no release may let a drawdown beyond it stand (A07)."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path

import pytest

from engine.backstop import require_backstop
from engine.config import DEFAULT_CONFIG, load_config
from engine.errors import ConfigError
from engine.policy.bundle import load_bundle
from engine.runner.run import release_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Return the folder of a copy of R1."""
    for folder in ("policies", "config"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def edit(release: Path, name: str, old: str, new: str) -> None:
    path = release / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(release: Path) -> list[str]:
    bundle = load_bundle(release / "config/prod_scale_rules_R1.yaml")
    with pytest.raises(ConfigError) as caught:
        require_backstop(load_config(bundle.config_path), bundle)
    assert {problem.code for problem in caught.value.problems} == {"backstop"}
    return [problem.problem for problem in caught.value.problems]


@pytest.mark.parametrize(("limit", "holds"), [(0.30, True), (0.12, True), (0.1199, False)])
def test_A07_a_hard_stop_lies_at_or_below_the_configurations_limit(limit: float, *, holds: bool) -> None:
    config = load_config(ROOT / DEFAULT_CONFIG)
    bundle = load_bundle(ROOT / "config/prod_scale_rules_R1.yaml")
    limited = dataclasses.replace(config, risk=dataclasses.replace(config.risk, max_drawdown_ratio=limit))
    if holds:
        require_backstop(limited, bundle)
        return
    with pytest.raises(
        ConfigError, match=r"no rule of `action` closes the book at a drawdown beyond 11\.99 %"
    ) as caught:
        require_backstop(limited, bundle)
    assert [problem.where for problem in caught.value.problems] == [config.where("risk.max_drawdown_pct")] * 2


def test_A07_a_softer_hard_stop_than_the_configurations_limit_is_refused_of_both_policies(release: Path) -> None:
    edit(release, "policies/facts.yaml", 'value: "12%"', 'value: "31%"')
    assert [text.split("`")[1] for text in refused(release)] == ["action", "risk_guard"]


WHEN = '    when: {drawdown: "> $hard_stop_drawdown"}   #'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (WHEN, f"    for: 2 days\n{WHEN}"),
        (WHEN, f"    enabled: no\n{WHEN}"),
        (WHEN, '    when: {all: [{drawdown: "> $hard_stop_drawdown"}, {stage: "= 3"}]}   #'),
        ("outcome: PAUSE\n    when: {drawdown", "outcome: REDUCE\n    when: {drawdown"),
    ],
    ids=["only after days", "switched off", "only with another fact", "another outcome"],
)
def test_A07_a_hard_stop_that_does_not_always_close_at_once_is_none(release: Path, old: str, new: str) -> None:
    edit(release, "policies/action.yaml", old, new)
    assert [text.split("`")[1] for text in refused(release)] == ["action"]


def test_A07_what_would_let_it_stand_is_not_run(release: Path) -> None:
    name = "config/prod_candidate_R1.yaml"
    before = hashlib.sha256((release / name).read_bytes()).hexdigest()
    edit(release, name, "max_drawdown_pct: 0.30", "max_drawdown_pct: 0.10")
    edit(release, "config/prod_scale_rules_R1.yaml", before, hashlib.sha256((release / name).read_bytes()).hexdigest())
    with pytest.raises(ConfigError, match="beyond 10 %"):
        release_of(release / name, release / "config/prod_scale_rules_R1.yaml")
