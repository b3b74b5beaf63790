"""An effect that nobody would carry out is refused: what a committee signs is what happens."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import PolicyError
from engine.policy.bundle import load_bundle
from engine.policy.load import parse_policy
from engine.policy.roles import ROLES

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "config/prod_scale_rules_R1.yaml"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Return the folder of a copy of R1."""
    for folder in ("policies", "config"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def edit(release: Path, policy: str, old: str, new: str) -> Path:
    path = release / f"policies/{policy}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def problems(release: Path) -> list[tuple[str, str, str]]:
    with pytest.raises(PolicyError) as caught:
        load_bundle(release / "config" / RULES.name)
    return [(problem.code, problem.problem, problem.help) for problem in caught.value.problems]


def test_all_of_R1_is_carried_out_and_each_role_is_one_of_its_policies() -> None:
    assert set(ROLES) == set(load_bundle(RULES).policies)


@pytest.mark.parametrize(
    ("policy", "old", "new", "problem", "help_"),
    [
        ("action", "    once_per: episode\n", "", "`exposure` does nothing by itself", "`once_per`"),
        ("action", "    once_per: episode\n", "", "`page_every` does nothing by itself", "write `once_per` beside it"),
        ("action", "    once_per: episode\n", "", "`recovery` does nothing by itself", "write `once_per` beside it"),
        ("action", 'cap: "x1.5", ', "", "`at_most` does nothing by itself", "write `cap` beside it"),
        ("action", 'cap: "x1.5", ', "", "`approvals` does nothing by itself", "`once_per` or `cap` or `until`"),
        ("action", "until: restart,", "once_per: episode, until: restart,", "`once_per` does nothing beside", "one"),
        ("action", "until: restart,", 'until: restart, cap: "x2",', "`cap` does nothing beside `until`", "remove one"),
        ("action", "KEEP:     {}", "KEEP:     {exposure: 0.5}", "`exposure` does nothing by itself", "`once_per`"),
        (
            "action", "effects: {entries: blocked}", "effects: {entries: blocked, exposure: 0.2}",
            "nobody carries out `exposure` of a single rule", "only `entries`, `flag` do something here",
        ),
        (
            "action", "data: {page_every", "data: {exposure: 0.1, page_every",
            "nobody carries out `exposure` of an episode", "only `page_every`, `recovery`, `approvals` do",
        ),
        (
            "risk_guard", "REDUCE_ONLY: {entries", "REDUCE_ONLY: {exposure: 0.5, entries",
            "nobody carries out an exposure of 0.5", "write `exposure: 0`: it closes every position",
        ),
        (
            "risk_guard", "REDUCE_ONLY: {entries", 'REDUCE_ONLY: {cap: "x0.5", entries',
            "nobody carries out `cap` of `REDUCE_ONLY`", "only `exposure`, `entries`",
        ),
        (
            "stages", "ABORT:   {alert", "ABORT:   {exposure: 0, alert",
            "nobody carries out `exposure` of `ABORT`", "only `incident`, `alert`, `flag` do something here",
        ),
        (
            "stages", "PROMOTE: {alert", "PROMOTE: {incident: HIGH, alert",
            "nobody carries out `incident` of `PROMOTE`", "only `alert`, `flag` do something here",
        ),
        (
            "action", "SCALE_UP: {cap", "SCALE_UP: {incident: HIGH, cap",
            "`incident` does nothing by itself", "write `once_per` or `until` beside it",
        ),
        (
            "risk_guard", "REDUCE_ONLY: {entries", "REDUCE_ONLY: {approvals: 2, entries",
            "`approvals` does nothing by itself", "write `exposure` beside it",
        ),
        (
            "stages", "HOLD:    {}", "HOLD:    {alert: page}",
            "nobody carries out `alert` of `HOLD`", "only `flag` does something here",
        ),
        (
            "review", "BREACH: {alert: warn", "BREACH: {entries: blocked, alert: warn",
            "nobody carries out `entries` of `BREACH`", "only `alert`, `flag`",
        ),
        (
            "launch", "BLOCK_LAUNCH: {", "BLOCK_LAUNCH: {alert: page, ",
            "nobody carries out `alert` of `BLOCK_LAUNCH`", "only `entries`, `flag`",
        ),
        ("restart", "{exposure: 0,", "{exposure: 0.5,", "nobody carries out an exposure of 0.5", "`exposure: 0`"),
    ],
)  # fmt: skip
def test_an_effect_that_nobody_carries_out_is_refused(
    release: Path, policy: str, old: str, new: str, problem: str, help_: str
) -> None:
    edit(release, policy, old, new)
    found = problems(release)
    assert {code for code, _, _ in found} == {"idle-effect"}
    assert any(said.startswith(problem) and help_ in what for _, said, what in found), found


def test_without_an_outcome_until_a_restart_an_abort_could_not_close_the_book(release: Path) -> None:
    edit(release, "action", "until: restart, ", "")
    (missing,) = (found for found in problems(release) if found[0] == "missing-effect")
    assert missing[1] == "no outcome has `until`"
    assert "write `until: restart`" in missing[2]


def test_an_exposure_that_lasts_for_no_time_is_refused(release: Path) -> None:
    edit(release, "action", "until: restart, ", "")
    said = [(problem, help_) for code, problem, help_ in problems(release) if code == "idle-effect"]
    assert ("`exposure` does nothing by itself", "write `once_per` or `until` beside it") in said


def test_it_is_named_with_file_line_and_column(release: Path) -> None:
    path = edit(release, "action", "KEEP:     {}", "KEEP:     {exposure: 0.5}")
    text = path.read_text(encoding="utf-8")
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "KEEP:     {exposure" in one)
    with pytest.raises(PolicyError) as caught:
        load_bundle(release / "config" / RULES.name)
    (problem,) = caught.value.problems
    assert problem.where.endswith(f"policies/action.yaml:{line}:14")


def test_a_revision_of_the_past_can_be_compared_with(release: Path) -> None:
    edit(release, "action", "KEEP:     {}", "KEEP:     {exposure: 0.5}")
    bundle = load_bundle(release / "config" / RULES.name, past=True)
    assert bundle.policies["action"].effects["KEEP"].exposure == 0.5


def test_what_was_recorded_before_stays_readable(release: Path) -> None:
    path = edit(release, "action", "KEEP:     {}", "KEEP:     {exposure: 0.5}")
    policy = parse_policy(path.read_bytes(), path.name, load_bundle(RULES).vocabulary)
    assert policy.effects["KEEP"].exposure == 0.5
